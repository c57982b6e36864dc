"""The page on a team, typed to the letter on the run's Label Studio as a server of somebody else's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from studio_lead import answer, second_user, tasks_of
from studio_server import shared_server
from typist import Typist

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome

pytestmark = [pytest.mark.whole_path, pytest.mark.timeout(900)]


def test_a_team_answers_on_a_server_of_others(first_dataset: Path) -> None:
    _, connection = shared_server()
    environment = {"LABEL_STUDIO_URL": connection.url, "LABEL_STUDIO_API_KEY": connection.token}
    typed: dict[str, str] = {}
    for block, printed in Typist(first_dataset, "howto_team", environment).page("docs/howto/team.md"):
        typed[block.splitlines()[0]] = printed
        if "--overlap" in block:
            answer_all(StudioHome.of(first_dataset / "work"), printed)
    assert (
        "with two annotators: 4"
        in typed["figureground studio push -w work --attributes none --annotator ada --annotator ben --overlap 4"]
    )
    assert "submitted 14" in typed["figureground studio pull -w work"]
    assert "disconnected" in typed["figureground studio push -w work --add cleo"]


def answer_all(home: StudioHome, pushed: str) -> None:
    """Each of the two submits the masks of all their photos as they came."""
    client = StudioClient(home.require_connection())
    other = second_user(client)
    projects = re.findall(r"^  (ada|ben): \S+/projects/(\d+)", pushed, re.MULTILINE)
    assert [name for name, _ in projects] == ["ada", "ben"]
    for name, project in projects:
        for task in tasks_of(client, int(project)):
            (mask,) = client._get("/api/predictions/", {"task": task["id"]})
            answer(client, task, mask["result"], **({"completed_by": other} if name == "ben" else {}))
