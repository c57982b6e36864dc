"""Plots of crossed grounds: shares of variance, attacks by m grounds, pairs of classes, and what fools most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.pictures import open_image
from figureground.exports.evaluation.protocols.pigeonhole import COMPONENTS
from figureground.exports.report.answer_tiles import answer_tile
from figureground.exports.report.crossed.section import worst_grounds
from figureground.exports.report.groups import ModelSummary
from figureground.exports.report.stored_answers import StoredAnswer

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import (
        MARKERS,
        PALETTE,
        Tile,
        TileRow,
        draw_heat_table,
        draw_sheet,
        encode_figure,
        error_reach,
        series_style,
        shorten,
    )
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY: Final = "#777777"
_SHEET_GROUNDS: Final = 5
_SHEET_FOOLED: Final = 6
_UNITS: Final = {"right": "right or wrong", "margin": "log-odds of the true class"}
_ATTACKS: Final = {"fooled": "answered wrong", "captured": "answered as the ground's class"}


def draw_components(members: Sequence[ModelSummary], config: str, picture_format: str = "png") -> bytes:
    """Shares of variance of figure, ground and interaction, a panel for each, models down; whiskers are intervals."""
    figure = Figure(figsize=(9.6, 0.5 * len(members) + 2.0), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(COMPONENTS), sharey=True)
    for axis, part in zip(panels, COMPONENTS, strict=True):
        for order, (unit, words) in enumerate(_UNITS.items()):
            for row, member in enumerate(members):
                share = member.summary["crossed"][config]["components"][unit][part]["share"]
                if share["value"] is None:
                    continue
                axis.errorbar(
                    100 * share["value"],
                    row + 0.24 * (order - 0.5),
                    xerr=error_reach(share["value"], share["ci95"], 100),
                    fmt=MARKERS[order],
                    markersize=5,
                    color=PALETTE[order],
                    linewidth=1.4,
                    label=words if row == 0 else None,
                )
        axis.set_title(part, fontsize=10)
        axis.axvline(0, color=_GREY, linewidth=0.8)
        axis.set_xlabel("share of variance, per cent", fontsize=8)
        _plain(axis)
    panels[0].set_yticks(range(len(members)), [shorten(member.model) for member in members])
    panels[0].set_ylim(len(members) - 0.4, -0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    own = members[0].summary["crossed"][config]
    size = f"{own['figures']} figures on {own['grounds']} grounds, {own['rows']} rows"
    note = "whiskers: 95 %, figures and grounds resampled; interaction: what a figure does on a ground alone"
    figure.suptitle(f"{config}: whose the variance of answers is ({size})\n{note}", fontsize=9.5, x=0.01, ha="left")
    return encode_figure(figure, picture_format)


def draw_attacks(members: Sequence[ModelSummary], config: str, picture_format: str = "png") -> bytes:
    """Share of figures that one of m grounds fools, and that the worst of m does, against m; a panel for each rule."""
    figure = Figure(figsize=(9.6, 4.4 + 0.16 * len(members)), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(_ATTACKS), sharey=True)
    for axis, (attack, words) in zip(panels, _ATTACKS.items(), strict=True):
        for order, member in enumerate(members):
            colour, marker = series_style(order).values()
            own = member.summary["crossed"][config]
            label = f"{shorten(member.model)} (n {own['tried_on']})"
            for kind, style, name in (("any_of", "-", label), ("worst_of", "--", None)):
                points = [point for point in own["attacks"][attack][kind] if point["value"] is not None]
                nudge = 1 + 0.02 * (order - (len(members) - 1) / 2)
                for point in points:
                    reach = error_reach(point["value"], point["ci95"] or point.get("ci95_figures"), 100)
                    x = nudge * point["m"]
                    axis.errorbar(x, 100 * point["value"], yerr=reach, color=colour, linewidth=0.9, alpha=0.6)
                x, y = [nudge * point["m"] for point in points], [100 * point["value"] for point in points]
                filled = colour if kind == "any_of" else "white"
                axis.plot(x, y, style, marker=marker, color=colour, markerfacecolor=filled, markersize=4.5, label=name)
        sizes = sorted({point["m"] for member in members for point in _points(member, config, attack)})
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
        axis.set_title(words, fontsize=10)
        axis.set_xlabel("m, grounds of other classes", fontsize=8)
        _plain(axis, grid="y")
    panels[0].set_ylabel("figures, per cent", fontsize=8)
    panels[0].set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    control = members[0].summary["control"]
    note = (
        f"of figures right on {control}; solid: one of m grounds fools, whiskers 95 % over figures and grounds "
        "(the last m: figures)\ndashed: the worst of m grounds fools, chosen on other figures, whiskers over figures"
    )
    figure.suptitle(f"{config}: figures that grounds fool\n{note}", fontsize=9.5, x=0.01, ha="left")
    return encode_figure(figure, picture_format)


def draw_pairs(member: ModelSummary, config: str, classes: Sequence[str], picture_format: str = "png") -> bytes:
    """Share of the figures of each class that the grounds of each other fool, as a heat map."""
    own = member.summary["crossed"][config]
    pairs = own["attacks"]["fooled"]["pairs"]
    shares = np.full((len(classes), len(classes)), np.nan)
    for row, figure_class in enumerate(classes):
        for column, ground_class in enumerate(classes):
            if (pair := pairs.get(figure_class, {}).get(ground_class)) is not None:
                shares[row, column] = pair["value"]
    counts = {name: max((pair["n"] for pair in pairs.get(name, {}).values()), default=0) for name in classes}
    lent = Counter(ground["class"] for ground in own["each_ground"])
    return draw_heat_table(
        shares,
        row_names=[f"{name} (n {counts[name]})" for name in classes],
        column_names=[f"{name} ({lent[name]})" for name in classes],
        title=f"{shorten(member.model)}, {config}: figures (rows) fooled by grounds (columns, with their number)",
        note="share of the figures of a row, averaged over the grounds of a column; intervals in the results",
        scale="share of figures",
        picture_format=picture_format,
    )


def draw_grounds(
    member: ModelSummary,
    config: str,
    answers: Mapping[tuple[str, str], StoredAnswer],
    labels: Mapping[str, int],
    load: Callable[[str, Collection[str]], Mapping[tuple[str, str], bytes]],
    classes: ClassMap,
) -> bytes:
    """A contact sheet of the grounds that fool most: each alone, then figures that it fooled with the answers.

    Args:
        member: The model.
        config: The crossed config.
        answers: Answers by image_id and ground_id, of figures that are right on the control.
        labels: Class index of each figure, by image_id.
        load: Encoded images of a config by image_id and ground_id, of the rows of some photos.
        classes: The class map.
    """
    worst = worst_grounds(member, config)[:_SHEET_GROUNDS]
    examples = {ground["ground_id"]: _fooled_on(ground, answers, labels, classes) for ground in worst}
    alone = load("only_bg_t", {ground["ground_id"] for ground in worst})
    shown = load(config, {name for names in examples.values() for name in names})
    rows = []
    for ground in worst:
        name = ground["ground_id"]
        tiles = [Tile(image=np.asarray(open_image(alone[name, ""], name)), caption="the ground")] if alone else []
        tiles += [
            answer_tile(
                shown[figure, name], answers[figure, name], classes, f"{classes.names[labels[figure]]}, answered"
            )
            for figure in examples[name]
        ]
        rows.append(TileRow(title=_title(ground), tiles=tuple(tiles)))
    own = member.summary["crossed"][config]
    note = (
        f"per cent of figures of other classes that are right on {member.summary['control']}, with 95 % intervals over "
        f"figures; these were chosen for their rates among {own['grounds']}, which therefore are somewhat high"
    )
    return draw_sheet(rows, title=f"{member.model}: grounds of {config} that fool most", note=note)


def _title(ground: Mapping[str, Any]) -> str:
    lines = [ground["class"]]
    for attack, words in (("fooled", "wrong"), ("captured", f"as {ground['class']}")):
        value, (low, high) = ground[attack]["value"], ground[attack]["ci95"]
        lines.append(f"{words} {100 * value:.0f} % [{100 * low:.0f}, {100 * high:.0f}]")
    return "\n".join([*lines, f"n {ground['fooled']['n']}"])


def _fooled_on(
    ground: Mapping[str, Any],
    answers: Mapping[tuple[str, str], StoredAnswer],
    labels: Mapping[str, int],
    classes: ClassMap,
) -> list[str]:
    """Figures of other classes that are wrong on a ground, those answered as its class first, then the surest."""
    own = classes.names.index(ground["class"])
    wrong = [
        (answer.mapped != own, -answer.probability, figure)
        for (figure, name), answer in answers.items()
        if name == ground["ground_id"] and not answer.right and labels[figure] != own
    ]
    return [figure for *_, figure in sorted(wrong)[:_SHEET_FOOLED]]


def _points(member: ModelSummary, config: str, attack: str) -> Sequence[Mapping[str, Any]]:
    points: Sequence[Mapping[str, Any]] = member.summary["crossed"][config]["attacks"][attack]["any_of"]
    return points


def _plain(axis: Axes, grid: str = "x") -> None:
    axis.grid(axis="x" if grid == "x" else "y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8, length=0)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
