"""Good inputs of every parser: drawn, built and exported once, and read by all."""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
import tarfile
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from photo_samples import draw_pixels, encode, with_orientation
from PIL import Image
from plain_dataset import Plain, make_plain
from studio_samples import block_mask, make_answer, make_draft, make_export, make_photo, noted, painted, said_of, ticked

from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.brush_rle import pack_mask
from figureground.schemas.rasters.masks import encode_bitmask, encode_coco_rle, encode_npy, encode_png1
from figureground.schemas.records import StudioProject, StudioTeam
from figureground.schemas.store.workspace import Workspace

SCHEMA = AttributeSchema.model_validate(
    {
        "name": "toy",
        "version": "1",
        "attributes": [{"name": "wing", "scope": "local"}, {"name": "wet", "scope": "global", "was": "damp"}],
    }
)
PHOTO = make_photo("a")
MASK = block_mask(PHOTO.size_hw)


@dataclass(frozen=True, slots=True)
class Samples:
    """A folder in which samples were drawn."""

    folder: Path

    @property
    def plain(self) -> Path:
        """A dataset without pixels."""
        return self.folder / "plain"

    @property
    def pictures(self) -> Path:
        """A dataset with pixels."""
        return self.folder / "pictures"

    @property
    def database(self) -> bytes:
        """A workspace's file."""
        return (self.folder / "full.sqlite").read_bytes()


def draw_samples(folder: Path) -> Samples:
    """Draw a dataset with and without pixels, and a workspace with a row in every table."""
    drawn: Plain = make_plain(folder)
    with Workspace.open(drawn.drawn.workspace) as store:
        _fill(store)
    whole = sqlite3.connect(folder / "full.sqlite")
    with sqlite3.connect(drawn.drawn.workspace / "workspace.sqlite") as connection, whole:
        connection.backup(whole)
    whole.execute("PRAGMA journal_mode = DELETE")
    whole.close()
    return Samples(folder)


def _fill(store: Workspace) -> None:
    from studio_samples import make_proposal, store_proposal

    (first, *_) = images = list(store.images())
    store_proposal(store, make_proposal(first, np.zeros(first.size_hw, dtype=np.bool_)))
    store.add_images([PHOTO])
    store.add_groups({images[1].image_id: "burst"})
    store.add_rejections([("drawn", "x.jpg", "truncated", "cut")])
    project = StudioProject(
        server="s",
        project=1,
        title="t",
        annotator="ann",
        purpose="first_look",
        since="",
        attribute_schema=schema_json(),
    )
    store.add_studio_project(project)
    store.add_studio_tasks("s", 1, {first.image_id: 5})
    store.withdraw_studio_tasks("s", 1, {images[1].image_id: 6})
    store.add_studio_pairs("s", [first.image_id])
    store.add_studio_honeypots("s", 1, [first.image_id])
    store.move_studio_cursor("s", 1, "2026-01-01T00:00:00Z")
    store.note_studio_presence("s", 1, present=True)
    store.set_studio_team(
        "s", StudioTeam(annotators=("ann", "bob"), heirs={"ann": "bob"}, overlap="0.1", honeypots=1, entry_test=1)
    )


@cache
def schema_json() -> str:
    """The attribute schema as a project's note holds it."""
    return SCHEMA.model_dump_json()


def shipped(package: str, name: str) -> bytes:
    """A data file of the package."""
    return (files(package) / name).read_bytes()


def json_bytes(value: Any) -> bytes:
    """A value as JSON."""
    return json.dumps(value).encode()


def coco_files() -> list[bytes]:
    """COCO files with RLE, runs, polygons and boxes."""
    rle = encode_coco_rle(MASK)
    height, width = PHOTO.size_hw
    drawn: list[Any] = [
        {"size": [height, width], "counts": rle.counts},
        {"size": [height, width], "counts": [height * width - 7, 7]},
        [[1, 1, 9, 1, 9, 9, 1, 9.5]],
        [],
    ]
    annotations = [
        {"id": n, "image_id": 1, "category_id": 2, "iscrowd": n % 2, "segmentation": part, "attributes": {"wet": True}}
        for n, part in enumerate(drawn)
    ]
    images = [{"id": 1, "file_name": "bird/a.png", "width": width, "height": height}]
    categories = [{"id": 2, "name": "bird", "wnids": ["n01440764"]}]
    whole = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    return [json_bytes(whole), json_bytes({**whole, "annotations": []})]


def voc_files() -> list[bytes]:
    """Annotations of two forms."""
    box = "<bndbox><xmin>4</xmin><ymin>1</ymin><xmax>9</xmax><ymax>8.5</ymax></bndbox>"
    size = "<size><width>30</width><height>20</height><depth>3</depth></size>"
    return [
        f"<annotation>{size}<object><name>n01440764</name>{box}</object></annotation>".encode(),
        f"<?xml version='1.0' encoding='utf-8'?>\n<annotation><folder>x</folder>{size}</annotation>".encode(),
    ]


def exports() -> list[bytes]:
    """Exports of Label Studio: brushes, bitmasks, choices, drafts."""
    bitmask = {
        **painted(MASK, "wing", region_id="r2"),
        "type": "bitmasklabels",
        "value": {"imageDataURL": encode_bitmask(MASK), "bitmasklabels": ["wing"]},
    }
    whole = [painted(MASK), bitmask, said_of(painted(MASK), "visible"), ticked("attributes", "wet"), noted("a", "b")]
    return [
        json_bytes([make_export(PHOTO, [make_answer(whole), make_answer([], number=2, was_cancelled=True)])]),
        json_bytes([make_export(PHOTO, [make_answer([painted(MASK)], at="07")], drafts=[make_draft([painted(MASK)])])]),
    ]


