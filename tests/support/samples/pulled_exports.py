"""Exports of Label Studio about two photos, pulled into a workspace that holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from studio_samples import block_mask, make_answer, make_export, make_photo, painted, write_export

from figureground.annotate.studio.pull import PullReport, pull_export
from figureground.errors import DataError
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.store.workspace import Workspace

A, B = make_photo("a"), make_photo("b")
MASK = block_mask(A.size_hw)
OTHER = np.roll(MASK, 12, axis=0)  # IoU 0 with MASK
NONE = load_attribute_schema("none")
GOOD = make_export(B, [make_answer([painted(MASK)], number=90)])


def pull(store: Workspace, *tasks: Any, **options: Any) -> PullReport:
    return pull_export(store, write_export(store.root / "export.json", list(tasks)), **{"schema": NONE, **options})


def faults_of(store: Workspace, *tasks: Any) -> tuple[list[str], PullReport]:
    with pytest.raises(DataError) as caught:
        pull(store, *tasks)
    return [str(fault) for fault in caught.value.faults], caught.value.report


def state_of(store: Workspace, image: Any = A) -> str:
    decision = store.decision(image.image_id)
    return "" if decision is None else decision.state
