"""Terms of a source of photos: its licence as the maintainer named it, and whether its pixels may be passed on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from figureground.schemas.records import SourceRow

_LICENCE: Final = "licence"
_RESTRICTED: Final = "restricted"
_IMAGENET_NAME: Final = re.compile(
    r"ILSVRC\d{4}_(?:train|val|test)_\d{8}|(?<![A-Za-z0-9])n\d{8}(?![0-9])", re.IGNORECASE
)
"""What ImageNet's photos and labels are called by: a wnid (``n01440764``) as a word of a label, a folder or a file, and
the names of the parts that are held out."""
RESTRICTED_KINDS: Final[Mapping[str, str]] = {
    "ilsvrc": "ImageNet's terms of access allow no copies to third parties",
    "imagenet-a": "ImageNet-A's photos are other people's and come without a licence",
    "rival10": "RIVAL10's licence forbids to give copies to third parties",
}
"""Kind of source to why its pixels may not be passed on."""
UNSTATED: Final = "nobody stated a licence for them"
"""Why pixels may not be passed on whose licence is not known."""
_UNKNOWN: Final = re.compile(r"(?:unknown|unsure|not (?:known|stated|given)|none|n/?a|tb[ad]|-|\?*)", re.IGNORECASE)
"""Words in place of a licence that name none."""
_HUB_LICENCE: Final = re.compile(
    r"cc0-1\.0|cc-by(?:-nc)?(?:-sa|-nd)?-[234]\.0|apache-2\.0|mit|odc-by|odbl|pddl|unlicense", re.ASCII
)
"""Licences that the Hub knows by an id, as it spells them."""
_NAMED: Final = {"rival": "rival10", "imagenet[-_]?a(?![a-z])": "imagenet-a", "imagenet|ilsvrc": "ilsvrc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTerms:
    """Terms under which the photos of one source may be used."""

    licence: str
    """As the maintainer named it; empty where they did not."""
    restricted: str
    """Reason why its pixels may not be passed on; empty where they may."""
    said: bool
    """Whether the maintainer said in as many words that they may, or may not, be passed on."""


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


def source_terms(row: SourceRow, uris: Iterable[str], labels: Iterable[str] = ()) -> SourceTerms:
    """The terms of a source: those that the maintainer named, else those that follow from what it is.

    Args:
        row: The source.
        uris: Its photos that are used.
        labels: Their source labels.
    """
    said, licence = row.options.get(_RESTRICTED), row.options.get(_LICENCE, "")
    reason = ""
    if said != "no":
        reason = RESTRICTED_KINDS.get(row.kind, "") or restriction_by_looks([*uris, *labels])
        reason = reason or ("its maintainer said so" if said else restriction_by_licence(licence))
    return SourceTerms(licence=licence, restricted=reason, said=said is not None)


def restriction_by_looks(names: Iterable[str]) -> str:
    """Reason why photos may not be passed on, judged by what they and their labels are called; empty where none shows.

    Args:
        names: Names of photos with their folders, and source labels. One that holds a wnid counts as ImageNet's, as do
            the names of its validation and test parts. That errs on the safe side: own photos may be labelled by wnid.
    """
    return RESTRICTED_KINDS["ilsvrc"] if any(map(_IMAGENET_NAME.search, names)) else ""


def restriction_by_licence(licence: str) -> str:
    """``UNSTATED`` for a licence that is none: empty, or a word such as ``unknown``; empty for any other."""
    return UNSTATED if _UNKNOWN.fullmatch(licence.strip()) else ""


def hub_licence(licence: str) -> str:
    """The Hub's id of a licence that somebody named, such as ``cc-by-4.0`` of CC BY 4.0; empty where it has none."""
    name = re.sub(r"[\s_-]+", "-", licence.strip().lower())
    name = {"cc0": "cc0-1.0"}.get(name, name)
    return name if _HUB_LICENCE.fullmatch(name) else ""


def restriction_by_name(name: str) -> str:
    """Reason why the pixels of a source may not be passed on, judged by its name alone; empty where none is known."""
    kinds = (kind for words, kind in _NAMED.items() if re.search(words, name, re.IGNORECASE))
    return RESTRICTED_KINDS.get(next(kinds, ""), "")
