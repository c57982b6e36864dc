"""TensorFlow.js graph models as ONNX: weights that are published in that format alone run without TensorFlow.

A graph model is ``model.json``, TensorFlow's GraphDef as JSON with a list of its constants, and the constants' bytes.
Known are the operations of SSD detectors, on one photo at a time; any other is refused by name.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, MissingExtraError

OPSET: Final = 13
_IR_VERSION: Final = 8  # what every onnxruntime of the last years reads
_DTYPES: Final = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}
_RENAMED: Final = {
    "Add": "Add",
    "AddN": "Sum",
    "BiasAdd": "Add",
    "Exp": "Exp",
    "Mul": "Mul",
    "Reshape": "Reshape",
    "Sigmoid": "Sigmoid",
    "Sub": "Sub",
    "Tile": "Tile",
}
"""Operations that ONNX has with the same inputs."""

Node = Mapping[str, Any]
Array = NDArray[Any]


def convert_tfjs(
    model_json: bytes, weights: bytes, *, feed: str, shape: Sequence[int], outputs: Mapping[str, str], where: str
) -> bytes:
    """The part of a graph model between two places, as a serialised ONNX model.

    Args:
        model_json: The model's JSON.
        weights: Its weight files, joined in the order of the JSON's list.
        feed: Tensor that is fed; the ONNX model's input for it is called ``image`` and is uint8.
        shape: Its shape, ``(1, H, W, 3)``.
        outputs: Names of the ONNX model's outputs, float32, and the tensors that they are.
        where: What to call the model in an error.

    Raises:
        MissingExtraError: without onnx.
        DataError: if the bytes are no such model, or it needs an operation that is not known here.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx") from error
    try:
        document = json.loads(model_json)
        graph = _Graph(document["modelTopology"]["node"], _read_weights(document["weightsManifest"], weights), feed)
        graph.add("Cast", ["image"], feed, to=onnx.TensorProto.FLOAT)
        for name in graph.needed(outputs.values()):
            graph.convert(name)
        for name, tensor in outputs.items():
            graph.add("Identity", [tensor], name)
    except (KeyError, TypeError, ValueError) as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError.single(where, "", expected="a TensorFlow.js graph model of an SSD detector", got=got) from error
    helper: Any = onnx.helper
    body = helper.make_graph(
        [helper.make_node(op, inputs, [output], **attributes) for op, inputs, output, attributes in graph.made],
        "tfjs",
        [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, list(shape))],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())


def _read_weights(manifest: Sequence[Node], data: bytes) -> dict[str, Array]:
    """Constants by name, from their bytes one after another."""
    values: dict[str, Array] = {}
    start = 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        if "quantization" in entry:
            raise ValueError(f"{entry['name']} is quantised")
        dtype = _DTYPES[entry["dtype"]]
        count = int(np.prod(entry["shape"], dtype=np.int64))
        values[entry["name"]] = np.frombuffer(data, dtype, count, start).reshape(entry["shape"])
        start += count * dtype.itemsize
    if start != len(data):
        raise ValueError(f"{len(data)} bytes of weights where {start} are listed")
    return values


