"""Checkpoints of every program, timm's sizes, and which class an output is."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_dataset import PLAIN, write_onnx
from needs import SHARED, need_shared
from scored_cases import colour_model, draw_dataset, list_files, refused, score, scoring_code, scratch

script = scoring_code()
CASES = SHARED / "cases" / "build"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    with scratch(tmp_path):
        yield


def wrapped(state: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{name}": value for name, value in state.items()}}
    lightning = {f"model.{name}": value for name, value in state.items()} | {"loss.weight": torch.ones(2)}
    return {
        "plain": state,
        "parallel": {f"module.{name}": value for name, value in state.items()},
        "compiled": {f"_orig_mod.{name}": value for name, value in state.items()},
        "parallel-compiled": {"state_dict": {f"module._orig_mod.{name}": value for name, value in state.items()}},
        "compiled-parts": {name.replace("layer1.", "layer1._orig_mod."): value for name, value in state.items()},
        "lightning": {"state_dict": lightning, "epoch": 3, "pytorch-lightning_version": "2"},
        "averaged": averaged,
        "torchvision": {"model": other, "model_ema": averaged, "epoch": 1},
        "timm-ema": {"arch": "test_resnet", "state_dict": other, "state_dict_ema": state},
        "arguments": {"state_dict": state, "args": argparse.Namespace(model="test_resnet", lr=0.1)},
        "own-name": {"weights": state},
    }


NAMES = (
    "plain",
    "parallel",
    "compiled",
    "parallel-compiled",
    "compiled-parts",
    "lightning",
    "averaged",
    "torchvision",
    "timm-ema",
    "arguments",
    "own-name",
)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_of_every_program_are_one_model(tmp_path: Path, name: str) -> None:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    torch.manual_seed(0)
    state, other = (timm.create_model("test_resnet", num_classes=3).state_dict() for _ in range(2))
    checkpoints = wrapped(state, other)
    assert set(NAMES) == set(checkpoints)
    torch.save(checkpoints[name], tmp_path / "mine.pth")
    torch.save(state, tmp_path / "plain.pth")
    images = script.drawn_pictures((160, 160))
    ours, plain = (script.load_model(f"timm:test_resnet={tmp_path}/{file}.pth") for file in ("mine", "plain"))
    assert np.array_equal(ours.logits(images), plain.logits(images))
    chosen = {
        "torchvision": "checkpoint: model_ema taken, not model",
        "timm-ema": "checkpoint: state_dict_ema taken, not state_dict",
    }
    assert ours.notes == ((chosen[name],) if name in chosen else ())
    if name in chosen:
        (tmp_path / "mine.json").write_text(
            json.dumps({"checkpoint": "model" if name == "torchvision" else "state_dict"})
        )
        raw = script.load_model(f"timm:test_resnet={tmp_path}/mine.pth")
        assert not np.array_equal(raw.logits(images), plain.logits(images))
        result = score(draw_dataset(tmp_path / "set"), f"timm:test_resnet={tmp_path}/mine.pth")
        assert result["model_settings"]["settings"]["part"] in ("model", "state_dict")
        assert "taken, not" in script.format_table([result])


def test_two_models_in_one_checkpoint_are_asked_about(tmp_path: Path) -> None:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    state = timm.create_model("test_resnet", num_classes=3).state_dict()
    both = {f"{part}.{name}": value for part in ("teacher", "student") for name, value in state.items()}
    torch.save({"state_dict": both}, tmp_path / "mine.pth")
    folder = draw_dataset(tmp_path / "set")
    message = refused(folder, f"timm:test_resnet={tmp_path}/mine.pth")
    assert "holds several models, student., teacher." in message
    assert "mine.json" in message
    (tmp_path / "mine.json").write_text('{"checkpoint": "student"}')
    assert score(folder, f"timm:test_resnet={tmp_path}/mine.pth")["model_settings"]["settings"]["prefix"] == "student."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<html>404</html>", "cannot be read as tensors"),
        ({}, "it holds nothing"),
        ({"epoch": 3}, "expected tensors by name"),
        ([1, 2], "expected tensors by name, got list"),
    ],
    ids=["empty", "pointer", "html", "nothing", "numbers", "list"],
)
def test_a_file_of_no_weights_is_named(tmp_path: Path, content: Any, words: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("timm")
    path = tmp_path / "mine.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    message = refused(draw_dataset(tmp_path / "set"), f"timm:test_resnet={path}")
    assert words in message
    assert "mine.pth" in message


def test_a_whole_model_is_not_unpickled(tmp_path: Path) -> None:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    torch.save(timm.create_model("test_resnet"), tmp_path / "mine.pth")
    message = refused(draw_dataset(tmp_path / "set"), f"timm:test_resnet={tmp_path}/mine.pth")
    assert "save model.state_dict() alone" in message


@pytest.mark.parametrize(("size", "pixels", "crop"), [("test", 224, 0.95), ("train", 176, 0.875)])
def test_timm_models_are_tested_at_timms_test_size(tmp_path: Path, size: str, pixels: int, crop: float) -> None:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    model = timm.create_model("resnet10t.c3_in1k", num_classes=3)
    torch.save(model.state_dict(), tmp_path / "r.pth")
    adapter = script.load_model(f"timm:resnet10t.c3_in1k={tmp_path}/r.pth", timm_size=size)
    theirs = timm.data.resolve_data_config({}, model=model, use_test_size=size == "test")
    assert (adapter.input_size_hw, adapter.crop_pct) == ((pixels, pixels), crop)
    assert (adapter.input_size_hw, adapter.crop_pct) == (theirs["input_size"][1:], theirs["crop_pct"])
    folder = draw_dataset(tmp_path / "set")
    result = score(folder, f"timm:resnet10t.c3_in1k={tmp_path}/r.pth", timm_size=size)
    assert result["input_size_hw"] == (pixels, pixels)
    assert result["model_settings"]["settings"]["size"] == size
    assert ("timm trained it at" in script.format_table([result])) is (size == "train")
    with pytest.raises(script.EvaluationError, match="--timm-size: expected test, train"):
        score(folder, "onnx:any.onnx", timm_size="tset")


def thousand(folder: Path, order: Callable[[int], int]) -> Path:
    """A dataset with a class for every ImageNet output; class i is output ``order(i)``."""
    draw_dataset(folder, listed=False)
    names = [f"c{index:03d}" for index in range(1000)]
    classes = [
        {"index": index, "name": name, "wnids": [name], "imagenet_indices": [order(index)]}
        for index, name in enumerate(names)
    ]
    (folder / "class_map.json").write_text(json.dumps({"name": "all", "classes": classes}))
    import datasets
    import pyarrow.parquet as pq
    from scored_cases import SHARD

    rows = pq.read_table(folder / SHARD).to_pylist()
    features = datasets.Features.from_arrow_schema(pq.read_schema(folder / SHARD))
    features["label"] = datasets.ClassLabel(names=names)
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(folder / SHARD))
    return list_files(folder)


def test_a_thousand_classes_take_a_thousand_outputs(tmp_path: Path) -> None:
    weights = np.zeros((3, 1000), np.float32)
    weights[[0, 1, 2], [0, 1, 2]] = 1
    model = f"onnx:{write_onnx(tmp_path / 'm.onnx', weights, settings=PLAIN)}"
    same = score(thousand(tmp_path / "same", lambda index: index), model)
    assert same["configs"]["original"]["accuracy_micro"] == pytest.approx(5 / 6)
    turned = thousand(tmp_path / "turned", lambda index: 999 - index)
    assert "both fit: say label_space" in refused(turned, model)
    (tmp_path / "m.json").write_text('{"label_space": "head", "mean": [0, 0, 0], "std": [1, 1, 1]}')
    assert score(turned, model)["configs"]["original"]["accuracy_micro"] == pytest.approx(5 / 6)
    (tmp_path / "m.json").write_text('{"label_space": "map", "mean": [0, 0, 0], "std": [1, 1, 1]}')
    assert score(turned, model)["configs"]["original"]["accuracy_micro"] == 0


def test_the_order_of_a_heads_classes_is_stated_or_said_to_be_assumed(tmp_path: Path) -> None:
    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "m.onnx", settings={})
    assumed = score(folder, model)
    assert assumed["class_order"] == "assumed"
    assert "assumed to be in the order of the dataset's classes" in script.format_table([assumed])
    (tmp_path / "m.json").write_text('{"class_names": ["red", "green", "blue"]}')
    stated = score(folder, model)
    assert stated["class_order"] == "stated"
    assert "assumed" not in script.format_table([stated])
    assert stated["model_settings"]["class_names"] == ["red", "green", "blue"]


def test_files_of_one_name_are_told_apart_in_tables_and_on_disk(tmp_path: Path) -> None:
    folder, out = draw_dataset(tmp_path / "set"), tmp_path / "scores"
    models = [colour_model(tmp_path / name / "model.onnx", scale) for name, scale in (("a", 1), ("b", -1))]
    results = [score(folder, model, out=out) for model in models]
    names = [f"onnx:model ({result['weights_sha256'][:8]})" for result in results]
    assert script.tell_apart(results) == names
    header = script.format_table(results).splitlines()[1]
    assert all(name in header for name in names)
    assert script.tell_apart([results[0], results[0]]) == ["onnx:model"] * 2
    assert len(list(out.glob("*.json"))) == 2
    other = {**results[0], "device": "cuda"}
    assert script.tell_apart([results[0], other]) == ["onnx:model (cpu)", "onnx:model (cuda)"]
    fed = {**results[0], "feeding": {}}
    assert len(set(script.tell_apart([results[0], fed]))) == 2


def test_the_shared_thousand_classes_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES / "06_thousand_classes"
    need_shared(case)
    copied = Path(shutil.copytree(case, tmp_path / "case"))
    monkeypatch.syspath_prepend(str(copied))
    monkeypatch.chdir(copied)
    exec(compile((copied / "make.py").read_text(), "make.py", "exec"), {})
    sys.modules.pop("tiny", None)
    assert score(copied / "in1k", f"onnx:{copied}/k1000.onnx")["n"] == 1000


def test_the_shared_checkpoints_score_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES / "07_timm_checkpoints"
    need_shared(case)
    pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    exec(compile((case / "make.py").read_text(), "make.py", "exec"), {})
    files = ("plain.pth", "compiled.pth", "ddp_compiled.pth", "last.pth.tar")
    images = script.drawn_pictures((160, 160))
    answers = [script.load_model(f"timm:test_resnet={file}").logits(images) for file in files]
    assert all(np.array_equal(answer, answers[0]) for answer in answers)
