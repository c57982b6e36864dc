"""A release is frozen by its policy or not at all: votes, agreement, reviewers, coverage, each with its reason."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answered_photos import accept, add_answer, add_photo, band
from shared_cases import run_here

from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import MACHINE_EDITOR
from figureground.annotate.freeze import FreezeOptions, FreezeReport, freeze
from figureground.annotate.freezing.policy import load_policy
from figureground.annotate.freezing.votes import count_votes
from figureground.errors import DataError, UsageError
from figureground.schemas.store.releases import read_annotation, read_left_out, read_release
from figureground.schemas.store.workspace import Workspace

OBJECT = "object"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "work") as opened:
        yield opened


def answered(store: Workspace, name: str, bands: dict[str, int], **more: Any) -> str:
    """A photo that people answered with bands of these widths; the first one's answer is accepted."""
    image_id = add_photo(store, name)
    answers = [
        add_answer(store, image_id, who, {OBJECT: band(width)}, day=day, **more)
        for day, (who, width) in enumerate(bands.items(), start=1)
    ]
    accept(store, answers[0])
    return f"{image_id}.0"


def frozen(store: Workspace, rules: str, **options: Any) -> FreezeReport:
    path = store.root.parent / "policy.yaml"
    states = "" if "states:" in rules else "states: {take: [accepted]}\n"
    path.write_text(f'name: mine\nversion: "2"\n{states}{rules}\n', encoding="utf-8")
    return freeze(store, "v1", FreezeOptions(policy=load_policy(str(path)), **options))


def objects(report: FreezeReport) -> set[str]:
    return {record.object_id for record in read_release(report.path)[1]}


def faults(store: Workspace, rules: str, **options: Any) -> dict[str, str]:
    """What of a policy fails: the record to what is there; and nothing is written."""
    with pytest.raises(DataError) as caught:
        frozen(store, rules, **options)
    assert not (store.root / "objects").exists()
    assert {fault.where for fault in caught.value.faults} == {"policy mine@2"}
    return {fault.record: fault.got for fault in caught.value.faults}


def test_a_mask_of_too_few_people_stops_the_release_or_stays_out(store: Workspace) -> None:
    two = answered(store, "two", {"ann": 10, "bob": 10})
    one = answered(store, "one", {"ann": 10})
    assert faults(store, "votes: {at_least: 2}") == {f"{one} (one) too_few_votes": "1 (ann)"}
    report = frozen(store, "votes: {at_least: 2, unfit: leave_out}")
    assert objects(report) == {two}
    assert report.left_out == {"too_few_votes": 1}
    assert read_left_out(report.path) == {"cat": {"too_few_votes": 1}}
    listed = report.path.with_suffix(".left_out.csv").read_text(encoding="utf-8")
    assert f"{one.removesuffix('.0')},cat,too_few_votes" in listed


def test_voters_whose_masks_differ_are_named_with_their_iou(store: Workspace) -> None:
    like = answered(store, "like", {"ann": 10, "bob": 9})
    unlike = answered(store, "unlike", {"ann": 10, "bob": 5, "eve": 10})
    rules = "masks: {min_iou: 0.8}"
    # Pairs: 0.5, 1, 0.5.
    assert faults(store, rules) == {f"{unlike} (unlike) voters_masks_differ": "0.6667 (ann, bob, eve)"}
    assert objects(frozen(store, rules.replace("}", ", unfit: leave_out}"))) == {like}


def test_attributes_that_voters_answer_otherwise_count_by_share(store: Workspace) -> None:
    image_id = add_photo(store, "a")
    first = {"wet": True, "big": True, "old": None}
    accepted = add_answer(store, image_id, "ann", {OBJECT: band(4)}, attributes=first)
    add_answer(store, image_id, "bob", {OBJECT: band(4)}, attributes={"wet": True, "big": False, "old": True})
    accept(store, accepted)
    assert faults(store, "attributes: {min_equal: 0.6}") == {
        f"{image_id}.0 (a) voters_attributes_differ": "50.0% (ann, bob)"
    }
    assert objects(frozen(store, "attributes: {min_equal: 0.5}")) == {f"{image_id}.0"}


def test_a_second_person_must_agree_and_a_named_one(store: Workspace) -> None:
    alone = answered(store, "alone", {"ann": 10})
    unlike = answered(store, "unlike", {"ann": 10, "bob": 6})
    seen = answered(store, "seen", {"ann": 10, "bob": 10})
    led = answered(store, "led", {"lea": 10, "ann": 10})
    second = "reviewers: {second_person: true, unfit: leave_out}"
    assert objects(frozen(store, second)) == {seen, led}
    (store.root / "objects" / "v1.parquet").unlink()
    assert objects(frozen(store, second.replace("true", "true, min_iou: 0.5"))) == {unlike, seen, led}
    (store.root / "objects" / "v1.parquet").unlink()
    # The named one may be the painter, unless a second person is asked for.
    assert objects(frozen(store, "reviewers: {named: [lea], unfit: leave_out}")) == {led}
    (store.root / "objects" / "v1.parquet").unlink()
    assert objects(frozen(store, "reviewers: {named: [bob], second_person: true, unfit: leave_out}")) == {seen}
    assert alone not in objects(frozen(store, "reviewers: {named: [bob], second_person: true, unfit: leave_out}"))


