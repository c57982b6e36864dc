"""Protocol crossed: figures that are all shown on the same grounds, and what of the errors is whose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.answers import answer_rows, judge_answers
from figureground.exports.evaluation.dataset import config_rank, row_names, row_texts
from figureground.exports.evaluation.intervals import MIN_DECIDABLE, Sampling
from figureground.exports.evaluation.jobs import Job, split_by_space
from figureground.exports.evaluation.label_spaces import ClassMap, find_truth
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.ground_attacks import (
    GroundTrials,
    any_of,
    each_ground,
    each_pair,
    worst_of,
)
from figureground.exports.evaluation.protocols.pigeonhole import (
    COMPONENTS,
    CrossedCells,
    TwoWaySampling,
    estimate_components,
    estimate_difference_of_means,
    estimate_share,
)
from figureground.exports.evaluation.shares import (
    ImageShares,
    RowAnswers,
    average_rows,
    class_sizes,
    describe_chance,
    estimate_difference,
    measure_accuracy,
    number_groups,
    pair_images,
)
from figureground.exports.evaluation.tables import RULE, Cell, Figure, accuracy_figures, measured_cell, value_figures
from figureground.exports.evaluation.values import Answers, Bools, Floats, Ints, Logits, list_names, require

CROSSED: Final = "crossed"  # configs whose names begin so have the same grounds under all figures
CONTROL: Final = "mixed_self"  # pasted on its own ground; original where the dataset has none
APART: Final = "no figure is in both"  # why two configs have no difference
ATTACKS: Final = ("fooled", "captured")
_SUREST: Final = 1e-12  # probabilities are cut to 1 minus this before their log-odds are taken
_CURVE: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)


def is_crossed(config: str) -> bool:
    """Whether a config has the same grounds under all of its figures, as its name says."""
    return config == CROSSED or config.startswith(f"{CROSSED}_")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedAnswers:
    """Answers of a model on one config in one label space: R rows."""

    image_id: NDArray[np.str_]  # (R,) of the figure
    label: Ints  # (R,) class of the figure
    right: Bools  # (R,)
    margin: Floats  # (R,) log-odds of the true class
    mapped: Ints  # (R,) class index of the answer, negative outside the map
    ground_id: NDArray[np.str_]  # (R,) photo of the ground; empty where it is the figure's own
    ground_label: Ints  # (R,) its class; negative where it is the figure's own

    def rows(self) -> RowAnswers:
        """Whether rows are right."""
        return RowAnswers(image_id=self.image_id, label=self.label, right=self.right)


def run_crossed(job: Job) -> dict[str, Any]:
    """Score every config in all label spaces that the outputs allow."""
    job, classes = job.limited(), job.repository.classes

    def run(config: str) -> Answers:
        table = job.rows(config, ["source_label", "ground_id", "ground_label"])
        names = row_names(table)
        truth = find_truth(names["label"], row_texts(table, "source_label"), classes)
        own = {
            "ground_id": row_texts(table, "ground_id"),
            "ground_label": np.array([-1 if label is None else label for label in table["ground_label"][:]], np.int64),
        }

        def judge(logits: Logits, rows: slice) -> Answers:
            judged = judge_answers(job.adapter, logits, truth.of(rows), classes)
            shown = next(iter(judged.values()))  # answer and confidence are those of every label space
            return {
                **{f"{space}.right": answers.right for space, answers in judged.items()},
                **{f"{space}.margin": log_odds(answers.probability) for space, answers in judged.items()},
                "mapped": shown.answer,
                "probability": shown.confidence,
            }

        return names | own | answer_rows(job.feeder, table, config, judge)

    stored = job.remembered(job.configs, run)
    summaries = {
        space: summarise_crossed(answers, classes, space, job.sampling)
        for space, answers in split_by_space(stored, CrossedAnswers)
    }
    return {"headline": "accuracy_macro", "undecidable_below": MIN_DECIDABLE, "label_spaces": summaries}


def log_odds(probability: Floats) -> Floats:
    """Log p - log(1 - p), natural, of probabilities in [0, 1] that are cut at ``_SUREST``, so within 27.7 of 0."""
    inside = np.clip(probability, _SUREST, 1 - _SUREST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedTable:
    """Rows of a crossed config as F figures, by image_id, on G grounds, by class and photo."""

    image_id: NDArray[np.str_]  # (F,)
    label: Ints  # (F,)
    ground_id: NDArray[np.str_]  # (G,)
    ground_label: Ints  # (G,)
    present: Bools  # (F, G)
    right: Bools  # (F, G)
    margin: Floats  # (F, G)
    mapped: Ints  # (F, G)

    @property
    def own_class(self) -> Bools:
        """Whether the ground is of the figure's class, ``(F, G)``."""
        return np.asarray(self.label[:, None] == self.ground_label[None])

    @property
    def class_weights(self) -> Floats:
        """Weights ``(F,)`` under which classes count alike."""
        return np.asarray(1 / np.bincount(self.label)[self.label])


