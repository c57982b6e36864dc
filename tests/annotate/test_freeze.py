"""Freeze: accepted masks only, machine masks only where asked for, and never one segmenter's by accident."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from answered_photos import SIZE_HW, add_photo

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.errors import DataError, UsageError
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Annotation, Decision, DecisionState, ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

HUMAN: Mask = np.eye(*SIZE_HW, dtype=np.bool_)
MACHINE: Mask = ~HUMAN


def add_proposal(store: Workspace, image_id: str, segmenter: str = "sam", prompt: str = "box", rank: int = 0) -> None:
    run_id = content_id(image_id, segmenter, prompt)
    run = ProposalRun(run_id=run_id, image_id=image_id, segmenter=segmenter, prompt_mode=prompt, reason="", seconds=0.1)
    proposal = ProposalRecord(
        proposal_id=content_id(run_id, str(rank)),
        run_id=run_id,
        image_id=image_id,
        rle=encode_coco_rle(MACHINE),
        score=1.0,
        stability=1.0,
        rank=rank,
        prompt="{}",
        segmenter=segmenter,
        checkpoint_sha256="",
    )
    store.add_run(run, [proposal])


def answer(store: Workspace, image_id: str, state: DecisionState, mask: Mask = HUMAN) -> None:
    annotation = Annotation(
        annotation_id=f"answer-{image_id}",
        updated_at="2026-01-01T00:00:00Z",
        image_id=image_id,
        masks={"object": encode_coco_rle(mask), "tail": encode_coco_rle(HUMAN)},
        attributes={"wet": None},
        flags=("class_visible_outside",),
        annotator="p1",
        seconds=3.0,
        tool="",
        proposal_id="",
        edit_iou=None,
    )
    store.add_answer(annotation, None)
    store.decide(Decision(image_id=image_id, state=state, reason="", annotation_id=annotation.annotation_id))


def test_accepted_answers_enter_and_nothing_else(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        answer(store, add_photo(store, "good"), "accepted")
        answer(store, add_photo(store, "bad"), "rejected")
        answer(store, add_photo(store, "unsure"), "needs_second")
        add_proposal(store, add_photo(store, "machine"))
        report = freeze(store, "v1", FreezeOptions())
    assert report.states == {"accepted": 1}
    assert report.left_out == {"needs_second": 1, "rejected": 1, "undecided": 1}
    version, (record,) = read_release(report.path)
    assert version == "v1"
    assert record.object_id == f"{content_id('good')}.0"
    np.testing.assert_array_equal(decode_coco_rle(record.mask), HUMAN)
    assert set(record.attribute_masks) == {"tail"}
    assert record.attributes == {"wet": None}
    assert record.flags == ("class_visible_outside",)


def test_machine_masks_enter_only_on_request_and_are_marked(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        answer(store, add_photo(store, "good"), "accepted")
        answer(store, add_photo(store, "bad"), "rejected")
        for name in ("bad", "machine"):
            add_proposal(store, add_photo(store, name))
        report = freeze(store, "v1", FreezeOptions(unreviewed=True))
    assert report.states == {"accepted": 1, "unreviewed": 1}
    by_id = {record.image_id: record for record in read_release(report.path)[1]}
    assert by_id[content_id("machine")].segmenter == "sam"
    np.testing.assert_array_equal(decode_coco_rle(by_id[content_id("machine")].mask), MACHINE)
    assert content_id("bad") not in by_id  # a person said no


def test_the_newest_decision_counts(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        image_id = add_photo(store, "a")
        answer(store, image_id, "accepted")
        store.decide(Decision(image_id=image_id, state="wrong_label", reason="it is a dog"))
        with pytest.raises(DataError, match="wrong_label 1"):
            freeze(store, "v1", FreezeOptions())
    assert not (tmp_path / "objects").exists()


@pytest.mark.parametrize(
    ("makers", "wanted", "taken"),
    [
        pytest.param([("sam", "box"), ("grabcut", "box")], None, None, id="two segmenters"),
        pytest.param([("sam", "box"), ("sam", "auto")], "sam", None, id="two prompts"),
        pytest.param([("sam", "box"), ("grabcut", "box")], "grabcut", "grabcut", id="named"),
        pytest.param([("sam", "box"), ("sam", "auto")], "sam:auto", "sam", id="named with prompt"),
    ],
)
def test_one_segmenter_is_never_taken_by_accident(
    tmp_path: Path, makers: list[tuple[str, str]], wanted: str | None, taken: str | None
) -> None:
    with Workspace.create(tmp_path) as store:
        image_id = add_photo(store, "a")
        for segmenter, prompt in makers:
            add_proposal(store, image_id, segmenter, prompt)
        options = FreezeOptions(unreviewed=True, segmenter=wanted)
        if taken is None:
            with pytest.raises(UsageError, match=r"--segmenter: .*:"):
                freeze(store, "v1", options)
        else:
            (record,) = read_release(freeze(store, "v1", options).path)[1]
            assert record.segmenter == taken


def test_photos_without_masks_enter_for_recipes_that_need_none(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        add_photo(store, "a")
        with pytest.raises(DataError, match="--unreviewed"):
            freeze(store, "v1", FreezeOptions())
        (record,) = read_release(freeze(store, "v1", FreezeOptions(unmasked=True)).path)[1]
    assert record.state == "unmasked"
    assert not decode_coco_rle(record.mask).any()


def test_masks_of_another_size_are_all_named(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        for name in ("a", "b"):
            answer(store, add_photo(store, name), "accepted", mask=np.eye(5, dtype=np.bool_))
        with pytest.raises(DataError) as caught:
            freeze(store, "v1", FreezeOptions())
    assert len(caught.value.faults) == 2
    assert "a mask of 10x4" in str(caught.value)


def test_a_version_that_could_be_a_path_is_refused(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store, pytest.raises(UsageError, match="letters, digits"):
        freeze(store, "../v1", FreezeOptions())


def test_many_photos_of_all_kinds_each_get_their_own_mask(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        ids = [add_photo(store, f"photo{number}") for number in range(30)]
        for number, image_id in enumerate(ids):
            if number % 3 != 1:
                mask = MACHINE.copy()
                mask[number % SIZE_HW[0], number % SIZE_HW[1]] ^= True
                answer(store, image_id, "accepted" if number % 3 else "rejected", mask)
            if number % 2:
                add_proposal(store, image_id)
        report = freeze(store, "v1", FreezeOptions(unreviewed=True))
    records = {record.image_id: record for record in read_release(report.path)[1]}
    for number, image_id in enumerate(ids):
        if number % 3 == 2:
            mask = MACHINE.copy()
            mask[number % SIZE_HW[0], number % SIZE_HW[1]] ^= True
            assert records[image_id].mask == encode_coco_rle(mask)
            assert records[image_id].state == "accepted"
        elif number % 3 == 1 and number % 2:
            assert records[image_id].mask == encode_coco_rle(MACHINE)
            assert records[image_id].mask_origin == content_id(content_id(image_id, "sam", "box"), "0")
        else:
            assert image_id not in records
    assert report.left_out == {"no_mask": 5, "rejected": 10}