class _Graph:
    """The ONNX graph as it grows; tensors keep TensorFlow's names."""

    def __init__(self, nodes: Sequence[Node], weights: Mapping[str, Array], feed: str) -> None:
        self._nodes = {node["name"]: node for node in nodes}
        self._weights = weights
        self._feed = feed
        self.made: list[tuple[str, list[str], str, dict[str, Any]]] = []
        """Operation, inputs, output, attributes."""
        self.constants: dict[str, Array] = {}

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:  # noqa: ANN401
        self.made.append((op, list(inputs), output, attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        """A tensor that is known beforehand; ONNX wants shapes and axes in int64."""
        self.constants[name] = value.astype(np.int64) if value.dtype.kind == "i" else value.astype(np.float32)
        return name

    def needed(self, outputs: Iterable[str]) -> Iterator[str]:
        """Names of the nodes between the feed and the outputs, each after its inputs."""
        before: dict[str, list[str]] = {self._feed: []}
        waiting = list(outputs)
        while waiting:
            name = waiting.pop().partition(":")[0]
            if name not in before:
                before[name] = [tensor.partition(":")[0] for tensor in _inputs(self._nodes[name])]
                waiting += before[name]
        yield from (name for name in TopologicalSorter(before).static_order() if name != self._feed)

    def value(self, name: str) -> Array | None:
        """What a tensor is, where that does not depend on the photo; the batch is 1."""
        node = self._nodes[name.partition(":")[0]]
        if node["op"] == "Const":
            return self._weights[name]
        if node["op"] == "StridedSlice" and self._nodes[node["input"][0]]["op"] == "Shape":
            if self._weights[node["input"][1]].tolist() != [0]:
                raise ValueError(f"{name} takes another side than the batch from a shape")
            return np.array(1, np.int32)
        if node["op"] == "Pack":
            parts = [self.value(tensor) for tensor in _inputs(node)]
            known = [part for part in parts if part is not None]
            return np.stack(known) if len(known) == len(parts) else None
        return None

    def known(self, name: str) -> Array:
        """As ``value``, of a tensor that must not depend on the photo."""
        value = self.value(name)
        if value is None:
            raise ValueError(f"{name} is expected to be constant")
        return value

    def convert(self, name: str) -> None:
        """Add the ONNX operations of one node."""
        node = self._nodes[name]
        op, inputs = node["op"], _inputs(node)
        if op == "Shape":
            return  # only its batch is asked for
        value = self.value(name)
        if value is not None:
            self.constant(name, value)
        elif op in _RENAMED:
            self.add(_RENAMED[op], inputs, name)
        elif op == "Relu6":
            limits = [self.constant("zero", np.array(0.0)), self.constant("six", np.array(6.0))]
            self.add("Clip", [inputs[0], *limits], name)
        elif op in ("Conv2D", "DepthwiseConv2dNative"):
            self._convolve(node, inputs)
        elif op == "FusedBatchNorm":
            self._normalise(node, inputs)
        else:
            self._reshape(node, inputs)

    def _convolve(self, node: Node, inputs: Sequence[str]) -> None:
        """Channels come last in TensorFlow, and first in ONNX."""
        name, attributes, kernel = node["name"], node["attr"], self.known(inputs[1])
        padding = {"SAME": "SAME_UPPER", "VALID": "VALID"}[_text(attributes["padding"])]
        if _text(attributes["data_format"]) != "NHWC" or set(_integers(attributes["dilations"])) != {1}:
            raise ValueError(f"{name} is dilated, or has channels first")
        groups = 1
        if node["op"] == "DepthwiseConv2dNative":
            groups = kernel.shape[2]
            kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
        weights = self.constant(f"{name}/onnx_weights", np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        turned = self.add("Transpose", [inputs[0]], f"{name}/onnx_input", perm=(0, 3, 1, 2))
        strides = _integers(attributes["strides"])[1:3]
        made = self.add("Conv", [turned, weights], f"{name}/onnx", strides=strides, auto_pad=padding, group=groups)
        self.add("Transpose", [made], name, perm=(0, 2, 3, 1))

    def _normalise(self, node: Node, inputs: Sequence[str]) -> None:
        """Batch normalisation with fixed mean and variance: one factor and one term a channel."""
        name = node["name"]
        gamma, beta, mean, variance = (self.known(tensor).astype(np.float64) for tensor in inputs[1:])
        factor = gamma / np.sqrt(variance + node["attr"]["epsilon"]["f"])
        scaled = self.add("Mul", [inputs[0], self.constant(f"{name}/factor", factor)], f"{name}/scaled")
        self.add("Add", [scaled, self.constant(f"{name}/term", beta - mean * factor)], name)

    def _reshape(self, node: Node, inputs: Sequence[str]) -> None:
        """Operations that only move numbers."""
        name, op, attributes = node["name"], node["op"], node["attr"]
        if op == "ConcatV2":
            self.add("Concat", inputs[:-1], name, axis=int(self.known(inputs[-1])))
        elif op == "Transpose":
            self.add("Transpose", inputs[:1], name, perm=self.known(inputs[1]).tolist())
        elif op == "ExpandDims":
            axes = self.constant(f"{name}/axes", self.known(inputs[1]).reshape(1))
            self.add("Unsqueeze", [inputs[0], axes], name)
        elif op == "Squeeze":
            axes = self.constant(f"{name}/axes", np.array(_integers(attributes["squeeze_dims"])))
            self.add("Squeeze", [inputs[0], axes], name)
        elif op == "Slice":
            begin, size = (self.known(tensor).astype(np.int64) for tensor in inputs[1:])
            end = np.where(size < 0, np.iinfo(np.int64).max, begin + size)  # -1 is to the end
            self.add(
                "Slice", [inputs[0], self.constant(f"{name}/begin", begin), self.constant(f"{name}/end", end)], name
            )
        elif op == "Pack":
            axis = int(attributes["axis"]["i"])
            axis_name = self.constant(f"{name}/axis", np.array([axis]))
            parts = [
                self.add("Unsqueeze", [tensor, axis_name], f"{name}/part{number}")
                for number, tensor in enumerate(inputs)
            ]
            self.add("Concat", parts, name, axis=axis)
        elif op == "Unpack":
            for number in range(int(attributes["num"]["i"])):
                index = self.constant(f"{name}/index{number}", np.array(number))
                output = f"{name}:{number}" if number else name
                self.add("Gather", [inputs[0], index], output, axis=int(attributes["axis"]["i"]))
        else:
            raise ValueError(f"{name} is of the unknown operation {op}")


def _inputs(node: Node) -> list[str]:
    """Inputs without those that only order the execution."""
    return [tensor.removesuffix(":0") for tensor in node["input"] if not tensor.startswith("^")]


def _integers(attribute: Node) -> list[int]:
    return [int(number) for number in attribute["list"]["i"]]


def _text(attribute: Node) -> str:
    """Text is in base64, or by older converters a list of bytes."""
    text = attribute["s"]
    return (base64.b64decode(text) if isinstance(text, str) else bytes(text)).decode("ascii")
