"""Models compared from what evaluate stored, under every protocol, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crop_dataset import crop_configs, ground_configs, photos
from crop_dataset import write_repository as write_crops
from pasted_dataset import make_rows, write_repository
from shared_cases import run_here

import figureground
from figureground.cli.app import main

pytest.importorskip("matplotlib")
MODELS = ("crop_dataset:looks_at_figure", "crop_dataset:looks_at_ground")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models under the four protocols."""
    folder = tmp_path_factory.mktemp("compare")
    nine = write_repository(folder / "nine", make_rows())
    grounds = write_crops(folder / "grounds", ground_configs(photos(9)))
    crops = write_crops(folder / "crops", crop_configs(photos(10)))
    runs: list[tuple[Path, dict[str, Any]]] = [
        (nine, {}),
        (grounds, {}),
        (crops, {"configs": ["original", "plus"]}),
        (grounds, {"protocol": "rival10", "configs": ["original"], "noise": "sigma", "trials": 2}),
    ]
    for model in MODELS:
        for data, options in runs:
            figureground.evaluate(data, model, out=folder / "scores", bootstrap=50, **options)
    return folder / "scores"


@pytest.fixture(scope="module")
def compared(scores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "compare"
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(scores), "-o", str(out), "--rounds", "999"])
    assert not stop.value.code
    return out


def is_nine(path: Path) -> bool:
    return bool(json.loads(path.read_text())["protocol"] == "imagenet9")


def stored(scores: Path, protocol: str, model: str) -> dict[str, Any]:
    results: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(scores.glob("*.json"))]
    (own,) = [result for result in results if (result["protocol"], result["model"]) == (protocol, model)]
    return own


def test_every_figure_is_the_one_of_the_results(scores: Path, compared: Path) -> None:
    groups = {group["protocol"]: group for group in json.loads((compared / "compare.json").read_text())}
    assert set(groups) == {"imagenet9", "background_check", "imagenet_a", "rival10"}
    models = {contrast["first"] for group in groups.values() for contrast in group["contrasts"]}
    assert models == {"looks-at-figure"}

    def values(protocol: str) -> dict[str, float]:
        return {own["figure"]: own["first_value"] for own in groups[protocol]["contrasts"]}

    nine = stored(scores, "imagenet9", "looks-at-figure")
    own = values("imagenet9")
    assert own["mixed_rand"] == pytest.approx(nine["configs"]["mixed_rand"]["accuracy_macro"])
    assert own["bg_gap"] == pytest.approx(nine["differences"]["bg_gap"]["value"])
    grounds = stored(scores, "background_check", "looks-at-figure")["label_spaces"]["head3"]
    own = values("background_check")
    differences = grounds["differences"]["bg_influence_white_minus_original"]["macro"]["value"]
    assert own["bg_influence_white - original"] == pytest.approx(differences)
    crops = stored(scores, "imagenet_a", "looks-at-figure")["label_spaces"]["masked3"]
    assert values("imagenet_a")["plus"] == pytest.approx(crops["configs"]["plus"]["accuracy_micro"])
    rival = stored(scores, "rival10", "looks-at-figure")["label_spaces"]["head3"]
    own = values("rival10")
    assert own["original"] == pytest.approx(rival["clean"]["accuracy_macro"])
    pooled = rival["noise"]["0"]["sigma"]["pooled"]
    assert own["sigma on figure"] == pytest.approx(pooled["accuracy_figure"])
    if pooled["rfs"]["value"] is not None:
        assert own["RFS sigma"] == pytest.approx(pooled["rfs"]["value"])


def test_differences_that_hold_are_told_and_few_images_decide_nothing(compared: Path) -> None:
    text = (compared / "compare.txt").read_text()
    assert "Differences at 5 % after correction for all" in text
    assert "bg_influence_white: looks-at-figure - looks-at-ground -66.7" in text
    assert "comparisons are of fewer than 25 images: undecidable" in text  # of imagenet9's fifteen
    names = {path.name for path in compared.iterdir()}
    assert {"forest.0.png", "ranks.3.png", "contrasts.0.csv", "ranks.0.csv", "compare.json", "compare.txt"} <= names


def test_the_same_results_give_the_same_bytes_in_any_format(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--rounds", "99", "--figure", "original", "--format", "svg")
    for name in "ab":
        code, text, _ = run_here(capsys, "compare", scores, "-o", tmp_path / name, *words)
        assert code == 0
    assert "original" in text
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert "forest.0.svg" in files
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_a_pilot_plans_images(scores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, error = run_here(capsys, "plan-size", scores, "--difference", 0.05, "--json")
    assert code == 0, error
    plan = json.loads(text)
    sizes = {size["figure"]: size["images"] for size in plan["sizes"]}
    name = "bg_gap, looks-at-figure - looks-at-ground (nine (test), imagenet9, label space head, feed canvas)"
    assert sizes[name] > 0
    assert {pilot["figure"] for pilot in plan["pilots"]} == set(sizes)
    figure = next(path for path in scores.glob("*.json") if (path.name.startswith("looks-at-figure") and is_nine(path)))
    code, text, error = run_here(capsys, "plan-size", figure, "--figure", "bg_gap")
    assert (code, "bg_gap of looks-at-figure" in text) == (0, True), error
    code, text, _ = run_here(capsys, "plan-size", "--discordant", 0.2, "--difference", 0.05)
    assert text.splitlines()[-1].split() == ["5.0", "1", "626", "626", "-"]


def test_faults_are_told(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = tmp_path / "one"
    one.mkdir()
    first = min(scores.glob("*.json"))
    shutil.copy(first, one)
    assert run_here(capsys, "compare", one, "-o", tmp_path / "x")[0] == 2
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in scores.glob("*.json"):
        shutil.copy(path, bare)
    code, _, error = run_here(capsys, "compare", bare, "-o", tmp_path / "x")
    assert (code, "score it with --out" in error) == (2, True)
    code, _, error = run_here(capsys, "compare", scores, "-o", tmp_path / "x", "--figure", "nothing")
    assert (code, "no figure nothing; there are" in error) == (2, True)
    assert run_here(capsys, "plan-size")[0] == 2
    assert run_here(capsys, "plan-size", scores, "--discordant", 0.1)[0] == 2
    assert not (tmp_path / "x").exists()
    damaged = shutil.copytree(scores, tmp_path / "damaged")
    for path in (damaged / "predictions").glob("*original.npz"):
        np.savez(path, image_id=np.array([1.5, 2.5]), label=np.array([0, 1]), mapped=np.array([0, 1]), draw=np.zeros(2))
    code, _, error = run_here(capsys, "compare", damaged, "-o", tmp_path / "x")
    assert (code, "run evaluate again" in error) == (1, True)


def test_models_that_share_no_figure_are_told_what_each_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nine = write_repository(tmp_path / "nine", make_rows())
    for model, config in zip(MODELS, ("original", "mixed_same"), strict=True):
        figureground.evaluate(nine, model, out=tmp_path / "scores", bootstrap=20, configs=[config])
    code, _, error = run_here(capsys, "compare", tmp_path / "scores", "-o", tmp_path / "out")
    assert code == 2
    assert "no figure in common: looks-at-figure has original; looks-at-ground has mixed_same" in " ".join(
        error.split()
    )
