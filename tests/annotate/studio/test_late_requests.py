"""What a killed command had asked for, and the server did when the next command had asked again: mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from human_kits import draw_dataset, make
from shared_cases import run_here
from studio_lead import answer, begin, drawn_store, send, strangers_client, tasks_of
from studio_server import shared_server

from figureground.annotate.human.push import push_kit
from figureground.annotate.studio.accounts import ensure_account
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome, sending
from figureground.annotate.studio.projects import delete_doubled_tasks
from figureground.annotate.studio.queues.order import read_queues
from figureground.annotate.studio.tasks import mask_region
from figureground.errors import ServiceError
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with drawn_store(tmp_path) as workspace:
        yield workspace


@pytest.fixture
def client(store: Workspace) -> StudioClient:
    return strangers_client(store)


def take_in_again(client: StudioClient, project: int) -> None:
    """Let the server take in once more what it holds, as if the command that had sent it had been killed."""
    client.import_tasks(project, [{"data": task["data"]} for task in tasks_of(client, project)])


def shown(client: StudioClient, project: int) -> Counter[str]:
    return Counter(image_id for image_id, _ in client.task_images(project))


def test_photos_that_came_in_twice_are_asked_once(store: Workspace, client: StudioClient) -> None:
    (project,) = send(store, client).projects.values()
    noted = store.studio_tasks(client.connection.server, project)
    queues = StudioHome.of(store.root).queues
    (queues / f"{project}.json").unlink()  # the command that sent them was killed before it had noted their order
    take_in_again(client, project)
    assert set(shown(client, project).values()) == {2}
    send(store, client)
    assert set(shown(client, project).values()) == {1}
    assert dict(client.task_images(project)) == store.studio_tasks(client.connection.server, project) == noted
    assert sorted(read_queues(queues)[project].image_ids) == sorted(noted)


def test_what_somebody_has_begun_or_answered_stays(store: Workspace, client: StudioClient) -> None:
    (project,) = send(store, client).projects.values()
    first = sorted(tasks_of(client, project), key=lambda task: int(task["id"]))
    take_in_again(client, project)
    later = [task for task in tasks_of(client, project) if task["id"] > first[-1]["id"]]
    again = {task["data"]["image_id"]: task for task in later}
    begin(client, project, again[first[0]["data"]["image_id"]])
    painted = [mask_region(np.eye(48, 64, dtype=np.bool_), region_id="painted", label="object")]
    answer(client, first[1], painted)
    answer(client, again[first[1]["data"]["image_id"]], painted)
    send(store, client)
    left = {task for _, task in client.task_images(project)}
    assert {task["id"] for task in first} - left == {first[0]["id"]}
    assert left & {task["id"] for task in later} == {again[first[n]["data"]["image_id"]]["id"] for n in (0, 1)}


def test_a_photo_that_is_asked_anew_stays_beside_its_answer(store: Workspace, client: StudioClient) -> None:
    (project,) = send(store, client, limit=1).projects.values()
    answer(client, tasks_of(client, project)[0])
    take_in_again(client, project)
    tasks = client.task_images(project)
    assert delete_doubled_tasks(client, project, tasks, anew=True) == tasks
    assert len(delete_doubled_tasks(client, project, tasks)) == 1


def test_a_project_that_was_made_twice_is_there_once(store: Workspace, client: StudioClient) -> None:
    (project,) = send(store, client).projects.values()
    state = client.project(project)
    assert state is not None
    mark = str(state["description"])
    for number in store.studio_projects(client.connection.server):
        client.delete_project(number)
    late = [client.create_project("late", str(state["label_config"]), mark) for _ in range(2)]
    (anew,) = send(store, client).projects.values()
    assert anew in late  # what the killed command had made is taken up
    assert client.projects_described(mark) == [anew]


def test_a_first_push_that_ends_between_two_people_is_to_both(
    store: Workspace, client: StudioClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project, made = client.create_project, list[int]()

    def fail_the_second(*values: Any, **fields: Any) -> int:
        if made:
            raise ServiceError("it went away")
        made.append(make_project(*values, **fields))
        return made[0]

    monkeypatch.setattr(client, "create_project", fail_the_second)
    with pytest.raises(ServiceError):
        send(store, client, annotators=("ada", "ben"))
    monkeypatch.undo()
    report = send(store, client, annotators=("ada", "ben"))
    assert list(report.projects) == ["ada", "ben"]
    assert report.projects["ada"] == made[0]


def test_raters_are_asked_once(store: Workspace, client: StudioClient, tmp_path: Path) -> None:
    kit = make(tmp_path / "kit", draw_dataset(tmp_path / "drawn", per_class=1))
    home = StudioHome.of(store.root)
    first = push_kit(kit, client, home, ["ada"])
    for project in first.projects["ada"]:
        take_in_again(client, project)
    assert push_kit(kit, client, home, ["ada"]).sent == 0
    for project in first.projects["ada"]:
        assert set(shown(client, project).values()) == {1}


def test_an_account_that_the_server_made_meanwhile_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, connection = shared_server()
    client, home = StudioClient(connection), StudioHome.of(tmp_path / "work")
    address = ensure_account(client, home, "late")
    # The list was read before the server had made the account that the killed command had asked for.
    listed = [[user for user in client.users() if user.email != address]]
    monkeypatch.setattr(client, "users", lambda: listed.pop() if listed else StudioClient(connection).users())
    assert ensure_account(client, home, "late") == address
    assert listed == []


def test_one_command_sends_at_a_time(
    store: Workspace, client: StudioClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit = make(tmp_path / "kit", draw_dataset(tmp_path / "drawn", per_class=1)).folder
    with sending(StudioHome.of(store.root)):
        for words in (["studio", "push"], ["human", "push", str(kit), "--rater", "ada"]):
            code, _, err = run_here(capsys, *words, "-w", store.root)
            assert (code, len(err.splitlines())) == (2, 1), err
            assert "run again when it is done" in err
    assert run_here(capsys, "studio", "push", "-w", store.root)[0] == 0
