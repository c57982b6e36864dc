"""Second looks on a real server: each is settled by somebody else, or sent again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_server import add_block_proposals, drawn_photos, shared_server

from figureground.annotate.agreement.adjudication import ranked_doubts
from figureground.annotate.catalogue import index_source
from figureground.annotate.studio.accounts import ensure_account
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.people.team import TeamChange
from figureground.annotate.studio.projects import MODEL_VERSION
from figureground.annotate.studio.pull import pull
from figureground.annotate.studio.push import PushSettings, push
from figureground.annotate.studio.second_look import SecondLookReport, push_second_look
from figureground.annotate.studio.server import connect_server
from figureground.annotate.studio.tasks import mask_region
from figureground.errors import DataError
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.pages.labeling import labeling_configuration
from figureground.schemas.rasters.masks import Mask, decode_coco_rle
from figureground.schemas.records import Annotation, StudioProject
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]
NONE = load_attribute_schema("none")
SIZES_WH = (640, 480), (900, 300), (300, 700), (320, 240)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """A workspace of four photos of different sizes, with a machine mask each."""
    with Workspace.create(tmp_path / "work") as workspace:
        for number, size_wh in enumerate(SIZES_WH):
            photos = drawn_photos(tmp_path / f"photos-{number}", 1, size_wh=size_wh)
            index_source(workspace, open_source(str(photos)), workers=1)
        add_block_proposals(workspace)
        yield workspace


@pytest.fixture
def client(store: Workspace) -> StudioClient:
    _, connection = shared_server()
    return StudioClient(connect_server(StudioHome.of(store.root), connection.url, connection.token))


def people(client: StudioClient) -> tuple[int, int, int]:
    """Numbers of the maintainer and of two annotators."""
    root, connection = shared_server()
    for name in ("second", "third"):
        ensure_account(StudioClient(connection), StudioHome.of(root), name)
    numbers = {user.email.partition("@")[0]: user.id for user in client.users()}
    return numbers["maintainer"], numbers["second"], numbers["third"]


def answer(client: StudioClient, task: Json, results: list[Json], **fields: Any) -> None:
    client._request(
        "POST", f"/api/tasks/{task['id']}/annotations/", json={"result": results, "lead_time": 4.5, **fields}
    )


def half(task: Json, side: str) -> Json:
    """The left or the upper half of a photo, painted."""
    width, height = task["data"]["served_size"]
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[:, : width // 2] = side == "left"
    mask[: height // 2] |= side == "upper"
    return mask_region(mask, region_id=side, label="object")


def choice(word: str) -> Json:
    return {
        "id": "chosen", "type": "choices", "from_name": "settlement", "to_name": "image", "value": {"choices": [word]}
    }  # fmt: skip


def tasks_of(client: StudioClient, project: int) -> dict[str, Json]:
    """The newest task of each photo."""
    tasks = [task for page in client.changed_tasks(project, None) for task in page]
    return {task["data"]["image_id"]: task for task in sorted(tasks, key=lambda task: int(task["id"]))}


def look(store: Workspace, client: StudioClient, *, by_authors: bool = False) -> SecondLookReport:
    return push_second_look(store, client, NONE, by_authors=by_authors)


def disagree(store: Workspace, client: StudioClient, authors: dict[str, tuple[int, int]] | None = None) -> list[str]:
    """Let two people answer every photo differently; returns the photos, all of them in doubt."""
    maintainer, second, third = people(client)
    report = push(store, client, PushSettings(schema=NONE, people=TeamChange(annotators=("ada", "ben"), overlap="1.0")))
    images = [image.image_id for image in store.images()]
    for name, side, index in (("ada", "left", 0), ("ben", "upper", 1)):
        for image_id, task in tasks_of(client, report.projects[name]).items():
            # The maintainer is one of those who answered the last photo.
            pair = (maintainer, third) if image_id == images[-1] else (second, third)
            answer(client, task, [half(task, side)], completed_by=pair[index])
    pull(store, client)
    assert {decision.state for decision in store.decisions().values()} == {"needs_second"}
    return images


def mask_of(answer: Annotation) -> Mask:
    return decode_coco_rle(answer.masks["object"])


def test_every_outcome(store: Workspace, client: StudioClient) -> None:
    *photos, own = disagree(store, client)
    outcomes = {"own": own, **dict(zip(("take", "paint", "skip"), photos, strict=True))}
    sent = look(store, client)
    again = look(store, client)
    assert (sent.sent, sent.waiting, again.sent, again.waiting) == (4, 0, 0, 4)
    project = sent.project
    assert project is not None
    assert again.project == project
    tasks = tasks_of(client, project)
    for name in ("own", "take"):
        answer(client, tasks[outcomes[name]], [choice("B")])
    answer(client, tasks[outcomes["paint"]], [half(tasks[outcomes["paint"]], "left"), choice("painted")])
    answer(client, tasks[outcomes["skip"]], [], was_cancelled=True)

    report = pull(store, client)
    assert (report.answers["submitted"], report.answers["skipped"]) == (3, 1)
    assert (report.decisions, report.unsettled) == ({"accepted": 2}, 1)
    check_what_was_accepted(store, tasks, outcomes)

    # What is still in doubt is sent again, once at a time.
    again = look(store, client)
    assert (again.sent, again.waiting, again.unpulled) == (2, 0, 0)
    assert look(store, client).waiting == 2
    numbers = [image_id for image_id, _ in client.task_images(project)]
    assert numbers.count(outcomes["skip"]) == 1
    assert numbers.count(outcomes["own"]) == 2  # the one that settled nothing is kept

    # On the maintainer's word the author settles it.
    assert look(store, client, by_authors=True).sent == 2
    answer(client, tasks_of(client, project)[own], [choice("A")])
    assert look(store, client, by_authors=True).unpulled == 1
    report = pull(store, client)
    assert (report.decisions, report.unsettled) == ({"accepted": 1}, 0)


def check_what_was_accepted(store: Workspace, tasks: dict[str, Json], outcomes: dict[str, str]) -> None:
    """An answer that was taken is accepted bit for bit, what was painted as it is; the others stay in doubt."""
    answers = {answer.annotation_id: answer for image_id in outcomes.values() for answer in store.annotations(image_id)}
    decisions = {name: store.decision(image_id) for name, image_id in outcomes.items()}
    states = {name: decision.state for name, decision in decisions.items() if decision is not None}
    assert states == {"take": "accepted", "paint": "accepted", "skip": "needs_second", "own": "needs_second"}
    taken, mended = (answers[decision.annotation_id] for name in ("take", "paint") if (decision := decisions[name]))
    shown = answers[tasks[outcomes["take"]]["data"]["answer_ids"]["B"][0]]
    assert (taken.masks, taken.tool) == (shown.masks, "taken")
    assert mask_of(mended).any()


def test_those_come_first_on_whom_people_differ_most_up_to_a_limit(store: Workspace, client: StudioClient) -> None:
    _, second, third = people(client)
    report = push(store, client, PushSettings(schema=NONE, people=TeamChange(annotators=("ada", "ben"), overlap="1.0")))
    images = [image.image_id for image in store.images()]
    for name, author in (("ada", second), ("ben", third)):
        for number, image_id in enumerate(images):
            task = tasks_of(client, report.projects[name])[image_id]
            width, height = task["data"]["served_size"]
            mask = np.zeros((height, width), dtype=np.bool_)
            mask[:, : width * (4 if name == "ada" else 3 - (number + 2) % 3) // 5] = True
            answer(client, task, [mask_region(mask, region_id="r", label="object")], completed_by=author)
    pull(store, client)
    ranked = [doubt.decision.image_id for doubt in ranked_doubts(store)]
    assert set(ranked) == set(images)
    assert ranked != images
    sent = push_second_look(store, client, NONE, limit=2)
    assert (sent.sent, sent.held_back) == (2, 2)
    assert "2 in doubt, on which people differ less, are left for later by --limit" in str(sent)
    again = push_second_look(store, client, NONE, limit=2)
    assert (again.sent, again.waiting, again.held_back) == (0, 2, 2)
    assert push_second_look(store, client, NONE, limit=3).sent == 1
    rest = push_second_look(store, client, NONE)
    assert (rest.sent, rest.waiting, rest.held_back) == (1, 3, 0)
    # What was sent is never cut off by a smaller limit.
    assert push_second_look(store, client, NONE, limit=1).waiting == 4
    assert rest.project is not None
    tasks = tasks_of(client, rest.project)
    assert sorted(ranked, key=lambda image_id: int(tasks[image_id]["id"])) == ranked


def test_new_answers_and_empty_ones_bring_the_question_again(store: Workspace, client: StudioClient) -> None:
    images = disagree(store, client)
    project = look(store, client).project
    assert project is not None
    tasks = tasks_of(client, project)
    # Painted, but nothing is; flagged, but no flag is set; deleted by hand; and an answer that was changed later.
    answer(client, tasks[images[0]], [choice("painted")])
    answer(client, tasks[images[1]], [half(tasks[images[1]], "left"), choice("flagged")])
    client.delete_task(int(tasks[images[2]]["id"]))
    first = store.studio_projects(client.connection.server)
    ada = next(number for number, notes in first.items() if notes[-1].annotator == "ada")
    late = tasks_of(client, ada)[images[3]]
    mask = half(late, "left")
    client._request(
        "PATCH", f"/api/annotations/{late['annotations'][0]['id']}/", json={"result": [mask, half(late, "upper")]}
    )
    before = look(store, client)
    assert (before.sent, before.waiting, before.unpulled) == (1, 1, 2)  # what was deleted comes again at once
    report = pull(store, client)
    assert report.answers == {"submitted": 3}
    again = look(store, client)
    assert (again.sent, again.waiting, again.unpulled) == (3, 1, 0)
    still = [image_id for image_id, decision in store.decisions().items() if decision.state == "needs_second"]
    tasks = tasks_of(client, project)
    for image_id in still:
        newest = {
            row.annotation_id: row.updated_at for row in store.annotations(image_id) if row.purpose == "first_look"
        }
        shown = dict(tasks[image_id]["data"]["answer_ids"].values())
        assert shown.items() <= newest.items()
        assert not tasks[image_id]["annotations"]
    assert set(images[:3]) <= set(still)


def test_an_answer_that_was_not_shown_cannot_be_taken(store: Workspace, client: StudioClient) -> None:
    images = disagree(store, client)
    project = look(store, client).project
    assert project is not None
    answer(client, tasks_of(client, project)[images[0]], [choice("H")])
    with pytest.raises(DataError, match=r"settlement .*expected one of A, B, painted, flagged, got 'H'"):
        pull(store, client)


def test_a_project_of_older_second_looks_gives_way_to_a_new_one(store: Workspace, client: StudioClient) -> None:
    """Label Studio refuses a page without a control that was answered by, however often it is sent."""
    disagree(store, client)
    controls = (
        '<Image name="earlier" value="$compare"/><Choices name="side" toName="earlier"><Choice value="A"/></Choices>'
    )
    page = labeling_configuration(NONE).replace("</View>\n", f"</View>{controls}\n", 1)
    old = client.create_project("older", page, "older", instruction="", model_version=MODEL_VERSION)
    data = {"image": "/x.jpg", "image_id": "x", "title": "x", "compare": "older"}
    (task,) = client.import_tasks(old, [{"data": data}])
    result = {"id": "1", "type": "choices", "from_name": "side", "to_name": "earlier", "value": {"choices": ["A"]}}
    answer(client, {"id": task}, [result])
    note = {"server": client.connection.server, "project": old, "title": "older", "annotator": ""}
    store.add_studio_project(
        StudioProject(
            **note,  # type: ignore[arg-type]
            purpose="second_look",
            attribute_schema=NONE.model_dump_json(),
            since="2026-01-01T00:00:00+00:00",
        )
    )
    first = look(store, client)
    assert first.project not in (None, old)
    assert (first.sent, len(first.notices)) == (len(SIZES_WH), 1)
    assert f"older (project {old}) is of an older figureground" in str(first)
    again = look(store, client)
    assert (again.project, again.sent, again.waiting, again.notices) == (first.project, 0, len(SIZES_WH), [])
