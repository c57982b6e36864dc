"""Models on the very task that people were given: the same pictures, the same classes on offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from figureground.exports.evaluation.adapters import Adapter, adapter_option
from figureground.exports.evaluation.answers import Feeder, answer_rows, to_probabilities, whole_canvas
from figureground.exports.evaluation.label_spaces import ClassMap, drop_background, find_label_space, parse_class_map
from figureground.exports.evaluation.pictures import Transform
from figureground.exports.evaluation.values import EvaluationError, Floats, Images, Logits
from figureground.runtime.progress import Progress
from figureground.schemas.pages.human_tasks import CLASS_MAP_FILE, Arm, HumanAnswer, HumanKit, HumanTask

MODEL_RATER: Final = "r1"
"""Id of the rater of a model's answers; a model is the only rater of its own."""
_SHOWN: Final = 3
"""Pictures that a model is tried on, where it cannot answer drawn ones."""


class PictureTable:
    """Picture files as ``evaluate.answer_rows`` reads a table: a column of ids, and slices with their bytes."""

    def __init__(self, pictures: Mapping[str, Path]) -> None:
        self._ids = list(pictures)
        self._paths = list(pictures.values())

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, key: str | slice) -> Any:  # noqa: ANN401  a column or some rows
        if isinstance(key, str):
            return self._ids
        return {"image": [{"bytes": path.read_bytes()} for path in self._paths[key]], "image_id": self._ids[key]}


def class_shares(adapter: Adapter, logits: Logits, classes: ClassMap) -> Floats:
    """Probability that a model gives to each class of the dataset, ``(N, C)`` from ``(N, K)`` logits, in [0, 1].

    1000 outputs go through the class map: softmax over all of them, and a class has the sum of its outputs', as in
    ``evaluate.judge_answers``. A head's outputs are the classes.

    Raises:
        EvaluationError: if a class has no output, or the outputs fit neither.
    """
    space = find_label_space(logits.shape[1], classes, adapter_option(adapter, "label_space"))
    shares = to_probabilities(adapter, drop_background(logits, space))
    if space == "head":
        return shares
    members = classes.class_of_output[:, None] == np.arange(len(classes.names))
    absent = [name for name, outputs in zip(classes.names, members.T, strict=True) if not outputs.any()]
    if absent:
        raise EvaluationError(f"{adapter.name}: class_map.json gives no ImageNet output to {', '.join(absent[:8])}")
    by_class: Floats = shares @ members
    return by_class


def picture_shares(
    feeder: Feeder, classes: ClassMap, pictures: Mapping[str, Path], arm: Arm, *, stage: str
) -> dict[str, Floats]:
    """``class_shares`` of picture files, ``(C,)`` each, by the ids of ``pictures``.

    Pictures of the arm ``model`` are resized whole to the model's input; those of the arm ``full`` get the model's own
    resize and centre crop, as protocol imagenet_a feeds photos. ``stage`` is what progress is shown under.

    Raises:
        EvaluationError: if a picture or an answer is unusable, or a head answers in other classes.
    """
    adapter = feeder.adapter
    names = adapter_option(adapter, "class_names")
    if names is not None and tuple(names) != classes.names:
        raise EvaluationError(f"{adapter.name}: answers in {names}, not in the dataset's {', '.join(classes.names)}")

    def judge(logits: Logits, _: slice) -> dict[str, Floats]:
        return {"shares": class_shares(adapter, logits, classes)}

    answers = answer_rows(feeder, PictureTable(pictures), stage, judge, show=_view(adapter, arm))
    return dict(zip(pictures, answers["shares"], strict=True))


def first_pictures(adapter: Adapter, kit: HumanKit) -> Images:
    """A few of a kit's pictures as the model is shown them, ``(N, H, W, 3)``."""
    show = _view(adapter, kit.facts.arm) or whole_canvas(adapter).crops
    names = [task.picture for task in kit.tasks[:_SHOWN]]
    return np.concatenate([show(kit.picture_path(name).read_bytes(), name) for name in names])


