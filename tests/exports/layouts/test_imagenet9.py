"""ImageNet-9's layout: read back as the evaluators read it, with honest donors in the names, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pasted_dataset import CLASS_MAP, NAMES, PER_CLASS, SIDE_PX, draw_mask, make_rows, photo_id, write_repository
from PIL import Image
from typer.testing import CliRunner

from figureground.cli.app import app
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.layouts import imagenet9
from figureground.exports.layouts.imagenet9 import class_folders, export_imagenet9
from figureground.runtime.folders import MARK
from figureground.schemas.classes import load_class_map
from figureground.schemas.rasters.masks import encode_png1

Rows = dict[str, list[dict[str, Any]]]
FOLDERS = [f"{index:02}_{name}" for index, name in enumerate(NAMES)]
RELEASED = (
    "00_dog",
    "01_bird",
    "02_wheeled vehicle",
    "03_reptile",
    "04_carnivore",
    "05_insect",
    "06_musical instrument",
    "07_primate",
    "08_fish",
)


EXPORTED = [config for config in make_rows() if config != "mixed_self"]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(Path(tmp_path_factory.mktemp("pasted")) / "pasted")


@pytest.fixture(scope="module")
def tree(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(tmp_path_factory.mktemp("layout")) / "as-in9"
    report = export_imagenet9(repo, out)
    assert report.images == {f"{config}/val": 3 * PER_CLASS for config in EXPORTED}
    assert (report.classes, report.own_classes, report.coded_labels, report.further_draws) == (3, True, 1, 0)
    return out / "bg_challenge"


def stems() -> dict[str, str]:
    """The 15 characters of every photo, worked out by hand: the serials of red take turns between two wnids."""
    return {
        photo_id(label, serial): f"{source}_{number:05}"
        for label, sources in enumerate([["n00000010", "n00000011"], ["n00000020"], ["c00000000"]])
        for position, source in enumerate(sources)
        for number, serial in enumerate(range(position, PER_CLASS, len(sources)), start=1)
    }


def pixels(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def listed(tree: Path) -> dict[str, dict[str, str]]:
    with (tree.parent / "names.csv").open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_configs_that_the_release_has_not_are_left_out_and_named(tree: Path, repo: Path, tmp_path: Path) -> None:
    assert {path.name for path in tree.iterdir()} == {*EXPORTED, "fg_mask"}
    assert set(EXPORTED) < set(imagenet9.RELEASED_CONFIGS)
    assert export_imagenet9(repo, tmp_path / "out").left_out == ("mixed_self",)


@pytest.mark.parametrize("config", EXPORTED)
def test_imagefolder_reads_labels_and_pixels_of_the_dataset(tree: Path, config: str) -> None:
    torchvision = pytest.importorskip("torchvision.datasets")
    rows = {row["image_id"]: row for row in make_rows()[config]}
    names = {stem: image_id for image_id, stem in stems().items()}
    folder = torchvision.ImageFolder(tree / config / "val")
    assert folder.classes == FOLDERS
    assert len(folder) == len(rows)
    for path, label in folder.samples:
        assert path.endswith(".JPEG")
        stem = Path(path).stem
        row = rows.pop(names[stem[3:18] if config.startswith("mixed_") else stem])
        assert label == row["label"]
        assert np.array_equal(np.asarray(folder.loader(path)), pixels(row["image"]["bytes"]))
        assert Path(path).read_bytes() == row["image"]["bytes"]
    assert not rows


def test_masks_are_found_by_the_photo_s_name_as_the_challenge_looks_for_them(tree: Path) -> None:
    """challenge_eval.py lists the masks and finds the photo by exchanging ``npy`` for ``JPEG``."""
    names = {stem: image_id for image_id, stem in stems().items()}
    masks = sorted((tree / "fg_mask" / "val").rglob("*.npy"))
    assert len(masks) == 3 * PER_CLASS
    for path in masks:
        mask = np.load(path, allow_pickle=False)
        assert (mask.dtype, mask.shape) == (np.bool_, (SIDE_PX, SIDE_PX))
        assert np.array_equal(mask, draw_mask(int(names[path.stem][0])))
        as_read = np.tile(mask[:, :, np.newaxis], [1, 1, 3]).astype("uint8") * 255
        assert as_read.shape == (SIDE_PX, SIDE_PX, 3)
        assert set(np.unique(as_read)) == {0, 255}
        photo = Path(str(path).replace("fg_mask", "original").replace(".npy", ".JPEG"))
        assert photo.is_file()
    assert [path.name for path in sorted((tree / "fg_mask" / "val").iterdir())] == FOLDERS


def test_mixed_names_say_whose_ground_is_in_the_pixels(tree: Path) -> None:
    rows, known = make_rows(), stems()
    donors = 0
    for config in ("mixed_same", "mixed_rand"):
        for row in rows[config]:
            ground = row["ground_id"] or row["image_id"]
            donors += ground != row["image_id"]
            stem = f"fg_{known[row['image_id']]}_bg_{known[ground]}"
            assert re.fullmatch(r"fg_[nc]\d{8}_\d{5}_bg_[nc]\d{8}_\d{5}", stem)
            file = tree / config / "val" / FOLDERS[row["label"]] / f"{stem}.JPEG"
            shown = pixels(file.read_bytes())
            (background,) = (candidate for candidate in rows["only_bg_t"] if candidate["image_id"] == ground)
            outside = ~draw_mask(int(row["image_id"][0]))
            assert np.array_equal(shown[outside], pixels(background["image"]["bytes"])[outside])
    assert donors > 15
    same, rand = ({path.name for path in (tree / config).rglob("*.JPEG")} for config in ("mixed_same", "mixed_rand"))
    assert same != rand


def test_photos_are_called_by_fifteen_characters(tree: Path) -> None:
    known = stems()
    assert len(set(known.values())) == len(known)
    assert {path.stem for path in (tree / "original").rglob("*.JPEG")} == set(known.values())
    assert {len(stem) for stem in known.values()} == {15}


def test_the_list_leads_from_every_file_to_its_photos(tree: Path) -> None:
    files, known = listed(tree), stems()
    source_labels = {original["source_label"] for original in make_rows()["original"]}
    assert list(files) == sorted(files)
    assert set(files) == {path.relative_to(tree.parent).as_posix() for path in tree.rglob("*.JPEG")}
    for file, row in files.items():
        stem = Path(file).stem
        figure, _, ground = stem.removeprefix("fg_").partition("_bg_")
        assert known[row["image_id"]] == figure
        assert (known[row["ground_id"]] if row["ground_id"] else figure) == (ground or figure)
        assert row["source_label"] in source_labels


def test_the_same_dataset_gives_the_same_bytes(repo: Path, tree: Path, tmp_path: Path) -> None:
    export_imagenet9(repo, tmp_path / "again")
    files = [path for path in tree.parent.rglob("*") if path.is_file()]
    assert len(files) == (len(EXPORTED) + 1) * 3 * PER_CLASS + 2
    for path in files:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tree.parent)).read_bytes()


def test_a_class_without_photos_keeps_its_folder(tmp_path: Path) -> None:
    rows = {config: [row for row in own if row["label"] != 1] for config, own in make_rows().items()}
    rows["mixed_rand"] = [row for row in rows["mixed_rand"] if row["ground_label"] != 1]
    export_imagenet9(write_repository(tmp_path / "repo", rows), tmp_path / "out")
    for config in (*EXPORTED, "fg_mask"):
        folder = tmp_path / "out" / "bg_challenge" / config / "val"
        assert sorted(path.name for path in folder.iterdir()) == FOLDERS
        assert not list((folder / "01_green").iterdir())


def test_folders_are_those_of_the_release() -> None:
    assert tuple(class_folders(load_class_map("imagenet9").names)) == RELEASED
    many = class_folders([f"k{index}" for index in range(200)])
    assert many == sorted(many)
    assert many[7] == "007_k7"


def test_further_draws_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = make_rows()
    rows["mixed_rand"] += [{**row, "draw": 1} for row in rows["mixed_rand"]]
    report = export_imagenet9(write_repository(tmp_path / "repo", rows), tmp_path / "out")
    assert report.further_draws == 3 * PER_CLASS
    assert report.images["mixed_rand/val"] == 3 * PER_CLASS


def test_other_splits_keep_their_names(tmp_path: Path) -> None:
    repo = write_repository(tmp_path / "repo", {"original": make_rows()["original"]})
    shard = repo / "data" / "original" / "test-00000-of-00001.parquet"
    (repo / "data" / "original" / "train-00000-of-00001.parquet").write_bytes(shard.read_bytes())
    write_manifest(repo)
    report = export_imagenet9(repo, tmp_path / "out")
    assert report.images == {"original/train": 15, "original/val": 15}
    assert len(list((tmp_path / "out" / "bg_challenge" / "fg_mask" / "train").rglob("*.npy"))) == 15


def spoil(rows: Rows, config: str, index: int, **changes: Any) -> None:
    rows[config][index] = {**rows[config][index], **changes}


def bytes_of(canvas: Image.Image, kind: str = "PNG") -> dict[str, Any]:
    buffer = io.BytesIO()
    canvas.save(buffer, kind)
    return {"bytes": buffer.getvalue(), "path": None}


def shorn(cell: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {"bytes": cell["bytes"][:count], "path": None}


SMALL = (SIDE_PX, SIDE_PX - 1)
HOSTILE: dict[str, tuple[Callable[[Rows], None], str]] = {
    "another label": (lambda rows: spoil(rows, "mixed_same", 2, label=3), "a label from 0 to 2, got 3"),
    "a negative label": (lambda rows: spoil(rows, "original", 2, label=-1), "a label from 0 to 2, got -1"),
    "no label": (lambda rows: spoil(rows, "only_bg_t", 0, label=None), "a label from 0 to 2, got None"),
    "a donor from elsewhere": (
        lambda rows: spoil(rows, "mixed_rand", 4, ground_id="../../../etc/passwd"),
        "etc/passwd: expected a photo of the config original, got none",
    ),
    "a figure from elsewhere": (
        lambda rows: spoil(rows, "only_bg_t", 4, image_id="/tmp/x"),
        "expected a photo of the config original",
    ),
    "a row twice": (lambda rows: rows["only_bg_t"].append(rows["only_bg_t"][0]), "one row of a photo, got two"),
    "JPEG bytes": (
        lambda rows: spoil(rows, "original", 0, image=bytes_of(Image.new("RGB", (SIDE_PX, SIDE_PX)), "JPEG")),
        "expected a PNG of mode RGB",
    ),
    "no bytes": (
        lambda rows: spoil(rows, "original", 0, image={"bytes": None, "path": "/etc/passwd"}),
        "expected a PNG",
    ),
    "no image": (lambda rows: spoil(rows, "mixed_same", 0, image=None), "mixed_same/val/.*: expected a PNG"),
    "a torn header": (
        lambda rows: spoil(rows, "original", 0, image=shorn(rows["original"][0]["image"], 20)),
        "expected a PNG",
    ),
    "grey": (
        lambda rows: spoil(rows, "original", 1, image=bytes_of(Image.new("L", (SIDE_PX, SIDE_PX)))),
        "got 224x224 of mode L",
    ),
    "another size": (
        lambda rows: spoil(
            rows,
            "only_bg_t",
            1,
            image=bytes_of(Image.new("RGB", SMALL)),
            object_mask={"bytes": encode_png1(np.ones(SMALL[::-1], np.bool_)), "path": None},
        ),
        "as all others, got 224x223",
    ),
    "a mask of another size": (
        lambda rows: spoil(
            rows, "original", 1, object_mask={"bytes": encode_png1(np.ones(SMALL[::-1], np.bool_)), "path": None}
        ),
        "object_mask: original/val/.*: expected 224x224 .* as its image, got 224x223",
    ),
    "no mask": (lambda rows: spoil(rows, "original", 1, object_mask=None), "object_mask: original/val/"),
    "a torn mask": (
        lambda rows: spoil(rows, "original", 1, object_mask=shorn(rows["original"][1]["object_mask"], 50)),
        "original/val/",
    ),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_faulty_rows_are_named_and_nothing_is_written(tmp_path: Path, fault: str) -> None:
    break_rows, message = HOSTILE[fault]
    rows = make_rows()
    break_rows(rows)
    repo = write_repository(tmp_path / "repo", rows)
    with pytest.raises(DataError, match=message) as caught:
        export_imagenet9(repo, tmp_path / "out")
    assert len(caught.value.faults) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    rows = make_rows()
    for fault in ("another label", "a donor from elsewhere", "a row twice", "JPEG bytes", "no mask"):
        HOSTILE[fault][0](rows)
    with pytest.raises(DataError) as caught:
        export_imagenet9(write_repository(tmp_path / "repo", rows), tmp_path / "out")
    assert len(caught.value.faults) == 5


def test_a_config_that_is_called_like_the_masks_hides_none(tmp_path: Path) -> None:
    rows = make_rows()
    repo = write_repository(tmp_path / "repo", {"original": rows["original"], "fg_mask": rows["only_bg_t"]})
    assert export_imagenet9(repo, tmp_path / "out").left_out == ("fg_mask",)
    assert {path.suffix for path in (tmp_path / "out" / "bg_challenge" / "fg_mask").rglob("*.*")} == {".npy"}


def test_a_config_that_would_leave_the_tree_is_refused(tmp_path: Path) -> None:
    rows = make_rows()
    repo = write_repository(tmp_path / "repo", {"original": rows["original"], "a b": rows["only_bg_t"]})
    with pytest.raises(DataError, match="a path inside the repository"):
        export_imagenet9(repo, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_hostile_class_names_and_labels_never_become_paths(tmp_path: Path) -> None:
    repo = write_repository(tmp_path / "names")
    classes = {**CLASS_MAP, "classes": [{**entry, "name": "../../x"} for entry in CLASS_MAP["classes"]]}
    (repo / "class_map.json").write_text(json.dumps(classes))
    with pytest.raises(DataError, match="class_map"):
        export_imagenet9(repo, tmp_path / "out")
    rows = make_rows()
    for row in rows["original"]:
        row["source_label"] = "../../../x" if row["label"] else "=1+1"
    report = export_imagenet9(write_repository(tmp_path / "labels", rows), tmp_path / "out")
    assert report.coded_labels == 2
    names = {path.stem for path in (tmp_path / "out" / "bg_challenge" / "original").rglob("*.JPEG")}
    assert names == {
        f"c0000000{code}_{number:05}" for code, count in ((0, 10), (1, 5)) for number in range(1, count + 1)
    }


def test_more_photos_than_five_digits_number(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet9, "MOST_PHOTOS", 4)
    with pytest.raises(DataError, match="expected at most 4 photos, got 5") as caught:
        export_imagenet9(repo, tmp_path / "out")
    assert {fault.record for fault in caught.value.faults} == {"n00000020", "bluish"}


def test_what_cannot_be_exported_says_why(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="there exists"):
        export_imagenet9(repo, tmp_path / "there")
    with pytest.raises(UsageError, match=r"no dataset: it has no manifest\.json"):
        export_imagenet9(tmp_path, tmp_path / "out")
    grounds = write_repository(tmp_path / "grounds", {"only_bg_t": make_rows()["only_bg_t"]})
    with pytest.raises(UsageError, match="no dataset with a config original"):
        export_imagenet9(grounds, tmp_path / "out")
    for column, error, message in (
        ("image", UsageError, "rebuild it from the photos"),
        ("ground_id", DataError, "got no ground_id"),
    ):
        bare = without(tmp_path / f"no-{column}", column)
        with pytest.raises(error, match=message):
            export_imagenet9(bare, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def without(folder: Path, column: str) -> Path:
    """The dataset, with a column less in ``only_bg_t``."""
    path = write_repository(folder) / "data" / "only_bg_t" / "test-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    return folder


def test_a_killed_export_leaves_nothing_that_looks_whole(repo: Path, tmp_path: Path) -> None:
    def die(_: str, done: int, __: int) -> None:
        assert (tmp_path / "out.partial").is_dir()
        assert not (tmp_path / "out").exists()
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_imagenet9(repo, tmp_path / "out", progress=die)
    assert not list(tmp_path.iterdir())
    (tmp_path / "out.partial" / "bg_challenge" / "original" / "val" / "left over").mkdir(parents=True)
    (tmp_path / "out.partial" / MARK).write_text("export")
    export_imagenet9(repo, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("left over"))


def test_the_command_tells_what_its_readers_must_know(repo: Path, tmp_path: Path) -> None:
    arguments = ["export", str(repo), "--layout", "imagenet9", "-o"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out")], catch_exceptions=False)
    assert "original/val 15" in done.stdout
    for sentence in (
        "left out: mixed_self, which the release has not",
        "1 source labels are no wnids",
        "--in9",
        "challenge_eval.py expects 9 classes, this dataset has 3",
    ):
        assert sentence in done.stdout
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "json"), "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["images"]["mixed_rand/val"] == 15
