"""Protocol rival10: noise, RFS, ablations and attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import adapter_option
from figureground.exports.evaluation.dataset import load_rows, open_repository
from figureground.exports.evaluation.intervals import MIN_DECIDABLE, Sampling
from figureground.exports.evaluation.jobs import Job, file_stem, split_by_space
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.options import Option
from figureground.exports.evaluation.pictures import stored_bytes
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.attribute_noise import (
    ATTRIBUTE_NOISE,
    UNMEASURED,
    attribute_level,
    measure_attributes,
)
from figureground.exports.evaluation.protocols.attributes import (
    ATTRIBUTE_CONFIGS,
    PASTED_CONFIGS,
    attribute_cells,
    summarise_greyed,
    summarise_noised,
    summarise_pasted,
)
from figureground.exports.evaluation.protocols.drops import describe_ablation, describe_accuracy
from figureground.exports.evaluation.protocols.noise import (
    CLEAN,
    NOISE_LEVELS,
    NOISE_OPTIONS,
    NoiseSettings,
    parse_noise,
)
from figureground.exports.evaluation.protocols.null_masks import mask_cells, summarise_masks
from figureground.exports.evaluation.protocols.outcomes import Outcomes, measure
from figureground.exports.evaluation.protocols.sensitivity import (
    headline_first,
    noise_cells,
    rfs_figures,
    summarise_noise,
)
from figureground.exports.evaluation.shares import accuracy_micro, class_sizes, describe_chance
from figureground.exports.evaluation.tables import IMAGES_ALIKE, RULE, Cell, Figure, accuracy_figures, measured_cell
from figureground.exports.evaluation.values import arrays_of, require

ABLATIONS: Final = {  # config of protocol rival10: the config that it is compared with
    "bg_grey": "original",
    "object_grey": "original_crop",
    "bbox_grey": "original_crop",
    "bbox_tile": "original_crop",
    "object_mean": "original_crop",
    "bbox_mean": "original_crop",
}

MASKS_FROM: Final = Option(name="masks_from", help="Dataset of the same photos whose object masks to use.")


def run_rival10(job: Job) -> dict[str, Any]:
    """Score ``original`` under noise, and the ablations and attributes as they are stored."""
    asked, job = job.configs, job.limited()
    settings = parse_noise(**{option.name: job.options[option.name] for option in NOISE_OPTIONS})
    reasons = unscored_configs(asked, job.configs)
    masks, mask_source = _other_masks(job.options["masks_from"], job.split)
    level = attribute_level(settings)
    described = {"noise": {**dataclasses.asdict(settings), "undefined": None}, "masks_from": mask_source}
    job, classes = job.keyed(**described, attribute_level=level, fit_mask="area"), job.repository.classes

    def run(config: str) -> dict[str, NDArray[Any]]:
        noisy, columns = config == "original", ["object_mask", "source_label", "attribute"]
        skipped: dict[str, int] = {}
        if config == ATTRIBUTE_NOISE:
            table = job.rows("original", columns, optional=["attribute_masks"])
            measured, skipped = measure_attributes(job.feeder, table, classes, level or 0.0, settings.trials)
        else:
            measured = measure(
                job.feeder,
                job.rows(config, columns, optional=["ground_label"]),
                classes,
                config,
                conditions=settings.conditions() if noisy else (CLEAN,),
                trials=settings.trials if noisy else 1,
                masks=masks if noisy else None,
            )
        arrays = ((space, arrays_of(outcomes)) for space, outcomes in measured.items())
        answers = {f"{space}.{name}": value for space, named in arrays for name, value in named.items()}
        return {**answers, "skipped": np.array(list(skipped.values()), dtype=np.int64)}

    views = [ATTRIBUTE_NOISE] if level is not None else []
    stored = job.remembered([*(config for config in job.configs if config not in reasons), *views], run)
    answered = {config: arrays for config, arrays in stored.items() if len(arrays) > 1}
    summaries = {
        space: summarise_rival10(outcomes, classes, space, settings, job.sampling)
        for space, outcomes in split_by_space(answered, Outcomes)
    }
    skipped = {view: dict(zip(UNMEASURED, stored[view]["skipped"].tolist(), strict=True)) for view in views}
    return {
        **described,
        "attribute_noise": {"level": level, "n_skipped": skipped.get(ATTRIBUTE_NOISE, {})},
        "not_scored": reasons,
        "rfs_undefined": settings.undefined,
        "headline": "accuracy_macro",
        "label_spaces": summaries,
        "conditions": [dataclasses.asdict(condition) for condition in settings.conditions()],
        "noise_rounded_to_uint8": not adapter_option(job.adapter, "takes_float"),
        "answers": file_stem(job.key),
    }


def unscored_configs(asked: Sequence[str], left: Sequence[str]) -> dict[str, str]:
    """Why configs that were asked for have no score; ``left`` are those with images under the limit."""
    needs = {**ABLATIONS, **dict(zip(ATTRIBUTE_CONFIGS, reversed(ATTRIBUTE_CONFIGS), strict=True))}
    bases, reasons = set(ABLATIONS.values()) - {"original"}, dict[str, str]()
    for config in asked:
        if config in bases and not any(ABLATIONS.get(other) == config for other in left):
            reasons[config] = "no ablation is compared with it"
        elif config not in {"original", *needs, *bases, *PASTED_CONFIGS}:
            reasons[config] = "rival10 has no score for it"
        elif config not in left:
            reasons[config] = "it has none of these images"
        elif needs.get(config, config) not in left:
            reasons[config] = f"it needs {needs[config]}"
    return reasons


def _other_masks(repo: str | None, split: str) -> tuple[dict[str, bytes | None] | None, dict[str, str] | None]:
    """Encoded object masks of another dataset by image_id, and which dataset it is; None for the rows' own."""
    if repo is None:
        return None, None
    other = open_repository(repo)
    table = load_rows(other, "original", split, columns=["object_mask"])
    masks = {name: stored_bytes(mask) for name, mask in zip(table["image_id"], table["object_mask"], strict=True)}
    return masks, {"name": other.name, "fingerprint": other.fingerprint}


