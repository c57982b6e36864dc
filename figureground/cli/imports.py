"""``figureground import``: masks that were made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from figureground.cli.options import JsonOption, WorkspaceOption, flattened
from figureground.console import emit, progress_bar, reported_faults

import_masks = typer.Typer(name="import", no_args_is_help=True, help="Import masks that were made elsewhere.")

OriginOption = Annotated[str, typer.Option(help="Who made the masks and how, in one line; stored with each.")]
AnnotatorOption = Annotated[
    str, typer.Option(help="Pseudonym of who made the masks; default: one of the origin's own.", show_default=False)
]
_RIVAL10_AUTHORS: Final = "RIVAL10, dataset authors"
MachineOption = Annotated[
    bool, typer.Option("--machine", help="A machine made the masks: cards say so, and people's answers replace them.")
]
SourceOption = Annotated[str | None, typer.Option(help="Look at photos of this source only.")]


@import_masks.command(
    epilog='Examples: figureground import masks masks/ -w work --origin "drawn by our lab"\n\n'
    'figureground import masks masks/ -w work --attributes butterfly.yaml --origin "project-made, by a rule"'
)
def masks(
    folder: Annotated[Path, typer.Argument(help="PHOTO.png or CLASS/PHOTO.png, ATTRIBUTE/PHOTO.png, attributes.csv.")],
    workspace: WorkspaceOption,
    origin: OriginOption,
    attributes: Annotated[str | None, typer.Option(help="Attribute schema: a shipped name or a YAML file.")] = None,
    annotator: AnnotatorOption = "",
    source: SourceOption = None,
    machine: MachineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Store a folder of PNG masks as accepted answers; a second import of the same masks changes nothing."""
    from figureground.annotate.imports.answers import ImportOrigin
    from figureground.annotate.imports.mask_folder import import_mask_folder
    from figureground.schemas.attributes import load_attribute_schema
    from figureground.schemas.store.workspace import Workspace

    schema = load_attribute_schema(attributes) if attributes else None
    made_by = ImportOrigin(text=origin, annotator=annotator, tool="import:masks", schema=schema, machine=machine)
    with reported_faults(as_json=as_json), Workspace.open(workspace) as store, progress_bar() as show:
        report = import_mask_folder(store, folder, made_by, source=source, progress=show)
    emit(report, as_json=as_json, text=str(report))


@import_masks.command(
    epilog="Examples: figureground index RIVAL10/ -w work --kind rival10\n\n"
    "figureground import rival10 RIVAL10/ -w work"
)
def rival10(
    folder: Annotated[Path, typer.Argument(help="RIVAL10, or the folder that it was unpacked in.")],
    workspace: WorkspaceOption,
    origin: OriginOption = _RIVAL10_AUTHORS,
    attributes: Annotated[
        str, typer.Option(help="What the columns of the labels mean: a shipped name or a YAML file.")
    ] = "rival10",
    annotator: AnnotatorOption = "",
    source: SourceOption = None,
    machine: MachineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Store the masks and labels of your own RIVAL10 folder as accepted answers; its pickles are never trusted."""
    from figureground.annotate.imports.answers import ImportOrigin
    from figureground.annotate.imports.rival10 import import_rival10
    from figureground.schemas.attributes import load_attribute_schema
    from figureground.schemas.store.workspace import Workspace

    by_authors = "rival10" if origin == _RIVAL10_AUTHORS else ""
    made_by = ImportOrigin(
        text=origin,
        annotator=annotator or by_authors,
        tool="import:rival10",
        schema=load_attribute_schema(attributes),
        machine=machine,
    )
    with reported_faults(as_json=as_json), Workspace.open(workspace) as store, progress_bar() as show:
        report = import_rival10(store, folder, made_by, source=source, progress=show)
    emit(report, as_json=as_json, text=str(report))


@dataclass(frozen=True, kw_only=True)
class CocoOptions:
    """How COCO files are read."""

    images: Annotated[
        Path | None, typer.Option(help="Folder of the files' images: photos are found by bytes, not by name.")
    ] = None
    category_map: Annotated[
        Path | None, typer.Option(help="CSV of category and label, where categories are not called like labels.")
    ] = None
    lossy_polygons: Annotated[
        bool, typer.Option("--lossy-polygons", help="Fill polygons too, which lose holes and thin parts.")
    ] = False
    machine: MachineOption = False


@import_masks.command(
    epilog="Examples: figureground import coco instances_val2017.json -w work --images val2017/ "
    '--category-map map.csv --lossy-polygons --origin "COCO, dataset authors"\n\n'
    "figureground import coco out/annotations/*_test.json -w work --attributes butterfly.yaml --origin ours"
)
@flattened
def coco(
    *,
    files: Annotated[list[Path], typer.Argument(help="COCO files of objects and of parts; read together.")],
    workspace: WorkspaceOption,
    origin: OriginOption,
    attributes: Annotated[str | None, typer.Option(help="Attribute schema: a shipped name or a YAML file.")] = None,
    annotator: AnnotatorOption = "",
    source: SourceOption = None,
    options: CocoOptions,
    as_json: JsonOption = False,
) -> None:
    """Store the masks of COCO files as accepted answers; a second import of the same files changes nothing."""
    from figureground.annotate.imports.answers import ImportOrigin
    from figureground.annotate.imports.coco_annotations import import_coco
    from figureground.annotate.imports.coco_answers import CocoChoices
    from figureground.annotate.imports.coco_categories import read_category_map
    from figureground.schemas.attributes import load_attribute_schema
    from figureground.schemas.store.workspace import Workspace

    schema = load_attribute_schema(attributes) if attributes else None
    made_by = ImportOrigin(text=origin, annotator=annotator, tool="import:coco", schema=schema, machine=options.machine)
    categories = read_category_map(options.category_map) if options.category_map else None
    choices = CocoChoices(images=options.images, source=source, categories=categories, polygons=options.lossy_polygons)
    with reported_faults(as_json=as_json), Workspace.open(workspace) as store, progress_bar() as show:
        report = import_coco(store, files, made_by, choices, progress=show)
    emit(report, as_json=as_json, text=str(report))
