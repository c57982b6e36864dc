"""``figureground index``, ``photos``, ``duplicates`` and ``forget``: which photos a workspace knows."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, WorkersOption, WorkspaceOption, verb
from figureground.console import emit, progress_bar
from figureground.errors import UsageError, shell_word


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How photos are read, and under which terms."""

    name: Annotated[str | None, typer.Option(help="Name of the source; default: the folder's.")] = None
    kind: Annotated[
        str | None, typer.Option(help="folder, ilsvrc, imagenet-a, parquet, rival10 or textures; default: by looking.")
    ] = None
    boxes: Annotated[Path | None, typer.Option(help="Folder of Pascal-VOC XML, if it is not in the tree.")] = None
    labels: Annotated[Path | None, typer.Option(help="CSV of file and label, where folders are no labels.")] = None
    groups: Annotated[
        Path | None, typer.Option(help="CSV of file and group: photos of one video, burst or photographer.")
    ] = None
    licence: Annotated[str | None, typer.Option(help="Licence of the photos, for the card: 'CC BY 4.0'.")] = None
    restricted: Annotated[
        bool | None,
        typer.Option("--restricted/--unrestricted", help="May their pixels be passed on? Default: by what they are."),
    ] = None


@verb(
    "Examples: figureground index photos/ -w work --licence 'CC BY 4.0'\n\n"
    "figureground index private-photos/ -w work --restricted"
)
def index(
    *,
    source: Annotated[
        str,
        typer.Argument(help="ImageFolder, ILSVRC tree, ImageNet-A's folder or .tar, Parquet, or hf://datasets/O/N."),
    ],
    workspace: WorkspaceOption,
    options: SourceOptions,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Catalogue photos; those that cannot be used are reported by name, and none of them is fatal."""
    from figureground.annotate.verbs import SourceReading
    from figureground.annotate.verbs import index as run

    with progress_bar() as show:
        report = run(
            source,
            workspace,
            name=options.name,
            licence=options.licence,
            restricted=options.restricted,
            reading=SourceReading(kind=options.kind, boxes=options.boxes, labels=options.labels, groups=options.groups),
            workers=workers,
            progress=show,
        )
    emit(report.to_dict(), as_json=as_json, text=str(report))
    report.faults.raise_if_any()


@verb("Examples: figureground photos -w work --label dog\n\nfigureground photos -w work --state needs_second --json")
def photos(
    *,
    workspace: WorkspaceOption,
    source: Annotated[str | None, typer.Option(help="Those of this source only.")] = None,
    label: Annotated[str | None, typer.Option(help="Those of this label only.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Those in this state only: accepted, needs_second, undecided, texture, ...")
    ] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Files that are not catalogued, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List photos, one a line: id, state, label, source and name; their ids name masks, and photos to forget."""
    from figureground.annotate.photo_states import list_photos
    from figureground.schemas.store.workspace import Workspace

    with Workspace.open(workspace) as store:
        listed = list(list_photos(store, source=source, label=label, state=state, rejected=rejected))
    emit({"photos": [asdict(photo) for photo in listed]}, as_json=as_json, text="\n".join(map(str, listed)))


@dataclass(frozen=True, kw_only=True)
class LikenessOptions:
    """What near-duplicates are."""

    bits: Annotated[int, typer.Option(min=0, max=63, help="Bits of 64 in which perceptual hashes differ at most.")] = 8
    embedder: Annotated[
        str | None, typer.Option(help="A classifier as evaluate takes it: photos with like features are alike, too.")
    ] = None
    min_cosine: Annotated[float, typer.Option(min=-1, max=1, help="Cosine from which features are alike.")] = 0.9
    device: Annotated[str, typer.Option(help="Of the embedder: auto, cpu, cuda, cuda:N or mps.")] = "auto"
    keep_together: Annotated[
        bool, typer.Option("--keep-together", help="Freeze what the embedder finds as groups, as index --groups does.")
    ] = False


@verb(
    "Examples: figureground duplicates work\n\n"
    "figureground duplicates train-set test-set\n\n"
    "figureground duplicates work --embedder figureground.exports.evaluation.classifiers:efficientnet_lite0 "
    "--keep-together"
)
def duplicates(
    places: Annotated[
        list[Path], typer.Argument(help="Workspaces, releases (.parquet) and dataset folders, compared together.")
    ],
    options: LikenessOptions,
    as_json: JsonOption = False,
) -> None:
    """Find photos that are equal or nearly so, across classes, splits and releases."""
    from figureground.exports.duplicates.groups import Search, find_duplicates

    with progress_bar() as show:
        report = find_duplicates(places, Search(**asdict(options)), progress=show)
    emit(report, as_json=as_json, text=str(report))


@verb("Example: figureground forget 0e7abe93ff8abf5c8a00399a8080fe37 -w work")
def forget(
    image: Annotated[str, typer.Argument(help="Id of the photo.")],
    workspace: WorkspaceOption,
    as_json: JsonOption = False,
) -> None:
    """Delete a photo and all that hangs on it (a takedown); releases that hold it stay as they are.

    Tasks that show it are left on the Label Studio server, without their picture: delete them there.
    """
    from figureground.annotate.studio.home import StudioHome, sending
    from figureground.annotate.studio.served import forget_copies
    from figureground.schemas.store.workspace import Workspace

    with Workspace.open(workspace) as store:
        if store.image(image) is None:
            lister = f"figureground photos -w {shell_word(workspace)}"
            raise UsageError(f"{workspace} knows no photo {image}; ids are listed by: {lister}")
        home = StudioHome.of(workspace)
        # A push that is under way would serve it again.
        with sending(home) if home.root.is_dir() else nullcontext():
            # Rows go last: as long as the photo is known, a command that was killed can be run again.
            if home.embeddings.is_dir():  # what keeps them is slow to import
                from figureground.annotate.studio.queues.filling import forget_embeddings

                forget_embeddings(home, image)
            forget_copies(home, image)
            store.forget(image)
    emit({"forgotten": image}, as_json=as_json, text=f"{image} is forgotten")
