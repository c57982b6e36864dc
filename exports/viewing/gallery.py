"""A dataset as it is looked at: its rows, what models answered to them, and what a workspace decided on its photos."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from figureground.errors import UsageError
from figureground.exports.dataset.files import MANIFEST
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.opening import HubFiles, fetch_file, open_dataset
from figureground.exports.evaluation.repository.shards import data_fingerprint
from figureground.exports.viewing.columns import Coded, RowColumns, read_columns
from figureground.exports.viewing.filters import Chooser, PageRequest, RowFilter
from figureground.exports.viewing.pictures import Pictures
from figureground.exports.viewing.readings import Reading, read_readings
from figureground.runtime.progress import Progress

Json = dict[str, Any]

_MOST_OF_A_PHOTO: Final = 200
"""Rows of one photo that are shown side by side; one of RIVAL10 with all its attributes has some 60."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """A workspace, as far as it is looked at: what it decided, and how a flag is raised."""

    name: str
    """Its folder's name."""
    read: Callable[[], Mapping[str, tuple[str, str]]]
    """Gives state and reason of every photo's newest decision, by image_id."""
    flag: Callable[[Json], Json]
    """Stores what somebody says of a photo; gives the newest decision and whether it is new."""
    flags: tuple[str, ...]
    """What can be said."""


@dataclass(kw_only=True)
class Gallery:
    """A dataset that is looked at."""

    dataset: DatasetFolder
    columns: RowColumns
    pictures: Pictures
    readings: Sequence[Reading] = ()
    decisions: Decisions | None = None
    _decided: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    _states: Coded | None = None
    _chooser: Chooser = field(init=False)

    def __post_init__(self) -> None:
        self._chooser = Chooser(columns=self.columns, readings=self.readings)
        self.read_decisions()

    def about(self) -> Json:
        """What there is to choose from: names, counts, and whether there are pictures, models and a workspace."""
        columns = self.columns
        everything = self._chooser.choose(RowFilter(), self._states)
        return {
            "name": self.dataset.name
            if isinstance(self.dataset.files, HubFiles)
            else Path(self.dataset.name).resolve().name,
            "rows": columns.rows,
            "photos": len(columns.image.names),
            "pixels": columns.has_pixels,
            "masks": bool(np.isfinite(columns.area).any()),
            "classes": [name for name in columns.label.names if everything.counts["label"].get(name)],
            "grounds": [name for name in columns.ground.names if everything.counts["ground"].get(name)],
            "configs": list(everything.counts["config"]),
            "splits": list(everything.counts["split"]),
            "states": [name for name in everything.counts["state"] if name],
            "parts": [name for name in everything.counts["part"] if name],
            "attributes": sorted(columns.attributes),
            "models": [reading.name for reading in self.readings],
            "workspace": self.decisions.name if self.decisions else "",
            "flags": list(self.decisions.flags) if self.decisions else [],
        }

    def read_decisions(self) -> None:
        """Read the workspace's decisions anew; others may have made some."""
        if self.decisions is None:
            return
        self._decided = self.decisions.read()
        images = self.columns.image
        states = [self._decided.get(image_id, ("", ""))[0] for image_id in images.names]
        names = tuple(sorted({state for state in states if state}))
        by_image = np.array([names.index(state) if state else -1 for state in states], dtype=np.int32)
        self._states = Coded(names=names, codes=by_image[images.codes])

    def answer(self, asked: RowFilter, page: PageRequest) -> Json:
        """Rows that pass a filter, one page of them, and what further choices would leave."""
        selection = self._chooser.choose(asked, self._states)
        rows = self._chooser.ordered(selection.rows, asked, page.order)
        reading = self._reading(asked.model)
        shown = rows[page.offset : page.offset + page.limit]
        if page.arrange == "photos":
            return {**self._photos(rows, page, reading), "counts": selection.counts}
        return {
            "total": len(rows),
            "photos": [],
            "rows": [self._row(int(row), reading) for row in shown],
            "counts": selection.counts,
        }

    def describe(self, row: int, model: int | None = None) -> Json:
        """All that is known of a row: its columns, its provenance, what models answered, and its photo's rows.

        Args:
            row: Number of the row.
            model: Number of the model whose answers stand at the photo's rows; None for none.

        Raises:
            DataError: if the shard is damaged there.
        """
        columns, stored, reading = self.columns, self.pictures.stored(row), self._reading(model)
        provenance = dict(stored.get("provenance") or {})
        params = provenance.pop("params", None)
        donor = columns.ground_id.name(row)
        return {
            **self._row(row, None),
            "shard": columns.place(row).shard.path,
            "source_label": stored.get("source_label") or "",
            "box": [round(float(side), 2) for side in stored.get("box") or ()],
            "attributes": {
                name: bool(answers[row]) if answers[row] >= 0 else None for name, answers in columns.attributes.items()
            },
            "parts": [str(part["attribute"]) for part in stored.get("attribute_masks") or []],
            "ground_id": donor,
            "ground_row": self._first_row(donor),
            "provenance": {name: _plain(value) for name, value in provenance.items()},
            "params": params or "",
            "answers": [
                {"model": reading.name, **self._answer_of(row, reading)}
                for reading in self.readings
                if reading.answered[row]
            ],
            "decision": self._decision(columns.image.name(row)),
            "siblings": [self._row(other, reading) for other in self._siblings(int(columns.image.codes[row]))],
        }

    def flag(self, flag: Json) -> Json:
        """Store a flag; gives the photo's newest decision.

        Raises:
            UsageError: without a workspace, or for what is no flag.
        """
        if self.decisions is None:
            raise UsageError("flags need a workspace: figureground view DIR -w WORKSPACE")
        answer = self.decisions.flag(flag)
        self.read_decisions()
        return {**answer, "decision": self._decision(str(flag.get("image_id", "")))}

    def _photos(self, rows: np.ndarray[Any, Any], page: PageRequest, reading: Reading | None) -> Json:
        """Photos that have a row that passes, in the order of their first ones, each with all its rows."""
        codes = self.columns.image.codes[rows]
        _, first = np.unique(codes, return_index=True)
        ordered = codes[np.sort(first)]
        passing = set(rows.tolist())
        shown = ordered[page.offset : page.offset + page.limit]
        return {
            "total": len(rows),
            "photo_total": len(ordered),
            "rows": [],
            "photos": [
                {
                    "image_id": self.columns.image.names[code],
                    "rows": [
                        {**self._row(row, reading), "passes": row in passing} for row in self._siblings(int(code))
                    ],
                }
                for code in shown
            ],
        }

    def _siblings(self, code: int) -> list[int]:
        return self.columns.rows_of_image(code)[:_MOST_OF_A_PHOTO]

    def _first_row(self, image_id: str) -> int | None:
        """A row of a photo, that of the first config, to look at; None where the dataset has none of it."""
        try:
            return self._siblings(self._image_codes[image_id])[0] if image_id else None
        except KeyError:
            return None

    @cached_property
    def _image_codes(self) -> Mapping[str, int]:
        return {name: code for code, name in enumerate(self.columns.image.names)}

    def _row(self, row: int, reading: Reading | None) -> Json:
        columns = self.columns
        area, image_id = float(columns.area[row]), columns.image.name(row)
        return {
            "row": row,
            "config": columns.config.name(row),
            "split": columns.split.name(row),
            "image_id": image_id,
            "label": columns.label.name(row),
            "ground": columns.ground.name(row),
            "part": columns.part.name(row),
            "draw": int(columns.draw[row]),
            "state": columns.state.name(row),
            "area": None if math.isnan(area) else round(100 * area, 2),
            "flag": self._decided.get(image_id, ("", ""))[0],
            **(self._answer_of(row, reading) if reading is not None and reading.answered[row] else {}),
        }

    def _answer_of(self, row: int, reading: Reading) -> Json:
        confidence = float(reading.confidence[row])
        return {
            "answer": reading.answers.name(row),
            "right": bool(reading.right[row]),
            "confidence": None if math.isnan(confidence) else round(confidence, 4),
        }

    def _decision(self, image_id: str) -> Json | None:
        if image_id not in self._decided:
            return None
        state, reason = self._decided[image_id]
        return {"state": state, "reason": reason}

    def _reading(self, number: int | None) -> Reading | None:
        return self.readings[number] if number is not None and 0 <= number < len(self.readings) else None


