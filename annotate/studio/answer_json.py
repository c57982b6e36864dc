"""Label Studio's JSON of tasks and answers, as far as it is read: exports are hostile input."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, FiniteFloat

from figureground.annotate.times import utc_text
from figureground.schemas.documents import validate_document


def _utc_text(value: Any) -> str:  # noqa: ANN401  unchecked JSON
    """One spelling for every time, so that times sort as text; the server leaves out microseconds that are 0."""
    if not isinstance(value, str):
        raise ValueError("a time as text")
    return utc_text(value)


def _user_id(value: Any) -> Any:  # noqa: ANN401  a number, an address, or an object with an id
    if isinstance(value, dict):
        value = value.get("id")
    return "" if value is None else str(value) if isinstance(value, int) else value


def _require_unicode(text: str) -> str:
    text.encode()  # half a surrogate pair, which JSON can hold, raises a ValueError
    return text


Text = Annotated[str, AfterValidator(_require_unicode)]
UtcText = Annotated[str, BeforeValidator(_utc_text)]
UserId = Annotated[str, BeforeValidator(_user_id)]


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
    """Judged by its codec."""
    brushlabels: list[Text] = []
    choices: list[Text] = []
    text: list[Text] = []


class Result(BaseModel):
    """One entry of an answer."""

    id: Text = ""
    type: str = ""
    from_name: str = ""
    original_width: int | None = None
    original_height: int | None = None
    origin: Text | None = None
    value: ResultValue = ResultValue()


class Answer(BaseModel):
    """An annotation, or a draft."""

    id: int | str
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

    image_id: str = ""
    proposal_id: str = ""
    answer_ids: dict[str, tuple[str, str]] = {}
    """Of a second look: letter of an answer that is shown to its annotation_id and updated_at."""
    by_authors: bool = False
    """Of a second look: whether those may settle it whose answers are shown."""
    answer_id: str = ""
    """The accepted answer that a task about added attributes shows."""


class Task(BaseModel):
    """A task with its answers, which are judged one by one."""

    id: Any = None
    project: int = 0
    data: TaskData
    annotations: list[Any] | None = None
    drafts: list[Any] | None = None
