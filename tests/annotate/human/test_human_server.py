"""The human task on a real Label Studio: sent, answered by raters through their own accounts, fetched, scored."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from human_kits import CONFIGS, SECRET, draw_dataset, error, make, truth
from studio_server import shared_server
from typer.testing import CliRunner

from figureground.annotate.human.page import options, question
from figureground.annotate.human.pull import pull_kit
from figureground.annotate.human.push import push_kit, raters_of
from figureground.annotate.human.served import ServedPictures
from figureground.annotate.human.sessions import session
from figureground.annotate.studio.accounts import accounts
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.server import connect_server
from figureground.cli.human import human
from figureground.errors import DataError, ServiceError, UsageError
from figureground.schemas.pages.human_tasks import HumanKit, HumanTask, read_answers, read_kit

Json = dict[str, Any]


@pytest.fixture
def server() -> tuple[StudioHome, StudioClient]:
    root, connection = shared_server()
    return StudioHome.of(root), StudioClient(connection)


@pytest.fixture
def kit(tmp_path: Path) -> HumanKit:
    """Three images in two configs; another kit for every test, so that projects are not shared."""
    seed = int.from_bytes(str(tmp_path).encode()[-6:], "big")
    return make(tmp_path / "kit", draw_dataset(tmp_path / f"drawn_{SECRET}", per_class=1), seed=seed)


def run(*words: str | Path) -> Json:
    """What a command prints as JSON; its error is raised."""
    done = CliRunner().invoke(human, [*map(str, words), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    document: Json = json.loads(done.stdout)
    return document


@contextmanager
def logged_in(home: StudioHome, client: StudioClient, rater: str) -> Iterator[Any]:
    """A browser's session of a rater."""
    import httpx

    url, address = client.connection.url, f"{rater}@figureground.local"
    with httpx.Client(base_url=url, follow_redirects=True) as browser:
        page = browser.get("/user/login/").text
        form = {"email": address, "password": accounts(home)[address]}
        form["csrfmiddlewaretoken"] = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        browser.post("/user/login/", data=form, headers={"Referer": url})
        assert browser.get("/api/current-user/whoami").json()["email"] == address
        browser.headers.update({"X-CSRFToken": browser.cookies["csrftoken"], "Referer": url})
        yield browser


def choice_text(task: HumanTask, kit: HumanKit, answer: Json) -> str:
    """The text that stands beside an answer."""
    texts = options(task, kit)
    position = {"yes": 0, "no": 1, "absent": -1}.get(answer["said"])
    return texts[task.offered.index(answer["chosen"]) if position is None else position]


def result_of(text: str) -> list[Json]:
    """What the page sends for a chosen text."""
    return [
        {"id": "answer", "type": "choices", "from_name": "answer", "to_name": "image", "value": {"choices": [text]}}
    ]


def tasks_of(client: StudioClient, project: int) -> list[Json]:
    tasks = [task for page in client.changed_tasks(project, None) for task in page]
    return sorted(tasks, key=lambda task: int(task["id"]))


def answer(client: StudioClient, task: Json, result: list[Json], **fields: Any) -> None:
    client._request("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": result, "lead_time": 2, **fields})


def test_from_a_dataset_to_scores(server: tuple[StudioHome, StudioClient], tmp_path: Path) -> None:
    home, client = server
    dataset, folder = draw_dataset(tmp_path / f"drawn_{SECRET}", per_class=1), tmp_path / f"kit_{SECRET}"
    asked = [f"--config={name}" for name in CONFIGS]
    made = run("make", dataset, "-o", folder, *asked, "--repeats=0.1", "--foils-by", "crop_dataset:looks_at_ground")
    assert (made["images"], made["tasks"], made["repeats"], made["rounds"]) == (3, 14, 2, 2)
    kit = read_kit(folder)
    assert kit.facts.foils.startswith("looks-at-ground ")
    names = ["rater-one", "rater-two"]
    pushed = run("push", folder, "-w", home.root.parent, "--rater", names[0], "--rater", names[1])
    assert pushed["sent"] == 28
    again = run("push", folder, "-w", home.root.parent, "--rater", names[0], "--rater", names[1])
    assert (again["sent"], again["already_there"], again["projects"]) == (0, 28, pushed["projects"])
    people = {"rater-one": truth, "rater-two": lambda task: (truth if task.config == CONFIGS[1] else error)(task)}
    for number, (name, say) in enumerate(people.items(), 1):
        with logged_in(home, client, name) as browser:
            for turn, project in enumerate(pushed["projects"][name], 1):
                answer_as_rater(browser, kit, session(kit, number, turn), project, say)
    assert run("pull", folder, "-w", home.root.parent) == {"answers": {"r1": 14, "r2": 14}, "of": 14, "skipped": 0}
    assert {given.seconds for given in read_answers(kit)} == {3.5}
    scored = run(
        "score", folder, "-o", tmp_path / "scores", "--model", "crop_dataset:looks_at_figure", "--bootstrap=200"
    )
    configs = scored["humans"]["configs"]
    assert configs[CONFIGS[0]]["accuracy"]["value"] == 0.5
    assert configs[CONFIGS[1]]["accuracy"]["value"] == 1.0
    assert configs[CONFIGS[1]]["alpha"]["value"] == 1.0
    assert configs[CONFIGS[0]]["median_seconds"] == 3.5
    assert scored["humans"]["differences"][0]["value"] == 0.5
    assert scored["models"][0]["configs"][CONFIGS[1]]["accuracy"]["value"] == 1.0
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == ["human.json", "human.png", "human.txt"]
    assert not any(name in (tmp_path / "scores" / "human.json").read_text() for name in names)


