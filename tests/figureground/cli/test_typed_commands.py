"""Commands that messages give to type are whole: with the workspace, quoted, and with all that the verb needs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from answered_photos import add_photo
from block_ledger import read_call
from known_commands import commands_in
from shared_cases import run_here

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.annotate.studio.pull import pull
from figureground.annotate.studio.push import photos_to_send
from figureground.annotate.studio.server import require_running
from figureground.errors import UsageError
from figureground.schemas.store.workspace import Workspace


def stopped_server() -> Connection:
    """A server that was started once; nothing listens there now."""
    return Connection(url="http://127.0.0.1:9", token="0" * 40, server="s", key="k", username="u", password="p" * 12)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A workspace of one photo without a mask, in a folder that a shell would take apart."""
    folder = tmp_path / "it's my work"
    with Workspace.create(folder) as store:
        add_photo(store, "a.jpg")
    return folder


def verbs_of(message: str, work: Path) -> list[str]:
    """The verbs of a message's commands, which the program's own command line reads; each names the workspace."""
    calls = [read_call(message, shlex.split(command)[1:]) for command in commands_in(message)]
    assert {str(call.values["workspace"]) for call in calls} == {str(work)}, message
    return [call.verb for call in calls]


MESSAGES: dict[str, tuple[str, list[str]]] = {
    "no machine mask to show": ("sheet make -w WORK -o sheet", ["propose"]),
    "no machine mask to check": ("lint -w WORK --proposals", ["propose"]),
    "no mask to score": ("rims -w WORK", ["propose"]),
    "no accepted mask": ("freeze -w WORK --version v1", ["studio up", "sheet make", "freeze"]),
    "no release": ("build imagenet9 -w WORK -o out", ["freeze"]),
    "no such release": ("build imagenet9 -w WORK -o out --release v2", ["freeze"]),
    "no such file": ("sheet read nowhere.json -w WORK", ["sheet make"]),
    "no such photo": ("forget 00000000000000000000000000000000 -w WORK", ["photos"]),
    "no server": ("studio status -w WORK", ["studio up"]),
    "no answer": ("agree -w WORK", ["studio push", "studio pull"]),
}
"""What is typed, and the verbs of the commands that the message gives."""


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_names_the_workspace(
    name: str, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, verbs = MESSAGES[name]
    monkeypatch.chdir(tmp_path)
    _, out, err = run_here(capsys, *(work if word == "WORK" else word for word in typed.split()))
    assert verbs_of(f"{out}\n{err}", work) == verbs


def test_a_server_that_is_stopped_is_started_by_what_the_message_says(work: Path) -> None:
    home = StudioHome.of(work)
    home.root.mkdir()
    home.save_connection(stopped_server())
    with pytest.raises(UsageError) as caught:
        require_running(home)
    assert verbs_of(str(caught.value), work) == ["studio up"]


def test_an_empty_workspace_and_a_server_without_tasks(tmp_path: Path) -> None:
    empty = tmp_path / "it's empty"
    with Workspace.create(empty) as store:
        with pytest.raises(UsageError) as nothing_to_send:
            photos_to_send(store, {})
        with pytest.raises(UsageError) as nothing_sent:
            pull(store, StudioClient(stopped_server()))
    assert verbs_of(str(nothing_to_send.value), empty) == ["index"]
    assert verbs_of(str(nothing_sent.value), empty) == ["studio push"]
