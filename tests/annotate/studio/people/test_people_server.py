"""People on a real Label Studio: remembered, joined, left, skipping, and measured; nothing that was begun is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from studio_lead import answer, begin, drawn_store, second_user, send, strangers_client, tasks_of
from studio_server import drawn_photos

from figureground.annotate.catalogue import index_source
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.people.team import EVERYBODY
from figureground.annotate.studio.pull import pull
from figureground.errors import UsageError
from figureground.schemas.records import Decision
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace of eight drawn photos with a machine mask each."""
    with drawn_store(tmp_path, 8) as workspace:
        yield workspace


@pytest.fixture
def client(store: Workspace) -> StudioClient:
    """The run's server, as one that somebody else runs."""
    return strangers_client(store)


def photos_of(client: StudioClient, project: int) -> set[str]:
    images = [image_id for image_id, _ in client.task_images(project)]
    assert len(set(images)) == len(images)
    return set(images)


def state_of(store: Workspace, image_id: str) -> str | None:
    decision = store.decision(image_id)
    return None if decision is None else decision.state


def test_people_and_overlap_are_remembered_and_topped_up(store: Workspace, client: StudioClient) -> None:
    first = send(store, client, annotators=("ada", "ben"), overlap="3", limit=5)
    assert sum(first.sent.values()) == 8
    pairs = photos_of(client, first.projects["ada"]) & photos_of(client, first.projects["ben"])
    assert len(pairs) == first.overlapping == 3
    with pytest.raises(UsageError, match="the annotators are ada, ben"):
        send(store, client, annotators=("ada", "cleo"))
    index_source(store, open_source(str(drawn_photos(store.root.parent / "photos", 10))), workers=1)
    plain = send(store, client)
    assert plain.projects == first.projects
    assert (sum(plain.sent.values()), plain.already_there, plain.overlapping) == (5, 8, 3)
    ada, ben = (photos_of(client, plain.projects[name]) for name in ("ada", "ben"))
    assert (ada & ben, len(ada | ben)) == (pairs, 10)
    assert len(store.studio_projects(client.connection.server)) == 2
    more = send(store, client, overlap="0.5")
    assert (sum(more.sent.values()), more.overlapping) == (2, 5)
    assert sum(send(store, client).sent.values()) == 0


def test_names_after_everybody_take_over_what_nobody_had_begun(store: Workspace, client: StudioClient) -> None:
    everybody = send(store, client).projects[EVERYBODY]
    begun, answered, *_ = tasks_of(client, everybody)
    begin(client, everybody, begun)
    answer(client, answered)
    pull(store, client)
    named = send(store, client, annotators=("ada", "ben"))
    assert sum(named.moved.values()) == 6
    stayed = {task["data"]["image_id"] for task in (begun, answered)}
    assert photos_of(client, everybody) == stayed
    ada, ben = (photos_of(client, named.projects[name]) for name in ("ada", "ben"))
    assert not ada & ben
    assert answered["data"]["image_id"] not in ada | ben
    assert sum(send(store, client).sent.values()) == 0


def test_a_newcomer_and_a_hand_over_move_only_what_nobody_has_begun(store: Workspace, client: StudioClient) -> None:
    before = send(store, client, annotators=("ada", "ben"))
    ada = before.projects["ada"]
    touched = tasks_of(client, ada)[:2]
    begin(client, ada, touched[0])
    answer(client, touched[1])  # not pulled: the server alone knows
    owners = {image_id: name for name in ("ada", "ben") for image_id in photos_of(client, before.projects[name])}

    joined = send(store, client, add=("cleo", "dan"))
    cleo, dan = (photos_of(client, joined.projects[name]) for name in ("cleo", "dan"))
    assert sum(joined.sent.values()) == len(cleo | dan) == sum(joined.moved.values()) > 0
    touched_ids = {task["data"]["image_id"] for task in touched}
    assert not touched_ids & (cleo | dan)
    left = {name: photos_of(client, joined.projects[name]) for name in ("ada", "ben")}
    assert all(owners[image_id] == name for name, image_ids in left.items() for image_id in image_ids)
    assert len(left["ada"] | left["ben"] | cleo | dan) == 8
    assert sum(send(store, client, add=("cleo",)).moved.values()) == 0

    handed = send(store, client, hand_over=(("ada", "eve"),))
    assert photos_of(client, ada) == touched_ids
    assert photos_of(client, handed.projects["eve"]) >= left["ada"] - touched_ids
    assert sum(count for move, count in handed.moved.items() if move == "ada to eve") == len(left["ada"] - touched_ids)
    assert "ada" not in handed.projects
    # What she had answered goes to nobody; what she has begun goes to somebody, for she may never finish it.
    holders = [name for name, number in handed.projects.items() if touched_ids & photos_of(client, number)]
    assert len(holders) == 1
    shared = touched_ids & photos_of(client, handed.projects[holders[0]])
    assert shared == {touched[0]["data"]["image_id"]}
    answers = pull(store, client)
    assert (answers.answers["submitted"], answers.begun, answers.decisions) == (1, 1, {"accepted": 1})
    assert sum(send(store, client).sent.values()) == 0
    answer(client, touched[0])
    assert pull(store, client).waiting == 1  # for the one who has it now


