"""The report: families pooled by the paper's rule, gaps named by image, plots that are pictures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figureground.errors import DataError, UsageError
from figureground.exports.analyses.families import load_families
from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.jobs import write_predictions
from figureground.exports.evaluation.label_spaces import parse_class_map
from figureground.exports.evaluation.protocols.noise import NoiseSettings
from figureground.exports.evaluation.protocols.outcomes import Outcomes
from figureground.exports.evaluation.protocols.rival10 import summarise_rival10
from figureground.exports.evaluation.protocols.sensitivity import relative_foreground_sensitivity
from figureground.exports.report.noise import NoiseResult, noise_result, pool_families, worst_gaps
from figureground.exports.report.report import write_report
from figureground.exports.report.stored_results import read_results

pytest.importorskip("matplotlib")

# In an order that is not the alphabet's, so that sorted JSON would mix the classes up.
CLASSES = parse_class_map(
    json.dumps(
        {
            "name": "toy",
            "classes": [
                {"index": 0, "name": "zebra", "wnids": ["n0"], "imagenet_indices": [0]},
                {"index": 1, "name": "ant", "wnids": ["n1"], "imagenet_indices": [1]},
            ],
        }
    )
)
SETTINGS = NoiseSettings(levels={"sigma": (0.1, 0.5)})


def write_result(
    folder: Path, model: str, *, on_figure: float, on_ground: float, stored: bool = True, **more: Any
) -> Path:
    """A result as evaluate writes it, of answers with these chances at the first level, half of them at the second."""
    generator = np.random.default_rng(len(model))
    images = 60
    chances = [1.0, on_figure, on_ground, on_figure / 2, on_ground / 2]
    shares = np.clip(np.array(chances) + generator.normal(0, 0.05, (images, 5)), 0, 1)
    outcomes = Outcomes(
        image_id=np.array([f"id{number:02}" for number in range(images)]),
        attribute=np.array([""] * images),
        label=np.arange(images) % 2,
        source_label=np.array([f"n{number % 2}" for number in range(images)]),
        donor_label=np.full(images, -1),
        right=(generator.random((images, 5)) < chances)[:, :, None],
        answer=np.zeros((images, 5, 1), dtype=np.int64),
        probability=shares[:, :, None],
        area=np.full(images, 0.3),
    )
    key = f"{model}.predictions"
    arrays = {f"head2.{name}": getattr(outcomes, name) for name in Outcomes.__slots__}
    if stored:
        write_predictions(folder / "predictions" / f"{key}.original.npz", arrays, key)
    summary = summarise_rival10({"original": outcomes}, CLASSES, "head2", SETTINGS, Sampling(count=50))
    result: dict[str, Any] = {
        "model": model,
        "protocol": "rival10",
        "split": "test",
        "feed": "canvas",
        "rfs_undefined": "strict",
        "dataset": {"name": "toy", "fingerprint": "f", "revision": None, "split": "test"},
        "conditions": [
            {"kind": condition.kind, "level": condition.level, "region": condition.region, "grow_px": condition.grow_px}
            for condition in SETTINGS.conditions()
        ],
        "label_spaces": {"head2": summary},
        "answers": key,
    }
    path = folder / f"{model}{''.join(more)}.json"
    path.write_text(json.dumps({**result, **more}, sort_keys=True))
    return path


def noise_results(*paths: Path) -> list[NoiseResult]:
    return [noise_result(result, "head2") for result in read_results(paths)]


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    for model, on_figure, on_ground in (("lite0", 0.4, 0.9), ("lite1", 0.6, 0.9), ("other", 0.8, 0.5)):
        write_result(tmp_path / "scores", model, on_figure=on_figure, on_ground=on_ground)
    return tmp_path / "scores"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text("models:\n- {model: lite0, family: Lite}\n- {model: lite1, family: Lite, training: supervised}\n")
    return path


def test_families_average_accuracies_first_and_have_intervals(scores: Path, models: Path) -> None:
    results = noise_results(scores)
    lite, other = pool_families(results, load_families(models, [result.model for result in results]))
    assert (lite.family, lite.models, lite.training) == ("Lite", ("lite0", "lite1"), ("", "supervised"))
    assert (other.family, other.models) == ("other", ("other",))
    noises = [result.summary["noise"]["0"]["sigma"] for result in results if result.model != "other"]
    for level in (0, 1):
        figure, ground = (
            float(np.mean([noise[f"accuracy_{region}"][level]["value"] for noise in noises]))
            for region in ("figure", "ground")
        )
        assert lite.rfs[level] == pytest.approx(float(relative_foreground_sensitivity(figure, ground)))
        bounds = lite.rfs_ci95[level]
        assert bounds is not None
        assert bounds[0] < (lite.rfs[level] or 0) < bounds[1]
    assert (lite.rfs[0] or 0) > 0 > (other.rfs[0] or 0)


def test_results_without_answers_pool_without_intervals(tmp_path: Path) -> None:
    write_result(tmp_path, "bare", on_figure=0.4, on_ground=0.8, stored=False)
    results = noise_results(tmp_path)
    (family,) = pool_families(results, load_families(None, ["bare"]))
    assert family.rfs_ci95 == (None, None)
    with pytest.raises(UsageError, match="score it with --out"):
        worst_gaps(results[0], "sigma", 0)


def test_the_worst_gaps_are_those_of_their_class(scores: Path) -> None:
    result = noise_results(scores / "other.json")[0]
    gaps = worst_gaps(result, "sigma", 0, most=3)
    assert list(gaps) == ["zebra", "ant"]
    assert all(int(gap.image_id[2:]) % 2 == 0 for gap in gaps["zebra"])
    assert result.outcomes is not None
    difference = result.outcomes.probability[:, 2, 0] - result.outcomes.probability[:, 1, 0]
    assert gaps["zebra"][0].gap == pytest.approx(difference[::2].min())
    assert [gap.gap for gap in gaps["ant"]] == sorted(difference[1::2])[:3]


@pytest.mark.slow
def test_the_report_is_written_and_the_same_again(scores: Path, models: Path, tmp_path: Path) -> None:
    from figureground.exports.report.report import write_report

    written = [write_report([scores], tmp_path / name, models=models, vector="svg") for name in ("a", "b")]
    assert written[0] == written[1]
    assert {
        "report.txt",
        *("tables.csv", "tables.md", "tables.tex"),
        "report.json",
        *(f"head2.{chart}_sigma.{end}" for chart in ("scatter", "levels", "irfs") for end in ("png", "svg")),
    } <= set(written[0])
    for name in written[0]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        if name.endswith(".png"):
            with Image.open(tmp_path / "a" / name) as picture:
                assert np.asarray(picture.convert("L")).std() > 5
    sections = json.loads((tmp_path / "a" / "report.json").read_text())
    assert [family["family"] for family in sections[0]["families"]] == ["Lite", "other"]
    assert set(sections[0]["worst_noise_gaps"]) == {"lite0", "lite1", "other"}


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        pytest.param("not json", DataError, "a result of evaluate", id="no JSON"),
        pytest.param('{"a": 1}', DataError, "a result of evaluate", id="another JSON"),
        pytest.param("[]", DataError, "a result of evaluate", id="a list"),
    ],
)
def test_what_is_no_result_is_named(tmp_path: Path, text: str, error: type[Exception], reason: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(error, match=reason) as caught:
        read_results([tmp_path])
    assert "odd.json" in str(caught.value)


def test_no_results_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results"):
        read_results([tmp_path])


def test_a_path_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    path = write_result(tmp_path / "scores", "m", on_figure=0.5, on_ground=0.5)
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, "answers": "../../elsewhere"}))
    with pytest.raises(DataError, match="answers: expected letters"):
        read_results([path])


def test_a_model_listed_twice_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models: [{model: a, family: x}, {model: a, family: y}]")
    with pytest.raises(DataError, match="not a again"):
        load_families(path, ["a"])


def test_feeds_and_noises_do_not_mix(scores: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_result(scores, "other", on_figure=0.4, on_ground=0.6, feed="reference")
    noise = {**dataclasses.asdict(SETTINGS), "trials": 3, "undefined": None}
    write_result(scores, "other", on_figure=0.4, on_ground=0.6, noise=noise)
    write_report([scores], tmp_path / "out")
    sections = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [(own["feed"], own["settings"], own["models"]) for own in sections] == [
        ("canvas", "", ["lite0", "lite1", "other"]),
        ("reference", "", ["other"]),
        ("canvas", "noise sigma of 0.1, 0.5, 3 noises of each image", ["other"]),
    ]
    assert "feed canvas, noise sigma of 0.1, 0.5, 3 noises of each image\n" in (tmp_path / "out/report.txt").read_text()
