"""A workspace of drawn photos with machine masks that a test draws: what a sheet is made of."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from photo_samples import draw_pixels, encode

from figureground.annotate.catalogue import index_source
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import ProposalRecord, ProposalRun, content_id
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace


def make_workspace(folder: Path, count: int = 4) -> Workspace:
    """Photos ``dog/0.png`` and so on; the mask of number n has a score of (n + 1) / 10. Its segmenter is ``drawn``."""
    for number in range(count):
        path = folder / "photos" / "dog" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw_pixels(number), "PNG"))
    store = Workspace.create(folder / "work")
    index_source(store, open_source(str(folder / "photos")))
    for image in store.images():
        add_mask(store, image.image_id, score=(int(Path(image.uri).stem) + 1) / 10)
    return store


def add_mask(store: Workspace, image_id: str, *, score: float, segmenter: str = "drawn") -> ProposalRecord:
    """Give a photo a first-ranked mask, whose shape follows from its id."""
    image = store.image(image_id)
    assert image is not None
    seed = int(hashlib.sha256(image_id.encode()).hexdigest()[:8], 16)
    mask = np.random.default_rng(seed).random(image.size_hw) < 0.4
    run = ProposalRun(
        run_id=content_id(segmenter, image_id),
        image_id=image_id,
        segmenter=segmenter,
        prompt_mode="box",
        reason="",
        seconds=0.0,
    )
    proposal = ProposalRecord(
        proposal_id=content_id(run.run_id, "0"),
        run_id=run.run_id,
        image_id=image_id,
        rle=encode_coco_rle(mask),
        score=score,
        stability=1.0,
        rank=0,
        prompt="{}",
        segmenter=segmenter,
        checkpoint_sha256="",
    )
    store.add_run(run, [proposal])
    return proposal


def by_name(store: Workspace) -> dict[str, str]:
    """Name of a photo's file, without its ending, to its image_id."""
    return {Path(image.uri).stem: image.image_id for image in store.images()}


def decisions_file(store: Workspace, given: dict[str, Any], *, who: str = "Ada", day: int = 1) -> dict[str, Any]:
    """What a page downloads: ``{"0": "accept"}`` and the like, by name of the photo's file, on a day of January."""
    ids = by_name(store)
    proposals = {proposal.image_id: proposal.proposal_id for proposal in store.proposals()}
    return {
        "format": "figureground sheet decisions",
        "version": "1",
        "sheet": "0" * 32,
        "page": 1,
        "annotator": who,
        "decisions": [
            {
                "image_id": ids[name],
                "proposal_id": proposals[ids[name]],
                "decision": decision,
                "decided_at": f"2026-01-{day:02}T10:00:00.123Z",
                "seconds": 1.5,
            }
            for name, decision in given.items()
        ],
    }
