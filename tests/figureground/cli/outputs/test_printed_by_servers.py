"""The same of the verbs that talk to Label Studio and to the Hub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_hub import HUB_VERBS, hub_environment
from fault_inputs import Inputs
from fault_studio import STUDIO_VERBS, Studio
from fault_verbs import begin
from hub_double import HubDouble
from output_schemas import read_printed
from shared_cases import run_here
from studio_server import need_server

pytestmark = pytest.mark.slow

OF_ITS_OWN = {"studio up", "studio down"}
"""Verbs that start or stop a server of the trial's own."""
SHARED = [name for name in STUDIO_VERBS if name not in OF_ITS_OWN]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("printed") / "inputs")


@pytest.fixture(scope="module")
def with_studio(inputs: Inputs) -> Inputs:
    need_server()
    inputs.studio = Studio.shared()
    return inputs


@pytest.fixture
def hub(inputs: Inputs) -> Iterator[HubDouble]:
    with HubDouble() as inputs.hub:
        yield inputs.double


@pytest.mark.parametrize("name", SHARED)
def test_a_verb_of_the_studio_prints_what_its_schema_says(
    name: str, with_studio: Inputs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = STUDIO_VERBS[name]
    folder = begin(verb, with_studio, with_studio.server.trials / name.replace(" ", "-").replace(",", ""))
    monkeypatch.chdir(folder)
    code, stdout, stderr = run_here(capsys, *verb.words(with_studio), "--json")
    assert code == 0, stderr
    assert read_printed(name.partition(",")[0], stdout)


def test_a_server_that_runs_already_is_connected_and_let_go(
    with_studio: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work, connection = tmp_path / "work", with_studio.server.connection
    run_here(capsys, "index", with_studio.plain.drawn.photos, "-w", work)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", connection.token)
    code, stdout, stderr = run_here(capsys, "studio", "up", "-w", work, "--url", connection.url, "--json")
    assert code == 0, stderr
    assert read_printed("studio up", stdout)["url"] == connection.url
    code, stdout, stderr = run_here(capsys, "studio", "down", "-w", work, "--json")
    assert code == 0, stderr
    assert "not ours" in read_printed("studio down", stdout)["server"]


@pytest.mark.parametrize("further", [("--dry-run",), ()])
def test_publishing_prints_what_its_schema_says(
    further: tuple[str, ...], hub: HubDouble, inputs: Inputs, tmp_path: Path
) -> None:
    del hub
    verb = HUB_VERBS["publish"]
    folder = begin(verb, inputs, tmp_path / "folder")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "figureground", *verb.words(inputs), *further, "--json"],
        cwd=folder,
        env={**os.environ, **hub_environment(inputs, tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("report" in read_printed("publish", done.stdout)) == (not further)
