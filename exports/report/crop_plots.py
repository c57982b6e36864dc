"""Plots of the protocol imagenet_a: crops beside their controls, accuracy by margin, gains by size of the box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError
from figureground.exports.evaluation.values import Floats
from figureground.exports.report.crops import MARGINS, SHOWN, CropSlice, box_slices, crop_accuracies
from figureground.exports.report.groups import ResultGroup

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import Bar, draw_bars, encode_figure, series_style, shorten
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY: Final = "#777777"
_MARGIN_SPREAD: Final = 0.03
"""How far apart the first and the last model stand at one margin, so that whiskers do not hide each other."""
_GROUP_SPREAD: Final = 0.5
"""The same at one group of boxes, where groups are 1 apart."""


def draw_arms(group: ResultGroup, picture_format: str = "png") -> bytes:
    """Accuracy of every model on the photo, the crop, and what a crop is compared with: bars with 95 % intervals."""
    bars = {
        member.model: {bar.config: Bar(value=bar.accuracy, ci95=bar.ci95) for bar in crop_accuracies(member, SHOWN)}
        for member in group.members
    }
    title = f"{group.dataset}: top-1 accuracy over images, label space {group.space}"
    first = group.members[0].summary
    note = f"{first['n']} images; whiskers: 95 % intervals; chance {first['chance']:.3g}"
    return draw_bars({"": bars}, title=title, note=note, picture_format=picture_format)


def draw_margins(group: ResultGroup, picture_format: str = "png") -> bytes:
    """Accuracy against the margin around the box, a line a model; dotted is the whole photo."""
    figure = Figure(figsize=(7.6, 4.6 + 0.1 * len(group.members)), dpi=120, layout="constrained")
    axes = figure.subplots()
    for index, member in enumerate(group.members):
        accuracies = crop_accuracies(member, list(MARGINS))
        style, aside = _style(index), _MARGIN_SPREAD * _aside(index, len(group.members))
        margins = np.array([MARGINS[accuracy.config] for accuracy in accuracies]) + aside
        _draw_line(axes, margins, [(accuracy.accuracy, accuracy.ci95) for accuracy in accuracies], member.model, style)
        for whole in crop_accuracies(member, ["original"]):
            axes.axhline(whole.accuracy, color=style["color"], linestyle=":", linewidth=1)
    axes.set(xlabel="margin, share of the box's longer side", ylabel="top-1 accuracy over images")
    axes.set_xticks(list(MARGINS.values()))
    axes.set_title(
        f"{group.dataset}: crops by margin, label space {group.space} (n {group.members[0].summary['n']})\n"
        "bars: 95 % intervals; dotted: the whole photo",
        fontsize=10,
    )
    return _finish(figure, axes, picture_format, columns=2)


def draw_box_slices(group: ResultGroup, picture_format: str = "png") -> bytes:
    """Gains by share of the photo that the object's box covers, a panel a difference; hollow groups are too small."""
    names = list(dict.fromkeys(name for member in group.members for name in member.summary["slices"]))
    figure = Figure(figsize=(6.2 * len(names), 4.8), dpi=120, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    for axes, name in zip(panels, names, strict=True):
        sizes: dict[str, int] = {}
        for index, member in enumerate(group.members):
            slices = box_slices(member).get(name, [])
            sizes |= {piece.group: piece.n for piece in slices}
            style = _style(index)
            positions = np.arange(len(slices), dtype=np.float64) + _GROUP_SPREAD * _aside(index, len(group.members))
            _draw_line(axes, positions, [(piece.value, piece.ci95) for piece in slices], member.model, style)
            _hollow(axes, positions, slices, style)
        labels = [f"{name.replace(' to ', '–')}\nn {size}" for name, size in sizes.items()]  # noqa: RUF001  a range
        axes.set_xticks(range(len(sizes)), labels, rotation=60, fontsize=7.5)
        axes.axhline(0, color=_GREY, linewidth=0.9)
        axes.set_title(name.replace("_minus_", " - "), fontsize=10)
        axes.set_xlabel("share of the photo that the box covers", fontsize=9)
    panels[0].set_ylabel("difference in top-1 accuracy")
    figure.suptitle(
        f"{group.dataset}, label space {group.space}; bars: 95 % intervals; hollow: undecidable, under 25 images",
        fontsize=10,
    )
    return _finish(figure, panels[0], picture_format, columns=3)


def _style(index: int) -> dict[str, Any]:
    """A model's colour and marker."""
    return {**series_style(index)}


def _aside(index: int, members: int) -> float:
    """Where a model stands among its fellows, from -0.5 to 0.5; a few stand close together."""
    return ((index + 0.5) / members - 0.5) * min(1.0, members / 6)


def _draw_line(
    axes: Axes,
    positions: Floats,
    values: list[tuple[float, tuple[float, float] | None]],
    label: str,
    style: dict[str, Any],
) -> None:
    heights = np.array([value for value, _ in values])
    reach = [[0.0, 0.0] if ci95 is None else [value - ci95[0], ci95[1] - value] for value, ci95 in values]
    below, above = np.clip(np.array(reach).reshape(-1, 2).T, 0, None)
    axes.errorbar(
        positions,
        heights,
        yerr=[below, above],
        markersize=5,
        linewidth=1.3,
        elinewidth=0.9,
        label=shorten(label),
        **style,
    )


def _hollow(axes: Axes, positions: Floats, slices: list[CropSlice], style: dict[str, Any]) -> None:
    few = [index for index, piece in enumerate(slices) if piece.undecidable]
    heights = [slices[index].value for index in few]
    face: dict[str, Any] = {"markerfacecolor": "white", "markersize": 5, "linestyle": "", "zorder": 3}
    axes.plot(positions[few], heights, **style, **face)


def _finish(figure: Figure, axes: Axes, picture_format: str, *, columns: int) -> bytes:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=8, frameon=False)
    return encode_figure(figure, picture_format)
