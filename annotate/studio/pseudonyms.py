"""Who annotated, without saying who: random names, whose key never leaves the workspace."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from figureground.annotate.studio.accounts import DOMAIN
from figureground.annotate.studio.home import StudioHome, changing_secret, write_secret
from figureground.errors import DataError


class Pseudonyms:
    """Random names of a server's users, drawn once and kept in a file of mode 0600.

    Args:
        home: The studio of the workspace.
        server: What the workspace calls the server.
        numbers: The server's number of each address: drafts name their owner by address, answers by number.
    """

    def __init__(self, home: StudioHome, server: str, numbers: Mapping[str, int] | None = None) -> None:
        self._path = home.root / "pseudonyms.json"
        self._server = server
        self._numbers = dict(numbers or {})
        self._all = _read(self._path)

    def of(self, user: str) -> str:
        """The pseudonym of a user, drawn and stored if it is the first time; empty for nobody.

        Raises:
            DataError: if the key was damaged meanwhile.
        """
        if not user:
            return ""
        user = str(self._numbers.get(user, user))
        if user not in self._all.get(self._server, {}):
            with changing_secret(self._path):
                self._all = _read(self._path)  # another command may have drawn some since
                known = self._all.setdefault(self._server, {})
                if user not in known:
                    known[user] = f"p{secrets.token_hex(4)}"
                    write_secret(self._path, json.dumps(self._all, indent=1, sort_keys=True))
        return self._all[self._server][user]


def names_of_pseudonyms(home: StudioHome, server: str, addresses: Mapping[int, str]) -> dict[str, str]:
    """Pseudonym to who it is, for the maintainer's own eyes: the name of an annotator of ours, else an address.

    Args:
        home: The studio of the workspace, which holds the key.
        server: What the workspace calls the server.
        addresses: The server's number of a user to the address.

    Raises:
        DataError: if the key is damaged.
    """
    known = _read(home.root / "pseudonyms.json").get(server, {})
    named = {str(number): address.removesuffix(f"@{DOMAIN}") for number, address in addresses.items()}
    return {pseudonym: named[user] for user, pseudonym in known.items() if user in named}


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        return TypeAdapter(dict[str, dict[str, str]]).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError.single(
            str(path),
            "",
            expected="the key of the pseudonyms",
            got="damaged JSON",
            remedy="restore it from a backup: without it, answers of one person would look like two people's",
        ) from error