def test_who_edited_a_mask_is_no_second_person(store: Workspace) -> None:
    image_id = add_photo(store, "a")
    accept(store, add_answer(store, image_id, "ann", {OBJECT: band(10)}, edited_by="bob"))
    add_answer(store, image_id, "bob", {OBJECT: band(10)}, day=2)
    assert list(faults(store, "reviewers: {second_person: true}")) == [f"{image_id}.0 (a) not_reviewed"]


def test_a_step_that_mends_masks_is_nobody_and_hides_nobody(store: Workspace) -> None:
    image_id = add_photo(store, "a")
    accepted = add_answer(store, image_id, "ann", {OBJECT: band(10)}, edited_by="bob")
    later = "2999-01-01T00:00:00.000000Z"
    mended = replace(accepted, updated_at=later, masks={OBJECT: accepted.masks[OBJECT]}, edited_by=MACHINE_EDITOR)
    store.add_answer(mended, None)
    answers = list(store.annotations(image_id))
    votes = count_votes(accepted.annotation_id, accepted.masks[OBJECT], answers, AttributeHistory.of(store))
    assert votes.painters == ("ann", "bob")


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"flags": ("wrong_label",)}, id="a doubt"),
        pytest.param({"state": "draft"}, id="a draft"),
        pytest.param({"purpose": "honeypot"}, id="a honeypot"),
        pytest.param({"machine": True}, id="a machine"),
        pytest.param({"purpose": "new_attributes"}, id="a mask that another one painted"),
    ],
)
def test_what_is_no_vote_is_not_counted(store: Workspace, more: dict[str, Any]) -> None:
    image_id = add_photo(store, "a")
    accepted = add_answer(store, image_id, "ann", {OBJECT: band(4)})
    add_answer(store, image_id, "bob", {OBJECT: band(4)}, day=2, **more)
    answers = list(store.annotations(image_id))
    votes = count_votes(accepted.annotation_id, accepted.masks[OBJECT], answers, AttributeHistory.of(store))
    assert (votes.voters, votes.painters, votes.mask_iou) == (("ann",), ("ann",), None)


def test_people_s_newest_answers_count_alone(store: Workspace) -> None:
    image_id = add_photo(store, "a")
    add_answer(store, image_id, "bob", {OBJECT: band(2)})
    accepted = add_answer(store, image_id, "ann", {OBJECT: band(8)}, day=2)
    add_answer(store, image_id, "bob", {OBJECT: band(4)}, day=3, purpose="second_look")
    votes = count_votes(
        accepted.annotation_id, accepted.masks[OBJECT], list(store.annotations(image_id)), AttributeHistory.of(store)
    )
    assert votes.likeness == {"ann": 1.0, "bob": 0.5}
    assert votes.agreeing(0.5) == ("ann", "bob")


def test_all_that_a_release_fails_stands_in_one_report(store: Workspace) -> None:
    one = answered(store, "one", {"ann": 10})
    for number in range(3):
        add_photo(store, f"open{number}")
    failed = faults(
        store,
        "votes: {at_least: 2}\n"
        "release: {max_left_out: 0.5, min_class_coverage: 0.5, min_compared: 4, min_mask_iou: 0.9, min_alpha: 0.5}",
    )
    assert failed == {
        f"{one} (one) too_few_votes": "1 (ann)",
        "release max_left_out": "4 of 4",
        "label cat min_class_coverage": "0 of 4",
        "release min_compared": "0",
        "release min_mask_iou": "no photo that several people answered",
        "release min_alpha": "no attribute that two people answered of one photo",
    }


def test_agreement_of_the_release_is_that_of_all_photos_that_several_answered(store: Workspace) -> None:
    for number in range(4):
        image_id = add_photo(store, f"p{number}")
        first = add_answer(store, image_id, "ann", {OBJECT: band(10)}, attributes={"wet": number % 2 == 0})
        add_answer(store, image_id, "bob", {OBJECT: band(8)}, attributes={"wet": number != 1})
        if number:
            accept(store, first)
    # Alpha of (1,1), (0,0), (1,1), (0,1): nominal coincidences by hand, 1 - 7 * (2 / (2 * 5 * 3)) = 0.5333.
    assert faults(store, "release: {min_alpha: 0.54, min_mask_iou: 0.81}") == {
        "attribute wet min_alpha": "0.5333 over 4 photos",
        "release min_mask_iou": "0.8000",
    }
    assert len(objects(frozen(store, "release: {min_alpha: 0.53, min_mask_iou: 0.8}"))) == 3


