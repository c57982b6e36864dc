"""The workspace: one SQLite file that remembers photos, machine masks, people's answers and decisions.

Only the command's own process writes. Keys are derived from content and inserts ignore what is already there, so
any command can be killed and run again; rows are superseded, never updated. ``forget`` is the one delete.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Final

from figureground.errors import UsageError, shell_word
from figureground.runtime.failures import database_failure, failure_of
from figureground.schemas.records import (
    Annotation,
    Decision,
    ImageRecord,
    ProposalRecord,
    ProposalRun,
    SourceRow,
    canonical_json,
)
from figureground.schemas.store.connecting import connect
from figureground.schemas.store.ranking_tables import RankingTables
from figureground.schemas.store.rim_leaks import RimLeak
from figureground.schemas.store.rows import (
    annotation_of,
    annotation_row,
    image_of,
    image_row,
    proposal_of,
    proposal_row,
    row_of,
    source_of,
)
from figureground.schemas.store.studio_tables import StudioTables

DATABASE_NAME: Final = "workspace.sqlite"


class Workspace(StudioTables, RankingTables):
    """An open workspace; use as a context manager."""

    def __init__(self, root: Path, connection: sqlite3.Connection) -> None:
        self.root = root
        self._db = connection

    @classmethod
    def create(cls, root: Path) -> Workspace:
        """Open the workspace in ``root``, making it if there is none."""
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failure_of(error) or error from error
        return cls._connect(root)

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Open the workspace in ``root``; one that cannot be written to, to read it.

        Raises:
            UsageError: if there is none.
        """
        if not (root / DATABASE_NAME).is_file():
            make = f"figureground index SOURCE -w {shell_word(root)}"
            raise UsageError(f"{root} holds no workspace; make one with: {make}")
        return cls._connect(root)

    @classmethod
    def _connect(cls, root: Path) -> Workspace:
        connection = connect(root / DATABASE_NAME)
        connection.row_factory = sqlite3.Row
        return cls(root, connection)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):
            raise database_failure(error, str(self.root / DATABASE_NAME)) from error

    def close(self) -> None:
        """Close the database; everything written is already safe."""
        self._db.close()

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Read one state of the workspace all through the block, whatever others write meanwhile."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.rollback()

    # Sources and photos

    def add_source(self, name: str, kind: str, locator: str, options: Mapping[str, str]) -> None:
        """Note where a source lies; the newest note counts, so a moved source is indexed again, not edited."""
        row = SourceRow(name=name, kind=kind, locator=locator, options=dict(options))
        with self.writing():
            if self.sources().get(name) == row:
                return
            self._db.execute(
                "INSERT INTO sources SELECT ?, coalesce(max(sequence), -1) + 1, ?, ?, ? FROM sources WHERE name = ?",
                (name, kind, locator, canonical_json(dict(options)), name),
            )

    def sources(self) -> dict[str, SourceRow]:
        """The newest row of every source, by name."""
        rows = self._db.execute("SELECT * FROM sources ORDER BY name, sequence")
        return {source.name: source for source in map(source_of, rows)}

    def add_images(self, records: Iterable[ImageRecord]) -> int:
        """Insert records in one transaction; returns how many were new."""
        return self._insert("images", [image_row(record) for record in records])

    def add_rejections(self, rejections: Iterable[tuple[str, str, str, str]]) -> int:
        """Note photos that cannot be used, as (source, uri, reason, detail); returns how many are news."""
        names = ("source", "uri", "reason", "detail")
        of_uri = "FROM rejections WHERE source = :source AND uri = :uri"
        news = (
            f"INSERT INTO rejections SELECT :source, :uri, (SELECT coalesce(max(sequence), -1) + 1 {of_uri}), :reason, "
            f":detail WHERE (:reason, :detail) IS NOT (SELECT reason, detail {of_uri} ORDER BY sequence DESC LIMIT 1)"
        )
        with self._db:
            return self._execute_many("rejections", news, [dict(zip(names, row, strict=True)) for row in rejections])

    def rejections(self) -> Iterator[tuple[str, str, str, str]]:
        """Every rejected photo as (source, uri, reason, detail), sorted; photos mended since are none any more.

        The newest reason counts.
        """
        query = (
            "SELECT source, uri, reason, detail, max(sequence) FROM rejections "
            "WHERE (source, uri) NOT IN (SELECT source, uri FROM images) GROUP BY source, uri ORDER BY source, uri"
        )
        for row in self._db.execute(query):
            yield tuple(row)[:4]

    def indexed_uris(self, source: str) -> set[str]:
        """Uris of a source that were catalogued or rejected before."""
        query = "SELECT uri FROM images WHERE source = ? UNION SELECT uri FROM rejections WHERE source = ?"
        return {row["uri"] for row in self._db.execute(query, (source, source))}

    def images(self) -> Iterator[ImageRecord]:
        """Every photo, sorted by image_id."""
        for row in self._db.execute("SELECT * FROM images ORDER BY image_id"):
            yield image_of(row)

    def image(self, image_id: str) -> ImageRecord | None:
        """One photo, or None."""
        row = self._db.execute("SELECT * FROM images WHERE image_id = ?", (image_id,)).fetchone()
        return None if row is None else image_of(row)

    def add_groups(self, groups: Mapping[str, str]) -> int:
        """Note the groups of photos (image_id to name, empty for none); returns how many are news."""
        with self.writing():
            known = self.groups()
            news = sorted((image_id, name) for image_id, name in groups.items() if known.get(image_id, "") != name)
            self._db.executemany(
                "INSERT INTO photo_groups SELECT ?1, coalesce(max(sequence), -1) + 1, ?2 FROM photo_groups "
                "WHERE image_id = ?1",
                news,
            )
        return len(news)

    def groups(self) -> dict[str, str]:
        """The group of every photo that is in one, by image_id: its video, burst or photographer."""
        rows = self._db.execute("SELECT image_id, name FROM photo_groups ORDER BY image_id, sequence")
        newest = {row["image_id"]: str(row["name"]) for row in rows}
        return {image_id: name for image_id, name in newest.items() if name}

    def add_links(self, method: str, links: Iterable[tuple[str, str, float]]) -> None:
        """Note the near-duplicates that a search found; those of earlier searches count no more.

        Args:
            method: What they were found by.
            links: Two image ids and how alike the photos are, in the words of the method.
        """
        with self._db:
            sequence = self._db.execute("INSERT INTO link_searches (method) VALUES (?)", (method,)).lastrowid
            rows = sorted((sequence, *sorted((one, other)), likeness) for one, other, likeness in links)
            self._db.executemany("INSERT OR IGNORE INTO photo_links VALUES (?, ?, ?, ?)", rows)

    def links(self) -> list[tuple[str, str]]:
        """Image ids of every two photos that the newest search found to be near-duplicates, sorted."""
        query = (
            "SELECT image_id, other_id FROM photo_links WHERE sequence = (SELECT max(sequence) FROM link_searches) "
            "ORDER BY image_id, other_id"
        )
        return [(row["image_id"], row["other_id"]) for row in self._db.execute(query)]

    def add_rim_leaks(self, leaks: Iterable[RimLeak], models: int) -> None:
        """Note how much of figures their masks leave at the rim; earlier scorings count no more.

        Args:
            leaks: One a photo, the worst first. The same as those of the newest scoring change nothing.
            models: How many models' answers they are from.
        """
        leaks = list(leaks)
        with self.writing():
            newest = self._db.execute("SELECT models FROM rim_scorings ORDER BY sequence DESC LIMIT 1").fetchone()
            if newest is not None and newest["models"] == models and self.rim_leaks() == leaks:
                return
            sequence = self._db.execute("INSERT INTO rim_scorings (models) VALUES (?)", (models,)).lastrowid
            self._insert_rows("rim_leaks", [{"sequence": sequence, **row_of(leak)} for leak in leaks])

    def rim_leaks(self) -> list[RimLeak]:
        """The newest scoring, the worst first."""
        query = (
            "SELECT image_id, origin, score, colour, answers FROM rim_leaks "
            "WHERE sequence = (SELECT max(sequence) FROM rim_scorings) ORDER BY score DESC, image_id"
        )
        return [RimLeak(**dict(row)) for row in self._db.execute(query)]

    def forget(self, image_id: str) -> None:
        """Delete a photo and all that hangs on it (a takedown); the one delete of the workspace."""
        with self._db:
            self._db.execute("DELETE FROM images WHERE image_id = ?", (image_id,))

    # Machine masks

    def add_run(self, run: ProposalRun, proposals: Iterable[ProposalRecord]) -> None:
        """Note a segmenter's finished attempt at one image and its masks, both or neither.

        Nothing of an image that was forgotten meanwhile.
        """
        try:
            with self._db:
                self._insert_rows("proposal_runs", [row_of(run)])
                self._insert_rows("proposals", [proposal_row(proposal) for proposal in proposals])
        except sqlite3.IntegrityError:
            if self.image(run.image_id) is not None:
                raise

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
            yield proposal_of(row)

    def first_ranked(self) -> Iterator[ProposalRecord]:
        """First-ranked machine masks, sorted by image_id."""
        for row in self._db.execute("SELECT * FROM proposals WHERE rank = 0 ORDER BY image_id"):
            yield proposal_of(row)

    def first_ranked_makers(self) -> Iterator[tuple[str, str, str, str]]:
        """(image_id, run_id, segmenter, prompt mode) of first-ranked machine masks, sorted by image_id."""
        query = (
            "SELECT p.image_id, p.run_id, p.segmenter, r.prompt_mode FROM proposals p "
            "JOIN proposal_runs r ON r.run_id = p.run_id WHERE p.rank = 0 ORDER BY p.image_id"
        )
        for row in self._db.execute(query):
            yield tuple(row)

    # People

    def annotations(self, image_id: str | None = None) -> Iterator[Annotation]:
        """Every answer for one image or for all, sorted by annotation_id and updated_at."""
        where = "" if image_id is None else "WHERE image_id = ?"
        query = f"SELECT * FROM annotations {where} ORDER BY annotation_id, updated_at"  # noqa: S608
        for row in self._db.execute(query, () if image_id is None else (image_id,)):
            yield annotation_of(row)

    def add_answer(
        self, answer: Annotation, decision: Decision | None, *, given_in: tuple[str, int] | None = None
    ) -> bool:
        """Store an answer as pulled and what it decides, both or neither; False, and nothing, if it is there already.

        An answer that changed is a new row with a later ``updated_at``.

        Args:
            answer: The answer.
            decision: What the photo's answers make now; None if that is no news.
            given_in: Server and project that it was given in; None if it came otherwise.
        """
        with self._db:
            if not self._insert_rows("annotations", [annotation_row(answer)]):
                return False
            if given_in is not None:
                self._note_answer(answer, *given_in)
            if decision is not None:
                self._insert_decision(decision)
            return True

    def decide(self, decision: Decision) -> None:
        """Note a decision; it supersedes earlier ones on the same image."""
        self.decide_all([decision])

    def decide_all(self, decisions: Iterable[Decision]) -> None:
        """Note decisions, all or none; each supersedes earlier ones on its image."""
        with self._db:
            for decision in decisions:
                self._insert_decision(decision)

    def decisions(self, image_id: str | None = None) -> dict[str, Decision]:
        """The newest decision on one image or on each that has one, by image_id."""
        return {decision.image_id: decision for decision in self.newest_decisions(image_id)}

    def newest_decisions(self, image_id: str | None = None) -> Iterator[Decision]:
        """The newest decision on one image or on each that has one, sorted by image_id."""
        where = "" if image_id is None else "WHERE image_id = ?"
        query = f"SELECT * FROM decisions {where} ORDER BY image_id, sequence"  # noqa: S608
        rows = self._db.execute(query, () if image_id is None else (image_id,))
        names = ("image_id", "state", "reason", "annotation_id")
        for _, notes in groupby(rows, key=lambda row: str(row["image_id"])):
            *_, newest = notes
            yield Decision(**{name: newest[name] for name in names})

    def decision(self, image_id: str) -> Decision | None:
        """The newest decision on one image, or None."""
        return self.decisions(image_id).get(image_id)

    def _insert_decision(self, decision: Decision) -> None:
        self._db.execute(
            "INSERT INTO decisions SELECT :image_id, coalesce(max(sequence), -1) + 1, :state, :reason, :annotation_id "
            "FROM decisions WHERE image_id = :image_id",
            row_of(decision),
        )


def open_workspace(folder: str | Path, *, create: bool = False) -> Workspace:
    """Open a workspace, to see what it holds.

    Args:
        folder: Folder of the workspace.
        create: Make it if there is none.

    Returns:
        The open workspace; close it, or use it in a ``with`` statement.

    Raises:
        UsageError: if there is none and none is to be made.
        DataError: if its database is damaged.

    Example:
        >>> with figureground.open_workspace("work") as workspace:
        ...     [photo.label for photo in workspace.images()]
        ['living', 'made']
    """
    return Workspace.create(Path(folder)) if create else Workspace.open(Path(folder))
