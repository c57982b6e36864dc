"""Cue conflict: which class is answered where the figure is of one and the ground of another.

The bias is that of Geirhos et al. (ICLR 2019, arXiv 1811.12231, "shape bias") with figure and ground in place of shape
and texture: figure's answers / (figure's + ground's). Worst-group accuracy is that of Sagawa et al. (ICLR 2020, arXiv
1911.08731), over class of the figure x class of the ground.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.intervals import ALPHA, MIN_DECIDABLE
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.protocols.ratios import Ratio, difference_of, share_ratio, weighted_share
from figureground.exports.evaluation.tables import RULE, Cell, Figure, measured_cell
from figureground.exports.evaluation.values import Answers, Bools, Floats, Ints, Table

LEAST_OF_GROUP: Final = 10  # images below which a group does not stand alone: Wilson's interval is over 50 points wide
OTHER_GROUNDS: Final = "other grounds"  # what a class's smaller groups are pooled as
_ALIKE_DRAWS: Final = 10_000  # of groups that are all as accurate
GROUND_COLUMNS: Final = ("ground_label", "ground_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRows:
    """Answers to rows whose ground is another photo's, in one label space: ``(R,)`` each.

    Keys are class indices, or outputs of ImageNet-1k where only a photo's own output is right.
    """

    image_id: NDArray[np.str_]
    cluster: NDArray[np.str_]  # the image, or the group of images that show one scene with it
    label: Ints  # class of the figure
    ground_label: Ints  # class of the ground
    figure_key: Ints
    ground_key: Ints
    answer_key: Ints
    outside: Bools  # whether the answer is outside the class map

    def chosen(self, own: Bools) -> ConflictRows:
        """The rows of ``own``, ``(R,)``."""
        return ConflictRows(**{name: getattr(self, name)[own] for name in ConflictRows.__slots__})

    @property
    def conflicting(self) -> ConflictRows:
        """Those whose ground is of another class than the figure."""
        return self.chosen((self.label != self.ground_label) & (self.figure_key != self.ground_key))

    @property
    def figure(self) -> Floats:
        """1 where the answer is the figure's."""
        return np.asarray(self.answer_key == self.figure_key, np.float64)

    @property
    def ground(self) -> Floats:
        """1 where the answer is the ground's."""
        return np.asarray(self.answer_key == self.ground_key, np.float64)


def read_grounds(table: Table, classes: ClassMap, groups: Mapping[str, str] | None = None) -> dict[str, NDArray[Any]]:
    """Whose ground each row shows, to be stored beside answers: ``(R,)`` each, -1 where it is not known.

    ``ground_label`` is the class of the ground's photo; ``own_output`` and ``ground_output`` are the ImageNet outputs
    of the figure's and the ground's photo; ``cluster`` is the photo's group, or where it is in none its id.
    """
    rows = len(table)
    columns = {name: table[name][:] if name in table.column_names else [None] * rows for name in GROUND_COLUMNS}
    sources = table["source_label"][:] if "source_label" in table.column_names else [None] * rows
    source_of = dict(zip(table["image_id"][:], sources, strict=True))
    outputs = classes.output_of_source
    labels = np.array([-1 if label is None else label for label in columns["ground_label"]], dtype=np.int64)
    grounds = [outputs.get(str(source_of.get(name)), -1) if name else -1 for name in columns["ground_id"]]
    return {
        "ground_label": np.where((labels >= 0) & (labels < len(classes.names)), labels, -1),
        "own_output": np.array([outputs.get(str(source), -1) for source in sources], dtype=np.int64),
        "ground_output": np.array(grounds, dtype=np.int64),
        "cluster": np.array([_cluster(name, groups) for name in table["image_id"][:]]),
    }


def _cluster(image_id: str, groups: Mapping[str, str] | None) -> str:
    """What a photo's rows are a part of: its group's rows, or its own."""
    return f"group {groups[image_id]}" if groups and image_id in groups else f"image {image_id}"


