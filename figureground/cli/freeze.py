"""``figureground freeze``: accepted masks as an immutable release."""

from __future__ import annotations

from typing import Annotated

import typer

from figureground.cli.options import JsonOption, WorkspaceOption, verb
from figureground.console import counts_text, emit


@verb(
    "Examples: figureground freeze -w work --version v1 --unreviewed\n\n"
    "figureground freeze -w work --version v1 --unreviewed --agree saliency --min-iou 0.75"
)
def freeze(
    workspace: WorkspaceOption,
    version: Annotated[str, typer.Option(help="Name of the release, such as v1.")],
    unreviewed: Annotated[
        bool, typer.Option(help="Take machine masks that nobody reviewed; said on the card.")
    ] = False,
    unmasked: Annotated[bool, typer.Option(help="Take photos without a mask, for recipes that need none.")] = False,
    segmenter: Annotated[str | None, typer.Option(help="Whose proposals: NAME or NAME:PROMPT.")] = None,
    agree: Annotated[
        str | None, typer.Option(help="Take machine masks only where this other segmenter's first choice agrees.")
    ] = None,
    min_iou: Annotated[
        float | None, typer.Option(min=0, max=1, help="IoU from which two masks agree; default: 0.75.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the accepted masks as an immutable release, objects/VERSION.parquet."""
    from figureground.annotate.verbs import freeze as run

    report = run(
        workspace, version, unreviewed=unreviewed, unmasked=unmasked, segmenter=segmenter, agree=agree, min_iou=min_iou
    )
    text = f"{report.path}: {counts_text(report.states)}; left out: {counts_text(report.left_out)}"
    emit(report, as_json=as_json, text=text)
