"""Results of the protocol rival10 together: families pooled, and the images that noise on the ground hurts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from figureground.errors import UsageError
from figureground.exports.analyses.families import ListedModel
from figureground.exports.evaluation.intervals import bootstrap_class_means, bootstrap_interval
from figureground.exports.evaluation.protocols.noise import Condition
from figureground.exports.evaluation.protocols.outcomes import Outcomes
from figureground.exports.evaluation.protocols.sensitivity import instance_rfs, relative_foreground_sensitivity
from figureground.exports.evaluation.values import Floats
from figureground.exports.report.stored_answers import answers_path, read_arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseResult:
    """One model in one label space, with its answers where they were stored."""

    model: str
    space: str
    summary: Mapping[str, Any]
    """``label_spaces[space]`` of the result."""
    conditions: tuple[Condition, ...]
    outcomes: Outcomes | None
    """Answers on the config ``original`` under every condition; None where no folder was given to evaluate."""
    dataset: str
    fingerprint: str
    split: str
    class_names: tuple[str, ...]
    undefined: str

    def columns(self, kind: str, region: str) -> list[int]:
        """Conditions of one kind of noise on one region under the mask as it is, by level."""
        return [
            index
            for index, condition in enumerate(self.conditions)
            if (condition.kind, condition.region, condition.grow_px) == (kind, region, 0)
        ]

    def irfs(self, kind: str) -> Floats:
        """RFS of every image at every level, ``(I, L)``."""
        chances = _require_outcomes(self).probability.mean(axis=2)
        return instance_rfs(chances[:, self.columns(kind, "figure")], chances[:, self.columns(kind, "ground")])


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyNoise:
    """A family under one kind of noise: accuracies are averaged over its models first, then RFS is taken."""

    family: str
    models: tuple[str, ...]
    training: tuple[str, ...]
    """Training procedure of each model; empty where the models file has none."""
    kind: str
    levels: tuple[float, ...]
    accuracy_figure: tuple[float, ...]
    accuracy_ground: tuple[float, ...]
    rfs: tuple[float | None, ...]
    rfs_ci95: tuple[tuple[float, float] | None, ...]
    """From one bootstrap over images, shared by all models; None without their answers, and for too few images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseGap:
    """An image by how much more noise on the ground costs its true class than noise on the figure."""

    image_id: str
    class_name: str
    p_figure: float
    """Probability of the true class under noise on the figure."""
    p_ground: float

    @property
    def gap(self) -> float:
        """Probability under noise on the ground minus that under noise on the figure; the lowest are the worst."""
        return self.p_ground - self.p_figure


def noise_result(result: Mapping[str, Any], space: str, *, with_answers: bool = True) -> NoiseResult:
    """A result of the protocol rival10 in one label space; with its answers, where they were stored."""
    summary = result["label_spaces"][space]
    return NoiseResult(
        model=result["model"],
        space=space,
        summary=summary,
        conditions=tuple(Condition(**stored) for stored in result["conditions"]),
        outcomes=_outcomes(result, space) if with_answers else None,
        dataset=result["dataset"]["name"],
        fingerprint=result["dataset"]["fingerprint"],
        split=result["split"],
        class_names=tuple(summary["class_names"]),
        undefined=result["rfs_undefined"],
    )


def pool_families(
    results: Sequence[NoiseResult], families: Mapping[str, Sequence[ListedModel]], *, bootstrap: int = 2000
) -> list[FamilyNoise]:
    """Every family under every kind of noise; ``results`` are of one dataset and label space."""
    by_model = {result.model: result for result in results}
    pooled = []
    for family, models in families.items():
        listed = [entry for entry in models if entry.model in by_model]
        members = [by_model[entry.model] for entry in listed]
        kinds = list(members[0].summary["noise"].get("0", {})) if members else []
        for kind in kinds:
            tables = [member.summary["noise"]["0"].get(kind) for member in members]
            if any(table is None or table["levels"] != tables[0]["levels"] for table in tables):
                raise UsageError(f"{family}: its models were scored with other noise; score them alike to pool them")
            pooled.append(_pool(family, listed, kind, members, bootstrap))
    return pooled


