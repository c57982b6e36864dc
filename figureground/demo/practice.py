"""A workspace to practise on: seven drawn photos whose machine masks are right or wrong in known ways.

    python -m figureground.demo.practice practice

makes the workspace ``practice`` with the photos, their masks and ``practice/attributes.yaml``, which asks for one part
and one tick. docs/tutorials/first_mask.md walks through it. The photos come in the order in which they stand here.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from figureground.annotate.catalogue import index_source
from figureground.errors import UsageError
from figureground.runtime.files import replace_file, write_text
from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.records import ProposalRecord, ProposalRun, content_id
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

SIZE_WH: Final = (640, 480)
_SCALE: Final = 3  # drawn larger and reduced, so that edges are soft as a camera's are
_SEGMENTER: Final = "practice"
_LEAST_SCORE, _SCORE_STEP = 0.3, 0.08  # the least certain mask comes first

ATTRIBUTES: Final = """\
name: practice
version: "1"
attributes:
  - {name: handle, scope: local, ask: "The handle"}
  - {name: striped, scope: global, ask: "With stripes"}
"""

Colour = tuple[int, int, int]
Stroke = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """An ellipse or a polygon of one colour."""

    kind: str
    """``ellipse`` (two corners of its box) or ``polygon``."""
    points: Stroke
    """(x, y) in pixels of the photo."""
    colour: Colour


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticePhoto:
    """One drawn photo, with the figure that is there and the mask that a machine might have made."""

    name: str
    label: str
    ground: tuple[Colour, Colour]
    """Colours above and below the horizon."""
    beside: tuple[Shape, ...] = ()
    """What is no part of the figure, painted first."""
    figure: tuple[Shape, ...]
    machine: tuple[Shape, ...]
    """What the machine mask covers; as the figure where it is right."""
    blur: float = 0.0
    """Sigma in pixels."""

    def picture(self) -> Image.Image:
        """The photo, RGB."""
        width, height = SIZE_WH
        large = Image.new("RGB", (width * _SCALE, height * _SCALE), self.ground[0])
        draw = ImageDraw.Draw(large)
        draw.rectangle((0, height * _SCALE * 3 // 5, width * _SCALE, height * _SCALE), fill=self.ground[1])
        for shape in (*self.beside, *self.figure):
            _paint(draw, shape, shape.colour)
        small = large.resize(SIZE_WH, Image.Resampling.LANCZOS)
        return small.filter(ImageFilter.GaussianBlur(self.blur)) if self.blur else small

    def truth(self) -> Mask:
        """The figure's mask, ``(480, 640)``."""
        return _mask(self.figure)

    def machine_mask(self) -> Mask:
        """The mask that is sent, ``(480, 640)``."""
        return _mask(self.machine)


def _ellipse(x: float, y: float, across: float, down: float, colour: Colour) -> Shape:
    return Shape("ellipse", ((x - across, y - down), (x + across, y + down)), colour)


def _rectangle(left: float, top: float, right: float, bottom: float, colour: Colour) -> Shape:
    return Shape("polygon", ((left, top), (right, top), (right, bottom), (left, bottom)), colour)


_BALL: Final = (_ellipse(320, 270, 120, 120, (214, 96, 40)),)
_CUP: Final = (_rectangle(190, 170, 390, 400, (64, 110, 176)), _ellipse(290, 172, 100, 22, (46, 84, 142)))
_HANDLE: Final = (_rectangle(390, 210, 480, 236, (64, 110, 176)), _rectangle(454, 210, 480, 350, (64, 110, 176)),
                  _rectangle(390, 324, 480, 350, (64, 110, 176)))  # fmt: skip
_BOAT: Final = (
    Shape("polygon", ((170, 240), (470, 240), (420, 300), (220, 300)), (120, 62, 38)),
    Shape("polygon", ((310, 60), (310, 232), (440, 232)), (244, 240, 228)),
    _rectangle(300, 60, 310, 242, (80, 56, 40)),
)
_REFLECTION: Final = (Shape("polygon", ((224, 308), (416, 308), (380, 380), (260, 380)), (74, 92, 104)),)
_PLATE: Final = (_ellipse(470, 350, 120, 50, (226, 226, 220)), _ellipse(470, 346, 80, 30, (206, 206, 200)))
_APPLE: Final = (_ellipse(200, 270, 90, 86, (196, 36, 40)), _rectangle(196, 160, 206, 196, (86, 58, 34)))
_STRIPES: Final = tuple(_rectangle(190, y, 390, y + 22, (240, 236, 226)) for y in (220, 280, 340))
_PEAR: Final = (_ellipse(320, 320, 92, 88, (170, 184, 60)), _ellipse(320, 220, 52, 76, (170, 184, 60)))
_SOMETHING: Final = (_ellipse(330, 260, 130, 60, (128, 132, 138)), _ellipse(250, 300, 60, 50, (120, 124, 130)))

