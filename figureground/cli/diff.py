"""``figureground diff``: what changed between two versions."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from figureground.console import JsonOption, emit, progress_bar
from figureground.errors import UsageError


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
        for place in (before, after):
            if Path(place).is_file():
                paths.append(Path(place))
            else:
                named = None if Path(place).is_dir() or not revisions else revisions.pop(0)
                paths.append(opened.enter_context(open_release(place, named, COMPARED, progress=show)))
        if revisions:
            raise UsageError(f"--revision {revisions[0]}: there is no dataset on the Hub left for it")
        changes = compare_versions(*paths)
    emit(changes, as_json=as_json, text=str(changes))
