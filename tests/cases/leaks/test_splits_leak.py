"""A near-duplicate across splits stops a build with both photos named, unless somebody says why it may stand."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from drawn_release import CLASS_MAP, draw_photo
from PIL import Image
from shared_cases import run_here

from figureground.annotate.verbs import freeze, index
from figureground.schemas.store.workspace import Workspace

SEED = 900
RECIPE = """
name: leaky
version: "1"
seed: 3
class_map: toy.json
splits: {by: source, shares: {train: 0.6, test: 0.4}}
rules:
  exact:
    views: {imagenet: {resize: short_side, size: 256, crop: 224, image: bilinear, matte: area}}
    filters: {mask: false}
variants: {original: {ground: source}}
"""


@dataclass(frozen=True)
class Leak:
    folder: Path
    ids: tuple[str, str]
    """Of the photo in train and of its copy in test."""

    def build(self, capsys: pytest.CaptureFixture[str], out: str, *words: object) -> tuple[int, str, str]:
        place = self.folder
        return run_here(
            capsys, "build", place / "mine.yaml", "-w", place / "work", "-o", place / out, "--workers", "1", *words
        )


@pytest.fixture(scope="module")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Leak:
    """Photos of the source's own splits, one of train re-encoded in test under another class."""
    tmp_path = tmp_path_factory.mktemp("leak")
    for number, kind in enumerate(("disc", "ring", "bar")):
        for split, count in (("train", 3), ("test", 2)):
            for place in range(count):
                path = tmp_path / "photos" / split / kind / f"{split}{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(draw_photo(kind, SEED + 100 * number + 10 * count + place)[0]).save(path)
    twin = tmp_path / "photos" / "test" / "ring" / "twin.jpg"
    with Image.open(tmp_path / "photos" / "train" / "disc" / "train1.png") as photo:
        photo.save(twin, quality=40)
    (tmp_path / "mine.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "toy.json").write_text(CLASS_MAP, encoding="utf-8")
    work = tmp_path / "work"
    index(tmp_path / "photos", work, name="drawn", workers=1)
    freeze(work, "v1", unmasked=True)
    with Workspace.open(work) as store:
        ids = {image.uri: image.image_id for image in store.images()}
    return Leak(folder=tmp_path, ids=(ids["train/disc/train1.png"], ids["test/ring/twin.jpg"]))


def test_a_planted_pair_stops_the_build_with_both_ids(
    leak: Leak, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = leak.build(capsys, "stopped")
    assert code == 1
    for image_id, place in zip(
        leak.ids, ("train, drawn: train/disc/train1.png", "test, drawn: test/ring/twin.jpg"), strict=True
    ):
        assert f"{image_id}.0 ({place})" in error
    assert "of 64 bits differ" in error
    assert not (leak.folder / "stopped").exists()
    # Divided by the seed they stay together; forgotten, there is one of them.
    assert leak.build(capsys, "by-seed", "--split-by", "seed")[0] == 0
    work = tmp_path / "work"
    shutil.copytree(leak.folder / "work", work)
    assert run_here(capsys, "forget", leak.ids[1], "-w", work)[0] == 0
    freeze(work, "v2", unmasked=True)
    assert leak.build(capsys, "one-of-them", "-w", work, "--release", "v2")[0] == 0


def test_a_reason_waives_it_and_stands_in_recipe_report_and_card(
    leak: Leak, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, error = leak.build(capsys, "out", "--waive-near-duplicates", "as the paper | has it")
    assert code == 0, error
    assert "warning: near_duplicates_in_two_splits: 1 (" in printed
    out = leak.folder / "out"
    recipe = yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["splits"]["waive_near_duplicates"] == "as the paper | has it"
    findings = {finding["gate"]: finding for finding in json.loads((out / "report" / "gates.json").read_text())}
    assert all(image_id in findings["near_duplicates_in_two_splits"]["examples"][0] for image_id in leak.ids)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "says why: as the paper \\| has it." in card
    lock = json.loads((out / "recipe.lock.json").read_text())
    assert {key: lock["effective_n"][key] for key in ("photos", "groups", "bits")} == {
        "photos": 16,
        "groups": 15,
        "bits": 8,
    }
    assert "| **all** | 16 | 15 | 14.2 |" in card
    assert run_here(capsys, "verify", out, "--workers", "1")[0] == 0
    assert leak.build(capsys, "out")[0] == 1  # without the reason it is no build


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_a_reason_is_words(reason: str, leak: Leak, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = leak.build(capsys, "out", "--waive-near-duplicates", reason)
    assert (code, "give a reason of at most 500 characters" in error) == (2, True)


def test_duplicates_names_the_pair_with_what_is_wrong(leak: Leak, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run_here(capsys, "duplicates", leak.folder / "work", "--json")
    report: dict[str, Any] = json.loads(printed)
    (group,) = report["groups"]
    assert code == 0
    assert report["problems"] == {"across_classes": 1, "across_splits": 1}
    assert {photo["image_id"] for photo in group["photos"]} == set(leak.ids)
    assert {(photo["label"], photo["split"]) for photo in group["photos"]} == {("disc", "train"), ("ring", "test")}
    assert group["links"][0]["kind"] == "phash"
    assert group["links"][0]["distance"] <= 8
    text = run_here(capsys, "duplicates", leak.folder / "work")[1]
    assert "1 group of 2 near-duplicates among 16 photos (hashes of at most 8 bits apart): 1 across classes" in text
    assert "test/ring/twin.jpg" in text


def test_duplicates_across_two_releases_are_told_by_their_splits(
    leak: Leak, capsys: pytest.CaptureFixture[str]
) -> None:
    """The train split of one dataset, whose photo another's test split has."""
    if not (leak.folder / "out").exists():
        assert leak.build(capsys, "out", "--waive-near-duplicates", "to be found")[0] == 0
    release = leak.folder / "work" / "objects" / "v1.parquet"
    code, printed, error = run_here(capsys, "duplicates", leak.folder / "out", release, "--json")
    assert code == 0, error
    report = json.loads(printed)
    assert len(report["groups"]) == 15  # every photo is in both
    assert report["problems"]["across_places"] == 15
    (pair,) = (group for group in report["groups"] if "across_splits" in group["problems"])
    assert sorted((photo["place"], photo["split"]) for photo in pair["photos"]) == sorted(
        (str(place), split) for place in (leak.folder / "out", release) for split in ("train", "test")
    )
    assert {link["kind"] for link in pair["links"]} == {"bytes", "phash"}
