"""Spuriosity rankings: the images of each class in the order of how much of its spurious features they show.

After Hard ImageNet (Moayeri, Singla and Feizi, NeurIPS 2022), whose ranking people made from features of a robust
network. Here a feature is called spurious by where it lies instead, with the masks that a dataset of ours has; the
definition is ours, and every result carries it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from figureground.errors import UsageError
from figureground.exports.analyses.networks import AnalysedModel
from figureground.exports.analyses.nulls.displaced import DISPLACEMENTS, NullMeasure, displaced_masks, summarise_nulls
from figureground.exports.analyses.nulls.drawing import draw_nulls
from figureground.exports.analyses.overlays import overlay_saliency
from figureground.exports.analyses.plots import Tile, TileRow, draw_sheet
from figureground.exports.analyses.results import describe_model, write_json, write_result
from figureground.exports.analyses.rows import AnalysedRows
from figureground.exports.analyses.saliency_metrics import saliency_precision
from figureground.exports.analyses.saliency_report import AnalysisInput
from figureground.exports.analyses.units import LocatedUnits, UnitActivations, UnitReader, grid_map, rank_top
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.protocols.sensitivity import skill_beyond
from figureground.exports.evaluation.values import Floats, Ints
from figureground.runtime.files import csv_text
from figureground.runtime.progress import Progress

SPURIOUS_BELOW: Final = 0.5  # of the reachable precision
DEFINITION: Final = (
    "ours: the candidates of a class are its top_n penultimate units by importance, the mean over the class's images "
    "of activation x head weight of the true class (Salient ImageNet's rule; under a class map, of the true class's "
    "largest output); a candidate is spurious if its activation map, over the k images of the class with its largest "
    "activation, has a mean saliency precision (the share of the map that is inside the object mask) below half of the "
    "reachable precision: that of the masks themselves, averaged over the cells of the map's grid and resized as the "
    "maps are; the spuriosity of an image is the mean over spurious units of the activation, standardised over the "
    "class's images; rank 1 is the most spurious"
)
_RESAMPLES: Final = 10_000
_MOST_CLASSES: Final = 12  # on the figure, two rows each


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateUnit:
    """One of a class's most important units."""

    unit: int
    importance: float
    """Mean of activation x head weight, in logits."""
    precision: float | None
    """Mean share of its map inside the object mask, in [0, 1]; None if no top image could be measured."""
    reachable: float | None
    """Mean precision of the masks of the same images on the map's grid, in (0, 1]."""
    n_measured: int
    """Top images with a mask and a map that is not zero everywhere."""
    null: float | None = None
    """Mean precision of its map under the masks of the same images displaced on the canvas."""

    @property
    def relative(self) -> float | None:
        """Precision as a share of the reachable one, which a map that is small beside the object may exceed."""
        return None if self.precision is None or self.reachable is None else self.precision / self.reachable

    @property
    def skill(self) -> float | None:
        """What its precision is of what lies between displaced masks and a perfect map: 0 by chance, 1 perfect."""
        if self.precision is None or self.reachable is None or self.null is None:
            return None
        skill = float(skill_beyond(self.precision, self.null, self.reachable))
        return skill if np.isfinite(skill) else None

    @property
    def spurious(self) -> bool:
        """Whether the map lies mostly where a map of the object would not."""
        return self.relative is not None and self.relative < SPURIOUS_BELOW


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedRow:
    """One image's rank in its class: a line of ``spuriosity.csv``."""

    image_id: str
    label: str
    """Name of the class."""
    spuriosity: float
    """Mean standardised activation of the class's spurious units."""
    rank: int
    """From 1, the most spurious."""


def unit_importance(activation: Floats, weights: Floats) -> Floats:
    """Mean over images of activation x weight of the target, both ``(N, D)``: ``(D,)`` in logits."""
    return np.asarray((activation * weights).mean(axis=0), dtype=np.float64)


def standardise(activation: Floats) -> Floats:
    """Columns of ``(N, U)`` less their mean, over their standard deviation (of the population); constant ones are 0."""
    centred = activation - activation.mean(axis=0)
    spread = activation.std(axis=0)
    scores: Floats = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return scores


