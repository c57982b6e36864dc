"""Records as rows of the workspace and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from figureground.errors import DataError
from figureground.schemas.documents import shown
from figureground.schemas.rasters.masks import Box, CocoRle
from figureground.schemas.records import Annotation, ImageRecord, ProposalRecord, SourceRow, StudioTeam, canonical_json
from figureground.schemas.store.ranked_proposals import RankedProposal

Record = TypeVar("Record")


def _readable(record_of: Callable[[sqlite3.Row], Record]) -> Callable[[sqlite3.Row], Record]:
    """Let a row that somebody damaged be a fault that names it."""

    @wraps(record_of)
    def read(row: sqlite3.Row) -> Record:
        try:
            return record_of(row)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            name = shown(row[0])
            expected = f"a row as figureground writes it ({record_of.__name__.removesuffix('_of')})"
            remedy = "restore the workspace from a copy, or forget the photo"
            got = " ".join(str(error).split())[:100]
            raise DataError.single("workspace.sqlite", name, expected=expected, got=got, remedy=remedy) from error

    return read


def row_of(record: Any) -> dict[str, Any]:  # noqa: ANN401  any of our slotted records
    """Fields of a record by name."""
    return {name: getattr(record, name) for name in record.__slots__}


def _rle_json(rle: CocoRle) -> list[Any]:
    return [*rle.size_hw, rle.counts]


def _rle(value: list[Any]) -> CocoRle:
    return CocoRle(size_hw=(value[0], value[1]), counts=value[2])


def image_row(record: ImageRecord) -> dict[str, Any]:
    """Row of the table images."""
    row = row_of(record)
    row["boxes"] = canonical_json(row.pop("boxes_xyxy_px"))
    row["flags"] = canonical_json(record.flags)
    return row


@_readable
def image_of(row: sqlite3.Row) -> ImageRecord:
    """Record of a row of images."""
    fields = dict(row)
    boxes: list[Box] = [(box[0], box[1], box[2], box[3]) for box in json.loads(fields.pop("boxes"))]
    fields["flags"] = tuple(json.loads(fields["flags"]))
    return ImageRecord(**fields, boxes_xyxy_px=tuple(boxes))


@_readable
def source_of(row: sqlite3.Row) -> SourceRow:
    """Record of a row of sources."""
    options = {str(name): str(value) for name, value in json.loads(row["options"]).items()}
    return SourceRow(name=row["name"], kind=row["kind"], locator=row["locator"], options=options)


@_readable
def team_of(row: sqlite3.Row) -> StudioTeam:
    """Record of a row of studio_teams."""
    return StudioTeam(
        annotators=tuple(map(str, json.loads(row["annotators"]))),
        heirs={str(name): str(heir) for name, heir in json.loads(row["heirs"]).items()},
        overlap=row["overlap"],
        honeypots=row["honeypots"],
        entry_test=row["entry_test"],
    )


def proposal_row(record: ProposalRecord) -> dict[str, Any]:
    """Row of the table proposals."""
    row = row_of(record)
    rle: CocoRle = row.pop("rle")
    del row["probability"]  # it is a ranking's
    row["instances"] = canonical_json([_rle_json(one) for one in record.instances])
    return {**row, "height": rle.size_hw[0], "width": rle.size_hw[1], "counts": rle.counts}


@_readable
def proposal_of(row: sqlite3.Row) -> ProposalRecord:
    """Record of a row of proposals."""
    fields = dict(row)
    size_hw = fields.pop("height"), fields.pop("width")
    rle = CocoRle(size_hw=size_hw, counts=fields.pop("counts"))
    fields["instances"] = tuple(_rle(value) for value in json.loads(fields["instances"]))
    return ProposalRecord(**fields, rle=rle)


def rank_row(record: RankedProposal, sequence: int) -> dict[str, Any]:
    """Row of the table proposal_ranks."""
    return {**row_of(record), "features": canonical_json(dict(record.features)), "sequence": sequence}


@_readable
def rank_of(row: sqlite3.Row) -> RankedProposal:
    """Record of a row of proposal_ranks."""
    fields = {name: value for name, value in dict(row).items() if name != "sequence"}
    features = {str(name): float(value) for name, value in json.loads(fields.pop("features")).items()}
    return RankedProposal(**fields, features=features)


def annotation_row(record: Annotation) -> dict[str, Any]:
    """Row of the table annotations."""
    row = row_of(record)
    row["masks"] = canonical_json({name: _rle_json(rle) for name, rle in record.masks.items()})
    row["instances"] = canonical_json([_rle_json(rle) for rle in record.instances])
    row["attributes"] = canonical_json(dict(record.attributes))
    row["visibility"] = canonical_json(dict(record.visibility))
    row["flags"] = canonical_json(record.flags)
    return row


@_readable
def annotation_of(row: sqlite3.Row) -> Annotation:
    """Record of a row of annotations."""
    fields = dict(row)
    fields["masks"] = {name: _rle(value) for name, value in json.loads(fields["masks"]).items()}
    fields["instances"] = tuple(_rle(value) for value in json.loads(fields["instances"]))
    fields["attributes"] = json.loads(fields["attributes"])
    fields["visibility"] = json.loads(fields["visibility"])
    fields["flags"] = tuple(json.loads(fields["flags"]))
    fields["machine"] = bool(fields["machine"])
    return Annotation(**fields)
