"""ImageNet-A as a source: the folder and the archive give the same photos, and whatever is odd is reported by name."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import tarfile
from pathlib import Path

import pytest
from imagenet_a_tree import draw_photos, draw_tar, draw_tree, write_masks
from needs import ROOT, SHARED, need_shared
from photo_samples import draw_pixels, encode

from figureground.annotate.catalogue import index_source
from figureground.annotate.imports.answers import ImportOrigin
from figureground.annotate.imports.mask_folder import import_mask_folder
from figureground.annotate.studio.served import ServedView, serve_copy
from figureground.annotate.studio.tasks import TaskSource, make_task
from figureground.errors import DataError, UsageError
from figureground.schemas.classes import load_class_map
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.sources.opening import ImageNetASource, count_passed_over, open_source, read_catalogued
from figureground.schemas.store.workspace import Workspace

CLASSES = load_class_map("imagenet_a")
WNIDS = [entry.wnids[0] for entry in CLASSES.classes]
NAME = "0.000116_digital clock _ digital clock_0.865662"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(tmp_path_factory.mktemp("drawn"))
    draw_tree(root)
    return root / "imagenet-a"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(tmp_path_factory.mktemp("drawn")) / "imagenet-a.tar"
    draw_tar(path)
    return path


def put(root: Path, *uris: str) -> None:
    """Small photos, no two alike."""
    for number, uri in enumerate(uris):
        (root / uri).parent.mkdir(parents=True, exist_ok=True)
        (root / uri).write_bytes(encode(draw_pixels(number, 8, 8), "JPEG"))


def pack(root: Path, path: Path) -> Path:
    """A folder as an archive, its own name on top."""
    with tarfile.open(path, "w") as archive:
        archive.add(root, root.name)
    return path


def faults(source: ImageNetASource) -> dict[str, str]:
    return {item.uri: item.fault for item in source if item.fault}


def opened(locator: Path, kind: str | None = "imagenet-a") -> ImageNetASource:
    source = open_source(str(locator), kind=kind)
    assert isinstance(source, ImageNetASource)
    return source


# The class map


def test_the_classes_are_the_200_in_the_order_of_their_wnids() -> None:
    assert len(WNIDS) == 200
    assert sorted(WNIDS) == WNIDS
    assert all(len(entry.wnids) == len(entry.imagenet_indices) == 1 for entry in CLASSES.classes)
    assert [entry.imagenet_indices[0] for entry in CLASSES.classes] == sorted(
        entry.imagenet_indices[0] for entry in CLASSES.classes
    )


def test_the_classes_agree_with_imagenet_1k() -> None:
    with (ROOT / "schemas" / "class_maps" / "imagenet1k.csv").open() as file:
        imagenet = {row["wnid"]: row for row in csv.DictReader(file)}
    for entry in CLASSES.classes:
        row = imagenet[entry.wnids[0]]
        assert entry.imagenet_indices == (int(row["index"]),)
        assert entry.name == row["name"].replace("'", "")
    assert len(set(CLASSES.names)) == 200


def test_the_classes_are_the_released_ones() -> None:
    path = SHARED / "class_maps" / "imagenet_a_manifest.csv"
    need_shared(path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    counts = dict.fromkeys(WNIDS, 0)
    for row in rows:
        counts[row["wnid"]] += 1
        assert int(row["ina_label"]) == WNIDS.index(row["wnid"])
    assert {entry.wnids[0]: (entry.model_extra or {})["n_images"] for entry in CLASSES.classes} == counts
    assert sum(counts.values()) == len(rows) == 7500


# The miniature


@pytest.mark.slow
def test_same_seed_same_bytes(tree: Path, archive: Path, tmp_path: Path) -> None:
    draw_photos.cache_clear()
    draw_tree(tmp_path)
    draw_tar(tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()
    files = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
    assert len(files) == 29
    for path in files:
        assert (tmp_path / "imagenet-a" / path).read_bytes() == (tree / path).read_bytes()
    assert draw_photos(1)[0].data != draw_photos()[0].data


@pytest.mark.slow
@pytest.mark.parametrize("given", [".", ".."])
@pytest.mark.parametrize("kind", ["imagenet-a", None])
def test_folder_and_archive_give_the_same_photos(tree: Path, archive: Path, given: str, kind: str | None) -> None:
    folder, tar = opened(tree / given, kind), opened(archive, kind)
    assert (folder.kind, folder.name, tar.name) == ("imagenet-a", "imagenet-a", "imagenet-a")
    assert list(folder) == list(tar)
    assert {(item.uri, item.label, item.source_split, item.fault) for item in folder} == {
        (photo.uri, photo.uri[:9], "", "") for photo in draw_photos()
    }
    for photo in draw_photos():
        assert folder.read(photo.uri) == tar.read(photo.uri) == photo.data
    assert count_passed_over(folder) == count_passed_over(tar) == {".txt": 1}


def test_every_ending_and_apostrophe_counts(tree: Path) -> None:
    uris = [item.uri for item in opened(tree)]
    assert {uri.rpartition(".")[2] for uri in uris} == {"jpg", "JPEG", "jpeg"}
    assert any("'" in uri and " " in uri for uri in uris)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_archive_is_catalogued_and_read_again(archive: Path, tmp_path: Path, workers: int) -> None:
    with Workspace.create(tmp_path / "work") as store:
        report = index_source(store, opened(archive), workers=workers)
        assert (report.added, report.rejections, report.passed_over) == (28, [], {".txt": 1})
        assert report.flags == {"cmyk": 1, "grey": 2, "exif_rotated": 2}
        drawn = {photo.image_id: photo for photo in draw_photos()}
        for image in store.images():
            assert read_catalogued(image, store.sources()) == drawn[image.image_id].data
            assert image.size_hw == drawn[image.image_id].mask_hw.shape


def test_a_workspace_goes_on_when_the_archive_is_unpacked(archive: Path, tree: Path, tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, opened(archive))
        report = index_source(store, opened(tree))
        assert (report.added, report.already_there) == (0, 28)
        assert store.sources()["imagenet-a"].locator == str(tree)
        assert all(read_catalogued(image, store.sources()) for image in store.images())


@pytest.mark.slow
def test_true_masks_come_in_by_the_photos_ids(tree: Path, tmp_path: Path) -> None:
    write_masks(tmp_path / "masks")
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, opened(tree))
        origin = ImportOrigin(text="drawn", annotator="drawn", tool="import:masks")
        assert import_mask_folder(store, tmp_path / "masks", origin).answers == 28
        drawn = {photo.image_id: photo.mask_hw for photo in draw_photos()}
        for answer in store.annotations():
            assert (decode_coco_rle(answer.masks["object"]) == drawn[answer.image_id]).all()


# What is odd


@pytest.mark.parametrize("packed", [False, True])
def test_strange_places_are_faults_by_name(tmp_path: Path, packed: bool) -> None:
    root = tmp_path / "imagenet-a"
    put(root, f"n01498041/{NAME}.jpg", "n01440764/tench.jpg", "loose.jpg", "n01498041/deep/x.jpg", "notes/x.JPEG")
    put(root, "n01498041/a.png", "n01498041/b.txt")
    source = opened(pack(root, tmp_path / "a.tar") if packed else root)
    assert [(item.uri, item.label) for item in source if not item.fault] == [(f"n01498041/{NAME}.jpg", "n01498041")]
    faulty = faults(source)
    assert sorted(faulty) == ["loose.jpg", "n01440764/tench.jpg", "n01498041/deep/x.jpg", "notes/x.JPEG"]
    assert faulty["n01440764/tench.jpg"] == (
        "expected <wnid>/<file> with one of ImageNet-A's 200 wnids, got the folder n01440764"
    )
    assert "a file at the top" in faulty["loose.jpg"]
    assert count_passed_over(source) == {".png": 1, ".txt": 1}


def test_the_archive_s_own_faults_are_among_the_photos(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    shutil.copy(archive, path)
    with tarfile.open(path, "a") as packed:
        for name, kind in (("n01498041/link.jpg", tarfile.SYMTYPE), ("../../up.jpg", tarfile.REGTYPE)):
            member = tarfile.TarInfo(f"imagenet-a/{name}")
            member.type, member.linkname = kind, "/etc/passwd"
            packed.addfile(member)
        packed.addfile(tarfile.TarInfo("n01498041/beside.jpg"))
        packed.addfile(tarfile.TarInfo(f"imagenet-a/{draw_photos()[0].uri}"))
    source = opened(path)
    assert faults(source) == {
        "n01498041/link.jpg": "expected a file, got a symbolic link",
        "../../up.jpg": "expected a path inside the archive, got one that leaves it",
        "n01498041/beside.jpg": "expected a file below imagenet-a/, got one beside it",
        draw_photos()[0].uri: "expected one file of this name, got 2",
    }
    with Workspace.create(tmp_path / "work") as store:
        report = index_source(store, source)
    assert (report.added, report.rejected) == (27, {"source_fault": 4})


@pytest.mark.parametrize("top", ["", "./", "./imagenet-a/", "my-own-copy/"])
def test_any_top_folder_will_do(tmp_path: Path, top: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        for number, wnid in enumerate(WNIDS[:2]):
            data = encode(draw_pixels(number), "JPEG")
            member = tarfile.TarInfo(f"{top}{wnid}/{NAME}.jpg")
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    source = opened(tmp_path / "a.tar")
    assert [item.uri for item in source] == [f"{wnid}/{NAME}.jpg" for wnid in WNIDS[:2]]
    assert source.read(f"{WNIDS[1]}/{NAME}.jpg") == encode(draw_pixels(1), "JPEG")


def test_a_single_class_is_no_top_folder(tmp_path: Path) -> None:
    put(tmp_path / WNIDS[0], "a.jpg", "deep/b.jpg")
    source = opened(pack(tmp_path / WNIDS[0], tmp_path / "a.tar"))
    assert [item.uri for item in source if not item.fault] == [f"{WNIDS[0]}/a.jpg"]
    assert list(faults(source)) == [f"{WNIDS[0]}/deep/b.jpg"]


def released(root: Path) -> Path:
    """Empty files in the number of every class's released photos."""
    for entry in CLASSES.classes:
        (root / entry.wnids[0]).mkdir(parents=True)
        for number in range((entry.model_extra or {})["n_images"]):
            (root / entry.wnids[0] / f"0.{number:06}_a _ a_0.5.jpg").touch()
    return root