def find_candidates(
    reader: UnitReader,
    rows: AnalysedRows,
    activations: UnitActivations,
    *,
    top_n: int,
    k: int,
    progress: Progress | None = None,
    measures: list[NullMeasure] | None = None,
) -> dict[int, list[CandidateUnit]]:
    """The most important units of every class by label, and how much of their maps is on the object.

    ``measures`` gets the precision of every image, averaged over the units that it is a top image of.

    Images whose class has no output are left out; classes with no others are absent.
    """
    important: dict[int, tuple[Ints, Floats]] = {}
    asked: dict[int, set[int]] = {}
    tops: dict[tuple[int, int], set[int]] = {}
    for label in np.unique(rows.labels[activations.target >= 0]):
        own = _rows_of(rows, activations, int(label))
        weights = reader.head_weight[activations.target[own]]
        importance = unit_importance(activations.activation[own], weights)
        units = np.argsort(-importance, kind="stable")[:top_n]
        units = units[importance[units] > 0]
        important[int(label)] = units, importance
        for column, unit in enumerate(units):
            chosen = {int(row) for row in own[rank_top(activations.activation[own][:, units], k)[:, column]]}
            tops[int(label), int(unit)] = chosen
            for row in chosen:
                asked.setdefault(row, set()).add(int(unit))
    shares: dict[tuple[int, int], list[tuple[float, ...]]] = {pair: [] for pair in tops}
    by_image: dict[str, tuple[int, float, list[tuple[float, ...]]]] = {}
    wanted = {row: sorted(units) for row, units in asked.items()}
    for located in reader.locate(rows, wanted, progress=progress):
        mask = located.row.object_mask_hw
        ideal = None if mask is None or not mask.any() else grid_map(mask, reader.layer.grid_hw)
        moved = () if mask is None else tuple(displaced_masks(mask, located.row.image_id, DISPLACEMENTS))
        for unit, map_hw in zip(located.units, located.maps_hw, strict=True):
            top = located.index in tops.get((located.row.label, unit), ())
            if mask is not None and ideal is not None and top and map_hw.max() > 0:
                places = (saliency_precision(map_hw, other) for other in moved)
                precisions = (saliency_precision(map_hw, mask), saliency_precision(ideal, mask), *places)
                shares[located.row.label, unit].append(precisions)
                measured = by_image.setdefault(located.row.image_id, (located.row.label, float(mask.mean()), []))
                measured[2].append(precisions)
    if measures is not None:
        measures += [_image_measure(name, *measured) for name, measured in sorted(by_image.items())]
    return {
        label: [_candidate(int(unit), float(importance[unit]), shares[label, int(unit)]) for unit in units]
        for label, (units, importance) in important.items()
    }


def _candidate(unit: int, importance: float, precisions: Sequence[tuple[float, ...]]) -> CandidateUnit:
    """A unit with the means of its maps' precisions, and of those of perfect maps of the same images."""
    if not precisions:
        return CandidateUnit(unit=unit, importance=importance, precision=None, reachable=None, n_measured=0)
    own, ideal, *places = np.mean(precisions, axis=0).tolist()
    return CandidateUnit(
        unit=unit,
        importance=importance,
        precision=own,
        reachable=ideal,
        n_measured=len(precisions),
        null=float(np.mean(places)),
    )


def _image_measure(image_id: str, label: int, area: float, precisions: Sequence[tuple[float, ...]]) -> NullMeasure:
    """An image's mean precision: of its maps in place, of its perfect map, and of its maps at other places."""
    own, ideal, *places = np.mean(precisions, axis=0)
    moved = np.array(places)[:, None, None]
    return NullMeasure.of(image_id, label, area, own=np.array([[own]]), places=moved, best=np.array([[ideal]]))


def rank_class(
    rows: AnalysedRows, activations: UnitActivations, label: int, candidates: Sequence[CandidateUnit], name: str
) -> list[RankedRow]:
    """Images of one class from most to least spurious, equals by image_id; empty if no unit is spurious."""
    units = [candidate.unit for candidate in candidates if candidate.spurious]
    if not units:
        return []
    own = _rows_of(rows, activations, label)
    values = standardise(activations.activation[own][:, units]).mean(axis=1)
    ids = rows.image_ids[own]
    return [
        RankedRow(image_id=str(ids[index]), label=name, spuriosity=float(values[index]), rank=rank)
        for rank, index in enumerate(np.lexsort((ids, -values)), start=1)
    ]


