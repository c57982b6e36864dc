"""A dataset of plain figures that all stand on the same nine plain grounds, one of which shouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crop_dataset import FIGURES, GROUNDS, NAMES, Photo, make_row, photos, write_repository

LOUD = "red-000"
"""Photo whose ground has the colour of a red figure: what looks at figures takes it for one."""


def lenders(drawn: Sequence[Photo]) -> list[Photo]:
    """The first three photos of each class, whose grounds all figures stand on."""
    return [photo for label in range(len(NAMES)) for photo in [own for own in drawn if own.label == label][:3]]


def crossed_rows(drawn: Sequence[Photo], config: str = "crossed") -> list[dict[str, Any]]:
    """A row for each figure on each ground but its own; ``draw`` numbers the grounds."""
    rows = []
    for figure in drawn:
        for number, lender in enumerate(lenders(drawn)):
            if lender.image_id == figure.image_id:
                continue
            colour = FIGURES["red"] if lender.image_id == LOUD else GROUNDS[NAMES[lender.label]]
            row = make_row(figure, config, figure.draw(ground=colour), draw=number, params={})
            rows.append({**row, "ground_id": lender.image_id, "ground_label": lender.label})
    return rows


def write_crossed(folder: Path, per_class: int = 10) -> Path:
    """A repository with original, mixed_self, only_bg_t and crossed."""
    drawn = photos(per_class)
    configs = {
        name: [make_row(photo, name, photo.draw(), params={}) for photo in drawn] for name in ("original", "mixed_self")
    }
    configs["only_bg_t"] = [
        make_row(photo, "only_bg_t", photo.draw(figure=GROUNDS[NAMES[photo.label]]), params={}) for photo in drawn
    ]
    return write_repository(folder, {**configs, "crossed": crossed_rows(drawn)})
