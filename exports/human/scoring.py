"""The result of a human task: people beside models, as JSON, as a table, and as a figure."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from figureground.errors import MissingExtraError, UsageError
from figureground.exports.evaluation.adapters import Adapter, adapter_option, feed_adapter
from figureground.exports.evaluation.label_spaces import ASSUMED_ORDER, ClassMap, class_order, find_label_space
from figureground.exports.evaluation.model_files.adapter_checks import try_model
from figureground.exports.evaluation.results import align_columns, tell_apart
from figureground.exports.evaluation.tables import describe_stars, find_stars, measured_cell
from figureground.exports.human.models import MODEL_RATER, answer_kit, feeding, first_pictures, kit_classes
from figureground.exports.human.scores import (
    agreement,
    check_attention,
    images_per_class,
    measures_of,
    summarise,
    time_taken,
)
from figureground.runtime.files import replace_file, write_text
from figureground.runtime.progress import Progress
from figureground.schemas.pages.human_tasks import HumanAnswer, HumanKit, read_answers

SCHEMA_VERSION: Final = "1"

_LINES: Final = {
    "accuracy": "accuracy",
    "accuracy_of_decided": "accuracy, absent left out",
    "hit_rate": "hit rate",
    "false_alarm_rate": "false alarm rate",
    "d_prime": "d'",
    "absent": "label wrong or absent",
    "alpha": "Krippendorff's alpha",
    "median_seconds": "median seconds",
    "over_limit": "over the time limit",
}
_PLAIN: Final = {"d_prime", "alpha", "median_seconds"}
"""Lines that are not shares, and so not shown in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """How a human task is scored."""

    bootstrap: int = 10_000
    """Resamples behind the interval of Krippendorff's alpha."""
    seed: int = 0
    """Of the generator that draws the resamples."""
    threshold: float = 0.8
    """Share of repeats answered alike under which a rater is reported as inattentive."""
    exclude_inattentive: bool = False
    """Leave reported raters out of the scores."""
    allow_missing: bool = False
    """Score raters who have not answered everything."""
    feed: str = "canvas"
    """As ``evaluate`` feeds: ``canvas`` or ``reference``."""
    batch_size: int = 32
    """Images a forward pass."""
    workers: int | None = None
    """Threads that decode images; None for one a processor, up to 8."""

    def __post_init__(self) -> None:
        """Refuse senseless numbers."""
        if not 0 <= self.threshold <= 1 or min(self.bootstrap, self.batch_size) < 1:
            raise UsageError("a threshold is a share between 0 and 1; resamples and batches are numbers from 1")


def score_kit(
    kit: HumanKit, models: Sequence[Adapter], settings: ScoreSettings, *, progress: Progress | None = None
) -> dict[str, Any]:
    """People's scores and models' on the same questions, JSON-ready.

    Raises:
        UsageError: if nothing was pulled, one model is given twice, or excluding leaves no rater.
        DataError: with every fault of the answers.
        MissingExtraError: without the extra ``agree``.
        EvaluationError: if a model cannot be scored.
    """
    fed = _named_apart([feed_adapter(model, settings.feed) for model in models])
    classes = kit_classes(kit)
    orders = [_class_order(model, kit, classes) for model in fed]  # before answers are read and the first is scored
    answers = read_answers(kit, allow_missing=settings.allow_missing)
    return {
        "schema_version": SCHEMA_VERSION,
        "kit": {"kit_id": kit.kit_id, **kit.facts.model_dump(mode="json")},
        "n_images": len({task.image_id for task in kit.tasks}),
        "n_per_class": images_per_class(kit),
        "chance": _chance(kit),
        "bootstrap": settings.bootstrap,
        "seed": settings.seed,
        "humans": score_humans(kit, answers, settings),
        "models": [
            {**_score_model(kit, model, settings, progress), **({"class_order": order} if order else {})}
            for model, order in zip(fed, orders, strict=True)
        ],
    }


def _class_order(model: Adapter, kit: HumanKit, classes: ClassMap) -> str | None:
    """How the order of a head's classes is known, of a model that was tried; None for other models.

    Raises:
        EvaluationError: if it cannot answer, or its outputs are no classes of the kit's.
    """
    outputs = try_model(model, partial(first_pictures, model, kit)).shape[1]
    space = find_label_space(outputs, classes, adapter_option(model, "label_space"))
    return class_order(space, adapter_option(model, "class_names"))


def _named_apart(models: Sequence[Adapter]) -> list[Adapter]:
    """Models of which no two have one name; ``UsageError`` if one is there twice."""
    facets = ("weights_sha256", "input_size_hw", "device", "precision")
    described = [{"model": model.name, **{name: getattr(model, name, None) for name in facets}} for model in models]
    names, named = tell_apart(described), list[Adapter]()
    if len(set(names)) < len(names):
        raise UsageError(f"models with different names are compared; got {', '.join(names)}")
    for model, name in zip(models, names, strict=True):
        named.append(copy.copy(model))
        named[-1].name = name
    return named


def score_humans(kit: HumanKit, answers: Sequence[HumanAnswer], settings: ScoreSettings) -> dict[str, Any]:
    """Scores of people; raters whose repeats fall short are named, and left out only if that was asked for."""
    raters = check_attention(answers, kit, settings.threshold)
    inattentive = [rater["rater"] for rater in raters if rater["attentive"] is False]
    excluded = inattentive if settings.exclude_inattentive else []
    scored = [rater["rater"] for rater in raters if rater["rater"] not in excluded]
    counted = [answer for answer in answers if answer.rater in scored]
    summary = summarise(kit, counted, scored, measures_of(kit))
    for config, measured in summary["configs"].items():
        measured["alpha"] = agreement(kit, counted, config, scored, count=settings.bootstrap, seed=settings.seed)
        measured.update(time_taken(kit, counted, config))
    return {
        "raters": raters,
        "threshold": settings.threshold,
        "inattentive": inattentive,
        "excluded": excluded,
        "n_raters": len(scored),
        **summary,
    }


