"""The workspace: nothing twice, nothing lost, the newest row counts."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from figureground.errors import DataError, UsageError
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import Annotation, Decision, ImageRecord, ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

RLE = encode_coco_rle(np.eye(4, 3, dtype=np.bool_))


def image(name: str) -> ImageRecord:
    return ImageRecord(
        image_id=content_id(name),
        source="photos",
        uri=f"cat/{name}.jpg",
        sha256="0" * 64,
        width=3,
        height=4,
        exif_orientation=6,
        label="cat",
        source_split="val",
        boxes_xyxy_px=((0, 1, 2, 3),),
        phash="0" * 16,
        flags=("grey",),
    )


def run_and_proposal(image_id: str) -> tuple[ProposalRun, ProposalRecord]:
    run = ProposalRun(
        run_id=content_id("run", image_id),
        image_id=image_id,
        segmenter="sam",
        prompt_mode="box",
        reason="",
        seconds=0.5,
    )
    proposal = ProposalRecord(
        proposal_id=content_id(run.run_id, "0"),
        run_id=run.run_id,
        image_id=image_id,
        rle=RLE,
        score=0.9,
        stability=0.8,
        rank=0,
        prompt="{}",
        segmenter="sam",
        checkpoint_sha256="f" * 64,
    )
    return run, proposal


def test_records_come_back_as_they_went_in(tmp_path: Path) -> None:
    answer = Annotation(
        annotation_id="7",
        updated_at="2026-01-01T00:00:00Z",
        image_id=image("a").image_id,
        masks={"object": RLE, "wing": RLE},
        attributes={"wet": True, "tall": None},
        flags=("note",),
        annotator="p1",
        seconds=12.5,
        tool="brush",
        proposal_id="",
        edit_iou=None,
    )
    run, proposal = run_and_proposal(image("a").image_id)
    with Workspace.create(tmp_path) as store:
        store.add_images([image("b"), image("a")])
        store.add_run(run, [proposal])
        store.add_answer(answer, None)
    with Workspace.open(tmp_path) as store:
        assert set(store.images()) == {image("a"), image("b")}
        assert store.image(image("a").image_id) == image("a")
        assert list(store.runs()) == [run]
        assert list(store.proposals()) == [proposal]
        assert list(store.annotations()) == [answer]


def test_nothing_is_stored_twice(tmp_path: Path) -> None:
    run, proposal = run_and_proposal(image("a").image_id)
    with Workspace.create(tmp_path) as store:
        assert store.add_images([image("a")]) == 1
        assert store.add_images([image("a"), image("b")]) == 1
        for _ in range(2):
            store.add_run(run, [proposal])
            store.add_rejections([("photos", "bad.jpg", "truncated", "")])
            store.add_source("photos", "folder", "here", {})
        assert len(list(store.images())) == 2
        assert len(list(store.proposals())) == 1
        assert store.indexed_uris("photos") == {"cat/a.jpg", "cat/b.jpg", "bad.jpg"}


def test_the_newest_reason_of_a_rejection_counts(tmp_path: Path) -> None:
    truncated, twin = ("photos", "bad.jpg", "truncated", ""), ("photos", "bad.jpg", "duplicate", "the bytes of a.jpg")
    with Workspace.create(tmp_path) as store:
        assert [store.add_rejections([row]) for row in (truncated, truncated, twin, twin)] == [1, 0, 1, 0]
        assert list(store.rejections()) == [twin]
        assert store.add_rejections([truncated, ("photos", "worse.jpg", "zero_byte", "")]) == 2
        assert [row[2] for row in store.rejections()] == ["truncated", "zero_byte"]


def test_the_newest_decision_and_source_count(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        store.add_images([image("a")])
        store.decide(Decision(image_id=image("a").image_id, state="needs_second", reason="two answers disagree"))
        store.decide(Decision(image_id=image("a").image_id, state="accepted", reason="", annotation_id="7"))
        store.add_source("photos", "folder", "old", {})
        store.add_source("photos", "folder", "new", {})
        assert store.decisions()[image("a").image_id].state == "accepted"
        assert store.sources()["photos"].locator == "new"


def test_forget_takes_everything_of_a_photo_and_nothing_else(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        store.add_images([image("a"), image("b")])
        for name in ("a", "b"):
            run, proposal = run_and_proposal(image(name).image_id)
            store.add_run(run, [proposal])
            store.decide(Decision(image_id=image(name).image_id, state="accepted", reason=""))
        store.forget(image("a").image_id)
        assert list(store.images()) == [image("b")]
        assert [proposal.image_id for proposal in store.proposals()] == [image("b").image_id]
        assert set(store.decisions()) == {image("b").image_id}


def test_a_run_and_its_masks_come_together_or_not_at_all(tmp_path: Path) -> None:
    run, proposal = run_and_proposal(image("a").image_id)
    with Workspace.create(tmp_path) as store:
        store.add_images([image("a")])
        broken = ProposalRecord(**{**{n: getattr(proposal, n) for n in proposal.__slots__}, "score": "not a number"})
        with pytest.raises(sqlite3.Error):
            store.add_run(run, [broken])
        assert store.finished_runs() == set()


def test_a_killed_writer_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    script = (
        "import os, sys; sys.path.insert(0, os.path.dirname(sys.argv[2]))\n"
        "from pathlib import Path\nfrom figureground.schemas.store.workspace import Workspace\n"
        "from figureground.schemas.records import ImageRecord, content_id\n"
        "store = Workspace.create(Path(sys.argv[1]))\n"
        "for number in range(1000):\n"
        "    store.add_images([ImageRecord(image_id=content_id(str(number)), source='s', uri=str(number), sha256='',"
        " width=1, height=1, exif_orientation=1, label='', source_split='', phash='')])\n"
        "    print(number, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), __file__], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    last = [writer.stdout.readline() for _ in range(20)][-1]
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with Workspace.open(tmp_path) as store:
        assert len(list(store.images())) >= int(last) + 1


def test_a_folder_without_a_workspace_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="figureground index"):
        Workspace.open(tmp_path)


def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_text("hello " * 500)
    with pytest.raises(DataError, match="a workspace database"):
        Workspace.open(tmp_path)


def test_a_workspace_of_a_newer_figureground_is_refused(tmp_path: Path) -> None:
    Workspace.create(tmp_path).close()
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(DataError, match="pip install --upgrade figureground"):
        Workspace.open(tmp_path)


def test_a_block_reads_one_state_whatever_others_write(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store, Workspace.open(tmp_path) as other:
        store.add_images([image("a")])
        with store.unchanging():
            assert len(list(store.images())) == 1
            other.add_images([image("b")])
            assert len(list(store.images())) == 1
        assert len(list(store.images())) == 2
