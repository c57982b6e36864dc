"""Protocol imagenet_a as a whole: models that see the figure or the ground alone, on crops whose answers are known."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import ROOT
from colour_dataset import offline
from crop_dataset import CLASS_MAP, NAMES, Photo, crop_configs, photos, write_repository
from scipy.stats import chi2, ttest_1samp  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports import evaluate as script
from figureground.exports.evaluate import CroppedFigure, EvaluationError, MaskedAnswers, Sampling

pytestmark = pytest.mark.usefixtures("offline_datasets", "fresh_modules")

SAMPLES = ROOT / "tests" / "support" / "samples"
DRAWN = photos(30)
ASIDE = [photo for photo in DRAWN if photo.instances == 2]
"""Photos whose figure the centre crop does not show: a third of each class."""
CLASSES = script.parse_class_map(json.dumps(CLASS_MAP))


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(tmp_path_factory.mktemp("crops") / "crops", crop_configs(DRAWN))


def score(repo: Path, model: str = "looks_at_figure", **more: Any) -> dict[str, Any]:
    options: Any = {"bootstrap": 200, **more}
    return script.evaluate(str(repo), f"crop_dataset:{model}", **options)


def found_in(result: dict[str, Any], space: str = "masked3") -> dict[str, Any]:
    summary: dict[str, Any] = result["label_spaces"][space]
    return summary


def accuracies(summary: dict[str, Any]) -> dict[str, float]:
    return {config: scores["accuracy_micro"] for config, scores in summary["configs"].items()}


def test_a_model_that_sees_the_figure_gains_where_the_centre_crop_had_lost_it(crops: Path) -> None:
    """It says red to what it does not see: right on a third; it sees two thirds of the figures in the middle."""
    result = score(crops)
    assert result["protocol"] == "imagenet_a"
    assert (result["headline"], result["parameters"], result["cluster"]) == ("accuracy_micro", 3, "image")
    summary = found_in(result)
    seen_in_the_middle = (60 + 30 / 3) / 90
    assert accuracies(summary) == pytest.approx(
        {
            "original": seen_in_the_middle,
            "five_crop": 1,
            "plus": 1,
            "plus_m00": 1,
            "plus_m25": 1,
            "plus_m50": 1,
            "plus_masked": 1,
            "bg_only": 1 / 3,
            "center_zoom": seen_in_the_middle,
            "random_box": (30 + (30 - 30 / 3) / 2) / 90,  # red always; aside, one window of two shows the figure
        }
    )
    assert summary["chance"] == pytest.approx(1 / 3)
    plus = summary["differences"]["plus_minus_original"]
    assert (plus["n"], plus["micro"]["value"]) == (90, pytest.approx(20 / 90))
    assert plus["micro"]["subtrahend"] == pytest.approx(seen_in_the_middle)
    assert plus["micro"]["p"] == pytest.approx(chi2.sf(20, 1))
    low, high = plus["micro"]["ci95"]
    half = 1.96 * (20 / 90 * 70 / 90 / 90) ** 0.5
    assert (low, high) == (pytest.approx(20 / 90 - half, abs=0.03), pytest.approx(20 / 90 + half, abs=0.03))
    assert 0 < summary["differences"]["plus_minus_random_box"]["micro"]["p"] < 0.001  # two rows an image
    assert summary["differences"]["plus_minus_five_crop"]["micro"] == {
        "minuend": 1,
        "subtrahend": 1,
        "value": 0,
        "ci95": script.tango_interval(0, 0, 90),
        "p": 1,
        "ratio": 1,
        "ratio_ci95": None,
    }


def test_a_model_that_sees_the_ground_loses_where_the_ground_is_gone(crops: Path) -> None:
    summary = found_in(score(crops, "looks_at_ground", configs=["original", "plus_masked", "bg_only", "plus_m50"]))
    tight = [photo for photo in DRAWN if "green" in photo.image_id]
    assert accuracies(summary)["original"] == accuracies(summary)["plus_m50"] == 1
    assert accuracies(summary)["plus_masked"] == pytest.approx(1 / 3)
    assert summary["configs"]["plus_masked"]["per_class"]["green"]["accuracy"] == 0
    assert summary["configs"]["plus_masked"]["per_class"]["green"]["n"] == len(tight)
    assert accuracies(summary)["bg_only"] > 1 / 3  # where a margin is left around the figure
    assert set(summary["differences"]) == {
        f"{config}_minus_original" for config in ("bg_only", "plus_m50", "plus_masked")
    }
    assert summary["slices"] == {}


def test_over_all_outputs_another_answer_is_wrong(crops: Path) -> None:
    """The model says something else than green to every green it sees; masked, that answer is not open to it."""
    result = score(crops, "imagenet_figure", configs=["original", "plus"])
    masked, whole = (accuracies(found_in(result, space)) for space in ("masked3", "1000"))
    assert masked == pytest.approx({"original": 70 / 90, "plus": 1})
    assert whole == pytest.approx({"original": (30 + 20) / 90, "plus": 60 / 90})
    assert found_in(result, "1000")["chance"] == 1 / 1000
    assert found_in(result, "1000")["configs"]["plus"]["top5"]["accuracy_micro"] == 1
    assert found_in(result, "masked3")["configs"]["plus"]["top5"] is None  # there are but three


def test_the_zoom_of_the_same_size_tells_localisation_from_size(crops: Path) -> None:
    differences = found_in(score(crops))["differences"]
    both = [differences[f"{config}_minus_original"]["micro"]["value"] for config in ("plus", "center_zoom")]
    assert differences["plus_minus_center_zoom"]["micro"]["value"] == pytest.approx(both[0] - both[1])


def test_slices_say_where_a_difference_comes_from(crops: Path) -> None:
    slices = found_in(score(crops))["slices"]
    assert set(slices) == {"plus_minus_original", "plus_minus_center_zoom"}
    by = slices["plus_minus_original"]
    by_group = {(name, part["group"]): (part["n"], part["value"]) for name, groups in by.items() for part in groups}
    for several, single in (
        (("instances", "several"), ("instances", "1")),
        (("flag truncated_by_center_crop", "true"), ("flag truncated_by_center_crop", "false")),
        (("flag several_instances", "true"), ("flag several_instances", "false")),
    ):
        assert by_group[several] == (len(ASIDE), pytest.approx(2 / 3))
        assert by_group[single] == (len(DRAWN) - len(ASIDE), 0)
    assert by_group["attribute occluded", "true"] == (len(ASIDE), pytest.approx(2 / 3))
    assert ("attribute occluded", "false") not in by_group  # nobody answered for the others
    assert by_group["class", "red"] == (30, 0)
    assert by_group["class", "blue"] == (30, pytest.approx(1 / 3))
    shares = by["box_share"]
    assert sum(part["n"] for part in shares) == 90
    ends = [tuple(map(float, part["group"].split(" to "))) for part in shares]
    assert all(low <= high for low, high in ends)
    assert all(first[1] < second[0] for first, second in itertools.pairwise(ends))
    for part in (part for groups in by.values() for part in groups):
        assert part["undecidable"] == (part["n"] < 25)


def test_quantiles_of_the_box_hold_enough_images_and_keep_ties_together() -> None:
    for count, groups in ((24, 1), (49, 1), (50, 2), (249, 9), (250, 10), (2000, 10)):
        slices = slices_of(np.linspace(0.01, 0.9, count).tolist())["box_share"]
        assert len(slices) == groups
        assert min(part["n"] for part in slices) >= min(25, count)
    tied = slices_of([0.1] * 60 + [0.5] * 40)["box_share"]
    assert [(part["group"], part["n"]) for part in tied] == [("0.1 to 0.1", 60), ("0.5 to 0.5", 40)]


def slices_of(shares: list[float]) -> dict[str, list[dict[str, Any]]]:
    count = len(shares)
    ids = np.array([f"{row:04}" for row in range(count)])
    right, wrong = (
        script.ImageShares(
            image_id=ids, label=np.zeros(count, np.int64), rows=np.ones(count, np.int64), value=np.full(count, value)
        )
        for value in (1.0, 0.0)
    )
    figures = {
        name: CroppedFigure(box_share=share, instances=1, traits={}) for name, share in zip(ids, shares, strict=True)
    }
    return script.slice_difference(right, wrong, figures, CLASSES, Sampling(count=5))


def answers(right: dict[str, int], label: int | None = None) -> MaskedAnswers:
    """One row a name: its class is its first letter's, unless told."""
    outcomes = np.array(list(right.values()), dtype=np.bool_)
    labels = ["rgb".index(name[0]) if label is None else label for name in right]
    return MaskedAnswers(
        image_id=np.array(list(right)),
        label=np.array(labels),
        right=outcomes,
        top5=outcomes,
        confidence=np.full(len(right), 0.5),
    )