_ROOM: Final = ((206, 198, 184), (150, 112, 78))
_LAKE: Final = ((176, 206, 224), (86, 122, 142))
_FOG: Final = ((150, 154, 158), (140, 144, 148))

PHOTOS: Final = (
    PracticePhoto(name="1-ball", label="ball", ground=((168, 204, 226), (98, 150, 84)), figure=_BALL, machine=_BALL),
    PracticePhoto(name="2-mug", label="mug", ground=_ROOM, figure=(*_CUP, *_HANDLE), machine=_CUP),
    PracticePhoto(
        name="3-boat", label="boat", ground=_LAKE, beside=_REFLECTION, figure=_BOAT, machine=(*_BOAT, *_REFLECTION)
    ),
    PracticePhoto(name="4-apple", label="apple", ground=_ROOM, beside=_PLATE, figure=_APPLE, machine=_PLATE),
    PracticePhoto(
        name="5-striped-mug", label="mug", ground=_ROOM, figure=(*_CUP, *_HANDLE, *_STRIPES), machine=(*_CUP, *_HANDLE)
    ),
    PracticePhoto(name="6-pear", label="apple", ground=_ROOM, figure=_PEAR, machine=_PEAR),
    PracticePhoto(name="7-fog", label="boat", ground=_FOG, figure=_SOMETHING, machine=_SOMETHING, blur=14.0),
)


def write_practice(folder: Path) -> None:
    """Make the workspace ``folder`` with photos, machine masks and attributes.

    Raises:
        UsageError: if something is there already.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already; name a new folder, or delete this one to practise again")
    photos = folder / "photos"
    with Workspace.create(folder) as workspace:
        for photo in PHOTOS:
            path = photos / photo.label / f"{photo.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = io.BytesIO()
            photo.picture().save(data, format="PNG")
            with replace_file(path) as temporary:
                temporary.write_bytes(data.getvalue())
        index_source(workspace, open_source(str(photos)), workers=1)
        names = {Path(image.uri).stem: image.image_id for image in workspace.images()}
        for number, photo in enumerate(PHOTOS):
            run, proposal = _proposal(names[photo.name], photo, score=_LEAST_SCORE + _SCORE_STEP * number)
            workspace.add_run(run, [proposal])
    write_text(folder / "attributes.yaml", ATTRIBUTES)


def write_masks(folder: Path) -> None:
    """Write the true masks as a folder that ``figureground import masks`` reads: objects, handles, what is striped."""
    rows = ["file,attribute,value"]
    for photo in PHOTOS:
        masks = {"": photo.truth(), "handle/": _mask(_HANDLE)} if _HANDLE[0] in photo.figure else {"": photo.truth()}
        for part, mask in masks.items():
            path = folder / f"{part}{photo.label}" / f"{photo.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(path) as temporary:
                Image.fromarray(mask).save(temporary, format="PNG")
        rows.append(f"{photo.label}/{photo.name}.png,striped,{str(_STRIPES[0] in photo.figure).lower()}")
    write_text(folder / "attributes.csv", "\n".join([*rows, ""]))


def _proposal(image_id: str, photo: PracticePhoto, *, score: float) -> tuple[ProposalRun, ProposalRecord]:
    run_id = content_id(_SEGMENTER, image_id)
    run = ProposalRun(
        run_id=run_id, image_id=image_id, segmenter=_SEGMENTER, prompt_mode="auto", reason="", seconds=0.0
    )
    proposal = ProposalRecord(
        proposal_id=content_id(run_id, "0"),
        run_id=run_id,
        image_id=image_id,
        rle=encode_coco_rle(photo.machine_mask()),
        score=score,
        stability=1.0,
        rank=0,
        prompt="{}",
        segmenter=_SEGMENTER,
        checkpoint_sha256="",
    )
    return run, proposal


def _mask(shapes: Sequence[Shape]) -> Mask:
    canvas = Image.new("L", SIZE_WH)
    draw = ImageDraw.Draw(canvas)
    for shape in shapes:
        _paint(draw, shape, 255, scale=1)
    return np.asarray(canvas) > 0


def _paint(draw: ImageDraw.ImageDraw, shape: Shape, fill: Colour | int, *, scale: int = _SCALE) -> None:
    points = [(x * scale, y * scale) for x, y in shape.points]
    if shape.kind == "ellipse":
        draw.ellipse(points, fill=fill)
    else:
        draw.polygon(points, fill=fill)


def main(words: Sequence[str]) -> int:
    """The command; returns the exit code."""
    if len(words) != 1 or words[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        write_practice(Path(words[0]))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(PHOTOS)} photos with masks in {words[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
