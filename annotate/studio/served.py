"""Served copies: what annotators see of a photo, and how its masks come there and back.

A browser turns a photo by its EXIF orientation and gets slow beyond two megapixels, so the copy is upright and small.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.annotate.studio.home import StudioHome
from figureground.runtime.files import replace_file
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.rasters.photos import read_photo
from figureground.schemas.records import ImageRecord

MOST_SERVED_PIXELS: Final = 2_000_000
"""Label Studio's page blocks 5 s on submitting eight brush masks of 3 megapixels, and 11 s with 12 megapixels."""
SUFFIXES: Final = (".jpg", ".png")
_BROWSER_FORMATS: Final = {"JPEG": ".jpg", "PNG": ".png"}
BROWSER_FORMATS: Final = tuple(_BROWSER_FORMATS)
"""Formats that copies are read in: for others Pillow starts programs, Ghostscript for one."""
_JPEG_QUALITY: Final = 95
ANSWER_PREFIX: Final = "answer-"
"""Begins the names of pictures of earlier answers, which lie beside the copies of photos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedView:
    """How one photo lies in its served copy."""

    stored_hw: tuple[int, int]
    served_hw: tuple[int, int]
    """After turning upright and scaling."""
    orientation: int
    """EXIF orientation that was undone, 1 to 8."""

    @classmethod
    def of(cls, record: ImageRecord, *, most_pixels: int | None = None) -> ServedView:
        """The view of a photo; a pure function of its stored size, its orientation and the copy's most pixels."""
        height, width = record.size_hw
        if record.exif_orientation >= 5:
            height, width = width, height
        scale = min(1.0, ((most_pixels or MOST_SERVED_PIXELS) / (height * width)) ** 0.5)
        served = max(1, int(height * scale)), max(1, int(width * scale))
        return cls(stored_hw=record.size_hw, served_hw=served, orientation=record.exif_orientation)

    @property
    def is_stored(self) -> bool:
        """Whether the copy has the very raster of the photo."""
        return self.orientation == 1 and self.served_hw == self.stored_hw

    def picture(self, photo_rgb: NDArray[np.uint8]) -> Image.Image:
        """The copy of a photo in stored pixels, ``(H, W, 3)``: upright and small."""
        upright = Image.fromarray(np.ascontiguousarray(_upright(photo_rgb, self.orientation)))
        return upright.resize((self.served_hw[1], self.served_hw[0]), Image.Resampling.LANCZOS)

    def to_served(self, mask_hw: Mask) -> Mask:
        """A mask in stored pixels as the copy shows it; a served pixel is figure if half or more of it is."""
        upright = np.ascontiguousarray(_upright(mask_hw, self.orientation))
        if upright.shape == self.served_hw:
            return upright
        size_wh = self.served_hw[1], self.served_hw[0]
        covered = cv2.resize(upright.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
        return np.asarray(covered >= 0.5)

    def to_stored(self, served_hw: Mask) -> Mask:
        """A mask painted on the copy, in stored pixels, each of which takes the served pixel that its centre is in."""
        upright_hw = self.stored_hw if self.orientation < 5 else self.stored_hw[::-1]
        rows, columns = (
            (np.arange(side) * 2 + 1) * small // (2 * side)
            for side, small in zip(upright_hw, self.served_hw, strict=True)
        )
        return np.ascontiguousarray(as_stored(served_hw[np.ix_(rows, columns)], self.orientation))

    def merge_edit(self, proposal_hw: Mask, painted_hw: Mask) -> Mask:
        """What was painted, at full resolution: the proposal wherever the copy's pixels are as they were sent.

        Args:
            proposal_hw: ``(H, W)`` bool, stored pixels.
            painted_hw: Bool, served pixels.
        """
        changed = painted_hw != self.to_served(proposal_hw)
        return np.where(self.to_stored(changed), self.to_stored(painted_hw), proposal_hw)


def serve_copy(data: bytes, record: ImageRecord, folder: Path) -> Path:
    """Write the copy of a photo that annotators see, unless it is there; returns its path.

    A photo that is upright, small and of a format that browsers know is copied byte for byte.
    """
    known = served_path(folder, record.image_id)
    if known is not None:
        return known
    view = ServedView.of(record)
    facts, photo = read_photo(data)
    suffix = _BROWSER_FORMATS.get(facts.format, "")
    if not (view.is_stored and suffix and "cmyk" not in facts.flags):
        buffer = io.BytesIO()
        view.picture(photo).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        data, suffix = buffer.getvalue(), ".jpg"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.image_id}{suffix}"
    with replace_file(path) as temporary:
        temporary.write_bytes(data)
    return path


def served_path(folder: Path, image_id: str) -> Path | None:
    """The copy of a photo, or None if there is none."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{image_id}{suffix}").is_file()), None)


def forget_copies(home: StudioHome, image_id: str) -> None:
    """Delete every served copy and comparison of a photo."""
    for path in home.served.glob(f"*{image_id}*"):
        path.unlink(missing_ok=True)


def _upright(raster: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The raster turned upright, by its EXIF orientation (TIFF 6.0, tag Orientation)."""
    if orientation in (6, 8):
        return np.rot90(raster, k=-1 if orientation == 6 else 1)
    turned = np.rot90(raster, k=2) if orientation in (3, 7) else raster
    if orientation in (5, 7):
        return turned.swapaxes(0, 1)
    return turned[:, ::-1] if orientation == 2 else turned[::-1] if orientation == 4 else turned


def as_stored(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """An upright raster turned back to how it is stored; the two quarter turns undo each other, the rest themselves."""
    return _upright(upright, {6: 8, 8: 6}.get(orientation, orientation))
