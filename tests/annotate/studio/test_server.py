"""A real Label Studio: started safely, filled once, read completely, and other people's servers too."""

from __future__ import annotations

import json
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_lead import answer, drawn_store, second_user, send, strangers_client, tasks_of
from studio_page import studio_page
from studio_server import shared_server

from figureground.annotate.studio.accounts import accounts, ensure_account
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.annotate.studio.pull import pull, pull_export
from figureground.annotate.studio.server import connect_server, server_status, start_server, stop_server
from figureground.annotate.studio.tasks import mask_region
from figureground.errors import DataError, ServiceError, UsageError
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.pages.page_style import PART_COLOURS
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """A workspace of six drawn photos with a machine mask each."""
    with drawn_store(tmp_path) as workspace:
        yield workspace


@pytest.fixture
def client(store: Workspace) -> StudioClient:
    """The run's server, as one that somebody else runs: by address and token."""
    return strangers_client(store)


def test_our_server_listens_on_loopback_alone_and_keeps_its_secrets() -> None:
    root, connection = shared_server()
    home = StudioHome.of(root)
    process = server_status(home)
    assert process.state == "running"
    assert process.version == "1.23.2"
    secret_file = home.root / "connection.json"
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (home.root, home.data)] == [0o700, 0o700]
    databases = list(home.data.glob("*.sqlite3*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in databases} == {0o600}
    log = (home.root / "server.log").read_text(errors="replace")
    assert connection.token not in log
    assert connection.password not in log
    assert connection.token not in repr(connection)
    import psutil

    port = int(connection.url.rsplit(":", 1)[1])
    addresses = [socket.laddr for socket in psutil.net_connections("tcp") if socket.status == psutil.CONN_LISTEN]
    assert {address.ip for address in addresses if address and address.port == port} == {"127.0.0.1"}


def test_up_twice_is_one_server() -> None:
    root, connection = shared_server()
    pid = server_status(StudioHome.of(root)).pid
    assert start_server(StudioHome.of(root)) == connection
    assert server_status(StudioHome.of(root)).pid == pid


def test_a_taken_port_is_an_error_and_no_other_port(tmp_path: Path) -> None:
    shared_server()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match=r"port \d+ is taken"):
            start_server(StudioHome.of(tmp_path), port=taken.getsockname()[1])
    assert StudioHome.of(tmp_path).connection() is None


def test_a_server_of_somebody_else_needs_the_right_token(tmp_path: Path) -> None:
    _, connection = shared_server()
    with pytest.raises(UsageError, match="refused the token"):
        connect_server(StudioHome.of(tmp_path), connection.url, "0" * 40)
    with pytest.raises(ServiceError, match="does not answer"):
        connect_server(StudioHome.of(tmp_path), "http://127.0.0.1:9", "0" * 40)
    home = StudioHome.of(tmp_path)
    assert home.connection() is None
    connect_server(home, connection.url + "/", connection.token)
    assert not home.require_connection().ours
    assert "not ours to stop" in stop_server(home)
    assert server_status(StudioHome.of(shared_server()[0])).state == "running"


def test_a_personal_access_token_works_and_outlives_its_access_tokens(tmp_path: Path) -> None:
    import httpx

    _, connection = shared_server()
    with httpx.Client(base_url=connection.url, follow_redirects=True) as browser:
        page = browser.get("/user/login/").text
        form = {"email": connection.username, "password": connection.password}
        form["csrfmiddlewaretoken"] = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        browser.post("/user/login/", data=form, headers={"Referer": connection.url})
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": connection.url}
        token = browser.post("/api/token/", headers=headers).json()["token"]
    client = StudioClient(connect_server(StudioHome.of(tmp_path), connection.url, token))
    assert client.whoami().email == connection.username
    client._http.auth.access = "worn.out.token"  # type: ignore[union-attr]
    assert client.whoami().email == connection.username


def test_push_is_idempotent_and_shows_the_uncertain_first(store: Workspace, client: StudioClient) -> None:
    first = send(store, client, limit=4)
    assert sum(first.sent.values()) == 4
    again = send(store, client)
    assert (sum(again.sent.values()), again.already_there) == (2, 4)
    assert sum(send(store, client).sent.values()) == 0
    (project,) = again.projects.values()
    tasks = tasks_of(client, project)
    assert len({task["data"]["image_id"] for task in tasks}) == len(tasks) == 6
    shown = client._http.get(tasks[0]["data"]["image"])
    assert (shown.headers["content-type"], shown.content[:4]) == ("image/png", b"\x89PNG")
    uncertain = [task["data"]["uncertainty"] for task in sorted(tasks, key=lambda task: task["id"])]
    assert uncertain == sorted(uncertain, reverse=True)
    assert len(set(uncertain)) > 1


def test_a_push_whose_notes_were_lost_doubles_nothing(store: Workspace, client: StudioClient) -> None:
    (project,) = send(store, client, limit=3).projects.values()
    store._db.execute("DELETE FROM studio_tasks")
    store._db.commit()
    assert sum(send(store, client).sent.values()) == 3
    assert len(client.task_images(project)) == 6


def test_a_project_that_was_made_but_not_noted_is_taken_up(store: Workspace, client: StudioClient) -> None:
    (project,) = send(store, client, limit=1).projects.values()
    store._db.execute("DELETE FROM studio_projects")
    store._db.commit()
    assert list(send(store, client).projects.values()) == [project]


def test_overlapping_photos_come_back_with_both_votes(store: Workspace, client: StudioClient) -> None:
    report = send(store, client, annotators=("ada", "ben"), overlap="6")
    assert report.overlapping == 6
    ada, ben = (tasks_of(client, report.projects[name]) for name in ("ada", "ben"))
    second = second_user(client)
    answer(client, ada[0])
    first = pull(store, client)
    assert (first.answers, first.decisions, first.waiting) == ({"submitted": 1}, {}, 1)
    twin = next(task for task in ben if task["data"]["image_id"] == ada[0]["data"]["image_id"])
    answer(client, twin, completed_by=second)
    pulled = pull(store, client)
    assert (pulled.answers, pulled.decisions, pulled.waiting) == ({"submitted": 1}, {"accepted": 1}, 0)
    votes = list(store.annotations(ada[0]["data"]["image_id"]))
    assert len({vote.annotator for vote in votes}) == 2
    assert all(vote.seconds == 4.5 and vote.updated_at for vote in votes)
    assert not any("@" in vote.annotator for vote in votes)
    decision = store.decision(ada[0]["data"]["image_id"])
    assert decision is not None
    assert (decision.state, decision.reason) == ("accepted", "2 answers agree")


def test_an_annotators_account_lets_them_in(tmp_path: Path) -> None:
    import httpx

    root, connection = shared_server()
    home, client = StudioHome.of(root), StudioClient(connection)
    address = ensure_account(client, home, "Carol")
    assert ensure_account(client, home, "Carol") == address
    assert stat.S_IMODE((home.root / "accounts.json").stat().st_mode) == 0o600
    with httpx.Client(base_url=connection.url, follow_redirects=True) as browser:
        page = browser.get("/user/login/").text
        form = {"email": address, "password": accounts(home)[address]}
        form["csrfmiddlewaretoken"] = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        browser.post("/user/login/", data=form, headers={"Referer": connection.url})
        assert browser.get("/api/current-user/whoami").json()["email"] == address


def test_answers_skips_edits_and_the_second_pull(store: Workspace, client: StudioClient) -> None:
    (project,) = send(store, client).projects.values()
    tasks = tasks_of(client, project)
    unchanged = answer(client, tasks[0])
    answer(client, tasks[1], [], was_cancelled=True)
    client._request(
        "POST", f"/api/tasks/{tasks[2]['id']}/drafts", params={"project": project}, json={"result": [], "lead_time": 1}
    )
    report = pull(store, client)
    assert report.answers == {"submitted": 1, "skipped": 1, "draft": 1}
    assert report.begun == 1
    assert report.decisions == {"accepted": 1}
    stored = list(store.annotations())
    assert pull(store, client).answers == {}
    assert list(store.annotations()) == stored
    (submitted,) = store.annotations(tasks[0]["data"]["image_id"])
    assert (submitted.edit_iou, submitted.changed_px) == (1.0, 0)
    proposal = next(iter(store.proposals(submitted.image_id)))
    assert submitted.masks["object"] == proposal.rle
    mask = decode_coco_rle(proposal.rle)
    mask[0, 0] = True
    painted = {**mask_region(mask, region_id=submitted.proposal_id, label="object"), "origin": "prediction-changed"}
    client._request("PATCH", f"/api/annotations/{unchanged}/", json={"result": [painted]})
    assert pull(store, client).answers == {"submitted": 1}
    newest = list(store.annotations(submitted.image_id))[-1]
    assert (newest.changed_px, newest.tool) == (1, "prediction-changed")


def test_an_answer_that_is_given_during_a_pull_is_not_lost(
    store: Workspace, client: StudioClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("figureground.annotate.studio.client.PAGE", 1)
    (project,) = send(store, client).projects.values()
    tasks = sorted(tasks_of(client, project), key=lambda task: int(task["id"]))
    given: list[int] = []

    def answer_first_and_last(*_: Any) -> None:
        if not given:
            given.extend(answer(client, tasks[index]) for index in (0, -1))

    pull(store, client, progress=answer_first_and_last)
    pull(store, client)
    assert len(list(store.annotations())) == 2


def test_a_corrupt_answer_is_named_every_time_and_the_others_are_kept(store: Workspace, client: StudioClient) -> None:
    (project,) = send(store, client).projects.values()
    tasks = tasks_of(client, project)
    wrong = mask_region(np.ones((40, 64), dtype=np.bool_), region_id="r", label="object")
    answer(client, tasks[0], [{**wrong, "original_height": 48}])
    answer(client, tasks[1])
    for _ in range(2):
        with pytest.raises(DataError, match=r"answer \d+ region r.*another size") as caught:
            pull(store, client)
        (fault,) = caught.value.faults
        image = store.image(tasks[0]["data"]["image_id"])
        assert image is not None
        assert f"{image.source}: {image.uri}" in fault.record
        assert client.task_address(project, tasks[0]["id"]) in fault.record
        assert image.image_id not in str(fault)
    assert store.decision(tasks[1]["data"]["image_id"]) is not None
    assert store.decision(tasks[0]["data"]["image_id"]) is None


def test_a_json_export_says_the_same_as_the_server(store: Workspace, client: StudioClient, tmp_path: Path) -> None:
    (project,) = send(store, client).projects.values()
    for task in tasks_of(client, project)[:3]:
        answer(client, task)
    exported = client._request("GET", f"/api/projects/{project}/export", params={"exportType": "JSON"})
    path = tmp_path / "export.json"
    path.write_text(json.dumps(exported))
    assert pull_export(store, path, server=client.connection.server).answers == {"submitted": 3}
    assert pull(store, client).answers == {}


def test_attributes_may_grow_in_place_and_shrink_only_on_an_explicit_word(
    store: Workspace, client: StudioClient
) -> None:
    def schema(version: str, *names: str, **extra: Any) -> AttributeSchema:
        attributes = [{"name": name, "scope": "local", **extra} for name in names]
        return AttributeSchema.model_validate({"name": "grow", "version": version, "attributes": attributes})

    (project,) = send(store, client, schema("1", "wing"), limit=2).projects.values()
    task = tasks_of(client, project)[0]
    answer(client, task)
    assert list(send(store, client, schema("2", "wing", "tail")).projects.values()) == [project]
    assert "tail" in str((client.project(project) or {})["label_config"])
    pull(store, client)
    (before,) = store.annotations(task["data"]["image_id"])
    assert (before.attribute_schema, dict(before.attributes)) == ("grow@1", {"wing": None})
    with pytest.raises(UsageError, match="new version"):
        send(store, client, schema("2", "wing"))
    with pytest.raises(UsageError, match=r"destructive: removes tail.*--allow-destructive"):
        send(store, client, schema("3", "wing"))
    (fresh,) = send(store, client, schema("3", "wing"), destructive=True).projects.values()
    assert fresh != project
    assert client.project(project) is not None


def test_a_renamed_attribute_keeps_what_was_painted(store: Workspace, client: StudioClient) -> None:
    def schema(version: str, **attribute: str) -> AttributeSchema:
        return AttributeSchema.model_validate(
            {"name": "rename", "version": version, "attributes": [{"scope": "local", **attribute}]}
        )

    (project,) = send(store, client, schema("1", name="wing")).projects.values()
    tasks = tasks_of(client, project)
    part = mask_region(np.eye(48, 64, dtype=np.bool_), region_id="part", label="wing")
    answer(client, tasks[0], [part])
    assert list(send(store, client, schema("2", name="wings", was="wing")).projects.values()) == [project]
    answer(client, tasks[1], [part])
    pull(store, client)
    (old,) = store.annotations(tasks[0]["data"]["image_id"])
    (new,) = store.annotations(tasks[1]["data"]["image_id"])
    assert (set(old.masks), set(new.masks)) == ({"wing"}, {"wings"})
    _, connection = shared_server()
    with studio_page(connection) as page:
        page.open_task(project, tasks[0]["id"])
        assert page.names_and_colours() == [("wing", PART_COLOURS[0])]
        assert page.labels() == ["object", "wings"]


def test_two_commands_that_start_at_once_start_one_server() -> None:
    root, _ = shared_server()
    connections: list[Connection] = []
    threads = [threading.Thread(target=lambda: connections.append(start_server(StudioHome.of(root)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert connections[0] == connections[1]


def test_sign_up_is_closed() -> None:
    import httpx

    _, connection = shared_server()
    with httpx.Client(base_url=connection.url) as browser:
        page = browser.get("/user/signup/").text
        form = {"email": "stranger@example.org", "password": "a-long-password"}
        form["csrfmiddlewaretoken"] = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        assert browser.post("/user/signup/", data=form, headers={"Referer": connection.url}).status_code == 403
