"""Photos of a user's own RIVAL10 folder: the layout of the released zip, which an export in that layout has as well.

Layout: mmoayeri/RIVAL10, ``datasets/local_rival10.py``. Nothing of RIVAL10 comes with this package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from figureground.schemas.records import NAME_PATTERN
from figureground.schemas.sources.items import SourceItem
from figureground.schemas.sources.walking import others_below, photos_below, read_below

RIVAL10_SPLITS: Final = ("train", "test")
ORDINARY: Final = "ordinary"
"""Folder of unaltered photos; ``superimposed`` and ``removed``, where they are, hold pasted ones."""
MERGED_MASK: Final = "_merged_mask"
ATTRIBUTE_LABELS: Final = "_attr_labels.npy"
ATTRIBUTE_MASKS: Final = "_attr_dict.pkl"
OBJECT_MASKS: Final = "entire_object_masks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival10Source:
    """The photos ``{train,test}/ordinary/<wnid>_….JPEG``; the label is what stands before the first ``_``.

    Files keep ImageNet's names after the label, so that ``from_imagenet_train`` tells of each photo whether ImageNet
    classifiers were trained on it: ``n02690373_n02690373_18`` is of the training part,
    ``n02690373_ILSVRC2012_val_00000018`` is not.
    """

    name: str
    locator: str
    """The folder that holds ``train`` and ``test``."""
    options: Mapping[str, str] = field(default_factory=dict)
    kind: str = "rival10"

    def __iter__(self) -> Iterator[SourceItem]:
        """Photos in the order of their paths, test before train; masks and altered photos are passed over."""
        for item in photos_below(Path(self.locator)):
            parts = PurePosixPath(item.uri).parts
            if _part(parts):
                continue
            label, mark, _ = parts[-1].partition("_")
            of_split = item.changed(label="", source_split=parts[0])
            if item.fault:
                yield of_split
            elif len(parts) != 3 or not mark or not NAME_PATTERN.fullmatch(label):
                yield of_split.changed(fault="expected a file called LABEL_NAME.JPEG, got another path or name")
            else:
                yield of_split.changed(label=label)

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the folder or is not there."""
        return read_below(Path(self.locator), uri, self.name)

    def passed_over(self) -> Counter[str]:
        """Number of files that are no photos, by their ending, of masks and altered photos by their folder."""
        parts = (PurePosixPath(item.uri).parts for item in photos_below(Path(self.locator)) if not item.fault)
        return others_below(Path(self.locator)) + Counter(filter(None, map(_part, parts)))


def _part(parts: tuple[str, ...]) -> str:
    """What a photo that is not an unaltered one is counted as; empty for an unaltered one."""
    if parts[0] not in RIVAL10_SPLITS:
        return f"photos of {parts[0]}" if len(parts) > 1 else "photos at the top"
    if parts[1:2] != (ORDINARY,):
        return f"photos of {parts[1]}" if len(parts) > 2 else f"photos directly in {parts[0]}"
    return "masks" if MERGED_MASK in parts[-1] else ""


def find_rival10(folder: Path) -> Path | None:
    """The folder that holds ``train`` and ``test``, given it or the one that the zip was unpacked in; None for neither.

    A folder is taken for RIVAL10's if labels of attributes lie beside its photos: ``ordinary`` alone may be a class.
    """
    for root in (folder, folder / "RIVAL10"):
        ordinary = (root / split / ORDINARY for split in RIVAL10_SPLITS)
        if any(next(path.glob(f"*{ATTRIBUTE_LABELS}"), None) for path in ordinary if path.is_dir()):
            return root
    return None