def _score_model(kit: HumanKit, model: Adapter, settings: ScoreSettings, progress: Progress | None) -> dict[str, Any]:
    answers = answer_kit(kit, model, batch_size=settings.batch_size, workers=settings.workers, progress=progress)
    # A model never says absent: shares of what it cannot say would read as findings.
    measures = {
        name: measure for name, measure in measures_of(kit).items() if name not in ("absent", "accuracy_of_decided")
    }
    summary = summarise(kit, answers, [MODEL_RATER], measures)
    return {
        "model": model.name,
        "weights_sha256": model.weights_sha256,
        "device": adapter_option(model, "device"),
        "precision": adapter_option(model, "precision"),
        "feed": settings.feed,
        "feeding": feeding(model, kit.facts.arm),
        **summary,
    }


def _chance(kit: HumanKit) -> float:
    """Expected accuracy of answers by chance, absent never."""
    return 0.5 if kit.facts.design == "verification" else 1 / len(kit.tasks[0].offered)


def format_scores(result: Mapping[str, Any]) -> str:
    """Plain text: measures down, people and models across; then the raters."""
    kit, humans = result["kit"], result["humans"]
    columns = [("people", humans), *((model["model"], model) for model in result["models"])]
    rows = [["", *(name for name, _ in columns)]]
    for config in kit["configs"]:
        rows.append([config])
        for key, title in _LINES.items():
            cells = [_cell(side["configs"][config].get(key), key) for _, side in columns]
            if any(cells):
                rows.append([f"  {title}", *cells])
    gaps = {
        (index, name): measured_cell(gap, signed=True, few=gap["undecidable"])
        for name, side in columns
        for index, gap in enumerate(side["differences"])
    }
    stars, comparisons = find_stars(gaps)
    for index, gap in enumerate(humans["differences"]):
        cells = [gaps[index, name].text((index, name) in stars) for name, _ in columns]
        rows.append([f"{gap['minuend']} - {gap['subtrahend']}", *cells])
    sizes = list(result["n_per_class"].values())
    even = f"{sizes[0]}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    head = (
        f"{kit['dataset']} ({kit['split']}), {kit['design']}, arm {kit['arm']}: {result['n_images']} images, {even} of "
        f"each of {len(sizes)} classes; {humans['n_raters']} raters"
    )
    of = "this rater alone, images are the sample" if humans["n_raters"] == 1 else "raters and images are both samples"
    foot = f"shares in percent [95 % interval: {of}]; chance {100 * result['chance']:.1f}; images count alike"
    assumed = [f"{side['model']}: {ASSUMED_ORDER}" for side in result["models"] if side.get("class_order") == "assumed"]
    foot = "; ".join(part for part in (foot, *assumed, describe_stars(comparisons)) if part)
    return "\n".join([head, *align_columns(rows), foot, *map(_rater_line, humans["raters"]), *_attention_lines(humans)])


def _cell(measured: Any, key: str) -> str:  # noqa: ANN401  a measure, a number or None
    value = measured["value"] if isinstance(measured, Mapping) else measured
    if value is None:
        return measured.get("no_ci95", "") if isinstance(measured, Mapping) else ""
    scale, digits = (1, 2) if key in _PLAIN else (100, 1)
    text = f"{scale * value:.{digits}f}"
    if not isinstance(measured, Mapping):
        return text
    if interval := measured["ci95"]:
        return f"{text} [{scale * interval[0]:.{digits}f}, {scale * interval[1]:.{digits}f}]"
    return f"{text} [{measured['no_ci95']}]"


def _rater_line(rater: Mapping[str, Any]) -> str:
    alike = "no repeats" if rater["repeats_alike"] is None else f"{100 * rater['repeats_alike']:.0f} % of repeats alike"
    seconds = "" if rater["median_seconds"] is None else f", median {rater['median_seconds']:.1f} s"
    rates = f", hit {_cell(rater['hit_rate'], '')}, false alarm {_cell(rater['false_alarm_rate'], '')}"
    known = rates if "hit_rate" in rater else ""
    return (
        f"{rater['rater']}: {rater['n_answers']} answers, {alike} (n {rater['n_repeats']}), accuracy "
        f"{_cell(rater['accuracy'], '')}{known}{seconds}"
    )


def _attention_lines(humans: Mapping[str, Any]) -> list[str]:
    if not humans["inattentive"]:
        return []
    done = "left out" if humans["excluded"] else "kept; leave them out with --exclude-inattentive"
    return [f"under {100 * humans['threshold']:.0f} % of repeats alike: {', '.join(humans['inattentive'])}: {done}"]


def write_scores(result: Mapping[str, Any], out: Path) -> list[str]:
    """Write ``human.json``, ``human.txt`` and ``human.png``; returns their names.

    Raises:
        MissingExtraError: without the extra ``analyses``; then nothing is written.
    """
    try:
        from figureground.exports.human.plot import draw_accuracy
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "analyses") from error
    figure = draw_accuracy(result)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "human.json", json.dumps(result, indent=2, sort_keys=True, allow_nan=False) + "\n")
    write_text(out / "human.txt", format_scores(result) + "\n")
    with replace_file(out / "human.png") as temporary:
        temporary.write_bytes(figure)
    return ["human.json", "human.png", "human.txt"]
