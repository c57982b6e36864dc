"""How many actors the nodes of a cluster have room for; one that has none would wait without end."""

from __future__ import annotations

import pytest

from figureground.annotate.proposals.on_ray import lay_out_actors
from figureground.errors import UsageError


@pytest.mark.parametrize(
    ("nodes", "gpus", "threads", "workers", "expected"),
    [
        ([(16, 0)], 0, None, None, (1, 16)),
        ([(16, 0), (4, 0)], 0, None, None, (2, 4)),
        ([(16, 2)], 1, None, None, (2, 8)),
        ([(16, 2)], 1, 16, None, (1, 16)),
        ([(16, 2)], 0.5, None, None, (4, 4)),
        ([(16, 1), (16, 3)], 2, None, None, (1, 16)),
        ([(16, 1), (16, 3)], 1, None, None, (4, 5)),
        ([(2, 8)], 1, None, None, (2, 1)),
        ([(16, 0), (8, 1)], 1, None, None, (1, 8)),
        ([(16, 0), (0, 4)], 0, None, None, (1, 16)),
        ([(16, 3)], 0.1, None, None, (16, 1)),
        ([(16, 0)], 0, None, 4, (4, 4)),
        ([(16, 0)], 0, 8, 4, (2, 8)),
        ([(16, 0), (4, 0)], 0, 8, None, (1, 8)),
    ],
)
def test_actors_have_room_all_at_once(
    nodes: list[tuple[int, int]], gpus: float, threads: int | None, workers: int | None, expected: tuple[int, int]
) -> None:
    resources: list[dict[str, float]] = [{"CPU": cpus, "GPU": count} for cpus, count in nodes]
    assert lay_out_actors(resources, gpus=gpus, threads=threads, workers=workers) == expected


@pytest.mark.parametrize(
    ("nodes", "gpus", "threads", "message"),
    [
        ([], 0, None, "no machine of the Ray has 1 processor for a model"),
        ([(16, 1), (0, 2)], 2, None, "has 1 processor and 2 GPU for a model"),
        ([(4, 0)], 0, 8, "has 8 processors for a model; ask for less"),
    ],
)
def test_an_actor_that_no_node_has_room_for_is_refused(
    nodes: list[tuple[int, int]], gpus: float, threads: int | None, message: str
) -> None:
    resources: list[dict[str, float]] = [{"CPU": cpus, "GPU": count} for cpus, count in nodes]
    with pytest.raises(UsageError, match=message):
        lay_out_actors(resources, gpus=gpus, threads=threads, workers=None)
