"""The human baseline's kit: a folder of blinded pictures and questions, which annotate asks people and exports scores.

    HUMAN_DIR/
      kit.json             what was drawn from what, and how it is asked: ``KitFacts``
      class_map.json       the dataset's own, byte for byte
      tasks.parquet        one row a question: ``HumanTask``, sorted by task_id
      foils.csv            verification: the foil of every image, as human make --foils reads it
      images/PICTURE.png   what raters see, and models too
      answers.parquet      one row an answer: ``HumanAnswer``, sorted by rater and task_id; once it was pulled

Ids are hashes: whoever has one learns nothing of config, class or photo. All else here stays with the maintainer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, TypeAdapter, ValidationError

from figureground.errors import DataError, Fault, Faults, UsageError, shell_word
from figureground.runtime.files import file_sha256, replace_file
from figureground.schemas.classes import ClassMap, imagenet_names, load_class_map
from figureground.schemas.documents import Document, Name, read_document
from figureground.schemas.records import content_id

Design = Literal["verification", "choice"]
"""``verification``: is it X, asked once of the true class and once of a foil; ``choice``: one of at most 16 classes."""
Arm = Literal["model", "full"]
"""``model``: 224 pixels square, as classifiers see it; ``full``: the stored canvas."""
Said = Literal["yes", "no", "chosen", "absent"]
"""``chosen`` comes with a class. ``absent``: the label is wrong, or there is no object, or nobody could tell."""

MOST_CHOICES: Final = 16
"""Classes that a forced choice may offer (as modelvshuman does, Geirhos et al., NeurIPS 2021)."""
TASKS_FILE: Final = "tasks.parquet"
ANSWERS_FILE: Final = "answers.parquet"
FOILS_FILE: Final = "foils.csv"
CLASS_MAP_FILE: Final = "class_map.json"
BLIND_ID: Final = re.compile(r"[0-9a-f]{16}")
RATER: Final = re.compile(r"r[1-9][0-9]{0,3}")

_SAID_OF: Final[dict[Design, tuple[Said, ...]]] = {
    "verification": ("yes", "no", "absent"),
    "choice": ("chosen", "absent"),
}
_TASK_SCHEMA: Final = pa.schema(
    [
        ("task_id", pa.string()),
        ("picture", pa.string()),
        ("config", pa.string()),
        ("image_id", pa.string()),
        ("draw", pa.int32()),
        ("attribute", pa.string()),
        ("label", pa.int32()),
        ("asked", pa.int32()),
        ("offered", pa.list_(pa.int32())),
        ("repeats", pa.string()),
    ]
)
_ANSWER_SCHEMA: Final = pa.schema(
    [
        ("task_id", pa.string()),
        ("rater", pa.string()),
        ("said", pa.string()),
        ("chosen", pa.int32()),
        ("seconds", pa.float64()),
    ]
)

Record = TypeVar("Record", "HumanTask", "HumanAnswer")


class KitFacts(Document):
    """``kit.json``: what the tasks were drawn from, and how they are asked."""

    schema_version: Literal["1"] = "1"
    design: Design
    arm: Arm
    dataset: str = Field(min_length=1)
    """Name of the repository's folder."""
    manifest_sha256: str | None
    """SHA-256 of the repository's manifest.json; None where it has none."""
    split: Name
    configs: tuple[Name, ...] = Field(min_length=1)
    """In the order in which they were asked for; each is a round of its own."""
    seed: int
    foils: str
    """``hash``, or who chose the foils; empty without foils."""
    repeat_share: float = Field(ge=0, le=0.5)
    """Questions that are asked again, of all; these are the attention checks."""
    seconds_limit: int = Field(ge=1)
    """Seconds for one picture that raters are asked not to exceed."""
    tasks_sha256: str = Field(pattern="[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanTask:
    """One question about one picture."""

    task_id: str
    """16 hex digits."""
    picture: str
    """16 hex digits: ``images/<picture>.png``."""
    config: str
    image_id: str
    draw: int
    """Draw of the row that is shown; an image with several rows is shown by one of them."""
    attribute: str | None
    """Attribute of that row; None in configs that have no rows of single attributes."""
    label: int
    """Index of the true class."""
    asked: int | None
    """verification: index of the class that is asked about, the true one or the foil; None under choice."""
    offered: tuple[int, ...]
    """choice: classes in the order shown; verification: the true class, then its foil."""
    repeats: str | None
    """The task that this one asks again."""

    def is_right(self, answer: HumanAnswer) -> bool:
        """Whether an answer is right; ``absent`` never is."""
        if self.asked is None:
            return answer.chosen == self.label
        return answer.said == ("yes" if self.asked == self.label else "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanAnswer:
    """One answer; a model's too."""

    task_id: str
    rater: str
    """``r1``, ``r2`` … in the order in which raters were named; who they are stays in the workspace."""
    said: Said
    chosen: int | None = None
    """Class index, where ``said`` is ``chosen``."""
    seconds: float | None = None
    """From opening the task to submitting it, as Label Studio measures; None where it is not known."""


@dataclass(frozen=True, kw_only=True)
class HumanKit:
    """A kit as it was read: whole, and true to its facts."""

    folder: Path
    facts: KitFacts
    tasks: tuple[HumanTask, ...]
    """Sorted by task_id."""
    classes: ClassMap

    @cached_property
    def kit_id(self) -> str:
        """Id of the kit by its facts: 32 hex digits."""
        return content_id("human kit", self.facts.model_dump_json())

    @cached_property
    def by_id(self) -> dict[str, HumanTask]:
        """Tasks by task_id."""
        return {task.task_id: task for task in self.tasks}

    @cached_property
    def titles(self) -> tuple[str, ...]:
        """Names of the classes as raters read them, in index order."""
        return class_titles(self.classes)

    def picture_path(self, picture: str) -> Path:
        """File of a picture."""
        return self.folder / "images" / f"{picture}.png"


def class_titles(classes: ClassMap) -> tuple[str, ...]:
    """Names of classes for people: words for wnids and underscores, with the name itself where two would be alike."""
    plain = [imagenet_names().get(name, name).replace("_", " ") for name in classes.names]
    return tuple(
        title if plain.count(title) == 1 else f"{title} ({name})"
        for title, name in zip(plain, classes.names, strict=True)
    )


def write_tasks(path: Path, tasks: Iterable[HumanTask]) -> None:
    """Write tasks sorted by task_id; the same tasks give the same bytes."""
    _write(path, _TASK_SCHEMA, sorted(tasks, key=lambda task: task.task_id))


def write_answers(kit: HumanKit, answers: Iterable[HumanAnswer]) -> None:
    """Write a kit's answers sorted by rater and task, in place of those that were there."""
    rows = sorted(answers, key=lambda answer: (int(answer.rater[1:]), answer.task_id))
    _write(kit.folder / ANSWERS_FILE, _ANSWER_SCHEMA, rows)


def read_kit(folder: Path) -> HumanKit:
    """Read a kit.

    Raises:
        UsageError: if the folder is no kit.
        DataError: with every fault of it: damaged files, tasks that are not those it was made with, lost pictures.
    """
    if not (folder / "kit.json").is_file():
        raise UsageError(f"{folder} holds no kit.json; make a kit with: figureground human make DATASET -o KIT")
    facts = read_document(folder / "kit.json", KitFacts)
    classes = load_class_map(str(folder / CLASS_MAP_FILE))
    tasks = _read(folder / TASKS_FILE, _TASK_SCHEMA, HumanTask)
    kit = HumanKit(folder=folder, facts=facts, tasks=tuple(tasks), classes=classes)
    sha256 = file_sha256(folder / TASKS_FILE)
    faults = Faults()
    if sha256 != facts.tasks_sha256:
        faults.add(
            str(folder / TASKS_FILE),
            "",
            expected=f"the tasks of kit.json, SHA-256 {facts.tasks_sha256[:12]}…",
            got=f"{sha256[:12]}…",
            remedy="take the kit from where it was made",
        )
    for task in kit.tasks:
        if expected := _task_fault(task, kit):
            faults.add(str(folder / TASKS_FILE), task.task_id[:32], expected=expected, got=repr(asdict(task))[:200])
    for picture in sorted({task.picture for task in kit.tasks if BLIND_ID.fullmatch(task.picture)}):
        if not kit.picture_path(picture).is_file():
            faults.add(str(folder), f"images/{picture}.png", expected="a picture", got="no file")
    if len(kit.by_id) < len(kit.tasks) or not kit.tasks:
        faults.add(str(folder / TASKS_FILE), "", expected="tasks, each id once", got=f"{len(kit.tasks)} rows")
    faults.raise_if_any()
    return kit


def _task_fault(task: HumanTask, kit: HumanKit) -> str:
    """What would have been right, for a task that is at fault; empty for a sound one."""
    ids = [task.task_id, task.picture, *([task.repeats] if task.repeats is not None else [])]
    if not all(map(BLIND_ID.fullmatch, ids)):
        return "ids of 16 hex digits"
    if len(set(task.offered)) < len(task.offered) or not set(task.offered) <= set(range(len(kit.classes.names))):
        return f"different class indices below {len(kit.classes.names)}"
    if task.label not in task.offered or len(task.offered) < 2:
        return "the true class and at least one other"
    if (task.asked is None) != (kit.facts.design == "choice") or task.asked not in (None, *task.offered):
        return f"a question of the design {kit.facts.design}"
    if task.repeats is not None and task.repeats not in kit.by_id:
        return "a repeat of a task of this kit"
    return "" if task.config in kit.facts.configs else f"one of the configs {', '.join(kit.facts.configs)}"


def read_answers(kit: HumanKit, *, allow_missing: bool = False) -> list[HumanAnswer]:
    """Read what raters answered.

    Args:
        kit: What they were asked.
        allow_missing: Take raters who have not answered everything.

    Raises:
        UsageError: if nothing was pulled.
        DataError: with every fault: answers to unknown tasks, two answers of a rater to one task, words or classes that
            were not offered, and unless they are allowed, questions without an answer.
    """
    path = kit.folder / ANSWERS_FILE
    if not path.is_file():
        fetch = f"figureground human pull {shell_word(kit.folder)} -w WORKSPACE"
        raise UsageError(f"{path} is not there; fetch answers with: {fetch}")
    answers = _read(path, _ANSWER_SCHEMA, HumanAnswer)
    faults = [fault for answer in answers for fault in answer_faults(answer, kit, str(path))]
    given: dict[str, set[str]] = {}
    for answer in answers:
        mine = given.setdefault(answer.rater, set())
        if answer.task_id in mine:
            faults.append(
                Fault(
                    where=str(path),
                    record=f"{answer.rater} {answer.task_id[:32]}",
                    expected="one answer",
                    got="two",
                    remedy="delete one in Label Studio and pull again",
                )
            )
        mine.add(answer.task_id)
    if not allow_missing and not faults:
        faults += [_missing(rater, kit, mine, str(path)) for rater, mine in given.items() if len(mine) < len(kit.tasks)]
    if faults or not answers:
        raise DataError(faults or [Fault(where=str(path), record="", expected="answers", got="none")])
    return answers


def _missing(rater: str, kit: HumanKit, given: set[str], where: str) -> Fault:
    first = next(task.task_id for task in kit.tasks if task.task_id not in given)
    return Fault(
        where=where,
        record=rater,
        expected=f"{len(kit.tasks)} answers",
        got=f"{len(given)}; none to {first}, first",
        remedy="wait for the rest and pull again, or score what there is with --allow-missing",
    )


def answer_faults(answer: HumanAnswer, kit: HumanKit, where: str) -> list[Fault]:
    """Faults of one answer, whatever the other answers are."""
    task, record = kit.by_id.get(answer.task_id), f"{answer.rater[:32]} {answer.task_id[:32]}"
    offered = ", ".join(_SAID_OF[kit.facts.design])
    rules: Sequence[tuple[bool, str, object]] = (
        (bool(RATER.fullmatch(answer.rater)), "a rater r1, r2 …", answer.rater),
        (task is not None, "a task of this kit", answer.task_id),
        (answer.said in _SAID_OF[kit.facts.design], f"one of {offered}", answer.said),
        ((answer.chosen is not None) == (answer.said == "chosen"), "a class where one was chosen", answer.chosen),
        (task is None or answer.chosen in (None, *task.offered), "a class that was offered", answer.chosen),
        (
            answer.seconds is None or (math.isfinite(answer.seconds) and answer.seconds >= 0),
            "seconds, from 0",
            answer.seconds,
        ),
    )
    return [
        Fault(where=where, record=record, expected=expected, got=repr(got)[:80])
        for holds, expected, got in rules
        if not holds
    ]


def _write(path: Path, schema: pa.Schema, records: Sequence[HumanTask] | Sequence[HumanAnswer]) -> None:
    table = pa.Table.from_pylist([asdict(record) for record in records], schema=schema)
    with replace_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _read(path: Path, schema: pa.Schema, record_type: type[Record]) -> list[Record]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError.single(str(path), "", expected="Parquet", got=str(error)) from error
    if not table.schema.equals(schema):
        expected = ", ".join(f"{field.name} {field.type}" for field in schema)
        got = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise DataError.single(str(path), "columns", expected=expected, got=got)
    adapter: TypeAdapter[Record] = TypeAdapter(record_type)
    records, faults = list[Record](), Faults()
    for number, row in enumerate(table.to_pylist()):
        try:
            records.append(adapter.validate_python(row))
        except ValidationError as error:
            first: Any = error.errors(include_url=False)[0]
            column = f"row {number} {'.'.join(map(str, first['loc']))}"
            faults.add(str(path), column, expected=first["msg"], got=repr(first["input"])[:80])
    faults.raise_if_any()
    return records


DESIGNS: Final = get_args(Design)
ARMS: Final = get_args(Arm)
