"""Single attributes: greyed, under noise, and pasted from photo to photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from figureground.exports.evaluation.intervals import MIN_DECIDABLE, paired_difference, wilson_interval
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.protocols.drops import measure_drops, row_means, rows_of
from figureground.exports.evaluation.protocols.outcomes import Outcomes
from figureground.exports.evaluation.shares import RowAnswers, average_rows
from figureground.exports.evaluation.tables import RULE, Cell, measured_cell
from figureground.exports.evaluation.values import Bools, Floats, Ints, require

ATTRIBUTE_CONFIGS: Final = ("attribute_grey", "attribute_control")
PASTED_CONFIGS: Final = ("attribute_superimposed", "attribute_removed")
ALL_ATTRIBUTES: Final = "all attributes"


def summarise_greyed(original: Outcomes, outcomes: Mapping[str, Outcomes], classes: ClassMap) -> dict[str, Any]:
    """What greying an attribute costs, beside a random part of the object of the same area; all photos count alike."""
    if not set(ATTRIBUTE_CONFIGS) <= set(outcomes):
        return {}
    greyed, control = (outcomes[config] for config in ATTRIBUTE_CONFIGS)
    keys = [list(zip(rows.image_id, rows.attribute, strict=True)) for rows in (greyed, control)]
    require(keys[0] == keys[1], "attribute_control: expected the rows of attribute_grey")
    clean, grey, random = (
        row_means(answers, rows)
        for answers, rows in ((original, rows_of(original, greyed)), (greyed, slice(None)), (control, slice(None)))
    )
    return _by_attribute(greyed, classes, "grey", clean, grey, random)


def summarise_noised(original: Outcomes, noised: Outcomes, classes: ClassMap) -> dict[str, Any]:
    """What noise on an attribute costs, beside the same noise elsewhere on the object; all photos count alike.

    ``noised`` has two conditions: noise on the attribute, and on its control.
    """
    clean = row_means(original, rows_of(original, noised))
    changed, random = (row_means(noised, slice(None), condition) for condition in (0, 1))
    return _by_attribute(noised, classes, "noise", clean, changed, random)


def _by_attribute(
    outcomes: Outcomes, classes: ClassMap, word: str, clean: Floats, changed: Floats, control: Floats
) -> dict[str, Any]:
    """Costs of every attribute; ``clean``, ``changed`` and ``control`` are (R, 2), ``word`` says what was done."""
    summaries = {}
    for name in np.unique(outcomes.attribute):
        chosen = outcomes.attribute == name
        before, after, random = (values[chosen] for values in (clean, changed, control))
        labels, alike = outcomes.label[chosen], np.zeros(int(chosen.sum()), np.int64)
        summaries[str(name)] = {
            "n": int(chosen.sum()),
            "accuracy_original": float(before[:, 0].mean()),
            f"accuracy_{word}": float(after[:, 0].mean()),
            "accuracy_control": float(random[:, 0].mean()),
            word: measure_drops(before, after, alike),
            "control": measure_drops(before, random, alike),
            f"{word}_beyond_control": measure_drops(random, after, alike),
            "per_class": {
                owner: {"n": int(own.sum()), "accuracy_drop": float((before - after)[own, 0].mean())}
                for owner, own in ((owner, labels == index) for index, owner in enumerate(classes.names))
                if own.any()
            },
        }
    return summaries


def summarise_pasted(original: Outcomes, pasted: Outcomes) -> dict[str, Any]:
    """What pixels of another photo do to the answer, of all attributes together and of each; JSON-ready.

    A row's label is that of the photo outside the pasted part, and that photo on ``original`` is what it is compared
    with. An image with several rows counts once, as their mean; all images count alike.
    """
    attributes = {str(name): pasted.attribute == name for name in np.unique(pasted.attribute)}
    rows = rows_of(original, pasted)
    return {
        name: _describe_pasted(original, pasted, rows, chosen)
        for name, chosen in {ALL_ATTRIBUTES: np.ones(len(rows), np.bool_), **attributes}.items()
    }


def _describe_pasted(original: Outcomes, pasted: Outcomes, rows: Ints, chosen: Bools) -> dict[str, Any]:
    """Accuracy against ``original``, and how often the answer is the class of the photo that pixels came from.

    The latter of rows whose two photos are of different classes, beside how often ``original`` is answered so.
    """
    clean, changed = row_means(original, rows), row_means(pasted, slice(None))
    before, after = (_image_means(pasted, values, chosen) for values in (clean, changed))
    alike = np.zeros(len(before), np.int64)
    foreign = chosen & (pasted.donor_label >= 0) & (pasted.donor_label != pasted.label)
    moved = [answer == pasted.donor_label for answer in (original.answer[rows, 0, 0], pasted.answer[:, 0, 0])]
    return {
        "n": len(before),
        "n_rows": int(chosen.sum()),
        "accuracy_micro": float(after[:, 0].mean()),
        "ci95": wilson_interval(float(after[:, 0].mean()), len(after)),
        "accuracy_original": float(before[:, 0].mean()),
        **measure_drops(before, after, alike),
        "donor_class": _describe_moves(pasted, moved[0], moved[1], foreign),
    }


def _describe_moves(pasted: Outcomes, before: Bools, after: Bools, foreign: Bools) -> dict[str, Any] | None:
    """Share of answers that are the donor photo's class, and how many more than on ``original``; None for no rows."""
    if not foreign.any():
        return None
    originals, moved = (_image_means(pasted, values[:, None], foreign)[:, 0] for values in (before, after))
    share, alike = float(moved.mean()), np.zeros(len(moved), np.int64)
    return {
        "n": len(moved),
        "n_rows": int(foreign.sum()),
        "undecidable": len(moved) < MIN_DECIDABLE,
        "value": share,
        "ci95": wilson_interval(share, len(moved)),
        "original": float(originals.mean()),
        "beyond_original": paired_difference(moved, originals, alike).json(),
    }


