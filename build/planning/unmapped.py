"""Labels of photos that no class of the class map has, and which of the map's they were perhaps meant to be."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from figureground.build.planning.plan import Plan
from figureground.schemas.classes import ClassMap
from figureground.schemas.records import ObjectRecord
from figureground.schemas.sources.names import name_key

_WNID: Final = re.compile(r"n\d{8}")
"""Two of them are always alike, and mean nothing alike."""
_ALIKE: Final = 0.75
"""Ratio of difflib from which two labels are nearly one: ``smallwhite`` and ``small white`` have 0.95."""


def unmapped_labels(plan: Plan) -> dict[str, int]:
    """Label that is in no class to number of objects that were left out, the most first."""
    labels = Counter(refusal.label for refusal in plan.refusals if refusal.reason == "unmapped_class")
    return dict(sorted(labels.items(), key=lambda pair: (-pair[1], pair[0])))


def misspelt_labels(labels: Iterable[str], records: Iterable[ObjectRecord], classes: ClassMap) -> dict[str, str]:
    """Label that is in no class to the nearest one of the class map that no object has; those without any are missing.

    Args:
        labels: Labels that are in no class.
        records: Objects of the release.
        classes: The class map.
    """
    used = {record.label for record in records}
    known = (label for label in classes.index_of_label if label not in used)
    free = {name_key(label): label for label in known if not _WNID.fullmatch(label)}
    matches = {label: difflib.get_close_matches(name_key(label), free, 1, _ALIKE) for label in labels if label}
    return {label: free[nearest[0]] for label, nearest in matches.items() if nearest}
