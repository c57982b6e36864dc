"""``figureground export``: a dataset repository as the tree that another tool's loader reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from figureground.console import JsonOption, emit, progress_bar


def export(
    repository: Annotated[Path, typer.Argument(help="Folder of a dataset repository.")],
    layout: Annotated[Literal["imagenet-a", "rival10"], typer.Option(help="Whose layout.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    validation: Annotated[
        Literal["train", "drop"], typer.Option(help="rival10: where validation rows go, which it has no split for.")
    ] = "train",
    config: Annotated[
        str, typer.Option(help="imagenet-a: the config to write, such as original or plus.")
    ] = "original",
    as_json: JsonOption = False,
) -> None:
    """Write a dataset in another dataset's layout, so that its loaders read it."""
    if layout == "imagenet-a":
        _imagenet_a(repository, out, config, as_json)
    else:
        _rival10(repository, out, validation, as_json)


def _imagenet_a(repository: Path, out: Path, config: str, as_json: bool) -> None:
    from figureground.exports.layouts.imagenet_a import TREE, export_imagenet_a

    with progress_bar() as show:
        report = export_imagenet_a(repository, out, config=config, progress=show)
    lines = [f"{report.folder / TREE}: {report.images} images of {report.config}"]
    if report.empty_classes:
        lines.append(
            f"{len(report.empty_classes)} of 200 classes have none: their folders are empty, so that labels keep their "
            "order, and ImageFolder needs allow_empty=True"
        )
    emit(report, as_json=as_json, text="\n".join(lines))


def _rival10(repository: Path, out: Path, validation: Literal["train", "drop"], as_json: bool) -> None:
    from figureground.exports.layouts.rival10 import export_rival10

    with progress_bar() as show:
        report = export_rival10(repository, out, validation=validation, progress=show)
    counts = ", ".join(f"{place} {count}" for place, count in report.instances.items())
    lines = [f"{report.folder / 'RIVAL10'}: {counts}"]
    if report.dropped:
        lines.append(f"left out: {report.dropped} validation rows")
    if report.unknown:
        lines.append(f"{report.unknown} attributes that nobody was sure of stand as absent")
    if report.own_attributes:
        lines.append(
            "the attributes are not RIVAL10's: LocalRIVAL10 reads it with masks_dict=False (meta/attributes.json)"
        )
    emit(report, as_json=as_json, text="\n".join(lines))
