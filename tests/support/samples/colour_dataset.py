"""A dataset of plain colours and models that look at nothing but the colour: answers can be worked out by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

COLOURS = {"red": (200, 20, 30), "green": (10, 180, 40), "blue": (25, 35, 220)}


NAMES = tuple(COLOURS)


CLASS_MAP = {
    "name": "rgb",
    "unmapped_value": -1,
    "classes": [
        {"index": 0, "name": "red", "wnids": ["n0"], "imagenet_indices": [0, 1]},
        {"index": 1, "name": "green", "wnids": ["n1"], "imagenet_indices": [2]},
        {"index": 2, "name": "blue", "wnids": ["n2"], "imagenet_indices": [3]},
    ],
}


LABELS = ["red", "red", "green", "green", "blue", "blue"]


TRUE = LABELS


VARIANTS = {
    "mixed_rand": ["red", "green", "red", "red", "blue", "blue"],  # 3 of 6 right
    "mixed_same": ["red", "red", "green", "red", "blue", "red"],  # 4 of 6
    "only_bg_t": ["red", "red", "red", "blue", "red", "green"],  # 2 of 6
    "original": ["red", "red", "green", "green", "blue", "red"],  # 5 of 6
}


def png(colour: str, size: tuple[int, int] = (16, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(buffer, "PNG")
    return buffer.getvalue()


def write_dataset(
    folder: Path,
    variants: Mapping[str, Sequence[str]] = VARIANTS,
    *,
    manifest: str | None = "{}",
    ids: Mapping[str, Sequence[str]] | None = None,
    names: Sequence[str] = NAMES,
    sources: Sequence[str] = (),
) -> Path:
    """A real dataset repository of one-colour images: the colour is what the test models answer.

    ``sources`` are the rows' source labels; without them there is no such column.
    """
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(names)),
            "image_id": datasets.Value("string"),
            "variant": datasets.Value("string"),
            "draw": datasets.Value("int32"),
            **({"source_label": datasets.Value("string")} if sources else {}),
        }
    )
    card = ["---", "configs:"]
    for variant, colours in variants.items():
        rows = [
            {
                "image": {"bytes": png(colour), "path": f"{row}.png"},
                "label": NAMES.index(LABELS[row]),
                "image_id": (ids or {}).get(variant, [f"id{number}" for number in range(len(colours))])[row],
                "variant": variant,
                "draw": 0,
                **({"source_label": sources[row]} if sources else {}),
            }
            for row, colour in enumerate(colours)
        ]
        path = folder / "data" / variant / "test-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema), path)
        card += [f"- config_name: {variant}", "  data_files:", "  - split: test", f"    path: data/{variant}/test-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", "# Colours", ""]))
    (folder / "class_map.json").write_text(json.dumps(CLASS_MAP))
    if manifest is not None:
        (folder / "manifest.json").write_text(manifest)
    return folder


def offline(folder: Path) -> dict[str, str]:
    home = folder / "hf"
    return {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HF_DATASETS_CACHE": str(home / "datasets")}


def write_onnx(
    path: Path,
    weights: NDArray[np.float32],
    *,
    layout: str = "NCHW",
    size: int | str = "size",
    batch: int | str = "batch",
    uint8: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Path:
    """A model whose logits are the mean colour (R, G, B) times ``weights`` ``(3, K)``."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper, kinds = onnx.helper, onnx.numpy_helper, onnx.TensorProto
    shape = [batch, 3, size, size] if layout == "NCHW" else [batch, size, size, 3]
    kind = kinds.UINT8 if uint8 else kinds.FLOAT
    axes = np.array([2, 3] if layout == "NCHW" else [1, 2], dtype=np.int64)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=kinds.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("logits", kinds.FLOAT, [batch, weights.shape[1]])],
        [numpy_helper.from_array(axes, "axes"), numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in (settings or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


PLAIN = {"mean": "[0, 0, 0]", "std": "[1, 1, 1]"}


HEAD = np.eye(3, dtype=np.float32)


def imagenet_weights(outputs: int) -> NDArray[np.float32]:
    """Red answers output 1, green output 2, blue output 999, which no class has; 1001 outputs have a loud column 0."""
    shift = outputs - 1000
    weights = np.zeros((3, outputs), dtype=np.float32)
    weights[[0, 1, 2], np.array([1, 2, 999]) + shift] = 1
    if shift:
        weights[:, 0] = 10
    return weights


def shares(result: Mapping[str, Any]) -> dict[str, float]:
    return {name: scores["accuracy_macro"] for name, scores in result["configs"].items()}


def write_adapter(folder: Path, module: str, extra: str = "", answer: str = "images.mean(axis=(1, 2))") -> None:
    """A module whose adapter answers the mean colour, unless told otherwise."""
    (folder / f"{module}.py").write_text(
        f"""import os, signal
import numpy as np

class Colour:
    name = {module!r}
    input_size_hw = (16, 16)
    weights_sha256 = os.environ.get("WEIGHTS", "0" * 64)
    {extra}
    def logits(self, images):
        with open("calls.log", "a") as log:
            log.write(f"{{len(images)}}\\n")
        if os.environ.get("KILL_AT") == str(len(open("calls.log").readlines())):
            os.kill(os.getpid(), signal.SIGKILL)
        return np.asarray({answer}, dtype=np.float32)

def make(argument="none"):
    return Colour() if argument != "nothing" else object()
"""
    )
