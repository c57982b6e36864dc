"""What a workspace knows of each photo, in a line: its id, its name, its label, and how far it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from figureground.errors import UsageError, listed, printable
from figureground.schemas.documents import same_form
from figureground.schemas.records import DecisionState, ImageRecord, SourceRow
from figureground.schemas.sources.folders import TEXTURES
from figureground.schemas.sources.names import photo_name
from figureground.schemas.store.workspace import Workspace

UNDECIDED: Final = "undecided"
"""State of a photo that nobody has decided on."""
TEXTURE: Final = "texture"
"""State of a photo that is a texture: nobody is to decide on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoState:
    """One photo, or one file that is none of the workspace's."""

    image_id: str
    """Empty for a file that is not catalogued."""
    source: str
    name: str
    """Path in the source, or ``file.parquet#row``."""
    label: str
    state: str
    """State of the newest decision, ``undecided``, ``texture``, or ``duplicate`` and the codes of rejections."""
    reason: str
    """Why it has this state; empty for an undecided one."""

    def __str__(self) -> str:
        """One line for people, with the reason where there is one."""
        words = [self.image_id or "-" * 32, self.state, self.label or "-", photo_name(self.source, self.name)]
        return printable("  ".join([*words, f"({self.reason})"] if self.reason else words))


def list_photos(
    workspace: Workspace,
    *,
    source: str | None = None,
    label: str | None = None,
    state: str | None = None,
    rejected: bool = False,
) -> Iterator[PhotoState]:
    """Photos of a workspace by source and name.

    Args:
        workspace: The workspace.
        source: Those of this source; None for all.
        label: Those of this label; None for all.
        state: Those in this state; None for all.
        rejected: List files too that are not catalogued, with the reason.

    Raises:
        UsageError: if there is no such source, no photo has the label, or there is no such state.
    """
    require_sources(workspace, [] if source is None else [source])
    label = None if label is None else same_form(label)
    photos = sorted(_photos(workspace), key=lambda photo: (photo.source, photo.name))
    if rejected:
        photos += [
            PhotoState(image_id="", source=name, name=uri, label="", state=reason, reason=detail)
            for name, uri, reason, detail in workspace.rejections()
        ]
    _require_known("no photo has the label", label, {photo.label for photo in photos if photo.label})
    states = {photo.state for photo in photos}
    _require_known("no photo can be in the state", state, {*get_args(DecisionState), UNDECIDED, TEXTURE, *states})
    for photo in photos:
        if source in (None, photo.source) and label in (None, photo.label) and state in (None, photo.state):
            yield photo


def _require_known(words: str, asked: str | None, known: Collection[str]) -> None:
    if asked is not None and asked not in known:
        raise UsageError(f"{words} {asked!r}; there are {listed(sorted(known)) or 'none'}")


def require_sources(workspace: Workspace, names: Collection[str]) -> None:
    """Check that sources are the workspace's.

    Raises:
        UsageError: for the first one that is not, with the names that there are.
    """
    sources = workspace.sources()
    for name in names:
        if name not in sources:
            raise UsageError(f"no source is called {name!r}; there are {listed(list(sources)) or 'none'}")


def is_texture(image: ImageRecord, sources: Mapping[str, SourceRow]) -> bool:
    """Whether a photo is a texture: nobody segments it, and nobody is asked about it.

    Args:
        image: The photo.
        sources: The workspace's sources by name.
    """
    row = sources.get(image.source)
    return row is not None and row.kind == TEXTURES


def photos_to_annotate(workspace: Workspace, sources: Collection[str] = ()) -> Iterator[ImageRecord]:
    """Photos that may get a mask, sorted by image_id: all but textures.

    Args:
        workspace: The workspace.
        sources: Those of these sources; empty for all.
    """
    rows = workspace.sources()
    for image in workspace.images():
        if not is_texture(image, rows) and (not sources or image.source in sources):
            yield image


def count_textures(workspace: Workspace) -> int:
    """Number of photos that are textures."""
    rows = workspace.sources()
    return sum(is_texture(image, rows) for image in workspace.images())


def _photos(workspace: Workspace) -> Iterator[PhotoState]:
    sources, decisions = workspace.sources(), workspace.decisions()
    for image in workspace.images():
        decision = decisions.get(image.image_id)
        without = TEXTURE if is_texture(image, sources) else UNDECIDED
        yield PhotoState(
            image_id=image.image_id,
            source=image.source,
            name=image.uri,
            label=image.label,
            state=decision.state if decision else without,
            reason=decision.reason if decision else "",
        )
