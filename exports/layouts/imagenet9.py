"""ImageNet-9's own layout, so that its evaluators, ``in9_eval.py`` and ``challenge_eval.py``, read a dataset.

MadryLab/backgrounds_challenge reads ``<variant>/val/<NN_class>/<name>.JPEG`` and ``fg_mask/val/<NN_class>/<name>.npy``,
numbers the class folders in the order of their names, and finds a mask's photo by its name. Files that it calls
``.JPEG`` hold PNG bytes, which every decoder tells by their first bytes: nothing is lost.

A photo is called by 15 characters, because loaders cut the figure's name out of a mixed one as ``stem[3:18]``. The
released ``mixed_rand`` files carry the names of ``mixed_next``; here a mixed name has the donor that is in the pixels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from figureground.errors import DataError, Faults, UsageError
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.layouts.published_rows import (
    export_key,
    exported_before,
    new_folder,
    note_export,
    read_row_masks,
    require_images,
)
from figureground.runtime.files import csv_text, write_text
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT
from figureground.schemas.classes import ClassMap, load_class_map
from figureground.schemas.rasters.masks import Mask, encode_npy
from figureground.schemas.rasters.sizes import ORDER, spell_size

TREE: Final = "bg_challenge"
"""The folder that the evaluators get as ``--data-path``."""
MASKS: Final = "fg_mask"
NAMES: Final = "names.csv"
MOST_PHOTOS: Final = 99_999
"""Photos of one source label, which five digits can number."""
_RELEASED: Final = {"vehicle": "wheeled vehicle", "instrument": "musical instrument"}
"""Classes of ImageNet-9 whose released folders have longer names."""
_ORIGINAL: Final = "original"
"""The config of unchanged photos, after which the others are named."""
RELEASED_CONFIGS: Final = (
    _ORIGINAL,
    "only_bg_b",
    "only_bg_t",
    "no_fg",
    "only_fg",
    "mixed_same",
    "mixed_rand",
    "mixed_next",
)
"""Configs of the release (arXiv 2006.09994, Table 1), which are all that the layout has."""
_WNID: Final = re.compile(r"n\d{8}")
_COLUMNS: Final = ("image", "label", "image_id", "source_label", "variant", "draw", "object_mask", "ground_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNet9Layout:
    """What was written."""

    folder: Path
    images: Mapping[str, int]
    """``original/val`` and so on to number of images."""
    classes: int
    further_draws: int
    """Rows of further donors that were left out: the layout has one image a figure and variant."""
    own_classes: bool
    """Whether the classes are not ImageNet-9's, to which the evaluators map the answers of 1000-way models."""
    coded_labels: int
    """Source labels that are no wnids and got a code instead, which ``names.csv`` tells."""
    left_out: tuple[str, ...] = ()
    """Configs that the release has not, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _NamedRow:
    """A row of ``names.csv``."""

    file: str
    image_id: str
    source_label: str
    ground_id: str
    """Photo whose ground the image shows, where it is mixed."""


def export_imagenet9(repository: Path, out: Path, *, progress: Progress = lambda *_: None) -> ImageNet9Layout:
    """Write the release's configs as ``OUT/bg_challenge``, whole or not at all, with masks of ``original``.

    The split ``test`` becomes ``val``, which the evaluators read. ``OUT/names.csv`` says which photos each file shows.

    Args:
        repository: Folder of a dataset with the config ``original`` on canvases of one size.
        out: Folder to make.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if ``out`` exists, or ``repository`` has no config ``original``, or its rows hold no images.
        DataError: with every row whose image is no PNG or of another size, whose mask has another size than its image,
            whose label is no class, whose ground is no photo of ``original``, or that is named like another.
    """
    key = export_key(repository, "imagenet9")
    if (earlier := exported_before(out, key, ImageNet9Layout)) is not None:
        return earlier
    with new_folder(out) as partial:
        dataset = _open(repository)
        classes, names = dataset.class_map, _name_photos(dataset)
        tree = _Tree(partial, classes, names)
        tree.write(dataset, progress)
        report = ImageNet9Layout(
            folder=out,
            images=dict(sorted(tree.counts.items())),
            classes=len(classes.names),
            further_draws=tree.further_draws,
            own_classes=classes.names != load_class_map("imagenet9").names,
            coded_labels=len({name[:9] for name in names.values() if not _WNID.fullmatch(name[:9])}),
            left_out=tuple(config for config in dataset.configs if config not in RELEASED_CONFIGS),
        )
        note_export(partial, key, report)
    return report


def class_folders(names: Sequence[str]) -> list[str]:
    """Folder of each class: its number, of which ImageFolder's order follows, and its released name."""
    digits = max(2, len(str(len(names) - 1)))
    return [f"{index:0{digits}}_{_RELEASED.get(name, name)}" for index, name in enumerate(names)]


def _open(repository: Path) -> DatasetFolder:
    """The dataset, whose configs of the release all have what is written."""
    dataset = DatasetFolder.open(repository)
    if _ORIGINAL not in dataset.configs:
        make = "figureground build imagenet9 -w WORKSPACE -o FOLDER"
        raise UsageError(f"{repository}: no dataset with a config original; build one with: {make}")
    configs = [config for config in dataset.configs if config in RELEASED_CONFIGS]
    require_images(dataset, configs)
    faults = Faults()
    for shard in dataset.shards:
        if shard.config not in configs:
            continue
        stored = dataset.columns(shard)
        absent = [name for name in _COLUMNS if name not in stored]
        if absent:
            expected, got = f"the columns {', '.join(_COLUMNS)}", f"no {', '.join(absent)}"
            faults.add(shard.config, shard.path, expected=expected, got=got)
    faults.raise_if_any()
    return dataset


