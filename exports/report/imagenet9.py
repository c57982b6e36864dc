"""Results of the protocol imagenet9 together: BG-gap against accuracy, vulnerable figures and adversarial grounds.

After Xiao et al. (arXiv 2006.09994), who set accuracies on the variants against accuracy on ImageNet, count figures
that some ground fools, and show the grounds that fool most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]  # ships no annotations

from figureground.console import count_text
from figureground.exports.evaluation.intervals import TOO_FEW, wilson_interval
from figureground.exports.evaluation.protocols.imagenet9 import CATEGORY_CONFIGS, image_categories
from figureground.exports.evaluation.results import align_columns
from figureground.exports.evaluation.tables import Cell
from figureground.exports.report.background import MIN_MODELS
from figureground.exports.report.groups import require_each_once
from figureground.exports.report.stored_answers import read_answers, read_arrays

FEWEST_MODELS: Final = 4
"""Below it a regression line has fewer than two degrees of freedom, and no interval worth printing."""
MEASURES: Final = ("bg_gap", "mixed_rand", "only_bg_t", "no_fg")
"""What is set against accuracy on ``original``, where it was scored."""
MOST_GROUNDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPoint:
    """One model."""

    model: str
    accuracy: float
    """Class-mean accuracy on ``original``, in [0, 1]."""
    accuracy_ci95: Sequence[float] | None
    measured: float
    measured_ci95: Sequence[float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A measure against accuracy on ``original``, over models."""

    measure: str
    points: tuple[VariantPoint, ...]
    slope: float | None
    """Least squares; None where fewer than ``FEWEST_MODELS`` differ in accuracy."""
    slope_ci95: tuple[float, float] | None
    """Student's t with n - 2 degrees of freedom: models are the sample, their own errors are in the residuals."""
    intercept: float | None
    undecidable: bool
    """Whether the models are too few for the sign of the slope to be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversarialGround:
    """One ground in the challenge of one model."""

    image_id: str
    fooled: int
    """Figures for which the search ended at it."""
    figures: int
    """Figures of the challenge."""
    ci95: tuple[float, float]
    """Of the share of figures."""


def group_models(results: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Results of the protocol of one dataset, split, feed and label space, in the order of their first.

    Raises:
        UsageError: if a model has several results of one kind.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for result in (result for result in results if result["protocol"] == "imagenet9"):
        data = result["dataset"]
        key = (data["fingerprint"], result["split"], result["feed"], result["label_space"])
        groups.setdefault(key, []).append(result)
    for members in groups.values():
        require_each_once(members)
    return list(groups.values())


def fit_trends(members: Sequence[Mapping[str, Any]]) -> list[Trend]:
    """Every measure of ``MEASURES`` that models were scored on, against their accuracy on ``original``."""
    trends = []
    for measure in MEASURES:
        points = tuple(point for member in members if (point := _point(member, measure)) is not None)
        if points:
            trends.append(_fit(measure, points))
    return trends


def _point(member: Mapping[str, Any], measure: str) -> VariantPoint | None:
    original = member["configs"].get("original")
    cell = member["differences"].get(measure) or member["configs"].get(measure)
    value = None if cell is None else cell.get("accuracy_macro", cell.get("value"))
    if original is None or cell is None or value is None:
        return None
    return VariantPoint(
        model=member["model"],
        accuracy=original["accuracy_macro"],
        accuracy_ci95=original["ci95"],
        measured=value,
        measured_ci95=cell["ci95"],
    )


def _fit(measure: str, points: tuple[VariantPoint, ...]) -> Trend:
    from scipy.stats import linregress  # type: ignore[import-untyped]  # takes half a second to load

    x, y = np.array([point.accuracy for point in points]), np.array([point.measured for point in points])
    few = len(points) < MIN_MODELS
    if len(points) < FEWEST_MODELS or np.ptp(x) < 1e-9:
        return Trend(measure=measure, points=points, slope=None, slope_ci95=None, intercept=None, undecidable=few)
    line = linregress(x, y)
    reach = float(stdtrit(len(points) - 2, 0.975) * line.stderr)
    slope = float(line.slope)
    ci95 = (slope - reach, slope + reach) if reach > 1e-9 else None
    intercept = float(line.intercept)
    return Trend(measure=measure, points=points, slope=slope, slope_ci95=ci95, intercept=intercept, undecidable=few)


def adversarial_grounds(member: Mapping[str, Any], rule: str) -> list[AdversarialGround]:
    """The grounds at which the search for a rule ended most often, most first; none without stored answers.

    The search ends at the first ground that fools a figure, so these are lower bounds of what each ground could fool.
    """
    challenge = member.get("challenge", {})
    rules, pattern = list(challenge.get("rules", {})), Path(challenge.get("predictions") or "none").name
    parts = sorted(Path(member["folder"], "predictions").glob(pattern), key=_part_number)
    if rule not in rules or not parts:
        return []
    chosen: Counter[str] = Counter()
    figures = 0
    for part in parts:
        grounds = read_arrays(part, ["ground_id"])["ground_id"][:, rules.index(rule)]
        figures += len(grounds)
        chosen.update(str(ground) for ground in grounds if ground)
    most = sorted(chosen.items(), key=lambda item: (-item[1], item[0]))[:MOST_GROUNDS]
    return [
        AdversarialGround(
            image_id=name, fooled=count, figures=figures, ci95=_pair(wilson_interval(count / figures, figures))
        )
        for name, count in most
    ]


def _part_number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _pair(interval: Sequence[float]) -> tuple[float, float]:
    return interval[0], interval[1]


def category_examples(member: Mapping[str, Any], most: int = 6) -> dict[str, list[str]]:
    """Image ids of each of the five categories (Table 3), the smallest first; empty without stored answers."""
    read = [read_answers(member, config) for config in CATEGORY_CONFIGS]
    answers = [stored for stored in read if stored is not None]
    if len(answers) < len(CATEGORY_CONFIGS):
        return {}
    ids = sorted(set(answers[0]).intersection(*answers[1:]))
    columns = [np.array([[stored[name].right] for name in ids], dtype=np.bool_) for stored in answers]
    categories = image_categories(*columns) if ids else {}
    return {
        name: [ids[index] for index in np.flatnonzero(member_of[:, 0])[:most]] for name, member_of in categories.items()
    }


def imagenet9_section(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Trends, vulnerable figures by class and adversarial grounds of a group, JSON-ready."""
    first = members[0]
    return {
        "protocol": "imagenet9",
        "dataset": first["dataset"]["name"],
        "fingerprint": first["dataset"]["fingerprint"],
        "split": first["split"],
        "feed": first["feed"],
        "space": first["label_space"],
        "models": [member["model"] for member in members],
        "trends": [asdict(trend) for trend in fit_trends(members)],
        "fooled_per_class": {
            member["model"]: {rule: _shares(fooled["per_class"]) for rule, fooled in rules.items()}
            for member in members
            if (rules := member.get("challenge", {}).get("rules", {}))
        },
        "adversarial_grounds": {
            member["model"]: {rule: [asdict(ground) for ground in adversarial_grounds(member, rule)] for rule in rules}
            for member in members
            if (rules := member.get("challenge", {}).get("rules", {}))
        },
        "category_examples": {
            member["model"]: examples for member in members if (examples := category_examples(member))
        },
    }


