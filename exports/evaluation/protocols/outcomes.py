"""Answers of a model under every condition of noise, and what was done to the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import adapter_option
from figureground.exports.evaluation.answers import Feeder, checked_logits, judge_answers
from figureground.exports.evaluation.dataset import row_names
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.pictures import decode_image, decode_mask
from figureground.exports.evaluation.protocols.noise import CLEAN, Condition, make_ahead, show_conditions, stack_batches
from figureground.exports.evaluation.values import Bools, Floats, Ints, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Answers of a model in one label space: R rows, C conditions, T trials."""

    image_id: NDArray[np.str_]  # (R,)
    attribute: NDArray[np.str_]  # (R,), empty where a row is about a whole photo
    label: Ints  # (R,)
    source_label: NDArray[np.str_]  # (R,)
    right: Bools  # (R, C, T)
    probability: Floats  # (R, C, T) of the true class, in [0, 1]
    area: Floats  # (R,) share of the canvas that the object mask covers


def measure(
    feeder: Feeder,
    table: Table,
    classes: ClassMap,
    config: str,
    *,
    conditions: Sequence[Condition] = (CLEAN,),
    trials: int = 1,
    masks: Mapping[str, bytes] | None = None,
) -> dict[str, Outcomes]:
    """Run a model over rows under every condition, one decode each; its answers by label space.

    ``masks`` are other object masks by image_id (1-bit PNG); ``EvaluationError`` if an image has none.
    """
    adapter, ids, cells = feeder.adapter, table["image_id"][:], len(conditions) * trials
    names = {
        column: np.array([str(text or "") for text in table[column][:]]) for column in ("source_label", "attribute")
    }
    labels = row_names(table)["label"]
    areas, judged, done = np.zeros(len(ids)), dict[str, list[tuple[Bools, Floats]]](), 0
    feeding = adapter.input_size_hw, adapter_option(adapter, "interpolation")

    def shown() -> Iterator[NDArray[np.float32]]:
        for row, name in enumerate(ids):
            stored = table[row]
            image = decode_image(stored["image"]["bytes"], *feeding, f"{config}/{name}")
            mask = decode_mask(stored["object_mask"]["bytes"] if masks is None else masks.get(name), name)
            areas[row] = mask.mean()
            yield from show_conditions(image, mask, conditions, trials, name)

    for batch in make_ahead(stack_batches(shown(), feeder.batch_size)):
        fed = batch if adapter_option(adapter, "takes_float") else np.rint(batch * 255).astype(np.uint8)
        rows = np.arange(done, done + len(batch)) // cells
        logits = checked_logits(adapter, fed, [f"{config}/{ids[row]}" for row in rows])
        spaces = judge_answers(adapter, logits, labels[rows], names["source_label"][rows], classes)
        for space, answers in spaces.items():
            judged.setdefault(space, []).append(answers)
        done += len(batch)
        if feeder.progress is not None:
            feeder.progress(config, done, len(ids) * cells)
    shape = (len(ids), len(conditions), trials)
    return {
        space: Outcomes(
            image_id=np.array(ids),
            label=labels,
            area=areas,
            **names,
            right=np.concatenate([right for right, _ in parts]).reshape(shape),
            probability=np.concatenate([probability for _, probability in parts]).reshape(shape),
        )
        for space, parts in judged.items()
    }
