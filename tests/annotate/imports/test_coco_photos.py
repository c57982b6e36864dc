"""Which photo an image of a COCO file is, and that a file's names lead nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from coco_samples import content, draw_store

from figureground.annotate.catalogue import index_source
from figureground.annotate.imports.coco_photos import match_bytes, match_photos
from figureground.annotate.imports.photo_names import PhotoNames
from figureground.errors import Faults
from figureground.schemas.sources.coco_files import read_coco
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Workspace:
    return draw_store(tmp_path)


def match(
    store: Workspace, *names: str, folder: Path | None = None, source: str | None = None
) -> tuple[dict[int, str], list[str]]:
    """Paths of the photos by the place of their names, and the faults."""
    path = Path(store.root) / "a.json"
    images = [{"id": number, "file_name": name, "height": 12, "width": 16} for number, name in enumerate(names)]
    path.write_text(json.dumps({**content(), "images": images}))
    faults = Faults()
    file = read_coco(path, faults)
    assert not len(faults)
    if folder is not None:
        matches = match_bytes(store, file, folder, source=source, faults=faults)
    else:
        matches = match_photos(PhotoNames(store, names, source=source), file, faults)
    messages = [str(fault) for fault in faults]
    uris = {photo.image_id: photo.uri for photo in store.images()}
    whole = {number: image.uri for number, image in matches.photos.items() if image.image_id not in matches.barred}
    assert {uris[image_id] for image_id in matches.barred}.isdisjoint(whole.values())
    return whole, messages


def test_names_mean_the_photo_with_the_same_folders(store: Workspace) -> None:
    names = ("b.jpg", "bird/a.png", r"C:\data\fish\a.png", "images/c.png", "elsewhere/c.png", "z.png")
    matched, faults = match(store, *names)
    assert matched == {0: "bird/b.png", 1: "bird/a.png", 2: "fish/a.png", 3: "fish/c.png"}
    assert faults == []


def test_an_image_id_is_a_name(store: Workspace) -> None:
    (image, *_) = store.images()
    assert match(store, f"{image.image_id}.png")[0] == {0: image.uri}


def test_a_name_of_several_photos_is_a_fault(store: Workspace) -> None:
    matched, (fault,) = match(store, "a.png", "c.png")
    assert matched == {1: "fish/c.png"}
    assert "image 0 a.png: expected one photo of this name, got 2 (" in fault
    assert "photos: bird/a.png" in fault
    assert "--images" in fault


def test_two_images_of_one_photo_are_a_fault(store: Workspace) -> None:
    matched, messages = match(store, "fish/c.png", "images/c.png", "b.png")
    assert matched == {2: "bird/b.png"}
    assert (
        "image 0 fish/c.png: expected one image for the photo fish/c.png, got image 1 images/c.png as well"
        in messages[0]
    )


def test_bytes_mean_the_photo_whatever_it_is_called(store: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "val"
    (folder / "deep").mkdir(parents=True)
    (folder / "000.jpg").write_bytes((tmp_path / "photos" / "fish" / "a.png").read_bytes())
    (folder / "deep" / "001.jpg").write_bytes((tmp_path / "photos" / "bird" / "b.png").read_bytes())
    (folder / "a.png").write_bytes(b"another photo")
    matched, faults = match(store, "000.jpg", "deep/001.jpg", "a.png", "gone.png", folder=folder)
    assert matched == {0: "fish/a.png", 1: "bird/b.png"}
    assert faults == []


@pytest.mark.parametrize("name", ["../photos/bird/a.png", "{root}/photos/bird/a.png", "link/a.png", "x/../../y.png"])
def test_paths_that_leave_the_folder_are_not_opened(store: Workspace, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "val"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "photos" / "bird")
    matched, (fault,) = match(store, name.format(root=tmp_path), folder=folder)
    assert matched == {}
    assert f"expected a path inside {folder}, got one that leaves it" in fault


def test_what_cannot_be_read_is_a_fault(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "val" / "folder.png").mkdir(parents=True)
    matched, faults = match(store, "folder.png", "n" * 900, folder=tmp_path / "val")
    assert matched == {}
    assert sorted(fault.partition("a readable file, got ")[2] for fault in faults) == [
        "File name too long",
        "Is a directory",
    ]


def test_a_source_can_be_chosen(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "more" / "fish").mkdir(parents=True)
    data = (tmp_path / "photos" / "fish" / "c.png").read_bytes() + b"other"
    (tmp_path / "more" / "fish" / "c.png").write_bytes(data)
    index_source(store, open_source(str(tmp_path / "more"), name="more"))
    assert "got 2" in match(store, "c.png")[1][0]
    assert match(store, "c.png", "bird/b.png", source="more") == ({0: "fish/c.png"}, [])
    assert match(store, "fish/c.png", source="photos", folder=tmp_path / "more") == ({}, [])