def _view(adapter: Adapter, arm: Arm) -> Callable[[bytes | None, str], Images] | None:
    """How a picture becomes the model's input; None for the whole picture."""
    if arm == "model":
        return None
    transform = Transform(
        size_hw=adapter.input_size_hw,
        crop_pct=adapter_option(adapter, "crop_pct"),
        crop_mode=adapter_option(adapter, "crop_mode"),
        interpolation=adapter_option(adapter, "interpolation"),
    )
    return transform.crops


def answer_kit(
    kit: HumanKit,
    adapter: Adapter,
    *,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[HumanAnswer]:
    """A model's answers to every question of a kit that is no repeat.

    ``verification``: to "is it X?" the model says yes if it gives X more than the class that X is paired with on that
    picture (the foil of the true class, the true class of the foil), else no; a tie is a no to both. So it is right on
    both questions of a picture where p(true) > p(foil), and on neither where p(true) < p(foil).
    Choosing between two at once is easier than two yes/no questions apart: at equal sensitivity d' it is right
    Φ(d'/√2) of the time against Φ(d'/2) (Green and Swets, Signal Detection Theory, 1966).
    ``choice``: the class on offer that it gives most; of equal ones the first in the order shown.
    A model never says ``absent``.

    Raises:
        EvaluationError: as ``picture_shares``.
    """
    asked = [task for task in kit.tasks if task.repeats is None]
    pictures = {task.picture: kit.picture_path(task.picture) for task in asked}
    feeder = Feeder(adapter=adapter, batch_size=batch_size, workers=workers, progress=progress)
    shares = picture_shares(feeder, kit_classes(kit), pictures, kit.facts.arm, stage=adapter.name)
    return [answer_task(task, shares[task.picture]) for task in asked]


def answer_task(task: HumanTask, shares: Floats) -> HumanAnswer:
    """A model's answer to one question by the rules of ``answer_kit``, from ``(C,)`` shares."""
    if task.asked is None:
        chosen = task.offered[int(np.argmax(shares[list(task.offered)]))]
        return HumanAnswer(task_id=task.task_id, rater=MODEL_RATER, said="chosen", chosen=chosen)
    (partner,) = (index for index in task.offered if index != task.asked)
    return HumanAnswer(
        task_id=task.task_id, rater=MODEL_RATER, said="yes" if shares[task.asked] > shares[partner] else "no"
    )


def top_wrong_classes(
    adapter: Adapter,
    classes: ClassMap,
    pictures: Mapping[str, Path],
    labels: Mapping[str, int],
    arm: Arm,
    *,
    progress: Progress | None = None,
) -> dict[str, int]:
    """The wrong class to which a model gives the most, by image; of equal ones the first.

    Args:
        adapter: The model.
        classes: Of the dataset.
        pictures: Picture file of every image.
        labels: Class index of every image.
        arm: How the pictures were made.
        progress: Called with (stage, done, total).
    """
    feeder = Feeder(adapter=adapter, progress=progress)
    shares = picture_shares(feeder, classes, pictures, arm, stage="foils")
    wrong = {image_id: np.where(np.arange(len(row)) == labels[image_id], -1.0, row) for image_id, row in shares.items()}
    return {image_id: int(row.argmax()) for image_id, row in wrong.items()}


def kit_classes(kit: HumanKit) -> ClassMap:
    """The kit's class map as ``evaluate`` reads it."""
    return parse_class_map((kit.folder / CLASS_MAP_FILE).read_text(encoding="utf-8"))


def feeding(adapter: Adapter, arm: Arm) -> dict[str, Any]:
    """How pictures reach a model, JSON-ready."""
    names = ("interpolation", "mean", "std", "outputs", *(("crop_pct", "crop_mode") if arm == "full" else ()))
    fit = "the picture is resized whole" if arm == "model" else "the model's own resize and centre crop"
    return {
        "input_size_hw": list(adapter.input_size_hw),
        "fit": fit,
        **{name: adapter_option(adapter, name) for name in names},
    }
