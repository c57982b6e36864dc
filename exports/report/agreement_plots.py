"""The plot of ``agree``: how far and how fast each annotator is, and how long machine masks took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from figureground.errors import MissingExtraError, UsageError

try:
    from figureground.exports.analyses.plots import Bar, draw_bars
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

_SERIES: Final = ""
"""Of one kind are the bars of all panels."""
_PANELS: Final = {
    "object_iou": "IoU with others",
    "consensus_iou": "IoU with consensus",
    "equal_attributes": "attributes as others",
    "edited": "masks changed",
}


def draw_agreement(report: Mapping[str, Any]) -> bytes:
    """Bars of annotators by pseudonym and of segmenters, a panel for each figure, as PNG.

    Args:
        report: The JSON of ``agree``.

    Raises:
        UsageError: if nobody answered anything.
    """
    panels: dict[str, dict[str, dict[str, Bar]]] = {}
    for figure, title in _PANELS.items():
        bars = {own["annotator"]: {_SERIES: _bar(own[figure])} for own in report["annotators"] if own[figure]["photos"]}
        if bars:
            panels[title] = bars
    timed = {own["annotator"]: own["seconds"] for own in report["annotators"] if own["seconds"]}
    timed |= {f"from {own['segmenter']}": own["seconds"] for own in report["segmenters"]}
    if timed:
        panels["seconds a photo"] = {
            name: {_SERIES: Bar(value=own["median"], ci95=(own["lower"], own["upper"]))} for name, own in timed.items()
        }
    note = "whiskers: 95 % intervals over photos; of seconds, the median and the quartiles"
    if not panels:
        raise UsageError("nobody has answered anything that could be drawn")
    return draw_bars(panels, title=f"Agreement on {report['photos']} photos of several people", note=note)


def _bar(estimate: Mapping[str, Any]) -> Bar:
    return Bar(value=estimate["value"], ci95=tuple(estimate["ci95"]) if estimate["ci95"] else None)
