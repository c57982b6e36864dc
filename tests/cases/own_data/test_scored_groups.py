"""Photos of one video, burst or photographer in a dataset: rows say their group, and scores take whole groups."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_release import CLASS_MAP, draw_release
from plain_dataset import rewrite_rows
from scored_cases import colour_model
from shared_cases import run_here
from strategies import object_record

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.verbs import SourceReading, index
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, build
from figureground.exports.evaluation.intervals import group_effect, mean_estimate, paired_difference, share_interval
from figureground.exports.evaluation.repository.provenance import read_groups
from figureground.exports.evaluation.results import describe_groups, format_eval_results
from figureground.exports.evaluation.scoring import evaluate
from figureground.exports.evaluation.shares import count_groups, number_groups
from figureground.exports.evaluation.values import EvaluationError, Floats, Ints
from figureground.schemas.store.releases import blind_name, group_digest, read_release
from figureground.schemas.store.workspace import Workspace

CONFIGS = ("original", "mixed_same", "mixed_rand")


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve photos of two photographers and one dataset of them, and one without the groups."""
    root = Path(tmp_path_factory.mktemp("grouped"))
    drawn = draw_release(root / "drawn")
    rows = [f"{kind}/{kind}{number}.png,Ada{number % 2}" for kind in ("disc", "ring", "bar") for number in range(4)]
    (root / "groups.csv").write_text("\n".join(["file,group", *rows]))
    (root / "toy.json").write_text(CLASS_MAP)
    options = BuildOptions(variants=CONFIGS, class_map=str(root / "toy.json"), per_class="all", pixels=True)
    build("imagenet9", drawn.workspace, root / "plain", options=options, machines=Machines(workers=1))
    index(drawn.photos, drawn.workspace, name="drawn", reading=SourceReading(groups=root / "groups.csv"))
    with Workspace.open(drawn.workspace) as store:
        freeze(store, "v2", FreezeOptions())
    build("imagenet9", drawn.workspace, root / "set", release="v2", options=options, machines=Machines(workers=1))
    return root


def provenance(folder: Path, config: str) -> dict[str, dict[str, Any]]:
    (shard,) = (folder / "data" / config).glob("*.parquet")
    return {row["image_id"]: row["provenance"] for row in pq.read_table(shard).to_pylist()}


def test_rows_say_their_group_and_nobodys_name(grouped: Path) -> None:
    records = {record.image_id: record for record in read_release(grouped / "set" / "objects.parquet")[1]}
    for config in CONFIGS:
        groups = {image_id: own["group"] for image_id, own in provenance(grouped / "set", config).items()}
        assert groups == {image_id: records[image_id].group for image_id in groups}
        assert len(set(groups.values())) == 2
        assert not any("Ada" in group for group in groups.values())
    lock = json.loads((grouped / "set" / "recipe.lock.json").read_text())
    assert (lock["groups"], lock["row_layout"]) == ({"groups": 2, "objects": 12}, 3)
    assert "`provenance.group`" in (grouped / "set" / "README.md").read_text()


def test_a_dataset_without_groups_is_as_before(grouped: Path) -> None:
    assert all("group" not in own for own in provenance(grouped / "plain", "original").values())
    lock = json.loads((grouped / "plain" / "recipe.lock.json").read_text())
    assert ("groups" in lock, lock["row_layout"]) == (False, 2)
    assert "provenance.group" not in (grouped / "plain" / "README.md").read_text()


def test_pixels_do_not_depend_on_the_column(grouped: Path) -> None:
    one, two = (provenance(grouped / name, "original") for name in ("plain", "set"))
    assert {name: own["pixels_sha256"] for name, own in one.items()} == {
        name: own["pixels_sha256"] for name, own in two.items()
    }


