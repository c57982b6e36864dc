"""Pages of docs/howto that need nothing but this machine, typed to the letter."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from guide_folders import draw_imagenet
from typist import Typist

pytestmark = [pytest.mark.whole_path, pytest.mark.models, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", ["own_classes", "own_textures", "gpu"])
def test_pages_that_go_on_from_the_first_dataset(name: str, first_dataset: Path) -> None:
    assert list(Typist(first_dataset, f"howto_{name}").page(f"docs/howto/{name}.md"))


def test_attributes_come_with_masks_and_become_rows(tmp_path: Path) -> None:
    assert list(Typist(tmp_path, "howto_own_attributes").page("docs/howto/own_attributes.md"))


def test_imagenet_from_a_local_copy(tmp_path: Path) -> None:
    draw_imagenet(tmp_path / "ILSVRC")
    typed = list(Typist(tmp_path, "howto_imagenet").page("docs/howto/imagenet.md"))
    assert "18 photos added" in typed[0][1]
    columns = {name: shown_columns(tmp_path / name) for name in ("in9", "in9-images")}
    assert "image" not in columns["in9"], "no pixel of ImageNet"
    assert "image" in columns["in9-images"]


def shown_columns(dataset: Path) -> set[str]:
    """Columns of a dataset's rows."""
    (shard, *_) = sorted((dataset / "data" / "original").glob("*.parquet"))
    return set(pq.read_schema(shard).names)
