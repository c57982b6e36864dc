"""What a release says of how its masks came about: counted by hand on a workspace of four photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from answered_photos import add_photo, band

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import Annotation, Decision, ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.releases import read_annotation, read_release, write_release
from figureground.schemas.store.workspace import Workspace


def answer(store: Workspace, image_id: str, who: str, columns: int, **more: Any) -> Annotation:
    given: dict[str, Any] = {
        "updated_at": "2026-01-01T00:00:00Z",
        "attributes": {},
        "flags": (),
        "seconds": 0.0,
        "tool": "manual",
        "proposal_id": "",
        "edit_iou": None,
        "masks": {"object": encode_coco_rle(band(columns))},
        **more,
    }
    made = Annotation(annotation_id=f"{who}-{image_id}-{len(more)}", image_id=image_id, annotator=who, **given)
    store.add_answer(made, None)
    store.decide(Decision(image_id=image_id, state="accepted", reason="", annotation_id=made.annotation_id))
    return made


def propose(store: Workspace, image_id: str) -> str:
    run_id = content_id(image_id, "run")
    run = ProposalRun(run_id=run_id, image_id=image_id, segmenter="sam", prompt_mode="box", reason="", seconds=0.1)
    proposal = ProposalRecord(
        proposal_id=content_id(image_id, "mask"),
        run_id=run_id,
        image_id=image_id,
        rle=encode_coco_rle(band(8)),
        score=1.0,
        stability=1.0,
        rank=0,
        prompt="{}",
        segmenter="sam",
        checkpoint_sha256="5a" * 32,
    )
    store.add_run(run, [proposal])
    return proposal.proposal_id


def test_a_release_tells_who_answered_how_and_how_far_they_agreed(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        alone, both, left_out, unseen = (add_photo(store, f"{number}.jpg") for number in range(4))
        proposal = propose(store, alone)
        propose(store, unseen)
        answer(store, alone, "p1", 6, seconds=20.0, tool="prediction", proposal_id=proposal, edit_iou=0.75)
        answer(store, both, "p1", 5, attributes={"wet": True, "old": None}, attribute_schema="cats@1")
        answer(store, both, "p2", 8, seconds=40.0, attributes={"wet": True, "old": False}, attribute_schema="cats@1")
        answer(store, both, "p3", 10, attributes={"wet": False}, attribute_schema="cats@1")
        answer(store, both, "p1", 1, purpose="second_look", updated_at="2026-01-02T00:00:00Z")
        answer(store, left_out, "p9", 3)
        answer(store, left_out, "p1", 9)
        store.decide(Decision(image_id=left_out, state="needs_second", reason="object masks differ"))
        path = freeze(store, "v1", FreezeOptions()).path
    summary = read_annotation(path)
    agreement = summary.pop("agreement")
    assert summary == {
        "answers": 5,
        "annotators": 3,
        "tools": {"manual": 4, "prediction": 1},
        "seconds_median": 30.0,
        "began_from_proposals": {"answers": 1, "mean_iou": 0.75},
        "second_looks": 1,
        "attribute_schemas": ["cats@1"],
        "checkpoints": {"sam": "5a" * 32},
    }
    # One photo of the release, and one on which people differed so much that it is not in it.
    assert (agreement["photos"], agreement["pairs"]) == (2, 4)
    whole = agreement["masks"]["object"]
    assert (whole["iou"]["photos"], whole["pairs"], whole["least_iou"]) == (2, 4, round(3 / 9, 4))
    assert whole["iou"]["value"] == round(((5 / 8 + 5 / 10 + 8 / 10) / 3 + 3 / 9) / 2, 4)
    assert 0 < whole["iou"]["ci95"][0] < whole["iou"]["value"] < whole["iou"]["ci95"][1] < 1
    assert agreement["equal_attributes"]["value"] == round(1 / 3, 4)  # old was answered by one alone
    assert {name: own["equal"]["photos"] for name, own in agreement["attributes"].items()} == {"wet": 1}
    wet = agreement["attributes"]["wet"]
    # p1 and p2 say the same, which is expected; p3 says no to both, of which nothing is expected.
    assert wet["kappa"] == {"value": 0.0, "ci95": None, "photos": 1, "no_ci95": "too few to say"}
    assert wet["alpha"] == {"value": 0.0, "ci95": None, "photos": 1, "no_ci95": "too few to say"}


def test_a_release_of_answers_that_say_nothing_more_says_nothing_more(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        answer(store, add_photo(store, "0.jpg"), "p1", 6)
        path = freeze(store, "v1", FreezeOptions()).path
    assert read_annotation(path) == {"answers": 1, "annotators": 1, "tools": {"manual": 1}}
    write_release(tmp_path / "bare.parquet", read_release(path)[1], version="v1")
    assert read_annotation(tmp_path / "bare.parquet") == {}
