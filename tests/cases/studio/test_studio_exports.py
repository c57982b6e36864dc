"""Exports: one hostile answer aborts no other, other formats are told apart, and secrets outlive two pulls at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pulled_exports import GOOD, MASK, NONE, A, B, faults_of, pull, state_of
from shared_cases import run_here
from studio_samples import Json, make_answer, make_export, make_schema, painted, ticked, write_export

from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.segmenters.loading import ModelChoice
from figureground.annotate.studio.accounts import accounts, keep_password
from figureground.annotate.studio.answer_json import read_export
from figureground.annotate.studio.backend_daemon import model_options, started_options
from figureground.annotate.studio.home import StudioHome, changing_secret
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.studio.pull import pull_export
from figureground.annotate.times import utc_text
from figureground.errors import DataError
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "work") as workspace:
        workspace.add_images([A, B])
        yield workspace


# A fault has a place, and one answer aborts no other

DEEP = '[{"id": 9, "data": {"image_id": "%s"}, "annotations": [{"result": %s}]}, %s]'
HOSTILE: dict[str, tuple[Callable[[Json], Any], str]] = {
    "no time": (lambda task: task["annotations"][0].pop("updated_at"), "a.jpg answer 41: updated_at"),
    "a time out of range": (
        lambda task: task["annotations"][0].update(updated_at="0001-01-01T00:00:00+23:59"),
        "a.jpg answer 41: updated_at (task 17): expected a time of the years 1 to 9999",
    ),
    "the other end of time": (
        lambda task: task["annotations"][0].update(created_at="9999-12-31T23:59:59-23:59"),
        "a.jpg answer 41: created_at (task 17): expected a time of the years 1 to 9999",
    ),
    "half a character in an id": (lambda task: task["annotations"][0].update(id="\ud800"), "a.jpg answer '\\ud800'"),
    "half a character in an author": (
        lambda task: task["annotations"][0].update(completed_by="\ud800"),
        "a.jpg answer 41: completed_by",
    ),
    "half a character in a kind": (
        lambda task: task["annotations"][0]["result"][0].update(type="\ud800"),
        "a.jpg answer 41: result.0.type",
    ),
    "half a character in the photo's id": (
        lambda task: task["data"].update(image_id="\ud800"),
        "task 17: data.image_id",
    ),
    "half a character in the proposal's id": (
        lambda task: task["data"].update(proposal_id="\ud800"),
        "task 17: data.proposal_id",
    ),
    "half a character in an answer that is shown": (
        lambda task: task["data"].update(answer_ids={"A": ["\ud800", "x"]}),
        "task 17: data.answer_ids",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_one_hostile_answer_is_named_and_the_others_are_stored(store: Workspace, kind: str) -> None:
    damage, expected = HOSTILE[kind]
    task = {**make_export(A, [make_answer([painted(MASK)], number=41)]), "id": 17}
    damage(task)
    lines, report = faults_of(store, task, GOOD)
    assert any(expected in line for line in lines)
    assert state_of(store, B) == "accepted"
    assert report.answers == {"submitted": 1}


@pytest.mark.parametrize(
    ("value", "got"), [("[" * 5000 + "]" * 5000, "nesting of a thousand levels"), ("9" * 5000, "4300 digits")]
)
def test_a_task_that_no_parser_unfolds_is_a_fault_of_its_own(store: Workspace, value: str, got: str) -> None:
    path = store.root / "export.json"
    text = json.dumps([{**GOOD, "note": 'a "[ {, \\'}])[1:-1]
    path.write_text(DEEP % (A.image_id, value, text), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        pull_export(store, path, schema=NONE)
    (fault,) = caught.value.faults
    assert fault.record == f"task at place 0, photo {A.image_id}"
    assert got in fault.got
    assert state_of(store, B) == "accepted"


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 5000 + "1" + "}" * 5000, "9" * 5000])
def test_a_file_that_is_one_deep_value_is_a_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    try:
        tasks, faults, _ = read_export(path)
    except DataError as error:
        tasks, faults = [], list(error.faults)
    assert tasks == []
    assert len(faults) <= 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"id": 1, "image_id": "x", "mask": [], "annotator": 1, "annotation_id": 1}], "export as JSON, not JSON-MIN"),
        ([{"id": 1, "completions": []}], "export as JSON, not JSON-MIN"),
        ({"images": [], "annotations": [], "categories": []}, "export as JSON, not JSON-MIN, CSV or COCO"),
    ],
)
def test_other_exports_are_told_apart(store: Workspace, value: Any, expected: str) -> None:
    path = write_export(store.root / "export.json", value)
    with pytest.raises(DataError, match=expected):
        pull_export(store, path, schema=NONE)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_export_is_read_with_a_byte_order_mark_too(store: Workspace, encoding: str) -> None:
    path = store.root / "export.json"
    path.write_text(json.dumps([GOOD]), encoding=encoding)
    assert pull_export(store, path, schema=NONE).answers == {"submitted": 1}


def test_times_sort_as_text_in_every_year() -> None:
    times = ["0001-01-02T00:00:00Z", "0999-12-31T23:59:59.5+00:00", "2026-05-01T12:05:00+02:00", "2026-05-01T10:05:01Z"]
    spelled = [utc_text(time) for time in times]
    assert spelled == sorted(spelled)
    assert spelled[2] == "2026-05-01T10:05:00.000000Z"


# What an export was read by, and the report


def test_the_attributes_of_an_export_are_remembered(store: Workspace) -> None:
    first = make_schema(ticked=["wet"])
    second = make_schema(ticked=["soaked"], was={"soaked": "wet"}, version="2")
    late = make_answer([painted(MASK)], number=7, updated_at="2026-07-01T10:00:00Z", created_at="2026-07-01T10:00:00Z")
    pull(store, make_export(B, [late]), schema=second)  # the newer one first
    pull(store, make_export(A, [make_answer([painted(MASK), ticked("attributes", "wet")])]), schema=first)
    pull(store, make_export(A, [make_answer([painted(MASK), ticked("attributes", "wet")])]), schema=first)
    assert [json.loads(text)["version"] for text in store.pushed_schemas()] == ["1", "2"]
    (old,) = store.annotations(A.image_id)
    assert AttributeHistory.of(store).current(old).attributes == {"soaked": True}


def test_the_report_is_printed_with_the_faults(store: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    half = make_export(A, [make_answer([painted(MASK), {**painted(MASK), "id": "r2", "type": "polygonlabels"}])])
    path = write_export(store.root / "export.json", [half, GOOD])
    words = ("studio", "pull", "-w", store.root, "--from-export", path, "--attributes", "none")
    code, out, err = run_here(capsys, *words, "--json")
    assert code == 1
    report = json.loads(out)
    assert (report["answers"], report["barred"], report["decisions"]) == ({"submitted": 1}, 1, {"accepted": 1})
    assert "polygonlabels of mask" in err
    code, out, _ = run_here(capsys, *words)
    assert (code, "1 photos left as they were" in out) == (1, True)


# Secrets that several commands write


def _draw(root: Path, names: list[str], gate: Any) -> None:
    pseudonyms = Pseudonyms(StudioHome.of(root), "s")
    gate.wait()
    for name in names:
        pseudonyms.of(name)


def _keep(root: Path, names: list[str], gate: Any) -> None:
    home = StudioHome.of(root)
    gate.wait()
    for name in names:
        with changing_secret(home.root / "accounts.json"):
            keep_password(home, name)


def at_once(work: Callable[[Path, list[str], Any], None], root: Path, lists: list[list[str]]) -> None:
    fork = multiprocessing.get_context("fork")
    gate = fork.Barrier(len(lists))
    workers = [fork.Process(target=work, args=(root, names, gate)) for names in lists]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)


NAMES = [[f"{worker}-{number}" for number in range(20)] + ["shared"] for worker in range(3)]


def test_pulls_at_once_lose_no_pseudonym(tmp_path: Path) -> None:
    at_once(_draw, tmp_path, NAMES)
    known = json.loads((tmp_path / "studio" / "pseudonyms.json").read_text())["s"]
    assert known.keys() == {name for names in NAMES for name in names}


def test_one_person_is_one_pseudonym_in_two_commands(tmp_path: Path) -> None:
    one, other = Pseudonyms(StudioHome.of(tmp_path), "s"), Pseudonyms(StudioHome.of(tmp_path), "s")
    assert one.of("3") == other.of("3")
    assert other.of("4") == one.of("4")


def test_pushes_at_once_lose_no_password(tmp_path: Path) -> None:
    at_once(_keep, tmp_path, NAMES)
    assert accounts(StudioHome.of(tmp_path)).keys() == {name for names in NAMES for name in names}


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "null", "\xff", ""])
def test_damaged_accounts_are_a_clear_error(tmp_path: Path, text: str) -> None:
    home = StudioHome.of(tmp_path)
    home.root.mkdir()
    path = home.root / "accounts.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="addresses and passwords of annotators") as caught:
        accounts(home)
    assert str(path) in str(caught.value)
    with changing_secret(path), pytest.raises(DataError):
        keep_password(home, "a@b")
    assert path.read_bytes() == text.encode("latin-1")


def test_the_model_of_an_interactive_sam_that_runs_is_known() -> None:
    import psutil

    choice = ModelChoice(segmenter="sam", checkpoint="x y.pth", device="cpu")
    command = [
        sys.executable,
        "-c",
        "print(flush=True); input()",
        "backend",
        "-w",
        os.fspath("w"),
        *model_options(choice),
        "--port",
        "1",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert started_options(psutil.Process(process.pid)) == model_options(choice)
        process.communicate(b"\n")
    assert started_options(None) == []
