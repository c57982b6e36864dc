"""Plot of the leak curve: a panel a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import PALETTE, encode_figure, shorten
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS: Final = 3
_GREY: Final = "#777777"
_LINES: Final = (
    ("accuracy", "photo with the hole", PALETTE[0], "o"),
    ("outline", "outline alone", PALETTE[1], "s"),
    ("corrected", "the first less the second", PALETTE[2], "D"),
)


def draw_leak(section: Mapping[str, Any], picture_format: str = "png") -> bytes:
    """A panel for each model: accuracies over the dilation, their intervals, and where the corrected one levels off.

    Args:
        section: As ``leak_section`` makes it.
        picture_format: png, svg or pdf.
    """
    curves = section["curves"]
    columns = min(_COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.3 * rows + 1.0), dpi=120, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in axes.ravel()[len(curves) :]:
        axis.axis("off")
    for index, (axis, (model, curve)) in enumerate(zip(axes.ravel(), curves.items(), strict=False)):
        _draw_curve(axis, model, curve)
        if index % columns == 0:
            axis.set_ylabel("class-mean accuracy, %", fontsize=8)
        if index + columns >= len(curves):
            axis.set_xlabel("dilation of the hole, canvas pixels (root scale)", fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(
        f"{section['dataset']} ({section['split']}), {section['n']} images: what is left of the figure where it is cut "
        "out\nbars: 95 % intervals; green area: 95 % for all dilations together",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    return encode_figure(figure, picture_format)


def _draw_curve(axis: Axes, model: str, curve: Mapping[str, Any]) -> None:
    points: Sequence[Mapping[str, Any]] = curve["points"]
    pixels = np.array([point["grow_px"] for point in points], np.float64)
    axis.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    for name, label, colour, marker in _LINES:
        values = np.array([100 * point[name]["value"] for point in points])
        ends = np.array([[100 * end for end in point[name]["ci95"]] for point in points]).T
        reach = np.maximum(0, [values - ends[0], ends[1] - values])
        axis.errorbar(
            pixels,
            values,
            yerr=reach,
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1.4,
            elinewidth=0.8,
            label=label,
            clip_on=False,  # the hole that has not grown stands on the axis
        )
    bands = np.array([[100 * end for end in point["corrected"]["band95"]] for point in points])
    axis.fill_between(pixels, bands[:, 0], bands[:, 1], color=PALETTE[2], alpha=0.18, linewidth=0)
    own = curve["levelling"]
    if not own["undecidable"] and own["radius_px"] is not None:
        axis.axvline(own["radius_px"], color=_GREY, linestyle="--", linewidth=1, label="levels off")
    axis.axhline(0, color=_GREY, linewidth=0.6, linestyle=":")
    axis.set_xticks(pixels, [f"{value:g}" for value in pixels])
    axis.set_title(f"{shorten(model)}\n{_levelling_text(own)}", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _levelling_text(own: Mapping[str, Any]) -> str:
    if own["undecidable"]:
        return "levels off: undecidable"
    radius = "not seen" if own["radius_px"] is None else f"{own['radius_px']} px"
    low = own["last_px"] if own["lowest_px"] is None else own["lowest_px"]
    high = "open" if own["highest_px"] is None else f"{own['highest_px']} px"
    return f"levels off: {radius} [{low} px, {high}]"