def test_masks_that_nobody_reviewed_are_taken_by_the_policy_alone(store: Workspace) -> None:
    answered(store, "mine", {"ann": 10})
    machine = add_photo(store, "theirs")
    accept(store, add_answer(store, machine, "", {OBJECT: band(4)}, machine=True, tool="import:folder"))
    open_ = add_photo(store, "open")
    report = frozen(store, "")
    assert report.left_out == {"state_not_taken": 1, "undecided": 1}
    report.path.unlink()
    states = "states: {take: [accepted, machine_import, unmasked]}\nrelease: {max_unreviewed: 0.3}"
    assert faults_of_written(store, states) == {"release max_unreviewed": "1 of 3"}
    report = frozen(store, states.replace("0.3", "0.34"))
    assert report.states == {"accepted": 1, "machine_import": 1, "unmasked": 1}
    assert f"{open_}.0" in objects(report)
    with pytest.raises(UsageError, match="--unreviewed: the policy mine@2 takes accepted alone"):
        frozen(store, "", unreviewed=True)


def faults_of_written(store: Workspace, rules: str, **options: Any) -> dict[str, str]:
    with pytest.raises(DataError) as caught:
        frozen(store, rules, **options)
    return {fault.record: fault.got for fault in caught.value.faults}


def test_release_and_list_say_who_stands_behind_each_mask(store: Workspace) -> None:
    two = answered(store, "two", {"ann": 10, "bob": 9}, attributes={"wet": True})
    one = answered(store, "one", {"eve": 10})
    answered(store, "unlike", {"ann": 10, "bob": 4})
    rules = "description: Ours.\nmasks: {min_iou: 0.8, unfit: leave_out}\nrelease: {max_left_out: 0.4}"
    report = frozen(store, rules)
    policy = read_annotation(report.path)["policy"]
    text = (store.root.parent / "policy.yaml").read_text(encoding="utf-8")
    assert (policy["text"], policy["sha256"]) == (text, hashlib.sha256(text.encode()).hexdigest())
    assert policy["votes"] == {"1": 1, "2": 1}
    assert policy["people"] == {
        "ann": {"painted": 1, "accepted": 0},
        "bob": {"painted": 0, "accepted": 1},
        "eve": {"painted": 1, "accepted": 0},
    }
    assert policy["voters_masks"] == {"objects": 1, "mean": 0.9, "least": 0.9}
    assert policy["voters_attributes"] == {"objects": 1, "mean": 1.0, "least": 1.0}
    assert policy["left_out"] == {"voters_masks_differ": 1}
    assert policy["coverage"] == {
        "objects": 2,
        "photos": 3,
        "least_label": "cat",
        "least_objects": 2,
        "least_photos": 3,
    }
    with report.path.with_suffix(".reviews.csv").open(encoding="utf-8") as file:
        rows = {row.pop("object_id"): row for row in csv.DictReader(file)}
    assert {name: list(row.values()) for name, row in rows.items()} == {
        two: ["accepted", "2", "ann", "bob", "0.9", "1.0"],
        one: ["accepted", "1", "eve", "", "", ""],
    }


def test_the_command_refuses_with_1_and_freezes_again_to_the_same_bytes(
    store: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(store, "one", {"ann": 10})
    policy = tmp_path / "policy.yaml"
    policy.write_text('name: p\nversion: "1"\nstates: {take: [accepted]}\nvotes: {at_least: 2}\n', encoding="utf-8")
    words = ("freeze", "-w", store.root, "--version", "v1", "--policy", policy, "--json")
    code, _, error = run_here(capsys, *words)
    assert (code, "expected at least 2 voters, got 1 (ann); review more" in error) == (1, True)
    policy.write_text(policy.read_text(encoding="utf-8").replace("2}", "1}"), encoding="utf-8")
    code, printed, _ = run_here(capsys, *words)
    path = Path(json.loads(printed)["path"])
    before = path.read_bytes()
    assert (code, run_here(capsys, *words)[0], path.read_bytes() == before) == (0, 0, True)


@pytest.mark.parametrize("level", ["error", "off"])
def test_lint_is_a_rule_of_a_policy_and_fails_with_the_others(store: Workspace, level: str) -> None:
    image_id = add_photo(store, "empty")
    accept(store, add_answer(store, image_id, "ann", {OBJECT: band(0)}))
    if level == "off":
        assert objects(frozen(store, "lint: off")) == {f"{image_id}.0"}
        return
    with pytest.raises(DataError) as caught:
        frozen(store, "lint: error\nrelease: {min_compared: 1}")
    message = str(caught.value)
    assert "empty" in message
    assert "release min_compared" in message


def test_a_consensus_has_the_votes_of_those_behind_it(store: Workspace) -> None:
    object_id = answered(store, "three", {"ann": 10, "bob": 9, "eve": 9})
    rules = "states: {take: [consensus]}\nvotes: {at_least: 3}\nreviewers: {second_person: true}"
    report = frozen(store, rules, consensus="majority")
    assert report.states == {"consensus": 1}
    rows = report.path.with_suffix(".reviews.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1].startswith(f"{object_id},consensus,3,,ann bob eve,")
    report.path.unlink()
    assert faults_of_written(store, "votes: {at_least: 4}\nstates: {take: [consensus]}", consensus="majority") == {
        f"{object_id} (three) too_few_votes": "3 (ann, bob, eve)"
    }
