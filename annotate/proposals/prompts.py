"""Prompts: the boxes and points that a segmenter is asked about on a photo."""

from __future__ import annotations

from typing import Final, Literal, get_args

from figureground.annotate.proposals.class_texts import ClassTexts
from figureground.annotate.segmenters.protocol import Photo, SegmentationRejected, Segmenter
from figureground.annotate.segmenters.saliency import box_of
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import Box
from figureground.schemas.records import ImageRecord, Prompt

PromptMode = Literal["box", "center", "grid", "text", "auto"]
PROMPT_MODES: Final[tuple[PromptMode, ...]] = get_args(PromptMode)


def prompts_for(
    mode: PromptMode,
    record: ImageRecord,
    photo_rgb: Photo,
    saliency: Segmenter | None,
    grid_side: int = 16,
    texts: ClassTexts | None = None,
) -> list[Prompt]:
    """Prompts for one photo, in stored pixels.

    ``box`` and ``auto`` ask about each annotated box; without one, about the salient object's box, or where ``auto``
    has texts, about its class's names. ``text`` asks about these in any case, ``center`` about the middle of the photo,
    ``grid`` about ``grid_side`` x ``grid_side`` points.

    Args:
        mode: How to ask.
        record: The photo's record, with its annotated boxes.
        photo_rgb: ``(H, W, 3)`` uint8 RGB.
        saliency: Model for photos without a box; ``box`` can do without, ``auto`` cannot.
        grid_side: Points on each side of the grid.
        texts: How classes are named; needed for ``text``.

    Raises:
        UsageError: for an unknown mode, a grid without points, ``text`` without texts, or ``auto`` without the saliency
            model it needs.
        SegmentationRejected: ``no_box``, ``no_class_name`` or ``no_salient_object``.
    """
    if mode == "center":
        point = (record.width / 2, record.height / 2)
        return [Prompt(kind="point", point_xy_px=point, origin="centre")]
    if mode == "grid":
        return _grid(record, grid_side)
    if mode not in PROMPT_MODES:
        raise UsageError(f"no prompt mode is called {mode!r}; there are {', '.join(PROMPT_MODES)}")
    if mode == "text":
        return _by_name(record, texts)
    if record.boxes_xyxy_px:
        return [Prompt(kind="box", box_xyxy_px=box, origin="annotated") for box in record.boxes_xyxy_px]
    if mode == "auto" and texts is not None:
        return _by_name(record, texts)
    if saliency is None:
        if mode == "auto":
            raise UsageError("the prompt mode 'auto' needs a saliency model for photos without a box")
        raise SegmentationRejected("no_box")
    return [Prompt(kind="box", box_xyxy_px=salient_box(saliency, photo_rgb), origin="saliency")]


def _by_name(record: ImageRecord, texts: ClassTexts | None) -> list[Prompt]:
    if texts is None:
        raise UsageError("the prompt mode 'text' needs to know how classes are named")
    return [Prompt(kind="text", text=text, origin="class") for text in texts.texts(record.label)]


def salient_box(saliency: Segmenter, photo_rgb: Photo) -> Box:
    """Half-open box of what a saliency model finds by itself.

    Raises:
        SegmentationRejected: ``no_salient_object`` if it finds nothing.
    """
    (candidate,) = saliency.segment(photo_rgb, [Prompt(kind="none", origin="saliency")])
    box = box_of(candidate.mask_hw)
    if box is None:
        raise SegmentationRejected("no_salient_object")
    return box


def _grid(record: ImageRecord, side: int) -> list[Prompt]:
    """Centres of side x side equal cells, row by row (segment-anything, ``build_point_grid``)."""
    if side < 1:
        raise UsageError(f"a grid has at least one point on a side, got {side}")
    return [
        Prompt(
            kind="point",
            point_xy_px=((column + 0.5) / side * record.width, (row + 0.5) / side * record.height),
            origin="grid",
        )
        for row in range(side)
        for column in range(side)
    ]
