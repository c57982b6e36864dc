"""ImageNet-A's own layout, ``imagenet-a/<wnid>/<file>``, so that the original ``eval.py`` scores a config of a dataset.

hendrycks/natural-adv-examples reads the folder with torchvision's ImageFolder, which numbers the folders that it finds
in the order of their names, and takes the number for the position among the 200. So all 200 folders are made. An empty
one is an error to ImageFolder unless it is told ``allow_empty=True``: loud, where a missing one would shift every
label after it in silence.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from figureground.errors import Faults, UsageError
from figureground.schemas.classes import load_class_map
from figureground.schemas.records import NAME_PATTERN

Progress = Callable[[str, int, int], None]

TREE: Final = "imagenet-a"
"""The folder that ``eval.py`` opens below the one that it is run in."""
_COLUMNS: Final = ["image", "image_id", "source_label", "attribute", "ground_id", "draw"]
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
        UsageError: if ``out`` exists, or ``repository`` has no such config, or its rows hold no images.
        DataError: with every row that is of another class, no PNG, named like a path or named like another row.
    """
    if out.exists():
        raise UsageError(f"{out} exists; give another folder with -o, or delete it")
    shards = _shards(repository, config)
    wnids = [entry.wnids[0] for entry in load_class_map("imagenet_a").classes]
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for wnid in wnids:
            (partial / TREE / wnid).mkdir(parents=True)
        counts = _write_rows(shards, partial / TREE, progress)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ImageNetALayout(
        folder=out, config=config, images=counts.total(), empty_classes=tuple(sorted(set(wnids) - set(counts)))
    )


def _shards(repository: Path, config: str) -> list[Path]:
    data = repository / "data"
    configs = sorted(path.name for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    if config not in configs:
        there = ", ".join(configs) or "none"
        raise UsageError(f"{repository}: no dataset with a config {config!r}; configs: {there}")
    shards = sorted((data / config).glob("*.parquet"))
    if any("image" not in pq.read_schema(path).names for path in shards):
        raise UsageError(
            f"{repository}: its rows hold no images; build it with --pixels, or rebuild it from the photos"
        )
    return shards


def _write_rows(shards: Sequence[Path], tree: Path, progress: Progress) -> Counter[str]:
    """Write every row's image into its class's folder; returns the number of images of each wnid."""
    total = sum(pq.read_metadata(path).num_rows for path in shards)
    counts: Counter[str] = Counter()
    faults = Faults()
    for done, row in enumerate(_rows(shards), start=1):
        progress("export", done, total)
        name, wnid = row_name(row), str(row["source_label"])
        place = tree / wnid / f"{name}.png"
        if not all(NAME_PATTERN.fullmatch(part) for part in (name, wnid)):
            faults.add("image_id", repr(name), expected=NAME_PATTERN.pattern, got="a name that could be a path")
        elif not place.parent.is_dir():
            faults.add("source_label", name, expected="one of ImageNet-A's 200 wnids", got=wnid)
        elif place.exists():
            faults.add("image_id", name, expected="one row of this name", got="two")
        elif not row["image"]["bytes"].startswith(_PNG):
            faults.add("image", name, expected="a PNG", got=repr(row["image"]["bytes"][: len(_PNG)]))
        else:
            place.write_bytes(row["image"]["bytes"])
            counts[wnid] += 1
    faults.raise_if_any()
    return counts


def row_name(row: Mapping[str, Any]) -> str:
    """A file's name without its ending: the photo's id, and of several rows of one photo what tells them apart."""
    return "_".join(filter(None, [row["image_id"], row["attribute"], row["ground_id"], str(row["draw"] or "")]))


def _rows(shards: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    for path in shards:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=64, columns=_COLUMNS):
            yield from batch.to_pylist()
