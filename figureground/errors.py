"""Every error that figureground raises on purpose.

FigureGroundError      catch this to catch them all
├── UsageError         the call itself is wrong (exit code 2)
│   └── MissingExtraError   an optional dependency is not installed
├── DataError          the data is at fault; carries every fault of the run (exit code 1)
└── ServiceError       something outside failed; run again to resume (exit code 3)
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any, Final
from urllib.parse import quote

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
"""Characters that move a terminal's cursor, turn its text round, or have no form: controls, bidirectional marks, lone
surrogates. Spaces of other widths and accents that stand apart are part of names, and are none of them."""
_ADDRESS: Final = re.compile(r"<([\w.]+) object at 0x[0-9a-fA-F]+>")
_LONGEST: Final = 1000
"""Characters of a fault's part that are shown."""
_OF_ONE_KIND: Final = 10
"""Faults of one kind that are spelled out."""
_SECRET_NAMES: Final = re.compile(r"(TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY|ACCOUNT_KEY|CONNECTION_STRING)$")
"""Variables of the environment that hold a secret, by the end of their names: HF_TOKEN, LABEL_STUDIO_API_KEY ..."""
_SHORTEST_SECRET: Final = 8
"""Characters; what is shorter stands in any text by chance."""
_SIGNED: Final = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*(?:Signature|X-Amz-|Policy|sig)=[^\s'\"]*")
"""An address that is signed in its query, as those of storage are."""
_LOGIN: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'\"]*:)[^\s/@'\"]+@")
"""An address with a name and a password before its host."""
_secrets: set[str] = set()


def keep_secret(*texts: str) -> None:
    """Let no message of this process show these texts, such as a token that was read from a file."""
    _secrets.update(text for text in texts if len(text) >= _SHORTEST_SECRET)


def masked(text: str) -> str:
    """A text with ``***`` in place of secrets, and without the signatures and passwords of addresses.

    A server may repeat in its answer what it was sent, and a library what it sends. Secrets are those that
    ``keep_secret`` was told, those of the environment, and the login of the Hub's client where that is loaded.
    """
    return _mask(text, _spelled_secrets())


def _spelled_secrets() -> list[str]:
    """All spellings of all secrets, the longest first: one may be a part of another."""
    own = (value for name, value in os.environ.items() if _SECRET_NAMES.search(name))
    known = {secret for secret in (*_secrets, *own, _hub_login()) if len(secret) >= _SHORTEST_SECRET}
    return sorted({spelling for secret in known for spelling in spellings(secret)}, key=len, reverse=True)


def _mask(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return _LOGIN.sub(r"\1***@", _SIGNED.sub(r"\1", text)) if "://" in text else text


@cache
def spellings(secret: str) -> frozenset[str]:
    """A secret as it is, as an address has it, as JSON has it, and as a part of base64, wherever it begins there."""
    data = secret.encode("utf-8", "surrogatepass")
    spelled = {secret, quote(data, safe=""), json.dumps(secret)[1:-1]}
    for before in range(3):  # bytes before it in a group of three; what is mixed with others is left out
        coded = b64encode(bytes(before) + data).decode("ascii")
        whole = coded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        spelled |= {whole, whole.replace("+", "-").replace("/", "_")}
    return frozenset(spelling for spelling in spelled if len(spelling) >= _SHORTEST_SECRET)


def printable(text: str, *, keep: str = "") -> str:
    r"""Text as a terminal may show it: what would command the terminal is spelled out, such as ``\x1b``.

    Args:
        text: Any text; names of files may hold anything.
        keep: Characters that stay as they are, such as line ends.
    """
    return _UNSAFE.sub(lambda match: match[0] if match[0] in keep else _spelled(match[0]), text)


def listed(names: Collection[object], most: int = _OF_ONE_KIND) -> str:
    """The first of some names in one line: ``a, b and 29 more``."""
    shown = ", ".join(str(name) for name, _ in zip(names, range(most), strict=False))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def shell_word(value: object) -> str:
    """A path, name, version or address as one word of a command that a message gives to type.

    It is as it was where it holds nothing that a shell reads otherwise; a space in a path would make two paths of it.
    """
    return shlex.quote(str(value))


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _shown(text: str, secrets: Iterable[str]) -> str:
    """One part of a fault: in one line, without secrets and addresses of memory, not endless."""
    line = printable(_mask(_ADDRESS.sub(r"\1", text), secrets))  # before it is cut: a half of a secret would be left
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}... ({len(line)} characters)"