def summarise(outcomes: dict[str, MaskedAnswers], **more: Any) -> dict[str, Any]:
    return script.summarise_imagenet_a(outcomes, {}, CLASSES, "masked3", Sampling(count=3000, **more))


def test_a_config_that_lacks_photos_is_compared_on_those_it_has() -> None:
    """All of original: 4 of 6 right; the three that plus has: 2 of 3, and 3 of 3 in plus."""
    original = {"r1": 1, "r2": 0, "g1": 1, "g2": 0, "b1": 1, "b2": 1}
    summary = summarise({"original": answers(original), "plus_m25": answers({"r2": 1, "g1": 1, "b1": 1})})
    plus = summary["configs"]["plus_m25"]
    assert (plus["n"], plus["coverage"], plus["accuracy_micro"]) == (3, 0.5, 1)
    assert plus["per_class"]["green"] == {
        "n": 1,
        "undecidable": True,
        "coverage": 0.5,
        "accuracy": 1.0,
        "ci95": script.wilson_interval(1, 1),
    }
    difference = summary["differences"]["plus_m25_minus_original"]
    assert difference["n"] == 3
    assert (difference["micro"]["minuend"], difference["micro"]["subtrahend"]) == (1, pytest.approx(2 / 3))
    assert summary["configs"]["original"]["accuracy_micro"] == pytest.approx(4 / 6)
    header = {"dataset": {"name": "x", "revision": None, "split": "test", "fingerprint": "f"}, "feed": "canvas"}
    text = script.format_table(
        [{**header, "protocol": "imagenet_a", "model": "m", "label_spaces": {"masked3": summary}}]
    )
    low, high = script.tango_interval(1, 0, 3)
    lines = [line.split("  ") for line in text.splitlines()]
    rows = {line[0]: line[-1].strip() for line in lines}
    assert rows["plus_m25 - original (n 3)"] == f"+33.3 [{100 * low:.1f}, {100 * high:.1f}] undecidable"
    assert rows["plus_m25 - original: the latter on these 3"] == "66.7"