def summarise_rival10(
    outcomes: Mapping[str, Outcomes], classes: ClassMap, space: str, settings: NoiseSettings, sampling: Sampling
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
        **describe_chance(space, classes),
        "object_area_share": float(original.area.mean()),
        "clean": {**describe_accuracy(original, 0), "per_source_label": per_source},
        "noise": {
            str(grow_px): {
                kind: summarise_noise(original, classes, settings, kind, grow_px, sampling) for kind in settings.levels
            }
            for grow_px in settings.grow_px
        },
        "over_masks": summarise_masks(original, settings, sampling),
        "ablations": {
            config: describe_ablation(outcomes[base], outcomes[config])
            for config, base in ABLATIONS.items()
            if config in outcomes and base in outcomes
        },
        "attributes": summarise_greyed(original, outcomes, classes),
        "attribute_noise": (
            summarise_noised(original, outcomes[ATTRIBUTE_NOISE], classes) if ATTRIBUTE_NOISE in outcomes else {}
        ),
        "pasted": {
            config: summarise_pasted(original, outcomes[config]) for config in PASTED_CONFIGS if config in outcomes
        },
    }


def rival10_cells(summary: Mapping[str, Any]) -> dict[str, Cell]:
    """Clean accuracy, then for every noise accuracy on figure and ground and RFS, then what ablations cost."""
    clean, few = summary["clean"], summary["n"] < MIN_DECIDABLE
    cells = {"-clean": RULE, "clean accuracy": Cell(clean["accuracy_macro"], clean["ci95"], few=few)}
    if not summary["balanced"]:
        cells[f"clean accuracy, {IMAGES_ALIKE}"] = Cell(clean["accuracy_micro"], few=few, bare=True)
    for grow_px, kinds in summary["noise"].items():
        grown = "" if grow_px == "0" else f", mask {int(grow_px):+d} px"
        for kind in headline_first(kinds):
            cells |= {f"-{kind}{grown}": RULE, **noise_cells(kind, grown, kinds[kind], few)}
    if masks := mask_cells(summary.get("over_masks", {})):
        cells |= {"-masks": RULE, **masks}
    cells["-ablations"] = RULE
    for config, measured in summary["ablations"].items():
        own = measured["undecidable"]
        cells[f"{config}: accuracy"] = Cell(measured["accuracy_macro"], measured["ci95"], few=own)
        cells[f"{config}: drop"] = measured_cell(measured["accuracy_drop"], signed=True, few=own)
    return cells | attribute_cells(summary)


def rival10_figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Headline figures of a summary: RFS under l2 noise first."""
    yield from rfs_figures(summary["noise"].get("0", {}))
    yield from accuracy_figures({"original": summary["clean"], **summary["ablations"]})


def describe_settings(result: Mapping[str, Any]) -> list[str]:
    """Noise and masks of a result in words, as far as they are not the usual ones."""
    noise, usual, words = result.get("noise") or {}, NoiseSettings(), list[str]()
    levels = {kind: tuple(own) for kind, own in noise.get("levels", NOISE_LEVELS).items()}
    if levels != NOISE_LEVELS:
        named = (kind + _spell_levels(own) * (own != NOISE_LEVELS[kind]) for kind, own in sorted(levels.items()))
        words.append(f"noise {' and '.join(named)}" if levels else "no noise")
    if (trials := noise.get("trials", usual.trials)) != usual.trials:
        words.append(f"{trials} noises of each image")
    if (grown := tuple(noise.get("grow_px", usual.grow_px))) != usual.grow_px:
        words.append(f"masks grown by {', '.join(map(str, grown))} px")
    if (null := tuple(noise.get("null", usual.null))) != usual.null:
        words.append(f"null of RFS under {' and '.join(null) or 'no noise'}")
    if masks := result.get("masks_from"):
        words.append(f"masks of {masks['name']}")
    if result["rfs_undefined"] != usual.undefined:
        words.append(f"RFS undefined as {result['rfs_undefined']}")
    return words


def _spell_levels(levels: Sequence[float]) -> str:
    return f" of {', '.join(f'{level:.3g}' for level in levels)}"


RIVAL10: Final = Protocol(
    name="rival10",
    claims=lambda configs: bool({*ABLATIONS, *ATTRIBUTE_CONFIGS, *PASTED_CONFIGS} & set(configs)),
    run=run_rival10,
    cells=rival10_cells,
    figures=rival10_figures,
    options=(*NOISE_OPTIONS, MASKS_FROM),
    settings=("noise", "masks_from", "rfs_undefined"),
    describe=describe_settings,
)
