"""The report of the protocol imagenet9: trends over models, examples, vulnerable figures and the grounds that fool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_client import Client
from hub_double import HubDouble
from hub_store import folder_hashes
from pasted_dataset import make_rows, write_repository

import figureground
from figureground.errors import UsageError
from figureground.exports.report.imagenet9 import (
    adversarial_grounds,
    category_examples,
    describe_imagenet9,
    fit_trends,
    group_models,
    imagenet9_section,
)
from figureground.exports.report.report import write_report
from figureground.exports.report.stored_results import read_results

pytest.importorskip("matplotlib")


def result_of(model: str, accuracy: float, gap: float) -> dict[str, Any]:
    """A result with nothing but what trends are fitted to."""
    return {
        "model": model,
        "protocol": "imagenet9",
        "label_space": "map",
        "split": "test",
        "feed": "canvas",
        "dataset": {"name": "toy", "fingerprint": "f"},
        "configs": {"original": {"accuracy_macro": accuracy, "ci95": [accuracy - 0.05, accuracy + 0.05]}},
        "differences": {"bg_gap": {"value": gap, "ci95": [gap - 0.1, gap + 0.1]}},
        "folder": "nowhere",
        "stem": model,
    }


def test_a_trend_is_the_least_squares_line_with_an_interval_over_models() -> None:
    generator = np.random.default_rng(0)
    accuracies = np.linspace(0.5, 0.95, 12)
    gaps = 0.3 - 0.2 * accuracies + 0.01 * generator.standard_normal(12)
    (trend,) = fit_trends([result_of(f"m{i}", a, g) for i, (a, g) in enumerate(zip(accuracies, gaps, strict=True))])
    slope, intercept = np.polyfit(accuracies, gaps, 1)
    assert trend.measure == "bg_gap"
    assert trend.slope == pytest.approx(slope)
    assert trend.intercept == pytest.approx(intercept)
    assert trend.slope_ci95 is not None
    assert trend.slope_ci95[0] < -0.2 < trend.slope_ci95[1] < 0
    assert not trend.undecidable


def test_trends_are_drawn_in_percent_of_a_named_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    from figureground.exports.report import imagenet9_plots

    drawn: list[Any] = []

    def look(figure: Any, picture_format: str) -> bytes:
        drawn.append(figure)
        return b""

    monkeypatch.setattr(imagenet9_plots, "encode_figure", look)
    trends = fit_trends([result_of(f"m{number}", 0.5 + number / 10, 0.1 + number / 100) for number in range(5)])
    imagenet9_plots.draw_trends(trends, "toy (test)")
    (figure,) = drawn
    (axes,) = figure.axes
    assert figure.get_suptitle().startswith("toy (test)\n")
    assert axes.get_xlabel() == "class-mean accuracy on original, %"
    assert axes.get_ylabel() == "difference, points"
    line = next(line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_zorder() == 0)
    assert list(np.asarray(line.get_xdata())) == pytest.approx([50, 90])
    assert list(np.asarray(line.get_ydata())) == pytest.approx([10, 14])


def test_three_models_have_no_line() -> None:
    members = [result_of(f"m{number}", 0.5 + number / 10, 0.1) for number in range(3)]
    (trend,) = fit_trends(members)
    assert (trend.slope, trend.slope_ci95, trend.undecidable) == (None, None, True)
    text = describe_imagenet9(imagenet9_section(members))
    assert "bg_gap: slope - [too few to say]; undecidable below 10 models" in text


def test_one_model_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"several results of m on toy: give one of each, of .*m\.json"):
        group_models([result_of("m", 0.5, 0.1), result_of("m", 0.6, 0.1)])


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A drawn dataset, and the scores of a reader of mean colours on it, the challenge with them."""
    folder = tmp_path_factory.mktemp("nine")
    repository = write_repository(folder / "pasted", make_rows())
    options: dict[str, Any] = {"challenge": ["reference", "targeted"], "out": folder / "scores"}
    figureground.evaluate(repository, "crop_dataset:looks_at_figure", **options)
    return repository, folder / "scores"


def test_grounds_are_counted_from_the_stored_challenge(scores: tuple[Path, Path]) -> None:
    (member,) = read_results([scores[1]])
    for rule, fooled in member["challenge"]["rules"].items():
        grounds = adversarial_grounds(member, rule)
        counts = [ground.fooled for ground in grounds]
        assert sum(counts) == fooled["vulnerable"]  # fewer grounds than are listed at most
        assert counts == sorted(counts, reverse=True)
        assert {ground.figures for ground in grounds} <= {fooled["n"]}


def test_the_examples_of_a_dataset_on_the_hub_are_those_of_its_revision(
    scores: tuple[Path, Path], tmp_path: Path
) -> None:
    repository, folder = scores
    with HubDouble() as hub:
        repo = hub.create("me/nine")
        files = {path: (repository / path).read_bytes() for path in folder_hashes(repository)}
        repo.refs["refs/tags/v1"] = repo.put(files, "v1").oid
        client = Client(hub, tmp_path / "home")
        client.figureground(
            "report", str(folder), "-o", str(tmp_path / "hub"), "--repository", "me/nine", "--revision", "v1"
        )
    write_report([folder], tmp_path / "here", repository=str(repository))
    for name in ("imagenet9.fooled.png", "report.json"):
        assert (tmp_path / "hub" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_a_revision_of_nothing_is_refused(scores: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --repository"):
        write_report([scores[1]], tmp_path / "report", revision="v1")


def test_the_report_draws_examples_of_the_dataset_that_was_scored(scores: tuple[Path, Path], tmp_path: Path) -> None:
    repository, folder = scores
    written = write_report([folder], tmp_path / "a", repository=str(repository), vector="svg")
    again = write_report([folder], tmp_path / "b", repository=str(repository), vector="svg")
    assert "imagenet9.trends.png" in written
    assert "imagenet9.fooled.png" in written
    assert written == again
    drawn = [name.removesuffix(".png") for name in written if name.endswith(".png")]
    charts = [name for name in drawn if ".categories." not in name]  # sheets of photos are pixels alone
    assert [f"{name}.svg" in written for name in drawn] == [name in charts for name in drawn]
    assert any(".conflict." in name for name in charts)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in written)
    (section,) = json.loads((tmp_path / "a" / "report.json").read_text())
    (member,) = read_results([folder])
    assert section["category_examples"].get(member["model"], {}) == category_examples(member)
