"""COCO's layout: other tools' masks are the dataset's, it comes back as it was, and no hostile row gets through."""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from drawn_release import CLASS_MAP, draw_release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from strategies import masks

from figureground.annotate.catalogue import index_source
from figureground.annotate.imports.answers import ImportOrigin
from figureground.annotate.imports.coco_annotations import import_coco
from figureground.annotate.imports.coco_answers import CocoChoices
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.dataset.request import prepare_request
from figureground.exports.layouts.coco import CocoLayout, export_coco
from figureground.runtime.folders import MADE
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, decode_png1, encode_coco_rle, encode_png1
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

SCHEMA = {
    "name": "toy",
    "version": "1",
    "attributes": [
        {"name": "wing", "scope": "local"},
        {"name": "tail", "scope": "local"},
        {"name": "wet", "scope": "global"},
    ],
}
Row = dict[str, Any]


def png(size_hw: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((*size_hw, 3), 7, dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def row_of(
    name: str,
    mask: Mask,
    parts: Mapping[str, Mask] | None = None,
    answered: Mapping[str, bool | None] | None = None,
    **changes: Any,
) -> Row:
    """A row of a dataset; ring is its class."""
    rles = {part: encode_coco_rle(painted) for part, painted in (parts or {}).items()}
    return {
        "image": {"bytes": png((mask.shape[0], mask.shape[1])), "path": None},
        "label": 1,
        "image_id": name,
        "source_label": "n1",
        "draw": 0,
        "attribute": None,
        "object_mask": {"bytes": encode_png1(mask), "path": None},
        "ground_id": None,
        "attributes": {"wing": None, "tail": None, "wet": None, **(answered or {})},
        "attribute_masks": [
            {"attribute": part, "size": list(rle.size_hw), "counts": rle.counts} for part, rle in rles.items()
        ],
        **changes,
    }


def write_repo(folder: Path, *rows: Row, split: str = "test", config: str = "original") -> Path:
    """A dataset repository with these rows."""
    shards = folder / "data" / config
    shards.mkdir(parents=True, exist_ok=True)
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    painted = pa.list_(pa.struct({"attribute": pa.string(), "size": pa.list_(pa.int32(), 2), "counts": pa.string()}))
    types = {
        "image": image,
        "object_mask": image,
        "attribute_masks": painted,
        "attribute": pa.string(),
        "ground_id": pa.string(),
    }
    columns = {name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]}
    pq.write_table(pa.table(columns), shards / f"{split}-00000-of-00001.parquet")
    (folder / "class_map.json").write_text(CLASS_MAP)
    (folder / "attributes.yaml").write_text(yaml.safe_dump(SCHEMA))
    write_manifest(folder)
    return folder


def shapes() -> dict[str, Mask]:
    """What polygons lose: holes, islands, lines, dots; and sizes that show whether rows and columns are mixed up."""
    rows, columns = np.mgrid[:60, :90]
    distance = np.hypot(rows - 30, columns - 40)
    dots = np.zeros((60, 90), dtype=np.bool_)
    dots[[0, 0, 59, 59, 33], [0, 89, 0, 89, 7]] = True
    return {
        "donut": (distance < 28) & (distance > 20),
        "target": (distance < 5) | ((distance < 28) & (distance > 20)),
        "islands": (distance < 9) | (columns > 80),
        "line": rows == columns,
        "dots": dots,
        "full": np.ones((60, 90), dtype=np.bool_),
        "tall": np.mgrid[:90, :20][0] < 3,
        "checks": (rows + columns) % 2 == 0,
    }


def read_coco(tree: Path, name: str, capsys: pytest.CaptureFixture[str]) -> COCO:
    coco = COCO(str(tree / "annotations" / f"{name}.json"))
    coco.loadRes([{**annotation, "score": 1.0} for annotation in coco.dataset["annotations"]])  # needs info
    capsys.readouterr()
    return coco


def test_pycocotools_reads_masks_pixel_for_pixel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = shapes()
    half = {name: mask & (np.arange(mask.shape[1]) < mask.shape[1] // 2) for name, mask in drawn.items()}
    rows = [row_of(name, mask, {"wing": half[name]}, {"wing": True}) for name, mask in drawn.items()]
    report = export_coco(write_repo(tmp_path / "repo", *rows), tmp_path / "out")
    assert report == CocoLayout(
        folder=tmp_path / "out",
        config="original",
        images={"test": 8},
        objects=8,
        without_object=0,
        attribute_masks=8,
        unknown=16,
    )
    for kind, expected in (("instances", drawn), ("attributes", half)):
        coco = read_coco(tmp_path / "out", f"{kind}_test", capsys)
        stems = {number: image["file_name"].removesuffix(".png") for number, image in coco.imgs.items()}
        assert sorted(stems.values()) == sorted(drawn)
        assert len(coco.anns) == len(drawn)
        for annotation in coco.anns.values():
            mask = expected[stems[annotation["image_id"]]]
            image = coco.imgs[annotation["image_id"]]
            assert np.array_equal(coco.annToMask(annotation), mask)
            assert (image["height"], image["width"]) == mask.shape
            assert (annotation["iscrowd"], annotation["area"]) == (0, mask.sum())
            ys, xs = np.nonzero(mask)
            assert annotation["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(masks(), min_size=1, max_size=4))
def test_any_mask_comes_out_as_it_went_in(tmp_path_factory: pytest.TempPathFactory, drawn: list[Mask]) -> None:
    root = Path(tmp_path_factory.mktemp("any"))
    rows = [row_of(f"p{number}", mask) for number, mask in enumerate(drawn)]
    report = export_coco(write_repo(root / "repo", *rows), root / "out")
    content = json.loads((root / "out" / "annotations" / "instances_test.json").read_text())
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    for number, mask in enumerate(drawn, start=1):
        annotations = coco.imgToAnns[number]
        assert len(annotations) == int(mask.any())
        assert all(np.array_equal(coco.annToMask(annotation), mask) for annotation in annotations)
    assert report.without_object == sum(not mask.any() for mask in drawn)


def test_what_the_files_say(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), dtype=np.bool_)
    mask[1:3, 1:5] = True
    empty = np.zeros((4, 6), dtype=np.bool_)
    repo = write_repo(
        tmp_path / "repo",
        row_of("a", mask, {"wing": mask, "tail": empty}, {"wing": True, "tail": True, "wet": False}),
        row_of("b", empty, {}, {"wet": True}),
        row_of("c", mask, draw=2, ground_id="a", label=0),
    )
    write_repo(repo, row_of("d", mask, {"tail": mask}), split="train")
    report = export_coco(repo, tmp_path / "out")
    counts = report.images, report.objects, report.without_object, report.attribute_masks
    assert counts == ({"test": 3, "train": 1}, 3, 1, 2)
    out = tmp_path / "out"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        MADE,
        "annotations/attributes_test.json",
        "annotations/attributes_train.json",
        "annotations/instances_test.json",
        "annotations/instances_train.json",
        "images/test/a.png",
        "images/test/b.png",
        "images/test/c_a_2.png",
        "images/train/d.png",
        "labels.csv",
    ]
    content = json.loads((out / "annotations" / "instances_test.json").read_text())
    assert content["categories"] == [
        {"id": number, "name": name, "wnids": [name]} for number, name in enumerate(("disc", "ring", "bar"), start=1)
    ]
    first, second = content["annotations"]
    assert first["attributes"] == {"wing": True, "tail": True, "wet": False}
    assert [
        (annotation["id"], annotation["image_id"], annotation["category_id"]) for annotation in (first, second)
    ] == [(1, 1, 2), (2, 3, 1)]
    parts = json.loads((out / "annotations" / "attributes_test.json").read_text())
    assert parts["categories"] == [{"id": 1, "name": "tail"}, {"id": 2, "name": "wing"}]
    assert [(annotation["category_id"], annotation["obj_ann_id"]) for annotation in parts["annotations"]] == [(2, 1)]
    assert parts["images"] == content["images"]
    with (out / "labels.csv").open() as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == [
            ("test/a.png", "n1", "test"),
            ("test/b.png", "n1", "test"),
            ("test/c_a_2.png", "n1", "test"),
            ("train/d.png", "n1", "train"),
        ]


def test_a_dataset_without_attributes_has_no_file_of_them(tmp_path: Path) -> None:
    repo = write_repo(tmp_path / "repo", row_of("a", np.ones((3, 3), dtype=np.bool_), attributes=None))
    (repo / "attributes.yaml").unlink()
    write_manifest(repo)
    export_coco(repo, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "annotations").iterdir()] == ["instances_test.json"]


def bomb() -> bytes:
    """A PNG of 4 gigapixels in a hundred bytes."""
    header = struct.pack(">IIBBBBB", 65_535, 65_535, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


FULL = np.ones((5, 7), dtype=np.bool_)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": "../../escaped"}, "image_id: '../../escaped': expected"),
        ({"image_id": "/etc/passwd"}, "a name that could be a path"),
        ({"image_id": "a"}, "image_id: a: expected one row of this name in test, got two"),
        ({"label": 3}, "label: b: expected a label from 0 to 2, got 3"),
        ({"label": -1}, "label: b: expected a label from 0 to 2, got -1"),
        ({"label": None}, "label: b: expected a label from 0 to 2, got None"),
        ({"image": {"bytes": b"GIF89a", "path": None}}, "image: b: expected a PNG of mode RGB"),
        ({"image": {"bytes": bomb(), "path": None}}, "image: b: expected a PNG of mode RGB"),
        ({"image": {"bytes": None, "path": "/etc/passwd"}}, "image: b: expected a PNG of mode RGB"),
        ({"image": None}, "image: b: expected a PNG of mode RGB"),
        ({"object_mask": None}, "object_mask: b: expected a PNG of mode 1"),
        ({"object_mask": {"bytes": bomb(), "path": None}}, "object_mask: b: expected a PNG of mode 1"),
        ({"object_mask": {"bytes": png((5, 7)), "path": None}}, "object_mask: b: expected a PNG of mode 1"),
        ({"object_mask": {"bytes": encode_png1(FULL)[:44], "path": None}}, "mask: b: expected a 1-bit PNG"),
        ({"object_mask": {"bytes": encode_png1(FULL.T.copy()), "path": None}}, "as its image, got 5x7"),
        ({"attribute_masks": [{"attribute": "wing", "size": [7, 5], "counts": "S1"}]}, "b: wing: expected size 7x5"),
        ({"attribute_masks": [{"attribute": "wing", "size": [5, 7], "counts": "PPPPPP"}]}, "b: wing: expected whole"),
        (
            {"attribute_masks": [{"attribute": "wing", "size": [5, 7], "counts": "3"}]},
            "runs that fill 7x5 (width x height), 35 px",
        ),
        ({"attribute_masks": [{"attribute": "wing", "size": [5, 7], "counts": "S1"}] * 2}, "one mask of this name"),
        ({"attribute_masks": [{"attribute": "object", "size": [5, 7], "counts": "S1"}]}, "one mask of this name"),
    ],
)
def test_hostile_rows_are_refused_and_nothing_is_left(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    rows = [row_of("a", FULL), row_of("b", FULL, **changes), row_of("c", FULL, label=9)]
    repo = write_repo(tmp_path / "repo", *rows)
    with pytest.raises(DataError) as caught:
        export_coco(repo, tmp_path / "deep" / "out")
    faults = sorted(map(str, caught.value.faults))
    assert len(faults) == 2
    assert any(message in fault for fault in faults), faults
    assert any("label: c: expected a label from 0 to 2, got 9" in fault for fault in faults)
    assert not [path for path in tmp_path.rglob("*") if "out" in path.name or "escaped" in path.name]


def test_wrong_calls(tmp_path: Path) -> None:
    repo = write_repo(tmp_path / "repo", row_of("a", FULL))
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists; give another folder"):
        export_coco(repo, tmp_path / "there")
    with pytest.raises(UsageError, match="no dataset with a config 'plus'; configs: original"):
        export_coco(repo, tmp_path / "out", config="plus")
    with pytest.raises(UsageError, match=r"no dataset: it has no manifest\.json"):
        export_coco(tmp_path, tmp_path / "out")
    bare = {name: value for name, value in row_of("a", FULL).items() if name != "image"}
    with pytest.raises(UsageError, match="build it with --pixels"):
        export_coco(write_repo(tmp_path / "bare", bare), tmp_path / "out")
    (repo / "data" / "original" / "te st-00000-of-00001.parquet").write_bytes(
        (repo / "data" / "original" / "test-00000-of-00001.parquet").read_bytes()
    )
    export_coco(repo, tmp_path / "listed")  # a shard that the manifest does not list is no part of the dataset
    write_manifest(repo)
    with pytest.raises(DataError, match="strange characters"):
        export_coco(repo, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset built of drawn photos with a part, whose canvases are smaller than the photos."""
    root = Path(tmp_path_factory.mktemp("coco"))
    drawn = draw_release(root, per_class=4, part="wing")
    (root / "toy.json").write_text(CLASS_MAP)
    schema = {**SCHEMA, "attributes": [{"name": "wing", "scope": "local"}, {"name": "round", "scope": "global"}]}
    (root / "parts.yaml").write_text(yaml.safe_dump(schema))
    recipe = load_recipe("rival10").model_dump(mode="json")
    few = {
        **recipe,
        "name": "toy",
        "class_map": "toy.json",
        "attributes": "parts.yaml",
        "variants": {"original": recipe["variants"]["original"]},
        "splits": {**recipe["splits"], "near_duplicate_bits": 0},  # drawn photos are alike
    }
    (root / "toy.yaml").write_text(yaml.safe_dump(few, sort_keys=False))
    build_dataset(prepare_request(str(root / "toy.yaml"), drawn.workspace, machines=Machines(workers=1)), root / "repo")
    return root / "repo"


def rows_of(repo: Path) -> Sequence[Row]:
    return [row for path in repo.glob("data/original/*.parquet") for row in pq.read_table(path).to_pylist()]


def test_there_and_back(built: Path, tmp_path: Path) -> None:
    """Exported, indexed and imported, a dataset has the masks, attributes, labels and splits that it had."""
    report = export_coco(built, tmp_path / "out")
    rows = rows_of(built)
    assert report.objects == len(rows) == 12
    schema = AttributeSchema.model_validate(yaml.safe_load((built / "attributes.yaml").read_text()))
    origin = ImportOrigin(text="there and back", annotator="imported", tool="import:coco", schema=schema)
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "out" / "images"), labels=tmp_path / "out" / "labels.csv"))
        files = sorted((tmp_path / "out" / "annotations").iterdir())
        imported = import_coco(store, files, origin, CocoChoices())
        assert (imported.answers, imported.warnings()) == (12, [])
        photos = {Path(photo.uri).stem: photo for photo in store.images()}
        for row in rows:
            photo = photos[row["image_id"]]
            (answer,) = store.annotations(photo.image_id)
            imported_masks = {name: decode_coco_rle(rle) for name, rle in answer.masks.items()}
            expected = {"object": decode_png1(row["object_mask"]["bytes"])}
            for stored in row["attribute_masks"]:
                rle = encode_coco_rle(imported_masks[stored["attribute"]])
                assert (stored["size"], stored["counts"]) == (list(rle.size_hw), rle.counts)
            assert np.array_equal(imported_masks["object"], expected["object"])
            assert (
                set(imported_masks)
                == {"object", *(stored["attribute"] for stored in row["attribute_masks"])}
                == {"object", "wing"}
            )
            assert answer.attributes == row["attributes"]
            assert photo.label == row["source_label"]
        splits = {photo.source_split for photo in photos.values()}
    assert splits == set(report.images)


def test_the_same_dataset_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    trees = [tmp_path / "one", tmp_path / "two"]
    for tree in trees:
        export_coco(built, tree)
    one, two = ({path.relative_to(tree): path.read_bytes() for path in tree.rglob("*.*")} for tree in trees)
    assert one == two
    assert not any(str(tmp_path).encode() in data for data in one.values())
