"""Masks and labels of a RIVAL10 folder: read as its loader reads them, with nothing in them trusted."""

from __future__ import annotations

import base64
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rival10_tree import PHOTOS, SCHEMA, SIDE, base64_png, draw_mask, draw_tree, png

from figureground.annotate.catalogue import index_source
from figureground.annotate.imports.answers import ImportOrigin
from figureground.annotate.imports.rival10 import decode_canvas, import_rival10
from figureground.errors import DataError, UsageError
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.records import Annotation
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

ORIGIN = ImportOrigin(text="dataset authors", annotator="rival10", tool="import:rival10", schema=SCHEMA)
FIRST = "n02690373_n02690373_18"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return draw_tree(tmp_path)


@pytest.fixture
def store(tmp_path: Path, tree: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "work")
    index_source(workspace, open_source(str(tree), name="own"))
    return workspace


def answers(store: Workspace) -> dict[str, Annotation]:
    stems = {image.image_id: image.uri.rpartition("/")[2].removesuffix(".JPEG") for image in store.images()}
    return {stems[answer.image_id]: answer for answer in store.annotations()}


def write_masks(tree: Path, masks: Any, stem: str = FIRST) -> None:
    (tree / "train" / "ordinary" / f"{stem}_attr_dict.pkl").write_bytes(pickle.dumps(masks))


def write_labels(tree: Path, labels: Any, stem: str = FIRST) -> None:
    np.save(tree / "train" / "ordinary" / f"{stem}_attr_labels.npy", labels, allow_pickle=True)


def test_labels_and_masks_become_accepted_answers(store: Workspace, tree: Path) -> None:
    report = import_rival10(store, tree.parent, ORIGIN)
    assert (report.answers, report.decisions) == (4, {"accepted": 4})
    assert report.attributes == {"wings": 2, "wheels": 1, "ears": 1, "metallic": 1}
    stored = answers(store)
    for uri, present in PHOTOS.items():
        answer = stored[uri.partition("/")[2]]
        assert answer.attributes == {name: name in present for name in SCHEMA.names()}
        local = {name for name in present if name in SCHEMA.names("local")}
        assert set(answer.masks) == {"object", *local}  # a global attribute's mask is the object's again
        for name, rle in answer.masks.items():
            expected = draw_mask("entire-object" if name == "object" else name)
            np.testing.assert_array_equal(decode_coco_rle(rle), expected)
        assert (answer.annotator, answer.tool, answer.note) == ("rival10", "import:rival10", "origin: dataset authors")
        assert answer.attribute_schema == "rival10@1"


def test_a_second_import_changes_nothing(store: Workspace, tree: Path) -> None:
    import_rival10(store, tree, ORIGIN)
    before = answers(store), store.decisions()
    report = import_rival10(store, tree, ORIGIN)
    assert (report.answers, report.already_there) == (0, 4)
    assert (answers(store), store.decisions()) == before


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_canvases_come_with_and_without_the_head_of_a_url(mode: str, head: str, as_bytes: bool) -> None:
    text = head + base64_png(draw_mask("wings"), mode)
    mask = decode_canvas(text.encode() if as_bytes else text, where="f")
    np.testing.assert_array_equal(mask, draw_mask("wings"))


def test_a_pixel_with_any_colour_is_mask() -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[1, 2, 1] = 1
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    mask = decode_canvas(base64.b64encode(buffer.getvalue()), where="f")
    assert np.argwhere(mask).tolist() == [[1, 2]]


def test_masks_of_another_size_are_resized_and_said_to_be(store: Workspace, tree: Path) -> None:
    names = ("entire-object", "wings", "metallic")
    write_masks(tree, {name: base64_png(np.kron(draw_mask(name), np.ones((2, 2), np.bool_))) for name in names})
    report = import_rival10(store, tree, ORIGIN)
    assert report.resized == 1
    answer = answers(store)[FIRST]
    np.testing.assert_array_equal(decode_coco_rle(answer.masks["wings"]), draw_mask("wings"))
    assert f"nearest neighbour from {2 * SIDE}x{2 * SIDE} to {SIDE}x{SIDE}" in answer.note


def test_photos_of_an_imagenet_folder_take_the_masks_too(tmp_path: Path, tree: Path) -> None:
    photos = tmp_path / "imagenet" / "n02690373"
    photos.mkdir(parents=True)
    Image.new("RGB", (60, 40), "red").save(photos / "n02690373_18.JPEG")
    with Workspace.create(tmp_path / "other") as other:
        index_source(other, open_source(str(photos.parent)))
        report = import_rival10(other, tree, ORIGIN)
        (answer,) = other.annotations()
    assert (report.answers, report.resized, len(report.not_indexed)) == (1, 1, 3)
    assert answer.masks["object"].size_hw == (40, 60)
    assert "n02123394_ILSVRC2012_val_00000018" in str(report)


def test_the_object_s_own_file_stands_in(store: Workspace, tree: Path) -> None:
    write_masks(tree, {"wings": base64_png(draw_mask("wings"))})
    report = import_rival10(store, tree, ORIGIN)
    assert (report.answers, report.without_mask) == (3, 1)  # the authors' own folder lacks some
    folder = tree / "train" / "entire_object_masks"
    folder.mkdir()
    pixels = draw_mask("entire-object", 8 * SIDE)
    Image.fromarray(pixels.astype(np.uint8) * 255).save(folder / f"{FIRST}.JPEG", "JPEG")
    assert import_rival10(store, tree, ORIGIN).answers == 1
    np.testing.assert_array_equal(decode_coco_rle(answers(store)[FIRST].masks["object"]), draw_mask("entire-object"))


