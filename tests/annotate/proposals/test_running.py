"""Several segmenters in one run, on the command line: all masks stored, ranked, and one alone as ever."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from drawn_boxes import draw_tree, index
from needs import need
from PIL import Image
from shared_cases import run_here
from skimage import data

from figureground.annotate.proposals.proposing import ProposalScope, ProposalSettings, propose
from figureground.annotate.proposals.ranking import rank_masks
from figureground.annotate.proposals.ranking_rule import shipped_rule
from figureground.annotate.segmenters import loading
from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.annotate.segmenters.grabcut import GrabCutSegmenter
from figureground.annotate.verbs import propose as propose_by_name
from figureground.errors import ServiceError
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.store.workspace import Workspace

pytest.importorskip("onnxruntime")


def tables(root: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of proposals, without the seconds that they took."""
    with sqlite3.connect(root / "workspace.sqlite") as connection:
        names = ("proposals", "proposal_ranks", "proposal_runs")
        rows = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3").fetchall() for name in names}
    connection.close()
    return {**rows, "proposal_runs": [row[:-1] for row in rows["proposal_runs"]]}


def photos_of_packages(root: Path) -> None:
    """A cat and a cup of coffee, small, which scikit-image ships, and a grey square on which nothing is salient."""
    try:
        fetch_checkpoint("u2netp")
    except ServiceError as error:
        need(False, str(error))
    (root / "photos" / "x").mkdir(parents=True)
    pixels = {"cat": np.asarray(data.chelsea()), "cup": np.asarray(data.coffee())}  # type: ignore[no-untyped-call]
    for name, photo in pixels.items():
        Image.fromarray(photo).resize((192, 144)).save(root / "photos" / "x" / f"{name}.png")
    Image.new("RGB", (64, 48), (90, 90, 90)).save(root / "photos" / "x" / "grey.png")


def test_two_segmenters_are_ranked_and_a_second_run_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos_of_packages(tmp_path)
    for name in ("one", "other"):
        assert run_here(capsys, "index", tmp_path / "photos", "-w", tmp_path / name)[0] == 0
    words = ("propose", "-w", tmp_path / "one", "--segmenter", "saliency", "--segmenter", "grabcut")
    code, out, error = run_here(capsys, *words)
    assert code == 0, error
    assert "saliency: 2 masks for 3 photos" in out
    assert "masks of 2 photos ranked by first_masks@2; chosen: " in out
    assert "of 2 undecided photos can be skimmed" in out
    first = tables(tmp_path / "one")
    ranks = first["proposal_ranks"]
    assert len(ranks) == len(first["proposals"]) == 4
    with Workspace.open(tmp_path / "one") as store:
        for image in store.images():
            masks = list(store.proposals(image.image_id))
            if masks:
                assert store.ranking(image.image_id) == rank_masks(masks, 2, shipped_rule())
        assert all(one.probability is not None for one in store.chosen_proposals())
    code, out, _ = run_here(capsys, *words, "--json")
    report = json.loads(out)
    assert (report["images"], report["already_done"], report["ranking"]["new"]) == (0, 6, 0)
    assert set(report["by_segmenter"]) == {"grabcut", "saliency"}
    assert (report["triage"]["photos"], report["triage"]["min_iou"]) == (2, 0.9)
    assert tables(tmp_path / "one") == first
    turned = ("propose", "-w", tmp_path / "other", "--segmenter", "grabcut", "--segmenter", "saliency")
    assert run_here(capsys, *turned)[0] == 0
    assert tables(tmp_path / "other") == first


def test_one_segmenter_alone_is_as_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_tree(tmp_path, 2)
    for name in ("named", "plain"):
        index(tmp_path, tmp_path / name)
    words = ("propose", "-w", tmp_path / "named", "--segmenter", "grabcut", "--prompt", "box", "--json")
    code, out, error = run_here(capsys, *words)
    assert code == 0, error
    with Workspace.open(tmp_path / "plain") as store:
        propose(store, GrabCutSegmenter(), ProposalSettings(prompt_mode="box"))
    assert tables(tmp_path / "named") == tables(tmp_path / "plain")
    assert tables(tmp_path / "named")["proposal_ranks"] == []
    fields = {"images", "already_done", "left", "masks", "rejected", "seconds", "boxes_by", "strange_synonyms"}
    assert set(json.loads(out)) == fields
    assert run_here(capsys, *words[:-1])[1] == "0 masks for 0 photos, 2 done before\n"


def test_a_photo_that_is_gone_is_named_once_and_the_rest_is_ranked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos_of_packages(tmp_path)
    assert run_here(capsys, "index", tmp_path / "photos", "-w", tmp_path / "w")[0] == 0
    (tmp_path / "photos" / "x" / "cup.png").unlink()
    words = ("propose", "-w", tmp_path / "w", "--segmenter", "saliency")
    code, out, error = run_here(capsys, *words, "--json")
    assert (code, json.loads(out)["masks"]) == (1, 1), error
    code, out, error = run_here(capsys, *words, "--segmenter", "grabcut")
    assert code == 1
    assert "1 fault in the data" in error
    assert "photos: x/cup.png" in error
    assert "masks of 1 photos ranked" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--segmenter", "grabcut", "--segmenter", "grabcut"], "named twice: grabcut"),
        (["--segmenter", "grabcut", "--segmenter", "saliency", "--checkpoint", "u2netp"], "NAME=WEIGHTS"),
        (["--segmenter", "grabcut="], "names no weights"),
        (["--segmenter", "grabcut", "--segmenter", "saliency", "--no-correction-iou", "0.7"], "does not know IoU 0.7"),
        (["--segmenter", "best", "--checkpoint", "u2netp"], "best takes the default weights"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    draw_tree(tmp_path, 1)
    index(tmp_path, tmp_path / "w")
    code, out, error = run_here(capsys, "propose", "-w", tmp_path / "w", "--prompt", "box", *words)
    assert (code, out) == (2, "")
    assert message in error
    with Workspace.open(tmp_path / "w") as store:
        assert list(store.runs()) == []


def test_best_is_what_is_installed_and_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos_of_packages(tmp_path)
    (tmp_path / "photos" / "x" / "cup.png").unlink()
    from figureground.annotate.verbs import index as index_photos

    index_photos(tmp_path / "photos", tmp_path / "w")
    from figureground.annotate.proposals import running

    monkeypatch.setattr(running, "best_sam", lambda: None)
    report = propose_by_name(tmp_path / "w", "best", scope=ProposalScope(limit=2))
    assert report.ranking is not None
    assert report.ranking.segmenters == ("grabcut", "saliency")
    with Workspace.open(tmp_path / "w") as store:
        assert {one.segmenter for one in store.proposals()} == {"grabcut", "saliency"}
        assert all(decode_coco_rle(one.rle).any() for one in store.proposals())


def test_the_best_sam_is_the_first_with_weights_here(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"sam_vit_b"}
    monkeypatch.setattr(loading, "is_on_this_machine", lambda entry: False)
    monkeypatch.setattr(loading, "is_in_cache", lambda name: name in here)
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name == "torch" else object())
    assert loading.best_sam() == ("mobile-sam", None)
    monkeypatch.setattr(loading, "find_spec", lambda name: object())
    assert loading.best_sam() == ("sam", "sam_vit_b")
    here.add("sam_vit_l")
    assert loading.best_sam() == ("sam", "sam_vit_l")
    monkeypatch.setattr(loading, "is_on_this_machine", lambda entry: entry.segmenter in ("sam2", "edgetam"))
    assert loading.best_sam() == ("sam2", "sam2.1_large")
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    assert loading.best_sam() is None
