"""Decisions of a sheet: the machine's mask bit for bit, in a person's answer; every fault by file and photo."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shared_cases import run_here
from sheet_samples import by_name, decisions_file, make_workspace

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.sheet.reading import read_decisions
from figureground.errors import DataError, UsageError
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with make_workspace(tmp_path) as workspace:
        yield workspace


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def states(store: Workspace) -> dict[str, str]:
    decisions = store.decisions()
    return {name: decisions[image_id].state for name, image_id in by_name(store).items() if image_id in decisions}


def dump(store: Workspace) -> list[object]:
    return [*store.annotations(), *store.newest_decisions()]


def test_an_accepted_mask_is_frozen_bit_for_bit(store: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", decisions_file(store, {"0": "accept", "1": "reject", "2": "skip"}))
    report = read_decisions(store, [path])
    assert (report.accepted, report.rejected, report.skipped) == (1, 1, 1)
    assert report.decisions == {"accepted": 1, "needs_second": 1}
    assert states(store) == {"0": "accepted", "1": "needs_second"}
    proposals = {proposal.image_id: proposal for proposal in store.proposals()}
    frozen = freeze(store, "v1", FreezeOptions())
    _, objects = read_release(frozen.path)
    (record,) = objects
    assert record.mask == proposals[by_name(store)["0"]].rle
    assert frozen.left_out == {"needs_second": 1, "undecided": 2}


def test_an_answer_says_who_gave_it_from_what(store: Workspace, tmp_path: Path) -> None:
    read_decisions(store, [write(tmp_path / "d.json", decisions_file(store, {"0": "accept", "1": "reject"}))])
    answers = {answer.image_id: answer for answer in store.annotations()}
    accepted, rejected = (answers[by_name(store)[name]] for name in "01")
    assert (accepted.tool, accepted.seconds, accepted.edit_iou, accepted.changed_px) == ("sheet", 1.5, 1.0, 0)
    assert accepted.updated_at == "2026-01-01T10:00:00.123000Z"
    assert accepted.annotator == rejected.annotator != ""
    assert "ada" not in accepted.annotator.lower()
    assert rejected.masks == {}
    assert rejected.note == "the machine mask was rejected on a sheet"
    assert store.image(accepted.image_id) is not None
    assert accepted.proposal_id in {proposal.proposal_id for proposal in store.proposals(accepted.image_id)}


def test_the_same_file_again_changes_nothing(store: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", decisions_file(store, {"0": "accept", "1": "reject", "2": "skip"}))
    read_decisions(store, [path])
    before = dump(store)
    again = read_decisions(store, [path, path])
    assert (again.accepted, again.rejected, again.skipped, again.already_there) == (0, 0, 0, 6)
    assert dump(store) == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_newest_decision_of_a_person_counts_whatever_the_order(
    store: Workspace, tmp_path: Path, order: tuple[int, int]
) -> None:
    days = [decisions_file(store, {"0": "reject"}, day=1), decisions_file(store, {"0": "accept"}, who="ADA ", day=2)]
    files = [write(tmp_path / f"{number}.json", content) for number, content in enumerate(days)]
    for number in order:
        read_decisions(store, [files[number]])
    assert states(store) == {"0": "accepted"}


def test_two_people_who_disagree_send_a_photo_to_a_second_look(store: Workspace, tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{who}.json", decisions_file(store, {"0": decision}, who=who))
        for who, decision in (("Ada", "accept"), ("Ben", "reject"))
    ]
    read_decisions(store, files)
    assert states(store) == {"0": "needs_second"}
    assert len({answer.annotator for answer in store.annotations()}) == 2


def test_a_skip_takes_back_what_was_accepted(store: Workspace, tmp_path: Path) -> None:
    for day, decision in enumerate(["accept", "skip"], start=1):
        read_decisions(store, [write(tmp_path / "d.json", decisions_file(store, {"0": decision}, day=day))])
    assert states(store) == {"0": "needs_second"}


FUTURE = (datetime.now(UTC) + timedelta(days=30)).isoformat()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.update(image_id="f" * 32), "a photo that it does not know"),
        (lambda one: one.update(proposal_id="f" * 32), "which is none of its"),
        (lambda one: one.update(image_id="../../etc"), "image_id"),
        (lambda one: one.update(decision="maybe"), "decision"),
        (lambda one: one.update(decided_at="yesterday"), "decided_at"),
        (lambda one: one.update(decided_at="2026-01-01T10:00:00"), "a time with its zone"),
        (lambda one: one.update(decided_at=FUTURE), "a time in the past"),
        (lambda one: one.update(seconds=-1), "seconds"),
        (lambda one: one.update(seconds=1e400), "seconds"),
        (lambda one: one.update(mask="x"), "no such key"),
        (lambda one: one.pop("proposal_id"), "proposal_id"),
    ],
)
def test_a_fault_bars_the_photo_that_it_is_about(
    store: Workspace, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    content = decisions_file(store, {"0": "accept", "1": "accept"})
    change(content["decisions"][0])
    with pytest.raises(DataError, match=message) as error:
        read_decisions(store, [write(tmp_path / "d.json", content)])
    assert error.value.report.accepted == 1
    assert states(store) == {"1": "accepted"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.update(annotator=" "), "the name of who decided"),
        (lambda file: file.update(annotator="A\nB"), "the name of who decided"),
        (lambda file: file.update(annotator="x" * 101), "the name of who decided"),
        (lambda file: file.pop("annotator"), "annotator"),
        (lambda file: file.update(format="other"), "format"),
        (lambda file: file.update(version="2"), "version"),
        (lambda file: file.update(decisions={}), "decisions"),
    ],
)
def test_a_file_that_nobody_made_is_refused_and_the_others_are_read(
    store: Workspace, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    content = decisions_file(store, {"0": "accept"})
    change(content)
    good = write(tmp_path / "good.json", decisions_file(store, {"1": "accept"}))
    with pytest.raises(DataError, match=message):
        read_decisions(store, [write(tmp_path / "bad.json", content), good])
    assert states(store) == {"1": "accepted"}


def test_a_photo_twice_in_one_file_is_a_fault(store: Workspace, tmp_path: Path) -> None:
    content = decisions_file(store, {"0": "accept", "1": "accept"})
    content["decisions"].append({**content["decisions"][0], "decision": "reject"})
    with pytest.raises(DataError, match="one decision about a photo, got 2"):
        read_decisions(store, [write(tmp_path / "d.json", content)])
    assert states(store) == {"1": "accepted"}


@pytest.mark.parametrize("change", [{"decision": "agree"}, {"seconds": -1}, {"decided_at": "2999-01-01T00:00:00Z"}])
def test_a_photo_that_a_fault_is_about_gets_no_answer_from_another_file_either(
    store: Workspace, tmp_path: Path, change: dict[str, Any]
) -> None:
    bad = decisions_file(store, {"0": "accept"})
    bad["decisions"][0].update(change)
    good = decisions_file(store, {"0": "reject", "1": "accept"})
    with pytest.raises(DataError):
        read_decisions(store, [write(tmp_path / "good.json", good), write(tmp_path / "bad.json", bad)])
    assert states(store) == {"1": "accepted"}
    read_decisions(store, [tmp_path / "good.json"])  # the bad one mended, or left out
    assert states(store) == {"0": "needs_second", "1": "accepted"}


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"a": 1, "a": 2}', "[" * 5000])
def test_what_is_no_file_of_a_sheet_is_named(store: Workspace, tmp_path: Path, text: str) -> None:
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(DataError, match=r"d\.json"):
        read_decisions(store, [tmp_path / "d.json"])
    assert dump(store) == []


def test_a_file_that_is_not_there_is_wrong_usage(store: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json"):
        read_decisions(store, [tmp_path / "none.json"])


def test_the_command_prints_what_it_did_beside_the_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with make_workspace(tmp_path) as store:
        content = decisions_file(store, {"0": "accept", "1": "accept"})
    content["decisions"][0]["proposal_id"] = "f" * 32
    path = write(tmp_path / "decisions (1).json", content)
    code, out, err = run_here(capsys, "sheet", "read", path, "-w", tmp_path / "work")
    assert (code, out.splitlines()) == (
        1,
        ["1 masks accepted, 0 rejected, 0 skipped, 0 there before; new decisions: accepted 1"],
    )
    assert "decisions (1).json" in err
    code, out, _ = run_here(capsys, "sheet", "make", "-w", tmp_path / "work", "-o", tmp_path / "sheet", "--json")
    assert (code, json.loads(out)["photos"], json.loads(out)["decided"]) == (0, 3, 1)
