"""What ``studio status`` and ``agree`` say of a real server: counts, who waits for whom, what is next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_server import add_block_proposals, drawn_photos, shared_server
from typer.testing import CliRunner

from figureground.annotate.catalogue import index_source
from figureground.annotate.studio.accounts import ensure_account
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.people.team import TeamChange
from figureground.annotate.studio.progress.overview import Overview, annotator_names, overview
from figureground.annotate.studio.pull import pull
from figureground.annotate.studio.push import PushSettings, push
from figureground.annotate.studio.second_look import push_second_look
from figureground.annotate.studio.server import connect_server, server_status
from figureground.annotate.studio.tasks import mask_region
from figureground.cli.app import app
from figureground.cli.studio import studio
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]
NONE = load_attribute_schema("none")


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """A workspace of four drawn photos with a machine mask each."""
    with Workspace.create(tmp_path / "work") as workspace:
        index_source(workspace, open_source(str(drawn_photos(tmp_path / "photos", 4))), workers=1)
        add_block_proposals(workspace)
        yield workspace


@pytest.fixture
def client(store: Workspace) -> StudioClient:
    """The run's server, as one that somebody else runs: by address and token."""
    _, connection = shared_server()
    return StudioClient(connect_server(StudioHome.of(store.root), connection.url, connection.token))


def block(columns: int) -> Mask:
    mask = np.zeros((48, 64), dtype=np.bool_)
    mask[12:24, 16 : 16 + columns] = True
    return mask


def answer(client: StudioClient, task: Json, who: int, columns: int = 16, **fields: Any) -> None:
    """Submit as one of the server's users would."""
    result = [mask_region(block(columns), region_id=task["data"]["proposal_id"], label="object")]
    body = {"result": result, "lead_time": 4.5, "completed_by": who, **fields}
    client._request("POST", f"/api/tasks/{task['id']}/annotations/", json=body)


def tasks_of(client: StudioClient, project: int) -> dict[str, Json]:
    return {task["data"]["image_id"]: task for page in client.changed_tasks(project, None) for task in page}


def look(store: Workspace) -> Overview:
    home = StudioHome.of(store.root)
    return overview(store, home, server_status(home), backend=None)


def command(store: Workspace, *words: str) -> str:
    result = CliRunner().invoke(studio, [*words, "-w", str(store.root)])
    assert result.exit_code == 0, result.output
    return result.stdout


def agree(store: Workspace, *words: str) -> str:
    result = CliRunner().invoke(app, ["agree", *words, "-w", str(store.root)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_day_of_two_people_as_the_lead_sees_it(store: Workspace, client: StudioClient) -> None:
    owner = shared_server()
    ours = StudioClient(owner[1])
    people = {}
    for name in ("ada", "ben"):
        address = ensure_account(ours, StudioHome.of(owner[0]), name)
        people[name] = next(user.id for user in ours.users() if user.email == address)
    team = TeamChange(annotators=("ada", "ben"))
    assert sum(push(store, client, PushSettings(schema=NONE, people=team, limit=1)).sent.values()) == 1
    assert look(store).waiting.unsent == 3
    assert "push -w" in look(store).next_commands[0]
    report = push(store, client, PushSettings(schema=NONE, people=TeamChange(overlap="1.0")))
    tasks = {name: tasks_of(client, project) for name, project in report.projects.items()}
    first, second, third, fourth = (image.image_id for image in store.images())
    answer(client, tasks["ada"][first], people["ada"])
    answer(client, tasks["ben"][first], people["ben"], columns=8)
    answer(client, tasks["ada"][second], people["ada"])
    answer(client, tasks["ada"][third], people["ada"], was_cancelled=True)
    before = {state.annotator: state for state in look(store).projects}
    ada, ben = before["ada"], before["ben"]
    assert (ada.tasks, ada.answered, ada.skipped, ada.open, ada.unpulled, ada.begun) == (4, 2, 1, 1, 3, 0)
    assert (ben.tasks, ben.answered, ben.skipped, ben.open, ben.unpulled) == (4, 1, 0, 3, 1)
    assert "4 tasks answered or skipped" in look(store).next_commands[0]
    pull(store, client)
    state = look(store)
    assert [own.unpulled for own in state.projects] == [0, 0]
    assert not any("pull" in line for line in state.next_commands)
    assert dict(state.answers) == {"submitted": 3, "skipped": 1}
    assert (state.waiting.one_of_two, dict(state.waiting.expected_of)) == (1, {"ben": 1})
    assert (state.waiting.second_looks_unsent, state.waiting.second_looks_open, state.waiting.unsent) == (1, 0, 0)
    assert any("--second-look  (1 photo in doubt" in line for line in state.next_commands)
    push_second_look(store, client, NONE)
    state = look(store)
    assert (state.waiting.second_looks_unsent, state.waiting.second_looks_open) == (0, 1)
    text = str(state)
    assert "1 photo with one of two answers; the other is expected of ben 1" in text
    assert "1 photo in doubt: 1 on the page of second looks, 0 not sent yet" in text
    assert "people are at work" in state.next_commands[-1]
    assert "ada - none" in text
    assert fourth in tasks["ben"]
    agreement = agree(store)
    assert "1 photo answered by several people, 1 pair of answers" in agreement
    pseudonyms = {name: pseudonym for pseudonym, name in annotator_names(StudioHome.of(store.root)).items()}
    assert f"ada ({pseudonyms['ada']})" in agreement
    stored = json.loads(agree(store, "--json"))
    assert stored["masks"]["object"]["iou"]["value"] == 0.5
    assert [own["answers"] for own in sorted(stored["annotators"], key=lambda own: own["answers"])] == [1, 2]
    assert "ada" not in json.dumps(stored["annotators"])
