"""The frozen release: ``objects/<version>.parquet``, sorted and immutable, which a build reads."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import DataError, Faults, UsageError, shell_word
from figureground.runtime.files import replace_file
from figureground.schemas.documents import parse_text, shown
from figureground.schemas.rasters.masks import Box, CocoRle
from figureground.schemas.rasters.sizes import MOST_PIXELS
from figureground.schemas.records import NAME_PATTERN, NAME_WORDS, ObjectRecord, ObjectState, canonical_json
from figureground.schemas.store.tables import read_batches, read_metadata

SCHEMA_VERSION: Final = "2"
"""Changes with the columns or their types: a reader refuses a release of a version that it does not know."""
_FIRST: Final = "1"
"""The version without origins, agreement and groups, which is read too."""
_LEFT_OUT: Final = "figureground.left_out"
_ANNOTATION: Final = "figureground.annotation"
_ROWS_PER_GROUP: Final = 1 << 16
_ROWS_AT_A_TIME: Final = 1 << 9
_SHARED: Final = ("source", "label", "source_split", "state", "segmenter", "origin", "group")
"""Columns of which few words fill many rows."""
_MOST_FAULTS: Final = 100
"""Faults of one file after which nobody reads on."""
_WHAT: Final = "a release"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PHASH: Final = re.compile(r"[0-9a-f]{16}")
_GROUP_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_HUB_WNID: Final = re.compile(r"^((n\d{8})_\d+)_\2$")

_BOXES = pa.list_(pa.list_(pa.int32(), 4))
_RLE = pa.struct([("size", pa.list_(pa.int32(), 2)), ("counts", pa.string())])
_SCHEMA: Final = pa.schema(
    [
        ("object_id", pa.string()),
        ("image_id", pa.string()),
        ("source", pa.string()),
        ("uri", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("exif_orientation", pa.int8()),
        ("label", pa.string()),
        ("source_split", pa.string()),
        ("boxes_xyxy_px", _BOXES),
        ("phash", pa.string()),
        ("image_flags", pa.list_(pa.string())),
        ("mask", _RLE),
        ("instances", pa.list_(_RLE)),
        ("attributes", pa.string()),
        ("attribute_masks", pa.list_(pa.struct([("attribute", pa.string()), ("mask", _RLE)]))),
        ("state", pa.string()),
        ("mask_origin", pa.string()),
        ("segmenter", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("origin", pa.string()),
        ("agreement_iou", pa.float64()),
        ("group", pa.string()),
    ]
)
_SINCE_SECOND: Final = ("origin", "agreement_iou", "group")
"""Columns that the first version lacks."""
_WITH_GAPS: Final = ("agreement_iou",)


LeftOut = Mapping[str, Mapping[str, int]]
"""Source label to reason to number of catalogued photos that are not in a release."""


def write_release(
    path: Path,
    records: Iterable[ObjectRecord],
    *,
    version: str,
    left_out: LeftOut | None = None,
    annotation: Mapping[str, Any] | None = None,
    replace_other: bool = False,
) -> None:
    """Write objects sorted by object_id; the same objects give the same bytes.

    Args:
        path: The file.
        records: The objects; an iterator must give them sorted by object_id.
        version: Its name.
        left_out: What is not in it, for tables of coverage.
        annotation: How its masks came about, in numbers, for the card.
        replace_other: Whether a different release may lie there, as in a dataset that is being made.

    Raises:
        UsageError: if ``path`` holds a different release: a version that was built from never changes.
    """
    metadata = {"figureground.release": version, "figureground.schema": SCHEMA_VERSION}
    if left_out:
        metadata[_LEFT_OUT] = canonical_json({label: dict(reasons) for label, reasons in left_out.items()})
    if annotation:
        metadata[_ANNOTATION] = canonical_json(dict(annotation))
    schema = _SCHEMA.with_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        replace_file(path, keep_equal=not replace_other) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as file,
    ):
        for table in _tables(records, schema):
            file.write_table(table)


def read_release(path: Path) -> tuple[str, tuple[ObjectRecord, ...]]:
    """Read a release: its version and its objects, sorted by object_id.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is no release, of an unknown schema, or holds ids that could be paths.
    """
    if not path.is_file():
        work = shell_word(path.parent.parent) if path.parent.name == "objects" else "WORKSPACE"
        make = f"figureground freeze -w {work} --version {shell_word(path.stem)}"
        raise UsageError(f"{path}: no such release; make one with: {make}")
    metadata = read_metadata(path, _WHAT)
    schema_version = metadata.get("figureground.schema", "none")
    if schema_version not in (_FIRST, SCHEMA_VERSION):
        raise DataError.single(
            str(path),
            "figureground.schema",
            expected=SCHEMA_VERSION,
            got=schema_version[:80],
            remedy="read it with the figureground that wrote it, or freeze again",
        )
    version = metadata.get("figureground.release", "")
    if not NAME_PATTERN.fullmatch(version):
        raise DataError.single(str(path), "figureground.release", expected="a version's name", got=shown(version))
    columns = _SCHEMA if schema_version == SCHEMA_VERSION else _first_columns()
    return version, tuple(_records(path, columns))


def _first_columns() -> pa.Schema:
    return pa.schema([column for column in _SCHEMA if column.name not in _SINCE_SECOND])


def read_left_out(path: Path) -> LeftOut:
    """Numbers of photos that are not in a release, which ``read_release`` has read; empty where it holds none."""
    left_out = _read_metadata(path, _LEFT_OUT)
    try:
        return {str(label): {str(key): int(n) for key, n in reasons.items()} for label, reasons in left_out.items()}
    except (ValueError, OverflowError, AttributeError, TypeError) as error:
        raise DataError.single(str(path), _LEFT_OUT, expected="labels, reasons and counts", got=str(error)) from error


def read_annotation(path: Path) -> dict[str, Any]:
    """Numbers about the making of a release's masks, which ``read_release`` has read; empty where it holds none."""
    return _read_metadata(path, _ANNOTATION)


