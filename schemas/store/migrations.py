"""The workspace's tables, as the steps that lead from each version of them to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from figureground.errors import DataError, Faults

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
    """
    ALTER TABLE annotations ADD COLUMN state TEXT NOT NULL DEFAULT 'submitted';
    ALTER TABLE annotations ADD COLUMN edited_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE annotations ADD COLUMN changed_px INTEGER;
    ALTER TABLE annotations ADD COLUMN visibility TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE annotations ADD COLUMN note TEXT NOT NULL DEFAULT '';
    ALTER TABLE annotations ADD COLUMN attribute_schema TEXT NOT NULL DEFAULT '';
    ALTER TABLE annotations ADD COLUMN purpose TEXT NOT NULL DEFAULT 'first_look';
    CREATE TABLE studio_projects (
        server TEXT NOT NULL, project INTEGER NOT NULL, sequence INTEGER NOT NULL, title TEXT NOT NULL,
        annotator TEXT NOT NULL, purpose TEXT NOT NULL, attribute_schema TEXT NOT NULL, since TEXT NOT NULL,
        PRIMARY KEY (server, project, sequence)) STRICT;
    CREATE TABLE studio_tasks (
        server TEXT NOT NULL, project INTEGER NOT NULL, image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        task INTEGER NOT NULL, PRIMARY KEY (server, project, image_id, task)) STRICT;
    CREATE TABLE studio_cursors (
        server TEXT NOT NULL, project INTEGER NOT NULL, sequence INTEGER NOT NULL, updated_at TEXT NOT NULL,
        PRIMARY KEY (server, project, sequence)) STRICT;
    """,
    """
    ALTER TABLE annotations ADD COLUMN instances TEXT NOT NULL DEFAULT '[]';
    """,
    """
    CREATE TABLE studio_teams (
        server TEXT NOT NULL, sequence INTEGER NOT NULL, annotators TEXT NOT NULL, heirs TEXT NOT NULL,
        overlap TEXT NOT NULL, honeypots INTEGER NOT NULL, entry_test INTEGER NOT NULL,
        PRIMARY KEY (server, sequence)) STRICT;
    CREATE TABLE studio_pairs (
        server TEXT NOT NULL, image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        PRIMARY KEY (server, image_id)) STRICT;
    CREATE TABLE studio_honeypots (
        server TEXT NOT NULL, project INTEGER NOT NULL, image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        PRIMARY KEY (server, project, image_id)) STRICT;
    CREATE TABLE studio_withdrawals (
        server TEXT NOT NULL, project INTEGER NOT NULL, image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        task INTEGER NOT NULL, PRIMARY KEY (server, project, image_id, task)) STRICT;
    CREATE TABLE studio_presence (
        server TEXT NOT NULL, project INTEGER NOT NULL, sequence INTEGER NOT NULL, present INTEGER NOT NULL,
        PRIMARY KEY (server, project, sequence)) STRICT;
    CREATE TABLE studio_answers (
        server TEXT NOT NULL, project INTEGER NOT NULL, image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        annotation_id TEXT NOT NULL, updated_at TEXT NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (server, project, annotation_id, updated_at)) STRICT;
    """,
    # The origin of imported masks was the first line of the note.
    """
    ALTER TABLE annotations ADD COLUMN origin TEXT NOT NULL DEFAULT '';
    ALTER TABLE annotations ADD COLUMN machine INTEGER NOT NULL DEFAULT 0;
    UPDATE annotations SET origin = substr(note, 9, instr(note || char(10), char(10)) - 9)
        WHERE tool LIKE 'import:%' AND note LIKE 'origin: %';
    CREATE TABLE photo_groups (
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE, sequence INTEGER NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (image_id, sequence)) STRICT;
    """,
    # A machine mask may unite several objects.
    """
    ALTER TABLE proposals ADD COLUMN instances TEXT NOT NULL DEFAULT '[]';
    """,
    # Near-duplicates that a search found; the newest search counts.
    """
    CREATE TABLE link_searches (sequence INTEGER PRIMARY KEY, method TEXT NOT NULL) STRICT;
    CREATE TABLE photo_links (
        sequence INTEGER NOT NULL REFERENCES link_searches ON DELETE CASCADE,
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        other_id TEXT NOT NULL REFERENCES images (image_id) ON DELETE CASCADE,
        likeness REAL NOT NULL, PRIMARY KEY (sequence, image_id, other_id)) STRICT;
    CREATE INDEX photo_links_by_image ON photo_links (image_id);
    CREATE INDEX photo_links_by_other ON photo_links (other_id);
    """,
    # Which of several segmenters' masks a rule chose; the newest ranking of a photo counts.
    """
    CREATE TABLE proposal_ranks (
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE, sequence INTEGER NOT NULL,
        proposal_id TEXT NOT NULL, place INTEGER NOT NULL, probability REAL NOT NULL, min_iou REAL NOT NULL,
        features TEXT NOT NULL, rule TEXT NOT NULL, PRIMARY KEY (image_id, sequence, proposal_id)) STRICT;
    """,
    # How much of each figure its mask leaves at the rim; the newest scoring counts.
    """
    CREATE TABLE rim_scorings (sequence INTEGER PRIMARY KEY, models INTEGER NOT NULL) STRICT;
    CREATE TABLE rim_leaks (
        sequence INTEGER NOT NULL REFERENCES rim_scorings ON DELETE CASCADE,
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE, origin TEXT NOT NULL, score REAL NOT NULL,
        colour REAL, answers REAL, PRIMARY KEY (sequence, image_id)) STRICT;
    CREATE INDEX rim_leaks_by_image ON rim_leaks (image_id);
    """,
    # A file that was replaced may be rejected for another reason; the newest counts.
    """
    ALTER TABLE rejections RENAME TO first_rejections;
    CREATE TABLE rejections (
        source TEXT NOT NULL, uri TEXT NOT NULL, sequence INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (source, uri, sequence)) STRICT;
    INSERT INTO rejections SELECT source, uri, 0, reason, detail FROM first_rejections;
    DROP TABLE first_rejections;
    """,
)


Columns = tuple[tuple[object, ...], ...]
"""What SQLite says of a table: whether it is strict, and of each column name, type, whether null is allowed, default,
place in the key, and whether it is computed."""


def require_own_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Check that a database holds the tables of its version and nothing that computes, before any of them is read.

    A view in place of a table can be without end, a trigger undoes what is written, and the database of another program
    is left as it is.

    Raises:
        DataError: with every table that is not ours, missing or of other columns.
    """
    connection.execute("BEGIN")  # one state of it, whatever another command migrates meanwhile
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        stored = _tables(connection)
        odd = connection.execute("SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchall()
    finally:
        connection.rollback()
    _require_known(version, path)
    faults, where, expected = Faults(), str(path), _tables_of(version)
    remedy = "restore it from a copy, or index the photos into a new workspace"
    for kind, name in odd:
        faults.add(where, str(name)[:80], expected="tables alone", got=f"a {kind}", remedy=remedy)
    for name, columns in expected.items():
        if name not in stored:
            faults.add(where, name, expected="a table of a workspace", got="none", remedy=remedy)
        elif stored[name] != columns:
            faults.add(where, name, expected="the columns of a workspace", got="others", remedy=remedy)
    if not expected and stored:
        faults.add(where, "", expected="a workspace database", got="that of another program", remedy=remedy)
    faults.raise_if_any()


@lru_cache(maxsize=len(_MIGRATIONS))
def _tables_of(version: int) -> Mapping[str, Columns]:
    """The tables of a version of ours."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript("".join(_MIGRATIONS[:version]))
        return _tables(connection)
    finally:
        connection.close()


def _tables(connection: sqlite3.Connection) -> dict[str, Columns]:
    """Columns of every table of a database by name; SQLite's own are left out."""
    listed = connection.execute("PRAGMA main.table_list").fetchall()
    tables = {
        str(name): (kind, strict) for _, name, kind, _, _, strict in listed if not str(name).startswith("sqlite_")
    }
    columns = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
    return {name: (facts, *map(tuple, connection.execute(columns, (name,)))) for name, facts in tables.items()}


def is_newest(connection: sqlite3.Connection) -> bool:
    """Whether a database is of the newest version."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0]) == len(_MIGRATIONS)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a database to the newest version; two commands that start together do it once.

    Raises:
        DataError: if a newer figureground wrote it.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    _require_known(version, path)
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


def _require_known(version: int, path: Path) -> None:
    if not 0 <= version <= len(_MIGRATIONS):
        raise DataError.single(
            str(path),
            "user_version",
            expected=f"0 to {len(_MIGRATIONS)}",
            got=str(version),
            remedy="a newer figureground wrote this workspace; pip install --upgrade figureground",
        )