def test_missing_photos_are_told_of_where_all_classes_are_there(tmp_path: Path) -> None:
    root = released(tmp_path / "imagenet-a")
    assert faults(opened(root)) == {}
    for wnid in WNIDS[:10]:
        (root / wnid / "0.000000_a _ a_0.5.jpg").unlink()
    faulty = faults(opened(root))
    assert list(faulty) == ["."]
    assert faulty["."].startswith("expected the 7,500 photos of the released archive, got 7,490: other numbers in ")
    assert "n01498041 (75 of 76)" in faulty["."]
    assert faulty["."].endswith("and 2 more") or faulty["."].endswith(", 2 more")
    shutil.rmtree(root / WNIDS[-1])
    assert faults(opened(root)) == {}  # a subset of the classes is the user's own choice


def test_an_incomplete_set_is_indexed_and_says_so(tmp_path: Path) -> None:
    put(tmp_path / "imagenet-a", *(f"{wnid}/{NAME}.jpg" for wnid in WNIDS))
    with Workspace.create(tmp_path / "work") as store:
        report = index_source(store, opened(tmp_path / "imagenet-a"))
    assert report.added == 200
    assert not report.faults  # which would end the command with an error
    assert "got 200: other numbers in n01498041 (1 of 76)" in str(report)


def test_equal_bytes_under_two_names_or_labels(tmp_path: Path) -> None:
    root = tmp_path / "imagenet-a"
    put(root, f"{WNIDS[0]}/{NAME}.jpg")
    for path in (f"{WNIDS[0]}/{NAME}.JPEG", f"{WNIDS[1]}/{NAME}.jpg"):
        (root / path).parent.mkdir(exist_ok=True)
        shutil.copy(root / WNIDS[0] / f"{NAME}.jpg", root / path)
    with Workspace.create(tmp_path / "work") as store:
        report = index_source(store, opened(root))
    assert (report.added, report.duplicates, report.rejected) == (1, 1, {"label_conflict": 1})
    assert len(report.faults) == 1


