"""How much of the proposals' time is the model's: decoding, resizing, ranking and RLE are to hide behind it.

Photos are of ImageNet's size, prompts are boxes of the saliency model. The same photos are also worked on one by one,
which is what ``propose`` would take without reading ahead, and again with embeddings kept.

    python benchmarks/proposal_speed.py
    python benchmarks/proposal_speed.py --photos 60 --segmenter sam --checkpoint sam_vit_b.pth
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import cv2
from photo_sets import JPEG_QUALITY, photos

from figureground.annotate.catalogue import index_source
from figureground.annotate.proposals.proposing import ProposalSettings, propose, propose_one
from figureground.annotate.segmenters.embeddings import keep_embeddings
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.annotate.segmenters.onnx_models import OnnxModel
from figureground.annotate.segmenters.protocol import Segmenter
from figureground.annotate.segmenters.sam import TorchSam
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

INSIDE: Final = 0.95
"""Least share of the wall clock that is the model's."""
MODELS: Final = ((OnnxModel, "run"), (TorchSam, "encode"), (TorchSam, "decode"))
"""The calls that are the model."""


@contextmanager
def model_seconds() -> Iterator[list[float]]:
    """Seconds of every call of a model, while the block runs."""
    seconds: list[float] = []
    plain = [(owner, name, getattr(owner, name)) for owner, name in MODELS]

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  whatever the model takes and gives
            start = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                seconds.append(time.perf_counter() - start)

        return run

    for owner, name, call in plain:
        setattr(owner, name, timed(call))
    try:
        yield seconds
    finally:
        for owner, name, call in plain:
            setattr(owner, name, call)


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Wall clock of some work, and seconds of it inside the models."""
    with model_seconds() as inside:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start, sum(inside)


def compare(root: Path, count: int, segmenter: Segmenter, threads: int) -> list[dict[str, object]]:
    """The rows of the table."""
    for number, (_, photo, _) in enumerate(islice(photos(), count + 1)):
        path = root / "photos" / "any" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photo, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    saliency, settings = load_segmenter("saliency", threads=threads), ProposalSettings(prompt_mode="auto")
    with Workspace.create(root / "work") as store:
        index_source(store, open_source(str(root / "photos")), workers=1)
        first, *rest = store.images()
        sources = store.sources()
        propose_one(first, "", segmenter, settings, saliency, sources)  # warms up
        alone, _ = measure(lambda: [propose_one(record, "", segmenter, settings, saliency, sources) for record in rest])
        store.forget(first.image_id)
        wall, inside = measure(lambda: propose(store, segmenter, settings, saliency=saliency))
        keep_embeddings(segmenter, root / "embeddings")
        asked = ProposalSettings(prompt_mode="center")
        keeping, _ = measure(lambda: propose(store, segmenter, asked))
        again, _ = measure(lambda: propose(store, segmenter, ProposalSettings(prompt_mode="center", keep=2)))
    return [
        {
            "figure": f"proposals, {segmenter.name}: seconds inside the model ÷ wall clock",
            "value": inside / wall,
            "target": f">= {INSIDE}",
            "reached": inside / wall >= INSIDE,
            "detail": f"{count} photos, {inside / count:.3f} of {wall / count:.3f} s a photo",
        },
        {
            "figure": f"proposals, {segmenter.name}: photos per second ÷ photos one by one",
            "value": alone / wall,
            "target": "",
            "reached": None,
            "detail": f"{wall / count:.3f} s a photo, {alone / count:.3f} s one by one",
        },
        {
            "figure": f"proposals, {segmenter.name}: seconds with embeddings kept before ÷ without",
            "value": again / keeping,
            "target": "",
            "reached": None,
            "detail": f"{again / count:.3f} s a photo, {keeping / count:.3f} s while keeping them",
        },
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--segmenter", choices=("mobile-sam", "sam"), default="mobile-sam")
    parser.add_argument("--checkpoint")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for the rows")
    given = parser.parse_args()
    segmenter = load_segmenter(given.segmenter, checkpoint=given.checkpoint, threads=given.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), given.photos, segmenter, given.threads)
    for row in rows:
        print(f"{row['figure']}: {row['value']:.4f} (target {row['target'] or 'none'}): {row['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