def answer_as_rater(browser: Any, kit: HumanKit, asked: tuple[HumanTask, ...], project: int, say: Any) -> None:
    """Look at all that a rater's account is told, and answer every question in the order shown."""
    shown = browser.get(f"/api/projects/{project}/").text
    listed = browser.get("/api/tasks", params={"project": project, "fields": "all", "page_size": 200})
    assert SECRET not in shown + listed.text
    shown = sorted(listed.json()["tasks"], key=lambda task: int(task["id"]))
    assert [task["data"]["image_id"] for task in shown] == [task.task_id for task in asked]
    for stored, task in zip(shown, asked, strict=True):
        assert stored["data"]["question"] == question(task, kit)
        picture = browser.get(stored["data"]["image"])
        assert picture.content == kit.picture_path(task.picture).read_bytes()
        assert SECRET not in str(picture.headers)
        given = {"result": result_of(choice_text(task, kit, say(task))), "lead_time": 3.5}
        sent = browser.post(f"/api/tasks/{stored['id']}/annotations/", params={"project": project}, json=given)
        assert sent.status_code == 201, sent.text


def test_who_rates_stays_in_the_workspace(server: tuple[StudioHome, StudioClient], kit: HumanKit) -> None:
    home, client = server
    push_kit(kit, client, home, ["ada", "ben"])
    push_kit(kit, client, home, ["cleo", "ada"])
    assert raters_of(home, kit) == ["ada", "ben", "cleo"]
    assert stat.S_IMODE((home.root / "raters.json").stat().st_mode) == 0o600
    written = b"".join(path.read_bytes() for path in kit.folder.rglob("*") if path.is_file() and path.suffix != ".png")
    assert not any(name in written for name in (b"ada", b"ben", b"cleo"))
    with pytest.raises(UsageError, match="name raters with --rater, once each"):
        push_kit(kit, client, home, ["ada", "ada"])
    with pytest.raises(UsageError, match="letters, digits"):
        push_kit(kit, client, home, ["a/b"])


