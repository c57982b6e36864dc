"""Every column of a dataset is described, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from figureground.schemas.classes import load_class_map
from figureground.schemas.features import COLUMNS, dataset_features


def names(features: Any, prefix: str = "") -> Iterator[str]:
    for name, feature in features.items():
        inner = getattr(feature, "feature", None)
        if name != "provenance":
            yield f"{prefix}{name}"
        if name == "provenance":
            yield from names(feature, "provenance.")
        elif isinstance(inner, dict):
            yield from names(inner, f"{prefix}{name}[].")


def test_every_column_is_described_in_its_order() -> None:
    features = dataset_features(load_class_map("imagenet9"), ["round"], grouped=True)
    assert list(names(features)) == list(COLUMNS)


def test_what_is_described_is_said_whole() -> None:
    for name, column in COLUMNS.items():
        assert column.means.endswith("."), name
        assert column.null != "never", name
