"""Noise on single attributes, and on as much of the object elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import adapter_option
from figureground.exports.evaluation.answers import Feeder
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.pictures import decode_image, decode_mask, decode_runs, stored_bytes
from figureground.exports.evaluation.protocols.noise import NoiseSettings, add_noise, fit_mask, standard_normal
from figureground.exports.evaluation.protocols.outcomes import (
    Outcomes,
    RowFacts,
    judge_pictures,
    make_outcomes,
    read_facts,
)
from figureground.exports.evaluation.values import Bools, Table, arrays_of, require

ATTRIBUTE_NOISE: Final = "attribute_noise"  # what answers are stored as: no config of the dataset
HEADLINE_L2: Final = 75.0  # norm at 224 pixels
NO_ROOM: Final = "the object has no part of the same area elsewhere"
VANISHED: Final = "the attribute has no pixel at the model's input size"
UNMEASURED: Final = (NO_ROOM, VANISHED)


def attribute_level(settings: NoiseSettings) -> float | None:
    """The norm of the noise on attributes: the headline's, else the middle one; None where no l2 noise is added."""
    levels = sorted(settings.levels.get("l2", ()))
    if not levels:
        return None
    return HEADLINE_L2 if HEADLINE_L2 in levels else float(levels[len(levels) // 2])


def measure_attributes(
    feeder: Feeder, table: Table, classes: ClassMap, level: float, trials: int
) -> tuple[dict[str, Outcomes], dict[str, int]]:
    """Answers to the rows of ``original`` with l2 noise on every attribute, and on its control.

    A row of the outcomes is a photo and an attribute of it, with two conditions. The same noise as on the figure is cut
    to either region.

    Args:
        feeder: The model.
        table: Rows with ``object_mask``, ``attribute_masks``, ``source_label`` and ``attribute``.
        classes: What the outputs mean.
        level: Norm of the noise at 224 pixels.
        trials: Noises of each photo.

    Returns:
        Outcomes by label space, none where no attribute can be measured; and how many could not, by reason.
    """
    size_hw, facts = feeder.adapter.input_size_hw, read_facts(table)
    pairs, skipped = list[tuple[int, str, float]](), dict.fromkeys(UNMEASURED, 0)
    for row in range(len(table)):
        for region in _read_regions(table[row], size_hw):
            if region.unmeasured:
                skipped[region.unmeasured] += 1
            else:
                pairs.append((row, region.attribute, region.area))
    if not pairs:
        return {}, skipped
    rows = np.array([row for row, _, _ in pairs])
    own: dict[str, Any] = {name: values[rows] for name, values in arrays_of(facts).items()}
    chosen = RowFacts(**{**own, "attribute": np.array([attribute for _, attribute, _ in pairs])})
    filter_name = adapter_option(feeder.adapter, "interpolation")

    def shown() -> Iterator[NDArray[np.float32]]:
        for row in np.unique(rows).tolist():
            stored, name = table[row], str(facts.image_id[row])
            image = decode_image(stored_bytes(stored["image"]), size_hw, filter_name, f"original/{name}")
            plain = image.astype(np.float32) / np.float32(255)
            noises = [standard_normal(plain.shape, "noise", name, trial) for trial in range(trials)]
            for region in _read_regions(stored, size_hw):
                for matte in (region.mask, region.control) if not region.unmeasured else ():
                    yield from (add_noise(plain, noise * matte[..., None], "l2", level) for noise in noises)

    judged = judge_pictures(feeder, shown(), chosen, classes, ATTRIBUTE_NOISE, 2, trials)
    return make_outcomes(judged, chosen, np.array([area for _, _, area in pairs])), skipped


class _Region(NamedTuple):
    """An attribute of a photo and its control, ``(H, W)`` of the model's input."""

    attribute: str
    mask: Bools
    control: Bools
    area: float  # share of the canvas that the attribute covers
    unmeasured: str  # why noise on it cannot be compared; empty where it can


def _read_regions(stored: Mapping[str, Any], size_hw: tuple[int, int]) -> Iterator[_Region]:
    """Every attribute of a row that has a mask, by name; ``EvaluationError`` for masks that are damaged."""
    name = str(stored["image_id"])
    figure = decode_mask(stored_bytes(stored["object_mask"]), name)
    masks: dict[str, Bools] = {}
    for painted in stored.get("attribute_masks") or ():
        attribute, record = str(painted["attribute"]), f"{name}, {painted['attribute']}"
        require(tuple(painted["size"]) == figure.shape, f"{record}: expected a mask of the object mask's size")
        mask = decode_runs(figure.shape, str(painted["counts"]), record)
        masks[attribute] = masks[attribute] | mask if attribute in masks else mask
    for attribute, mask in sorted(masks.items()):
        if mask.any():
            control = control_region(figure, mask, name, attribute)
            own, random = (fit_mask(region, size_hw) for region in (mask, control))
            unmeasured = NO_ROOM if not control.any() else "" if own.any() and random.any() else VANISHED
            yield _Region(attribute, own, random, float(mask.mean()), unmeasured)


def control_region(figure: Bools, mask: Bools, name: str, attribute: str) -> Bools:
    """As many pixels of the object outside an attribute as that has, the nearest to one that the names pick.

    None at all where there are not as many. Equally near pixels go in reading order.
    """
    rows, columns = np.nonzero(figure & ~mask)
    area = int(mask.sum())
    region = np.zeros(figure.shape, np.bool_)
    if not 0 < area <= len(rows):
        return region
    digest = hashlib.sha256(f"attribute control\0{name}\0{attribute}".encode()).digest()
    centre = int.from_bytes(digest[:8], "big") % len(rows)
    squares = (rows - rows[centre]) ** 2 + (columns - columns[centre]) ** 2
    nearest = np.argsort(squares, kind="stable")[:area]
    region[rows[nearest], columns[nearest]] = True
    return region