def _name_photos(dataset: DatasetFolder) -> dict[str, str]:
    """Names of 15 characters by image_id: a wnid, or a code of as many characters, and a number within it."""
    photos: dict[str, set[str]] = {}
    for row in dataset.rows(_ORIGINAL, columns=("source_label", "image_id")):
        photos.setdefault(row["source_label"] or "", set()).add(row["image_id"] or "")
    faults = Faults()
    for label, own in photos.items():
        if len(own) > MOST_PHOTOS:
            faults.add("source_label", label, expected=f"at most {MOST_PHOTOS} photos", got=str(len(own)))
    faults.raise_if_any()
    others = sorted(label for label in photos if not _WNID.fullmatch(label))
    codes = {label: f"c{number:08}" for number, label in enumerate(others)}
    return {
        name: f"{codes.get(label, label)}_{number:05}"
        for label, own in photos.items()
        for number, name in enumerate(sorted(own), start=1)
    }


class _Tree:
    """The folders, while rows are written into them."""

    def __init__(self, folder: Path, classes: ClassMap, names: Mapping[str, str]) -> None:
        self.counts: Counter[str] = Counter()
        self.further_draws = 0
        self._folder = folder
        self._classes = class_folders(classes.names)
        self._names = names
        self._rows: list[_NamedRow] = []
        self._size_hw: tuple[int, int] | None = None
        self._faults = Faults()

    def write(self, dataset: DatasetFolder, progress: Progress) -> None:
        """Write all rows; ``DataError`` with everything that is at fault."""
        configs = [config for config in RELEASED_CONFIGS if config in dataset.configs]
        total, done = sum(map(dataset.count_rows, configs)), 0
        for config in configs:
            for split in dataset.splits(config):
                part = f"{config}/{'val' if split == 'test' else split}"
                self._make_folders(part)
                for row in dataset.rows(config, split, _COLUMNS):
                    done += 1
                    progress("export", done, total)
                    self._write_row(part, row)
        self._faults.raise_if_any()
        named = sorted(self._rows, key=lambda row: row.file)
        write_text(self._folder / NAMES, csv_text(_NamedRow, named))

    def _make_folders(self, part: str) -> None:
        """A folder of every class: a missing one would shift all labels after it."""
        masks = [part.replace(_ORIGINAL, MASKS, 1)] if part.startswith(f"{_ORIGINAL}/") else []
        for parent in (part, *masks):
            for folder in self._classes:
                (self._folder / TREE / parent / folder).mkdir(parents=True, exist_ok=True)

    def _write_row(self, part: str, row: Mapping[str, Any]) -> None:
        if row["draw"]:
            self.further_draws += 1
            return
        stem = self._stem(part, row)
        if stem is None:
            return
        file = f"{TREE}/{part}/{self._classes[row['label']]}/{stem}.JPEG"
        if (self._folder / file).exists():
            self._faults.add(part, row["image_id"], expected="one row of a photo", got="two")
            return
        mask = self._read_mask(part, row)
        if mask is None:
            return
        (self._folder / file).write_bytes(row["image"]["bytes"])
        if part.startswith(f"{_ORIGINAL}/"):
            masked = file.replace(_ORIGINAL, MASKS, 1).removesuffix("JPEG") + "npy"
            (self._folder / masked).write_bytes(encode_npy(mask))
        self.counts[part] += 1
        names = {name: row[name] or "" for name in ("image_id", "source_label", "ground_id")}
        self._rows.append(_NamedRow(file=file, **names))

    def _stem(self, part: str, row: Mapping[str, Any]) -> str | None:
        """Name of a row's file without its ending; None, and a fault noted, where it has none."""
        mixed = bool(row["ground_id"]) or (row["variant"] or "").startswith("mixed_")
        photos = [row["image_id"], row["ground_id"] or row["image_id"]]
        unknown = [str(name) for name in photos if name not in self._names]
        if unknown:
            self._faults.add(part, unknown[0], expected="a photo of the config original", got="none")
            return None
        if row["label"] is None or not 0 <= row["label"] < len(self._classes):
            wanted = f"a label from 0 to {len(self._classes) - 1}"
            self._faults.add(part, row["image_id"], expected=wanted, got=str(row["label"]))
            return None
        figure, ground = (self._names[name] for name in photos)
        return f"fg_{figure}_bg_{ground}" if mixed else figure

    def _read_mask(self, part: str, row: Mapping[str, Any]) -> Mask | None:
        """The object's mask, of the size of all images, which the evaluators stack; None, and a fault noted, if not."""
        record = f"{part}/{row['image_id']}"
        try:
            mask = read_row_masks({**row, "attribute_masks": None}, record)[OBJECT]
        except DataError as error:
            self._faults.extend(error.faults)
            return None
        self._size_hw = self._size_hw or (mask.shape[0], mask.shape[1])
        if mask.shape != self._size_hw:
            wanted, got = map(spell_size, (self._size_hw, mask.shape))
            self._faults.add("image", record, expected=f"{wanted} {ORDER} as all others", got=got)
            return None
        return mask