def arrange_crossed(config: str, answers: CrossedAnswers) -> CrossedTable:
    """Figures by grounds; ``EvaluationError`` if a row has no ground, or a figure stands on a ground twice."""
    bare = np.unique(answers.image_id[(answers.ground_id == "") | (answers.ground_label < 0)])
    require(not len(bare), f"{config}: expected another photo's ground in every row; got none for {list_names(bare)}")
    figures, first, figure = np.unique(answers.image_id, return_index=True, return_inverse=True)
    keys = np.array([f"{label:04} {name}" for label, name in zip(answers.ground_label, answers.ground_id, strict=True)])
    _, ground_first, ground = np.unique(keys, return_index=True, return_inverse=True)
    counts = np.zeros((len(figures), len(ground_first)), np.int64)
    np.add.at(counts, (figure, ground), 1)
    twice = figures[(counts > 1).any(axis=1)]
    require(not len(twice), f"{config}: expected each figure once on a ground; got it twice for {list_names(twice)}")
    average_rows(config, answers.rows())  # one label an image

    def spread(values: NDArray[Any]) -> NDArray[Any]:
        table = np.zeros(counts.shape, values.dtype)
        table[figure, ground] = values
        return table

    return CrossedTable(
        image_id=figures,
        label=answers.label[first],
        ground_id=answers.ground_id[ground_first],
        ground_label=answers.ground_label[ground_first],
        present=counts > 0,
        right=spread(answers.right),
        margin=spread(answers.margin),
        mapped=spread(answers.mapped),
    )


def summarise_crossed(
    answers: Mapping[str, CrossedAnswers], classes: ClassMap, space: str, sampling: Sampling
) -> dict[str, Any]:
    """Accuracies, variance components and attacks of one model in one label space, JSON-ready."""
    plain = {config: average_rows(config, rows.rows()) for config, rows in answers.items() if not is_crossed(config)}
    control = CONTROL if CONTROL in plain else "original"
    summary = {
        **class_sizes(plain["original"].label, classes),
        **describe_chance(space, classes),
        "control": control,
        "configs": {config: measure_accuracy(shares, sampling) for config, shares in plain.items()},
        "differences": {},
        "crossed": {},
    }
    if control != "original":
        summary["differences"][f"{control} - original"] = _cost_of_pasting(plain[control], plain["original"], sampling)
    for config in sorted(filter(is_crossed, answers)):
        table = arrange_crossed(config, answers[config])
        groups = number_groups(table.image_id.tolist(), sampling.groups)
        ways = TwoWaySampling(sampling.count, sampling.seed, groups)
        summary["configs"][config] = _measure_crossed(table, ways)
        summary["differences"] |= _differences(config, table, control, plain[control], ways)
        summary["crossed"][config] = {
            "figures": len(table.image_id),
            "grounds": len(table.ground_id),
            "rows": int(table.present.sum()),
            "components": {
                "right": estimate_components(CrossedCells(table.right.astype(np.float64), table.present), ways),
                "margin": estimate_components(CrossedCells(table.margin, table.present), ways),
            },
            **measure_attacks(table, plain[control], classes, groups, sampling.seed),
        }
    return summary