def _image_means(pasted: Outcomes, values: Any, chosen: Bools) -> Floats:  # noqa: ANN401  (R, M) numbers or truths
    """Means of the columns of ``values`` over the chosen rows of each image, ``(I, M)``."""
    rows = RowAnswers(image_id=pasted.image_id[chosen], label=pasted.label[chosen], right=pasted.right[chosen, 0, 0])
    columns = [average_rows("attributes", rows, column).value for column in values[chosen].T]
    return np.stack(columns, axis=1)


def attribute_cells(summary: Mapping[str, Any]) -> dict[str, Cell]:
    """What greying, noise and pasting of every attribute cost."""
    cells: dict[str, Cell] = {"-attributes": RULE}
    for part, word in (("attributes", "grey"), ("attribute_noise", "noise")):
        for name, measured in summary[part].items():
            for what in (word, "control", f"{word}_beyond_control"):
                title = {"control": f"{word} elsewhere"}.get(what, what.replace("_", " "))
                row, drops = f"{name} (n {measured['n']})", measured[what]
                few = drops["undecidable"]
                cells[f"{row}: p drop, {title}"] = measured_cell(drops["p_true_drop"], signed=True, few=few)
                if part == "attribute_noise":
                    cells[f"{row}: drop, {title}"] = measured_cell(drops["accuracy_drop"], signed=True, few=few)
    for config, parts in summary["pasted"].items():
        cells[f"-{config}"] = RULE
        for name, measured in parts.items():
            cells |= _pasted_cells(f"{config}, {name}", measured)
    return cells


def _pasted_cells(row: str, measured: Mapping[str, Any]) -> dict[str, Cell]:
    few, moves = measured["undecidable"], measured["donor_class"]
    row = f"{row} (n {measured['n']})"
    cells = {
        f"{row}: accuracy": Cell(measured["accuracy_micro"], measured["ci95"], few=few),
        f"{row}: drop": measured_cell(measured["accuracy_drop"], signed=True, few=few),
    }
    if moves is not None:
        few = moves["undecidable"]
        cells[f"{row}: answers the donor's class"] = measured_cell(moves, few=few)
        beyond = measured_cell(moves["beyond_original"], signed=True, few=few)
        cells[f"{row}: answers it more often than on original"] = beyond
    return cells
