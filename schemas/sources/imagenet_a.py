"""ImageNet-A as it was released: ``imagenet-a/<wnid>/<file>`` in a folder, or in the tar archive itself.

Layout and names: hendrycks/natural-adv-examples. Nothing of ImageNet-A comes with this package.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from figureground.runtime.files import file_ending, is_hidden
from figureground.schemas.classes import load_class_map
from figureground.schemas.sources.items import SourceItem, told_ending
from figureground.schemas.sources.tar_files import TarFiles, open_tar
from figureground.schemas.sources.tar_tree import TarTree, is_tar
from figureground.schemas.sources.walking import others_below, others_in, photos_below, photos_in, read_below

IMAGENET_A_FOLDER: Final = "imagenet-a"
"""The archive's top folder."""
_PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg"})  # in lower case: 50 of the 7,500 end in .JPEG or .jpeg
_WNID: Final = re.compile(r"n\d{8}")
_NAME: Final = re.compile(r"[01]\.\d+_.+ _ .+_[01]\.\d+\.jpe?g", re.IGNORECASE)
_CLASSES_NAMED: Final = 8  # in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNetASource:
    """The photos ``<wnid>/<file>``; the label is the folder, which must be one of the 200.

    A photo has the same uri in the folder and in the archive, so a workspace goes on when one becomes the other. File
    names tell what a classifier answered and how sure it was: they stay in the workspace.
    """

    name: str
    locator: str
    """The folder that holds the folders of wnids, or the ``.tar`` file."""
    options: Mapping[str, str] = field(default_factory=dict)
    kind: str = "imagenet-a"

    def __iter__(self) -> Iterator[SourceItem]:
        """Photos in the order of their paths; then, if all 200 classes are there but not their photos, what is missing.

        Raises:
            DataError: if the archive is damaged or cannot be read.
        """
        released = _released_counts()
        counts: Counter[str] = Counter()
        for item in self._items():
            parts = item.uri.split("/")
            if item.fault:
                yield item
            elif len(parts) != 2 or parts[0] not in released:
                got = f"the folder {'/'.join(parts[:-1])}" if len(parts) > 1 else "a file at the top"
                fault = f"expected <wnid>/<file> with one of ImageNet-A's {len(released)} wnids, got {got}"
                yield item.changed(label="", source_split="", fault=fault)
            else:
                counts[parts[0]] += 1
                yield item.changed(label=parts[0], source_split="")
        if len(counts) == len(released) and counts != released:
            yield SourceItem(uri=".", label="", source_split="", fault=_incomplete(counts, released))

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the source or is not there."""
        return self._tar().read(uri) if self._is_tar() else read_below(Path(self.locator), uri, self.name)

    def passed_over(self) -> Counter[str]:
        """Number of files that are no photos, by their ending."""
        source = photos_in(self._tar()) if self._is_tar() else photos_below(Path(self.locator))
        others = Counter(told_ending(item.uri) for item in source if not item.fault and not _is_photo(item.uri))
        return others + (others_in(self._tar()) if self._is_tar() else others_below(Path(self.locator)))

    def _items(self) -> Iterator[SourceItem]:
        """Photos and faults, in the order of their paths."""
        items = photos_in(self._tar()) if self._is_tar() else photos_below(Path(self.locator))
        yield from (item for item in items if item.fault or _is_photo(item.uri))

    def _is_tar(self) -> bool:
        return is_tar(Path(self.locator))

    def _tar(self) -> TarTree:
        files = open_tar(Path(self.locator))
        return TarTree(files, _top_folder(files))


def is_imagenet_a(root: Path) -> bool:
    """Whether a folder or an archive holds ImageNet-A's folders of wnids.

    Told by the names of the photos in the first of them: other data sets have folders of wnids as well.
    """
    if is_tar(root):
        members = (PurePosixPath(name) for name in open_tar(root).members)
        first_wnid = next((path for path in members if _WNID.fullmatch(path.parent.name)), None)
        return first_wnid is not None and _NAME.fullmatch(first_wnid.name) is not None
    wnids = sorted(path for path in root.iterdir() if _WNID.fullmatch(path.name) and path.is_dir())
    first = next((names for path in wnids if (names := [file.name for file in path.iterdir()])), [])
    return any(_NAME.fullmatch(name) for name in first)


@lru_cache(maxsize=4)
def _top_folder(tar: TarFiles) -> str:
    """The one folder, with ``/``, around all folders of the archive; empty where these are at the top themselves."""
    names = [parts for name in tar.members if not any(map(is_hidden, parts := name.split("/")))]
    tops = {parts[0] for parts in names if len(parts) > 2}
    (top,) = tops if len(tops) == 1 else ("",)
    return f"{top}/" if top and not _WNID.fullmatch(top) else ""


@cache
def _released_counts() -> Mapping[str, int]:
    """Number of photos of each wnid in the released archive."""
    classes = load_class_map("imagenet_a").classes
    return {entry.wnids[0]: entry.model_extra["n_images"] for entry in classes if entry.model_extra}


def _incomplete(counts: Mapping[str, int], released: Mapping[str, int]) -> str:
    other = [f"{wnid} ({counts[wnid]} of {count})" for wnid, count in released.items() if counts[wnid] != count]
    shown = other[:_CLASSES_NAMED] + ([f"{len(other) - _CLASSES_NAMED} more"] if len(other) > _CLASSES_NAMED else [])
    total = f"{sum(released.values()):,} photos of the released archive"
    return f"expected the {total}, got {sum(counts.values()):,}: other numbers in {', '.join(shown)}"


def _is_photo(uri: str) -> bool:
    return file_ending(uri) in _PHOTO_SUFFIXES
