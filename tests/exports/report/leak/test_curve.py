"""The leak curve: accuracy over the growth of the hole less the outline's share, its intervals, where it levels off."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rim_dataset import RADII, build_rims
from shared_cases import run_here

import figureground
from figureground.errors import DataError
from figureground.exports.evaluation.intervals import paired_difference
from figureground.exports.report.leak.curve import HoleAnswers, measure_curve, read_hole_answers, simultaneous_quantile
from figureground.exports.report.leak.levelling import find_levelling
from figureground.exports.report.stored_results import read_results

pytest.importorskip("matplotlib")


def answers_of(holes: Any, outlines: Any, grow_px: tuple[int, ...] = RADII, classes: int = 3) -> HoleAnswers:
    """Answers without files: ``(I, J)`` right or wrong."""
    holes = np.asarray(holes, np.float64)
    count = len(holes)
    return HoleAnswers(
        model="m",
        image_id=np.array([f"{index:05d}" for index in range(count)]),
        label=np.arange(count) % classes,
        grow_px=grow_px,
        holes=holes,
        outlines=np.broadcast_to(np.asarray(outlines, np.float64), holes.shape),
        outline_px=grow_px,
    )


@pytest.fixture(scope="module", params=[3, 7])
def rim(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def scores(rim: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(f"rim{rim}")
    built = build_rims(folder, [rim])
    for model in ("rim_dataset:looks_closely", "crop_dataset:looks_at_ground"):
        figureground.evaluate(built, model, out=folder / "scores", bootstrap=50)
    return folder / "scores"


def test_figures_with_a_rim_level_off_where_the_hole_covers_it(
    scores: Path, rim: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run_here(capsys, "report", scores, "-o", tmp_path / "report", "--vector", "svg")
    assert (code, error) == (0, "")
    sections = json.loads((tmp_path / "report" / "report.json").read_text())
    (section,) = [section for section in sections if section.get("part") == "leak"]
    curve = section["curves"]["looks-closely"]
    covered = next(radius for radius in RADII if radius >= rim)
    for point in curve["points"]:
        seen = point["grow_px"] < rim
        assert point["outline_px"] == point["grow_px"]
        assert point["accuracy"]["value"] == pytest.approx(1.0 if seen else 1 / 3)
        assert point["outline"]["value"] == pytest.approx(1 / 3)  # its answer to nothing is the first class
        assert point["corrected"]["value"] == pytest.approx(2 / 3 if seen else 0.0)
    assert curve["levelling"]["radius_px"] == covered
    assert curve["levelling"]["lowest_px"] == covered
    ground = section["curves"]["looks-at-ground"]["levelling"]
    assert (ground["radius_px"], ground["lowest_px"]) == (0, 0)
    text = (tmp_path / "report" / "report.txt").read_text()
    assert f"levels off at {covered} px; 95 % interval from {covered} px" in text
    assert (tmp_path / "report" / "imagenet9.leak.svg").read_text().startswith("<?xml")
    assert (
        "imagenet9.leak.png" in (tmp_path / "report" / "report.html").read_text()
        or (tmp_path / "report" / "imagenet9.leak.png").is_file()
    )


def test_the_same_results_give_the_same_bytes(scores: Path, tmp_path: Path) -> None:
    files = [figureground.report(scores, tmp_path / name, vector="pdf") for name in ("one", "two")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    assert "imagenet9.leak.pdf" in {path.name for path in files[0]}
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


def test_a_config_of_other_images_is_refused_by_name(scores: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(scores, tmp_path / "scores")
    (hole,) = copied.glob("predictions/looks-closely*.no_fg_d4.npz")
    arrays = dict(np.load(hole))
    arrays["label"] = arrays["label"][::-1].copy()
    np.savez_compressed(hole, **arrays)
    (result,) = [own for own in read_results([copied]) if own["model"] == "looks-closely"]
    with pytest.raises(DataError, match=r"no_fg_d4: expected the images and labels of no_fg"):
        read_hole_answers(result)


def test_a_margin_outside_of_0_and_1_is_refused(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run_here(capsys, "report", scores, "-o", tmp_path / "report", "--margin", "5")
    assert code == 2
    assert "expected a margin in (0, 1), such as 0.05 for 5 points, got 5" in error
    assert not (tmp_path / "report").exists()


def test_the_corrected_accuracy_is_the_paired_difference() -> None:
    generator = np.random.default_rng(0)
    holes, outlines = generator.random((2, 60, 5)) < [[[0.6]], [[0.3]]]
    answers = answers_of(holes, outlines)
    for index, point in enumerate(measure_curve(answers)):
        own = paired_difference(answers.holes[:, index], answers.outlines[:, index], answers.label)
        assert point.corrected.value == pytest.approx(own.value)
        assert point.corrected.ci95 == pytest.approx(own.ci95)
        assert point.corrected.value == pytest.approx(point.accuracy.value - point.outline.value)
        band = point.corrected.band95
        assert band is not None
        assert band[0] < point.corrected.ci95[0] < point.corrected.ci95[1] < band[1]


def draw_curve(generator: np.random.Generator, count: int, shares: tuple[float, ...]) -> HoleAnswers:
    """Photos each of which is right until the hole has grown so far; the outline is right for a fifth of them."""
    patience = generator.random((count, 1))
    return answers_of(patience < np.array(shares), generator.random((count, 1)) < 0.2)


def test_bands_hold_the_whole_true_curve_in_95_of_100_and_single_intervals_do_not() -> None:
    shares, rounds = (0.7, 0.5, 0.4, 0.35, 0.35), 200
    both = {"ci95": 0, "band95": 0}
    for seed in range(rounds):
        points = measure_curve(draw_curve(np.random.default_rng(seed), 120, shares))
        for kind in both:
            ends = [getattr(point.corrected, kind) for point in points]
            both[kind] += all(low <= share - 0.2 <= high for (low, high), share in zip(ends, shares, strict=True))
    assert both["band95"] / rounds >= 0.93  # 0.95 less two standard errors, up to rounding
    assert both["ci95"] / rounds < both["band95"] / rounds - 0.02


def test_the_range_of_the_radius_holds_the_true_one_in_95_of_100() -> None:
    shares, true, rounds = (0.7, 0.3999, 0.35, 0.35, 0.35), 2, 200  # what is left changes by the margin, just so
    held = 0
    for seed in range(rounds):
        own = find_levelling(draw_curve(np.random.default_rng(seed), 400, shares))
        low = RADII[-1] if own.lowest_px is None else own.lowest_px
        high = RADII[-1] if own.highest_px is None else own.highest_px
        held += low <= true <= high
    assert held / rounds >= 0.93


def test_many_images_make_the_range_a_point_and_few_leave_it_open() -> None:
    shares = (0.7, 0.5, 0.35, 0.35, 0.35)
    many = find_levelling(draw_curve(np.random.default_rng(1), 4000, shares))
    assert (many.lowest_px, many.radius_px, many.highest_px) == (4, 4, 4)
    few = find_levelling(draw_curve(np.random.default_rng(1), 60, shares))
    assert few.highest_px is None
    assert "without an upper end (margin 5 points)" in str(few)
    fewest = find_levelling(draw_curve(np.random.default_rng(1), 24, shares))
    assert str(fewest) == "levels off: undecidable below 25 images"


def test_a_curve_that_falls_to_the_end_does_not_level_off() -> None:
    own = find_levelling(draw_curve(np.random.default_rng(0), 2000, (0.9, 0.7, 0.5, 0.3, 0.1)))
    assert (own.radius_px, own.lowest_px, own.highest_px) == (None, None, None)
    assert str(own).startswith("levels off not before 16 px; 95 % interval from 16 px without an upper end")


def test_the_simultaneous_quantile_is_that_of_independent_and_of_equal_errors() -> None:
    generator = np.random.default_rng(0)
    own = generator.standard_normal((4000, 4))
    alone = simultaneous_quantile(own, np.zeros(4000, np.int64))
    assert alone == pytest.approx(2.49, abs=0.04)  # (1 - 0.95 ** (1 / 4)) / 2 on each side
    together = simultaneous_quantile(np.repeat(own[:, :1], 4, axis=1), np.zeros(4000, np.int64))
    assert together == pytest.approx(1.96, abs=0.04)
