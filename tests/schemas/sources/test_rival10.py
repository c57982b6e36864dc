"""A user's own RIVAL10 folder as a source of photos."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rival10_tree import PHOTOS, draw_tree

from figureground.annotate.catalogue import index_source
from figureground.errors import DataError, UsageError
from figureground.schemas.classes import from_imagenet_train
from figureground.schemas.sources.opening import Rival10Source, open_source, read_catalogued
from figureground.schemas.store.workspace import Workspace


@pytest.mark.parametrize("given", ["RIVAL10", "."])
@pytest.mark.parametrize("kind", ["rival10", None])
def test_photos_are_found_with_labels_and_splits(tmp_path: Path, given: str, kind: str | None) -> None:
    draw_tree(tmp_path)
    source = open_source(str(tmp_path / given), kind=kind, name="own")
    assert isinstance(source, Rival10Source)
    items = {item.uri: (item.label, item.source_split, item.fault) for item in source}
    assert items == {
        f"{split}/ordinary/{stem}.JPEG": (stem[:9], split, "") for split, stem in (path.split("/") for path in PHOTOS)
    }


def test_photos_can_be_read_again_from_the_catalogue(tmp_path: Path) -> None:
    tree = draw_tree(tmp_path)
    with Workspace.create(tmp_path / "work") as store:
        report = index_source(store, open_source(str(tmp_path), name="own"))
        assert (report.added, report.rejections) == (len(PHOTOS), [])
        for image in store.images():
            assert read_catalogued(image, store.sources()) == (tree / image.uri).read_bytes()


def test_the_name_tells_which_photos_imagenet_classifiers_were_trained_on(tmp_path: Path) -> None:
    draw_tree(tmp_path)
    seen = {item.uri: from_imagenet_train(item.uri) for item in open_source(str(tmp_path))}
    assert seen == {uri: "ILSVRC2012_val" not in uri for uri in seen}


def test_masks_and_altered_photos_are_no_photos(tmp_path: Path) -> None:
    tree = draw_tree(tmp_path)
    for folder in ("entire_object_masks", "superimposed", "removed"):
        shutil.copytree(tree / "train" / "ordinary", tree / "train" / folder)
    assert len(list(open_source(str(tree)))) == len(PHOTOS)


def test_a_file_with_a_strange_name_is_a_fault(tmp_path: Path) -> None:
    folder = draw_tree(tmp_path) / "train" / "ordinary"
    (folder / "n02690373_n02690373_18.JPEG").rename(folder / "plane.JPEG")
    faults = {item.uri: item.fault for item in open_source(str(tmp_path)) if item.fault}
    assert list(faults) == ["train/ordinary/plane.JPEG"]
    assert "LABEL_NAME.JPEG" in faults["train/ordinary/plane.JPEG"]


def test_paths_stay_inside(tmp_path: Path) -> None:
    draw_tree(tmp_path)
    with pytest.raises(DataError, match="leaves it"):
        open_source(str(tmp_path)).read("../secret.JPEG")


def test_a_class_called_ordinary_is_no_rival10(tmp_path: Path) -> None:
    tree = draw_tree(tmp_path)
    for path in tree.rglob("*_attr_*"):
        path.unlink()
    assert open_source(str(tree)).kind == "folder"


def test_labels_beside_it_are_refused(tmp_path: Path) -> None:
    draw_tree(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\n")
    with pytest.raises(UsageError, match="carries its own labels"):
        open_source(str(tmp_path), labels=tmp_path / "labels.csv")
