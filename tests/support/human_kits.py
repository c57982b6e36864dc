"""Kits of the human task from drawn datasets, and people who answer them by a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crop_dataset import CLASS_MAP, Photo, crop_configs, cut, make_row, photos, write_repository

from figureground.annotate.human.kit import KitRequest, make_kit
from figureground.annotate.human.questions import QuestionPlan
from figureground.schemas.pages.human_tasks import HumanAnswer, HumanKit, HumanTask, read_kit, write_answers

SECRET = "whisper"
"""Part of every name that no rater may see."""
CONFIGS = (f"whole_{SECRET}", f"close_{SECRET}")

Answer = Callable[[HumanTask], dict[str, Any]]
"""What somebody says to a question: fields of ``HumanAnswer``."""


def draw_dataset(folder: Path, per_class: int = 4) -> Path:
    """Whole photos and close views of the same, three classes; ids, configs and wnids hold ``SECRET``."""
    drawn = [replace(photo, image_id=f"{SECRET}-{number:03}") for number, photo in enumerate(photos(per_class))]
    configs = crop_configs(drawn)
    renamed = {
        name: [{**row, "source_label": f"n{SECRET}", "variant": name} for row in configs[old]]
        for name, old in zip(CONFIGS, ("original", "plus"), strict=True)
    }
    classes = [{**entry, "wnids": [f"n{SECRET}{entry['index']}"]} for entry in CLASS_MAP["classes"]]
    return write_repository(folder, renamed, class_map={**CLASS_MAP, "classes": classes})


def draw_many_classes(folder: Path, sizes: Mapping[int, int], classes: int = 20, config: str = "original") -> Path:
    """A dataset of many classes, ``sizes`` images of each that is named."""
    rows = [
        make_row(photo, config, cut(replace(photo, label=0).draw(), (0, 0, 20, 20)), params={})
        for label, count in sizes.items()
        for photo in (
            Photo(image_id=f"c{label:02}-{serial:02}", label=label, size_hw=(20, 20), box=(5, 5, 9, 9))
            for serial in range(count)
        )
    ]
    listed = [
        {"index": index, "name": f"thing_{index}", "wnids": [f"n{index}"], "imagenet_indices": [index]}
        for index in range(classes)
    ]
    return write_repository(folder, {config: rows}, class_map={"name": "many", "unmapped_value": -1, "classes": listed})


def make(folder: Path, dataset: Path, **given: Any) -> HumanKit:
    """A kit with small defaults."""
    plan = {"design": "verification", "choices": 16, "repeat_share": 0.1, "seed": 7}
    plan |= {name: given.pop(name) for name in list(given) if name in plan}
    request: dict[str, Any] = {"configs": CONFIGS, "split": "test", **given}
    make_kit(KitRequest(dataset=dataset, plan=QuestionPlan(**plan), **request), folder)  # type: ignore[arg-type]
    return read_kit(folder)


def truth(task: HumanTask) -> dict[str, Any]:
    """The right answer."""
    if task.asked is None:
        return {"said": "chosen", "chosen": task.label}
    return {"said": "yes" if task.asked == task.label else "no"}


def error(task: HumanTask) -> dict[str, Any]:
    """A wrong one."""
    if task.asked is None:
        return {"said": "chosen", "chosen": next(index for index in task.offered if index != task.label)}
    return {"said": "no" if task.asked == task.label else "yes"}


def answers_of(kit: HumanKit, people: Mapping[str, Answer]) -> list[HumanAnswer]:
    """Everybody's answers to everything, two seconds each unless they say otherwise."""
    return [
        HumanAnswer(**{"task_id": task.task_id, "rater": rater, "seconds": 2.0, **say(task)})
        for rater, say in people.items()
        for task in kit.tasks
    ]


def give_answers(kit: HumanKit, people: Mapping[str, Answer]) -> list[HumanAnswer]:
    """The same, in the kit."""
    given = answers_of(kit, people)
    write_answers(kit, given)
    return given
