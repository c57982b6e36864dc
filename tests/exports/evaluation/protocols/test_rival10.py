"""Protocol rival10 end to end: a built dataset, real files, resumed, tabled, and its ablations worked out by hand."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from drawn_release import CLASS_MAP, draw_release

from figureground.build.recipes.loading import load_recipe
from figureground.exports import evaluate as script
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import prepare_request
from figureground.exports.evaluate import EvaluationError, NoiseSettings

LEVELS = NoiseSettings(levels={"sigma": (0.2, 3.0)}, trials=2)
MODEL = '''
import numpy as np

class Reddest:
    """Says disc, ring or bar after which of red, green and blue stands out most in the picture."""
    name, input_size_hw, weights_sha256, takes_float, label_space = "reddest", (64, 64), "0" * 64, True, "head"
    calls = 0
    def logits(self, images):
        Reddest.calls += 1
        unit = images / np.float32(255 if images.dtype == np.uint8 else 1)
        return (unit - unit.mean(axis=3, keepdims=True)).clip(0.3).sum(axis=(1, 2)).astype(np.float32) / 30

def make():
    return Reddest()
'''


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("rival"))
    drawn = draw_release(folder, per_class=10, part="left")
    (folder / "toy.json").write_text(CLASS_MAP)
    attributes = [{"name": "left", "scope": "local"}, {"name": "round", "scope": "global"}]
    (folder / "parts.yaml").write_text(yaml.safe_dump({"name": "parts", "version": "1", "attributes": attributes}))
    recipe = load_recipe("rival10").model_dump(mode="json")
    splits = {**recipe["splits"], "near_duplicate_bits": 0}  # drawn photos are alike
    changes = {"name": "toy", "class_map": "toy.json", "attributes": "parts.yaml", "splits": splits}
    (folder / "toy.yaml").write_text(yaml.safe_dump({**recipe, **changes}, sort_keys=False))
    build_dataset(
        prepare_request(str(folder / "toy.yaml"), drawn.workspace, machines=Machines(workers=1)), folder / "repo"
    )
    return folder / "repo"


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "reddest.py").write_text(MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "reddest", raising=False)
    return importlib.import_module("reddest").Reddest


def score(repo: Path, **more: Any) -> dict[str, Any]:
    options: Any = {"noise": LEVELS, "bootstrap": 50, "split": "train", **more}
    return script.evaluate(str(repo), "reddest:make", **options)


@cache
def default_score(repo: Path) -> dict[str, Any]:
    """As ``score`` without options, which several tests look at; its files are in ``repo``'s folder, in ``scores``."""
    return score(repo, out=repo.with_name("scores"))


def test_the_dataset_has_splits_and_attribute_rows_that_load(repo: Path) -> None:
    sizes = {split: len(rows) for split, rows in load_dataset(str(repo), "original").items()}
    assert list(sizes.items()) == [("train", 21), ("validation", 3), ("test", 6)]
    rows = load_dataset(str(repo), "attribute_superimposed", split="train")
    assert set(rows["attribute"]) == {"left"}
    assert [attributes["left"] for attributes in rows["attributes"]] == [True] * len(rows)
    removed = load_dataset(str(repo), "attribute_removed", split="train")
    assert [attributes["left"] for attributes in removed["attributes"]] == [False] * len(removed)
    assert all("left" not in {mask["attribute"] for mask in masks} for masks in removed["attribute_masks"])
    assert (repo / "attributes.yaml").is_file()
    assert "disc,left,10,0,0,10" in (repo / "report" / "attributes.csv").read_text()
    (finding,) = json.loads((repo / "report" / "gates.json").read_text())
    assert (finding["gate"], finding["examples"]) == ("classes_alike", ["disc/ring"])  # both are round


