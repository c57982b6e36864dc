"""What a workspace holds, how far its photos are, and what to type next."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from figureground.annotate.decisions import MACHINE_EDITOR
from figureground.annotate.photo_states import UNDECIDED, PhotoState, list_photos
from figureground.annotate.proposals.best import best_proposals
from figureground.annotate.sheet.rejected import other_masks_command, rejected_photos
from figureground.annotate.studio.home import StudioHome
from figureground.console import count_text, counts_text, table_text
from figureground.errors import UsageError, shell_word
from figureground.runtime.files import files_in
from figureground.schemas.store.tables import open_parquet
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseState:
    """A release of a workspace."""

    version: str
    objects: int
    written: str
    """When, in UTC, by its file: ``2026-11-29 10:00``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceState:
    """What a workspace holds."""

    root: Path
    sources: Mapping[str, int]
    """Number of photos by the name of their source."""
    labels: int
    """Number of classes."""
    rejected: int
    """Files that could not be catalogued."""
    states: Mapping[str, int]
    """Number of photos by the state of their newest decision, or ``undecided`` or ``texture``."""
    proposals: Mapping[str, int]
    """Number of photos with a machine mask, by segmenter and prompt."""
    unproposed: int
    """Undecided photos without a machine mask."""
    answers: int
    """States of answers, those that lint mended included."""
    mended: int
    """Those of them that lint made of a person's."""
    annotators: int
    releases: tuple[ReleaseState, ...]
    """The oldest first."""
    studio: str
    """How its Label Studio is, in a word or two; ``none`` where it has none."""
    next_commands: tuple[str, ...]
    """What to type next, the most urgent first, each with the reason."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        releases = [
            {"version": release.version, "objects": release.objects, "written": release.written}
            for release in self.releases
        ]
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {"root": str(self.root), "releases": releases}

    def __str__(self) -> str:
        """Some lines for people."""
        photos = count_text(sum(self.sources.values()), "photo")
        classes = f"{self.labels} class" if self.labels == 1 else f"{self.labels} classes"
        lines = [f"{self.root}: {photos} in {classes}, from {counts_text(self.sources)}"]
        if self.rejected:
            why = f"figureground photos -w {shell_word(self.root)} --rejected"
            lines.append(f"  {count_text(self.rejected, 'file')} not catalogued; why: {why}")
        lines.append(f"  states: {counts_text(self.states)}")
        lines.append(f"  machine masks: {counts_text(self.proposals)}")
        mended = f"; {self.mended} mended by lint" if self.mended else ""
        lines.append(f"  answers: {self.answers - self.mended}, of {count_text(self.annotators, 'annotator')}{mended}")
        lines.append(f"  Label Studio: {self.studio}")
        if self.releases:
            rows = [["release", "objects", "written"]]
            rows += [[release.version, str(release.objects), release.written] for release in self.releases]
            lines += ["", table_text(rows)]
        return "\n".join([*lines, "", "next:", *(f"  {command}" for command in self.next_commands)])


def workspace_state(workspace: Workspace) -> WorkspaceState:
    """Gather the state of a workspace; a Label Studio that does not answer is part of it, no error."""
    photos = list(list_photos(workspace))
    proposed = defaultdict[str, set[str]](set)
    for image_id, _, segmenter, prompt in workspace.first_ranked_makers():
        proposed[f"{segmenter}:{prompt}"].add(image_id)
    with_mask = set[str]().union(*proposed.values())
    answers = [(answer.annotator, answer.edited_by == MACHINE_EDITOR) for answer in workspace.annotations()]
    releases = _releases(workspace.root / "objects")
    studio, commands = _studio(workspace)
    states = Counter(str(photo.state) for photo in photos)
    return WorkspaceState(
        root=workspace.root,
        sources=dict(sorted(Counter(photo.source for photo in photos).items())),
        labels=len({photo.label for photo in photos if photo.label}),
        rejected=sum(1 for _ in workspace.rejections()),
        states=dict(sorted(states.items())),
        proposals={maker: len(image_ids) for maker, image_ids in sorted(proposed.items())},
        unproposed=len(_of_state(photos, UNDECIDED) - with_mask),
        answers=len(answers),
        mended=sum(mended for _, mended in answers),
        annotators=len({maker for maker, _ in answers if maker}),
        releases=releases,
        studio=studio,
        next_commands=tuple(_next_commands(workspace, photos, with_mask, releases, commands)),
    )


def _whose_masks(workspace: Workspace) -> str:
    """The option that a sheet needs where masks of several segmenters compete, with a space before it; else nothing."""
    try:
        best_proposals(workspace, None)
    except UsageError:
        return " --segmenter NAME"
    return ""


def _releases(folder: Path) -> tuple[ReleaseState, ...]:
    paths = sorted(files_in(folder, ".parquet"), key=lambda path: (path.stat().st_mtime, path.name))
    return tuple(
        ReleaseState(
            version=path.stem,
            objects=_object_count(path),
            written=f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M}",
        )
        for path in paths
    )


def _object_count(release: Path) -> int:
    with open_parquet(release, "a release") as file:
        return int(file.metadata.num_rows)


def _image_ids(release: Path) -> list[str]:
    """The photo of each object of a release."""
    with open_parquet(release, "a release") as file:
        ids: list[str] = file.read(columns=["image_id"]).column(0).to_pylist()
    return ids


def _studio(workspace: Workspace) -> tuple[str, tuple[str, ...]]:
    """How its Label Studio is, and what to type next about it."""
    home = StudioHome.of(workspace.root)
    if home.connection() is None:
        return "none", ()
    if find_spec("psutil") is None:
        return "unknown, for the extra label-studio is not installed", ()
    from figureground.annotate.studio.backend_daemon import backend_url
    from figureground.annotate.studio.progress.overview import overview
    from figureground.annotate.studio.server import server_status

    server = server_status(home)
    state = overview(workspace, home, server, backend=backend_url(home))
    return f"{server.state} at {server.url}", state.next_commands


def _of_state(photos: Sequence[PhotoState], state: str) -> set[str]:
    return {photo.image_id for photo in photos if photo.state == state}


def _next_commands(
    workspace: Workspace,
    photos: Sequence[PhotoState],
    with_mask: set[str],
    releases: tuple[ReleaseState, ...],
    of_studio: tuple[str, ...],
) -> Iterator[str]:
    root, undecided = shell_word(workspace.root), _of_state(photos, UNDECIDED)
    if not photos:
        yield f"figureground index SOURCE -w {root}  (no photos yet)"
        return
    if without := undecided - with_mask:
        yield f"figureground propose -w {root}  ({count_text(len(without), 'photo')} without a machine mask)"
    yield from of_studio
    if not of_studio and (waiting := undecided & with_mask):
        reason = f"{count_text(len(waiting), 'machine mask')} that nobody has looked at"
        sheet = f"figureground sheet make -w {root} -o sheet{_whose_masks(workspace)}"
        yield f"figureground studio up -w {root}, or {sheet}  ({reason})"
    if not of_studio and (doubtful := _of_state(photos, "needs_second")):
        yield from _of_rejected(workspace)
        look = f"figureground studio up -w {root}, then figureground studio push -w {root} --second-look"
        yield f"{look}  ({count_text(len(doubtful), 'photo')} in doubt, or with a rejected mask)"
    accepted = _of_state(photos, "accepted")
    if releases:
        accepted -= set(_image_ids(workspace.root / "objects" / f"{releases[-1].version}.parquet"))
    if accepted and not any(command.startswith("figureground freeze") for command in of_studio):
        reason = f"{count_text(len(accepted), 'accepted photo')} in no release"
        yield f"figureground freeze -w {root} --version NAME  ({reason})"
    if releases:
        build = f"figureground build RECIPE -w {root} --release {shell_word(releases[-1].version)} -o DATASET"
        yield f"{build}  (add --class-map FILE.csv for classes of your own)"


def _of_rejected(workspace: Workspace) -> Iterator[str]:
    """How to go on by sheets with photos whose mask was rejected on one."""
    photos, root = rejected_photos(workspace), shell_word(workspace.root)
    others = Counter(maker for makers in photos.values() for maker in set(makers))
    without = sum(not makers for makers in photos.values())
    for maker, count in sorted(others.items()):
        reason = f"{count_text(count, 'photo')} with a rejected mask, and another one to judge"
        yield f"figureground sheet make -w {root} -o SHEET --segmenter {shell_word(maker)}  ({reason})"
    if without:
        yield f"{other_masks_command(root)}  ({count_text(without, 'photo')} with a rejected mask)"
