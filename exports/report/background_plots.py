"""Plots of the protocol background_check: accuracy against background influence and invariance, a point a model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.report.background import BackgroundPoint, BackgroundRelation
from figureground.exports.report.stored_answers import read_answers

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import PALETTE, TileRow, draw_sheet, encode_figure, error_reach
    from figureground.exports.report.answer_tiles import ANSWERS_NOTE, answer_tile
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WHITENED: Final = ("original", "bg_influence_white")
"""Configs that are shown side by side."""
_PAIRS: Final = 4  # of photos still right, and of those that are not
_COLUMNS: Final = 3
_SMALLEST_AREA: Final = 24.0  # of a marker, square points
_LARGEST_AREA: Final = 260.0
_UNKNOWN_AREA: Final = 60.0
_ROOM: Final = 0.04  # around the points, so that no marker is cut
_GREY: Final = "#777777"


def draw_relations(
    relations: Sequence[BackgroundRelation],
    families: Mapping[str, str] = MappingProxyType({}),
    picture_format: str = "png",
) -> bytes:
    """A panel for each config of one measure; points are sized by parameters, numbered by accuracy, and named below.

    ``families`` are models to families, each of which has a colour; without them all points have one.
    """
    columns = min(_COLUMNS, len(relations))
    rows = -(-len(relations) // columns)
    points = {point.model: point for relation in relations for point in relation.points}
    models = dict(sorted(points.items(), key=lambda item: (item[1].accuracy, item[0])))
    numbers = {model: number for number, model in enumerate(models, 1)}
    listed = max(1, columns - 1)
    height = 3.9 * rows + 0.6 + 0.2 * -(-len(models) // listed)
    figure = Figure(figsize=(max(5.4, 4.0 * columns + 0.4), height), dpi=120, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    most = max((point.parameters or 0 for point in models.values()), default=0)
    known = list(dict.fromkeys(families.values()))
    colours = {model: PALETTE[known.index(families[model]) % len(PALETTE)] for model in models if model in families}
    for axes, relation in zip(panels, relations, strict=False):
        _draw_panel(axes, relation, numbers, most, colours)
    for axes in panels[len(relations) :]:
        axes.set_visible(False)
    listed_as = {model: f"{families[model]}: " for model in models if families.get(model, model) != model}
    names = [f"{number}  {listed_as.get(model, '')}{_named(models[model])}" for model, number in numbers.items()]
    handles = [
        panels[0].plot([], [], linestyle="", marker="o" if model in colours else "", color=colours.get(model, _GREY))[0]
        for model in numbers
    ]
    figure.legend(
        handles,
        names,
        loc="outside lower left",
        ncols=listed,
        fontsize=8,
        frameon=False,
        handlelength=1 if colours else 0,
    )
    figure.suptitle(
        f"Accuracy against background {relations[0].measures}; bars: 95 %; size: parameters, hollow: unknown\n"
        f"dashed: as right as on original{'' if relations[0].chance is None else '; dotted: chance'}",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    return encode_figure(figure, picture_format)


def draw_whitened(
    result: Mapping[str, Any], load: Callable[[str, Collection[str]], Mapping[str, bytes]], classes: ClassMap
) -> bytes | None:
    """Photos beside the same with the figure white, each with answer and confidence; None without stored answers.

    First those that are still answered right without their figure, then those that are not; the smallest ids of either.
    ``load`` gives encoded images by id, of a config and some ids.
    """
    plain, whitened = (read_answers(result, config) for config in WHITENED)
    if plain is None or whitened is None:
        return None
    right = [name for name in sorted(set(plain) & set(whitened)) if plain[name].right]
    groups = {wanted: [name for name in right if whitened[name].right == wanted] for wanted in (True, False)}
    shown = {name for ids in groups.values() for name in ids[:_PAIRS]}
    sides = [(answers, load(config, shown)) for config, answers in zip(WHITENED, (plain, whitened), strict=True)]
    rows = []
    for title, wanted in (("still right", True), ("no longer", False)):
        ids = groups[wanted]
        tiles = [
            answer_tile(images[name], answers[name], classes) for name in ids[:_PAIRS] for answers, images in sides
        ]
        rows.append(TileRow(title=f"{title}\n{len(ids)} of {len(right)}", tiles=tuple(tiles)))
    title = f"{result['model']}: photo and {WHITENED[1]}, of photos answered right"
    return draw_sheet(rows, title=title, note=ANSWERS_NOTE)


def _draw_panel(
    axes: Axes, relation: BackgroundRelation, numbers: dict[str, int], most: int, colours: Mapping[str, str]
) -> None:
    usual = PALETTE[0] if relation.measures == "influence" else PALETTE[5]
    for point in relation.points:
        known, colour = point.parameters is not None, colours.get(point.model, usual)
        axes.errorbar(
            point.accuracy,
            point.measured,
            xerr=error_reach(point.accuracy, point.accuracy_ci95),
            yerr=error_reach(point.measured, point.measured_ci95),
            color=_GREY,
            linewidth=0.8,
            zorder=1,
        )
        axes.scatter(
            point.accuracy,
            point.measured,
            s=_area(point, most),
            facecolor=colour if known else "white",
            edgecolor=colour,
            alpha=0.75 if known else 1.0,
            linewidth=1.2,
            zorder=2,
        )
        axes.annotate(
            str(numbers[point.model]),
            (point.accuracy, point.measured),
            textcoords="offset points",
            xytext=(0.35 * _area(point, most) ** 0.5 + 1, 0.35 * _area(point, most) ** 0.5 + 1),
            fontsize=8,
            zorder=3,
        )
    axes.axline((0, 0), slope=1, color=_GREY, linewidth=0.9, linestyle="--", zorder=0)
    if relation.chance is not None:
        axes.axhline(relation.chance, color=_GREY, linewidth=0.9, linestyle=":", zorder=0)
    rho = "none" if relation.spearman is None else f"{relation.spearman:+.2f}"
    mark = ", undecidable" if relation.undecidable else ""
    axes.set_title(f"{relation.config}\nrank correlation {rho} (models: {len(relation.points)}{mark})", fontsize=9)
    axes.set_xlabel("accuracy on original", fontsize=9)
    axes.set_ylabel(f"background {relation.measures}", fontsize=9)
    axes.set_xlim(*_limits([(point.accuracy, point.accuracy_ci95) for point in relation.points]))
    axes.set_ylim(-_ROOM, 1 + _ROOM)
    axes.tick_params(labelsize=8)


def _limits(values: Sequence[tuple[float, tuple[float, float] | None]]) -> tuple[float, float]:
    """The span of values and intervals, at least a fifth wide, with room."""
    ends = [end for value, ci95 in values for end in (value, *(ci95 or ()))]
    low, high = min(ends), max(ends)
    lacking = max(0.0, 0.2 - (high - low)) / 2
    return max(0.0, low - lacking) - _ROOM, min(1.0, high + lacking) + _ROOM


def _area(point: BackgroundPoint, most: int) -> float:
    if point.parameters is None:
        return _UNKNOWN_AREA
    return float(_SMALLEST_AREA + (_LARGEST_AREA - _SMALLEST_AREA) * np.sqrt(point.parameters / max(1, most)))


def _named(point: BackgroundPoint) -> str:
    size = "" if point.parameters is None else f" ({point.parameters / 1e6:.1f} M)"
    return f"{point.model}{size}"
