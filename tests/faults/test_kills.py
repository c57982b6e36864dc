"""Verbs that are killed at random moments, starved of disk and handles, or run twice at once: the end is as ever.

``make faults`` does the same for longer, over all verbs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from fault_hub import HUB_VERBS
from fault_inputs import Inputs
from fault_runner import Zygotes
from fault_studio import STUDIO_VERBS
from fault_trials import Trials
from fault_verbs import LEFT_OUT, VERBS

from figureground.cli.app import app

pytest.importorskip("psutil")
pytestmark = pytest.mark.slow

QUICK = [name for name, verb in VERBS.items() if verb.quick]
KILLS = 3
SEED = "quick"


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    root = tmp_path_factory.mktemp("faults")
    with Zygotes() as zygotes:
        yield Trials(VERBS, Inputs(root / "inputs"), zygotes, root / "trials")


def commands(group: Any, *names: str) -> Iterator[str]:
    """Names of all commands of a command line."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield " ".join([*names, name])


def test_every_verb_is_tried_or_left_out_for_a_reason() -> None:
    tried = {name.partition(",")[0] for name in (*VERBS, *STUDIO_VERBS, *HUB_VERBS)}
    assert tried.isdisjoint(LEFT_OUT)
    assert tried | LEFT_OUT.keys() == set(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", QUICK)
def test_a_killed_verb_goes_on_to_the_same_end(name: str, trials: Trials) -> None:
    assert [line for number in range(KILLS) for line in trials.kill(name, f"{SEED} {name} {number}")[1]] == []


@pytest.mark.parametrize("name", ["import masks", "freeze", "export, coco", "evaluate"])
def test_a_full_disk_is_told_and_the_verb_goes_on_later(name: str, trials: Trials) -> None:
    assert trials.starve(name, f"{SEED} {name}") == []


@pytest.mark.parametrize("name", ["index", "import masks", "sheet read", "freeze", "export, coco"])
def test_two_at_once_end_as_one(name: str, trials: Trials) -> None:
    assert trials.twice(name, f"{SEED} {name}") == []


@pytest.mark.parametrize(("name", "condition"), [("build", "few files"), ("index", "no HOME"), ("freeze", "no HOME")])
def test_little_is_enough(name: str, condition: str, trials: Trials) -> None:
    assert trials.confine(name, condition) == []
