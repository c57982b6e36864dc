"""Which photo of the workspace a name in an import means, and why it means none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from figureground.errors import Faults, listed
from figureground.schemas.records import DUPLICATE, ImageRecord
from figureground.schemas.sources.names import Meant, NameIndex, name_key, photo_name
from figureground.schemas.store.workspace import Workspace

_PARQUET_ROW: Final = re.compile(r"\.parquet#\d+$")
"""The uri of a photo without a file name: it is found by its image_id alone."""


@dataclass(frozen=True, slots=True)
class PhotoMatch:
    """What a name means in the workspace."""

    image: ImageRecord | None
    """The photo; None if there is none, or not one alone."""
    fits: tuple[ImageRecord, ...]
    """All photos that the name may mean: a fault about it bars them."""
    expected: str = ""
    got: str = ""
    """What is there instead of one photo; both empty where there is one."""

    @property
    def absent(self) -> bool:
        """Whether no photo of the workspace is called so."""
        return not self.fits

    def add_fault(self, faults: Faults, where: str, record: str, *, remedy: str) -> None:
        """Note why the name means no photo, or not one alone."""
        faults.add(where, record, expected=self.expected, got=self.got, remedy=remedy)


class PhotoNames:
    """The photos of a workspace by the names that an import speaks of; see ``schemas.sources.names``."""

    def __init__(self, workspace: Workspace, names: Iterable[str], *, source: str | None) -> None:
        """Look at the catalogue.

        Args:
            workspace: Where the photos are catalogued.
            names: Names that will be looked for.
            source: Look at photos of this source only; None for all.
        """
        self._workspace, self._source = workspace, source
        self._wanted = list(names)
        self.photos = 0
        """Number of photos looked at."""
        self.folders: set[str] = set()
        """Keys of the folders that photos lie in."""
        roots = {row.name: row for row in workspace.sources().values()}
        self._index: NameIndex[ImageRecord] = NameIndex(self._wanted)
        uris = set[str]()
        for image in workspace.images():
            if source not in (None, image.source) or roots[image.source].kind == "textures":
                continue
            self.photos += 1
            path = None if _PARQUET_ROW.search(image.uri) else image.uri
            self._index.add(path, image, root=roots[image.source].locator, names=(image.image_id,))
            if path is not None:
                uris.add(path.rpartition("/")[0])
        for uri in uris:
            self.folders.update(map(name_key, uri.split("/")))

    def match(self, names: Iterable[str], *, competing: bool = True) -> dict[str, PhotoMatch]:
        """What each of some names means.

        Args:
            names: Names among those that were said to be looked for.
            competing: Whether a photo can have one of these names only.
        """
        once = list(dict.fromkeys(names))
        meanings = self._index.meanings(once) if competing else {name: self._index.find(name) for name in once}
        return {name: self._match(name, meant) for name, meant in meanings.items()}

    def _match(self, name: str, meant: Meant[ImageRecord]) -> PhotoMatch:
        fits = meant.fits
        if len(fits) > 1:
            return PhotoMatch(None, fits, "one photo of this name", f"{len(fits)} ({_places(fits)})")
        if meant.others:
            return PhotoMatch(None, fits, f"one name for {_places(fits)}", f"{listed(meant.others)} as well")
        if fits:
            return PhotoMatch(fits[0], fits)
        expected = "a photo of this name in the workspace"
        if kept_out := self._rejected.find(name).fits:
            return PhotoMatch(None, (), expected, listed(kept_out))
        near = f"none in these folders, but {_places(meant.near)}" if meant.near else "none"
        return PhotoMatch(None, (), expected, near)

    @cached_property
    def _rejected(self) -> NameIndex[str]:
        """What became of files that were indexed and are no photos of the workspace, by their paths."""
        index: NameIndex[str] = NameIndex(self._wanted)
        for source, uri, reason, detail in self._workspace.rejections():
            if self._source in (None, source):
                fate = f"a duplicate: {detail}" if reason == DUPLICATE else f"rejected: {reason} ({detail})"
                index.add(uri, f"{uri}, {fate}")
        return index


def _places(images: Iterable[ImageRecord]) -> str:
    return listed([photo_name(image.source, image.uri) for image in images])