def _read_metadata(path: Path, key: str) -> dict[str, Any]:
    stored = read_metadata(path, _WHAT).get(key, "{}")
    metadata = parse_text(stored, where=f"{path}: {key}.json")
    if not isinstance(metadata, dict):
        raise DataError.single(str(path), key, expected="a JSON object", got=type(metadata).__name__)
    return metadata


def name_digest(uri: str) -> str:
    """``sha256:`` and the digest of a photo's file name without folders and ending.

    Hub copies of ImageNet add the wnid to the name (``n01440764_10026_n01440764.JPEG``); that is taken off, so that a
    photo is known in all its copies.
    """
    stem = _HUB_WNID.sub(r"\1", PurePosixPath(uri).stem)
    return f"sha256:{hashlib.sha256(stem.encode()).hexdigest()}"


def blind_name(record: ObjectRecord) -> ObjectRecord:
    """The object with its photo's ``name_digest`` for a uri, and the digest of its group, if any.

    Whoever has the photo finds it; nobody else learns its name, which in ImageNet-A tells what a classifier answered.
    Equal groups have equal digests; who took the photos is not told.
    """
    return replace(record, uri=name_digest(record.uri), group=group_digest(record))


def group_digest(record: ObjectRecord) -> str:
    """``sha256:`` and the digest of a photo's source and group; empty without a group.

    Equal where two photos may show one scene: groups of one name in two sources are two. What is such a digest already
    stays: records of a release that was published have no other.
    """
    if not record.group or _GROUP_DIGEST.fullmatch(record.group):
        return record.group
    scene = "\0".join(record.scene or ())
    return f"sha256:{hashlib.sha256(scene.encode()).hexdigest()}"


def _rle_row(rle: CocoRle) -> dict[str, Any]:
    return {"size": list(rle.size_hw), "counts": rle.counts}


def _rle(row: dict[str, Any]) -> CocoRle:
    return CocoRle(size_hw=(row["size"][0], row["size"][1]), counts=row["counts"])


def _row(record: ObjectRecord, names: Sequence[str]) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in names}
    row["mask"] = _rle_row(record.mask)
    row["instances"] = [_rle_row(rle) for rle in record.instances]
    row["attributes"] = json.dumps(dict(record.attributes), sort_keys=True)
    named = sorted(record.attribute_masks.items())
    row["attribute_masks"] = [{"attribute": name, "mask": _rle_row(rle)} for name, rle in named]
    return row


