"""Which photos and donors of a build its page shows: few of many, spread over the classes, the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from figureground.exports.viewing.columns import RowColumns

MOST_PICTURES: Final = 2400
"""Pictures of rows on a page, besides those of donors: 14 MB of WebP of 128 pixels."""
MOST_PAIRS: Final = 36
_LEAST_PAIRS: Final = 2
"""Of a config, however many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPhoto:
    """One photo with a row of every config that has it."""

    image_id: str
    label: str
    """Name of its class."""
    rows: tuple[int, ...]
    """The first row of each config, configs in the order of the tables; a config may have more draws or attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DonorPair:
    """A row on another photo's ground."""

    row: int
    figure: int
    """Row that shows the figure's photo."""
    ground: int | None
    """Row that shows the photo which lent its ground; None where the dataset has none."""


def choose_photos(columns: RowColumns, most_pictures: int = MOST_PICTURES) -> list[ShownPhoto]:
    """Photos in the order in which they are wanted: one of each class, then the second of each, and so on.

    Within a class they come by id, which is a hash of the photo: as good as drawn by lot, and the same in every build.

    Args:
        columns: Rows of the dataset.
        most_pictures: Rows that they may have together; one photo is always there.
    """
    first = _first_rows(columns)
    images, labels = columns.image.names, columns.label.codes
    by_class: dict[int, list[int]] = {}
    for image in sorted(range(len(images)), key=lambda code: images[code]):
        if first[image]:
            by_class.setdefault(int(labels[first[image][0]]), []).append(image)
    ranked = sorted((rank, label, image) for label, own in by_class.items() for rank, image in enumerate(own))
    chosen, pictures = list[ShownPhoto](), 0
    for _, _, image in ranked:
        pictures += len(first[image])
        if chosen and pictures > most_pictures:
            break
        label = columns.label.name(first[image][0])
        chosen.append(ShownPhoto(image_id=images[image], label=label, rows=tuple(first[image])))
    return chosen


def choose_pairs(columns: RowColumns, photos: Sequence[ShownPhoto], most: int = MOST_PAIRS) -> list[DonorPair]:
    """Rows with a donor, equally many of each config that has some, figures of different classes first."""
    lent = columns.ground_id.codes >= 0
    configs = dict.fromkeys(columns.config.name(row) for photo in photos for row in photo.rows if lent[row])
    most_pairs = max(_LEAST_PAIRS, most // max(1, len(configs)))
    own, codes = _plain_rows(columns), {name: code for code, name in enumerate(columns.image.names)}
    pairs = []
    for config in configs:
        lent_rows = [
            (photo, row) for photo in photos for row in photo.rows if lent[row] and columns.config.name(row) == config
        ]
        for photo, row in lent_rows[:most_pairs]:
            figure, ground = own[codes[photo.image_id]], codes.get(columns.ground_id.name(row))
            lender = -1 if ground is None else own[ground]
            pairs.append(DonorPair(row=row, figure=photo.rows[0] if figure < 0 else figure, ground=_known(lender)))
    return pairs


def _known(row: int) -> int | None:
    return None if row < 0 else int(row)


def _first_rows(columns: RowColumns) -> list[list[int]]:
    """Photo, as a number, to the first row of each config that has it."""
    keys = columns.image.codes.astype(np.int64) * len(columns.config.names) + columns.config.codes
    _, places = np.unique(keys, return_index=True)
    rows: list[list[int]] = [[] for _ in columns.image.names]
    for row in np.sort(places).tolist():  # shards lie in the order of the tables
        rows[int(columns.image.codes[row])].append(row)
    return rows


def _plain_rows(columns: RowColumns) -> list[int]:
    """Photo, as a number, to the first row of it on no other photo's ground; -1 where it has none."""
    rows = [-1] * len(columns.image.names)
    for row in np.flatnonzero(columns.ground_id.codes < 0)[::-1].tolist():
        rows[int(columns.image.codes[row])] = row
    return rows