# Opening


def test_packed_archives_name_the_remedy(archive: Path, tmp_path: Path) -> None:
    for name in ("imagenet-a.tar.gz", "imagenet-a.tgz"):
        (tmp_path / name).write_bytes(gzip.compress(archive.read_bytes()))
        for kind in (None, "imagenet-a"):
            with pytest.raises(UsageError, match=f"not out of a packed archive; gunzip {name}"):
                open_source(str(tmp_path / name), kind=kind)


def test_a_cut_archive_is_an_error_and_nothing_is_catalogued(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(archive.read_bytes()[:-12_000])
    with Workspace.create(tmp_path / "work") as store:
        with pytest.raises(DataError, match="a whole, uncompressed tar archive"):
            index_source(store, opened(tmp_path / "a.tar"))
        assert list(store.images()) == []


def test_paths_stay_inside(tree: Path, archive: Path) -> None:
    for source in (opened(tree), opened(archive)):
        for uri in ("../secret.jpg", "/etc/passwd", "n01498041/../README.txt", "", "n01498041"):
            with pytest.raises(DataError):
                source.read(uri)


def test_folders_of_wnids_with_other_names_are_image_folders(tmp_path: Path) -> None:
    put(tmp_path, "n01498041/n01498041_10.JPEG", "n01531178/n01531178_3.JPEG")
    assert open_source(str(tmp_path)).kind == "folder"
    assert [item.label for item in opened(tmp_path)] == ["n01498041", "n01531178"]


def test_labels_beside_it_are_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n")
    with pytest.raises(UsageError, match="kind imagenet-a carries its own labels"):
        open_source(str(tree), labels=tmp_path / "labels.csv")


def test_what_annotators_see_tells_nothing_of_the_names(tree: Path, tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, opened(tree))
        for image in store.images():
            copy = serve_copy(read_catalogued(image, store.sources()), image, tmp_path / "served")
            task = make_task(TaskSource(record=image, proposal=None, copy=copy, address=copy.name, schema="a@1"))
            stem = image.uri.rpartition("/")[2].rpartition(".")[0]
            assert stem not in str(task)
            assert not any(part in str(task) for part in stem.split("_") if "." in part)
            assert copy.stem == image.image_id
            assert ServedView.of(image).stored_hw == image.size_hw