def tar_files() -> list[bytes]:
    """Archives in the forms that tar has, with long names, links and folders."""
    archives = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=kind) as archive:
            for name in ("top/dog/a.png", "top/dog/" + "b" * 90 + ".png", "top/cat/ä.png" if kind else "top/cat/c.png"):
                info = tarfile.TarInfo(name if kind == tarfile.USTAR_FORMAT else name.replace("b", "bb"))
                info.size = 600
                archive.addfile(info, io.BytesIO(bytes(600)))
            link = tarfile.TarInfo("top/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "dog/a.png"
            archive.addfile(link)
        archives.append(made.getvalue())
    return archives


def photos() -> list[bytes]:
    """Photos in every format that is read."""
    small = draw_pixels(1, 20, 30)
    picture = Image.fromarray(small)
    return [
        encode(small, "JPEG", quality=80),
        encode(small, "JPEG", progressive=True, restart_marker_rows=1),
        with_orientation(6, "JPEG")[0],
        encode(picture.convert("CMYK"), "JPEG"),
        encode(small, "PNG"),
        encode(picture.convert("P"), "PNG"),
        encode(picture.convert("LA"), "PNG"),
        encode(small, "WEBP"),
        encode(small, "WEBP", lossless=True),
        encode(small, "BMP"),
        encode(picture.quantize(16), "GIF"),
        encode(small, "TIFF"),
        encode(small, "TIFF", compression="tiff_lzw"),
        with_orientation(6, "TIFF")[0],
    ]


def masks_png() -> list[bytes]:
    """Masks as PNG."""
    grey = Image.fromarray((MASK * 255).astype(np.uint8))
    return [
        encode_png1(MASK),
        encode(grey, "PNG"),
        encode(grey.convert("P"), "PNG"),
        encode(grey.convert("RGBA"), "PNG"),
    ]


def brushes() -> list[bytes]:
    """Streams of brushes, of runs and of literals."""
    from studio_samples import alpha_rle

    noise = np.random.default_rng(3).integers(0, 256, PHOTO.size_hw, dtype=np.uint8)
    return [pack_mask(MASK), bytes(alpha_rle(noise)), pack_mask(~MASK)]


def arrays() -> list[bytes]:
    """Arrays of masks and labels."""
    made = [encode_npy(MASK)]
    for array in (np.array([[1, 0], [0, 0]]), MASK.astype(np.float32), np.array(["a"]), np.zeros((2, 0))):
        stream = io.BytesIO()
        np.save(stream, array)
        made.append(stream.getvalue())
    return made


def answer_files() -> list[bytes]:
    """Stored answers of models."""
    made = []
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(
            stream,
            image_id=np.array(["a", "b"]),
            mapped=np.array([0, -1]),
            probability=np.array([0.5, 0.25]),
            label=np.array([0, 1]),
            key=np.array("k"),
        )
        made.append(stream.getvalue())
    return made


def pickles() -> list[bytes]:
    """Pickles of plain text, of every protocol."""
    content: dict[str, Any] = {"entire_object": "iVBORw0KGgo=", "wing": b"x", "empty": ""}
    return [pickle.dumps(content, protocol=number) for number in range(6)]


def photo_tables() -> list[bytes]:
    """Parquet files of photos as ``datasets`` writes them, as plain bytes, and with numbers for labels."""
    data = encode(draw_pixels(1, 12, 16), "PNG")
    features = {"info": {"features": {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}}}
    images = [{"bytes": data, "path": "a_n01440764.JPEG"}, {"bytes": data, "path": None}]
    tables = [
        pa.table({"image": images, "label": [0, 1]}).replace_schema_metadata({"huggingface": json.dumps(features)}),
        pa.table({"image": [data, data], "label": ["dog", "cat"]}),
        pa.table({"image": images, "label": pa.array([0.0, None], pa.float64()), "other": ["x", "y"]}),
    ]
    return [_parquet(table) for table in tables]


def _parquet(table: pa.Table) -> bytes:
    made = io.BytesIO()
    pq.write_table(table, made)
    return made.getvalue()


class Guess:
    """A model that answers by the colour in the middle."""

    input_size_hw = (32, 32)
    label_space = "map"
    name = "guess"
    weights_sha256 = "0" * 64

    def logits(self, images: Any) -> Any:
        """Logits of the ImageNet outputs, three of which are classes of the drawn dataset."""
        answers = np.zeros((len(images), 1000), dtype=np.float32)
        answers[np.arange(len(images)), images[:, 16, 16].argmax(axis=1)] = 5
        return answers


def guess() -> Guess:
    """The model, as ``evaluate`` makes one by its name."""
    return Guess()


def results(samples: Samples) -> list[bytes]:
    """Results of ``evaluate``, of one model and of two."""
    path = samples.folder / "result.json"
    if not path.is_file():
        from figureground.exports.evaluation.scoring import evaluate

        scored = evaluate(samples.pictures, "parser_samples:guess", configs=["original"], bootstrap=20)
        path.write_text(json.dumps(scored))
    scored = json.loads(path.read_text())
    return [json_bytes(scored), json_bytes({"results": [scored, {**scored, "model": "other"}]})]


def graphs(samples: Samples) -> list[bytes]:
    """ONNX models."""
    from colour_dataset import write_onnx

    write_onnx(samples.folder / "m.onnx", np.eye(3, 4, dtype=np.float32))
    return [(samples.folder / "m.onnx").read_bytes()]