def _shares(counted: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    return {
        name: {**counts, "share": counts["vulnerable"] / n, "ci95": wilson_interval(counts["vulnerable"] / n, n)}
        for name, counts in counted.items()
        if (n := counts["n"])
    }


def describe_imagenet9(section: Mapping[str, Any]) -> str:
    """Trends and the most adversarial grounds of ``imagenet9_section`` as plain text."""
    models = count_text(len(section["models"]), "model")
    lines = [f"{section['dataset']} ({section['split']}), {models}: against accuracy on original"]
    for trend in section["trends"]:
        interval = "[{:+.2f}, {:+.2f}]".format(*trend["slope_ci95"]) if trend["slope_ci95"] else f"[{TOO_FEW}]"
        slope = "-" if trend["slope"] is None else f"{trend['slope']:+.2f} points a point"
        few = f"; undecidable below {MIN_MODELS} models" if trend["undecidable"] else ""
        lines.append(f"{trend['measure']}: slope {slope} {interval}{few}")
    for model, rules in section["adversarial_grounds"].items():
        for rule, grounds in rules.items():
            if grounds:
                rows = [["ground", "figures fooled", "share"]]
                for ground in grounds:
                    share = Cell(ground["fooled"] / ground["figures"], ground["ci95"]).text()
                    rows.append([ground["image_id"], f"{ground['fooled']}/{ground['figures']}", share])
                title = f"{model}, rule {rule}: grounds at which the search ended (lower bounds)"
                lines += ["", title, *align_columns(rows)]
    return "\n".join(lines)
