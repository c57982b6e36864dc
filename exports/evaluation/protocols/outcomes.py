"""Answers of a model under every condition of noise, and what was done to the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import adapter_option
from figureground.exports.evaluation.answers import Feeder, Judged, judge_answers
from figureground.exports.evaluation.dataset import row_names, row_texts
from figureground.exports.evaluation.label_spaces import ClassMap, find_truth
from figureground.exports.evaluation.model_files.adapter_checks import checked_logits
from figureground.exports.evaluation.pictures import decode_image, decode_mask, stored_bytes
from figureground.exports.evaluation.protocols.noise import CLEAN, Condition, make_ahead, show_conditions, stack_batches
from figureground.exports.evaluation.values import Bools, Floats, Ints, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Answers of a model in one label space: R rows, C conditions, T trials."""

    image_id: NDArray[np.str_]  # (R,)
    attribute: NDArray[np.str_]  # (R,), empty where a row is about a whole photo
    label: Ints  # (R,)
    source_label: NDArray[np.str_]  # (R,)
    donor_label: Ints  # (R,) class of the photo that pixels were pasted from; -1 where there is none
    right: Bools  # (R, C, T)
    probability: Floats  # (R, C, T) of the true class, in [0, 1]
    answer: Ints  # (R, C, T) class index answered, negative outside the map
    area: Floats  # (R,) share of the canvas that the object mask covers


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFacts:
    """Whose the answers are: the fields of ``Outcomes`` that are no answers, ``(R,)`` each."""

    image_id: NDArray[np.str_]
    attribute: NDArray[np.str_]
    label: Ints
    source_label: NDArray[np.str_]
    donor_label: Ints


def read_facts(table: Table) -> RowFacts:
    """Facts of the rows of ``load_rows`` with ``source_label``, ``attribute`` and, if it matters, ``ground_label``."""
    texts = {column: row_texts(table, column) for column in ("source_label", "attribute")}
    donors = table["ground_label"][:] if "ground_label" in table.column_names else [None] * len(table)
    donor_label = np.array([-1 if donor is None else donor for donor in donors], dtype=np.int64)
    return RowFacts(**row_names(table), **texts, donor_label=donor_label)


def measure(
    feeder: Feeder,
    table: Table,
    classes: ClassMap,
    config: str,
    *,
    conditions: Sequence[Condition] = (CLEAN,),
    trials: int = 1,
    masks: Mapping[str, bytes | None] | None = None,
) -> dict[str, Outcomes]:
    """Run a model over rows under every condition, one decode each; its answers by label space.

    ``masks`` are other object masks by image_id (1-bit PNG); ``EvaluationError`` if an image has none.
    """
    adapter, facts = feeder.adapter, read_facts(table)
    areas = np.zeros(len(table))
    feeding = adapter.input_size_hw, adapter_option(adapter, "interpolation")

    def shown() -> Iterator[NDArray[np.float32]]:
        for row, name in enumerate(facts.image_id.tolist()):
            stored = table[row]
            image = decode_image(stored_bytes(stored["image"]), *feeding, f"{config}/{name}")
            mask = decode_mask(stored_bytes(stored["object_mask"]) if masks is None else masks.get(name), name)
            areas[row] = mask.mean()
            yield from show_conditions(image, mask, conditions, trials, name)

    judged = judge_pictures(feeder, shown(), facts, classes, config, len(conditions), trials)
    return make_outcomes(judged, facts, areas)


def judge_pictures(
    feeder: Feeder,
    shown: Iterator[NDArray[np.float32]],
    facts: RowFacts,
    classes: ClassMap,
    config: str,
    conditions: int,
    trials: int,
) -> dict[str, Judged]:
    """Run a model over pictures ``(H, W, 3)`` in [0, 1]: row after row, of each all trials of every condition.

    By label space, ``(R, C, T)`` each; models of raw pixels are shown rounded ones.
    """
    adapter, cells, truth = feeder.adapter, conditions * trials, find_truth(facts.label, facts.source_label, classes)
    judged, done = dict[str, list[Judged]](), 0
    for batch in make_ahead(stack_batches(shown, feeder.batch_size)):
        fed = batch if adapter_option(adapter, "takes_float") else np.rint(batch * 255).astype(np.uint8)
        rows = np.arange(done, done + len(batch)) // cells
        logits = checked_logits(adapter, fed, [f"{config}/{facts.image_id[row]}" for row in rows])
        spaces = judge_answers(adapter, logits, truth.of(rows), classes)
        for space, answers in spaces.items():
            judged.setdefault(space, []).append(answers)
        done += len(batch)
        if feeder.progress is not None:
            feeder.progress(config, done, len(facts.label) * cells)
    shape = (len(facts.label), conditions, trials)
    return {
        space: Judged(*(np.concatenate(column).reshape(shape) for column in zip(*parts, strict=True)))
        for space, parts in judged.items()
    }


def make_outcomes(judged: Mapping[str, Judged], facts: RowFacts, area: Floats) -> dict[str, Outcomes]:
    """Answers with whose they are, by label space."""
    own: dict[str, Any] = {name: getattr(facts, name) for name in RowFacts.__slots__}
    return {
        space: Outcomes(**own, right=answers.right, probability=answers.probability, answer=answers.answer, area=area)
        for space, answers in judged.items()
    }
