"""ImageNet-A's own layout, ``imagenet-a/<wnid>/<file>``, so that the original ``eval.py`` scores a config of a dataset.

hendrycks/natural-adv-examples reads the folder with torchvision's ImageFolder, which numbers the folders that it finds
in the order of their names, and takes the number for the position among the 200. So all 200 folders are made. An empty
one is an error to ImageFolder unless it is told ``allow_empty=True``: loud, where a missing one would shift every
label after it in silence.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from figureground.errors import Faults
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.layouts.published_rows import (
    export_key,
    exported_before,
    new_folder,
    note_export,
    require_images,
    row_name,
)
from figureground.runtime.progress import Progress
from figureground.schemas.classes import load_class_map
from figureground.schemas.records import NAME_PATTERN, NAME_WORDS

TREE: Final = "imagenet-a"
"""The folder that ``eval.py`` opens below the one that it is run in."""
_COLUMNS: Final = ("image", "image_id", "source_label", "attribute", "ground_id", "draw")
_PNG: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNetALayout:
    """What was written."""

    folder: Path
    config: str
    images: int
    empty_classes: tuple[str, ...]
    """Wnids without an image, whose folders are empty."""


def export_imagenet_a(
    repository: Path, out: Path, *, config: str = "original", progress: Progress = lambda *_: None
) -> ImageNetALayout:
    """Write one config of a dataset as ``OUT/imagenet-a``, whole or not at all; every split of it, pixels as they are.

    A file is called after the photo's id, and where one photo has several rows by what else tells them apart.

    Args:
        repository: Folder of a dataset whose source labels are wnids of ImageNet-A.
        out: Folder to make.
        config: Config to write, such as ``original`` or ``plus``.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if ``out`` exists, ``repository`` is no dataset or has no such config, or its rows hold no images.
        DataError: with every row that is of another class, no PNG, named like a path or named like another row.
    """
    wnids = [entry.wnids[0] for entry in load_class_map("imagenet_a").classes]
    key = export_key(repository, "imagenet-a", config)
    if (earlier := exported_before(out, key, ImageNetALayout)) is not None:
        return earlier
    with new_folder(out) as partial:
        dataset = DatasetFolder.open(repository)
        require_images(dataset, [config])
        for wnid in wnids:
            (partial / TREE / wnid).mkdir(parents=True)
        counts = _write_rows(dataset, config, partial / TREE, progress)
        report = ImageNetALayout(
            folder=out, config=config, images=counts.total(), empty_classes=tuple(sorted(set(wnids) - set(counts)))
        )
        note_export(partial, key, report)
    return report


def _write_rows(dataset: DatasetFolder, config: str, tree: Path, progress: Progress) -> Counter[str]:
    """Write every row's image into its class's folder; returns the number of images of each wnid."""
    total = dataset.count_rows(config)
    counts: Counter[str] = Counter()
    faults = Faults()
    for done, row in enumerate(dataset.rows(config, columns=_COLUMNS), start=1):
        progress("export", done, total)
        name, wnid = row_name(row), str(row["source_label"])
        path = tree / wnid / f"{name}.png"
        stored = (row["image"] or {}).get("bytes") or b""
        if not all(NAME_PATTERN.fullmatch(part) for part in (name, wnid)):
            faults.add("image_id", repr(name), expected=NAME_WORDS, got="a name that could be a path")
        elif not path.parent.is_dir():
            faults.add("source_label", name, expected="one of ImageNet-A's 200 wnids", got=wnid)
        elif path.exists():
            faults.add("image_id", name, expected="one row of this name", got="two")
        elif not stored.startswith(_PNG):
            faults.add("image", name, expected="a PNG", got=repr(stored[: len(_PNG)]))
        else:
            path.write_bytes(stored)
            counts[wnid] += 1
    faults.raise_if_any()
    return counts