def test_the_protocol_is_found_and_everything_is_scored(repo: Path) -> None:
    result = default_score(repo)
    assert result["protocol"] == "rival10"
    summary = result["label_spaces"]["head3"]
    assert summary["clean"]["accuracy_macro"] == 1  # the figures' colours stand out
    assert summary["clean"]["per_source_label"] == {"disc": 1.0, "ring": 1.0, "bar": 1.0}
    noise = summary["noise"]["0"]["sigma"]
    assert noise["irfs"] > 0.1
    assert noise["levels"] == [0.2, 3.0]
    assert summary["ablations"]["object_grey"]["accuracy_macro"] < 0.7
    assert summary["ablations"]["object_grey"]["accuracy_drop"]["value"] > 0.3
    assert summary["ablations"]["bg_grey"]["accuracy_macro"] == 1
    assert summary["attributes"]["left"]["n"] == summary["n"]
    assert result["not_scored"] == {}
    for config in script.PASTED_CONFIGS:
        pasted = summary["pasted"][config]["left"]
        assert pasted["n_rows"] == summary["n"]
        assert pasted["accuracy_original"] == 1
    assert summary["attribute_noise"] == {}  # no l2 noise is asked for
    text = script.format_table([result])
    for words in (
        "label space head3",
        "attribute_superimposed, left (n ",
        "clean accuracy",
        "sigma 0.2: RFS",
        "bbox_tile: drop",
        "left (n ",
        "chance 33.3",
    ):
        assert words in text
    rows = [line for line in text.splitlines()[2:-1] if not line.startswith("---")]
    assert len(rows) > 20
    assert [row for row in rows if not row.endswith((" undecidable", "  -"))] == []  # 21 photos
    assert "*" not in text
    assert "comparison" not in text.splitlines()[-1]


def test_greying_a_part_costs_what_the_pixels_say(repo: Path, model: Any) -> None:
    result = score(repo, noise=NoiseSettings(levels={}), configs=["original", "attribute_grey", "attribute_control"])
    summary = result["label_spaces"]["head3"]["attributes"]["left"]
    rows = {config: load_dataset(str(repo), config, split="train") for config in ("original", "attribute_grey")}

    def p_true(config: str) -> dict[str, float]:
        table = rows[config]
        images = np.stack([np.asarray(image.resize((64, 64), 3)) for image in table["image"]])
        logits = model().logits(images).astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return dict(zip(table["image_id"], shares[np.arange(len(shares)), table["label"]], strict=True))

    before, after = p_true("original"), p_true("attribute_grey")
    wanted = np.mean([before[name] - after[name] for name in before])
    assert summary["grey"]["p_true_drop"]["value"] == pytest.approx(wanted, abs=1e-4)
    beyond = summary["grey"]["p_true_drop"]["value"] - summary["control"]["p_true_drop"]["value"]
    assert summary["grey_beyond_control"]["p_true_drop"]["value"] == pytest.approx(beyond)


def test_l2_noise_is_also_on_attributes_and_a_run_goes_on_from_it(repo: Path, tmp_path: Path, model: Any) -> None:
    options = {"noise": NoiseSettings(levels={"l2": (60.0,)}), "configs": ["original"], "out": tmp_path / "scores"}
    result = score(repo, **options)
    assert result["attribute_noise"] == {"level": 60.0, "n_skipped": {script.NO_ROOM: 4, script.VANISHED: 0}}
    summary = result["label_spaces"]["head3"]
    # the left half is the larger in four photos
    assert summary["attribute_noise"]["left"]["n"] == summary["n"] - 4 == 17
    calls = model.calls
    assert score(repo, **options) == result
    assert model.calls == calls + 1  # the trial
    assert len(list((tmp_path / "scores" / "predictions").glob("*.attribute_noise.npz"))) == 1


def test_what_has_no_score_is_named_below_the_table(repo: Path) -> None:
    result = score(repo, noise=NoiseSettings(levels={}), configs=["original", "bg_grey", "bbox_grey", "attribute_grey"])
    assert result["not_scored"] == {
        "bbox_grey": "it needs original_crop",
        "attribute_grey": "it needs attribute_control",
    }
    foot = script.format_table([result]).splitlines()[-1]
    assert "not scored: " in foot
    assert "bbox_grey (it needs original_crop)" in foot
    assert "bg_grey" in result["label_spaces"]["head3"]["ablations"]


