"""``figureground agree`` and ``freeze``: how far people's answers agree, and accepted masks as an immutable release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from figureground.cli.options import JsonOption, WorkspaceOption, verb
from figureground.console import counts_text, emit, say

ConsensusName = Literal["majority", "staple"]


@dataclass(frozen=True, kw_only=True)
class MachineMaskOptions:
    """What enters a release besides masks that people answered for."""

    unreviewed: Annotated[bool, typer.Option(help="Take machine masks that nobody reviewed; said on the card.")] = False
    unmasked: Annotated[bool, typer.Option(help="Take photos without a mask, for recipes that need none.")] = False
    segmenter: Annotated[str | None, typer.Option(help="Whose proposals: NAME or NAME:PROMPT.")] = None
    agree: Annotated[
        str | None, typer.Option(help="Take machine masks only where this other segmenter's first choice agrees.")
    ] = None
    min_iou: Annotated[
        float | None, typer.Option(min=0, max=1, help="IoU from which two masks agree; default: 0.75.")
    ] = None


@verb(
    "Examples: figureground agree -w work\n\n"
    "figureground agree -w work --by masks --limit 30\n\n"
    "figureground agree -w work --consensus majority -o agreement\n\n"
    "figureground agree -w work --json > agreement.json"
)
def agree(
    workspace: WorkspaceOption,
    consensus: Annotated[ConsensusName, typer.Option(help="How the consensus of masks is made.")] = "staple",
    by: Annotated[
        Literal["masks", "attributes", "both"], typer.Option(help="What photos in doubt are ranked by.")
    ] = "both",
    limit: Annotated[int, typer.Option(min=1, help="Most photos in doubt to list; files and JSON have all.")] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report as JSON, CSV and a plot.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how far people agree, what is in doubt, how each annotator works, and what machine masks saved.

    JSON and files name people by pseudonym alone, so that they may be passed on.
    """
    from figureground.annotate.agreement.report_text import report_text
    from figureground.annotate.verbs import agree as run

    report = run(workspace, consensus=consensus, by=by, out=out)
    if out is not None and report.annotators:
        _draw(report.to_json(), out / "agreement.png")
    names = {} if as_json else _names(workspace)
    emit(report.to_json(), as_json=as_json, text=report_text(report, names, limit=limit))


def _names(workspace: Path) -> dict[str, str]:
    """Pseudonym to name, of those whom a Label Studio that runs knows; answers of sheets need none of it installed."""
    from figureground.annotate.studio.home import StudioHome
    from figureground.errors import MissingExtraError

    home = StudioHome.of(workspace)
    if home.connection() is None:
        return {}
    try:
        from figureground.annotate.studio.progress.overview import annotator_names

        return annotator_names(home)
    except MissingExtraError:
        return {}


def _draw(report: dict[str, Any], path: Path) -> None:
    """Write the plot; where matplotlib is not installed, say so."""
    from figureground.errors import MissingExtraError
    from figureground.runtime.files import replace_file

    try:
        from figureground.exports.report.agreement_plots import draw_agreement
    except MissingExtraError as error:
        say(f"no plot: {error}")
        return
    picture = draw_agreement(report)
    with replace_file(path) as temporary:
        temporary.write_bytes(picture)


@verb(
    "Examples: figureground freeze -w work --version v1 --unreviewed\n\n"
    "figureground freeze -w work --version v1 --unreviewed --agree saliency --min-iou 0.75\n\n"
    "figureground freeze -w work --version v1 --consensus staple"
)
def freeze(
    workspace: WorkspaceOption,
    version: Annotated[str, typer.Option(help="Name of the release, such as v1.")],
    machine: MachineMaskOptions,
    consensus: Annotated[
        ConsensusName | None,
        typer.Option(help="Take the consensus of three or more people's answers in place of one of them."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the accepted masks as an immutable release, objects/VERSION.parquet."""
    from figureground.annotate.verbs import freeze as run

    report = run(workspace, version, **vars(machine), consensus=consensus)
    text = f"{report.path}: {counts_text(report.states)}; left out: {counts_text(report.left_out)}"
    emit(report, as_json=as_json, text=text)
