"""Photos with one plain figure, and objects on them whose masks a test draws: what lint looks at."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.annotate.lint.findings import Observation
from figureground.annotate.lint.looks import Look
from figureground.annotate.lint.registry import RULES
from figureground.annotate.lint.settings import DEFAULTS, LintSettings
from figureground.annotate.lint.subjects import Subject
from figureground.schemas.rasters.masks import CocoRle, Mask, encode_coco_rle
from figureground.schemas.records import Annotation, Decision, ImageRecord, SourceRow
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

SIZE_HW = (300, 400)
LABELS = {"plain": "dog", "mirrored": "dog", "tall": "cat"}


def disc(size_hw: tuple[int, int] = SIZE_HW, centre_yx: tuple[int, int] = (130, 230), radius: float = 60) -> Mask:
    """A disc; by default the figure of every photo that is 300 x 400."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    return np.asarray(np.hypot(rows - centre_yx[0], columns - centre_yx[1]) < radius)


FIGURES: dict[str, Mask] = {"plain": disc(), "mirrored": disc(), "tall": disc((600, 200), (560, 100), 30)}
"""Name of a photo to the mask of its figure, stored pixels."""


def draw_photo(name: str) -> NDArray[np.uint8]:
    """A red figure on a grey ground with noise, ``(H, W, 3)`` uint8."""
    mask = FIGURES[name]
    photo = np.random.default_rng(sorted(FIGURES).index(name)).integers(90, 130, (*mask.shape, 3), dtype=np.uint8)
    photo[mask] = (210, 30, 30)
    return photo


def make_photos(folder: Path) -> Path:
    """A workspace of the photos; ``mirrored`` has the EXIF orientation 2."""
    for name, label in LABELS.items():
        path = folder / "photos" / label / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 2 if name == "mirrored" else 1
        buffer = io.BytesIO()
        Image.fromarray(draw_photo(name)).save(buffer, "PNG", exif=exif)
        path.write_bytes(buffer.getvalue())
    with Workspace.create(folder / "work") as store:
        index_source(store, open_source(str(folder / "photos")))
    return folder / "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """The photos of a workspace, and where they lie."""

    images: Mapping[str, ImageRecord]
    """By name."""
    sources: Mapping[str, SourceRow]

    @classmethod
    def of(cls, workspace: Path) -> Photos:
        """Those of ``make_photos``."""
        with Workspace.open(workspace) as store:
            images = {Path(image.uri).stem: image for image in store.images()}
            return cls(images=images, sources=store.sources())

    def subject(self, name: str = "plain", mask: Mask | CocoRle | None = None, **fields: Any) -> Subject:
        """An object on a photo, by default with the mask of its figure."""
        image = self.images[name]
        drawn = FIGURES[name] if mask is None else mask
        given: dict[str, Any] = {
            "object_id": f"{image.image_id}.0",
            "photo": image,
            "state": "accepted",
            "origin": "answer",
            "mask": drawn if isinstance(drawn, CocoRle) else encode_coco_rle(drawn),
        }
        return Subject(**{**given, **fields})

    def observe(self, rule: str, subject: Subject, settings: LintSettings = DEFAULTS) -> list[Observation]:
        """What one rule sees on one object."""
        check = RULES[rule].check
        assert check is not None
        return list(check(Look(subject, settings, self.sources)))


def answer_of(image: ImageRecord, masks: Mapping[str, Mask], **fields: Any) -> Annotation:
    """A person's answer."""
    given: dict[str, Any] = {
        "annotation_id": f"answer-{image.image_id[:8]}",
        "updated_at": "2026-01-01T00:00:00.000000Z",
        "image_id": image.image_id,
        "masks": {name: encode_coco_rle(mask) for name, mask in masks.items()},
        "attributes": {},
        "flags": (),
        "annotator": "p1",
        "seconds": 30.0,
        "tool": "manual",
        "proposal_id": "",
        "edit_iou": None,
    }
    return Annotation(**{**given, **fields})


def accept_masks(workspace: Path, masks: Mapping[str, Mapping[str, Mask]], **fields: Any) -> None:
    """Store an accepted answer for each of some photos, by name."""
    with Workspace.open(workspace) as store:
        for image in store.images():
            if (own := masks.get(Path(image.uri).stem)) is not None:
                answer = answer_of(image, own, **fields)
                store.add_answer(answer, None)
                store.decide(
                    Decision(image_id=image.image_id, state="accepted", reason="", annotation_id=answer.annotation_id)
                )


def with_squares(mask: Mask, corners_yx: Sequence[tuple[int, int]], side: int, value: bool) -> Mask:
    """A mask with squares painted or wiped."""
    painted = mask.copy()
    for y, x in corners_yx:
        painted[y : y + side, x : x + side] = value
    return painted