def conflict_rows(arrays: Answers, exact: bool = False) -> ConflictRows | None:
    """Rows with a ground of another photo, from stored answers; None where there are none.

    Args:
        arrays: ``image_id``, ``label``, ``mapped``, and what ``read_grounds`` gives; for ``exact`` also ``predicted``.
        exact: Whether only the photo's own ImageNet output counts; None then if one is not known.
    """
    own = arrays["ground_label"] >= 0
    known = own.any() and (not exact or min(arrays[name][own].min() for name in ("own_output", "ground_output")) >= 0)
    if not known:
        return None
    names = ("own_output", "ground_output", "predicted") if exact else ("label", "ground_label", "mapped")
    keys = dict(zip(("figure_key", "ground_key", "answer_key"), (arrays[name][own] for name in names), strict=True))
    common = {name: arrays[name][own] for name in ("image_id", "cluster", "label", "ground_label")}
    return ConflictRows(**common, **keys, outside=arrays["mapped"][own] < 0)


def conflict_spaces(
    answers: Mapping[str, Answers], space: str, names: Sequence[str], least: int = LEAST_OF_GROUP
) -> dict[str, dict[str, Any]]:
    """What cue conflict says in the label space ``space``, and in ``exact1000`` where all photos' outputs are known.

    Args:
        answers: Stored answers by config, as ``conflict_rows`` takes them.
        space: Name of the label space of classes.
        names: Of the classes.
        least: As ``summarise_conflict`` takes it.
    """
    summaries = dict[str, dict[str, Any]]()
    exact1000 = all("predicted" in arrays for arrays in answers.values()) and space.startswith("map")
    for name, exact in ((space, False), *((("exact1000", True),) if exact1000 else ())):
        read = {config: conflict_rows(arrays, exact) for config, arrays in answers.items()}
        rows = {config: own for config, own in read.items() if own is not None}
        if len(rows) == sum((arrays["ground_label"] >= 0).any() for arrays in answers.values()):
            summaries[name] = summarise_conflict(rows, names, least)
    return {name: summary for name, summary in summaries.items() if summary}


def summarise_conflict(
    rows: Mapping[str, ConflictRows], names: Sequence[str], least: int = LEAST_OF_GROUP
) -> dict[str, Any]:
    """All that cue conflict says of one model in one label space, JSON-ready; empty where no ground conflicts.

    Args:
        rows: By config, those that have a ground of another photo.
        names: Of the classes.
        least: Images below which a group of figure and ground is pooled, or else marked.
    """
    rows = {config: own for config, own in rows.items() if len(own.conflicting.label)}
    if not rows:
        return {}
    measured = {config: _measure_conflict(own.conflicting, rows) for config, own in rows.items()}
    pairs = list(itertools.combinations(rows, 2))
    return {
        "classes": list(names),
        "least": least,
        "configs": {
            config: {
                **_describe_conflict(own, measured[config]),
                "table": list(tabulate(own, names)),
                "worst_group": worst_group(own, names, least),
            }
            for config, own in rows.items()
        },
        "differences": {
            f"{one}_minus_{two}": {
                "minuend": one,
                "subtrahend": two,
                **{
                    name: difference_of(measured[one][name], measured[two][name]).json()
                    for name in ("bias", "attraction")
                    if name in measured[one] and name in measured[two]
                },
                "n": len(np.union1d(rows[one].conflicting.image_id, rows[two].conflicting.image_id)),
            }
            for one, two in pairs
        },
    }


def _measure_conflict(own: ConflictRows, rows: Mapping[str, ConflictRows]) -> dict[str, Ratio]:
    """Bias, share of the ground's class and attraction of one config; those that nothing can be said of are absent."""
    decided = own.figure + own.ground
    measured = {"ground_share": share_ratio(own.ground, np.ones(len(decided)), own.cluster)}
    if decided.sum():
        measured["bias"] = share_ratio(own.figure, decided, own.cluster)
    if attraction := _attraction(own, rows):
        measured |= attraction
    return measured


def _attraction(own: ConflictRows, rows: Mapping[str, ConflictRows]) -> dict[str, Ratio]:
    """Share of answers that are the ground's, less what figures of the same class are answered so on other grounds.

    Chance is told by the config's own rows; where one of its grounds has no other beside it, by those of all configs.
    Rows whose chance none can tell are left out. Grounds are drawn without regard to answers, so that given who is on
    which ground, rows add to the chance independently.
    """
    everything = [other.conflicting for other in rows.values()]
    pool, share = own, _chance_parts(own, own)
    if share is None or not share[0].all():
        pool = ConflictRows(
            **{name: np.concatenate([getattr(part, name) for part in everything]) for name in ConflictRows.__slots__}
        )
        share = _chance_parts(own, pool)
    if share is None:
        return {}
    known, parts = share
    judged = own.chosen(known)
    drawn = share_ratio(judged.ground, np.ones(len(judged.label)), judged.cluster)
    chance = weighted_share(parts, float(len(judged.label)), pool.cluster)
    return {"chance": chance, "attraction": difference_of(drawn, chance)}


