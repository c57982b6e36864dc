"""Migrations: a workspace of an older figureground opens, keeps its rows and gets what it lacked."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from studio_samples import block_mask, make_photo, make_proposal, make_schema, note_project

from figureground.schemas.rasters.masks import decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Annotation, Decision, SourceRow
from figureground.schemas.store import migrations
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

IMAGE = make_photo()
PROPOSAL = make_proposal(IMAGE)
RLE = encode_coco_rle(block_mask())
FIRST_ROWS = f"""
    INSERT INTO sources VALUES ('photos', 0, 'folder', '/photos', '{{"split":"val"}}');
    INSERT INTO images VALUES ('{IMAGE.image_id}', 'photos', 'a.jpg', '{IMAGE.sha256}', 40, 30, 1, 'n02279972', 'val',
        '[]', '0000000000000000', '[]');
    INSERT INTO rejections VALUES ('photos', 'bad.jpg', 'truncated', '');
    INSERT INTO proposal_runs VALUES ('{PROPOSAL.run_id}', '{IMAGE.image_id}', 'sam', 'auto', '', 0.0);
    INSERT INTO proposals VALUES ('{PROPOSAL.proposal_id}', '{PROPOSAL.run_id}', '{IMAGE.image_id}', 30, 40,
        '{RLE.counts}', 0.9, 0.5, 0, '{{}}', 'sam', '{"0123456789abcdef" * 4}');
    INSERT INTO annotations VALUES ('answer', '2026-01-01T00:00:00Z', '{IMAGE.image_id}',
        '{{"object":[30,40,"{RLE.counts}"]}}', '{{"tall":null,"wet":true}}', '["class_visible_outside"]', 'p1', 12.5,
        'manual', '{PROPOSAL.proposal_id}', 0.75);
    INSERT INTO decisions VALUES ('{IMAGE.image_id}', 0, 'accepted', 'one answer', 'answer');
"""
"""What version 1 wrote."""


def make_first_version(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace as the first version of the tables left it."""
    root.mkdir(exist_ok=True)
    connection = sqlite3.connect(root / DATABASE_NAME)
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "_MIGRATIONS", migrations._MIGRATIONS[:1])
        migrations.migrate(connection, root / DATABASE_NAME)
    connection.executescript(FIRST_ROWS)
    connection.close()


def tables_of(root: Path) -> dict[str, list[tuple[object, ...]]]:
    """Columns of every table: name, type, whether it may be null, default and position in the key."""
    connection = sqlite3.connect(root / DATABASE_NAME)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    tables = {
        name: [tuple(row)[1:] for row in connection.execute(f"PRAGMA table_info({name})").fetchall()] for name in names
    }
    strict = connection.execute("SELECT count(*) FROM pragma_table_list WHERE strict").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return {**tables, "strict": [(strict,)], "user_version": [(version,)]}


def test_a_workspace_of_the_first_version_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_first_version(tmp_path, monkeypatch)
    assert tables_of(tmp_path)["user_version"] == [(1,)]
    with Workspace.open(tmp_path) as store:
        assert list(store.images()) == [IMAGE]
        assert list(store.proposals()) == [PROPOSAL]
        assert [run.run_id for run in store.runs()] == [PROPOSAL.run_id]
        assert store.sources() == {
            "photos": SourceRow(name="photos", kind="folder", locator="/photos", options={"split": "val"})
        }
        assert list(store.rejections()) == [("photos", "bad.jpg", "truncated", "")]
        assert store.decision(IMAGE.image_id) == Decision(
            image_id=IMAGE.image_id, state="accepted", reason="one answer", annotation_id="answer"
        )
        (answer,) = store.annotations()
    np.testing.assert_array_equal(decode_coco_rle(answer.masks["object"]), block_mask())
    assert answer == Annotation(
        annotation_id="answer",
        updated_at="2026-01-01T00:00:00Z",
        image_id=IMAGE.image_id,
        masks={"object": RLE},
        instances=(),
        attributes={"tall": None, "wet": True},
        flags=("class_visible_outside",),
        annotator="p1",
        seconds=12.5,
        tool="manual",
        proposal_id=PROPOSAL.proposal_id,
        edit_iou=0.75,
        changed_px=None,
        state="submitted",
        edited_by="",
        visibility={},
        note="",
        attribute_schema="",
        purpose="first_look",
    )


def test_a_migrated_workspace_has_the_tables_of_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_first_version(tmp_path / "old", monkeypatch)
    for name in ("old", "new"):
        Workspace.create(tmp_path / name).close()
    old, new = tables_of(tmp_path / "old"), tables_of(tmp_path / "new")
    assert old == new
    assert old["user_version"] == [(len(migrations._MIGRATIONS),)]
    assert old["strict"] == [(len(old) - 2,)]


def test_a_migrated_workspace_is_worked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_first_version(tmp_path, monkeypatch)
    with Workspace.open(tmp_path) as store:
        (answer,) = store.annotations()
        later = replace(
            answer,
            updated_at="2026-02-01T00:00:00Z",
            instances=(RLE, RLE),
            state="skipped",
            edited_by="p2",
            changed_px=4,
            note="n",
            visibility={"object": "occluded"},
            attribute_schema="animals@1",
            purpose="second_look",
        )
        assert store.add_answer(later, None)
        note_project(store, make_schema(), since="2026-01-01T00:00:00+00:00")
        store.add_studio_tasks("export", 7, {IMAGE.image_id: 3})
        store.move_studio_cursor("export", 7, "2026-02-01T00:00:00Z")
    with Workspace.open(tmp_path) as store:
        assert list(store.annotations()) == [answer, later]
        assert store.studio_tasks("export", 7) == {IMAGE.image_id: 3}
        assert store.studio_cursor("export", 7) == "2026-02-01T00:00:00Z"
        assert [note.title for note in store.studio_projects("export")[7]] == ["t"]
        store.forget(IMAGE.image_id)
        assert list(store.annotations()) == []
        assert store.studio_tasks("export", 7) == {}


def test_a_migration_that_fails_leaves_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_first_version(tmp_path, monkeypatch)
    before = tables_of(tmp_path)
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    with monkeypatch.context() as patch:
        broken = "ALTER TABLE annotations ADD COLUMN state TEXT NOT NULL DEFAULT ''; ALTER TABLE missing ADD COLUMN x"
        patch.setattr(migrations, "_MIGRATIONS", (migrations._MIGRATIONS[0], broken))
        with pytest.raises(sqlite3.OperationalError, match="missing"):
            migrations.migrate(connection, tmp_path / DATABASE_NAME)
    connection.close()
    assert tables_of(tmp_path) == before
    with Workspace.open(tmp_path) as store:
        assert [answer.state for answer in store.annotations()] == ["submitted"]
