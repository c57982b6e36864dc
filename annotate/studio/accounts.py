"""Accounts of annotators on a server of ours: made through the invitation link, as a person would."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from figureground.annotate.studio.client import TIMEOUT_SECONDS, StudioClient
from figureground.annotate.studio.home import StudioHome, changing_secret, write_secret
from figureground.errors import DataError, ServiceError, keep_secret

DOMAIN: Final = "figureground.local"
_TOKEN_FIELD: Final = re.compile(r'name="csrfmiddlewaretoken"\s+value="([^"]+)"')


def ensure_account(client: StudioClient, home: StudioHome, annotator: str) -> str:
    """The address that an annotator logs in with; the account is made if there is none.

    The password is drawn here and kept in ``accounts.json``, mode 0600, for the maintainer to hand over.

    Raises:
        DataError: if ``accounts.json`` is damaged.
        ServiceError: if the server does not make the account.
    """
    address = f"{annotator.lower()}@{DOMAIN}"
    with changing_secret(_file(home)):  # one command after the other: the second sees that the account is there
        password, present = keep_password(home, address)
        if not (present and _is_user(client, address)):
            try:
                _sign_up(client, address, password)
            except ServiceError:
                # A command that was killed had asked for it with the same password, and the server made it just now.
                if not (present and _is_user(client, address)):
                    raise
    return address


def _is_user(client: StudioClient, address: str) -> bool:
    return any(user.email == address for user in client.users())


def keep_password(home: StudioHome, address: str) -> tuple[str, bool]:
    """The password of an account, and whether it was kept before; a new one is drawn and kept.

    It is kept before it is used: an account whose password is lost is worse than a password without an account. Call
    it inside of ``changing_secret``.

    Raises:
        DataError: if ``accounts.json`` is damaged.
    """
    known = accounts(home)
    if address in known:
        return known[address], True
    password = secrets.token_urlsafe(12)
    keep_secret(password)
    write_secret(_file(home), json.dumps({**known, address: password}, indent=1, sort_keys=True))
    return password, False


def accounts(home: StudioHome) -> dict[str, str]:
    """Passwords of the accounts that we made, by address.

    Raises:
        DataError: if the file that keeps them is damaged.
    """
    path = _file(home)
    try:
        known = TypeAdapter(dict[str, str]).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError.single(
            str(path),
            "",
            expected="addresses and passwords of annotators, as studio push wrote them",
            got="damaged JSON",
            remedy="restore it from a copy; or move it away: annotators who know their passwords go on, and the others "
            "need new ones in Label Studio",
        ) from error
    keep_secret(*known.values())
    return known


def _file(home: StudioHome) -> Path:
    return home.root / "accounts.json"


def _sign_up(client: StudioClient, address: str, password: str) -> None:
    import httpx

    # The API makes accounts whose passwords do not work, so the form is filled in.
    page = client.invitation()
    with httpx.Client(base_url=client.connection.url, timeout=TIMEOUT_SECONDS, follow_redirects=True) as browser:
        try:
            form = _TOKEN_FIELD.search(browser.get(page).text)
            fields = {"email": address, "password": password, "csrfmiddlewaretoken": form.group(1) if form else ""}
            browser.post(page, data=fields, headers={"Referer": f"{client.connection.url}{page}"})
            made = browser.get("/api/current-user/whoami")
        except httpx.HTTPError as error:
            raise ServiceError(f"{client.connection.url} stopped answering while signing up {address}") from error
    if made.status_code != 200 or made.json().get("email") != address:
        raise ServiceError(f"{client.connection.url} did not make an account for {address}")