def _tables(records: Iterable[ObjectRecord], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows by object_id, a row group at a time; what an iterator gives is never held together."""
    ordered = records if isinstance(records, Iterator) else iter(sorted(records, key=lambda record: record.object_id))
    last, first = "", True
    parts: list[pa.Table] = []
    while (batch := list(islice(ordered, _ROWS_AT_A_TIME))) or first:
        for record in batch:
            if record.object_id < last:
                raise ValueError(f"{record.object_id} after {last}: an iterator must give objects sorted")
            last = record.object_id
        parts.append(pa.Table.from_pylist([_row(record, schema.names) for record in batch], schema=schema))
        first = False
        if sum(part.num_rows for part in parts) >= _ROWS_PER_GROUP:
            yield pa.concat_tables(parts).combine_chunks()
            parts = []
    if parts:
        yield pa.concat_tables(parts).combine_chunks()


def _records(path: Path, columns: pa.Schema) -> Iterator[ObjectRecord]:
    """Records of a release; few of its rows are in memory twice, and words that records share are stored once."""
    shared: dict[str, str] = {}
    faults, last = Faults(), ""
    for batch in read_batches(path, columns, _ROWS_AT_A_TIME, _WHAT, gaps=_WITH_GAPS):
        for row in batch:
            object_id = row["object_id"]
            problems = (
                [] if object_id > last else [("object_id", "ids that ascend, each once", f"it after {shown(last)}")]
            )
            last = object_id
            try:
                record = _record(row, shared)
                problems += _problems(record)
            except (TypeError, ValueError, IndexError, RecursionError) as error:
                problems.append(("", "an object as freeze writes it", str(error)[:80]))
            for name, expected, got in problems:
                where = f"{shown(object_id)} {name}".rstrip()
                faults.add(str(path), where, expected=expected, got=got, remedy="get the file again, or freeze again")
            if not faults:
                yield record
            if len(faults) >= _MOST_FAULTS:
                faults.raise_if_any()
    faults.raise_if_any()


def _problems(record: ObjectRecord) -> list[tuple[str, str, str]]:
    """What of an object is not as ``freeze`` writes it: the column, what was expected, and what is there."""
    attributes = dict(record.attributes) if isinstance(record.attributes, Mapping) else {"": record.attributes}
    names = [*attributes, *record.attribute_masks]
    checks: list[tuple[str, bool, str, Any]] = [
        ("object_id", bool(NAME_PATTERN.fullmatch(record.object_id)), NAME_WORDS, record.object_id),
        ("image_id", bool(NAME_PATTERN.fullmatch(record.image_id)), NAME_WORDS, record.image_id),
        ("sha256", bool(_SHA256.fullmatch(record.sha256)), "64 hex digits", record.sha256),
        ("phash", bool(_PHASH.fullmatch(record.phash)), "16 hex digits", record.phash),
        (
            "agreement_iou",
            record.agreement_iou is None or 0 <= record.agreement_iou <= 1,
            "an IoU from 0 to 1, or none",
            record.agreement_iou,
        ),
        ("state", record.state in get_args(ObjectState), ", ".join(get_args(ObjectState)), record.state),
        (
            "width",
            min(record.size_hw) > 0 and record.width * record.height <= MOST_PIXELS,
            f"width and height above 0, of at most {MOST_PIXELS} px together",
            (record.width, record.height),
        ),
        (
            "attributes",
            all(value is None or isinstance(value, bool) for value in attributes.values()),
            "true, false or null by name",
            record.attributes,
        ),
        ("attributes", all(map(NAME_PATTERN.fullmatch, names)), NAME_WORDS, names),
    ]
    return [(name, expected, shown(got)) for name, right, expected, got in checks if not right]


def _record(row: dict[str, Any], shared: dict[str, str]) -> ObjectRecord:
    boxes: list[Box] = [(box[0], box[1], box[2], box[3]) for box in row.pop("boxes_xyxy_px")]
    masks = {item["attribute"]: _rle(item["mask"]) for item in row.pop("attribute_masks")}
    row["mask"] = _rle(row["mask"])
    # Releases of earlier days repeat the mask of a single object as its one instance.
    row["instances"] = tuple(map(_rle, row["instances"])) if len(row["instances"]) > 1 else ()
    row["attributes"] = json.loads(row["attributes"])
    row["image_flags"] = tuple(row["image_flags"])
    row["flags"] = tuple(row["flags"])
    row.setdefault("origin", "")
    row.setdefault("group", "")
    for name in _SHARED:
        row[name] = shared.setdefault(row[name], row[name])
    return ObjectRecord(**row, boxes_xyxy_px=tuple(boxes), attribute_masks=masks)