def test_a_push_that_was_killed_goes_on(
    server: tuple[StudioHome, StudioClient], kit: HumanKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, client = server
    monkeypatch.setattr("figureground.annotate.human.push.BATCH", 3)
    whole = StudioClient.import_tasks
    calls: list[int] = []

    def dies(self: StudioClient, project: int, tasks: Any) -> list[int]:
        calls.append(project)
        if len(calls) == 2:
            raise ServiceError("gone")
        return whole(self, project, tasks)

    monkeypatch.setattr(StudioClient, "import_tasks", dies)
    with pytest.raises(ServiceError, match="gone"):
        push_kit(kit, client, home, ["ada"])
    report = push_kit(kit, client, home, ["ada"])
    assert (report.sent, report.already_there) == (len(kit.tasks) - 3, 3)
    shown = [task["data"]["image_id"] for project in report.projects["ada"] for task in tasks_of(client, project)]
    assert shown == [task.task_id for turn in (1, 2) for task in session(kit, 1, turn)]


def test_faults_of_answers_are_all_named_and_nothing_is_written(
    server: tuple[StudioHome, StudioClient], kit: HumanKit
) -> None:
    home, client = server
    with pytest.raises(UsageError, match="was not pushed from this workspace"):
        pull_kit(kit, client, home)
    (first, second) = push_kit(kit, client, home, ["ada"]).projects["ada"]
    tasks = tasks_of(client, first)
    good = [result_of(options(kit.by_id[task["data"]["image_id"]], kit)[0]) for task in tasks]
    answer(client, tasks[0], good[0])
    answer(client, tasks[1], [], was_cancelled=True)
    assert pull_kit(kit, client, home).answers == {"r1": 1}
    before = (kit.folder / "answers.parquet").read_bytes()
    answer(client, tasks[0], good[0])
    answer(client, tasks[2], result_of("perhaps"))
    both = [{**good[3][0], "value": {"choices": ["yes", "no, it shows something else"]}}]
    answer(client, tasks[3], both)
    answer(client, tasks[4], good[4], lead_time=-1.0)
    stranger = client.import_tasks(first, [{"data": {**tasks[5]["data"], "image_id": "f" * 16}}])
    answer(client, {"id": stranger[0]}, good[5])
    client._request("DELETE", f"/api/projects/{second}/")
    with pytest.raises(DataError) as caught:
        pull_kit(kit, client, home)
    ids = [task["data"]["image_id"] for task in tasks]
    assert {(fault.record, fault.expected, fault.got) for fault in caught.value.faults} == {
        (f"task {ids[0]}", "one answer", "two"),
        (
            f"task {ids[2]}",
            "one of yes, no, it shows something else, there is no object, or I cannot tell",
            "'perhaps'",
        ),
        (f"task {ids[3]}", "one choice", "2"),
        (f"r1 {ids[4]}", "seconds, from 0", "-1.0"),
        (f"task {'f' * 16}", "a task of this session", "an unknown one"),
        ("r1, session 2", "a project", "none"),
    }
    assert (kit.folder / "answers.parquet").read_bytes() == before


def test_one_rater_is_one_account(server: tuple[StudioHome, StudioClient], kit: HumanKit) -> None:
    home, client = server
    run("push", kit.folder, "-w", home.root.parent, "--rater", "dora")
    project = push_kit(kit, client, home, ["dora"]).projects["dora"][0]
    tasks = tasks_of(client, project)
    other = next(user.id for user in client.users() if user.email.startswith("dora@"))
    answer(client, tasks[0], result_of("yes"), completed_by=other)
    assert pull_kit(kit, client, home).answers == {"r1": 1}
    answer(client, tasks[1], result_of("yes"))
    with pytest.raises(DataError, match="r1, session 1: expected answers of one account, got 2"):
        pull_kit(kit, client, home)


def test_a_server_of_somebody_else_gets_the_pictures_sent(
    server: tuple[StudioHome, StudioClient], kit: HumanKit, tmp_path: Path
) -> None:
    _, client = server
    home = StudioHome.of(tmp_path / "work")
    theirs = StudioClient(connect_server(home, client.connection.url, client.connection.token))
    report = push_kit(kit, theirs, home, ["ada"])
    for turn, project in enumerate(report.projects["ada"], 1):
        for stored, task in zip(tasks_of(theirs, project), session(kit, 1, turn), strict=True):
            shown = theirs._http.get(stored["data"]["image"])
            assert shown.content == kit.picture_path(task.picture).read_bytes()
            assert stored["data"]["image"].endswith(f"-{task.picture}.png")
    assert not ServedPictures(kit, theirs, home).folder.exists()
    push_kit(kit, theirs, home, ["ben"])
    (uploads,) = {task["data"]["image"].split("/")[3] for task in tasks_of(theirs, report.projects["ada"][0])}
    assert len(theirs.uploaded(int(uploads))) == len({task.picture for task in kit.tasks}), "each picture once"


def test_choices_come_back_as_classes(server: tuple[StudioHome, StudioClient], tmp_path: Path) -> None:
    home, client = server
    dataset = draw_dataset(tmp_path / "drawn", per_class=1)
    kit = make(tmp_path / "kit", dataset, design="choice", configs=CONFIGS[:1], arm="full", repeat_share=0)
    (project,) = push_kit(kit, client, home, ["ada"]).projects["ada"]
    choices: list[Json] = [{"said": "chosen", "chosen": 1}, {"said": "absent"}, {"said": "chosen", "chosen": 2}]
    for stored, choice in zip(tasks_of(client, project), choices, strict=True):
        task = kit.by_id[stored["data"]["image_id"]]
        answer(client, stored, result_of(choice_text(task, kit, choice)))
    pull_kit(kit, client, home)
    read_back = {choice.task_id: (choice.said, choice.chosen) for choice in read_answers(kit)}
    asked = session(kit, 1, 1)
    assert [read_back[task.task_id] for task in asked] == [("chosen", 1), ("absent", None), ("chosen", 2)]
