"""The settings of lint: every threshold in one place, which a YAML file can change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from figureground.schemas.documents import Document, Name, read_document

Severity = Literal["error", "warning", "note"]
"""``error``: the mask is not what it says; ``warning``: it probably has a fault; ``note``: it is unusual."""
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""The worst first."""

SETTINGS_FILE: Final = "lint.yaml"
"""File of a workspace that changes settings, read where it is there."""

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_Pixels = Annotated[int, Field(ge=0, le=100_000_000)]


class LintSettings(Document):
    """Thresholds of the rules; docs/lint.md tells how each was chosen."""

    rules: Mapping[Name, Literal["error", "warning", "note", "skip"]] = Field(default_factory=dict)
    """Rule to the severity of its findings in place of the rule's own, or ``skip``, which does not run it."""
    most_frame_share: _Share = 0.95
    """``full_frame``: share of the photo that a mask may cover."""
    inverted_border_share: _Share = 0.9
    """``inverted``: share of the photo's outermost pixels from which a mask may be the surround."""
    inverted_hole_share: _Share = 0.02
    """``inverted``: share of the photo that the holes of such a mask have together."""
    island_px: _Pixels = 64
    """``islands``: a part of the mask that is not connected with its largest, smaller than this and ..."""
    island_share: _Share = 0.005
    """... than this share of the mask, is an island."""
    pinhole_px: _Pixels = 64
    """``pinholes``: a hole smaller than this and ..."""
    pinhole_share: _Share = 0.005
    """... than this share of the mask is a pinhole."""
    thin_line_px: _Pixels = 64
    """``thin_lines``: length from which a line that is one pixel wide is told."""
    border_sides: Annotated[int, Field(ge=1, le=4)] = 3
    """``touches_borders``: sides of the photo that a mask touches."""
    outside_share: _Share = 0.05
    """``attribute_outside``: share of an attribute's mask that may lie outside of its object."""
    hurried_seconds: _Positive = 2.0
    """``hurried``: time below which nobody looked."""
    outlier_z: _Positive = 3.5
    """``size_outlier``: modified z-score from which a size is unlike its class."""
    outlier_objects: Annotated[int, Field(ge=3)] = 10
    """``size_outlier``: fewest objects of a class that are compared."""
    crop_share: _Share = 0.5
    """``cut_by_crop``: share of a mask that the middle of the photo must hold."""
    rim_leak: _Share = 0.6
    """``rim_shows_ground``: leak of the rim from which the mask is too wide."""
    ring_leak: _Share = 0.45
    """``ring_shows_figure``: leak of the ring from which the mask is too tight."""
    rim_contrast: Annotated[float, Field(ge=1, le=442)] = 30.0
    """Both: grey levels by which figure and ground must differ."""
    turned_ratio: Annotated[float, Field(gt=1, le=100)] = 1.25
    """``exif_turned``: how much steeper the photo must be along the turned mask's outline."""
    second_score: _Share = 0.8
    """``second_object``: score x stability from which a machine mask is an object."""
    second_overlap: _Share = 0.1
    """``second_object``: share of it that may lie inside the mask."""
    second_size: _Positive = 0.25
    """``second_object``: its size, as a share of the mask's, from which it counts."""


DEFAULTS: Final = LintSettings()


def read_settings(path: Path | None, workspace: Path | None) -> LintSettings:
    """Settings of a file, of the workspace's own where none is named, or as they come.

    Raises:
        UsageError: if the file that is named is not there.
        DataError: with everything in the file that is no setting.
    """
    own = workspace / SETTINGS_FILE if workspace is not None else None
    chosen = path or (own if own is not None and own.is_file() else None)
    return read_document(chosen, LintSettings) if chosen is not None else DEFAULTS
