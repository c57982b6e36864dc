"""Protocol rival10: noise, RFS, ablations and attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import adapter_option
from figureground.exports.evaluation.dataset import load_rows, open_repository
from figureground.exports.evaluation.intervals import (
    MIN_DECIDABLE,
    Sampling,
    mean_estimate,
    paired_difference,
    share_interval,
)
from figureground.exports.evaluation.jobs import Job, split_by_space
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.options import Option
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.noise import CLEAN, NOISE_OPTIONS, NoiseSettings, parse_noise
from figureground.exports.evaluation.protocols.outcomes import Outcomes, measure
from figureground.exports.evaluation.protocols.sensitivity import (
    headline_first,
    noise_cells,
    rfs_figures,
    summarise_noise,
)
from figureground.exports.evaluation.shares import accuracy_macro, accuracy_micro, class_sizes
from figureground.exports.evaluation.tables import RULE, Cell, Figure, accuracy_figures, measured_cell
from figureground.exports.evaluation.values import Floats, Ints, arrays_of, list_names, require

ABLATIONS: Final = {  # config of protocol rival10: the config that it is compared with
    "bg_grey": "original",
    "object_grey": "original_crop",
    "bbox_grey": "original_crop",
    "bbox_tile": "original_crop",
    "object_mean": "original_crop",
    "bbox_mean": "original_crop",
}
ATTRIBUTE_CONFIGS: Final = ("attribute_grey", "attribute_control")


MASKS_FROM: Final = Option(name="masks_from", help="Dataset of the same photos whose object masks to use.")


def run_rival10(job: Job) -> dict[str, Any]:
    """Score ``original`` under noise, and the ablations and attributes as they are stored."""
    job = job.limited()
    settings = parse_noise(**{option.name: job.options[option.name] for option in NOISE_OPTIONS})
    scored = {"original", *ABLATIONS, *ABLATIONS.values(), *ATTRIBUTE_CONFIGS}
    configs = [config for config in job.configs if config in scored]
    masks, mask_source = _other_masks(job.options["masks_from"], job.split)
    described = {"noise": {**dataclasses.asdict(settings), "undefined": None}, "masks_from": mask_source}
    job = job.keyed(**described)

    def run(config: str) -> dict[str, NDArray[Any]]:
        noisy = config == "original"
        measured = measure(
            job.feeder,
            job.rows(config, ["object_mask", "source_label", "attribute"]),
            job.repository.classes,
            config,
            conditions=settings.conditions() if noisy else (CLEAN,),
            trials=settings.trials if noisy else 1,
            masks=masks if noisy else None,
        )
        arrays = ((space, arrays_of(outcomes)) for space, outcomes in measured.items())
        return {f"{space}.{name}": value for space, named in arrays for name, value in named.items()}

    stored = job.remembered(configs, run)
    summaries = {
        space: summarise_rival10(outcomes, job.repository.classes, settings, job.sampling)
        for space, outcomes in split_by_space(stored, Outcomes)
    }
    path = job.predictions_path("original")
    return {
        **described,
        "rfs_undefined": settings.undefined,
        "headline": "accuracy_macro",
        "label_spaces": summaries,
        "conditions": [dataclasses.asdict(condition) for condition in settings.conditions()],
        "noise_rounded_to_uint8": not adapter_option(job.adapter, "takes_float"),
        "predictions": path.relative_to(job.out).as_posix() if path and job.out else None,
    }


def _other_masks(repo: str | None, split: str) -> tuple[dict[str, bytes] | None, dict[str, str] | None]:
    """Encoded object masks of another dataset by image_id, and which dataset it is; None for the rows' own."""
    if repo is None:
        return None, None
    other = open_repository(repo)
    table = load_rows(other, "original", split, columns=["object_mask"])
    masks = {name: mask["bytes"] for name, mask in zip(table["image_id"], table["object_mask"], strict=True)}
    return masks, {"name": other.name, "fingerprint": other.fingerprint}


def summarise_rival10(
    outcomes: Mapping[str, Outcomes], classes: ClassMap, settings: NoiseSettings, sampling: Sampling
) -> dict[str, Any]:
    """All metrics of one model's answers in one label space, by config, JSON-ready, with intervals."""
    original = outcomes["original"]
    require(len(np.unique(original.image_id)) == len(original.label), "original: expected each image_id once")
    per_source = {
        str(name): accuracy_micro(original.right[original.source_label == name, 0])
        for name in np.unique(original.source_label)
    }
    return {
        **class_sizes(original.label, classes),
        "class_names": list(classes.names),
        "chance": 1 / len(classes.names),
        "object_area_share": float(original.area.mean()),
        "clean": {**_accuracy(original, 0), "per_source_label": per_source},
        "noise": {
            str(grow_px): {
                kind: summarise_noise(original, classes, settings, kind, grow_px, sampling) for kind in settings.levels
            }
            for grow_px in settings.grow_px
        },
        "ablations": {
            config: _drop(outcomes[base], outcomes[config])
            for config, base in ABLATIONS.items()
            if config in outcomes and base in outcomes
        },
        "attributes": _attribute_drops(original, outcomes, classes),
    }


def _accuracy(outcomes: Outcomes, condition: int) -> dict[str, Any]:
    """Accuracy under a condition, with its interval, and the mean probability of the true class."""
    right = outcomes.right[:, condition]
    return {
        "accuracy_macro": accuracy_macro(right, outcomes.label),
        "accuracy_micro": accuracy_micro(right),
        "ci95": share_interval(right.mean(axis=1), outcomes.label),
        "p_true": accuracy_macro(outcomes.probability[:, condition], outcomes.label),  # type: ignore[arg-type]
    }


