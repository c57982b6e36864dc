from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figure_dataset import write_shard
from figure_models import SixColours
from ground_dataset import CONFIGS, PER_CLASS, make_photo, write_grounds

from figureground.errors import DataError, UsageError
from figureground.exports.analyses.heads.crossing import train_heads
from figureground.exports.analyses.heads.drawing import draw_crossing, format_crossing
from figureground.exports.analyses.heads.splits import HeadsRequest, choose_configs
from figureground.exports.analyses.probe_training import TrainingSettings
from figureground.exports.evaluation.dataset import open_repository
from figureground.exports.evaluation.scoring import evaluate
from figureground.exports.evaluation.values import EvaluationError

SIX_COLOURS = "figure_models:six_colours"
SETTINGS = TrainingSettings(learning_rate=0.1, epochs=30)
N_TEST = 3 * PER_CLASS["test"]


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_grounds(tmp_path_factory.mktemp("heads") / "grounds")


@pytest.fixture(scope="module")
def request_(grounds: Path) -> HeadsRequest:
    return HeadsRequest(repository=open_repository(str(grounds)), bootstrap=400)


@pytest.fixture(scope="module")
def out(request_: HeadsRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "out"
    train_heads(request_, SIX_COLOURS, SETTINGS, folder)
    return folder


@pytest.fixture(scope="module")
def result(out: Path) -> Any:
    return json.loads((out / "heads.json").read_text(encoding="utf-8"))


def accuracy(result: Any, train: str, test: str) -> float:
    return float(result["heads"][train]["cells"][test]["accuracy_macro"])


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_head_of_original_leans_on_the_ground_and_one_of_mixed_rand_does_not(result: Any) -> None:
    """The finding of the paper: whoever is trained where grounds tell the class uses them."""
    assert accuracy(result, "original", "original") == accuracy(result, "original", "mixed_same") == 1.0
    assert accuracy(result, "original", "mixed_rand") < 0.6
    assert accuracy(result, "original", "only_bg_t") > accuracy(result, "mixed_rand", "only_bg_t") + 0.3
    for config in ("original", "mixed_same", "mixed_rand"):
        assert accuracy(result, "mixed_rand", config) > 0.9
    leaning, upright = (result["heads"][train]["bg_gap"]["macro"] for train in ("original", "mixed_rand"))
    assert leaning["ci95"][0] > 0.1
    assert abs(upright["value"]) < 0.1
    gained = result["differences"]["mixed_rand"]["mixed_rand"]
    assert (gained["minuend"], gained["subtrahend"], gained["n"]) == ("mixed_rand", "original", N_TEST)
    assert gained["macro"]["value"] == pytest.approx(
        accuracy(result, "mixed_rand", "mixed_rand") - accuracy(result, "original", "mixed_rand")
    )
    assert gained["macro"]["ci95"][0] > 0.1


def test_a_cell_is_what_evaluate_says_of_the_head(grounds: Path, out: Path, result: Any) -> None:
    for train in ("original", "mixed_rand"):
        spec = f"figureground.exports.analyses.probe:head={out / train}.safetensors::{SIX_COLOURS}"
        scored = evaluate(str(grounds), spec, configs=list(CONFIGS), bootstrap=10, protocol="imagenet9")
        for config in CONFIGS:
            cell = result["heads"][train]["cells"][config]
            assert cell["accuracy_macro"] == pytest.approx(scored["configs"][config]["accuracy_macro"])
            assert cell["accuracy_micro"] == pytest.approx(scored["configs"][config]["accuracy_micro"])
        gap = result["heads"][train]["bg_gap"]["macro"]["value"]
        assert gap == pytest.approx(scored["differences"]["bg_gap"]["value"])


def test_the_result_says_what_ran(request_: HeadsRequest, result: Any) -> None:
    assert result["dataset"]["fingerprint"] == request_.repository.fingerprint
    assert len(result["backbone"]["weights_sha256"]) == 64
    assert (result["backbone"]["spec"], result["backbone"]["device"]) == (SIX_COLOURS, "cpu")
    assert (result["train"], result["test"]) == (
        ["original", "mixed_rand"],
        ["original", "mixed_same", "mixed_rand", "only_bg_t"],
    )
    head = result["heads"]["mixed_rand"]
    assert (head["train"]["n"], head["validation"]["n"]) == (3 * PER_CLASS["train"], 3 * PER_CLASS["validation"])
    cell = head["cells"]["mixed_rand"]
    assert cell["n"] == N_TEST
    assert cell["ci95"][0] <= cell["accuracy_macro"] <= cell["ci95"][1]
    assert result["tested"]["original"]["n_per_class"] == {"red": 9, "green": 9, "blue": 9}


def test_the_table_has_a_row_a_head_and_a_column_a_config(out: Path, result: Any) -> None:
    lines = format_crossing(result).splitlines()
    assert (out / "heads.txt").read_text(encoding="utf-8").splitlines() == lines
    assert lines[1].split() == ["trained", "on", *result["test"], "BG-gap"]
    values, intervals = lines[3:5]
    assert values.split()[:3] == ["original", "100.0", "100.0"]
    assert values.split()[-1].startswith("+")
    assert intervals.startswith(f"n {3 * PER_CLASS['train']}")
    assert any(line.startswith("mixed_rand - original") for line in lines)
    assert lines[-1].startswith("* differs from 0 at 5 % after Holm's correction over 6 comparisons")
    gap_of_original, gap_of_mixed_rand = lines[4].split("[")[-1], lines[6].split("[")[-1]
    assert gap_of_original.endswith("*")
    assert not gap_of_mixed_rand.endswith("*")
    picture = (out / "heads.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert draw_crossing(result) == picture


def test_a_second_run_computes_no_features_and_writes_the_same_bytes(
    request_: HeadsRequest, out: Path, tmp_path: Path
) -> None:
    written, before = files_of(out), SixColours.passes
    again = Path(shutil.copytree(out, tmp_path / "again"))
    torch.manual_seed(5)  # what the global generator does is of no matter
    np.random.seed(5)  # noqa: NPY002
    train_heads(request_, SIX_COLOURS, SETTINGS, again)
    assert SixColours.passes == before
    assert files_of(again) == written
    train_heads(request_, SIX_COLOURS, SETTINGS, tmp_path / "afresh")
    assert SixColours.passes > before
    assert files_of(tmp_path / "afresh") == written


def test_stored_features_of_something_else_are_not_taken(request_: HeadsRequest, tmp_path: Path) -> None:
    request = replace(request_, train=("original",), test=("original",))
    train_heads(request, SIX_COLOURS, SETTINGS, tmp_path)
    before = SixColours.passes
    train_heads(replace(request, limit=20), SIX_COLOURS, SETTINGS, tmp_path)
    assert SixColours.passes > before
    (stored,) = (tmp_path / "features").glob("*.original.test.npz")
    stored.write_bytes(stored.read_bytes()[:-200])
    before = SixColours.passes
    limited = train_heads(replace(request, limit=20), SIX_COLOURS, SETTINGS, tmp_path)
    assert SixColours.passes == before + 1  # the damaged file's twenty images alone
    assert limited["heads"]["original"]["cells"]["original"]["n"] == 20


def test_stored_features_are_of_the_shards_that_the_manifest_lists(grounds: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(grounds, tmp_path / "set"))
    request = HeadsRequest(
        repository=open_repository(str(folder)), bootstrap=20, train=("original",), test=("original",)
    )
    train_heads(request, SIX_COLOURS, SETTINGS, tmp_path / "out")
    (shard,) = (folder / "data" / "original").glob("test-*.parquet")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(EvaluationError, match=r"expected the bytes that manifest\.json lists"):
        train_heads(request, SIX_COLOURS, SETTINGS, tmp_path / "out")


def test_stored_features_are_of_the_module_as_it_is_now(
    request_: HeadsRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    request = replace(request_, train=("original",), test=("original",))
    for source, computes in (("", True), ("", False), ("# another preprocessing", True)):
        (tmp_path / "own_colours.py").write_text(f"from figure_models import six_colours\n{source}\n")
        before = SixColours.passes
        train_heads(request, "own_colours:six_colours", SETTINGS, tmp_path / "out")
        assert (SixColours.passes > before) is computes


def test_without_pairs_there_is_no_gap_and_no_difference(request_: HeadsRequest, tmp_path: Path) -> None:
    request = replace(request_, train=("mixed_rand",), test=("mixed_rand", "only_bg_t"))
    result = train_heads(request, SIX_COLOURS, SETTINGS, tmp_path)
    assert result["heads"]["mixed_rand"]["bg_gap"] is None
    assert result["differences"] == {}
    assert "BG-gap" not in format_crossing(result)


def test_few_images_are_undecidable(request_: HeadsRequest, tmp_path: Path) -> None:
    request = replace(request_, train=("original",), test=("original",), limit=20)
    assert "n 20 (undecidable)" in format_crossing(train_heads(request, SIX_COLOURS, SETTINGS, tmp_path))


def test_one_split_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = write_grounds(tmp_path / "single", splits=("test",), configs=("original", "mixed_rand"))
    request = HeadsRequest(repository=open_repository(str(folder)))
    with pytest.raises(UsageError) as raised:
        train_heads(request, SIX_COLOURS, SETTINGS, tmp_path / "out")
    message = str(raised.value)
    assert "original/train, original/validation, mixed_rand/train, mixed_rand/validation; its splits: test;" in message
    assert "figureground build imagenet9 -w WORKSPACE -o FOLDER --splits train=0.5,validation=0.2,test=0.3" in message
    assert not (tmp_path / "out").exists()


def test_wrong_names_are_refused(request_: HeadsRequest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no config blurred, gone; configs: original, mixed_same"):
        choose_configs(replace(request_, train=("blurred",), test=("gone",)))
    with pytest.raises(UsageError, match="tested on a third; got train, validation, train"):
        choose_configs(replace(request_, test_split="train"))
    folder = write_grounds(tmp_path / "ground", configs=("only_bg_t",))
    with pytest.raises(UsageError, match="neither original nor mixed_rand to train on"):
        choose_configs(HeadsRequest(repository=open_repository(str(folder))))


def test_a_photo_on_two_sides_is_refused_even_across_configs(tmp_path: Path) -> None:
    folder = write_grounds(tmp_path / "leaking")
    leaked = [make_photo(label, number, "train", "mixed_rand") for number in range(9) for label in range(3)]
    write_shard(folder, "test", leaked, "mixed_rand")
    clean = HeadsRequest(repository=open_repository(str(folder)), train=("original",), test=("original", "mixed_same"))
    assert choose_configs(clean).test == ("original", "mixed_same")
    with pytest.raises(DataError) as raised:
        train_heads(replace(clean, test=None), SIX_COLOURS, SETTINGS, tmp_path / "out")
    (fault,) = raised.value.faults
    assert fault.got == "27 in train of original and in test of mixed_rand"
    assert fault.record.startswith("train-00-blue, train-00-green, train-00-red")
    assert not (tmp_path / "out").exists()


def test_a_class_without_training_images_is_refused(tmp_path: Path) -> None:
    folder = write_grounds(tmp_path / "lacking")
    rows = [make_photo(label, number, "train", "original") for number in range(12) for label in range(2)]
    write_shard(folder, "train", rows, "original")
    with pytest.raises(DataError, match="images of every class, got none of blue"):
        choose_configs(HeadsRequest(repository=open_repository(str(folder))))


def test_a_class_that_the_limit_cuts_off_is_refused(request_: HeadsRequest) -> None:
    """The image of red is the third by id."""
    with pytest.raises(DataError, match="images of every class, got none of red"):
        choose_configs(replace(request_, limit=2))
    assert choose_configs(replace(request_, limit=3)).train == ("original", "mixed_rand")