def test_a_rebuilt_dataset_has_the_same_groups(
    grouped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(grouped / "drawn" / "photos", tmp_path / "elsewhere")
    words = ("rebuild", grouped / "set", "--source", tmp_path / "elsewhere", "-o", tmp_path / "again", "--workers", "1")
    code, _, error = run_here(capsys, *words)
    assert code == 0, error
    for name in ("recipe.lock.json", "data/mixed_rand/test-00000-of-00001.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (grouped / "set" / name).read_bytes(), name
    again, before = (read_release(folder / "objects.parquet")[1] for folder in (tmp_path / "again", grouped / "set"))
    assert [record.group for record in again] == [record.group for record in before]


def test_groups_of_one_name_in_two_sources_are_two_in_rows_too() -> None:
    one, two = (object_record(name, "a", group="v", source=name) for name in ("one", "two"))
    assert group_digest(one) != group_digest(two)
    assert group_digest(blind_name(one)) == group_digest(one)
    assert group_digest(object_record("three", "a")) == ""


# Scores


def scored(grouped: Path, tmp_path: Path, name: str = "set") -> dict[str, Any]:
    return evaluate(grouped / name, colour_model(tmp_path / "m.onnx"), bootstrap=20)


def test_results_say_how_many_independent_images_there_are(grouped: Path, tmp_path: Path) -> None:
    result = scored(grouped, tmp_path)
    assert result["dataset"]["groups"] == {"groups": 2, "images": 12}
    measured = [*result["configs"].values(), result["differences"]["bg_gap"]]
    assert all((own["n"], own["n_groups"]) == (12, 2) for own in measured)
    assert all(1 <= own["n_effective"] <= 12 for own in measured)
    plain = scored(grouped, tmp_path, "plain")
    assert "groups" not in plain["dataset"]
    assert "n_groups" not in plain["configs"]["original"]
    wide, narrow = (np.diff(own["configs"]["original"]["ci95_micro"])[0] for own in (result, plain))
    assert wide > narrow


def test_a_shard_without_ids_is_named_before_groups_are_read(tmp_path: Path) -> None:
    path = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(pa.table({"provenance": [{"group": "a"}], "label": [0]}), path)
    with pytest.raises(
        EvaluationError, match=r"test-00000-of-00001\.parquet: has no column image_id; download or build"
    ):
        read_groups([path])


def test_tables_and_published_figures_say_it_too(
    grouped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = scored(grouped, tmp_path)
    worth = f"12 images in 2 groups are worth {result['configs']['original']['n_effective']:.1f} independent ones"
    words = ("evaluate", grouped / "set", "--model", colour_model(tmp_path / "m.onnx"), "--bootstrap", "20")
    assert worth in run_here(capsys, *words)[1]
    assert worth in format_eval_results(result)
    assert describe_groups({"groups": {"groups": 2, "images": 12}}, {}) == [
        "12 images are in 2 groups, which these intervals do not allow for"
    ]
    assert describe_groups({}, {}) == []


@pytest.mark.parametrize(("value", "words"), [("", "expected one text"), ("x" * 201, "expected one text")])
def test_groups_that_are_none_are_refused(grouped: Path, tmp_path: Path, value: str, words: str) -> None:
    folder = tmp_path / "set"
    shutil.copytree(grouped / "set", folder)

    def change(rows: list[dict[str, Any]]) -> None:
        rows[0]["provenance"]["group"] = value

    rewrite_rows(folder, "data/original/test-00000-of-00001.parquet", change)
    with pytest.raises(EvaluationError, match=words):
        evaluate(folder, colour_model(tmp_path / "m.onnx"), bootstrap=20)


def test_a_photo_in_two_groups_is_refused(tmp_path: Path) -> None:
    rows = [{"image_id": "a", "provenance": {"group": group}} for group in ("x", "x", "y")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    with pytest.raises(EvaluationError, match=r"provenance\.group of a: expected one text"):
        read_groups([tmp_path / "x.parquet"])
    pq.write_table(pa.Table.from_pylist(rows[:2]), tmp_path / "x.parquet")
    assert read_groups([tmp_path / "x.parquet"]) == {"a": "x"}


# The statistics

ALIKE = np.zeros(60, np.int64)


def alone(count: int) -> Ints:
    return np.arange(count)


def test_images_that_are_all_alone_are_worth_themselves() -> None:
    values = (np.arange(60) % 3 % 2).astype(np.float64)
    effect = group_effect(values, ALIKE, alone(60))
    assert (effect.groups, effect.design_effect, effect.degrees) == (60, 1.0, 59.0)
    assert count_groups(values, ALIKE, alone(60)) == {"n_groups": 60, "n_effective": 60.0}
    assert count_groups(values, ALIKE, None) == {}


@pytest.mark.parametrize("strata", [ALIKE, np.repeat([0, 1], 30)])
def test_copies_of_an_image_are_worth_one(strata: Ints) -> None:
    """Five copies each of twelve images: five times the variance but for the factors n / (n - 1)."""
    values = np.repeat(np.arange(12) % 3 % 2, 5).astype(np.float64)
    effect = group_effect(values, strata, np.repeat(np.arange(12), 5))
    assert effect.groups == 12
    assert effect.design_effect == pytest.approx(5 * (12 / 11) / (60 / 59))
    low, high = share_interval(values, strata, np.repeat(np.arange(12), 5))
    narrow = share_interval(values, strata)
    assert low < narrow[0] < narrow[1] < high


def test_groups_never_make_a_mean_surer() -> None:
    opposed = np.tile([0.0, 1.0], 30)  # in every group one of each: the variance between groups is 0
    assert group_effect(opposed, ALIKE, np.repeat(np.arange(30), 2)).design_effect == 1


def test_where_nothing_varies_and_in_one_group_a_group_is_one_image() -> None:
    assert group_effect(np.ones(60), ALIKE, np.repeat(np.arange(6), 10)).design_effect == 10
    assert group_effect((np.arange(60) % 2).astype(np.float64), ALIKE, ALIKE).design_effect == 60
    low, high = share_interval(np.ones(60), ALIKE, ALIKE)
    assert (low < 0.4, high) == (True, 1)
    gap = mean_estimate((np.arange(60) % 2).astype(np.float64), ALIKE, (-1, 1), np.repeat([0, 1], 30))
    assert (gap.ci95, gap.p) == (None, None)


def clustered(generator: np.random.Generator, share: float, groups: int, size: int) -> Floats:
    """Right or wrong of images whose chance is their group's, with a correlation of 0.3 within groups."""
    chances = generator.beta(share * 0.7 / 0.3, (1 - share) * 0.7 / 0.3, groups)
    return (generator.random((groups, size)) < chances[:, None]).ravel().astype(np.float64)


@pytest.mark.parametrize("groups", [5, 20])
def test_intervals_cover_where_whole_groups_are_the_sample(groups: int) -> None:
    generator = np.random.Generator(np.random.Philox(groups))
    own, strata, runs = np.repeat(np.arange(groups), 8), np.zeros(groups * 8, np.int64), 200
    hits = {"by groups": 0, "as if alone": 0, "difference": 0, "mean": 0}
    for _ in range(runs):
        first, second = (clustered(generator, share, groups, 8) for share in (0.75, 0.6))
        for name, members in (("by groups", own), ("as if alone", None)):
            low, high = share_interval(first, strata, members)
            hits[name] += low <= 0.75 <= high
        low, high = paired_difference(first, second, strata, own).ci95 or (0, 0)
        hits["difference"] += low <= 0.15 <= high
        low, high = mean_estimate(first - second, strata, (-1, 1), own).ci95 or (0, 0)
        hits["mean"] += low <= 0.15 <= high
    assert hits["as if alone"] < 0.85 * runs
    assert min(hits["by groups"], hits["difference"], hits["mean"]) >= 0.91 * runs, hits


def test_a_difference_is_judged_by_its_groups() -> None:
    """Every second image is lost in one group of six, none elsewhere: McNemar is sure, six groups are not."""
    first, second = np.ones(60), np.ones(60)
    second[:10] = 0
    by_images = paired_difference(first, second, ALIKE)
    by_groups = paired_difference(first, second, ALIKE, np.repeat(np.arange(6), 10))
    assert by_images.p is not None
    assert by_groups.p is not None
    assert by_images.p < 0.01 < 0.2 < by_groups.p
    assert by_groups.ci95 is not None
    assert by_groups.ci95[0] < 0 < by_groups.value == by_images.value


def test_images_without_a_group_are_groups_of_their_own() -> None:
    assert number_groups(["a", "b", "c"], {"a": "x", "c": "x"}) is not None
    numbers = number_groups(["a", "b", "c", "d"], {"a": "x", "c": "x"})
    assert numbers is not None
    assert len(set(numbers.tolist())) == 3
    assert numbers[0] == numbers[2]
    assert number_groups(["a"], {}) is None
