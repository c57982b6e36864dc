"""``figureground sheet``: accept or reject machine masks in any browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, WorkspaceOption
from figureground.console import emit, progress_bar, reported_faults

sheet = typer.Typer(
    name="sheet",
    no_args_is_help=True,
    help="A sheet of machine masks to accept or reject in any browser, without Label Studio.",
)


@sheet.command(
    epilog="Examples: figureground sheet make -w work -o sheet\n\n"
    "figureground sheet make -w work -o sheet --segmenter saliency --limit 100"
)
def make(
    *,
    workspace: WorkspaceOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pages to make.")],
    segmenter: Annotated[str | None, typer.Option(help="Whose masks: NAME or NAME:PROMPT.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Photos of this source only, once for each.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most photos, the most uncertain first.")] = None,
    per_page: Annotated[int, typer.Option(min=1, help="Photos on a page.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Write pages of photos with their machine masks, the most uncertain first; each is one file, to open anywhere."""
    from figureground.annotate.sheet.making import SheetRequest, make_sheet
    from figureground.schemas.store.workspace import Workspace

    request = SheetRequest(segmenter=segmenter, sources=tuple(source or ()), limit=limit, photos_a_page=per_page)
    with reported_faults(as_json=as_json), Workspace.open(workspace) as store, progress_bar() as show:
        report = make_sheet(store, out, request, progress=show)
    emit(report, as_json=as_json, text=str(report))


@sheet.command(epilog="Example: figureground sheet read decisions-*.json -w work")
def read(
    files: Annotated[list[Path], typer.Argument(help="What pages of a sheet downloaded.")],
    workspace: WorkspaceOption,
    as_json: JsonOption = False,
) -> None:
    """Store what people decided on a sheet: accepted masks as they are, rejected ones for a second look."""
    from figureground.annotate.sheet.reading import read_decisions
    from figureground.schemas.store.workspace import Workspace

    with reported_faults(as_json=as_json), Workspace.open(workspace) as store:
        report = read_decisions(store, files)
    emit(report, as_json=as_json, text=str(report))