def open_gallery(
    repository: str | Path,
    *,
    revision: str | None = None,
    results: Sequence[Path] = (),
    decisions: Decisions | None = None,
    progress: Progress = lambda *_: None,
) -> Gallery:
    """Open a dataset to be looked at: its small columns are read, its pictures stay where they are.

    Args:
        repository: Folder of a dataset repository, or OWNER/NAME on the Hub, whose shards are fetched.
        revision: Tag, branch or commit on the Hub; needed there, and for nothing else.
        results: Result files of ``evaluate --out`` on this dataset, or folders of them.
        decisions: The workspace that flags go to; None for none.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if there is no such dataset, or the results are of another one.
        ServiceError: if the Hub cannot be reached.
        DataError: with every shard that is damaged.
    """
    dataset = open_dataset(repository, revision)
    columns = read_columns(dataset, progress)
    readings: list[Reading] = []
    if results:
        readings = read_readings(results, columns, dataset.class_map.names, fingerprint_of(repository, dataset))
    pictures = Pictures(dataset=dataset, columns=columns)
    return Gallery(dataset=dataset, columns=columns, pictures=pictures, readings=readings, decisions=decisions)


def fingerprint_of(repository: str | Path, dataset: DatasetFolder) -> str:
    """What results call the state of a dataset: SHA-256 of its manifest, without the leaderboard that it may carry."""
    files = dataset.files
    if isinstance(files, HubFiles):
        return data_fingerprint(fetch_file(files.name, files.repo_id, files.commit, MANIFEST))
    return data_fingerprint(Path(repository) / MANIFEST)


def _plain(value: Any) -> Any:  # noqa: ANN401  a cell
    """A cell as JSON may hold it: numbers beyond 2 ** 53, which browsers round, as text."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1 << 53:
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
