"""What a workspace remembers of Label Studio: projects, tasks, the people who answer, and what was taken back."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from figureground.errors import DataError
from figureground.schemas.records import Annotation, AnswerState, StudioProject, StudioTeam, canonical_json
from figureground.schemas.store.rows import row_of, team_of


class StudioTables:
    """The part of a workspace that is about Label Studio.

    A project, a team and a cursor change by a newer row; a task that is no longer on the server has a withdrawal.
    """

    _db: sqlite3.Connection

    # Projects

    def add_studio_project(self, project: StudioProject) -> None:
        """Note a project of a server; a changed one is a newer note."""
        with self._db:
            self._db.execute(
                "INSERT INTO studio_projects SELECT :server, :project, coalesce(max(sequence), -1) + 1, :title, "
                ":annotator, :purpose, :attribute_schema, :since FROM studio_projects "
                "WHERE server = :server AND project = :project",
                row_of(project),
            )

    def studio_projects(self, server: str, *, deleted: bool = False) -> dict[int, list[StudioProject]]:
        """Every note on every project of a server, the oldest first, by project.

        Args:
            server: The server.
            deleted: Include projects that were found to be deleted in Label Studio.
        """
        gone = set() if deleted else self.deleted_studio_projects(server)
        notes: dict[int, list[StudioProject]] = {}
        query = "SELECT * FROM studio_projects WHERE server = ? ORDER BY project, sequence"
        for row in self._db.execute(query, (server,)):
            fields = {name: value for name, value in dict(row).items() if name != "sequence"}
            if row["project"] not in gone:
                notes.setdefault(row["project"], []).append(StudioProject(**fields))
        return notes

    def pushed_schemas(self) -> list[str]:
        """JSON of every attribute schema that a page was made from, on any server, the first pushed first."""
        query = (
            "SELECT attribute_schema FROM studio_projects GROUP BY attribute_schema "
            "ORDER BY min(since), attribute_schema"
        )
        return [str(row["attribute_schema"]) for row in self._db.execute(query)]

    def note_studio_presence(self, server: str, project: int, *, present: bool) -> None:
        """Note that a project was deleted in Label Studio, or that it is there again."""
        with self.writing():
            if present == (project not in self.deleted_studio_projects(server)):
                return
            self._db.execute(
                "INSERT INTO studio_presence SELECT ?, ?, coalesce(max(sequence), -1) + 1, ? FROM studio_presence "
                "WHERE server = ? AND project = ?",
                (server, project, int(present), server, project),
            )

    def deleted_studio_projects(self, server: str) -> set[int]:
        """Projects that were found to be deleted in Label Studio."""
        query = "SELECT project, present FROM studio_presence WHERE server = ? ORDER BY project, sequence"
        newest = {row["project"]: row["present"] for row in self._db.execute(query, (server,))}
        return {project for project, present in newest.items() if not present}

    # Tasks

    def add_studio_tasks(self, server: str, project: int, tasks: Mapping[str, int]) -> None:
        """Note which task of a project shows which photo (image_id to task)."""
        rows = [
            {"server": server, "project": project, "image_id": image_id, "task": task}
            for image_id, task in tasks.items()
        ]
        self._insert("studio_tasks", rows)

    def withdraw_studio_tasks(self, server: str, project: int, tasks: Mapping[str, int]) -> None:
        """Note tasks that are on the server no more (image_id to task)."""
        rows = [
            {"server": server, "project": project, "image_id": image_id, "task": task}
            for image_id, task in tasks.items()
        ]
        self._insert("studio_withdrawals", rows)

    def studio_tasks(self, server: str, project: int) -> dict[str, int]:
        """The newest task of every photo that a project shows, by image_id."""
        return self._newest_tasks(
            "SELECT image_id, task FROM studio_tasks WHERE server = ? AND project = ? EXCEPT "
            "SELECT image_id, task FROM studio_withdrawals WHERE server = ? AND project = ?",
            (server, project, server, project),
        )

    def studio_task_counts(self, server: str, project: int) -> dict[str, int]:
        """How many tasks of a project show a photo, by image_id: more than one where it was asked again."""
        query = (
            "SELECT image_id, count(*) AS tasks FROM (SELECT image_id, task FROM studio_tasks WHERE server = ? AND "
            "project = ? EXCEPT SELECT image_id, task FROM studio_withdrawals WHERE server = ? AND project = ?) "
            "GROUP BY image_id"
        )
        rows = self._db.execute(query, (server, project, server, project))
        return {row["image_id"]: row["tasks"] for row in rows}

    def withdrawn_studio_tasks(self, server: str, project: int) -> dict[str, int]:
        """The newest task of every photo that was taken out of a project, by image_id."""
        return self._newest_tasks(
            "SELECT image_id, task FROM studio_withdrawals WHERE server = ? AND project = ?", (server, project)
        )

    def _newest_tasks(self, query: str, values: tuple[Any, ...]) -> dict[str, int]:
        newest = f"SELECT image_id, max(task) AS task FROM ({query}) GROUP BY image_id"  # noqa: S608  ours
        return {row["image_id"]: row["task"] for row in self._db.execute(newest, values)}

    # People

    def set_studio_team(self, server: str, team: StudioTeam) -> None:
        """Remember who answers on a server; the newest team counts."""
        with self.writing():
            if self.studio_team(server) == team:
                return
            self._db.execute(
                "INSERT INTO studio_teams SELECT ?, coalesce(max(sequence), -1) + 1, ?, ?, ?, ?, ? FROM studio_teams "
                "WHERE server = ?",
                (
                    server,
                    canonical_json(team.annotators),
                    canonical_json(dict(team.heirs)),
                    team.overlap,
                    team.honeypots,
                    team.entry_test,
                    server,
                ),
            )

    def studio_team(self, server: str) -> StudioTeam | None:
        """Who answers on a server; None before anybody was named."""
        query = "SELECT * FROM studio_teams WHERE server = ? ORDER BY sequence DESC LIMIT 1"
        row = self._db.execute(query, (server,)).fetchone()
        return None if row is None else team_of(row)

    def add_studio_pairs(self, server: str, image_ids: Iterable[str]) -> None:
        """Note photos that two people are asked about."""
        self._insert("studio_pairs", [{"server": server, "image_id": image_id} for image_id in sorted(image_ids)])

    def studio_pairs(self, server: str) -> set[str]:
        """Photos that two people are asked about."""
        query = "SELECT image_id FROM studio_pairs WHERE server = ?"
        return {row["image_id"] for row in self._db.execute(query, (server,))}

    def add_studio_honeypots(self, server: str, project: int, image_ids: Collection[str]) -> None:
        """Note which photos of a project are honeypots, before they are sent."""
        rows = [{"server": server, "project": project, "image_id": image_id} for image_id in sorted(image_ids)]
        self._insert("studio_honeypots", rows)

    def studio_honeypots(self, server: str) -> set[tuple[int, str]]:
        """(project, image_id) of every honeypot of a server.

        Answers to them are stored with the purpose ``honeypot``; the mask that they are measured against is the one of
        the photo's decision.
        """
        query = "SELECT project, image_id FROM studio_honeypots WHERE server = ?"
        return {(row["project"], row["image_id"]) for row in self._db.execute(query, (server,))}

    # Answers

    def studio_answers(self, server: str) -> Iterator[tuple[int, str, str, AnswerState]]:
        """(project, image_id, annotation_id, state) of every state of an answer that was pulled, the newest last.

        Answers that an older figureground pulled are missing.
        """
        query = "SELECT * FROM studio_answers WHERE server = ? ORDER BY annotation_id, updated_at"
        for row in self._db.execute(query, (server,)):
            yield row["project"], row["image_id"], row["annotation_id"], row["state"]

    def _note_answer(self, answer: Annotation, server: str, project: int) -> None:
        names = ("image_id", "annotation_id", "updated_at", "state")
        row = {"server": server, "project": project, **{name: getattr(answer, name) for name in names}}
        self._insert_rows("studio_answers", [row])

    def move_studio_cursor(self, server: str, project: int, updated_at: str) -> None:
        """Note the time up to which a project was pulled, UTC, ISO 8601."""
        with self.writing():
            if self.studio_cursor(server, project) == updated_at:
                return
            self._db.execute(
                "INSERT INTO studio_cursors SELECT ?, ?, coalesce(max(sequence), -1) + 1, ? FROM studio_cursors "
                "WHERE server = ? AND project = ?",
                (server, project, updated_at, server, project),
            )

    def studio_cursor(self, server: str, project: int) -> str | None:
        """Time up to which a project was pulled, UTC, ISO 8601; None if it never was."""
        query = "SELECT updated_at FROM studio_cursors WHERE server = ? AND project = ? ORDER BY sequence DESC LIMIT 1"
        row = self._db.execute(query, (server, project)).fetchone()
        return None if row is None else str(row["updated_at"])

    # Rows of all tables

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold off other writers all through the block, so that what it reads is still so when it writes.

        Its last act is the write, which ends the transaction; what it wrote is undone if it raises before.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.rollback()
            raise
        self._db.commit()

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> int:
        with self._db:
            return self._insert_rows(table, rows)

    def _insert_rows(self, table: str, rows: list[dict[str, Any]]) -> int:
        if not rows:
            return 0
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        query = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  names are ours
        return self._execute_many(table, query, rows)

    def _execute_many(self, table: str, query: str, rows: list[dict[str, Any]]) -> int:
        """Number of rows that a query of ``table`` inserted, with values of the names in ``rows``."""
        try:
            return self._db.executemany(query, rows).rowcount
        except (OverflowError, UnicodeEncodeError) as error:
            expected = "whole numbers of 64 bits, and text without lone surrogates"
            raise DataError.single("workspace.sqlite", table, expected=expected, got=str(error)[:100]) from error
