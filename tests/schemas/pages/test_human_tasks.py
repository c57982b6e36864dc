"""The kit of the human task on disk: what goes in comes out, and damage is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from human_kits import answers_of, draw_dataset, error, give_answers, make, truth

from figureground.errors import DataError, UsageError
from figureground.runtime.files import file_sha256
from figureground.schemas.classes import ClassMap
from figureground.schemas.pages.human_tasks import (
    HumanAnswer,
    HumanKit,
    HumanTask,
    class_titles,
    read_answers,
    read_kit,
    write_answers,
    write_tasks,
)


@pytest.fixture
def kit(tmp_path: Path) -> HumanKit:
    return make(tmp_path / "kit", draw_dataset(tmp_path / "drawn", per_class=2))


def test_answers_come_out_as_they_went_in_sorted(kit: HumanKit) -> None:
    given = answers_of(kit, {"r10": truth, "r2": error})
    write_answers(kit, reversed(given))
    assert read_answers(kit) == sorted(given, key=lambda answer: (int(answer.rater[1:]), answer.task_id))
    before = (kit.folder / "answers.parquet").read_bytes()
    write_answers(kit, given)
    assert (kit.folder / "answers.parquet").read_bytes() == before


def test_titles_are_words_and_tell_classes_apart() -> None:
    names = ("n02279972", "golden_retriever", "crane-1", "sea_lion", "sea lion".replace(" ", "__"))
    classes = ClassMap.model_validate(
        {"classes": [{"index": index, "name": name, "wnids": [f"n{index}"]} for index, name in enumerate(names)]}
    )
    assert class_titles(classes) == ("monarch", "golden retriever", "crane-1", "sea lion", "sea  lion")
    same = ("n02279972", "monarch")
    alike = ClassMap.model_validate(
        {"classes": [{"index": index, "name": name, "wnids": [f"n{index}"]} for index, name in enumerate(same)]}
    )
    assert class_titles(alike) == ("monarch (n02279972)", "monarch (monarch)")


Change = Callable[[list[HumanAnswer]], list[HumanAnswer]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[1:], "r1: expected 26 answers, got 25; none to .*; wait for the rest"),
        (lambda a: [*a, a[0]], "expected one answer, got two; delete one in Label Studio"),
        (lambda a: [replace(a[0], task_id="f" * 16), *a[1:]], "expected a task of this kit, got 'ffffffffffffffff'"),
        (lambda a: [replace(a[0], said="chosen", chosen=0), *a[1:]], "expected one of yes, no, absent, got 'chosen'"),
        (lambda a: [replace(a[0], chosen=1), *a[1:]], "expected a class where one was chosen, got 1"),
        (lambda a: [replace(a[0], rater="ada@lab.org"), *a[1:]], "expected a rater r1, r2 …, got 'ada@lab.org'"),
        (lambda a: [replace(a[0], seconds=-1.0), *a[1:]], "expected seconds, from 0, got -1.0"),
        (lambda a: [replace(a[0], seconds=float("nan")), *a[1:]], "expected seconds, from 0, got nan"),
        (lambda a: [replace(a[0], said="maybe"), *a[1:]], "row .* said: .*'yes'.* got 'maybe'"),
        (lambda a: [], "expected answers, got none"),
    ],
)
def test_answers_at_fault_are_named(change: Change, message: str, kit: HumanKit) -> None:
    give_answers(kit, {"r1": truth})
    good = read_answers(kit)
    rows = [{name: getattr(answer, name) for name in HumanAnswer.__slots__} for answer in change(good)]
    path = kit.folder / "answers.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)
    with pytest.raises(DataError, match=message):
        read_answers(kit)


def test_missing_answers_may_be_allowed_and_no_file_is_wrong_usage(kit: HumanKit) -> None:
    with pytest.raises(UsageError, match="figureground human pull"):
        read_answers(kit)
    given = give_answers(kit, {"r1": truth, "r2": truth})
    write_answers(kit, given[:-2])
    with pytest.raises(DataError, match="1 fault in the data"):
        read_answers(kit)
    assert len(read_answers(kit, allow_missing=True)) == len(given) - 2


def test_all_faults_of_the_answers_are_said_at_once(kit: HumanKit) -> None:
    given = give_answers(kit, {"r1": truth})
    write_answers(kit, [replace(given[0], seconds=-1.0), replace(given[1], task_id="e" * 16), *given[2:]])
    with pytest.raises(DataError, match=r"2 faults in the data"):
        read_answers(kit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda task: replace(task, task_id="../../etc"), "ids of 16 hex digits"),
        (lambda task: replace(task, picture="x" * 16), "ids of 16 hex digits"),
        (lambda task: replace(task, offered=(0, 3), label=0, asked=0), "different class indices below 3"),
        (lambda task: replace(task, offered=(task.label, task.label)), "different class indices"),
        (lambda task: replace(task, offered=(task.label,), asked=task.label), "the true class and at least one other"),
        (lambda task: replace(task, asked=None), "a question of the design verification"),
        (lambda task: replace(task, repeats="a" * 16), "a repeat of a task of this kit"),
        (lambda task: replace(task, config="elsewhere"), "one of the configs"),
        (lambda task: replace(task, picture="a" * 16), "images/aaaaaaaaaaaaaaaa.png: expected a picture, got no file"),
    ],
)
def test_tasks_at_fault_are_named(change: Callable[[HumanTask], HumanTask], message: str, kit: HumanKit) -> None:
    first, *others = kit.tasks
    path = kit.folder / "tasks.parquet"
    write_tasks(path, [change(first), *others])
    with pytest.raises(DataError, match=r"expected the tasks of kit\.json"):
        read_kit(kit.folder)
    seal(kit)
    with pytest.raises(DataError, match=message):
        read_kit(kit.folder)


def seal(kit: HumanKit) -> None:
    """Make kit.json agree with the tasks again."""
    facts = json.loads((kit.folder / "kit.json").read_text())
    facts["tasks_sha256"] = file_sha256(kit.folder / "tasks.parquet")
    (kit.folder / "kit.json").write_text(json.dumps(facts))


def test_two_tasks_of_one_id_and_lost_pictures_are_named(kit: HumanKit) -> None:
    (kit.picture_path(kit.tasks[0].picture)).unlink()
    write_tasks(kit.folder / "tasks.parquet", [*kit.tasks, kit.tasks[-1]])
    seal(kit)
    with pytest.raises(DataError, match="2 faults") as caught:
        read_kit(kit.folder)
    assert {(fault.expected, fault.got) for fault in caught.value.faults} == {
        ("a picture", "no file"),
        ("tasks, each id once", f"{len(kit.tasks) + 1} rows"),
    }


def test_other_files_are_no_kit(kit: HumanKit, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="figureground human make"):
        read_kit(tmp_path)
    pq.write_table(pa.table({"task_id": ["x"]}), kit.folder / "tasks.parquet")
    with pytest.raises(DataError, match="columns: expected task_id string, picture string"):
        read_kit(kit.folder)
    (kit.folder / "tasks.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="expected Parquet"):
        read_kit(kit.folder)
    (kit.folder / "kit.json").write_text('{"design": "guess"}')
    with pytest.raises(DataError, match=r"design: .*'verification' or 'choice'"):
        read_kit(kit.folder)


def test_the_kit_is_known_by_its_content(kit: HumanKit, tmp_path: Path) -> None:
    assert read_kit(kit.folder).kit_id == kit.kit_id
    other = make(tmp_path / "other", tmp_path / "drawn", seconds_limit=11)
    assert other.kit_id != kit.kit_id
