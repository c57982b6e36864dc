"""Weights that an ONNX graph keeps in files beside it, and the hash of all of them."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from figureground.exports.evaluation.values import EvaluationError, file_fault, file_sha256, require

# Fields of onnx.proto3 that lead to tensors, and those of TensorProto that name a file; all others are passed over.
_TENSOR: Final = {13: "entry"}
_ENTRY: Final = {1: "key", 2: "value"}
_FIELDS: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": _TENSOR,
    "entry": _ENTRY,
}


def onnx_sha256(path: Path) -> str:
    """SHA-256 of a graph's file; where it has weights in other files, of its hash and theirs, by name.

    Raises:
        EvaluationError: if a file of weights is not there, lies outside the graph's folder, or is a pointer to it.
    """
    names = sorted(set(external_files(path)))
    graph = file_sha256(path)
    if not names:
        return graph
    parts = [graph]
    for name in names:
        data = (path.parent / name).resolve()
        inside = data.is_relative_to(path.parent.resolve())
        require(inside, f"{path}: expected its weights beside it, got {name!r}, a path that leads elsewhere")
        require(data.is_file(), f"{path}: its weights, {name}, do not lie beside it: copy both files")
        fault = file_fault(data)
        require(not fault, f"{data}: {fault}")
        parts += [name, file_sha256(data)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def external_files(path: Path) -> list[str]:
    """Names of the files in which a graph's tensors lie, as it writes them; ``EvaluationError`` if it is no ONNX."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return list(_locations(content))
    except (ValueError, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise EvaluationError(
            f"{path}: expected an ONNX model, got other bytes; export or download it again"
        ) from error


def _locations(content: mmap.mmap) -> Iterator[str]:
    """Values of ``location`` in all tensors of a message ModelProto."""
    waiting = [("model", 0, len(content))]
    while waiting:
        kind, start, stop = waiting.pop()
        texts: dict[str, str] = {}
        for number, begin, end in _fields(content, start, stop):
            inner = _FIELDS[kind].get(number)
            if inner in ("key", "value"):
                texts[inner] = content[begin:end].decode()
            elif inner is not None:
                waiting.append((inner, begin, end))
        if texts.get("key") == "location":
            yield texts.get("value", "")


def _fields(content: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Fields of a protobuf message that have a length: number, begin and end (protobuf.dev, encoding)."""
    position = start
    while position < stop:
        key, position = _varint(content, position, stop)
        wire = key & 7
        if wire == 0:
            _, position = _varint(content, position, stop)
            continue
        if wire == 2:
            length, begin = _varint(content, position, stop)
        elif wire in (1, 5):
            length, begin = (8 if wire == 1 else 4), position
        else:
            raise ValueError(wire)
        position = begin + length
        if position > stop:
            raise ValueError(position)
        if wire == 2:
            yield key >> 3, begin, position


def _varint(content: mmap.mmap, position: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while position < stop and shift < 70:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, position
    raise ValueError(position)
