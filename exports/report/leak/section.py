"""The part of a report that is about the rim and the outline of cut-out figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from figureground.exports.evaluation.results import align_columns, describe_groups, describe_masks
from figureground.exports.evaluation.tables import Cell
from figureground.exports.report.leak.curve import HoleAnswers, measure_curve, read_hole_answers
from figureground.exports.report.leak.levelling import Levelling, find_levelling


def leak_section(members: Sequence[Mapping[str, Any]], margin: float) -> dict[str, Any] | None:
    """Curves of a group of results, JSON-ready; None where no model was scored on enough dilations.

    Args:
        members: Results of the protocol imagenet9 on one dataset, as ``group_models`` gives them.
        margin: Difference of two accuracies that counts as none, in (0, 1).
    """
    read = [read_hole_answers(member) for member in members]
    answers = [own for own in read if own is not None]
    if not answers:
        return None
    first = members[0]
    return {
        "protocol": "imagenet9",
        "part": "leak",
        "dataset": first["dataset"]["name"],
        "fingerprint": first["dataset"]["fingerprint"],
        "split": first["split"],
        "feed": first["feed"],
        "space": first["label_space"],
        "n": len(answers[0].label),
        "notes": [*describe_groups(first["dataset"], {}), *describe_masks(first["dataset"])],
        "curves": {own.model: _curve(own, margin) for own in answers},
    }


def _curve(answers: HoleAnswers, margin: float) -> dict[str, Any]:
    return {
        "points": [asdict(point) for point in measure_curve(answers)],
        "levelling": asdict(find_levelling(answers, margin)),
    }


def describe_leak(section: Mapping[str, Any]) -> str:
    """A table for each model, as plain text."""
    title = (
        f"{section['dataset']} ({section['split']}, {section['n']} images): what is left where the figure is cut out"
    )
    lines = [title]
    for model, curve in section["curves"].items():
        rows = [["hole dilated by", "accuracy", "outline alone", "accuracy - outline", "for all rows together"]]
        for point in curve["points"]:
            other = "" if point["outline_px"] == point["grow_px"] else f" (at {point['outline_px']} px)"
            own = point["corrected"]
            rows.append(
                [
                    f"{point['grow_px']} px",
                    Cell(point["accuracy"]["value"], point["accuracy"]["ci95"]).text(),
                    Cell(point["outline"]["value"], point["outline"]["ci95"]).text() + other,
                    Cell(own["value"], own["ci95"], signed=True).text(),
                    Cell(own["value"], own["band95"], signed=True).text(),
                ]
            )
        lines += ["", model, *align_columns(rows), str(Levelling(**curve["levelling"]))]
    return "\n".join([*lines, "", "; ".join(["percent [95 % interval]", *section["notes"]])])
