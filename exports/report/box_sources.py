"""The same photos cropped by boxes of several sources: the whole photo, automatic crops, crops by people's masks.

Li et al. (arXiv 2102.11731) go this way: detectors first, then crops by hand. Datasets that one recipe made of several
releases of the same photos are paired by image, so that a source that finds fewer objects gains nothing by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from figureground.errors import UsageError
from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.results import align_columns
from figureground.exports.evaluation.shares import (
    ImageShares,
    RowAnswers,
    average_rows,
    compare_pairs,
    measure_accuracy,
)
from figureground.exports.evaluation.tables import RULE, Cell, describe_stars, find_stars, measured_cell
from figureground.exports.report.stored_answers import answers_path, read_arrays

WHOLE: Final = "original"
CROP: Final = "plus"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSources:
    """One model in one label space on crops of several sources; JSON-ready parts are those of ``evaluate``."""

    model: str
    space: str
    feed: str
    split: str
    images: int
    """Photos that every source has a crop of."""
    crops: Mapping[str, int]
    """Dataset to number of photos that it has a crop of."""
    accuracies: Mapping[str, Mapping[str, Any]]
    """``original`` and each dataset, over the common photos."""
    differences: Mapping[str, Mapping[str, Any]]
    """Each dataset minus ``original``, and minus every dataset before it."""


def compare_box_sources(results: Sequence[Mapping[str, Any]]) -> list[BoxSources]:
    """Models that were scored on several datasets of the protocol imagenet_a, in the order of their first result.

    Args:
        results: As ``read_results`` gives them; their answers must have been stored, with ``--out``.

    Raises:
        UsageError: if the datasets share no photo.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        if result["protocol"] == "imagenet_a":
            for space in result["label_spaces"]:
                key = (result["model"], result.get("weights_sha256", ""), space, result["feed"], result["split"])
                groups.setdefault(key, []).append(result)
    several = {key: alike for key, alike in groups.items() if len({result["dataset"]["name"] for result in alike}) > 1}
    compared = (_compare(key, members) for key, members in several.items())
    return [sources for sources in compared if sources is not None]


def _compare(key: tuple[str, ...], members: Sequence[Mapping[str, Any]]) -> BoxSources | None:
    """The comparison of one model; None where its answers were not stored."""
    model, _, space, feed, split = key
    crops: dict[str, ImageShares] = {}
    whole: ImageShares | None = None
    for result in members:
        shares = {config: _read_shares(result, space, config) for config in (WHOLE, CROP)}
        if (crop := shares[CROP]) is None or shares[WHOLE] is None:
            return None
        crops[result["dataset"]["name"]] = crop
        whole = whole or shares[WHOLE]
    if whole is None:
        return None
    common = set(whole.image_id).intersection(*(shares.image_id for shares in crops.values()))
    if not common:
        raise UsageError(f"{', '.join(crops)} are of other photos: none of their crops can be compared")
    right = {name: _only(shares, common) for name, shares in {WHOLE: whole, **crops}.items()}
    names = list(right)
    pairs = [(name, before) for index, name in enumerate(names) for before in names[:index]]
    sampling = Sampling(count=members[0]["bootstrap"], seed=members[0]["seed"])
    return BoxSources(
        model=model,
        space=space,
        feed=feed,
        split=split,
        images=len(common),
        crops={name: len(shares.label) for name, shares in crops.items()},
        accuracies={name: measure_accuracy(shares, sampling) for name, shares in right.items()},
        differences=compare_pairs(right, pairs, sampling),
    )


def _read_shares(result: Mapping[str, Any], space: str, config: str) -> ImageShares | None:
    path = answers_path(result, config)
    if not path.is_file():
        return None
    image_id, label, right = read_arrays(path, ("image_id", "label", f"{space}.right")).values()
    answers = RowAnswers(image_id=image_id, label=label, right=right)
    return average_rows(config, answers, answers.right)


def _only(shares: ImageShares, common: set[str]) -> ImageShares:
    chosen = np.isin(shares.image_id, sorted(common))
    return ImageShares(
        image_id=shares.image_id[chosen],
        label=shares.label[chosen],
        rows=shares.rows[chosen],
        value=shares.value[chosen],
    )


def describe_box_sources(comparisons: Sequence[BoxSources]) -> str:
    """The comparison as plain text, a table for each label space."""
    blocks = []
    for space in dict.fromkeys(compared.space for compared in comparisons):
        lines = [
            (compared, name, Cell(accuracy["accuracy_micro"], accuracy["ci95_micro"], few=accuracy["undecidable"]))
            for compared in comparisons
            if compared.space == space
            for name, accuracy in compared.accuracies.items()
        ]
        gains = {
            (compared.model, name): measured_cell(gain["micro"], signed=True, few=gain["undecidable"])
            for compared, name, _ in lines
            if (gain := compared.differences.get(f"{name}_minus_{WHOLE}"))
        }
        stars, tested = find_stars(gains)
        rows = [["model", "photos", "source", "crops", "accuracy", "minus original"]]
        for compared, name, accuracy in lines:
            key = (compared.model, name)
            crops, gained = str(compared.crops.get(name, "")), gains.get(key, RULE)
            cells = [accuracy.text(), gained.text(key in stars) if key in gains else ""]
            rows.append([compared.model, str(compared.images), name, crops, *cells])
        title = f"crops by source of their boxes, label space {space}, photos that all have"
        blocks.append("\n".join(line for line in [title, *align_columns(rows), describe_stars(tested)] if line))
    return "\n\n".join(blocks)
