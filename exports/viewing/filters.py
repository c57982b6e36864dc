"""Which rows are shown: what is asked of them, how many there are, and how many a further choice would leave.

All of it is arithmetic on the columns in memory; no shard is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground.exports.viewing.columns import Coded, RowColumns
from figureground.exports.viewing.readings import Reading
from figureground.schemas.documents import Document

MOST_ROWS: Final = 500
"""Of one answer."""
ANY, NONE, SAME, OTHER = "", "-", "=", "!"
"""Of a ground: any; none of another photo; that of the row's own class; that of another class."""

Chosen = NDArray[np.bool_]
"""``(R,)``: whether a row is."""
Order = Literal["stored", "area", "-area", "confidence", "-confidence"]


class RowFilter(Document):
    """What is asked of rows; a criterion that is left out lets every row through. Names in a list are alternatives."""

    config: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    """Classes of the figure."""
    ground: str = ANY
    """Class of the donor: ``-`` none, ``=`` the figure's own, ``!`` another one than that; empty for any."""
    state: tuple[str, ...] = ()
    """Who made the mask."""
    part: tuple[str, ...] = ()
    """Attributes that rows are about."""
    attribute: str = ""
    """An attribute that the figure has, or lacks, as ``has`` says."""
    has: Literal["yes", "no", "open"] = "yes"
    least_area: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    """Percent of the canvas that the mask covers at least."""
    most_area: float = Field(default=100.0, ge=0, le=100, allow_inf_nan=False)
    """Percent of the canvas that it covers at most; rows without a mask pass where neither end is narrowed."""
    text: str = Field(default="", max_length=128)
    """Begin of an image_id or of its donor's."""
    model: int | None = Field(default=None, ge=0)
    """Number of a model's answers; rows that it did not answer are left out."""
    outcome: Literal["", "right", "wrong"] = ""
    answer: str = ""
    """Class that the model answered, or ``outside the map``."""
    decision: str = ""
    """State that the workspace's newest decision gave the photo; ``-`` for photos without one."""


class PageRequest(Document):
    """Which of the rows that pass are shown."""

    order: Order = "stored"
    offset: int = Field(default=0, ge=0, le=10**9)
    limit: int = Field(default=60, ge=1, le=MOST_ROWS)
    arrange: Literal["rows", "photos"] = "rows"
    """One after the other, or by photo, each with all its rows; offset and limit then count photos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What passed a filter."""

    rows: NDArray[np.int64]
    """Numbers of the rows, ascending."""
    counts: Mapping[str, Mapping[str, int]]
    """Criterion to name to the number of rows there would be if only that name were asked for, all else as it is."""


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """Chooses rows of a dataset."""

    columns: RowColumns
    readings: Sequence[Reading] = ()
    """Answers of models, by which rows are chosen."""
    _none: Chosen = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_none", np.ones(self.columns.rows, dtype=np.bool_))

    def choose(self, asked: RowFilter, decisions: Coded | None = None) -> Selection:
        """Rows that pass, and what further choices would leave.

        Args:
            asked: The filter; names that the dataset has not match no row.
            decisions: State of every row's photo in the workspace; None without one.
        """
        passes = self._criteria(asked, decisions)
        columns = self.columns
        counted: dict[str, Coded] = {
            "config": columns.config,
            "split": columns.split,
            "label": columns.label,
            "ground": columns.ground,
            "state": columns.state,
            "part": columns.part,
        }
        if decisions is not None:
            counted["decision"] = decisions
        counts = {name: coded.counts(self._all_of(passes, but=name)) for name, coded in counted.items()}
        reading = self._reading(asked)
        if reading is not None:
            counts["answer"] = reading.answers.counts(self._all_of(passes, but="answer") & reading.answered)
            judged = self._all_of(passes, but="outcome") & reading.answered
            counts["outcome"] = {
                "right": int((judged & reading.right).sum()),
                "wrong": int((judged & ~reading.right).sum()),
            }
        return Selection(rows=np.flatnonzero(self._all_of(passes)), counts=counts)

    def ordered(self, rows: NDArray[np.int64], asked: RowFilter, order: Order) -> NDArray[np.int64]:
        """Rows in the order that is asked for; equals stay as they are stored, rows without a value come last."""
        if order == "stored":
            return rows
        reading = self._reading(asked)
        if order.endswith("confidence"):
            keys = reading.confidence[rows] if reading is not None else np.zeros(len(rows))
        else:
            keys = self.columns.area[rows]
        return rows[np.argsort(-keys if order.startswith("-") else keys, kind="stable")]

    def _reading(self, asked: RowFilter) -> Reading | None:
        known = asked.model is not None and asked.model < len(self.readings)
        return self.readings[asked.model] if known and asked.model is not None else None

    def _all_of(self, passes: Mapping[str, Chosen], *, but: str = "") -> Chosen:
        """Rows that pass every criterion, or every one but that which is named."""
        chosen = self._none.copy()
        for name, rows in passes.items():
            if name != but:
                chosen &= rows
        return chosen

    def _criteria(self, asked: RowFilter, decisions: Coded | None) -> dict[str, Chosen]:
        """The rows that pass each criterion that is asked for."""
        columns, passes = self.columns, dict[str, Chosen]()
        listed = {"config": columns.config, "split": columns.split, "label": columns.label, "state": columns.state}
        for name, coded in (*listed.items(), ("part", columns.part)):
            if names := getattr(asked, name):
                passes[name] = coded.wanted(names)
        if asked.ground:
            passes["ground"] = self._of_ground(asked.ground)
        if asked.attribute:
            code = {"yes": 1, "no": 0, "open": -1}[asked.has]
            answers = columns.attributes.get(asked.attribute)
            passes["attribute"] = ~self._none if answers is None else answers == code
        if asked.least_area > 0 or asked.most_area < 100:
            percent = columns.area * 100
            passes["area"] = (percent >= asked.least_area) & (percent <= asked.most_area)
        if asked.text:
            begins = [np.char.startswith(_texts(coded), asked.text) for coded in (columns.image, columns.ground_id)]
            codes = (columns.image.codes, columns.ground_id.codes)
            passes["text"] = np.logical_or(
                *(np.append(own, False)[code] for own, code in zip(begins, codes, strict=True))
            )
        if asked.decision and decisions is not None:
            passes["decision"] = decisions.wanted(["" if asked.decision == NONE else asked.decision])
        return {**passes, **self._of_model(asked)}

    def _of_ground(self, ground: str) -> Chosen:
        own, donor = self.columns.label.codes, self.columns.ground.codes
        if ground == NONE:
            return np.less(donor, 0)
        if ground in (SAME, OTHER):
            same: Chosen = np.equal(donor, own)
            return np.greater_equal(donor, 0) & (same if ground == SAME else ~same)
        return self.columns.ground.wanted([ground])

    def _of_model(self, asked: RowFilter) -> dict[str, Chosen]:
        if asked.model is None:
            return {}
        reading = self._reading(asked)
        if reading is None:
            return {"model": ~self._none}
        passes = {"model": reading.answered}
        if asked.outcome:
            passes["outcome"] = reading.right == (asked.outcome == "right")
        if asked.answer:
            passes["answer"] = reading.answers.wanted([asked.answer])
        return passes


def _texts(coded: Coded) -> NDArray[Any]:
    return np.array(coded.names, dtype=np.str_) if coded.names else np.empty(0, dtype="<U1")
