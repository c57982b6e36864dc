"""``figureground report``: results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, verb
from figureground.console import emit


@verb(
    "Examples: figureground report scores -o report\n\n"
    "figureground report scores -o report --models models.yaml --repository rival\n\n"
    "figureground report scores -o report --published results-imagenet-a.csv"
)
def report(
    results: Annotated[list[Path], typer.Argument(help="Result files of evaluate, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables and plots.")],
    models: Annotated[Path | None, typer.Option(help="YAML that lists models with family and training.")] = None,
    repository: Annotated[str | None, typer.Option(help="The dataset, to show its images in the plots.")] = None,
    published: Annotated[
        Path | None, typer.Option(help="timm's results-imagenet-a.csv, to compare results of imagenet_a with.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put results side by side: tables, families pooled, and the plots of the paper."""
    from figureground.exports.verbs import report as run

    files = run(results, out, models=models, repository=repository, published=published)
    written = {"folder": str(out), "files": [file.relative_to(out).as_posix() for file in files]}
    emit(written, as_json=as_json, text="\n".join(map(str, files)))