def _chance_parts(own: ConflictRows, pool: ConflictRows) -> tuple[Bools, Floats] | None:
    """Rows of ``own`` that a chance is known for, ``(R,)``, and what each row of the pool adds to it, ``(P,)``.

    A row of figure class f on another ground than a that is answered a adds n(f, a) / m(f, a): rows of ``own`` with
    that figure and ground, by rows of the pool with that figure and another ground.
    """
    wanted, counts = np.unique(np.stack([own.label, own.ground_key], axis=1), axis=0, return_counts=True)
    weights: dict[tuple[int, int], float] = {}
    for (label, key), count in zip(wanted.tolist(), counts.tolist(), strict=True):
        others = int(((pool.label == label) & (pool.ground_key != key) & (pool.figure_key != key)).sum())
        if others:
            weights[label, key] = count / others
    known = np.array([pair in weights for pair in zip(own.label.tolist(), own.ground_key.tolist(), strict=True)])
    if not known.any():
        return None
    aside = (pool.answer_key != pool.ground_key) & (pool.answer_key != pool.figure_key)
    answered = zip(pool.label.tolist(), pool.answer_key.tolist(), strict=True)
    return known, aside * np.array([weights.get(pair, 0.0) for pair in answered])


def _describe_conflict(own: ConflictRows, measured: Mapping[str, Ratio]) -> dict[str, Any]:
    conflicting = own.conflicting
    images, n = len(np.unique(conflicting.image_id)), len(conflicting.label)
    figure, ground, outside = (
        int(part.sum()) for part in (conflicting.figure, conflicting.ground, conflicting.outside)
    )
    reasons = {
        "bias": "no answer is the figure's or the ground's",
        "attraction": "no figure of a class is on grounds of several other classes, so that chance cannot be told",
    }
    nothing = {name: {"value": None, "reason": reason} for name, reason in reasons.items()}
    shown = {name: ratio.json() for name, ratio in measured.items()}
    for name in ("bias", "ground_share", "chance"):
        shown.get(name, {}).pop("p", None)  # of shares that need not be 0
    decided = conflicting.image_id[(conflicting.figure + conflicting.ground) > 0]
    return {
        "n": images,
        "n_rows": n,
        "figure": figure,
        "ground": ground,
        "other": n - figure - ground - outside,
        "outside": outside,
        "n_decided": len(np.unique(decided)),
        "undecidable": images < MIN_DECIDABLE,
        **{**nothing, **shown},
    }


