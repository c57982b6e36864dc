"""Datasets of earlier pixel rules: rebuilt to their own pixels, and never copied from where the rules differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from drawn_release import CLASS_MAP, DrawnRelease, draw_release

from figureground.build.recipes.pixel_rules import PIXEL_RULES
from figureground.errors import DataError
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.changes import compare_versions
from figureground.exports.dataset.files import LOCK, MANIFEST, RECIPE
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import prepare_request
from figureground.exports.dataset.verify import verify_repository
from figureground.exports.rebuilding.rebuild import rebuild_dataset
from figureground.runtime.files import file_sha256
from figureground.schemas.sources.opening import open_source

SAMPLE = Path(__file__).parents[2] / "support" / "samples" / "pixel_rules_1"
"""Built by the code of pixel rules 1; its README.md says which."""
PHOTOS = [open_source(str(SAMPLE / "photos"), name="mine")]
RECIPE_WORDS: dict[str, Any] = {
    "name": "toy",
    "version": "1",
    "seed": 1,
    "class_map": "toy.json",
    "balance": {"per_class": "all"},
    "rules": {"exact": {"views": {"imagenet": {"size": 64, "crop": 56, "matte": "box_filter"}}}},
    "variants": {
        "original": {"ground": "source"},
        "no_fg": {"ground": "source", "matte": "mask", "figure": {"fill": "black"}},
    },
}


def rewrite(folder: Path, name: str, text: str) -> None:
    """Replace a file of a dataset, and its line in the manifest."""
    (folder / name).write_text(text)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"][name] = file_sha256(folder / name)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def rewrite_lock(folder: Path, changes: Mapping[str, Any]) -> None:
    lock = {**json.loads((folder / LOCK).read_text()), **changes}
    rewrite(folder, LOCK, json.dumps({name: value for name, value in lock.items() if value is not None}))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    dataset = DatasetFolder.open(folder)
    columns = ("object_mask", "box", "provenance.pixels_sha256", "provenance.params")
    return [row for config in dataset.configs for row in dataset.rows(config, columns=columns)]


def test_a_dataset_of_the_first_rules_is_rebuilt_to_its_own_pixels_and_masks(tmp_path: Path) -> None:
    report = rebuild_dataset(SAMPLE / "dataset", PHOTOS, tmp_path / "out")
    assert (report.rows, report.rows_of_release, report.drifted, report.missing) == (12, 12, (), ())
    assert rows_of(tmp_path / "out") == rows_of(SAMPLE / "dataset")
    rebuilt = DatasetFolder.open(tmp_path / "out")
    assert rebuilt.lock.pixel_rules == PIXEL_RULES
    assert {view.matte for view in rebuilt.recipe.rules["exact"].views.values()} == {"box_filter"}
    assert verify_repository(tmp_path / "out").images == 12
    assert rebuild_dataset(tmp_path / "out", PHOTOS, tmp_path / "again").drifted == ()


def test_the_sample_tells_the_rules_apart_in_every_config(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    release = shutil.copytree(SAMPLE / "dataset", tmp_path / "release")
    rewrite_lock(release, {"pixel_rules": PIXEL_RULES})
    with pytest.raises(DataError, match="other pixels") as error:
        rebuild_dataset(release, PHOTOS, tmp_path / "out")
    assert {fault.where for fault in error.value.faults} == {"mixed_rand", "moved", "no_fg"}


def test_later_rules_than_the_programs_are_refused(tmp_path: Path) -> None:
    release = shutil.copytree(SAMPLE / "dataset", tmp_path / "release")
    rewrite_lock(release, {"pixel_rules": PIXEL_RULES + 1})
    with pytest.raises(DataError, match=f"pixel rules from 1 to {PIXEL_RULES}, got {PIXEL_RULES + 1}"):
        rebuild_dataset(release, PHOTOS, tmp_path / "out")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    return draw_release(Path(tmp_path_factory.mktemp("drawn")), per_class=2)


@pytest.fixture(scope="module")
def earlier(drawn: DrawnRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset as the first rules' version of the same software wrote it: ``area``, and a lock that names no rules."""
    folder = Path(tmp_path_factory.mktemp("earlier"))
    (folder / "toy.json").write_text(CLASS_MAP)
    (folder / "toy.yaml").write_text(yaml.safe_dump(RECIPE_WORDS))
    request = prepare_request(str(folder / "toy.yaml"), drawn.workspace, machines=Machines(workers=1))
    build_dataset(request, folder / "old")
    rewrite(folder / "old", RECIPE, (folder / "old" / RECIPE).read_text().replace("box_filter", "area"))
    rewrite_lock(folder / "old", {"pixel_rules": None})
    return folder


@pytest.mark.parametrize(("matte", "copied"), [("area", 0), ("box_filter", 12)])
def test_rows_are_copied_only_where_the_rules_were_the_same(
    matte: str, copied: int, earlier: Path, drawn: DrawnRelease, tmp_path: Path
) -> None:
    (tmp_path / "toy.json").write_text(CLASS_MAP)
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(RECIPE_WORDS).replace("box_filter", matte))
    request = prepare_request(
        str(tmp_path / "toy.yaml"), drawn.workspace, earlier=earlier / "old", machines=Machines(workers=1)
    )
    assert build_dataset(request, tmp_path / "new").copied == copied
    changes = compare_versions(earlier / "old", tmp_path / "new")
    moved = () if copied else ("rules.exact.views.imagenet.matte: box_filter → area",)
    assert changes.recipe == moved
    assert (changes.rows["no_fg"].same == 6) == bool(copied)
