"""Which questions are asked about a sample: true classes and foils, or choices, and some of them twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from figureground.annotate.human.sample import DatasetRow, seeded_hash
from figureground.errors import Faults, UsageError
from figureground.runtime.files import csv_text
from figureground.schemas.classes import ClassMap
from figureground.schemas.pages.human_tasks import MOST_CHOICES, Design, HumanTask
from figureground.schemas.tables import read_table

_ID_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionPlan:
    """How questions are made."""

    design: Design
    choices: int
    """Most classes that a forced choice offers."""
    repeat_share: float
    """Share of questions that are asked again."""
    seed: int

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if not 2 <= self.choices <= MOST_CHOICES:
            raise UsageError(f"a forced choice offers 2 to {MOST_CHOICES} classes, not {self.choices}")
        if not 0 <= self.repeat_share <= 0.5:
            raise UsageError(f"the share of repeats is between 0 and 0.5, not {self.repeat_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foil:
    """One line of a file of foils."""

    image_id: str
    foil: str
    """Name of the class."""


def blind_id(seed: int, *parts: str) -> str:
    """What a picture or a task is called outside: 16 hex digits."""
    return seeded_hash(seed, *parts)[:_ID_DIGITS]


def picture_id(row: DatasetRow, seed: int) -> str:
    """The blind id of a row's picture."""
    return blind_id(seed, "picture", row.config, row.image_id, str(row.draw), row.attribute or "")


def make_tasks(
    rows: Sequence[DatasetRow], classes: ClassMap, plan: QuestionPlan, foils: Mapping[str, int] | None = None
) -> list[HumanTask]:
    """The questions about rows.

    An image has the same foil, or the same choices, in every config, so that its answers are paired.

    Args:
        rows: What is shown.
        classes: Of the dataset.
        plan: How it is asked.
        foils: Class index of the foil of every image; None to draw foils by hash.
    """
    if len(classes.names) < 2:
        raise UsageError("questions need at least two classes")
    tasks = [task for row in rows for task in _ask(row, len(classes.names), plan, foils)]
    by_config: dict[str, list[HumanTask]] = {}
    for task in tasks:
        by_config.setdefault(task.config, []).append(task)
    return tasks + [again for listed in by_config.values() for again in _repeats(listed, plan)]


def _ask(row: DatasetRow, classes: int, plan: QuestionPlan, foils: Mapping[str, int] | None) -> Iterator[HumanTask]:
    picture = picture_id(row, plan.seed)

    def task(asked: int | None, offered: tuple[int, ...]) -> HumanTask:
        return HumanTask(
            task_id=blind_id(plan.seed, "task", picture, str(asked)),
            picture=picture,
            config=row.config,
            image_id=row.image_id,
            draw=row.draw,
            attribute=row.attribute,
            label=row.label,
            asked=asked,
            offered=offered,
            repeats=None,
        )

    def ranked(purpose: str, among: Iterable[int]) -> list[int]:
        return sorted(among, key=lambda label: seeded_hash(plan.seed, purpose, row.image_id, str(label)))

    others = [index for index in range(classes) if index != row.label]
    if plan.design == "verification":
        foil = ranked("foil", others)[0] if foils is None else foils[row.image_id]
        yield from (task(asked, (row.label, foil)) for asked in (row.label, foil))
    elif classes <= plan.choices:
        yield task(None, tuple(range(classes)))
    else:
        shown = [row.label, *ranked("distractor", others)[: plan.choices - 1]]
        yield task(None, tuple(ranked("order", shown)))


def _repeats(tasks: Sequence[HumanTask], plan: QuestionPlan) -> list[HumanTask]:
    """The same questions once more under new ids: a share of them by hash, one of a picture at most."""
    wanted = round(plan.repeat_share * len(tasks)) or int(plan.repeat_share > 0)
    ranked = sorted(tasks, key=lambda task: seeded_hash(plan.seed, "repeat", task.task_id))
    first_of = {task.picture: task for task in reversed(ranked)}
    chosen = [task for task in ranked if first_of[task.picture] is task][:wanted]
    return [replace(task, task_id=blind_id(plan.seed, "again", task.task_id), repeats=task.task_id) for task in chosen]


def foils_text(tasks: Sequence[HumanTask], classes: ClassMap) -> str:
    """The foils of tasks as the CSV that ``read_foils`` reads, sorted by image."""
    foils = {task.image_id: classes.names[task.offered[1]] for task in tasks if task.asked is not None}
    return csv_text(Foil, (Foil(image_id=image_id, foil=foil) for image_id, foil in sorted(foils.items())))


def read_foils(path: Path, labels: Mapping[str, int], classes: ClassMap) -> dict[str, int]:
    """Read foils from a CSV with the columns ``image_id`` and ``foil``, a class name; other columns are ignored.

    Args:
        path: The CSV.
        labels: Class index of every image that is asked about; all need a foil.
        classes: Of the dataset.

    Raises:
        UsageError: if the file cannot be read.
        DataError: with every fault of it.
    """
    table = read_table(path, ("image_id", "foil"))
    index = {name: label for label, name in enumerate(classes.names)}
    faults, foils = Faults(), dict[str, int]()
    for row in table.rows:
        image_id, foil = row.cells["image_id"], row.cells["foil"]
        record = f"{row.line}, {image_id[:64]}"
        if image_id in foils:
            faults.add(str(path), record, expected="each image once", got="it again")
        elif foil not in index:
            faults.add(str(path), record, expected="a class of class_map.json", got=repr(foil)[:80])
        elif labels.get(image_id) == index[foil]:
            faults.add(str(path), record, expected="a class other than the true one", got=foil)
        else:
            foils[image_id] = index[foil]
    if not faults:
        for image_id in sorted(set(labels) - set(foils)):
            faults.add(str(path), image_id, expected="a foil for every image that is asked about", got="none")
    faults.raise_if_any()
    return foils
