"""Which configs heads are trained and tested on, and that no photo is on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import Faults, UsageError
from figureground.exports.analyses.probe_training import FeatureRequest
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.opening import open_dataset
from figureground.exports.evaluation.dataset import config_rank
from figureground.exports.evaluation.values import list_names

DEFAULT_TRAIN: Final = ("original", "mixed_rand")
"""What the paper trains on, where the dataset has them (Xiao et al., arXiv 2006.09994)."""
_REMEDY: Final = (
    "build it with splits: figureground build imagenet9 -w WORKSPACE -o FOLDER "
    "--splits train=0.5,validation=0.2,test=0.3, or splits: {by: seed, shares: {train: 0.5, validation: 0.2, test: "
    "0.3}} in a recipe of your own"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsRequest(FeatureRequest):
    """Which configs heads are trained on, one head each, and which they are tested on."""

    test_split: str = "test"
    train: tuple[str, ...] | None = None
    """Configs to train on; None for ``DEFAULT_TRAIN`` where the dataset has them."""
    test: tuple[str, ...] | None = None
    """Configs to test on; None for all that have the split."""
    bootstrap: int = 10_000
    """Resamples behind the intervals; they are drawn by the seed of the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenConfigs:
    """The rows and columns of the table."""

    train: tuple[str, ...]
    """As they were named, each once."""
    test: tuple[str, ...]
    """Likewise; where none were named, in the order of evaluate's tables."""


def choose_configs(request: HeadsRequest) -> ChosenConfigs:
    """Find the configs that a request means, and look through their splits before anything is computed.

    Raises:
        UsageError: if a config or split is not there, or one split has two uses.
        DataError: if a photo is fitted to or chosen by in one config and tested on in another, is on two sides of one
            config, or a class has no image to fit to.
    """
    uses = (request.train_split, request.validation_split, request.test_split)
    if len(set(uses)) < len(uses):
        raise UsageError(f"heads are fitted on one split, chosen on another, tested on a third; got {', '.join(uses)}")
    folder = open_dataset(request.repository.location, request.repository.revision)
    splits = {config: folder.splits(config) for config in folder.configs}
    ranked = sorted(splits, key=config_rank)
    train = request.train or tuple(config for config in DEFAULT_TRAIN if config in splits)
    test = request.test or tuple(config for config in ranked if request.test_split in splits[config])
    strange = [config for config in (*train, *test) if config not in splits]
    if strange:
        raise UsageError(f"{folder.name}: no config {list_names(set(strange))}; configs: {', '.join(ranked)}")
    if not train:
        named = " nor ".join(DEFAULT_TRAIN)
        raise UsageError(f"{folder.name}: neither {named} to train on; name one with --train: {', '.join(ranked)}")
    needed = [(config, split) for config in train for split in uses[:2]]
    needed += [(config, request.test_split) for config in test or train]
    lacking = dict.fromkeys(f"{config}/{split}" for config, split in needed if split not in splits[config])
    if lacking:
        present = ", ".join(dict.fromkeys(split for config in (*train, *test) for split in splits[config]))
        raise UsageError(
            f"{folder.name}: heads are fitted on {uses[0]}, chosen on {uses[1]} and tested on {uses[2]}; the dataset "
            f"has no {', '.join(lacking)}; its splits: {present}; name others with --train-split, --validation-split "
            f"and --test-split, or {_REMEDY}"
        )
    chosen = ChosenConfigs(train=tuple(dict.fromkeys(train)), test=tuple(dict.fromkeys(test)))
    _require_apart(folder, chosen, request)
    return chosen


def _require_apart(folder: DatasetFolder, chosen: ChosenConfigs, request: HeadsRequest) -> None:
    """Raise ``DataError`` with every photo on two sides, and every class of a config without an image to fit to."""
    faults, names = Faults(), request.repository.classes.names
    sides: dict[str, dict[str, NDArray[np.str_]]] = {"train": {}, "validation": {}, "test": {}}
    for config in chosen.train:
        sides["train"][config], labels = _read_ids(folder, config, request.train_split, request.limit)
        sides["validation"][config], _ = _read_ids(folder, config, request.validation_split, request.limit)
        absent = [name for label, name in enumerate(names) if label not in labels]
        if absent:
            where = f"{folder.name}/{config}"
            faults.add(where, request.train_split, expected="images of every class", got=f"none of {', '.join(absent)}")
    for config in chosen.test:
        sides["test"][config], _ = _read_ids(folder, config, request.test_split, request.limit)
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        first, second = (np.concatenate(list(sides[side].values())) for side in (one, other))
        both = np.intersect1d(first, second)
        if len(both):
            homes = [f"{side} of {_holders(sides[side], both)}" for side in (one, other)]
            faults.add(
                folder.name,
                list_names(both),
                expected="a photo in one split, of whatever config",
                got=f"{len(both)} in {' and in '.join(homes)}",
                remedy="build all configs in one build, which divides the photos once",
            )
    faults.raise_if_any()


def _read_ids(folder: DatasetFolder, config: str, split: str, limit: int | None) -> tuple[NDArray[np.str_], set[int]]:
    """Image ids of the rows of a config's split, and the labels that they have; ``DataError`` if a shard lacks either.

    With ``limit`` those of as many images, of the smallest ids, as in ``open_rows``.
    """
    rows = list(folder.rows(config, split, ["image_id", "label"]))
    ids = np.array([str(row["image_id"]) for row in rows], dtype=np.str_)
    used = np.isin(ids, np.unique(ids)[:limit])
    return ids[used], {row["label"] for row, taken in zip(rows, used, strict=True) if taken}


def _holders(side: dict[str, NDArray[np.str_]], ids: Sequence[str] | NDArray[np.str_]) -> str:
    return list_names([config for config, own in side.items() if np.isin(own, ids).any()])