def worst_gaps(result: NoiseResult, kind: str, level_index: int, *, most: int = 5) -> dict[str, list[NoiseGap]]:
    """The images of each class with the lowest gap (Figure 1, as the released code has it), worst first."""
    outcomes = _require_outcomes(result)
    chances = outcomes.probability.mean(axis=2)
    figure = chances[:, result.columns(kind, "figure")[level_index]]
    ground = chances[:, result.columns(kind, "ground")[level_index]]
    gaps_by_class: dict[str, list[NoiseGap]] = {}
    for label, name in enumerate(result.class_names):
        rows = np.flatnonzero(outcomes.label == label)
        order = sorted(rows, key=lambda row: (ground[row] - figure[row], outcomes.image_id[row]))
        gaps_by_class[name] = [
            NoiseGap(
                image_id=str(outcomes.image_id[row]),
                class_name=name,
                p_figure=float(figure[row]),
                p_ground=float(ground[row]),
            )
            for row in order[:most]
        ]
    return {name: gaps for name, gaps in gaps_by_class.items() if gaps}


def _pool(
    family: str, listed: Sequence[ListedModel], kind: str, members: Sequence[NoiseResult], bootstrap: int
) -> FamilyNoise:
    tables = [member.summary["noise"]["0"][kind] for member in members]
    means = {
        region: np.mean([[cell["value"] for cell in table[f"accuracy_{region}"]] for table in tables], axis=0)
        for region in ("figure", "ground")
    }
    undefined = members[0].undefined
    rfs = relative_foreground_sensitivity(means["figure"], means["ground"], undefined)
    intervals: list[tuple[float, float] | None] = [None] * len(rfs)
    if all(member.outcomes is not None for member in members):
        samples = _family_samples(kind, members, bootstrap)
        half = samples.shape[1] // 2
        drawn = relative_foreground_sensitivity(samples[:, :half], samples[:, half:], undefined)
        for index in np.flatnonzero(np.isfinite(rfs)):
            ci95 = bootstrap_interval(drawn[:, index], len(_require_outcomes(members[0]).label))
            intervals[index] = None if ci95 is None else (ci95[0], ci95[1])
    return FamilyNoise(
        family=family,
        models=tuple(entry.model for entry in listed),
        training=tuple(entry.training for entry in listed),
        kind=kind,
        levels=tuple(tables[0]["levels"]),
        accuracy_figure=tuple(map(float, means["figure"])),
        accuracy_ground=tuple(map(float, means["ground"])),
        rfs=tuple(float(value) if np.isfinite(value) else None for value in rfs),
        rfs_ci95=tuple(intervals),
    )


def _family_samples(kind: str, members: Sequence[NoiseResult], bootstrap: int) -> Floats:
    first = _require_outcomes(members[0])
    shares = []
    for member in members:
        outcomes = _require_outcomes(member)
        if outcomes.image_id.tolist() != first.image_id.tolist():
            raise UsageError(f"{member.model} was scored on other images than {members[0].model}")
        columns = [*member.columns(kind, "figure"), *member.columns(kind, "ground")]
        shares.append(outcomes.right[:, columns].mean(axis=2))
    pooled = np.mean(shares, axis=0)
    return bootstrap_class_means(pooled, first.label, count=bootstrap, seed=0)


def _outcomes(result: Mapping[str, Any], space: str) -> Outcomes | None:
    path = answers_path(result, "original")
    if not path.is_file():
        return None
    stored = read_arrays(path, [f"{space}.{name}" for name in Outcomes.__slots__])
    return Outcomes(**{name.partition(".")[2]: array for name, array in stored.items()})


def _require_outcomes(result: NoiseResult) -> Outcomes:
    if result.outcomes is None:
        raise UsageError(f"{result.model}: its answers were not kept; score it with --out")
    return result.outcomes
