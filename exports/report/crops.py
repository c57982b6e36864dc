"""Results of the protocol imagenet_a side by side: crops beside their controls, by margin, by size of the box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from figureground.exports.report.groups import ModelSummary, ResultGroup

SHOWN: Final = ("original", "center_zoom", "five_crop", "plus", "plus_masked", "bg_only")
"""Configs that are set side by side, each control before the configs it is compared with."""
MARGINS: Final = {"plus_m00": 0.0, "plus_m10": 0.1, "plus_m25": 0.25, "plus_m50": 0.5}
"""Configs with their margin as a share of the box's longer side, of each side of the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropAccuracy:
    """One model on one config."""

    config: str
    n: int
    accuracy: float
    """Over images, in [0, 1]."""
    ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CropSlice:
    """A difference between two configs within one group of images."""

    group: str
    n: int
    value: float
    ci95: tuple[float, float] | None
    undecidable: bool


def crop_accuracies(member: ModelSummary, configs: Sequence[str]) -> list[CropAccuracy]:
    """Accuracies of those of the configs that the model was scored on, in the order given."""
    scored = member.summary["configs"]
    return [
        CropAccuracy(
            config=config,
            n=scored[config]["n"],
            accuracy=scored[config]["accuracy_micro"],
            ci95=member.interval_micro(config),
        )
        for config in configs
        if config in scored
    ]


def box_slices(member: ModelSummary) -> dict[str, list[CropSlice]]:
    """By difference, such as ``plus_minus_original``: its groups by share of the box, smallest first."""
    slices: Mapping[str, Any] = member.summary["slices"]
    return {
        name: [
            CropSlice(
                group=piece["group"],
                n=piece["n"],
                value=piece["value"],
                undecidable=piece["undecidable"],
                ci95=None if piece["ci95"] is None else (piece["ci95"][0], piece["ci95"][1]),
            )
            for piece in by["box_share"]
        ]
        for name, by in slices.items()
    }


def crops_section(group: ResultGroup) -> dict[str, Any]:
    """What the plots of a group show, JSON-ready."""
    return {
        **group.key(),
        "models": {
            member.model: {
                "parameters": member.parameters,
                "accuracies": [asdict(accuracy) for accuracy in crop_accuracies(member, SHOWN)],
                "margins": [
                    asdict(accuracy) | {"margin": MARGINS[accuracy.config]}
                    for accuracy in crop_accuracies(member, list(MARGINS))
                ],
                "box_slices": {
                    name: [asdict(piece) for piece in slices] for name, slices in box_slices(member).items()
                },
            }
            for member in group.members
        },
    }
