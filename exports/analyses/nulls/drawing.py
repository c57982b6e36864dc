"""Bars of what metrics and units have beyond displaced masks, by model and by area of the object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from figureground.exports.analyses.plots import Bar, draw_bars


def draw_nulls(
    summaries: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], where: str, picture_format: str = "png"
) -> dict[str, bytes]:
    """Two pictures by file name: all images, and by area of the object.

    Args:
        summaries: Model to what ``summarise_nulls`` gives.
        names: Quantity to its title.
        where: What data they are of.
        picture_format: ``png``, ``svg`` or ``pdf``.
    """
    note = "skill: 0 what displaced masks of equal area have, 1 the best there is · line: 95 % interval · {}"
    counts = ", ".join(sorted({f"n {summary['n']}" for summary in summaries.values()}))
    overall = {
        title: {model: {"": _skill_bar(summary["metrics"], name)} for model, summary in summaries.items()}
        for name, title in names.items()
    }
    areas = {
        title: {
            _area_name(part): {model: _skill_bar(own["metrics"], name) for model, own in parts.items()}
            for part, parts in _by_area(summaries)
        }
        for name, title in names.items()
    }
    title = f"Beyond displaced masks: {where}"
    return {
        f"nulls.{picture_format}": draw_bars(
            overall, title=title, note=note.format(counts), picture_format=picture_format
        ),
        f"nulls_by_area.{picture_format}": draw_bars(
            areas, title=f"{title}, by area of the object", note=note.format(counts), picture_format=picture_format
        ),
    }


def _by_area(summaries: Mapping[str, Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Slices in their order, each with the models that have it."""
    slices: dict[tuple[float, ...], tuple[Mapping[str, Any], dict[str, Any]]] = {}
    for model, summary in summaries.items():
        for part in summary["by_area"]:
            slices.setdefault(tuple(part["area"]), (part, {}))[1][model] = part
    return [slices[area] for area in sorted(slices)]


def _area_name(part: Mapping[str, Any]) -> str:
    low, high = (f"{100 * edge:.0f}" for edge in part["area"])
    return f"{low} to {high} % (n {part['n']})"


def _skill_bar(metrics: Mapping[str, Any], name: str) -> Bar:
    cell = metrics.get(name, {}).get("skill")
    if cell is None:
        return Bar(value=None)
    return Bar(value=cell["value"], ci95=tuple(cell["ci95"]) if cell["ci95"] else None)
