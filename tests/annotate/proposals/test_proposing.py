"""Proposals: every photo once, in ranks, killed and run again without loss, reasons kept."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drawn_boxes import draw_tree, index
from drawn_release import draw_photo
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.annotate.proposals.proposing import ProposalSettings, propose
from figureground.annotate.segmenters.grabcut import GrabCutSegmenter
from figureground.errors import DataError
from figureground.schemas.rasters.masks import Mask, decode_coco_rle
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Mask]]:
    root = Path(tmp_path_factory.mktemp("tree"))
    return root, draw_tree(root, 10)


def stored(workspace: Path) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(workspace / "workspace.sqlite")
    rows = connection.execute("SELECT * FROM proposals ORDER BY proposal_id").fetchall()
    connection.close()
    return rows


BOX = ProposalSettings(prompt_mode="box", keep=2)


@pytest.mark.slow
def test_masks_are_those_of_the_figures(tree: tuple[Path, dict[str, Mask]], tmp_path: Path) -> None:
    root, truth = tree
    index(root, tmp_path)
    with Workspace.open(tmp_path) as store:
        report = propose(store, GrabCutSegmenter(), BOX)
        uris = {image.image_id: image.uri for image in store.images()}
        proposals = list(store.proposals())
    assert report.images == 10
    assert report.masks == len(proposals) == 10
    for proposal in proposals:
        mask, true = decode_coco_rle(proposal.rle), truth[uris[proposal.image_id]]
        assert (mask & true).sum() / (mask | true).sum() > 0.9
        assert json.loads(proposal.prompt)["origin"] == "annotated"
        assert proposal.rank == 0


@pytest.mark.slow
def test_nothing_is_done_twice(tree: tuple[Path, dict[str, Mask]], tmp_path: Path) -> None:
    index(tree[0], tmp_path)
    with Workspace.open(tmp_path) as store:
        propose(store, GrabCutSegmenter(), BOX)
        before = stored(tmp_path)
        again = propose(store, GrabCutSegmenter(), BOX)
    assert (again.images, again.already_done) == (0, 10)
    assert stored(tmp_path) == before


def test_a_photo_without_a_mask_keeps_its_reason_and_is_not_tried_again(tmp_path: Path) -> None:
    photo, _ = draw_photo("disc", 0)
    (tmp_path / "photos" / "disc").mkdir(parents=True)
    Image.fromarray(photo).save(tmp_path / "photos" / "disc" / "0.png")
    with Workspace.create(tmp_path) as store:
        index_source(store, open_source(str(tmp_path / "photos"), name="drawn"))
        report = propose(store, GrabCutSegmenter(), BOX)
        assert report.rejected == {"no_box": 1}
        assert [run.reason for run in store.runs()] == ["no_box"]
        assert propose(store, GrabCutSegmenter(), BOX).already_done == 1


def test_photos_that_are_gone_are_all_named_and_the_rest_is_done(
    tree: tuple[Path, dict[str, Mask]], tmp_path: Path
) -> None:
    draw_tree(tmp_path, 3)
    index(tmp_path, tmp_path / "work")
    for number in (0, 2):
        (tmp_path / "photos" / "disc" / f"{number}.png").unlink()
    with Workspace.open(tmp_path / "work") as store:
        with pytest.raises(DataError) as caught:
            propose(store, GrabCutSegmenter(), BOX)
        assert {fault.record for fault in caught.value.faults} == {"disc/0.png", "disc/2.png"}
        assert len(list(store.proposals())) == 1


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_masks(tree: tuple[Path, dict[str, Mask]], tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        index(tree[0], tmp_path / name)
    command = [
        sys.executable,
        "-m",
        "figureground",
        "propose",
        "--segmenter",
        "grabcut",
        "--prompt",
        "box",
        "--keep",
        "2",
    ]
    subprocess.run([*command, "-w", str(tmp_path / "whole")], check=True, capture_output=True)
    process = subprocess.Popen([*command, "-w", str(tmp_path / "killed")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(stored(tmp_path / "killed")) < 3:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = len(stored(tmp_path / "killed"))
    assert 3 <= done < 10
    ended = subprocess.run([*command, "--json", "-w", str(tmp_path / "killed")], check=True, capture_output=True)
    assert json.loads(ended.stdout)["already_done"] == done
    assert stored(tmp_path / "killed") == stored(tmp_path / "whole")
