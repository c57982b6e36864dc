"""Cue conflict of every model again from the answers that ``evaluate --out`` stored: no model is run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from figureground.errors import DataError, UsageError
from figureground.exports.evaluation.intervals import MIN_DECIDABLE
from figureground.exports.evaluation.protocols.conflict import (
    CONFLICT_LEGEND,
    LEAST_OF_GROUP,
    conflict_cells,
    conflict_spaces,
)
from figureground.exports.evaluation.results import align_columns, describe_groups, describe_masks
from figureground.exports.evaluation.tables import RULE, Cell, describe_stars, find_stars, measured_cell, percent
from figureground.exports.report.pictures import PictureFolder, PictureFormat
from figureground.exports.report.stored_answers import answers_path, read_arrays
from figureground.exports.report.stored_results import read_results
from figureground.runtime.files import csv_text, write_text

SCHEMA_VERSION: Final = "1"
DEFINITIONS: Final = {
    "bias": "answers that are the figure's class / answers that are the figure's or the ground's; 1/2 where neither "
    "wins",
    "attraction": "share of answers that are the ground's class, less how often figures of the same class are "
    "answered so on grounds of other classes (chance); 0 where the ground's class does not draw answers",
    "worst_group": "lowest accuracy of class of the figure x class of the ground; small groups are pooled by figure",
    "differences": "between variants, over the same images",
}
_STORED: Final = ("image_id", "label", "mapped", "cluster", "ground_label", "own_output", "ground_output")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictReading:
    """One model in one label space."""

    model: str
    dataset: str
    fingerprint: str
    split: str
    feed: str
    protocol: str
    space: str
    summary: Mapping[str, Any]
    """As ``summarise_conflict`` gives it."""
    notes: tuple[str, ...]
    """What a reader must know of masks and groups."""

    @property
    def where(self) -> tuple[str, ...]:
        """What readings that stand side by side have in common."""
        return self.dataset, self.fingerprint, self.split, self.protocol, self.space, self.feed

    @property
    def title(self) -> str:
        """The same in words."""
        return f"{self.dataset} ({self.split}), {self.protocol}, label space {self.space}, feed {self.feed}"

    def json(self) -> dict[str, Any]:
        """JSON-ready."""
        names = ("model", "dataset", "fingerprint", "split", "feed", "protocol", "space")
        return {**{name: getattr(self, name) for name in names}, **self.summary}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """A line of ``conflict.csv``: a pair of classes under one model."""

    model: str
    space: str
    config: str
    figure: str
    ground: str
    n: int
    n_rows: int
    figure_answers: int
    ground_answers: int
    outside: int


def read_conflicts(paths: Sequence[Path], *, least: int = LEAST_OF_GROUP) -> list[ConflictReading]:
    """Cue conflict of every result that has rows with a ground of another class, by model and label space.

    Args:
        paths: Result files of ``evaluate``, or folders of them, with the answers beside them.
        least: Images below which a group of figure and ground is pooled, or else marked.

    Raises:
        UsageError: if no result has such rows, or answers were not stored.
        DataError: for files that are no results, and for damaged answers.
    """
    readings = [reading for result in read_results(paths) for reading in _read_result(result, least)]
    if not readings:
        raise UsageError(
            "no result here has rows whose ground is of another class: score mixed_rand or mixed_next by imagenet9 or "
            "background_check with this version"
        )
    return readings


def stored_readings(result: Mapping[str, Any]) -> list[ConflictReading]:
    """Cue conflict of a result as ``evaluate`` told it, by label space; ``result`` is as ``read_results`` gives it."""
    spaces = result.get("label_spaces", {result.get("label_space"): result})
    return [
        _reading(result, spaces[space], name, summary)
        for space, own in spaces.items()
        for name, summary in own.get("conflict", {}).items()
    ]


def _read_result(result: Mapping[str, Any], least: int) -> list[ConflictReading]:
    """The same from the answers to every row."""
    spaces = result.get("label_spaces", {result.get("label_space"): result})
    readings = []
    for space, own in spaces.items():
        known: Mapping[str, Any] = own.get("conflict", {})
        summary: Mapping[str, Any] = next(iter(known.values()), {"configs": {}, "classes": []})
        answers = {config: _answers(result, config, exact="exact1000" in known) for config in summary["configs"]}
        again = conflict_spaces(answers, str(space), summary["classes"], least) if answers else {}
        readings += [_reading(result, own, name, reading) for name, reading in again.items()]
    return readings


def _reading(
    result: Mapping[str, Any], own: Mapping[str, Any], space: str, summary: Mapping[str, Any]
) -> ConflictReading:
    data = result["dataset"]
    return ConflictReading(
        model=result["model"],
        dataset=data["name"],
        fingerprint=data["fingerprint"],
        split=result["split"],
        feed=result["feed"],
        protocol=result["protocol"],
        space=space,
        summary=summary,
        notes=(*describe_masks(data), *describe_groups(data, own)),
    )


def _answers(result: Mapping[str, Any], config: str, *, exact: bool) -> dict[str, Any]:
    path = answers_path(result, config)
    if not path.is_file():
        raise UsageError(f"{result['model']}: its answers on {config} are not there ({path}); score it with --out")
    names = (*_STORED, *(["predicted"] if exact else []))
    arrays = read_arrays(path, names)
    kinds = {name: array.dtype.kind for name, array in arrays.items()}
    wrong = sorted(
        name for name, kind in kinds.items() if kind not in ("U" if name in ("image_id", "cluster") else "iu")
    )
    if wrong or any(array.ndim != 1 for array in arrays.values()):
        got = ", ".join(f"{name} {arrays[name].dtype}" for name in wrong) or "arrays of other shapes"
        raise DataError.single(str(path), "", expected="answers of evaluate", got=got, remedy="run evaluate again")
    return arrays


def describe_conflicts(readings: Sequence[ConflictReading]) -> str:
    """A table for each dataset and label space, models across; then what differs between variants."""
    groups: dict[tuple[str, ...], list[ConflictReading]] = {}
    for reading in readings:
        groups.setdefault(reading.where, []).append(reading)
    return "\n\n".join(_describe_group(members) for members in groups.values())


def _describe_group(members: Sequence[ConflictReading]) -> str:
    columns = [conflict_cells({reading.space: reading.summary}) | _difference_cells(reading) for reading in members]
    names = list(dict.fromkeys(name for cells in columns for name in cells))
    cells = {(name, number): own[name] for number, own in enumerate(columns) for name in own}
    stars, comparisons = find_stars(cells)
    rows: list[list[str]] = [["", *(reading.model for reading in members)]]
    for name in names:
        texts = [cells.get((name, number), RULE).text((name, number) in stars) for number in range(len(members))]
        rows.append([] if name.startswith("-") else [name, *texts])
    first = members[0].summary
    sizes = ", ".join(f"{config} {own['n']}" for config, own in first["configs"].items())
    alike = "; ".join(f"{reading.model}: {_lowest(reading)}" for reading in members if _lowest(reading))
    foot = [
        f"percent [95 % interval]; images on a ground of another class: {sizes}",
        *CONFLICT_LEGEND,
        _explain_worst(first),
        *([f"lowest group on average if all were as accurate: {alike}"] if alike else []),
        *dict.fromkeys(note for reading in members for note in reading.notes),
        describe_stars(comparisons),
    ]
    return "\n".join([members[0].title, *align_columns(rows), *filter(None, foot)])


def _explain_worst(summary: Mapping[str, Any]) -> str:
    """What the rows of the worst group are, or why there are none."""
    if all(own["worst_group"]["value"] is None for own in summary["configs"].values()):
        return f"worst group: no group of figure x ground has {summary['least']} images"
    return (
        f"worst group: of groups of at least {summary['least']} images, smaller ones pooled by the figure's class; its "
        "interval allows for the worst being picked of all groups"
    )


def _lowest(reading: ConflictReading) -> str:
    shares = {config: own["worst_group"].get("if_alike") for config, own in reading.summary["configs"].items()}
    return ", ".join(f"{config} {percent(share)}" for config, share in shares.items() if share is not None)


def _difference_cells(reading: ConflictReading) -> dict[str, Cell]:
    """How far variants differ, over the same images."""
    cells = {"-differences": RULE} if reading.summary["differences"] else dict[str, Cell]()
    for compared in reading.summary["differences"].values():
        few = compared["n"] < MIN_DECIDABLE
        for figure in (name for name in ("bias", "attraction") if name in compared):
            row = f"{compared['minuend']} - {compared['subtrahend']}, conflict {figure}"
            cells[row] = measured_cell(compared[figure], signed=True, few=few)
    return cells


def conflicts_json(readings: Sequence[ConflictReading]) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "schema_version": SCHEMA_VERSION,
        "definitions": DEFINITIONS,
        "undecidable_below": MIN_DECIDABLE,
        "models": [reading.json() for reading in readings],
    }


def write_conflicts(
    readings: Sequence[ConflictReading], out: Path, *, picture_format: PictureFormat = "png"
) -> list[str]:
    """Write ``conflict.txt``, ``conflict.json``, ``conflict.csv`` and pictures into ``out``; returns their names."""
    from figureground.exports.report.conflict import drawing

    out.mkdir(parents=True, exist_ok=True)
    lines = [
        TableLine(model=reading.model, space=reading.space, config=config, **cell)
        for reading in readings
        for config, own in reading.summary["configs"].items()
        for cell in own["table"]
    ]
    texts = {
        "conflict.txt": describe_conflicts(readings) + "\n",
        "conflict.json": json.dumps(conflicts_json(readings), indent=1, sort_keys=True, ensure_ascii=False) + "\n",
        "conflict.csv": csv_text(TableLine, lines),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    pictures = PictureFolder(out, (picture_format,))
    drawing.draw_conflicts(readings, pictures)
    return [*texts, *pictures.names]
