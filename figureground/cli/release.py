"""``figureground verify``, ``rebuild`` and ``diff``: what was released, checked, made again and compared."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from figureground.cli.options import JsonOption, RevisionOption, WorkersOption, verb
from figureground.console import emit, progress_bar
from figureground.errors import DataError, Fault, UsageError

_ANY_DRIFT: Final = 255  # no two images are more grey levels apart


@verb("Examples: figureground verify in9\n\nfigureground verify me/in9 --revision v1")
def verify(
    repository: Annotated[str, typer.Argument(help="Folder of a dataset repository, or its id on the Hub.")],
    revision: RevisionOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every file of a dataset against its manifest, and every image against its own hash and the plan."""
    from figureground.exports.verbs import verify as run

    with progress_bar() as show:
        report = run(repository, revision=revision, workers=workers, progress=show)
    name = f"{repository}@{revision}" if revision else repository
    text = f"{name}: {report.files} files, {report.rows} rows and {report.images} images are as they were released"
    emit(report, as_json=as_json, text=text)


@dataclass(frozen=True, kw_only=True)
class DriftOptions:
    """How far the pixels of a rebuilt row may be off."""

    tolerance: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_ANY_DRIFT,
            metavar="LEVELS",
            help="Keep rows whose pixels differ, because libraries do, if the mean grey of no block is further off.",
        ),
    ] = None
    accept_drift: Annotated[bool, typer.Option("--accept-drift", help="Keep them however far they are off.")] = False


@verb(
    "Examples: figureground rebuild plus --source imagenet-a.tar -o plus-with-images\n\n"
    "figureground rebuild me/plus --revision v1 --source photos/ -o plus-with-images"
)
def rebuild(
    *,
    release: Annotated[
        str, typer.Argument(help="Folder of a dataset repository or its id on the Hub, with images or without.")
    ],
    source: Annotated[list[str], typer.Option(help="Where the photos lie, as index takes it; may be repeated.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the dataset repository to make.")],
    revision: RevisionOption = None,
    drift: DriftOptions,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a release's rows from your own copy of its photos, to the same pixels; what is missing is named."""
    from figureground.exports.verbs import rebuild as run

    with progress_bar() as show:
        report = run(
            release,
            source,
            out,
            revision=revision,
            tolerance=_ANY_DRIFT if drift.accept_drift else drift.tolerance,
            workers=workers,
            progress=show,
        )
    lines = [f"{out}: {report.rows} of {report.rows_of_release} rows, from {report.photos} photos"]
    if report.drifted:
        differs = "; ".join(report.environment_differs) or "all libraries are of the release's versions"
        furthest = max(row.levels for row in report.drifted)
        lines.append(
            f"{len(report.drifted)} rows have other pixels than the release, by {furthest} grey levels at most in the "
            f"mean of a block ({differs}): report/rebuild.json"
        )
    emit(report, as_json=as_json, text="\n".join(lines))
    if report.missing:
        raise DataError(
            Fault(
                where="photos",
                record=photo.image_id,
                expected=f"a photo with SHA-256 {photo.sha256}",
                got=f"{photo.got_sha256} in {photo.other_version}" if photo.other_version else "none",
                remedy=f"add it with another --source, for {photo.rows} rows that were left out",
            )
            for photo in report.missing
        )


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
