"""Tiny models of every family, saved once a run and worker."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest

pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny model by its family: ``sam2``, ``edgetam``, ``sam-hq``, ``sam3`` and so on."""
    import tiny_hub_models

    root = Path(tmp_path_factory.mktemp("hub"))

    @cache
    def save(family: str) -> Path:
        makers: dict[str, Callable[[Path], Path]] = {
            "sam2": tiny_hub_models.save_sam2,
            "edgetam": tiny_hub_models.save_edgetam,
            "sam-hq": tiny_hub_models.save_sam_hq,
            "sam3": tiny_hub_models.save_sam3_tracker,
            "sam3-text": tiny_hub_models.save_sam3_text,
            "sam3-whole": tiny_hub_models.save_sam3,
            "grounding-dino": tiny_hub_models.save_grounding_dino,
            "mm-grounding-dino": partial(tiny_hub_models.save_grounding_dino, kind="MMGroundingDino"),
            "owlv2": tiny_hub_models.save_owlv2,
        }
        return makers[family](root / family)

    return save