def test_labels_count_where_masks_disagree(store: Workspace, tree: Path) -> None:
    write_masks(tree, {name: base64_png(draw_mask(name)) for name in ("entire-object", "horns")})
    report = import_rival10(store, tree, ORIGIN)
    assert report.present_without_mask == {"wings": 1}
    assert report.mask_without_presence == {"horns": 1}
    assert set(answers(store)[FIRST].masks) == {"object"}


class RunsACommand:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ran",)


def _masks(**changes: Any) -> Callable[[Path], None]:
    return lambda tree: write_masks(tree, {"entire-object": base64_png(draw_mask("entire-object")), **changes})


LABELS = np.zeros((2, 18), dtype=np.int64)
ALTERED = LABELS.copy()
ALTERED[1, 3] = 1
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pickle that runs a command": (_masks(wings=RunsACommand()), "_attr_dict.pkl: expected a pickled dict of text"),
    "a pickle that is cut": (
        lambda tree: (tree / "train" / "ordinary" / f"{FIRST}_attr_dict.pkl").write_bytes(b"\x80\x04"),
        "_attr_dict.pkl: expected a pickled dict",
    ),
    "no pickle": (
        lambda tree: (tree / "train" / "ordinary" / f"{FIRST}_attr_dict.pkl").unlink(),
        "expected a readable file",
    ),
    "a mask of something else": (_masks(feathers="x"), "attributes of rival10@1, got 'feathers'"),
    "a mask that is no base64": (_masks(wings="!!"), "wings: expected a PNG in base64"),
    "a mask that is not ASCII": (_masks(wings="ü"), "wings: expected a PNG in base64"),
    "a mask that is no PNG": (_masks(wings="aGVsbG8="), "wings: expected a whole PNG"),
    "a mask that is cut": (
        _masks(wings=base64.b64encode(png(draw_mask("wings"))[:-30]).decode()),
        "wings: expected a whole PNG",
    ),
    "labels in a pickle": (lambda tree: write_labels(tree, np.array([{}])), "a .npy file without pickle"),
    "labels that are text": (lambda tree: write_labels(tree, np.full((2, 18), "x")), "2 x 18 numbers"),
    "labels of another schema": (lambda tree: write_labels(tree, LABELS[:, :5]), r"shape \(2, 5\)"),
    "labels other than 0 and 1": (lambda tree: write_labels(tree, LABELS + 2), "2 x 18 numbers, 0 or 1"),
    "labels that are none": (lambda tree: write_labels(tree, np.full((2, 18), np.nan)), "2 x 18 numbers, 0 or 1"),
    "an altered photo": (lambda tree: write_labels(tree, ALTERED), "row 1: expected zeros: .*got text altered"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_named_by_file_and_the_rest_is_stored(
    store: Workspace, tree: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], message: str
) -> None:
    monkeypatch.chdir(tree)
    change(tree)
    with pytest.raises(DataError, match=message) as caught:
        import_rival10(store, tree, ORIGIN)
    assert FIRST in caught.value.faults[0].where
    assert len(answers(store)) == 3
    assert not (tree / "ran").exists()


def test_all_faults_are_told_at_once(store: Workspace, tree: Path) -> None:
    write_labels(tree, LABELS + 2)
    write_masks(tree, {}, stem="n02099601_n02099601_7")
    (tree / "train" / "ordinary" / "n02123394_ILSVRC2012_val_00000018_attr_dict.pkl").unlink()
    with pytest.raises(DataError) as caught:
        import_rival10(store, tree, ORIGIN)
    assert len(caught.value.faults) == 2  # a photo without an object mask is none


def test_a_folder_that_was_not_indexed_is_a_fault(tmp_path: Path, tree: Path) -> None:
    with Workspace.create(tmp_path / "empty") as empty, pytest.raises(DataError, match="figureground index"):
        import_rival10(empty, tree, ORIGIN)


def test_what_is_not_there_is_wrong_usage(store: Workspace, tree: Path) -> None:
    with pytest.raises(UsageError, match="found no train/ordinary"):
        import_rival10(store, tree / "train", ORIGIN)
    with pytest.raises(UsageError, match="--attributes"):
        import_rival10(store, tree, ImportOrigin(text="us", annotator="a", tool="t"))
    with pytest.raises(UsageError, match="no source is called"):
        import_rival10(store, tree, ORIGIN, source="gone")


def test_a_tree_with_attributes_of_its_own_is_read_with_their_schema(store: Workspace, tree: Path) -> None:
    own = AttributeSchema.model_validate(
        {"name": "own", "version": "1", "attributes": [{"name": "wings", "scope": "local"}]}
    )
    for stem, present in ((uri.partition("/")[2], present) for uri, present in PHOTOS.items()):
        for folder in tree.glob("*/ordinary"):
            if (folder / f"{stem}_attr_dict.pkl").exists():
                named = {name: base64_png(draw_mask(name)) for name in ("entire-object", *present) if name != "wheels"}
                named = {name: text for name, text in named.items() if name in ("entire-object", "wings")}
                (folder / f"{stem}_attr_dict.pkl").write_bytes(pickle.dumps(named))
                np.save(folder / f"{stem}_attr_labels.npy", np.array([["wings" in present], [False]]))
    made_by = ImportOrigin(text="us", annotator="us", tool="import:rival10", schema=own)
    assert import_rival10(store, tree, made_by).attributes == {"wings": 2}