def test_a_killed_run_goes_on_from_what_it_had(repo: Path, tmp_path: Path, model: Any) -> None:
    first = default_score(repo)
    shutil.copytree(repo.with_name("scores"), tmp_path / "scores")
    calls = model.calls
    (result_file,) = (tmp_path / "scores").glob("*.json")
    result_file.unlink()
    next((tmp_path / "scores" / "predictions").glob("*.bbox_tile.npz")).unlink()
    assert score(repo, out=tmp_path / "scores") == first
    assert model.calls == calls + 2  # the trial and one config
    assert script.answers_file(tmp_path / "scores", first["answers"], "original").is_file()
    other = score(repo, out=tmp_path / "scores", noise=NoiseSettings(levels={"sigma": (0.2,)}))
    assert model.calls > calls + 3
    written = {json.loads(path.read_text())["answers"] for path in (tmp_path / "scores").glob("*.json")}
    assert written == {first["answers"], other["answers"]}
    table, own_table = script.format_table([first, other]).split("\n\n")
    assert "feed canvas, noise sigma of 0.2\n" in own_table
    assert "0.2, 3, 2 noises of each image" in table


def test_a_limit_is_one_of_photos_that_single_attributes_need_not_have(repo: Path, tmp_path: Path) -> None:
    """Attribute configs hold the photos that show the attribute: here neither of the two smallest ids."""
    copied = shutil.copytree(repo, tmp_path / "copied")
    ids = sorted(load_dataset(str(repo), "original", split="train")["image_id"])
    for config in script.ATTRIBUTE_CONFIGS:
        (path,) = (copied / "data" / config).glob("train-*")
        table = pq.read_table(path)
        remaining = [row for row, name in enumerate(table["image_id"].to_pylist()) if name not in ids[:2]]
        pq.write_table(table.take(remaining), path)
    (copied / "manifest.json").unlink()  # which lists the files as they were
    _, head, text = (copied / "README.md").read_text().split("---\n", 2)
    head = yaml.safe_dump({key: value for key, value in yaml.safe_load(head).items() if key != "dataset_info"})
    (copied / "README.md").write_text(f"---\n{head}---\n{text}")  # whose numbers of rows no longer hold
    quick = NoiseSettings(levels={})
    summary = score(copied, noise=quick, limit=5)["label_spaces"]["head3"]
    assert (summary["n"], summary["attributes"]["left"]["n"]) == (5, 3)
    summary = score(copied, noise=quick, limit=2)["label_spaces"]["head3"]
    assert (summary["n"], summary["attributes"]) == (2, {})


def test_masks_can_be_grown_or_taken_from_another_dataset(repo: Path) -> None:
    grown = score(repo, noise=NoiseSettings(levels={"sigma": (3.0,)}, grow_px=(0, 12)))
    noise = {
        px: kinds["sigma"]["accuracy_figure"][0]["value"]
        for px, kinds in grown["label_spaces"]["head3"]["noise"].items()
    }
    assert noise["12"] < noise["0"]  # at the mask's very edge the figure's colour is left
    same = score(repo, masks_from=str(repo))
    assert same["masks_from"]["name"] == "repo"
    assert same["label_spaces"] == default_score(repo)["label_spaces"]


@pytest.mark.same_on_file
def test_the_script_in_the_dataset_does_the_same(repo: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            str(repo / "evaluate.py"),
            "--model",
            "reddest:make",
            "--split",
            "train",
            "--json",
            "--noise",
            "sigma",
            "--levels",
            "0.2,3.0",
            "--trials",
            "2",
            "--bootstrap",
            "50",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result == json.loads(json.dumps(default_score(repo)))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"configs": ["bg_grey"]}, "needs the config original"),
        ({"protocol": "imagenet9"}, "rival10, not for imagenet9"),
        ({"protocol": "other"}, "expected background_check or crossed or imagenet9 or imagenet_a or rival10"),
    ],
)
def test_what_cannot_be_scored_is_said(repo: Path, call: dict[str, Any], reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        score(repo, **call)


def test_a_head_of_other_classes_is_refused(repo: Path, model: Any) -> None:
    model.class_names = ("ring", "disc", "bar")
    with pytest.raises(EvaluationError, match="class_names: expected the dataset's in their order"):
        score(repo)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"noise": "gamma"}, "expected l2 or sigma, got gamma"),
        ({"levels": "0.1"}, "give one --noise"),
        ({"noise": "sigma", "levels": "a"}, "expected numbers"),
        ({"noise": "sigma", "levels": "-1"}, "above 0"),
        ({"mask_grow": "x"}, "expected numbers"),
        ({"trials": 0}, "at least 1"),
        ({"rfs_undefined": "nan"}, "strict, hardimagenet"),
    ],
)
def test_noise_words_are_checked(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        script.parse_noise(**script.fill_options(script.NOISE_OPTIONS, words))
