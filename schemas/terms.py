"""Terms of a source of photos: its licence as the maintainer said it, and whether its pixels may be passed on."""

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
    """What may be done with the photos of one source."""

    licence: str
    """As the maintainer named it; empty where they did not."""
    restricted: str
    """Why its pixels may not be passed on; empty where nothing is known against it."""


def options_of_terms(licence: str | None, restricted: bool | None, before: Mapping[str, str]) -> dict[str, str]:
    """Terms as options of a source; what is not said now stays as it was said before."""
    said = {_LICENCE: licence, _RESTRICTED: None if restricted is None else ("yes" if restricted else "no")}
    kept = {key: before[key] for key in said if key in before}
    return kept | {key: value for key, value in said.items() if value is not None}


def source_terms(row: SourceRow, uris: Iterable[str]) -> SourceTerms:
    """The terms of a source: what the maintainer said, else what its kind and its files' names tell.

    Args:
        row: The source.
        uris: Its photos that are used.
    """
    said = row.options.get(_RESTRICTED)
    reason = ""
    if said != "no":
        imagenet = RESTRICTED_KINDS["ilsvrc"] if any(map(_from_imagenet, uris)) else ""
        reason = RESTRICTED_KINDS.get(row.kind, imagenet) or ("its maintainer said so" if said else "")
    return SourceTerms(licence=row.options.get(_LICENCE, ""), restricted=reason)


def restriction_by_name(name: str) -> str:
    """Why pixels may not be passed on, if a source of which nothing else is known is what its name says; else empty."""
    found = (kind for words, kind in _NAMED.items() if re.search(words, name, re.IGNORECASE))
    return RESTRICTED_KINDS.get(next(found, ""), "")


def _from_imagenet(uri: str) -> bool:
    return from_imagenet_train(uri) or _IMAGENET_HELD_OUT.match(PurePosixPath(uri).name) is not None
