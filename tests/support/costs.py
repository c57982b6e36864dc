"""Which tests cost much, told by what their modules name; `make quick` leaves them out.

A test module has a marker because it names something, so nobody can forget to mark it. `slow` alone is put by hand, on
what takes over half a second of CPU without naming any of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pytest

MARKERS: Mapping[str, str] = MappingProxyType(
    {
        "label_studio": "Label Studio's server or page",
        "ray": "a Ray is started",
        "hub": "clients and servers of the Hub's protocol",
        "models": "real networks: weights, torch, ONNX Runtime",
        "whole_path": "a whole dataset is built, written or scored",
        "slow": "over half a second of CPU for another reason",
    }
)
"""Names with what they stand for."""

NAMED: Mapping[str, str] = MappingProxyType(
    {
        "label_studio": r"studio_(server|page|lead)",
        "ray": r"ray_cluster",
        "hub": r"hub_(client|double|store)",
        "models": r"torch|transformers|captum|timm|onnx\w*|fetch_checkpoint|efficientnet\w*|figure_models|skimage",
        "whole_path": r"build_dataset|build_toy|write_dataset|write_figures|write_grounds|write_repository|run_demo"
        r"|viewed_dataset|begun_dataset",
    }
)
"""Marker to the words, as a pattern, that bring it on every test of a module; `slow` has none."""

_marked: frozenset[str] | None = None


def costs_of(source: str) -> set[str]:
    """Markers of a test module, by its text."""
    return {marker for marker, words in NAMED.items() if re.search(rf"\b({words})\b", source)}


def mark_module(item: pytest.Item) -> None:
    """Put the markers of the module on one of its tests."""
    for marker in sorted(_costs_of_file(item.path)):
        item.add_marker(marker)


def is_costly(path: Path) -> bool:
    """Whether a file holds tests that cost much."""
    return path.suffix == ".py" and path.name.startswith("test_") and bool(_costs_of_file(path))


def note_markers(item: pytest.Item) -> None:
    """Remember what the test that runs now is marked with."""
    global _marked
    _marked = frozenset(mark.name for mark in item.iter_markers())


def require_marker(name: str) -> None:
    """Fail the test that runs now unless it has this marker; what starts something costly calls this."""
    if _marked is not None and name not in _marked:
        pytest.fail(f"this test costs much, and lacks the marker {name}: give NAMED in costs.py the word for it")


@cache
def _costs_of_file(path: Path) -> set[str]:
    return costs_of(path.read_text(encoding="utf-8"))
