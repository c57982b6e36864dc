"""RIVAL10's own layout, so that the original loader (``LocalRIVAL10``) reads a dataset that was built here.

The layout is the released zip's: mmoayeri/RIVAL10, ``datasets/local_rival10.py``. Files that it calls ``.JPEG`` hold
PNG bytes, which every decoder tells by their first bytes: nothing is lost.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from figureground.errors import DataError, Faults
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.layouts.published_rows import (
    export_key,
    exported_before,
    new_folder,
    note_export,
    read_row_masks,
    require_images,
)
from figureground.runtime.files import write_text
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT, AttributeSchema, load_attribute_schema
from figureground.schemas.classes import imagenet_names
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.rasters.sizes import ORDER, spell_size
from figureground.schemas.records import NAME_PATTERN, NAME_WORDS

ValidationGoes = Literal["train", "drop"]

SIZE_HW: Final = (224, 224)
OBJECT_NAME: Final = "entire-object"
_ORIGINAL: Final = "original"
"""The config of unchanged photos."""
_FOLDERS: Final = {  # config of the dataset: folder of the layout
    _ORIGINAL: "ordinary",
    "attribute_superimposed": "superimposed",
    "attribute_removed": "removed",
}
_COLUMNS: Final = (
    "image",
    "label",
    "image_id",
    "source_label",
    "attribute",
    "ground_id",
    "draw",
    "object_mask",
    "attributes",
    "attribute_masks",
)
_PICKLE_PROTOCOL: Final = 2  # what every Python 3 reads; the bytes of a dict of strings are the same each time


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutReport:
    """What was written."""

    folder: Path
    instances: Mapping[str, int]
    """``train/ordinary`` and so on to number of images."""
    dropped: Mapping[str, int]
    """Split to number of rows that were left out: the layout has train and test alone."""
    unknown: int
    """Attributes that nobody was sure of; the layout has no word for that, and they stand as absent."""
    own_attributes: tuple[str, ...]
    """The attributes, where they are not RIVAL10's: the original loader reads such a tree without attribute masks."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One image with everything that its files hold."""

    stem: str
    source_label: str
    class_name: str
    label: int
    png: bytes
    masks: Mapping[str, Mask]
    """``entire-object`` and the attributes that are present."""
    present: tuple[bool, ...]
    changed: tuple[bool, ...]
    unknown: int


def export_rival10(
    repository: Path, out: Path, *, validation: ValidationGoes = "train", progress: Progress = lambda *_: None
) -> LayoutReport:
    """Write a dataset repository as ``OUT/RIVAL10``, whole or not at all.

    Args:
        repository: Folder of a dataset with the config ``original`` on 224-pixel canvases.
        out: Folder to make.
        validation: Where validation rows go, which the layout has no split for; rows of splits of other names, such as
            ``test_hard``, are left out.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if ``out`` exists, or ``repository`` is no dataset with a config ``original`` that holds images.
        DataError: for canvases of another size, names that could be paths, two rows of one name, or two classes for
            one source label.
    """
    dataset = DatasetFolder.open(repository)
    schema, own = _attribute_schema(dataset)
    configs = [config for config in _FOLDERS if config in (*dataset.configs, _ORIGINAL)]
    _require_labels(dataset, configs)
    counts, dropped = Counter[str](), Counter[str]()
    meta = _Meta()
    unknown = 0
    key = export_key(repository, "rival10", validation)
    if (earlier := exported_before(out, key, LayoutReport)) is not None:
        return earlier
    with new_folder(out) as partial:
        require_images(dataset, configs)
        total = sum(map(dataset.count_rows, configs))
        parts = [(config, split) for config in configs for split in dataset.splits(config)]
        for config, split in parts:
            part = {"validation": validation}.get(split, split)
            for stored in dataset.rows(config, split, _COLUMNS):
                progress("export", counts.total() + dropped.total() + 1, total)
                if part not in ("train", "test"):
                    dropped[split] += 1
                    continue
                row = _row(stored, schema, dataset.class_map.names)
                _write_row(partial / "RIVAL10" / part, _FOLDERS[config], row)
                if config == _ORIGINAL:
                    unknown += row.unknown
                    meta.add(row, part)
                counts[f"{part}/{_FOLDERS[config]}"] += 1
        meta.write(partial / "RIVAL10" / "meta", schema.names() if own else ())
        report = LayoutReport(
            folder=out,
            instances=dict(sorted(counts.items())),
            dropped=dict(sorted(dropped.items())),
            unknown=unknown,
            own_attributes=schema.names() if own else (),
        )
        note_export(partial, key, report)
    return report


def _require_labels(dataset: DatasetFolder, configs: Sequence[str]) -> None:
    """Check the source labels of all rows before one is written: the loader cuts a file's name at its first ``_``.

    Raises:
        DataError: with every label that has one.
    """
    labels = {
        row["source_label"]
        for config in configs
        if config in dataset.configs
        for row in dataset.rows(config, columns=("source_label",))
    }
    remedy = (
        "name the folders of these photos otherwise, index and freeze them again; other layouts take them as they are"
    )
    faults = Faults()
    for label in sorted(label for label in labels if "_" in label):
        faults.add(dataset.name, "source_label", expected="labels without _", got=label, remedy=remedy)
    faults.raise_if_any()