def _rows_of(rows: AnalysedRows, activations: UnitActivations, label: int) -> Ints:
    return np.flatnonzero((rows.labels == label) & (activations.target >= 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpuriositySettings:
    """How a ranking is made and shown."""

    top_n: int = 5
    """Most important units of each class that are looked at."""
    k: int = 10
    """Images of the class with the largest activation, on which a unit's map is measured."""
    shown: int = 5
    """Images of each end of a class's ranking in the picture."""
    layer: str | None = None
    """Module whose channels are the units; None to find it."""
    batch_size: int = 32
    """Images a pass."""


def rank_spuriosity(
    given: AnalysisInput,
    model: AnalysedModel,
    settings: SpuriositySettings,
    out: Path,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rank the images of every class; ``spuriosity.json``, ``spuriosity.csv`` and ``spuriosity.png`` into ``out``.

    Returns what ``spuriosity.json`` holds; classes without spurious features are listed as such.

    Raises:
        UsageError: if the network's units have no maps, or no class has an output.
    """
    rows, classes = given.rows(), given.repository.classes
    reader = UnitReader(model, classes, layer=settings.layer, batch_size=settings.batch_size)
    activations = reader.read(rows, progress=progress)
    measures = list[NullMeasure]()
    candidates = find_candidates(
        reader, rows, activations, top_n=settings.top_n, k=settings.k, progress=progress, measures=measures
    )
    if not candidates:
        raise UsageError(f"{model.name}: no class of {classes.name} has an output of this model")
    ranked = {
        label: rank_class(rows, activations, label, units, classes.names[label]) for label, units in candidates.items()
    }
    nulls = summarise_nulls(measures, ["precision"], bootstrap=_RESAMPLES, seed=0)
    data = f"{given.repository.name}, {given.config}, {given.split}: maps of important units"
    pictures = draw_nulls({model.name: nulls}, {"precision": "precision of maps"}, data) if measures else {}
    result: dict[str, Any] = {
        **given.describe("spuriosity", [model]),
        **describe_model(model),
        **reader.describe(activations),
        "definition": DEFINITION,
        "top_n": settings.top_n,
        "k": settings.k,
        "n": len(rows),
        "n_skipped": {"no_output": int((activations.target < 0).sum())},
        "classes": {classes.names[label]: _describe_class(units) for label, units in candidates.items()},
        "without_spurious_features": [classes.names[label] for label, entries in ranked.items() if not entries],
        "displacements": DISPLACEMENTS,
        "beyond_null": nulls,
        "files": ["spuriosity.csv", "spuriosity.png", *pictures],
    }
    for name, content in pictures.items():
        write_result(out, name, content)
    write_result(
        out, "spuriosity.csv", csv_text(RankedRow, [entry for entries in ranked.values() for entry in entries])
    )
    write_result(out, "spuriosity.png", draw_spuriosity(reader, rows, candidates, ranked, classes, settings.shown))
    return write_json(out, "spuriosity.json", result)


def _describe_class(candidates: Sequence[CandidateUnit]) -> dict[str, Any]:
    units = [
        {
            "unit": candidate.unit,
            "importance": candidate.importance,
            "precision": candidate.precision,
            "reachable_precision": candidate.reachable,
            "relative_precision": candidate.relative,
            "null_precision": candidate.null,
            "skill": candidate.skill,
            "n_measured": candidate.n_measured,
            "spurious": candidate.spurious,
        }
        for candidate in candidates
    ]
    return {"candidates": units, "spurious_units": [candidate.unit for candidate in candidates if candidate.spurious]}


def draw_spuriosity(
    reader: UnitReader,
    rows: AnalysedRows,
    candidates: dict[int, list[CandidateUnit]],
    ranked: dict[int, list[RankedRow]],
    classes: ClassMap,
    shown: int,
) -> bytes:
    """The most and the least spurious images of each class, with the map of its most important spurious unit, PNG.

    Of the first 12 classes that have one.
    """
    index_of = {str(image_id): index for index, image_id in enumerate(rows.image_ids)}
    sheet = []
    for label in [label for label, entries in ranked.items() if entries][:_MOST_CLASSES]:
        unit = next(candidate.unit for candidate in candidates[label] if candidate.spurious)
        ends = {"most": ranked[label][:shown], "least": ranked[label][::-1][:shown]}
        wanted = {index_of[entry.image_id]: [unit] for chosen in ends.values() for entry in chosen}
        located = {located_row.row.image_id: located_row for located_row in reader.locate(rows, wanted)}
        largest = max(float(located_row.maps_hw.max()) for located_row in located.values())
        for end, chosen in ends.items():
            tiles = [_draw_ranked(located[entry.image_id], entry, largest) for entry in chosen]
            sheet.append(TileRow(title=f"{classes.names[label]}\n{end} spurious\nunit {unit}", tiles=tuple(tiles)))
    note = (
        "heat: map of the class's most important spurious unit · light blue: outline of the figure · rank: spuriosity"
    )
    empty = [TileRow(title="no class has\na spurious feature", tiles=())]
    return draw_sheet(sheet or empty, title=f"{reader.model.name}: spuriosity", note=note if sheet else "")


def _draw_ranked(located: LocatedUnits, entry: RankedRow, largest: float) -> Tile:
    row = located.row
    image = overlay_saliency(row.canvas_rgb, located.maps_hw[0], row.object_mask_hw, largest=largest)
    return Tile(image=image, caption=f"{entry.rank}: {entry.spuriosity:+.2f}")
