"""``figureground diff``: what changed between two versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from figureground.console import JsonOption, emit


def diff(
    before: Annotated[Path, typer.Argument(help="Folder of a dataset repository, or a release (.parquet).")],
    after: Annotated[Path, typer.Argument(help="The later one, of the same kind.")],
    as_json: JsonOption = False,
) -> None:
    """Tell what changed between two versions: objects, masks, rows and why, recipe, software; --json names each."""
    from figureground.exports.changes import compare_versions

    changes = compare_versions(before, after)
    emit(changes, as_json=as_json, text=str(changes))
