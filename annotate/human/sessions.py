"""Who sees what when: a session for each rater and round, in an order of its own."""

from __future__ import annotations

from typing import Final

from figureground.annotate.human.sample import hash_fraction
from figureground.schemas.pages.human_tasks import HumanKit, HumanTask

_JITTER: Final = 0.25
"""Weight of the shift; the position that a picture has in every part of the session weighs 1."""


def config_of_round(kit: HumanKit, rater: int, turn: int) -> str:
    """The config that a rater sees in a round: the next rater begins with the next one, so that orders balance.

    Args:
        kit: What is asked.
        rater: From 1.
        turn: The round, from 1 to the number of configs.
    """
    configs = kit.facts.configs
    return configs[(rater + turn - 2) % len(configs)]


def session(kit: HumanKit, rater: int, turn: int) -> tuple[HumanTask, ...]:
    """A rater's questions of one round in the order in which they are asked.

    A picture with n questions comes once in every nth part of the session, placed there by a hash of rater and picture
    and shifted a little by one of rater and question: so its questions lie about 1/n of the session apart, four fifths
    of that at least, and the order of one part does not give away the next. A repeat comes after what it repeats.
    """
    config = config_of_round(kit, rater, turn)
    asked: dict[str, list[HumanTask]] = {}
    for task in kit.tasks:
        if task.config == config:
            asked.setdefault(task.picture, []).append(task)

    def fraction(*parts: str) -> float:
        return hash_fraction(kit.facts.seed, "order", f"r{rater}", *parts)

    times: dict[str, float] = {}
    for picture, tasks in asked.items():
        tasks.sort(key=lambda task: (task.repeats is not None, fraction("pass", task.task_id)))
        for number, task in enumerate(tasks):
            within = (fraction("picture", picture) + _JITTER * fraction("task", task.task_id)) / (1 + _JITTER)
            times[task.task_id] = (number + within) / len(tasks)
    chosen = (task for tasks in asked.values() for task in tasks)
    return tuple(sorted(chosen, key=lambda task: (times[task.task_id], task.task_id)))
