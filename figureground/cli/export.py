"""``figureground export``: a dataset repository as the tree that another tool's loader reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from figureground.cli.options import JsonOption, verb
from figureground.console import emit, progress_bar

if TYPE_CHECKING:
    from figureground.exports.layouts.coco import CocoLayout
    from figureground.exports.layouts.imagenet9 import ImageNet9Layout
    from figureground.exports.layouts.imagenet_a import ImageNetALayout
    from figureground.exports.layouts.rival10 import LayoutReport


@verb("Example: figureground export rival --layout rival10 -o as-rival10")
def export(
    repository: Annotated[Path, typer.Argument(help="Folder of a dataset repository.")],
    layout: Annotated[Literal["imagenet9", "imagenet-a", "rival10", "coco"], typer.Option(help="Whose layout.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    validation: Annotated[
        Literal["train", "drop"] | None,
        typer.Option(help="rival10: where validation rows go, which it has no split for; default: train."),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="coco, imagenet-a: the config to write, such as plus; default: original.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a dataset in another dataset's layout, so that its loaders read it."""
    from figureground.exports.verbs import export as run

    with progress_bar() as show:
        report = run(repository, layout, out, config=config, validation=validation, progress=show)
    emit(report, as_json=as_json, text="\n".join(_lines(report)))


def _lines(report: ImageNet9Layout | ImageNetALayout | CocoLayout | LayoutReport) -> list[str]:
    """What was written, and what the layout has no room for, in lines for people."""
    from figureground.exports.layouts.coco import CocoLayout
    from figureground.exports.layouts.imagenet9 import ImageNet9Layout
    from figureground.exports.layouts.imagenet_a import ImageNetALayout

    if isinstance(report, ImageNet9Layout):
        return _imagenet9_lines(report)
    if isinstance(report, ImageNetALayout):
        return _imagenet_a_lines(report)
    return _coco_lines(report) if isinstance(report, CocoLayout) else _rival10_lines(report)


def _imagenet9_lines(report: ImageNet9Layout) -> list[str]:
    from figureground.exports.layouts.imagenet9 import TREE

    counts = ", ".join(f"{folder} {count}" for folder, count in report.images.items())
    lines = [f"{report.folder / TREE}: {counts}"]
    if report.further_draws:
        lines.append(f"left out: {report.further_draws} rows of further donors; the first of each is there")
    if report.left_out:
        lines.append(f"left out: {', '.join(report.left_out)}, which the release has not")
    if report.coded_labels:
        lines.append(f"{report.coded_labels} source labels are no wnids and have a code instead (names.csv)")
    if report.own_classes:
        lines.append("the classes are not ImageNet-9's: in9_eval.py reads models with their own outputs only (--in9)")
    if report.classes != 9:
        lines.append(f"challenge_eval.py expects 9 classes, this dataset has {report.classes}")
    return lines


def _imagenet_a_lines(report: ImageNetALayout) -> list[str]:
    from figureground.exports.layouts.imagenet_a import TREE

    lines = [f"{report.folder / TREE}: {report.images} images of {report.config}"]
    if report.empty_classes:
        lines.append(
            f"{len(report.empty_classes)} of 200 classes have none: their folders are empty, so that labels keep their "
            "order, and ImageFolder needs allow_empty=True"
        )
    return lines


def _coco_lines(report: CocoLayout) -> list[str]:
    counts = ", ".join(f"{split} {count}" for split, count in report.images.items())
    lines = [f"{report.folder}: {counts} images of {report.config}, with {report.objects} objects"]
    if report.attribute_masks:
        lines.append(f"{report.attribute_masks} masks of attributes (annotations/attributes_*.json)")
    if report.without_object:
        lines.append(f"{report.without_object} images show nothing of their object and have no annotation")
    if report.unknown:
        lines.append(f"{report.unknown} attributes that nobody was sure of are left out")
    return lines


def _rival10_lines(report: LayoutReport) -> list[str]:
    counts = ", ".join(f"{part} {count}" for part, count in report.instances.items())
    lines = [f"{report.folder / 'RIVAL10'}: {counts}"]
    if report.dropped:
        left_out = ", ".join(f"{split} {count}" for split, count in report.dropped.items())
        lines.append(f"left out, rows of splits that the layout has not: {left_out}")
    if report.unknown:
        lines.append(f"{report.unknown} attributes that nobody was sure of stand as absent")
    if report.own_attributes:
        lines.append(
            "the attributes are not RIVAL10's: LocalRIVAL10 reads it with masks_dict=False (meta/attributes.json)"
        )
    return lines
