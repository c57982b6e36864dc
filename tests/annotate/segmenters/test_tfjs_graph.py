"""TensorFlow.js graphs as ONNX: every operation against NumPy, and whatever is unknown refused by name."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from figureground.annotate.segmenters.onnx_models import OnnxModel
from figureground.annotate.segmenters.tfjs_graph import convert_tfjs
from figureground.errors import DataError

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

Array = NDArray[Any]
SHAPE = (1, 7, 6, 3)
RANDOM = np.random.default_rng(5)
PIXELS = RANDOM.integers(0, 256, SHAPE, dtype=np.uint8)
KERNEL = RANDOM.normal(size=(3, 3, 3, 4)).astype(np.float32)
DEPTHWISE = RANDOM.normal(size=(3, 3, 3, 2)).astype(np.float32)
CHANNELS = [RANDOM.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4)]


def integers(*numbers: int) -> Array:
    return np.array(numbers, np.int32)


def floats(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def tfjs(nodes: Mapping[str, Any], constants: Mapping[str, Array]) -> tuple[bytes, bytes]:
    """A model's JSON and weights; ``nodes`` is name to (operation, inputs, attributes)."""
    listed = [{"name": name, "op": "Const", "input": [], "attr": {}} for name in constants]
    listed += [
        {"name": name, "op": op, "input": list(inputs), "attr": dict(attributes)}
        for name, (op, inputs, attributes) in nodes.items()
    ]
    listed.append({"name": "pixels", "op": "Placeholder", "input": [], "attr": {}})
    manifest = [
        {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)} for name, value in constants.items()
    ]
    document = {"modelTopology": {"node": listed}, "weightsManifest": [{"paths": ["w"], "weights": manifest}]}
    return json.dumps(document).encode(), b"".join(value.tobytes() for value in constants.values())


def converted(model: tuple[bytes, bytes], output: str = "out") -> bytes:
    return convert_tfjs(*model, feed="pixels", shape=SHAPE, outputs={"answer": output}, where="model.json")


def run(nodes: Mapping[str, Any], constants: Mapping[str, Array], output: str = "out") -> Array:
    model = OnnxModel(converted(tfjs(nodes, constants), output), where="model.json", threads=1)
    (answer,) = model.run({"image": PIXELS})
    return answer


def listed(*numbers: int) -> dict[str, Any]:
    return {"list": {"i": [str(number) for number in numbers]}}


def conv(padding: str, stride: int, *, as_bytes: bool = False) -> dict[str, Any]:
    """Attributes of a convolution; older converters list the bytes of a text."""
    words = {"padding": padding, "data_format": "NHWC"}
    texts: dict[str, Any] = {
        name: {"s": list(text.encode()) if as_bytes else base64.b64encode(text.encode()).decode()}
        for name, text in words.items()
    }
    return {**texts, "strides": listed(1, stride, stride, 1), "dilations": listed(1, 1, 1, 1)}


