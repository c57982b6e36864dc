"""Pixels to the byte, in all versions of NumPy, OpenCV, Pillow and SciPy that pyproject.toml admits: docs/adr/0004."""

from __future__ import annotations

import base64
import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from figureground.build.geometry.views import Canvas, view_matte, view_photo
from figureground.build.painting.components import fill_mean, tile_adjacent
from figureground.build.painting.effects import blur_within, grow_matte, move_canvas, move_matte
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.recipe_views import View
from figureground.schemas.recipes import Move

FILES = {
    "jpeg": base64.b64decode(
        b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19i"
        b"Z2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2Nj"
        b"Y2NjY2NjY2P/wAARCAAoADgDASIAAhEBAxEB/8QAGgABAQEAAwEAAAAAAAAAAAAABAADAQIGB//EACEQAAMBAAEDBQEAAAAAAAAA"
        b"AAACAwEREyFBBBQxYZHR/8QAGAEAAwEBAAAAAAAAAAAAAAAAAwQFAgb/xAAfEQACAwEAAgMBAAAAAAAAAAAAAQIDEQQTIRJBYXH/"
        b"2gAMAwEAAhEDEQA/APIpgieGaKImpU7L3prwms8FywwmouSkC296ZdImWDo4Eko6KgFe9AypGQwjSCkOQveC7p9nz5FETU6ogiaD"
        b"vZunSeI7zUXJTOaC5IQLd0y6jaSjoqHkg6KC63QMqhMFI7ZaMOOq+Lu+PnSH64ya9IRsnVCWSkk/6jwqIImhEX+yK06T4oVNBU1x"
        b"c53jMzvu6REC2K0HNJJs5318Z9k5o312z9OPe3rvCt013wv9IhiuiEfo47q7rrW1uL8NIIREUYRWEdxWn//Z"
    ),
    "webp": base64.b64decode(
        b"UklGRvoAAABXRUJQVlA4IO4AAABwBwCdASo4ACgAPxF2tFWsOj+tqBVcc/AiCWoArk9jyckcTKBujzVlaY/Lef+GgaMUE2aWbAP5"
        b"L/4cqDmRqk4fI6smgAD+71/sDfBKP/EtXa2BSt+7ZHvp4+/PYN+zBENJ/ejM0AtPuzCIjZLvFcyeGoYPcBhXnUhqtflP2vf+ZkVf"
        b"NoFwzZ8CaTJgie6RQn3TPu0Bvxrk9Vof+TjdX2MdnlfwTUSxxFpOsQ2SCLjlGNKo6RjpVvji4PF6h2L+73DjFUjzA+LfUw1jA/OC"
        b"fK7f/dnwA26G5sbFHi+S/KzAcBnBqtgONM87S+/+gwAA"
    ),
}
"""Two lossy photos of 56x40 pixels, colours at half resolution."""
TALL_HW = (180, 60)
"""Height is squeezed more than width: what Pillow does first changes the result."""
VIEWS = {
    "nearest": View(image="nearest", matte="nearest", resize="short_side", size=64, crop=56),
    "bilinear": View(image="bilinear", matte="area", resize="squash", size=56, crop=None),
    "bicubic": View(image="bicubic", matte="bilinear", resize="squash", size=64, crop=56),
    "lanczos": View(image="lanczos", matte="area", resize="short_side", size=40, crop=40),
    "bilinear, first rules": View(image="bilinear", matte="box_filter", resize="squash", size=56, crop=None),
    "lanczos, first rules": View(image="lanczos", matte="box_filter", resize="short_side", size=40, crop=40),
}


def digest(pixels: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def photo() -> Canvas:
    """A ``(180, 60, 3)`` uint8 photo of whole-number ramps."""
    rows, columns = np.mgrid[: TALL_HW[0], : TALL_HW[1]]
    distance = (rows - 90) ** 2 + (columns - 30) ** 2
    return np.stack([rows * 7 % 256, columns * 9 % 256, distance // 3 % 256], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def mask() -> Mask:
    """A ``(180, 60)`` bool mask of two components, one of them a ring."""
    rows, columns = np.mgrid[: TALL_HW[0], : TALL_HW[1]]
    distance = (rows - 70) ** 2 + (columns - 28) ** 2
    return np.asarray(((distance < 500) & (distance > 60)) | ((rows > 140) & (rows + columns < 190)), dtype=np.bool_)


@pytest.mark.parametrize(("name", "expected"), [("jpeg", "c83434afe294f9a1"), ("webp", "b330950c38d284f3")])
def test_decoded(name: str, expected: str) -> None:
    assert digest(decode_photo(FILES[name])) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nearest", "961b324fe361b3420f348e90ce22a603"),
        ("bilinear", "c041d1ecce99968c1c3f9f871c507962"),
        ("bicubic", "86b960c7f50444dcb2b059c0f6d2c123"),
        ("lanczos", "524b050966ef4749f9617066ed388d08"),
        ("bilinear, first rules", "c041d1ecce99968cdaf0a544889773a1"),
        ("lanczos, first rules", "524b050966ef474964d5a73f16758f8a"),
    ],
)
def test_viewed(name: str, expected: str, photo: Canvas, mask: Mask) -> None:
    view = VIEWS[name]
    assert digest(view_photo(photo, view)) + digest(view_matte(mask, view)) == expected


@pytest.mark.parametrize(("radius", "expected"), [(5, "31e06d9f73ae4edf"), (-3, "e68a7a29b993807c")])
def test_grown(radius: int, expected: str, mask: Mask) -> None:
    assert digest(grow_matte(mask, radius)) == expected


@pytest.mark.parametrize(("sigma", "expected"), [(1.5, "f3842a5837365f53"), (16.0, "a3fb83d7c507471a")])
def test_blurred(sigma: float, expected: str, photo: Canvas, mask: Mask) -> None:
    assert digest(blur_within(photo, mask, sigma)) == expected


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (Move(scale=0.6), "14c7de196f18d0bd783520e57d6c77d3"),
        (Move(scale=1.7), "f515e25832ce5a9a5107b83e1e823c04"),
        (Move(scale=0.6, matte="box_filter"), "14c7de196f18d0bd675614b029f55dc4"),
        (Move(scale=1.7, matte="box_filter"), "f515e25832ce5a9afc28234b1e1a7dd6"),
    ],
)
def test_moved(move: Move, expected: str, photo: Canvas, mask: Mask) -> None:
    assert digest(move_canvas(photo, mask, move)) + digest(move_matte(mask, mask, move)) == expected


def test_filled_from_beside(photo: Canvas, mask: Mask) -> None:
    assert digest(tile_adjacent(photo, mask)) == "5aa7cf06b46c71e4"
    assert digest(fill_mean(photo, mask)) == "55a428691bad4bcd"
