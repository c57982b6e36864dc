"""``figureground diff``: what changed between two versions."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, verb
from figureground.console import emit, progress_bar
from figureground.errors import UsageError


@verb(
    "Examples: figureground diff in9 in9-v2\n\n"
    "figureground diff work/objects/v1.parquet work/objects/v2.parquet\n\n"
    "figureground diff me/in9 me/in9 --revision v1 --revision v2"
)
def diff(
    before: Annotated[
        str, typer.Argument(help="Folder of a dataset repository or its id on the Hub, or a release (.parquet).")
    ],
    after: Annotated[str, typer.Argument(help="The later one, of the same kind.")],
    revision: Annotated[
        list[str] | None, typer.Option(help="Tag, branch or commit of a dataset on the Hub; one for each that is.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what changed between two versions: objects, masks, rows and why, recipe, software; --json names each."""
    from figureground.exports.dataset.changes import compare_versions
    from figureground.exports.publishing.hub_releases import COMPARED, open_release

    revisions = list(revision or ())
    with ExitStack() as opened, progress_bar() as show:
        paths = []
        for version in (before, after):
            if Path(version).is_file():
                paths.append(Path(version))
            else:
                named = None if Path(version).is_dir() or not revisions else revisions.pop(0)
                paths.append(opened.enter_context(open_release(version, named, COMPARED, progress=show)))
        if revisions:
            raise UsageError(f"--revision {revisions[0]}: there is no dataset on the Hub left for it")
        changes = compare_versions(*paths)
    emit(changes, as_json=as_json, text=str(changes))