def _drop(base: Outcomes, ablated: Outcomes) -> dict[str, Any]:
    """What an ablation costs, over class means of the same images."""
    order = _rows_of(base, ablated)
    before, after = _row_means(base, order), _row_means(ablated, slice(None))
    return {**_accuracy(ablated, 0), **_drops(before, after, ablated.label)}


def _row_means(outcomes: Outcomes, rows: Any) -> Floats:  # noqa: ANN401  an index of NumPy's
    """Share of trials that are right, and mean probability of the true class, without noise: ``(R, 2)``."""
    return np.stack([outcomes.right[rows, 0].mean(axis=1), outcomes.probability[rows, 0].mean(axis=1)], axis=1)


def _rows_of(base: Outcomes, other: Outcomes) -> Ints:
    """Rows of ``base`` that hold the images of ``other``."""
    row_of = {name: row for row, name in enumerate(base.image_id)}
    missing = sorted(set(other.image_id) - set(row_of))
    require(not missing, f"expected the images of original in every config; it lacks {list_names(missing)}")
    return np.array([row_of[name] for name in other.image_id], dtype=np.int64)


def _drops(before: Floats, after: Floats, labels: Ints) -> dict[str, Any]:
    """Loss of accuracy and of the true class's probability; ``before`` and ``after`` are (R, 2)."""
    lost = before - after
    return {
        "accuracy_drop": paired_difference(before[:, 0], after[:, 0], labels).json(),
        "p_true_drop": mean_estimate(lost[:, 1], labels, (-1.0, 1.0)).json(),
        "undecidable": len(labels) < MIN_DECIDABLE,
    }


def _attribute_drops(original: Outcomes, outcomes: Mapping[str, Outcomes], classes: ClassMap) -> dict[str, Any]:
    """What greying an attribute costs, beside a random part of the object of the same area; all photos count alike."""
    if not {"attribute_grey", "attribute_control"} <= set(outcomes):
        return {}
    greyed, control = outcomes["attribute_grey"], outcomes["attribute_control"]
    keys = [list(zip(rows.image_id, rows.attribute, strict=True)) for rows in (greyed, control)]
    require(keys[0] == keys[1], "attribute_control: expected the rows of attribute_grey")
    values = [
        _row_means(answers, rows)
        for answers, rows in ((original, _rows_of(original, greyed)), (greyed, slice(None)), (control, slice(None)))
    ]
    summaries = {}
    for name in np.unique(greyed.attribute):
        chosen = greyed.attribute == name
        clean, grey, random = (value[chosen] for value in values)
        labels, alike = greyed.label[chosen], np.zeros(int(chosen.sum()), np.int64)
        summaries[str(name)] = {
            "n": int(chosen.sum()),
            "accuracy_original": float(clean[:, 0].mean()),
            "accuracy_grey": float(grey[:, 0].mean()),
            "accuracy_control": float(random[:, 0].mean()),
            "grey": _drops(clean, grey, alike),
            "control": _drops(clean, random, alike),
            "grey_beyond_control": _drops(random, grey, alike),
            "per_class": {
                owner: {"n": int(own.sum()), "accuracy_drop": float((clean - grey)[own, 0].mean())}
                for owner, own in ((owner, labels == index) for index, owner in enumerate(classes.names))
                if own.any()
            },
        }
    return summaries


def rival10_cells(summary: Mapping[str, Any]) -> dict[str, Cell]:
    """Clean accuracy, then for every noise accuracy on figure and ground and RFS, then what ablations cost."""
    clean, few = summary["clean"], summary["n"] < MIN_DECIDABLE
    cells = {"-clean": RULE, "clean accuracy": Cell(clean["accuracy_macro"], clean["ci95"], few=few)}
    for grow_px, kinds in summary["noise"].items():
        grown = "" if grow_px == "0" else f", mask {int(grow_px):+d} px"
        for kind in headline_first(kinds):
            cells |= {f"-{kind}{grown}": RULE, **noise_cells(kind, grown, kinds[kind], few)}
    cells["-ablations"] = RULE
    for config, measured in summary["ablations"].items():
        own = measured["undecidable"]
        cells[f"{config}: accuracy"] = Cell(measured["accuracy_macro"], measured["ci95"], few=own)
        cells[f"{config}: drop"] = measured_cell(measured["accuracy_drop"], signed=True, few=own)
    cells["-attributes"] = RULE
    for name, measured in summary["attributes"].items():
        for what in ("grey", "control", "grey_beyond_control"):
            drops = measured[what]
            row = f"{name} (n {measured['n']}): p drop, {what.replace('_', ' ')}"
            cells[row] = measured_cell(drops["p_true_drop"], signed=True, few=drops["undecidable"])
    return cells


def rival10_figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Headline figures of a summary: RFS under l2 noise first."""
    yield from rfs_figures(summary["noise"].get("0", {}))
    yield from accuracy_figures({"original": summary["clean"], **summary["ablations"]})


RIVAL10: Final = Protocol(
    name="rival10",
    claims=lambda configs: bool({*ABLATIONS, *ATTRIBUTE_CONFIGS} & set(configs)),
    run=run_rival10,
    cells=rival10_cells,
    figures=rival10_figures,
    options=(*NOISE_OPTIONS, MASKS_FROM),
)
