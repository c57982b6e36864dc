"""Label Studio's JSON of tasks and answers, as far as it is read: exports are hostile input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, FiniteFloat

from figureground.annotate.times import utc_text
from figureground.errors import DataError, Fault
from figureground.schemas.documents import read_text, shown, validate_document

_MARKS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
"""Texts, which may hold brackets, and brackets and commas."""
_PHOTO: Final = re.compile(r'"image_id"\s*:\s*"([^"\\]{1,64})"')
_EXPORT: Final = "export as JSON, not JSON-MIN, CSV or COCO"


def _utc_text(value: Any) -> str:  # noqa: ANN401  unchecked JSON
    """One spelling for every time, so that times sort as text; the server leaves out microseconds that are 0."""
    if not isinstance(value, str):
        raise ValueError("a time as text")
    return utc_text(value)


def _user_id(value: Any) -> Any:  # noqa: ANN401  a number, an address, or an object with one of them
    if isinstance(value, dict):
        value = value.get("email") if value.get("id") is None else value["id"]
    return "" if value is None else str(value) if isinstance(value, int) else value


def _require_unicode(text: str) -> str:
    text.encode()  # half a surrogate pair, which JSON can hold, raises a ValueError
    return text


Text = Annotated[str, AfterValidator(_require_unicode)]
UtcText = Annotated[str, BeforeValidator(_utc_text)]
UserId = Annotated[str, BeforeValidator(_user_id), AfterValidator(_require_unicode), AfterValidator(str.strip)]
"""Empty for nobody: Label Studio gives null for an account that was deleted."""


def read_time(value: Any) -> str:  # noqa: ANN401  unchecked JSON
    """A time of the server's in the spelling of ``utc_text``.

    Raises:
        DataError: if it is no time, or has no zone.
    """
    return validate_document({"time": value}, _Time, where="Label Studio").time


class _Time(BaseModel):
    time: UtcText


class ResultValue(BaseModel):
    """What was painted, chosen or written; other kinds of values have none of these."""

    rle: Any = None
    """Of a brush; judged by its codec."""
    imageDataURL: Any = None
    """Of a bitmask; judged by its codec."""
    brushlabels: list[Text] = []
    bitmasklabels: list[Text] = []
    x: Any = None
    points: Any = None
    """Where other kinds of regions lie; never read."""
    choices: list[Text] = []
    text: list[Text] = []

    @property
    def drawn(self) -> bool:
        """Whether it lies somewhere in the photo, as regions do, and what is said of one region."""
        return any(part is not None for part in (self.rle, self.imageDataURL, self.x, self.points))


class Result(BaseModel):
    """One entry of an answer."""

    id: Text = ""
    type: Text = ""
    from_name: Text = ""
    original_width: int | None = None
    original_height: int | None = None
    origin: Text | None = None
    value: ResultValue = ResultValue()


class Answer(BaseModel):
    """An annotation, or a draft."""

    id: int | Text
    created_at: UtcText
    updated_at: UtcText
    completed_by: UserId = ""
    updated_by: UserId = ""
    user: UserId = ""
    """Who a draft belongs to."""
    lead_time: FiniteFloat | None = None
    """Seconds."""
    was_cancelled: bool | None = None
    result: list[Result] | None = None


class TaskData(BaseModel):
    """What push put into a task."""

    image_id: Text = ""
    proposal_id: Text = ""
    answer_ids: dict[Text, tuple[Text, Text]] = {}
    """Of a second look: letter of an answer that is shown to its annotation_id and updated_at."""
    by_authors: bool = False
    """Of a second look: whether those may settle it whose answers are shown."""
    answer_id: Text = ""
    """The accepted answer that a task about added attributes shows."""


class Task(BaseModel):
    """A task with its answers, which are judged one by one."""

    id: Any = None
    project: int = Field(default=0, ge=0, lt=1 << 63)
    data: TaskData
    annotations: list[Any] | None = None
    drafts: list[Any] | None = None


def parse_answer(answer: Any, image_id: str) -> Answer:  # noqa: ANN401  unchecked JSON
    """An annotation or draft of a photo's task, checked; one that was checked already stays as it is.

    Raises:
        DataError: with every fault, each of which names the photo and the answer.
    """
    number = answer.get("id") if isinstance(answer, dict) else getattr(answer, "id", None)
    return validate_document(answer, Answer, where=f"Label Studio: {image_id} answer {shown(number)}")


def read_export(path: Path) -> tuple[list[Any], list[Fault], set[str]]:
    """The tasks of Label Studio's JSON export, unchecked.

    A task that no parser of ours unfolds (a thousand levels, a number of thousands of digits) is a fault of its own;
    the others are read.

    Returns:
        The tasks, the faults, and the photos that those are about, as far as that can be seen.

    Raises:
        UsageError: if the file cannot be read.
        DataError: if it is no such export.
    """
    text = read_text(path)
    faults: list[Fault] = []
    barred: set[str] = set()
    try:
        tasks = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}"
        raise DataError.single(
            str(path), place, expected="Label Studio's JSON export", got=error.msg, remedy=_EXPORT
        ) from error
    except (ValueError, RecursionError):
        tasks = []
        for number, part in enumerate(_parts(text)):
            try:
                tasks.append(json.loads(part))
            except (ValueError, RecursionError) as error:
                photo = _PHOTO.search(part)
                barred |= {photo[1]} if photo else set()
                name = f"task at place {number}" + (f", photo {photo[1]}" if photo else "")
                got = "nesting of a thousand levels" if isinstance(error, RecursionError) else str(error).split(";")[0]
                faults.append(Fault(where=str(path), record=name, expected="a task that can be read", got=got))
    if not isinstance(tasks, list):
        expected, got = "a list of tasks with data and annotations", type(tasks).__name__
        raise DataError.single(str(path), "", expected=expected, got=got, remedy=_EXPORT)
    if tasks and all(isinstance(task, dict) and not task.keys() & {"data", "annotations"} for task in tasks):
        got = f"tasks with {shown(sorted(map(str, tasks[0])))}"
        raise DataError.single(
            str(path), "", expected="tasks with data and annotations", got=got, remedy="export as JSON, not JSON-MIN"
        )
    return tasks, faults, barred


def _parts(text: str) -> Iterator[str]:
    """The members of a JSON list as text, told by brackets alone; of anything else the whole text."""
    depth = begin = 0
    for mark in _MARKS.finditer(text):
        depth += mark[0] in ("[", "{")
        if depth == 1 and mark[0] == "[" and not text[: mark.start()].strip():
            begin = mark.end()
        elif depth == 1 and mark[0] in (",", "]") and begin:
            if part := text[begin : mark.start()].strip():
                yield part
            begin = mark.end()
        depth -= mark[0] in ("]", "}")
    if not begin:
        yield text
