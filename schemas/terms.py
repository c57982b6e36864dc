"""Terms of a source of photos: its licence as the maintainer named it, and whether its pixels may be passed on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from figureground.schemas.classes import from_imagenet_train
from figureground.schemas.records import SourceRow

_LICENCE: Final = "licence"
_RESTRICTED: Final = "restricted"
_IMAGENET_HELD_OUT: Final = re.compile(r"ILSVRC\d{4}_(?:val|test)_\d{8}")
RESTRICTED_KINDS: Final[Mapping[str, str]] = {
    "ilsvrc": "ImageNet's terms of access allow no copies to third parties",
    "imagenet-a": "ImageNet-A's photos are other people's and come without a licence",
    "rival10": "RIVAL10's licence forbids to give copies to third parties",
}
"""Kind of source to why its pixels may not be passed on."""
_NAMED: Final = {"rival": "rival10", "imagenet[-_]?a(?![a-z])": "imagenet-a", "imagenet|ilsvrc": "ilsvrc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTerms:
    """Terms under which the photos of one source may be used."""

    licence: str
    """As the maintainer named it; empty where they did not."""
    restricted: str
    """Reason why its pixels may not be passed on; empty where none is known."""


def options_of_terms(licence: str | None, restricted: bool | None, before: Mapping[str, str]) -> dict[str, str]:
    """Terms as options of a source.

    Args:
        licence: The licence; None to leave it as it was.
        restricted: Whether pixels may not be passed on; None to leave it as it was.
        before: Options that the source had.
    """
    given = {_LICENCE: licence, _RESTRICTED: None if restricted is None else ("yes" if restricted else "no")}
    earlier = {key: before[key] for key in given if key in before}
    return earlier | {key: value for key, value in given.items() if value is not None}


def source_terms(row: SourceRow, uris: Iterable[str]) -> SourceTerms:
    """The terms of a source: those that the maintainer named, else those that follow from its kind and its file names.

    Args:
        row: The source.
        uris: Its photos that are used.
    """
    named = row.options.get(_RESTRICTED)
    reason = ""
    if named != "no":
        imagenet = RESTRICTED_KINDS["ilsvrc"] if any(map(_from_imagenet, uris)) else ""
        reason = RESTRICTED_KINDS.get(row.kind, imagenet) or ("its maintainer said so" if named else "")
    return SourceTerms(licence=row.options.get(_LICENCE, ""), restricted=reason)


def restriction_by_name(name: str) -> str:
    """Reason why the pixels of a source may not be passed on, judged by its name alone; empty where none is known."""
    kinds = (kind for words, kind in _NAMED.items() if re.search(words, name, re.IGNORECASE))
    return RESTRICTED_KINDS.get(next(kinds, ""), "")


def _from_imagenet(uri: str) -> bool:
    return from_imagenet_train(uri) or _IMAGENET_HELD_OUT.match(PurePosixPath(uri).name) is not None