class _Meta:
    """The three JSON files beside the splits."""

    def __init__(self) -> None:
        self._class_of: dict[str, tuple[str, int]] = {}
        self._split: dict[str, list[str]] = {"train": [], "test": []}

    def add(self, row: _Row, part: str) -> None:
        """Note a photo's class and whether it is of ``train`` or ``test``."""
        known = self._class_of.setdefault(row.source_label, (row.class_name, row.label))
        if known != (row.class_name, row.label):
            raise DataError.single("label", row.stem, expected=f"{known[0]} for {row.source_label}", got=row.class_name)
        self._split[part].append(f"{part}/{row.source_label}/{row.stem.partition('_')[2]}.JPEG")

    def write(self, folder: Path, own_attributes: Sequence[str]) -> None:
        """Write what the loaders look classes and splits up in."""
        imagenet = imagenet_names()
        names = {wnid: imagenet.get(wnid, wnid) for wnid in self._class_of}
        twice = {name for name, count in Counter(names.values()).items() if count > 1}  # "crane" is two synsets
        names = {wnid: wnid if name in twice else name for wnid, name in names.items()}
        folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, Any] = {
            "wnid_to_class": names,
            "label_mappings": {names[wnid]: list(pair) for wnid, pair in self._class_of.items()},
            "train_test_split_by_url": {part: sorted(urls) for part, urls in self._split.items()},
            **({"attributes": list(own_attributes)} if own_attributes else {}),
        }
        for name, content in files.items():
            write_text(folder / f"{name}.json", json.dumps(content, indent=1, sort_keys=True) + "\n")


def _attribute_schema(dataset: DatasetFolder) -> tuple[AttributeSchema, bool]:
    """The attributes in the order of the labels, and whether some of them are none of RIVAL10's eighteen."""
    theirs, schema = load_attribute_schema("rival10"), dataset.attributes
    if schema is None:
        return theirs, False
    if not set(schema.names()) <= set(theirs.names()):
        return schema, True
    own = {attribute.name: attribute for attribute in schema.attributes}  # whose scope is the dataset's
    merged = tuple(own.get(attribute.name, attribute) for attribute in theirs.attributes)
    return theirs.model_copy(update={"attributes": merged}), False


def row_stem(row: Mapping[str, Any]) -> str:
    """Name of a row's files: what the class is told by, the photo, and what was pasted or taken away with whose pixels.

    One photo is the ground of many: without the other photo's id, rows would write over each other.

    Raises:
        DataError: for ids that could be paths, and source labels that the loader could not tell from what follows.
    """
    pasted = [row["attribute"], row["ground_id"], str(row["draw"] or "")] if row["attribute"] else []
    parts = [row["source_label"], row["image_id"], *filter(None, pasted)]
    if not all(NAME_PATTERN.fullmatch(part) for part in parts) or "_" in row["source_label"]:
        expected = f"{NAME_WORDS}, and no _ in a source label"
        raise DataError.single("image_id", repr("_".join(parts)), expected=expected, got="another name")
    return "_".join(parts)


def _row(row: Mapping[str, Any], schema: AttributeSchema, class_names: Sequence[str]) -> _Row:
    stem = row_stem(row)
    painted = read_row_masks(row, stem)
    whole = painted[OBJECT]
    if whole.shape != SIZE_HW:
        raise DataError.single(
            "image",
            stem,
            expected="a canvas of 224x224",
            got=f"{spell_size(whole.shape[:2])} {ORDER}",
            remedy="build with a view {resize: squash, size: 224, crop: null}, as the recipe rival10 does",
        )
    if row["label"] is None or not 0 <= row["label"] < len(class_names):
        wanted = f"a label from 0 to {len(class_names) - 1}"
        raise DataError.single("label", stem, expected=wanted, got=str(row["label"]))
    answered = row["attributes"] or {}
    masks = {OBJECT_NAME: whole}
    for name in schema.names():
        if answered.get(name):  # what holds of the whole object has the object's mask, as the released files have it
            masks[name] = whole if name in schema.names("global") else painted.get(name, np.zeros_like(whole))
    return _Row(
        stem=stem,
        source_label=row["source_label"],
        class_name=class_names[row["label"]],
        label=row["label"],
        png=row["image"]["bytes"],
        masks=masks,
        present=tuple(bool(answered.get(name)) for name in schema.names()),
        changed=tuple(name == row["attribute"] for name in schema.names()),
        unknown=sum(answered.get(name) is None for name in schema.names()),
    )


def _write_row(split: Path, kind: str, row: _Row) -> None:
    folder = split / kind
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / f"{row.stem}.JPEG").exists():
        raise DataError.single(kind, row.stem, expected="one row of this name", got="two")
    attributes = [mask for name, mask in row.masks.items() if name != OBJECT_NAME]
    merged = np.logical_or.reduce([np.zeros(SIZE_HW, np.bool_), *attributes])
    encoded = {name: base64.b64encode(_png(mask)).decode("ascii") for name, mask in row.masks.items()}
    (folder / f"{row.stem}.JPEG").write_bytes(row.png)
    (folder / f"{row.stem}_merged_mask.JPEG").write_bytes(_png(merged))
    (folder / f"{row.stem}_attr_dict.pkl").write_bytes(pickle.dumps(encoded, protocol=_PICKLE_PROTOCOL))
    np.save(folder / f"{row.stem}_attr_labels.npy", np.array([row.present, row.changed], np.int64), allow_pickle=False)
    if kind == "ordinary":
        objects = split / "entire_object_masks"
        objects.mkdir(exist_ok=True)
        (objects / f"{row.stem}.JPEG").write_bytes(_png(row.masks[OBJECT_NAME]))


def _png(mask: Mask) -> bytes:
    """Three equal channels, 255 on the mask: the loader adds channels up."""
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()