def _hub_login() -> str:
    """The token that the Hub's client logs in with, which may lie in a file of its own; empty where there is none."""
    try:
        return sys.modules["huggingface_hub"].get_token() or ""
    except (KeyError, AttributeError, ImportError, OSError):  # not loaded, not whole yet, or not readable
        return ""


class FigureGroundError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns.

    What a server or a library said may stand in a message: it is ``masked``.
    """

    exit_code = 1

    def __init__(self, *parts: str) -> None:
        super().__init__(*map(masked, parts))


class UsageError(FigureGroundError):
    """The caller asked for something that cannot be asked for."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional dependency is absent; the message says what to install."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'figureground[{extra}]'")


class ServiceError(FigureGroundError):
    """A download, server or other outside service failed; running again resumes."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with the data, in terms of what to mend."""

    where: str
    """File (or table) at fault, as the user named it."""
    record: str
    """Id, row or field inside ``where``; empty where the whole file is at fault."""
    expected: str
    """What would have been right."""
    got: str
    """What is there instead."""
    remedy: str = ""
    """What to do about it; empty where nothing can be done."""

    def __str__(self) -> str:
        """One line: where, record, expected, got, remedy; see ``printable`` for what names may hold."""
        return _line(self, _spelled_secrets())

    @property
    def kind(self) -> tuple[str, str]:
        """What faults of one kind share: what was expected and the remedy, whatever the numbers in them."""
        return re.sub(r"\d+", "#", self.expected), re.sub(r"\d+", "#", self.remedy)


class DataError(FigureGroundError):
    """The data is at fault; ``faults`` holds every fault of the run, in the order of ``str``.

    The message spells out the first ten of a kind and counts the others.
    """

    def __init__(self, faults: Iterable[Fault], report: Any = None) -> None:  # noqa: ANN401  a report of any command
        secrets = _spelled_secrets()  # once for all: a file may be at fault in every line
        lines = sorted(((_line(fault, secrets), fault) for fault in faults), key=itemgetter(0))
        self.faults = tuple(fault for _, fault in lines)
        self.report: Any = report
        """What was done all the same, where a run goes on beside its faults; else None."""
        count = len(self.faults)
        head = f"{count} fault{'' if count == 1 else 's'} in the data"
        super().__init__("\n".join([f"{head}:", *(f"  {line}" for line in _by_kind(lines))]))

    def __reduce__(self) -> tuple[type[DataError], tuple[tuple[Fault, ...], object]]:
        """Faults survive the way out of a worker process."""
        return DataError, (self.faults, self.report)

    @classmethod
    def single(cls, where: str, record: str, *, expected: str, got: str, remedy: str = "") -> DataError:
        """A ``DataError`` with one fault."""
        return cls([Fault(where=where, record=record, expected=expected, got=got, remedy=remedy)])


def _line(fault: Fault, secrets: Iterable[str]) -> str:
    where, record, expected, got, remedy = (
        _shown(part, secrets) for part in (fault.where, fault.record, fault.expected, fault.got, fault.remedy)
    )
    subject = f"{where}: {record}" if record else where
    line = f"{subject}: expected {expected}, got {got}"
    return f"{line}; {remedy}" if remedy else line


def _by_kind(lines: Iterable[tuple[str, Fault]]) -> list[str]:
    """Lines of faults, those of one kind together, and how many more of the kind there are."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for line, fault in lines:
        kinds.setdefault(fault.kind, []).append(line)
    shown: list[str] = []
    for alike in kinds.values():
        shown += alike[:_OF_ONE_KIND]
        if len(alike) > _OF_ONE_KIND:
            shown.append(f"and {len(alike) - _OF_ONE_KIND} more of this kind")
    return shown


@dataclass(slots=True)
class Faults:
    """Collects faults over a run, so that a user sees all of them at once."""

    collected: list[Fault] = field(default_factory=list)
    """In the order in which they were noted."""

    def add(self, where: str, record: str, *, expected: str, got: str, remedy: str = "") -> None:
        """Note one fault and go on."""
        self.collected.append(Fault(where=where, record=record, expected=expected, got=got, remedy=remedy))

    def extend(self, faults: Iterable[Fault]) -> None:
        """Note faults that somebody else collected and go on."""
        self.collected.extend(faults)

    def raise_if_any(self, report: object = None) -> None:
        """Raise ``DataError`` with every fault, and with what was done all the same, or return if there is none."""
        if self.collected:
            raise DataError(self.collected, report)

    def __len__(self) -> int:
        return len(self.collected)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self.collected)
