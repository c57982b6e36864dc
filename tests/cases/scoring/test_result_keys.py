"""The key of a result: whatever decides it makes another one, and no stored answer outlives what it was of."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_dataset import HEAD, PLAIN, write_adapter, write_onnx
from needs import SHARED, need_shared
from scored_cases import SHARD, change_rows, colour_model, draw_dataset, list_files, scoring_code, scratch

script = scoring_code()
CASES = SHARED / "cases" / "build"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    with scratch(tmp_path):
        yield


def score(folder: Path, model: str, out: Path | None = None, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = script.evaluate(str(folder), model, out=out, bootstrap=20, **options)
    return result


def accuracy(result: dict[str, Any]) -> float:
    value: float = result["configs"]["original"]["accuracy_micro"]
    return value


def external(path: Path, scale: float) -> str:
    """A head whose weights, and nothing else, lie in a file beside the graph."""
    onnx = pytest.importorskip("onnx")
    write_onnx(path, (HEAD * scale).astype(np.float32), settings=PLAIN)
    model, data = onnx.load(path), path.with_name(f"{path.name}.data")
    (weights,) = (tensor for tensor in model.graph.initializer if tensor.name == "weights")
    data.write_bytes(weights.raw_data)
    onnx.external_data_helper.set_external_data(weights, location=data.name)
    weights.ClearField("raw_data")
    onnx.save(model, path)
    return f"onnx:{path}"


def flip_labels(folder: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["label"] = (row["label"] + 1) % 3

    change_rows(folder, change)


def swap_classes(folder: Path) -> None:
    path = folder / "class_map.json"
    path.write_text(path.read_text().replace('"imagenet_indices": [2]', '"imagenet_indices": [5]'))


@pytest.mark.parametrize("out", [None, "scores"], ids=["no-folder", "folder"])
@pytest.mark.parametrize("change", [flip_labels, swap_classes])
def test_a_changed_file_that_the_manifest_lists_is_refused(
    tmp_path: Path, change: Callable[[Path], None], out: str | None
) -> None:
    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "a.onnx")
    scores = tmp_path / out if out else None
    assert accuracy(score(folder, model, scores)) == pytest.approx(5 / 6)
    change(folder)
    with pytest.raises(script.EvaluationError, match=r"expected the bytes that manifest\.json lists") as caught:
        score(folder, model, scores)
    assert (SHARD if change is flip_labels else "class_map.json") in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("out", [None, "scores"], ids=["no-folder", "folder"])
@pytest.mark.parametrize("listed", [False, True])
def test_changed_rows_give_another_score(tmp_path: Path, out: str | None, listed: bool) -> None:
    """Without a manifest, and with one that lists what is there now."""
    folder, model = draw_dataset(tmp_path / "set", listed=listed), colour_model(tmp_path / "a.onnx")
    scores = tmp_path / out if out else None
    first = score(folder, model, scores)
    flip_labels(folder)
    second = score(list_files(folder) if listed else folder, model, scores)
    assert first["dataset"]["fingerprint"] != second["dataset"]["fingerprint"]
    assert accuracy(first) == pytest.approx(5 / 6)
    assert accuracy(second) == pytest.approx(1 / 6)


@pytest.mark.parametrize("out", [None, "scores"], ids=["no-folder", "folder"])
def test_weights_beside_a_graph_are_part_of_it(tmp_path: Path, out: str | None) -> None:
    folder, scores = draw_dataset(tmp_path / "set"), tmp_path / out if out else None
    first = score(folder, external(tmp_path / "m.onnx", 1), scores)
    graph = (tmp_path / "m.onnx").read_bytes()
    second = score(folder, external(tmp_path / "m.onnx", -1), scores)
    assert (tmp_path / "m.onnx").read_bytes() == graph
    assert accuracy(first) != accuracy(second)
    assert first["weights_sha256"] != second["weights_sha256"]
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(script.EvaluationError, match=r"m\.onnx\.data, do not lie beside it"):
        score(folder, f"onnx:{tmp_path}/m.onnx", scores)


def test_weights_in_every_corner_of_a_graph_are_found(tmp_path: Path) -> None:
    """In branches, functions, constants and sparse tensors, as onnx.proto allows it; and never outside the folder."""
    onnx = pytest.importorskip("onnx")

    def tensor(location: str) -> Any:
        made = onnx.TensorProto(name=location, data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
        for key, value in (("location", location), ("offset", "0"), ("length", "4")):
            made.external_data.add(key=key, value=value)
        return made

    inner = onnx.GraphProto(name="then", initializer=[tensor("branch")])
    nodes = [
        onnx.NodeProto(op_type="If", attribute=[onnx.AttributeProto(name="then_branch", g=inner, type=5)]),
        onnx.NodeProto(op_type="Loop", attribute=[onnx.AttributeProto(name="several", graphs=[inner], type=10)]),
        onnx.NodeProto(op_type="Constant", attribute=[onnx.AttributeProto(name="value", t=tensor("constant"), type=4)]),
        onnx.NodeProto(op_type="Own", attribute=[onnx.AttributeProto(name="s", tensors=[tensor("list")], type=9)]),
    ]
    sparse = onnx.SparseTensorProto(values=tensor("values"), indices=tensor("indices"))
    function = onnx.FunctionProto(name="f", node=[nodes[2]])
    graph = onnx.GraphProto(name="g", node=nodes, initializer=[tensor("plain")], sparse_initializer=[sparse])
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.ModelProto(ir_version=9, graph=graph, functions=[function]).SerializeToString())
    names = {"branch", "constant", "list", "values", "indices", "plain"}
    assert set(script.external_files(path)) == names
    for name in names:
        (tmp_path / name).write_bytes(b"1234")
    whole = script.onnx_sha256(path)
    for name in names:
        (tmp_path / name).write_bytes(b"4321")
        assert script.onnx_sha256(path) != whole
        (tmp_path / name).write_bytes(b"1234")
    assert script.onnx_sha256(path) == whole
    path.write_bytes(onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor("../elsewhere")])).SerializeToString())
    with pytest.raises(script.EvaluationError, match="a path that leads elsewhere"):
        script.onnx_sha256(path)


def key_of(folder: Path, model: str, out: Path, **options: Any) -> str:
    """What the answers to ``original`` are stored under."""
    before = set(out.rglob("*.original.npz"))
    score(folder, model, out, **options)
    new = set(out.rglob("*.original.npz")) - before
    return new.pop().name if new else ""


@pytest.mark.parametrize(
    "options",
    [{"feed": "reference"}, {"limit": 3}, {"split": "other"}, {"timm_size": "train"}],
    ids=lambda options: next(iter(options)),
)
def test_options_that_decide_answers_make_another_key(tmp_path: Path, options: dict[str, Any]) -> None:
    folder = draw_dataset(tmp_path / "set", listed=False)
    shutil.copy(folder / SHARD, folder / SHARD.replace("test-", "other-"))
    (folder / "README.md").unlink()  # so that names tell splits
    model = colour_model(tmp_path / "a.onnx")
    assert key_of(folder, model, tmp_path / "scores")
    new = key_of(folder, model, tmp_path / "scores", **options)
    assert bool(new) is (next(iter(options)) != "timm_size")  # which says nothing of an ONNX file
    assert not key_of(folder, model, tmp_path / "scores", **options, batch_size=5, workers=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"mean": [0.5, 0.5, 0.5]},
        {"std": [0.5, 0.5, 0.5]},
        {"scale": 0.01},
        {"interpolation": "nearest"},
        {"input_size": 8},
        {"outputs": "logits"},
        {"label_space": "head"},
        {"class_names": ["red", "green", "blue"]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_that_decide_answers_make_another_key(tmp_path: Path, settings: dict[str, Any]) -> None:
    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "a.onnx", settings={})
    assert key_of(folder, model, tmp_path / "scores")
    (tmp_path / "a.json").write_text(json.dumps(settings))
    implied = settings == {"outputs": "logits"}  # what the outputs tell, too
    assert bool(key_of(folder, model, tmp_path / "scores")) is not implied
    assert not key_of(folder, model, tmp_path / "scores")


def test_the_source_and_the_argument_of_a_users_model_are_part_of_it(tmp_path: Path) -> None:
    folder, out = draw_dataset(tmp_path / "set"), tmp_path / "scores"
    write_adapter(tmp_path, "counting")
    assert key_of(folder, "counting:make", out)
    assert key_of(folder, "counting:make=other", out)
    assert not key_of(folder, "counting:make", out)
    write_adapter(tmp_path, "counting", answer="-images.mean(axis=(1, 2))")
    del sys.modules["counting"]
    assert key_of(folder, "counting:make", out)


def test_a_card_that_names_other_files_makes_another_key(tmp_path: Path) -> None:
    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "a.onnx")
    other = folder / SHARD.replace("original", "other")
    other.parent.mkdir()
    shutil.copy(folder / SHARD, other)
    list_files(folder)
    assert key_of(folder, model, tmp_path / "scores")
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card.replace("path: data/original/", "path: data/other/"))
    assert key_of(folder, model, tmp_path / "scores")


@pytest.mark.parametrize("seed", range(12))
def test_damaged_answers_are_made_again(tmp_path: Path, seed: int) -> None:
    """Whatever byte is another, or however much is missing."""
    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "a.onnx")
    first = score(folder, model, tmp_path / "scores")
    (path,) = (tmp_path / "scores").rglob("*.npz")
    whole, generator = path.read_bytes(), np.random.default_rng(seed)
    for _ in range(8):
        damaged = bytearray(whole)
        for offset in generator.integers(0, len(whole), 4):
            damaged[offset] ^= int(generator.integers(1, 256))
        path.write_bytes(bytes(damaged[: generator.integers(1, len(whole))] if seed % 3 == 0 else damaged))
        assert score(folder, model, tmp_path / "scores") == first


@pytest.mark.parametrize("target", ["file", "below-a-file", "proc"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, target: str) -> None:
    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "a.onnx")
    (tmp_path / "file").write_text("mine")
    out = {"file": tmp_path / "file", "below-a-file": tmp_path / "file" / "x", "proc": Path("/proc/x")}[target]
    with pytest.raises(script.EvaluationError, match="cannot be written") as caught:
        score(folder, model, out)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code in (2, 3)
    assert (tmp_path / "file").read_text() == "mine"


def test_the_shared_graph_with_other_weights_scores_otherwise(tmp_path: Path) -> None:
    need_shared(CASES / "01_onnx_external_data")
    copied = Path(shutil.copytree(CASES / "01_onnx_external_data", tmp_path / "case"))
    tiny = Path(shutil.copytree(CASES / "00_tiny", tmp_path / "00_tiny"))
    first, second = list[dict[str, Any]](), list[dict[str, Any]]()
    for seed, results in (("seed0", first), ("seed1", second)):
        shutil.copy(copied / f"{seed}.data", copied / "model.onnx.data")
        for out in (None, tmp_path / "scores"):
            results.append(score(tiny, f"onnx:{copied}/model.onnx", out, configs=["original"]))
    assert [accuracy(result) for result in (*first, *second)] == [1, 1, 0.5, 0.5]
    assert len({result["weights_sha256"] for result in (*first, *second)}) == 2


def test_the_shared_changed_shard_is_named(tmp_path: Path) -> None:
    need_shared(CASES / "02_shard_changed")
    copied = Path(shutil.copytree(CASES / "02_shard_changed", tmp_path / "case"))
    model = f"onnx:{copied}/k2.onnx"
    for out in (None, tmp_path / "scores"):
        assert accuracy(score(copied / "ds", model, out, configs=["original"])) in (0, 1)
    change_rows(copied / "ds", lambda rows: [row.update(label=1 - row["label"]) for row in rows])
    for out in (None, tmp_path / "scores"):
        with pytest.raises(script.EvaluationError, match=SHARD):
            score(copied / "ds", model, out, configs=["original"])
