"""A model's answers on rows: made and judged."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports.evaluation.adapters import Adapter, adapter_option
from figureground.exports.evaluation.dataset import row_names
from figureground.exports.evaluation.label_spaces import (
    EXACT,
    ClassMap,
    Truth,
    drop_background,
    exact_answers,
    find_label_space,
    map_predictions,
    restrict_predictions,
)
from figureground.exports.evaluation.model_files.adapter_checks import checked_logits, try_model
from figureground.exports.evaluation.pictures import Transform, stored_bytes
from figureground.exports.evaluation.values import Answers, Bools, Floats, Images, Ints, Logits, Progress, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """A model's answers on one config: ``(R,)`` arrays, one entry a row."""

    image_id: NDArray[np.str_]
    draw: Ints
    label: Ints
    predicted: Ints  # raw argmax over all outputs, without a background column
    mapped: Ints  # class index of the largest output, negative outside the map
    restricted: Ints  # class index of the largest of the outputs that are in the map
    exact: Ints  # whether the photo's own ImageNet class is answered: 1 or 0, -1 where it is not known
    probability: Floats  # the largest, in [0, 1]
    label_space: NDArray[np.str_]  # "map" or "head", of shape (): an array so that it is stored like the rest


class Judged(NamedTuple):
    """Answers of a model in one label space, ``(N,)`` each."""

    right: Bools
    probability: Floats  # of the true class, in [0, 1]
    answer: Ints  # class index of the largest output, negative outside the map
    confidence: Floats  # the largest probability, in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeder:
    """A model, and how rows come to it."""

    adapter: Adapter
    batch_size: int = 32  # images a forward pass
    workers: int | None = None  # threads that decode images; None for one a processor, up to 8
    progress: Progress | None = None


def predict(feeder: Feeder, table: Table, classes: ClassMap, config: str) -> Predictions:
    """Run a model over rows of ``load_rows``; ``EvaluationError`` if an image or an answer is unusable.

    Without a column ``source_label`` it is not known which photo's own class is answered.
    """
    adapter = feeder.adapter
    sources = table["source_label"][:] if "source_label" in table.column_names else [None] * len(table)
    wnids = np.array([str(wnid or "") for wnid in sources])

    def judge(logits: Logits, rows: slice) -> dict[str, NDArray[Any]]:
        space = find_label_space(logits.shape[1], classes, adapter_option(adapter, "label_space"))
        raw, mapped = map_predictions(logits, classes, space)
        largest = to_probabilities(adapter, drop_background(logits, space)).max(axis=1)
        restricted = restrict_predictions(logits, classes, space)
        return {
            "predicted": raw,
            "mapped": mapped,
            "restricted": restricted,
            "exact": exact_answers(raw, wnids[rows], classes, space),
            "probability": largest,
            "label_space": np.full(len(raw), space),
        }

    answers = answer_rows(feeder, table, config, judge)
    space = answers.pop("label_space")[0]
    draw = np.array(table["draw"][:], dtype=np.int64)
    return Predictions(**row_names(table), draw=draw, label_space=np.array(space), **answers)


def to_probabilities(adapter: Adapter, answers: Logits) -> Floats:
    """Answers ``(…, K)`` as probabilities, in float64."""
    exact = answers.astype(np.float64)
    if adapter_option(adapter, "outputs") is None:
        try_model(adapter)
    return exact if adapter_option(adapter, "outputs") == "probabilities" else np.asarray(softmax(exact, axis=-1))


def answer_rows(
    feeder: Feeder,
    table: Table,
    config: str,
    judge: Callable[[Logits, slice], Answers],
    *,
    show: Callable[[bytes | None, str], Images] | None = None,
) -> dict[str, NDArray[Any]]:
    """Run a model over rows, judge its logits batch by batch, and join the judgements by name.

    ``judge`` gets the logits ``(N, K)`` of a batch and which rows they are of. ``show`` makes the views of an encoded
    image, ``(V, H, W, 3)`` of the model's input size, by default the whole canvas; with several views the logits are
    those of each row's views in turn, ``(N · V, K)``.
    """
    adapter, ids = feeder.adapter, table["image_id"][:]
    parts, stop = list[Answers](), 0
    for views in _batches(feeder, table, config, show or whole_canvas(adapter).crops):
        start, stop = stop, stop + len(views)
        records = [f"{config}/{name}" for name in ids[start:stop] for _ in range(views.shape[1])]
        logits = checked_logits(adapter, views.reshape(-1, *views.shape[2:]), records)
        parts.append(judge(logits, slice(start, stop)))
        if feeder.progress is not None:
            feeder.progress(config, stop, len(ids))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def whole_canvas(adapter: Adapter) -> Transform:
    """The transform that resizes a stored canvas whole to the model's input."""
    filter_name = str(adapter_option(adapter, "interpolation"))
    size_hw = (adapter.input_size_hw[0], adapter.input_size_hw[1])
    return Transform(size_hw=size_hw, crop_pct=1, crop_mode="squash", interpolation=filter_name)


def _batches(
    feeder: Feeder, table: Table, config: str, show: Callable[[bytes | None, str], Images]
) -> Iterator[Images]:
    """Views ``(N, V, H, W, 3)``, decoded by threads (Pillow releases the GIL).

    The next batch is decoded while the model works, unless the model keeps the processors busy itself.
    """
    size, ahead = feeder.batch_size, not adapter_option(feeder.adapter, "on_cpu")
    waiting: deque[list[Future[Images]]] = deque()
    with ThreadPoolExecutor(feeder.workers or min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(table), size):
            rows = table[start : start + size]
            pairs = zip(rows["image"], rows["image_id"], strict=True)
            waiting.append([pool.submit(show, stored_bytes(image), f"{config}/{name}") for image, name in pairs])
            while len(waiting) > (ahead and start + size < len(table)):
                yield np.stack([job.result() for job in waiting.popleft()])


def judge_answers(adapter: Adapter, logits: Logits, truth: Truth, classes: ClassMap) -> dict[str, Judged]:
    """What ``N`` answers are worth, in every label space that the outputs allow.

    ``map<C>``: 1000 outputs through the class map, a class's probability is the sum of its outputs'; ``exact1000``:
    only the photo's own wnid is right, where that is known of every row of the table; ``head<C>``: outputs are the
    dataset's classes.
    """
    labels = truth.label
    space = find_label_space(logits.shape[1], classes, adapter_option(adapter, "label_space"))
    outputs = drop_background(logits, space)
    shares = to_probabilities(adapter, outputs)
    rows, raw, largest = np.arange(len(outputs)), outputs.argmax(axis=1), shares.max(axis=1)
    if space == "head":
        return {f"head{len(classes.names)}": Judged(raw == labels, shares[rows, labels], raw, largest)}
    mapped = classes.class_of_output[raw]
    in_class = (shares * (classes.class_of_output == labels[:, None])).sum(1)
    judged = {f"map{len(classes.names)}": Judged(mapped == labels, in_class, mapped, largest)}
    if truth.output is not None:
        judged[EXACT] = Judged(raw == truth.output, shares[rows, truth.output], mapped, largest)
    return judged