def test_micro_counts_images_and_macro_classes() -> None:
    original = {"r1": 1, "r2": 1, "r3": 1, "r4": 0, "g1": 0, "g2": 0}
    summary = summarise({"original": answers(original), "plus_m00": answers(dict.fromkeys(original, 1))})
    config = summary["configs"]["original"]
    assert (config["accuracy_micro"], config["accuracy_macro"]) == (0.5, pytest.approx((3 / 4 + 0) / 2))
    assert summary["differences"]["plus_m00_minus_original"]["macro"]["value"] == pytest.approx(1 - 3 / 8)
    assert config["ci95"][1] < config["ci95_micro"][1]  # the strata of macro hold the share of red still
    assert not summary["balanced"]
    assert summary["n_per_class"] == {"red": 4, "green": 2, "blue": 0}


def test_rows_of_one_image_are_averaged() -> None:
    rows = MaskedAnswers(
        image_id=np.array(["r1", "r1", "r1", "g1"]), label=np.array([0, 0, 0, 1]), confidence=np.full(4, 0.5),
        right=np.array([True, False, False, True]), top5=np.ones(4, np.bool_),
    )  # fmt: skip
    summary = summarise({"original": answers({"r1": 1, "g1": 0}), "random_box": rows})
    config = summary["configs"]["random_box"]
    assert (config["n"], config["n_rows"], config["accuracy_micro"]) == (2, 4, pytest.approx((1 / 3 + 1) / 2))
    assert summary["differences"]["random_box_minus_original"]["micro"]["value"] == pytest.approx((1 / 3 + 1 - 1) / 2)


