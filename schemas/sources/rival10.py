"""Photos of a user's own RIVAL10 folder: the layout of the released zip, which an export in that layout has as well.

Layout: mmoayeri/RIVAL10, ``datasets/local_rival10.py``. Nothing of RIVAL10 comes with this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from figureground.schemas.records import NAME_PATTERN
from figureground.schemas.sources.folders import FolderSource
from figureground.schemas.sources.items import SourceItem

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
        for item in FolderSource(name=self.name, locator=self.locator):
            parts = PurePosixPath(item.uri).parts
            if parts[0] not in RIVAL10_SPLITS or parts[1:2] != (ORDINARY,) or MERGED_MASK in parts[-1]:
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
        return FolderSource(name=self.name, locator=self.locator).read(uri)


def find_rival10(folder: Path) -> Path | None:
    """The folder that holds ``train`` and ``test``, given it or the one that the zip was unpacked in; None for neither.

    A folder is taken for RIVAL10's if labels of attributes lie beside its photos: ``ordinary`` alone may be a class.
    """
    for root in (folder, folder / "RIVAL10"):
        ordinary = (root / split / ORDINARY for split in RIVAL10_SPLITS)
        if any(next(path.glob(f"*{ATTRIBUTE_LABELS}"), None) for path in ordinary if path.is_dir()):
            return root
    return None