def _cost_of_pasting(pasted: ImageShares, photo: ImageShares, sampling: Sampling) -> dict[str, Any]:
    """What pasting costs a figure on its own ground, over the images that both have."""
    if not np.isin(pasted.image_id, photo.image_id).any():
        return {"value": None, "reason": APART, "n": 0}
    pasted, photo = pair_images(pasted, photo)
    return {**estimate_difference(pasted, photo, "classes", sampling).json(), "n": len(photo.label)}


def _measure_crossed(table: CrossedTable, ways: TwoWaySampling) -> dict[str, Any]:
    """Accuracy over rows and over class means, with intervals over figures and grounds."""
    right = CrossedCells(table.right.astype(np.float64), table.present)
    alike = estimate_share(right, np.ones(len(table.label)), ways)
    means = estimate_share(right, table.class_weights, ways)
    return {
        "n": len(table.label),
        "n_rows": int(table.present.sum()),
        "undecidable": len(table.label) < MIN_DECIDABLE,
        "accuracy_micro": alike["value"],
        "ci95_micro": alike["ci95"],
        "accuracy_macro": means["value"],
        "ci95": means["ci95"],
    }


def _differences(
    config: str, table: CrossedTable, control: str, plain: ImageShares, ways: TwoWaySampling
) -> dict[str, dict[str, Any]]:
    """What the grounds cost against the control, and what grounds of other classes cost against those of the own."""
    right, weights = table.right.astype(np.float64), table.class_weights
    before = _values_of(table.image_id, plain)
    cells = CrossedCells(right, table.present & np.isfinite(before)[:, None])
    same = CrossedCells(np.broadcast_to(np.nan_to_num(before)[:, None], right.shape), cells.present)
    n = int(cells.present.any(axis=1).sum())
    compared = estimate_difference_of_means(cells, same, weights, ways) if n else {"value": None, "reason": APART}
    measured = {f"{config} - {control}": {**compared, "n": n}}
    own, other = (CrossedCells(right, table.present & which) for which in (table.own_class, ~table.own_class))
    if own.present.any() and other.present.any():
        name = f"{config}, own class - other classes"
        measured[name] = {**estimate_difference_of_means(own, other, weights, ways), "n": len(table.label)}
    return measured


def _values_of(image_ids: NDArray[np.str_], shares: ImageShares) -> Floats:
    """Value of each image, ``(F,)``; NaN where the config lacks it."""
    known = dict(zip(shares.image_id.tolist(), shares.value.tolist(), strict=True))
    return np.array([known.get(name, np.nan) for name in image_ids.tolist()])


def measure_attacks(
    table: CrossedTable, control: ImageShares, classes: ClassMap, groups: Ints | None, seed: int
) -> dict[str, Any]:
    """Rates of grounds of another class on figures that are right on the control, JSON-ready.

    ``fooled``: the answer is wrong (the rule ``exact`` of the challenge); ``captured``: it is the ground's class
    (``targeted``; arXiv 2006.09994).
    """
    known = _values_of(table.image_id, control) == 1
    tried = table.present & ~table.own_class & known[:, None]
    outcomes = {"fooled": ~table.right, "captured": table.mapped == table.ground_label[None]}
    shown = tried.any(axis=1)
    members = None if groups is None else groups[shown]
    attacks: dict[str, Any] = {}
    columns: dict[str, list[dict[str, Any]]] = {}
    for name, outcome in outcomes.items():
        trials = GroundTrials(outcome & tried, tried).where_tried()
        counts = trials.tried.sum(axis=1)
        sizes = [size for size in _CURVE if len(counts) and size < counts.min()]
        sizes += [int(counts.min())] if len(counts) else []
        columns[name] = each_ground(trials, members)
        attacks[name] = {
            "any_of": [any_of(trials, size, members) for size in sizes],
            "worst_of": worst_of(trials, sizes, members, seed=seed) if sizes else [],
            "pairs": each_pair(trials, table.label[shown], table.ground_label, members, classes.names),
        }
    grounds = [
        {
            "ground_id": str(ground_id),
            "class": classes.names[label],
            **{name: columns[name][number] for name in ATTACKS},
        }
        for number, (ground_id, label) in enumerate(zip(table.ground_id, table.ground_label.tolist(), strict=True))
    ]
    return {"tried_on": int(shown.sum()), "attacks": attacks, "each_ground": grounds}


