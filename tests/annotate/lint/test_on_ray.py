"""Lint on Ray: the report of one machine."""

from __future__ import annotations

import numpy as np
from lint_samples import Photos, disc
from ray_cluster import shared_ray

from figureground.annotate.lint.linting import LintRequest, lint
from figureground.runtime.engines import EngineChoice


def test_a_cluster_finds_what_one_process_finds(lint_photos: Photos) -> None:
    shared_ray()
    masks = [disc(radius=radius) if radius % 3 else ~disc(radius=radius) for radius in range(20, 40)]
    subjects = [lint_photos.subject("plain", np.ascontiguousarray(mask)) for mask in masks]
    here, there = (
        lint(subjects, LintRequest(engine=engine), sources=lint_photos.sources)
        for engine in (EngineChoice(), EngineChoice(kind="ray"))
    )
    assert there.to_dict() == here.to_dict()
    assert sum(finding.rule == "inverted" for finding in here.findings) == 4