def test_what_is_skipped_goes_on_and_what_all_skipped_is_listed(store: Workspace, client: StudioClient) -> None:
    report = send(store, client, annotators=("ada", "ben"), limit=1)
    (name,) = report.sent.keys() & {person for person, count in report.sent.items() if count}
    (task,) = tasks_of(client, report.projects[name])
    answer(client, task, [], was_cancelled=True)
    assert pull(store, client).answers == {"skipped": 1}
    again = send(store, client, limit=1)
    other = "ben" if name == "ada" else "ada"
    assert (again.sent[other], again.sent[name], again.skipped_by_all) == (1, 0, [])
    (twin,) = tasks_of(client, report.projects[other])
    answer(client, twin, [], was_cancelled=True)
    pull(store, client)
    last = send(store, client, limit=1)
    image = store.image(twin["data"]["image_id"])
    assert image is not None
    assert (sum(last.sent.values()), last.skipped_by_all) == (0, [f"{image.source}: {image.uri}"])


def test_a_pair_waits_for_both_until_one_leaves(store: Workspace, client: StudioClient) -> None:
    report = send(store, client, annotators=("ada", "ben", "cleo"), overlap="8")
    by_name = {
        name: {task["data"]["image_id"]: task for task in tasks_of(client, number)}
        for name, number in report.projects.items()
    }
    skipped, left = sorted(by_name["ada"].keys() & by_name["ben"].keys())[:2]
    both = min(by_name["ada"].keys() & by_name["cleo"].keys())
    other = second_user(client)
    for name, image_id in (("ben", skipped), ("ben", left), ("cleo", both)):
        answer(client, by_name[name][image_id], completed_by=other)
    answer(client, by_name["ada"][skipped], [], was_cancelled=True)
    answer(client, by_name["ada"][both])
    first = pull(store, client)
    assert (first.decisions, first.waiting) == ({"accepted": 1}, 2)
    assert [state_of(store, image_id) for image_id in (skipped, left, both)] == [None, None, "accepted"]

    handed = send(store, client, hand_over=(("ada", "ben"),))
    cleo = {task["data"]["image_id"]: task for task in tasks_of(client, handed.projects["cleo"])}
    assert {skipped, left} <= set(cleo)
    answer(client, cleo[skipped])
    assert pull(store, client).decisions == {"accepted": 1}
    assert state_of(store, skipped) == "accepted"
    # cleo leaves too, and nobody waits for a second person who is not there.
    send(store, client, hand_over=(("cleo", "ben"),))
    last = pull(store, client)
    assert (last.decisions["accepted"], state_of(store, left)) == (1, "accepted")


def test_honeypots_are_mixed_in_unmarked_and_decide_nothing(store: Workspace, client: StudioClient) -> None:
    project = send(store, client, limit=3).projects[EVERYBODY]
    for task in tasks_of(client, project):
        answer(client, task)
    pull(store, client)
    known = set(store.decisions())
    assert len(known) == 3
    report = send(store, client, annotators=("ada", "ben"), honeypots=1, entry_test=1)
    server = client.connection.server
    assert dict(report.honeypots) == {"ada": 2, "ben": 2}
    pots = store.studio_honeypots(server)
    for name in ("ada", "ben"):
        tasks = sorted(tasks_of(client, report.projects[name]), key=lambda task: int(task["id"]))
        mine = [task["data"]["image_id"] for task in tasks if task["data"]["image_id"] in known]
        assert {(report.projects[name], image_id) for image_id in mine} == {
            pot for pot in pots if pot[0] == report.projects[name]
        }
        assert tasks[0]["data"]["image_id"] == mine[0]  # the entry test
        assert {frozenset(task["data"]) for task in tasks} == {frozenset(tasks[0]["data"])}
    before = store.decisions()
    by_photo = {task["data"]["image_id"]: task for task in tasks_of(client, report.projects["ada"])}
    pot = next(image_id for image_id in by_photo if image_id in known)
    answer(client, by_photo[pot], [], completed_by=second_user(client))
    pulled = pull(store, client)
    assert (pulled.answers, pulled.decisions) == ({"submitted": 1}, {})
    assert store.decisions() == before
    (scored,) = [given for given in store.annotations(pot) if given.purpose == "honeypot"]
    assert scored.masks == {}
    store.decide(Decision(image_id=pot, state="rejected", reason="by hand"))
    again = send(store, client)
    assert (sum(again.sent.values()), sum(again.honeypots.values()), again.notices) == (0, 0, [])
    wished = send(store, client, honeypots=5)
    assert sum(wished.honeypots.values()) < 6
    assert any("honeypots are lacking" in line for line in wished.notices)