def windows(padding: str, stride: int) -> Array:
    """``(1, rows, columns, 3, 3, channels)``: what a 3 x 3 kernel sees, with TensorFlow's padding, more of it last."""
    pixels = PIXELS.astype(np.float64)
    if padding == "SAME":
        totals = [max((-(-side // stride) - 1) * stride + 3 - side, 0) for side in SHAPE[1:3]]
        pixels = np.pad(pixels, [(0, 0), *((total // 2, total - total // 2) for total in totals), (0, 0)])
    views: Any = np.lib.stride_tricks  # its annotations know one axis only
    seen = views.sliding_window_view(pixels, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
    return np.moveaxis(seen, 3, -1)


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_convolutions(padding: str, stride: int, as_bytes: bool) -> None:
    seen, attributes = windows(padding, stride), conv(padding, stride, as_bytes=as_bytes)
    full = run({"out": ("Conv2D", ["pixels", "kernel"], attributes)}, {"kernel": KERNEL})
    np.testing.assert_allclose(full, np.einsum("nxyhwc,hwco->nxyo", seen, KERNEL), rtol=1e-4, atol=1e-2)
    by_channel = run({"out": ("DepthwiseConv2dNative", ["pixels", "kernel"], attributes)}, {"kernel": DEPTHWISE})
    expected = np.einsum("nxyhwc,hwco->nxyco", seen, DEPTHWISE)
    np.testing.assert_allclose(by_channel, expected.reshape(*expected.shape[:3], 6), rtol=1e-4, atol=1e-2)


def normalised(pixels: Array) -> Array:
    gamma, beta, mean, variance = CHANNELS
    return np.asarray((pixels - mean) / np.sqrt(variance + 0.001) * gamma + beta)


SIMPLE: dict[str, tuple[Any, dict[str, Array], Callable[[Array], Array]]] = {
    "Add": (("Add", ["pixels", "a"], {}), {"a": floats(1, 2, 3)}, lambda x: x + np.array([1, 2, 3])),
    "AddN": (("AddN", ["pixels", "pixels", "pixels"], {}), {}, lambda x: 3 * x),
    "BiasAdd": (("BiasAdd", ["pixels", "a"], {}), {"a": floats(1, 2, 3)}, lambda x: x + np.array([1, 2, 3])),
    "Sub": (("Sub", ["pixels", "a"], {}), {"a": np.array(9, np.float32)}, lambda x: x - 9),
    "Mul": (("Mul", ["a", "pixels"], {}), {"a": np.array(0.1, np.float32)}, lambda x: 0.1 * x),
    "Relu6": (("Relu6", ["pixels"], {}), {}, lambda x: np.minimum(x, 6)),
    "FusedBatchNorm": (
        ("FusedBatchNorm", ["pixels", "a", "b", "c", "d"], {"epsilon": {"f": 0.001}}),
        dict(zip("abcd", CHANNELS, strict=True)),
        normalised,
    ),
    "Reshape": (("Reshape", ["pixels", "a"], {}), {"a": integers(1, -1, 9)}, lambda x: x.reshape(1, -1, 9)),
    "Transpose": (("Transpose", ["pixels", "a"], {}), {"a": integers(3, 1, 0, 2)}, lambda x: x.transpose(3, 1, 0, 2)),
    "ConcatV2": (
        ("ConcatV2", ["pixels", "pixels", "a"], {}),
        {"a": np.array(2, np.int32)},
        lambda x: np.concatenate([x, x], 2),
    ),
    "ExpandDims": (("ExpandDims", ["pixels", "a"], {}), {"a": np.array(1, np.int32)}, lambda x: x[:, None]),
    "Squeeze": (("Squeeze", ["pixels"], {"squeeze_dims": listed(0)}), {}, lambda x: x[0]),
    "Tile": (("Tile", ["pixels", "a"], {}), {"a": integers(1, 2, 1, 1)}, lambda x: np.tile(x, (1, 2, 1, 1))),
    "Slice": (
        ("Slice", ["pixels", "a", "b"], {}),
        {"a": integers(0, 1, 2, 1), "b": integers(1, 3, -1, -1)},
        lambda x: x[:, 1:4, 2:, 1:],
    ),
    "Pack": (("Pack", ["pixels", "pixels"], {"axis": {"i": "1"}}), {}, lambda x: np.stack([x, x], 1)),
    "Unpack": (("Unpack", ["pixels"], {"axis": {"i": "3"}, "num": {"i": "3"}}), {}, lambda x: x[..., 0]),
}


@pytest.mark.parametrize("op", SIMPLE)
def test_operations(op: str) -> None:
    node, constants, expected = SIMPLE[op]
    np.testing.assert_allclose(run({"out": node}, constants), expected(PIXELS.astype(np.float64)), rtol=1e-4, atol=1e-3)


def test_exponentials_in_a_range_that_has_them() -> None:
    small: Any = ("Mul", ["pixels", "a"], {})
    for op, expected in (("Exp", np.exp), ("Sigmoid", lambda x: 1 / (1 + np.exp(-x)))):
        answer = run({"small": small, "out": (op, ["small"], {})}, {"a": np.array(0.01, np.float32)})
        np.testing.assert_allclose(answer, expected(PIXELS * 0.01), rtol=1e-4)


def test_every_output_of_a_split_can_be_used() -> None:
    split = ("Unpack", ["pixels"], {"axis": {"i": "3"}, "num": {"i": "3"}})
    nodes = {"split": split, "out": ("Sub", ["split:2", "split:0"], {})}
    expected = PIXELS[..., 2].astype(np.float64) - PIXELS[..., 0]
    np.testing.assert_allclose(run(nodes, {}), expected)


def test_shapes_that_ask_for_the_batch_are_known_beforehand() -> None:
    nodes = {
        "out": ("Reshape", ["pixels", "shape"], {}),
        "shape": ("Pack", ["batch", "rest"], {"axis": {"i": "0"}}),
        "batch": ("StridedSlice", ["sides", "zero", "one", "one"], {"shrink_axis_mask": {"i": "1"}}),
        "sides": ("Shape", ["pixels"], {}),
    }
    constants = {"rest": np.array(126, np.int32), "zero": integers(0), "one": integers(1)}
    np.testing.assert_allclose(run(nodes, constants), PIXELS.reshape(1, 126))
    with pytest.raises(DataError, match="another side than the batch"):
        run(nodes, {**constants, "zero": integers(2)})


def test_a_deep_chain_is_no_recursion() -> None:
    nodes: dict[str, Any] = {f"n{number}": ("Add", [f"n{number - 1}", "a"], {}) for number in range(1, 3000)}
    nodes["n0"] = ("Add", ["pixels", "a"], {})
    converted(tfjs(dict(reversed(nodes.items())), {"a": np.array(1, np.float32)}), "n2999")


def broken(change: Callable[[dict[str, Any]], Any]) -> tuple[bytes, bytes]:
    model, weights = tfjs({"out": ("Conv2D", ["pixels", "a"], conv("SAME", 1))}, {"a": KERNEL})
    document = json.loads(model)
    change(document)
    return json.dumps(document).encode(), weights


def node(document: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = next(entry for entry in document["modelTopology"]["node"] if entry["name"] == "out")
    return entry


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda d: node(d).update(op="TopKV2"), "out is of the unknown operation TopKV2"),
        (lambda d: node(d).update(input=["pixels", "gone"]), "KeyError: 'gone'"),
        (lambda d: node(d).update(input=["pixels", "pixels"]), "pixels is expected to be constant"),
        (lambda d: node(d)["attr"].update(dilations=listed(1, 2, 2, 1)), "is dilated, or has channels first"),
        (lambda d: node(d)["attr"].update(data_format={"s": "TkNIVw=="}), "is dilated, or has channels first"),
        (lambda d: node(d)["attr"].pop("strides"), "KeyError: 'strides'"),
        (lambda d: node(d).update(input=["out", "a"]), "CycleError"),
        (lambda d: d["weightsManifest"][0]["weights"][0].update(shape=[3, 3, 3, 5]), "buffer is smaller"),
        (lambda d: d["weightsManifest"][0]["weights"][0].update(shape=[3, 3, 3, 3]), "432 bytes of weights where 324"),
        (lambda d: d["weightsManifest"][0]["weights"][0].update(dtype="string"), "KeyError: 'string'"),
        (lambda d: d["weightsManifest"][0]["weights"][0].update(quantization={"dtype": "uint8"}), "a is quantised"),
        (lambda d: d.pop("modelTopology"), "KeyError: 'modelTopology'"),
    ],
)
def test_what_is_no_known_model_is_refused(change: Callable[[dict[str, Any]], Any], got: str) -> None:
    with pytest.raises(DataError, match=r"expected a TensorFlow\.js graph model of an SSD detector") as caught:
        converted(broken(change))
    assert got in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b"{}", b'{"modelTopology": {"node": 3}}'])
def test_other_bytes_are_no_model(text: bytes) -> None:
    with pytest.raises(DataError, match=r"model\.json: expected a TensorFlow\.js graph model"):
        converted((text, b""))
