"""The markers of costly tests come by themselves, and what is started without its marker fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import costs
import pytest
from checkout import ROOT
from hub_double import HubDouble
from ray_cluster import need_ray
from studio_server import shared_server

SUPPORT = ROOT / "tests" / "support"


@pytest.mark.parametrize(
    ("source", "markers"),
    [
        ("from ray_cluster import need_ray\n", {"ray"}),
        ("import torch\nfrom hub_double import HubDouble\n", {"models", "hub"}),
        ("def test_it():\n    onnxruntime = pytest.importorskip('onnxruntime')\n", {"models"}),
        ("from studio_samples import task\nRAY = 'ray'\n", set()),
    ],
)
def test_a_module_is_marked_by_what_it_names(source: str, markers: set[str]) -> None:
    assert costs.costs_of(source) == markers


def test_this_test_is_marked(request: pytest.FixtureRequest) -> None:
    assert {mark.name for mark in request.node.iter_markers()} == {"hub", "label_studio", "models", "ray"}


@pytest.mark.parametrize("start", [shared_server, need_ray, HubDouble().__enter__])
def test_nothing_costly_starts_without_its_marker(start: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "_marked", frozenset({"slow"}))
    with pytest.raises(pytest.fail.Exception, match="lacks the marker"):
        start()


def test_the_name_of_what_starts_something_brings_its_marker() -> None:
    starts = {}
    for path in SUPPORT.rglob("*.py"):
        for marker in re.findall(r'^ +require_marker\("(\w+)"\)$', path.read_text(encoding="utf-8"), re.MULTILINE):
            starts[path.stem] = marker
            assert re.fullmatch(costs.NAMED[marker], path.stem)
    assert set(starts.values()) == {"hub", "label_studio", "ray"}
