"""Verbs that are killed while they talk to Label Studio or to the Hub: the server's end is as ever, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_hub import HUB_VERBS, hub_environment
from fault_inputs import Inputs
from fault_runner import Zygotes
from fault_studio import STUDIO_VERBS, Studio
from fault_trials import Trials
from hub_double import HubDouble
from studio_server import need_server

pytest.importorskip("psutil")
pytestmark = pytest.mark.slow

KILLS = 2
SEED = "quick"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("served") / "inputs")


@pytest.fixture(scope="module")
def published(inputs: Inputs) -> Iterator[Trials]:
    with HubDouble() as inputs.hub, Zygotes({"hub": hub_environment(inputs, inputs.root / "hub home")}) as zygotes:
        yield Trials(HUB_VERBS, inputs, zygotes, inputs.root / "trials")


@pytest.fixture(scope="module")
def annotated(inputs: Inputs) -> Iterator[Trials]:
    need_server()
    inputs.studio = Studio.shared()
    with Zygotes() as zygotes:
        yield Trials(STUDIO_VERBS, inputs, zygotes, inputs.studio.trials)


def test_a_killed_publication_goes_on(published: Trials) -> None:
    assert [line for number in range(KILLS) for line in published.kill("publish", f"{SEED} {number}")[1]] == []


@pytest.mark.parametrize("name", [name for name, verb in STUDIO_VERBS.items() if verb.quick])
def test_a_killed_verb_sends_and_fetches_everything_once(name: str, annotated: Trials) -> None:
    assert [line for number in range(KILLS) for line in annotated.kill(name, f"{SEED} {name} {number}")[1]] == []
