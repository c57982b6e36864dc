"""``figureground freeze``: accepted masks as an immutable release."""

from __future__ import annotations

from typing import Annotated

import typer

from figureground.cli.options import JsonOption, WorkspaceOption, verb
from figureground.console import counts_text, emit


@verb("Example: figureground freeze -w work --version v1 --unreviewed")
def freeze(
    workspace: WorkspaceOption,
    version: Annotated[str, typer.Option(help="Name of the release, such as v1.")],
    unreviewed: Annotated[
        bool, typer.Option(help="Take machine masks that nobody reviewed; said on the card.")
    ] = False,
    unmasked: Annotated[bool, typer.Option(help="Take photos without a mask, for recipes that need none.")] = False,
    segmenter: Annotated[str | None, typer.Option(help="Whose proposals: NAME or NAME:PROMPT.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the accepted masks as an immutable release, objects/VERSION.parquet."""
    from figureground.annotate.verbs import freeze as run

    report = run(workspace, version, unreviewed=unreviewed, unmasked=unmasked, segmenter=segmenter)
    text = f"{report.path}: {counts_text(report.states)}; left out: {counts_text(report.left_out)}"
    emit(report, as_json=as_json, text=text)
