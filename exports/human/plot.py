"""The figure of a human task: accuracy of people and models by config, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from figureground.exports.analyses.plots import MARKERS, PALETTE, encode_figure, shorten

_ROW_INCHES: Final = 0.17
_DPI: Final = 120
_GREY: Final = "#555555"


def draw_accuracy(result: Mapping[str, Any]) -> bytes:
    """A point with its 95 % interval for people and for every model in each config, as PNG; chance is a dashed line."""
    kit, humans = result["kit"], result["humans"]
    series = {f"people ({humans['n_raters']} raters)": humans, **{model["model"]: model for model in result["models"]}}
    configs = list(kit["configs"])
    height = max(0.45, _ROW_INCHES * (len(series) + 1)) * len(configs) + 1.3
    figure = Figure(figsize=(8.4, max(height, _ROW_INCHES * len(series) + 1.3)), dpi=_DPI)
    figure.set_layout_engine("constrained")
    axis = figure.subplots()
    step = 0.7 / len(series)
    for order, (name, side) in enumerate(series.items()):
        cells = [side["configs"][config]["accuracy"] for config in configs]
        centres = np.arange(len(configs)) + (order - (len(series) - 1) / 2) * step
        colour = PALETTE[order % len(PALETTE)]
        axis.plot(
            [np.nan if cell["value"] is None else cell["value"] for cell in cells],
            centres,
            linestyle="",
            marker=MARKERS[order % len(MARKERS)],
            color=colour,
            markersize=6 if order else 8,
            label=shorten(name),
        )
        for centre, cell in zip(centres, cells, strict=True):
            if cell["ci95"] is not None:
                axis.plot(cell["ci95"], (centre, centre), color=colour, linewidth=1.6, solid_capstyle="butt")
    axis.axvline(result["chance"], color=_GREY, linewidth=1, linestyle="--", label="chance")
    axis.set_yticks(np.arange(len(configs)), [shorten(config) for config in configs])
    axis.set_ylim(len(configs) - 0.45, -0.55)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel("accuracy, 95 % interval", fontsize=9)
    axis.tick_params(labelsize=9, length=0)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    for side_name in ("top", "right", "left"):
        axis.spines[side_name].set_visible(False)
    title = f"{kit['dataset']} ({kit['split']}): {kit['design']}, {result['n_images']} images, arm {kit['arm']}"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return encode_figure(figure)
