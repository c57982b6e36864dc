"""An object of a release as a build knows it: with its class, and with where its box, strip and windows lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from figureground.build.geometry.tiles import Strip
from figureground.build.geometry.windows import Crop
from figureground.schemas.rasters.masks import Box
from figureground.schemas.records import ObjectRecord

NO_CROPS: Final[Mapping[str, tuple[Crop, ...]]] = {}
"""Crops of every object where no view has a window: one mapping for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredObject:
    """An object that passed every filter, with what planning and painting need to know of it."""

    record: ObjectRecord
    label: int
    """Class index in the recipe's class map."""
    box_xyxy_px: Box
    """The box of the rule set, half-open, stored pixels."""
    box_from_mask: bool
    """True where no box was annotated."""
    strip: Strip | None
    """The margin that tiles the box; None where there is none."""
    flags: tuple[str, ...] = ()
    """Flags of every row that shows the photo, whatever it shows of it; sorted."""
    crops: Mapping[str, tuple[Crop, ...]] = field(default_factory=lambda: NO_CROPS)
    """View to where its window lies, for views that have one; several where each instance has its own."""

    @property
    def object_id(self) -> str:
        """Id of the object."""
        return self.record.object_id

    def crop(self, view: str, draw: int) -> Crop | None:
        """The crop of a row: that of its instance where each has one; None for a view without a window.

        Args:
            view: Name of the view.
            draw: Draw of the row, which is the number of its instance where each instance has a row.
        """
        crops = self.crops.get(view)
        return None if crops is None else crops[draw if len(crops) > 1 else 0]
