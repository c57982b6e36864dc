"""ONNX files, their settings and what their outputs are: read, or named in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_dataset import HEAD, PLAIN, write_onnx
from needs import SHARED, need_shared
from scored_cases import colour_model, draw_dataset, refused, score, scoring_code, scratch

script = scoring_code()
CASES = SHARED / "cases" / "build"
SETTINGS = (
    "chw_size",
    "class_names",
    "mean_255",
    "outputs_typo",
    "scalar_mean",
    "text_size",
    "unknown_key",
    "zero_scale",
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    with scratch(tmp_path):
        yield


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16", "DOUBLE"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_graphs_of_every_precision_answer_alike(tmp_path: Path, kind: str, layout: str) -> None:
    onnx = pytest.importorskip("onnx")
    folder = draw_dataset(tmp_path / "set")
    path = write_onnx(tmp_path / "m.onnx", HEAD, layout=layout, settings=PLAIN)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = getattr(onnx.TensorProto, kind)
    onnx.save(model, path)  # its first node casts
    assert score(folder, f"onnx:{path}")["configs"]["original"]["accuracy_micro"] == pytest.approx(5 / 6)


def damaged(path: Path, kind: str) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    if kind == "opset":
        model.opset_import[0].version = 99
    elif kind == "ir":
        model.ir_version = 99
    elif kind == "operator":
        model.graph.node[0].op_type = "NoSuchOperator"
    elif kind == "integers":
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    elif kind == "axes":
        model.graph.input[0].type.tensor_type.shape.dim.pop()
    content = {
        "empty": b"",
        "text": b"hello, I am no model",
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "cut": path.read_bytes()[:-40],
    }
    path.write_bytes(content[kind] if kind in content else model.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "the file is empty"),
        ("pointer", "git lfs pull"),
        ("text", "download it again"),
        ("cut", "download it again"),
        ("opset", "a lower opset"),
        ("ir", "Unsupported model IR version: 99"),
        ("operator", "NoSuchOperator"),
        ("integers", "expected an input of tensor(float)"),
        ("axes", "cannot load it"),
    ],
)
def test_a_graph_that_cannot_run_is_one_line_with_its_remedy(tmp_path: Path, kind: str, words: str) -> None:
    folder, path = draw_dataset(tmp_path / "set"), write_onnx(tmp_path / "m.onnx", HEAD, settings=PLAIN)
    damaged(path, kind)
    message = refused(folder, f"onnx:{path}")
    assert words in message
    assert "m.onnx" in message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('{"means": [0, 0, 0]}', "unknown setting 'means'; did you mean mean?"),
        ('{"colour": 1}', "unknown setting 'colour'; there are"),
        ('{"mean": 0.5}', "mean: expected three numbers, got 0.5"),
        ('{"mean": [0, 0, NaN]}', "mean: expected three numbers"),
        ('{"mean": [123.7, 116.3, 103.5]}', "mean: expected numbers in [0, 1]"),
        ('{"std": [58.4, 57.1, 57.4]}', "std: expected numbers in [0, 1]"),
        ('{"std": [0, 1, 1]}', "std: expected three numbers above 0"),
        ('{"scale": 0}', "scale: expected a number above 0"),
        ('{"scale": true}', "scale: expected a number above 0"),
        ('{"input_size": "224"}', "input_size: expected pixels"),
        ('{"input_size": [3, 224, 224]}', "input_size: expected pixels"),
        ('{"input_size": -1}', "input_size: expected pixels"),
        ('{"layout": "nchw"}', "layout: expected NCHW or NHWC"),
        ('{"layout": "NHWC"}', "so NCHW fits; got NHWC"),
        ('{"outputs": "softmax"}', "outputs: expected logits or probabilities"),
        ('{"outputs": "probabilities"}', "says probabilities, but they run from"),
        ('{"interpolation": 3}', "interpolation: expected bicubic"),
        ('{"crop_pct": 87.5}', "crop_pct: expected a number above 0 and up to 2"),
        ('{"label_space": "imagenet"}', "label_space: expected map or head"),
        ('{"label_space": "map"}', "expected 1000 or 1001 ImageNet outputs"),
        (
            '{"class_names": ["blue", "red", "green"]}',
            "class_names: expected the dataset's in their order, red, green, blue",
        ),
        ('{"class_names": "red"}', "class_names: expected names"),
        ('{"mean": [0, 0, 0], "mean": [1, 1, 1]}', "mean stands there twice"),
        ("[1]", "expected settings by name"),
        ("{", "are not JSON"),
        ("[" * 5000, "are not JSON"),
    ],
)
def test_a_slip_in_the_settings_is_named(tmp_path: Path, settings: str, words: str) -> None:
    folder, path = draw_dataset(tmp_path / "set"), write_onnx(tmp_path / "m.onnx", HEAD, settings=PLAIN)
    path.with_suffix(".json").write_text(settings)
    message = refused(folder, f"onnx:{path}")
    assert words in message
    if "1000 or 1001" not in words:
        assert "m.json" in message


def test_all_slips_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    folder, path = draw_dataset(tmp_path / "set"), write_onnx(tmp_path / "m.onnx", HEAD, settings=PLAIN)
    path.with_suffix(".json").write_text('{"scale": 0, "means": 1, "layout": 3}')
    assert refused(folder, f"onnx:{path}").count(";") >= 2


def test_names_of_other_programs_in_a_graph_are_passed_over(tmp_path: Path) -> None:
    folder = draw_dataset(tmp_path / "set")
    path = write_onnx(tmp_path / "m.onnx", HEAD, settings={**PLAIN, "stride": "32", "names": "{0: 'x'}"})
    assert score(folder, f"onnx:{path}")["n"] == 6
    path = write_onnx(tmp_path / "m.onnx", HEAD, settings={**PLAIN, "outputs": '"softmax"'})
    assert "outputs: expected" in refused(folder, f"onnx:{path}")


def softmax_model(path: Path, weights: Any, kind: str = "FLOAT") -> str:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(write_onnx(path, np.asarray(weights, np.float32), settings=PLAIN))
    last = model.graph.node[-1]
    last.output[0] = "scores"
    model.graph.node.append(onnx.helper.make_node("Softmax", ["scores"], ["shares"], axis=-1))
    model.graph.node.append(onnx.helper.make_node("Cast", ["shares"], ["half"], to=getattr(onnx.TensorProto, kind)))
    model.graph.node.append(onnx.helper.make_node("Cast", ["half"], ["logits"], to=onnx.TensorProto.FLOAT))
    onnx.save(model, path)
    return f"onnx:{path}"


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16"])
def test_a_softmax_inside_is_told_by_the_outputs(tmp_path: Path, kind: str) -> None:
    folder, out = draw_dataset(tmp_path / "set"), tmp_path / "scores"
    plain = score(folder, colour_model(tmp_path / "logits.onnx", 3), out=out)
    inside = score(folder, softmax_model(tmp_path / "shares.onnx", HEAD * 3, kind), out=out)
    (tmp_path / "said.json").write_text('{"outputs": "probabilities", "mean": [0, 0, 0], "std": [1, 1, 1]}')
    declared = score(folder, softmax_model(tmp_path / "said.onnx", HEAD * 3, kind), out=out)
    assert [result["feeding"]["outputs"] for result in (plain, inside, declared)] == ["logits"] + ["probabilities"] * 2
    probabilities = {}
    for path in out.rglob("*.npz"):
        with np.load(path) as stored:
            probabilities[path.name.split(".")[0]] = stored["probability"]
    assert probabilities["onnx-shares"] == pytest.approx(probabilities["onnx-logits"], abs=2e-3)
    assert probabilities["onnx-said"] == pytest.approx(probabilities["onnx-logits"], abs=2e-3)
    (tmp_path / "shares.json").write_text('{"outputs": "logits"}')
    assert "says logits, but its rows are shares" in refused(folder, f"onnx:{tmp_path}/shares.onnx")


@pytest.mark.parametrize("name", ["f32", "f16", "f64", "empty", "ir99", "lfs_pointer", "opset99", "wrong_layout"])
def test_the_shared_graphs_are_read_or_named(tmp_path: Path, name: str) -> None:
    case = CASES / "03_onnx_raises"
    need_shared(case)
    copied = Path(shutil.copytree(case, tmp_path / "case"))
    tiny = Path(shutil.copytree(CASES / "00_tiny", tmp_path / "00_tiny"))
    if name in ("f32", "f16", "f64"):
        assert score(tiny, f"onnx:{copied}/{name}.onnx")["configs"]["original"]["accuracy_micro"] == 1
    else:
        assert name in refused(tiny, f"onnx:{copied}/{name}.onnx")


@pytest.mark.parametrize("name", SETTINGS)
def test_the_shared_settings_are_named(tmp_path: Path, name: str) -> None:
    case = CASES / "04_onnx_settings"
    need_shared(case)
    copied = Path(shutil.copytree(case, tmp_path / "case"))
    tiny = Path(shutil.copytree(CASES / "00_tiny", tmp_path / "00_tiny"))
    shutil.copy(copied / f"{name}.json", copied / "m.json")
    key = next(iter(json.loads((copied / "m.json").read_text())))
    message = refused(tiny, f"onnx:{copied}/m.onnx")
    assert "m.json" in message
    assert key in message


def test_the_shared_softmax_answers_as_its_logits(tmp_path: Path) -> None:
    case = CASES / "10_softmax_inside"
    need_shared(case)
    copied = Path(shutil.copytree(case, tmp_path / "case"))
    tiny = Path(shutil.copytree(CASES / "00_tiny", tmp_path / "00_tiny"))
    shutil.copy(copied / "softmax.onnx", copied / "said.onnx")
    (copied / "said.json").write_text('{"outputs": "probabilities"}')
    shares = []
    for name in ("logits", "softmax", "said"):
        score(tiny, f"onnx:{copied}/{name}.onnx", out=tmp_path / name)
        (path,) = (tmp_path / name).rglob("*.npz")
        with np.load(path) as stored:
            shares.append(stored["probability"])
    assert shares[1] == pytest.approx(shares[0], abs=1e-6)
    assert shares[2] == pytest.approx(shares[0], abs=1e-6)
