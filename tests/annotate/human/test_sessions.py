"""Sessions: every rater an order of their own, one picture's questions far apart, configs in other rounds."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from human_kits import CONFIGS, draw_dataset, make

from figureground.annotate.human.sessions import config_of_round, session
from figureground.schemas.pages.human_tasks import HumanKit


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> HumanKit:
    folder = tmp_path_factory.mktemp("sessions")
    return make(folder / "kit", draw_dataset(folder / "drawn", per_class=20), repeat_share=0.1)


def test_a_rater_sees_every_question_once_one_config_a_round(kit: HumanKit) -> None:
    for rater in (1, 2, 3):
        sessions = [session(kit, rater, turn) for turn in (1, 2)]
        assert [{task.config for task in tasks} for tasks in sessions] == [
            {config_of_round(kit, rater, 1)},
            {config_of_round(kit, rater, 2)},
        ]
        assert sorted(task.task_id for tasks in sessions for task in tasks) == [task.task_id for task in kit.tasks]


def test_which_config_comes_first_alternates_over_raters(kit: HumanKit) -> None:
    assert Counter(config_of_round(kit, rater, 1) for rater in range(1, 5)) == dict.fromkeys(CONFIGS, 2)


def test_orders_differ_between_raters_and_never_change(kit: HumanKit) -> None:
    orders = {rater: [task.task_id for task in session(kit, rater, 1)] for rater in (1, 3, 5)}
    assert all(sorted(order) == sorted(orders[1]) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 3
    assert orders[1] == [task.task_id for task in session(kit, 1, 1)]
    ranks = [[order.index(task_id) for task_id in orders[1]] for order in (orders[3], orders[5])]
    agreement = sum(a < b for rank in ranks for a, b in pairwise(rank)) / (2 * len(orders[1]) - 2)
    assert 0.35 < agreement < 0.65, "neighbours are in either order as often"


def test_questions_about_one_picture_lie_far_apart_and_repeats_come_last(kit: HumanKit) -> None:
    for rater in range(1, 7):
        order = session(kit, rater, 1)
        places: dict[str, list[int]] = {}
        for position, task in enumerate(order):
            places.setdefault(task.picture, []).append(position)
        gaps = [b - a for positions in places.values() for a, b in pairwise(positions)]
        assert min(gaps) > len(order) / 5
        at = {task.task_id: position for position, task in enumerate(order)}
        assert all(at[task.task_id] > at[task.repeats] for task in order if task.repeats is not None)


def test_true_classes_and_foils_are_mixed_in_both_halves(kit: HumanKit) -> None:
    order = [task for task in session(kit, 1, 1) if task.repeats is None]
    half = len(order) // 2
    for part in (order[:half], order[half:]):
        assert 0.3 < sum(task.asked == task.label for task in part) / len(part) < 0.7