def crossed_cells(summary: Mapping[str, Any]) -> dict[str, Cell]:
    """Accuracies, differences, shares of variance, and attacks."""
    cells = dict[str, Cell]()
    for config, measured in sorted(summary["configs"].items(), key=lambda pair: config_rank(pair[0])):
        cells[f"{config} (n {measured['n']})"] = Cell(
            measured["accuracy_macro"], measured["ci95"], few=measured["undecidable"]
        )
    cells["-differences"] = RULE
    for name, measured in summary["differences"].items():
        cells[f"{name} (n {measured['n']})"] = measured_cell(measured, signed=True, few=measured["n"] < MIN_DECIDABLE)
    for config, own in summary["crossed"].items():
        size = f"{own['figures']} x {own['grounds']}"
        for unit, words in (("right", "right or wrong"), ("margin", "log-odds")):
            cells[f"-{config} {unit}"] = RULE
            for part in COMPONENTS:
                cells[f"{config}, variance of {words}: {part} ({size})"] = measured_cell(
                    own["components"][unit][part]["share"]
                )
        cells[f"-{config} attacks"] = RULE
        for attack in ATTACKS:
            cells |= _attack_cells(f"{config}, {attack}", own["attacks"][attack], own["tried_on"])
    return cells


def _attack_cells(name: str, attack: Mapping[str, Any], n: int) -> dict[str, Cell]:
    """By one ground, by one of all, and by the worst of all as other figures choose it."""
    few, cells = n < MIN_DECIDABLE, dict[str, Cell]()
    if not attack["any_of"]:
        return cells
    first, last = attack["any_of"][0], attack["any_of"][-1]
    cells[f"{name} by a ground"] = Cell(first["value"], first["ci95"], few=few, note=f"n {n}")
    cells[f"{name} by one of {last['m']}"] = Cell(last["value"], last.get("ci95_figures"), few=few)
    worst = attack["worst_of"][-1]
    naive = "" if worst["naive"] is None else f"(naively {100 * worst['naive']:.1f})"
    cells[f"{name} by the worst of {worst['m']}"] = Cell(worst["value"], worst["ci95"], few=few, note=naive)
    return cells


def crossed_figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Headline figures of a summary."""
    yield from accuracy_figures(summary["configs"])
    yield from value_figures(summary["differences"])
    for config, own in summary["crossed"].items():
        shares = {part: own["components"]["right"][part]["share"] for part in COMPONENTS}
        yield from value_figures({f"{config}_variance_{part}": share for part, share in shares.items()})
        for attack in ATTACKS:
            yield from _attack_figures(f"{config}_{attack}", own["attacks"][attack])


def _attack_figures(name: str, attack: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Figure]:
    for kind, words in (("any_of", "one"), ("worst_of", "worst")):
        if attack[kind]:
            last = attack[kind][-1]
            ci95 = last.get("ci95_figures", last["ci95"])
            yield Figure(f"{name}_by_{words}_of_{last['m']}", last["value"], ci95)


CROSSED_PROTOCOL: Final = Protocol(
    name="crossed",
    claims=lambda configs: any(map(is_crossed, configs)),
    run=run_crossed,
    cells=crossed_cells,
    figures=crossed_figures,
)
