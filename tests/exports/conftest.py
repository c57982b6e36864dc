"""A colour dataset on disk, no network, and modules that leave with their test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import datasets.config
import pytest
from colour_dataset import offline, write_dataset

WRITTEN = [
    "broken",
    "counting",
    "dog_only",
    "my_classifier",
    "my_network",
    "own_device",
    "reads",
    "shapeless",
    "small_model",
    "stiff",
]
"""Modules that tests write."""


@pytest.fixture
def offline_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf" / "datasets"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "colours")


@pytest.fixture
def fresh_modules() -> Any:
    before = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - before[0]:
        if name in WRITTEN:
            del sys.modules[name]
    sys.path[:] = before[1]