def tabulate(rows: ConflictRows, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every pair of a figure's and a ground's class that has rows, its own class among them, with what was answered."""
    pairs = np.stack([rows.label, rows.ground_label], axis=1)
    for label, ground_label in np.unique(pairs, axis=0).tolist():
        own = rows.chosen((rows.label == label) & (rows.ground_label == ground_label))
        yield {
            "figure": names[label],
            "ground": names[ground_label],
            "n": len(np.unique(own.image_id)),
            "n_rows": len(own.label),
            "figure_answers": int(own.figure.sum()),
            "ground_answers": int(own.ground.sum()),
            "outside": int(own.outside.sum()),
        }


def worst_group(rows: ConflictRows, names: Sequence[str], least: int) -> dict[str, Any]:
    """The lowest accuracy of a group: class of the figure x class of the ground.

    Groups of fewer than ``least`` images are pooled with the other small ones of their figure's class; what is small
    even then is marked, and cannot be the worst. The interval is of the lowest true accuracy: between the smallest
    lower and the smallest upper limit of intervals that hold for all groups together (Sidak, JASA 62, 1967), so that
    it allows for the worst having been picked: the projection of Andrews, Kitagawa and McCloskey (Quarterly Journal
    of Economics 139(1), 2024). ``if_alike`` is how low the lowest would be on average if all groups were as accurate.
    """
    small, pooled = dict[str, Bools](), dict[str, Bools]()
    for label in np.unique(rows.label).tolist():
        rest = np.zeros(len(rows.label), dtype=np.bool_)
        for ground in np.unique(rows.ground_label[rows.label == label]).tolist():
            members = (rows.label == label) & (rows.ground_label == ground)
            if len(np.unique(rows.image_id[members])) >= least:
                pooled[f"{names[label]} on {names[ground]}"] = members
            else:
                rest |= members
        if rest.any():
            large = len(np.unique(rows.image_id[rest])) >= least
            (pooled if large else small)[f"{names[label]} on {OTHER_GROUNDS}"] = rest
    measured = {name: _group_accuracy(rows, members) for name, members in pooled.items()}
    listed = [_group_json(rows, name, members, measured.get(name)) for name, members in {**pooled, **small}.items()]
    if not measured:
        reason = f"no group has {least} images"
        return {"value": None, "reason": reason, "groups": listed}
    limits = [ratio.exact_limits(1 - (1 - ALPHA) ** (1 / len(measured))) for ratio in measured.values()]
    worst = min(measured, key=lambda name: measured[name].value)
    sizes = np.array([len(np.unique(rows.image_id[pooled[name]])) for name in measured])
    return {
        "group": worst,
        "value": measured[worst].value,
        "ci95": [min(low for low, _ in limits), min(high for _, high in limits)],
        "n": int(sizes[list(measured).index(worst)]),
        "n_groups": len(measured),
        "if_alike": _lowest_if_alike(sizes, np.array([ratio.value for ratio in measured.values()])),
        "undecidable": bool(sizes[list(measured).index(worst)] < MIN_DECIDABLE),
        "groups": listed,
    }


def _group_accuracy(rows: ConflictRows, members: Bools) -> Ratio:
    own = rows.chosen(members)
    return share_ratio(own.figure, np.ones(len(own.label)), own.cluster)


def _group_json(rows: ConflictRows, name: str, members: Bools, ratio: Ratio | None) -> dict[str, Any]:
    """A group; one that is marked as too small has its counts alone."""
    n = len(np.unique(rows.image_id[members]))
    counts = {"group": name, "n": n, "too_small": ratio is None}
    if ratio is None:
        return counts
    shown = ratio.json()
    return {**counts, "value": shown["value"], "ci95": shown["ci95"]}


def _lowest_if_alike(sizes: Ints, values: Floats) -> float:
    """Mean of the lowest share of groups of ``sizes`` images that are all as accurate as they are together."""
    generator = np.random.Generator(np.random.PCG64(0))
    together = float(np.average(values, weights=sizes))
    return float((generator.binomial(sizes, together, (_ALIKE_DRAWS, len(sizes))) / sizes).min(axis=1).mean())


CONFLICT_LEGEND: Final = (
    "conflict bias: of the answers that are the figure's or the ground's class, the share of the figure's, with "
    "how many are the figure's:the ground's",
    "conflict attraction: how much more often the ground's class is answered than by chance",
)  # what the rows of ``conflict_cells`` are, and the counts beside the first of them


def conflict_cells(spaces: Mapping[str, Mapping[str, Any]]) -> dict[str, Cell]:
    """Bias, attraction and worst group of every config; ``spaces`` are label spaces."""
    cells = dict[str, Cell]()
    for space, summary in spaces.items():
        own = ", own ImageNet class" if space == "exact1000" else ""
        cells[f"-conflict{own}"] = RULE
        for config, measured in summary["configs"].items():
            few, counts = measured["undecidable"], f"{measured['figure']}:{measured['ground']}"
            bias, worst = measured["bias"], measured["worst_group"]
            name = f"{config}, conflict bias{own}"
            cells[name] = Cell(bias["value"], bias.get("ci95"), few=measured["n_decided"] < MIN_DECIDABLE, note=counts)
            share = measured["ground_share"]
            cells[f"{config}, conflict: ground's class answered{own}"] = Cell(share["value"], share["ci95"], few=few)
            attraction = measured_cell(measured["attraction"], signed=True, few=few)
            cells[f"{config}, conflict attraction{own}"] = attraction
            if worst["value"] is not None:
                note = f"{worst['group']}, n {worst['n']}"
                cells[f"{config}, conflict: worst group of figure x ground{own}"] = Cell(
                    worst["value"], worst.get("ci95"), few=worst["undecidable"], note=note
                )
    return cells


def conflict_figures(spaces: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """Bias and attraction of every config, of the first label space."""
    for summary in list(spaces.values())[:1]:
        for config, measured in summary["configs"].items():
            for name in ("bias", "attraction"):
                yield Figure(f"{config}_{name}", measured[name]["value"], measured[name].get("ci95"))
