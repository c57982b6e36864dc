"""The workspace: one SQLite file that remembers photos, machine masks, people's answers and decisions.

Only the command's own process writes. Keys are derived from content and inserts ignore what is already there, so
any command can be killed and run again; rows are superseded, never updated. ``forget`` is the one delete.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from figureground.errors import DataError, UsageError
from figureground.schemas.masks import Box, CocoRle
from figureground.schemas.records import (
    Annotation,
    Decision,
    ImageRecord,
    ProposalRecord,
    ProposalRun,
    canonical_json,
)

DATABASE_NAME: Final = "workspace.sqlite"

_MIGRATIONS: Final = (
    """
    CREATE TABLE sources (
        name TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, locator TEXT NOT NULL,
        options TEXT NOT NULL, PRIMARY KEY (name, sequence)) STRICT;
    CREATE TABLE images (
        image_id TEXT PRIMARY KEY, source TEXT NOT NULL, uri TEXT NOT NULL, sha256 TEXT NOT NULL,
        width INTEGER NOT NULL, height INTEGER NOT NULL, exif_orientation INTEGER NOT NULL, label TEXT NOT NULL,
        source_split TEXT NOT NULL, boxes TEXT NOT NULL, phash TEXT NOT NULL, flags TEXT NOT NULL) STRICT;
    CREATE INDEX images_by_uri ON images (source, uri);
    CREATE TABLE rejections (
        source TEXT NOT NULL, uri TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (source, uri)) STRICT;
    CREATE TABLE proposal_runs (
        run_id TEXT PRIMARY KEY, image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        segmenter TEXT NOT NULL, prompt_mode TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL) STRICT;
    CREATE INDEX proposal_runs_by_image ON proposal_runs (image_id);
    CREATE TABLE proposals (
        proposal_id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES proposal_runs ON DELETE CASCADE,
        image_id TEXT NOT NULL, height INTEGER NOT NULL, width INTEGER NOT NULL, counts TEXT NOT NULL,
        score REAL NOT NULL, stability REAL NOT NULL, rank INTEGER NOT NULL, prompt TEXT NOT NULL,
        segmenter TEXT NOT NULL, checkpoint_sha256 TEXT NOT NULL) STRICT;
    CREATE INDEX proposals_by_image ON proposals (image_id);
    CREATE TABLE annotations (
        annotation_id TEXT NOT NULL, updated_at TEXT NOT NULL,
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE, masks TEXT NOT NULL, attributes TEXT NOT NULL,
        flags TEXT NOT NULL, annotator TEXT NOT NULL, seconds REAL NOT NULL, tool TEXT NOT NULL,
        proposal_id TEXT NOT NULL, edit_iou REAL, PRIMARY KEY (annotation_id, updated_at)) STRICT;
    CREATE INDEX annotations_by_image ON annotations (image_id);
    CREATE TABLE decisions (
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE, sequence INTEGER NOT NULL, state TEXT NOT NULL,
        reason TEXT NOT NULL, annotation_id TEXT NOT NULL, PRIMARY KEY (image_id, sequence)) STRICT;
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """Where a named source of photos lies now."""

    name: str
    kind: str
    locator: str
    """A path or a Hub id, as the user gave it; never part of a release."""
    options: Mapping[str, str]


