"""Views, as recipes spell them: how a photo and its mattes come from stored pixels onto the canvas."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from figureground.schemas.documents import Document
from figureground.schemas.rasters.resizing import CROP_PX, SHORT_SIDE_PX

MOST_SIDE_PX: Final = 4096
"""Longest side that a view may ask for: a canvas of it has 50 MB, and each worker holds several."""


class Window(Document):
    """A part of the photo that a view takes before anything else: a crop around the object, or a control of it.

    The policy that a release of crops must state (docs/crops.md); lengths are stored pixels, areas shares.
    """

    around: Literal["object", "center", "random"] = "object"
    """``object``: around its box; ``center``: as large, in the middle of the photo; ``random``: as large, at a place
    drawn by hash, clear of the object's box where the photo has room."""
    instances: Literal["components", "recorded"] = "components"
    """Definition of one instance: a connected component (8 neighbours), or one that the release records."""
    take: Literal["union", "largest", "each", "single"] = "union"
    """Choice among several instances: all in one window, the largest, one row for each, or refuse the photo."""
    max_union_share: float | None = Field(default=0.8, gt=0, le=1)
    """A union box that covers more of the photo gives way to the largest instance, and is flagged ``far_apart``."""
    least_component_share: float = Field(default=0.005, ge=0, lt=1)
    """Components of the mask below this share of it and below ``least_component_px`` are no part of the object."""
    least_component_px: int = Field(default=64, ge=0, le=100_000_000)
    margin: Annotated[float, Field(ge=0, le=100_000)] | Literal["survive"] = 0.1
    """Added on each side, in units of ``margin_of``; ``survive``: what the standard centre crop then cuts away."""
    margin_of: Literal["longest_side", "diagonal", "pixel"] = "longest_side"
    """Unit of a margin: max(w, h) of the box, its diagonal, or pixels."""
    shape: Literal["square", "tight", "letterbox"] = "square"
    """``square``: expanded with what the photo shows beside the box; ``tight``: the box's own aspect ratio;
    ``letterbox``: tight, brought to a square by padding."""
    outside: Literal["shift", "clip", "pad"] = "shift"
    """A window beyond the photo's rim is shifted inwards, clipped, or padded; what cannot be shifted is padded."""
    pad: Literal["edge", "mean", "black", "grey"] = "black"
    """Content of padding: the nearest pixel, the mean colour of the window, or a colour."""
    low_res_px: int = Field(default=64, ge=0, le=100_000)
    """A box whose longer side is below is flagged ``low_res``."""
    no_context_share: float = Field(default=0.9, gt=0, le=1)
    """A box that covers more of the photo is flagged ``no_context``: cropping removes next to nothing."""

    @model_validator(mode="after")
    def _margin_has_a_shape(self) -> Window:
        if self.margin == "survive" and self.shape != "square":
            raise ValueError("a square window where the margin is to survive the centre crop")
        return self


class View(Document):
    """The way of a photo and its mattes onto the canvas."""

    window: Window | None = None
    """Part of the photo that is taken; None takes all of it."""
    resize: Literal["short_side", "squash", "none"] = "short_side"
    """``short_side``: keep the aspect ratio; ``squash``: ignore it; ``none``: stored pixels."""
    size: int = Field(default=SHORT_SIDE_PX, ge=1, le=MOST_SIDE_PX)
    """Length in pixels of the short side, or of both sides when squashed."""
    crop: int | None = Field(default=CROP_PX, ge=1, le=MOST_SIDE_PX)
    """Side of the square centre crop in pixels; None keeps the whole."""
    image: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    """Interpolation of the photo; all but ``nearest`` are antialiased."""
    matte: Literal["nearest", "area", "bilinear", "box_filter"] = "area"
    """``area``: covered by half or more, exactly; ``bilinear``: touched at all (> 0); ``box_filter``: half or more of
    the stored pixels whose centres lie in a canvas pixel, as Pillow's box filter counts them (what ``area`` was under
    pixel rules 1)."""

    @model_validator(mode="after")
    def _crop_fits(self) -> View:
        if self.crop is not None and (self.resize == "none" or self.crop > self.size):
            raise ValueError("a crop no larger than the resized side, and none (null) of stored pixels")
        return self

    @property
    def side_px(self) -> int | None:
        """Side of the square canvas that every photo gets; None where canvases differ from photo to photo."""
        return self.crop or (self.size if self.resize == "squash" else None)