def test_whole_classes_are_the_sample_where_asked() -> None:
    """Three classes of 90, 60 and 0 %: over other classes the mean is anybody's guess, over other photos it is not."""
    original = {
        f"{name}{row:02}": int(row < right) for name, right in (("r", 27), ("g", 18), ("b", 0)) for row in range(30)
    }
    summaries = {
        cluster: summarise(
            {"original": answers(original), "plus_m00": answers(dict.fromkeys(original, 1))}, cluster=cluster
        )
        for cluster in script.CLUSTER.choices
    }
    wanted = ttest_1samp([0.9, 0.6, 0.0], 0).confidence_interval()
    whole, photos_alone = (summaries[cluster]["configs"]["original"] for cluster in ("class", "image"))
    assert whole["ci95"] == whole["ci95_micro"] == pytest.approx([max(0, wanted.low), min(1, wanted.high)])
    low, high = photos_alone["ci95"]
    assert 0.4 < low < 0.5 < high < 0.6
    gap = summaries["class"]["differences"]["plus_m00_minus_original"]["macro"]
    assert gap["value"] == pytest.approx(0.5)
    assert gap["p"] == pytest.approx(ttest_1samp([0.1, 0.4, 1.0], 0)[1])
    assert gap["ratio_ci95"] is None
    two = {name: right for name, right in original.items() if name[0] != "b"}
    assert summarise({"original": answers(two)}, cluster="class")["configs"]["original"]["ci95"] is None


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (answers({"r1": 1, "g1": 1}, label=2), "one label an image in every config; got others for g1, r1"),
        (answers({"b9": 1}), "share images with original"),
        (MaskedAnswers(image_id=np.array(["r1", "r1"]), label=np.array([0, 1]), right=np.ones(2, np.bool_),
                       top5=np.ones(2, np.bool_), confidence=np.ones(2)), "plus_m00: expected one label an image"),
    ],
)  # fmt: skip
def test_configs_that_do_not_pair_are_refused(other: MaskedAnswers, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        summarise({"original": answers({"r1": 1, "g1": 1}), "plus_m00": other})


@pytest.mark.parametrize(
    "params",
    [None, "", "no json", "[]", "{}", '{"figure": {}}', '{"figure": {"crop": {"box_share": 0.1}}}',
     '{"figure": {"crop": {"box_share": "wide", "instances": 1}}}',
     '{"figure": {"crop": {"box_share": 0.1, "instances": 1}, "flags": 3}}'],
)  # fmt: skip
def test_rows_of_plus_must_say_what_was_cropped(tmp_path: Path, params: str | None) -> None:
    configs = crop_configs(photos(2))
    configs["plus"][1]["provenance"] = None if params is None else {"params": params}
    repo = write_repository(tmp_path / "odd", configs)
    with pytest.raises(EvaluationError, match=r"plus: expected figure\.crop\.box_share, .* got others for red-001"):
        score(repo)


@pytest.mark.parametrize(
    ("call", "reason", "code"),
    [
        ({"configs": ["plus"]}, "imagenet_a needs the config original", 2),
        ({"configs": ["five_crop"]}, "imagenet_a needs the config original; got five_crop", 2),
        ({"cluster": "photo"}, "--cluster: expected image, class; got photo", 2),
        (
            {"protocol": "imagenet9", "cluster": "class"},
            "--cluster is for background_check and imagenet_a, not for imagenet9",
            2,
        ),
        ({"protocol": "imagenet9", "configs": ["original", "five_crop"]}, "has no config five_crop", 2),
        ({"masks_from": "."}, "--masks-from is for rival10, not for imagenet_a", 2),
    ],
)
def test_what_cannot_be_scored_is_said(crops: Path, call: dict[str, Any], reason: str, code: int) -> None:
    with pytest.raises(EvaluationError, match=reason) as caught:
        score(crops, **call)
    assert caught.value.exit_code == code


def test_a_limit_takes_the_photos_of_original(tmp_path: Path) -> None:
    configs = crop_configs(photos(3))
    configs["plus"] = [row for row in configs["plus"] if row["image_id"] not in {"blue-000", "blue-001"}]
    repo = write_repository(tmp_path / "limited", configs)
    summary = found_in(score(repo, limit=4))
    assert summary["n"] == 4  # three of blue, one of green
    assert summary["configs"]["plus"]["n"] == 2
    assert summary["configs"]["plus"]["per_class"]["blue"]["coverage"] == pytest.approx(1 / 3)
    assert set(score(repo, limit=2)["label_spaces"]["masked3"]["configs"]) == set(configs) - {"plus"} | {"five_crop"}


def test_the_table_reads_and_the_slices_are_marked(crops: Path) -> None:
    text = script.format_table([score(crops), score(crops, "looks_at_ground")])
    assert text.splitlines()[0] == "crops (test, 90 images), label space masked3, feed canvas"
    for line in (
        "original (n 90)                                                 77.8 [",
        "plus - original (n 90)                                          +22.2 [",
        "original: AURRA",
    ):
        assert " ".join(line.split()) in " ".join(text.split())
    assert "box share" not in text
    assert len(text.splitlines()) < 60
    assert "slices of the differences: with --json" in text
    tested = len(re.findall(r"[+-]\d+\.\d \[[^]a-z]+\](?! undecidable)", text))
    assert tested > 10
    assert "images count alike, but in class means; chance 33.3; slices" in text
    assert text.endswith(f"after Holm's correction over {tested} comparisons")
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert rows["plus - original (n 90)"].count("*") == 2
    assert "*" not in rows["original (n 90)"]


@pytest.mark.same_on_file
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    repo = write_repository(tmp_path / "crops", crop_configs(photos(4)))
    shutil.copy(Path(script.__file__), repo / "evaluate.py")
    (tmp_path / "killer.py").write_text(
        "import os, signal\nfrom crop_dataset import ColourCounter, FIGURES\n\n"
        "class Killer(ColourCounter):\n"
        "    def logits(self, images):\n"
        "        open('calls.log', 'a').write('x')\n"
        "        if os.environ.get('KILL_AT') == str(os.path.getsize('calls.log')):\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().logits(images)\n\n"
        "def make():\n    return Killer('killer', FIGURES)\n"
    )

    def run(out: str, **environment: str) -> subprocess.CompletedProcess[str]:
        root = str(ROOT)
        paths = os.pathsep.join([str(SAMPLES), root])
        return subprocess.run(
            [sys.executable, "-P", str(repo / "evaluate.py"), "--model", "killer:make", "--out", out, "--json",
             "--bootstrap", "50", "--cluster", "class"],
            cwd=tmp_path, env={**os.environ, **offline(tmp_path), "PYTHONPATH": paths, **environment},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    assert run("scores", KILL_AT="4").returncode == -signal.SIGKILL
    assert len(list((tmp_path / "scores" / "predictions").glob("*.npz"))) == 2
    done = run("scores")
    assert done.returncode == 0, done.stderr
    (resumed,) = json.loads(done.stdout)["results"]
    configs = 9 + 2  # five_crop of 12 photos in batches of six
    assert (tmp_path / "calls.log").stat().st_size == 1 + 3 + 1 + (configs - 2)  # each run tries the model once
    fresh = script.evaluate(str(repo), "killer:make", bootstrap=50, cluster="class")
    assert json.loads(json.dumps(fresh)) == resumed
    assert resumed["cluster"] == "class"


def test_photos_of_one_class_only_are_named(tmp_path: Path) -> None:
    """Nothing in the summary needs every class to have photos."""
    drawn = [Photo(image_id=f"p{row}", label=1, size_hw=(40, 40), box=(10, 10, 30, 30)) for row in range(3)]
    summary = found_in(score(write_repository(tmp_path / "one", crop_configs(drawn))))
    assert summary["configs"]["plus"]["per_class"][NAMES[0]] == {
        "n": 0,
        "undecidable": True,
        "coverage": None,
        "accuracy": None,
        "ci95": None,
    }