class Workspace:
    """An open workspace; use as a context manager."""

    def __init__(self, root: Path, connection: sqlite3.Connection) -> None:
        self.root = root
        self._db = connection

    @classmethod
    def create(cls, root: Path) -> Workspace:
        """Open the workspace in ``root``, making it if there is none."""
        root.mkdir(parents=True, exist_ok=True)
        return cls._connect(root)

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Open the workspace in ``root``.

        Raises:
            UsageError: if there is none.
        """
        if not (root / DATABASE_NAME).is_file():
            raise UsageError(f"{root} holds no workspace; make one with: figureground index SOURCE -w {root}")
        return cls._connect(root)

    @classmethod
    def _connect(cls, root: Path) -> Workspace:
        path = root / DATABASE_NAME
        connection = sqlite3.connect(path, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, path)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise DataError.single(str(path), "", expected="a workspace database", got=str(error)) from error
        except BaseException:
            connection.close()
            raise
        return cls(root, connection)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; everything written is already safe."""
        self._db.close()

    # Sources and photos

    def add_source(self, name: str, kind: str, locator: str, options: Mapping[str, str]) -> None:
        """Note where a source lies; the newest note counts, so a moved source is indexed again, not edited."""
        row = SourceRow(name=name, kind=kind, locator=locator, options=dict(options))
        if self.sources().get(name) == row:
            return
        with self._db:
            self._db.execute(
                "INSERT INTO sources SELECT ?, coalesce(max(sequence), -1) + 1, ?, ?, ? FROM sources WHERE name = ?",
                (name, kind, locator, canonical_json(dict(options)), name),
            )

    def sources(self) -> dict[str, SourceRow]:
        """The newest row of every source, by name."""
        rows = self._db.execute("SELECT * FROM sources ORDER BY name, sequence")
        return {
            row["name"]: SourceRow(
                name=row["name"], kind=row["kind"], locator=row["locator"], options=json.loads(row["options"])
            )
            for row in rows
        }

    def add_images(self, records: Iterable[ImageRecord]) -> int:
        """Insert records in one transaction; returns how many were new."""
        return self._insert("images", [_image_row(record) for record in records])

    def add_rejections(self, rejections: Iterable[tuple[str, str, str, str]]) -> int:
        """Note photos that cannot be used, as (source, uri, reason, detail)."""
        names = ("source", "uri", "reason", "detail")
        return self._insert("rejections", [dict(zip(names, row, strict=True)) for row in rejections])

    def rejections(self) -> Iterator[tuple[str, str, str, str]]:
        """Every rejected photo as (source, uri, reason, detail), sorted; photos mended since are none any more."""
        query = (
            "SELECT source, uri, reason, detail FROM rejections "
            "WHERE (source, uri) NOT IN (SELECT source, uri FROM images) ORDER BY source, uri"
        )
        for row in self._db.execute(query):
            yield tuple(row)

    def indexed_uris(self, source: str) -> set[str]:
        """Uris of a source that were catalogued or rejected before."""
        query = "SELECT uri FROM images WHERE source = ? UNION SELECT uri FROM rejections WHERE source = ?"
        return {row["uri"] for row in self._db.execute(query, (source, source))}

    def images(self) -> Iterator[ImageRecord]:
        """Every photo, sorted by image_id."""
        for row in self._db.execute("SELECT * FROM images ORDER BY image_id"):
            yield _image(row)

    def image(self, image_id: str) -> ImageRecord | None:
        """One photo, or None."""
        row = self._db.execute("SELECT * FROM images WHERE image_id = ?", (image_id,)).fetchone()
        return None if row is None else _image(row)

    def image_count(self) -> int:
        """How many photos are catalogued."""
        return int(self._db.execute("SELECT count(*) FROM images").fetchone()[0])

    def forget(self, image_id: str) -> None:
        """Delete a photo and all that hangs on it (a takedown); the one delete of the workspace."""
        with self._db:
            self._db.execute("DELETE FROM images WHERE image_id = ?", (image_id,))

    # Machine masks

    def add_run(self, run: ProposalRun, proposals: Iterable[ProposalRecord]) -> None:
        """Note a segmenter's finished attempt at one image and its masks, both or neither."""
        with self._db:
            self._insert_rows("proposal_runs", [_row_of(run)])
            self._insert_rows("proposals", [_proposal_row(proposal) for proposal in proposals])

    def finished_runs(self) -> set[str]:
        """Ids of all finished attempts."""
        return {row["run_id"] for row in self._db.execute("SELECT run_id FROM proposal_runs")}

    def runs(self) -> Iterator[ProposalRun]:
        """Every attempt, sorted by run_id."""
        for row in self._db.execute("SELECT * FROM proposal_runs ORDER BY run_id"):
            yield ProposalRun(**dict(row))

    def proposals(self, image_id: str | None = None) -> Iterator[ProposalRecord]:
        """Machine masks of one image or of all, sorted by image, segmenter, checkpoint, rank."""
        where = "" if image_id is None else "WHERE image_id = ?"
        query = f"SELECT * FROM proposals {where} ORDER BY image_id, segmenter, checkpoint_sha256, run_id, rank"  # noqa: S608
        for row in self._db.execute(query, () if image_id is None else (image_id,)):
            yield _proposal(row)

    # People

    def add_annotations(self, annotations: Iterable[Annotation]) -> int:
        """Store answers as pulled; an answer that changed is a new row with a later ``updated_at``."""
        return self._insert("annotations", [_annotation_row(annotation) for annotation in annotations])

    def annotations(self) -> Iterator[Annotation]:
        """Every answer, sorted by annotation_id and updated_at."""
        for row in self._db.execute("SELECT * FROM annotations ORDER BY annotation_id, updated_at"):
            yield _annotation(row)

    def decide(self, decision: Decision) -> None:
        """Note a decision; it supersedes earlier ones on the same image."""
        with self._db:
            self._db.execute(
                "INSERT INTO decisions SELECT ?, coalesce(max(sequence), -1) + 1, ?, ?, ? "
                "FROM decisions WHERE image_id = ?",
                (
                    decision.image_id,
                    decision.state,
                    decision.reason,
                    decision.annotation_id,
                    decision.image_id,
                ),
            )

    def decisions(self) -> dict[str, Decision]:
        """The newest decision on each image that has one."""
        rows = self._db.execute("SELECT * FROM decisions ORDER BY image_id, sequence")
        names = ("image_id", "state", "reason", "annotation_id")
        return {row["image_id"]: Decision(**{name: row[name] for name in names}) for row in rows}

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> int:
        with self._db:
            return self._insert_rows(table, rows)

    def _insert_rows(self, table: str, rows: list[dict[str, Any]]) -> int:
        if not rows:
            return 0
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        query = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  names are ours
        return self._db.executemany(query, rows).rowcount


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(_MIGRATIONS):
        raise DataError.single(
            str(path),
            "user_version",
            expected=f"at most {len(_MIGRATIONS)}",
            got=str(version),
            remedy="a newer figureground wrote this workspace; upgrade figureground",
        )
    for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
        # Taken before the version is read again: two commands that start together must not both migrate.
        connection.executescript("BEGIN IMMEDIATE;")
        if int(connection.execute("PRAGMA user_version").fetchone()[0]) >= number:
            connection.rollback()
            continue
        for statement in filter(str.strip, script.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.commit()


def _row_of(record: Any) -> dict[str, Any]:  # noqa: ANN401  any of our slotted records
    return {name: getattr(record, name) for name in record.__slots__}


def _rle_json(rle: CocoRle) -> list[Any]:
    return [*rle.size_hw, rle.counts]


def _rle(value: list[Any]) -> CocoRle:
    return CocoRle(size_hw=(value[0], value[1]), counts=value[2])


def _image_row(record: ImageRecord) -> dict[str, Any]:
    row = _row_of(record)
    row["boxes"] = canonical_json(row.pop("boxes_xyxy_px"))
    row["flags"] = canonical_json(record.flags)
    return row


def _image(row: sqlite3.Row) -> ImageRecord:
    fields = dict(row)
    boxes: list[Box] = [(box[0], box[1], box[2], box[3]) for box in json.loads(fields.pop("boxes"))]
    fields["flags"] = tuple(json.loads(fields["flags"]))
    return ImageRecord(**fields, boxes_xyxy_px=tuple(boxes))


def _proposal_row(record: ProposalRecord) -> dict[str, Any]:
    row = _row_of(record)
    rle: CocoRle = row.pop("rle")
    return {**row, "height": rle.size_hw[0], "width": rle.size_hw[1], "counts": rle.counts}


def _proposal(row: sqlite3.Row) -> ProposalRecord:
    fields = dict(row)
    size_hw = fields.pop("height"), fields.pop("width")
    rle = CocoRle(size_hw=size_hw, counts=fields.pop("counts"))
    return ProposalRecord(**fields, rle=rle)


def _annotation_row(record: Annotation) -> dict[str, Any]:
    row = _row_of(record)
    row["masks"] = canonical_json({name: _rle_json(rle) for name, rle in record.masks.items()})
    row["attributes"] = canonical_json(dict(record.attributes))
    row["flags"] = canonical_json(record.flags)
    return row


def _annotation(row: sqlite3.Row) -> Annotation:
    fields = dict(row)
    fields["masks"] = {name: _rle(value) for name, value in json.loads(fields["masks"]).items()}
    fields["attributes"] = json.loads(fields["attributes"])
    fields["flags"] = tuple(json.loads(fields["flags"]))
    return Annotation(**fields)
