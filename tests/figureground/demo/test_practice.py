"""The workspace to practise on: what each photo is there to teach, and in which order they come."""

from __future__ import annotations

from pathlib import Path

import pytest

from figureground.annotate.proposals.best import best_proposals
from figureground.annotate.studio.push import photos_to_send
from figureground.demo.practice import PHOTOS, main, write_practice
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.store.workspace import Workspace


def test_photos_come_in_the_order_of_the_lesson_with_their_masks(tmp_path: Path) -> None:
    assert main([str(tmp_path / "practice")]) == 0
    with Workspace.open(tmp_path / "practice") as store:
        proposals = {proposal.image_id: proposal for proposal in best_proposals(store, None)}
        queue = photos_to_send(store, proposals)
    assert [Path(image.uri).stem for image in queue] == [photo.name for photo in PHOTOS]
    for image, photo in zip(queue, PHOTOS, strict=True):
        assert (decode_coco_rle(proposals[image.image_id].rle) == photo.machine_mask()).all()
    schema = load_attribute_schema(str(tmp_path / "practice" / "attributes.yaml"))
    assert (schema.names("local"), schema.names("global")) == (("handle",), ("striped",))


def test_masks_are_wrong_as_the_lesson_says() -> None:
    lacking = {photo.name: int((photo.truth() & ~photo.machine_mask()).sum()) for photo in PHOTOS}
    beyond = {photo.name: int((photo.machine_mask() & ~photo.truth()).sum()) for photo in PHOTOS}
    assert {name for name, count in lacking.items() if count} == {"2-mug", "4-apple"}
    assert {name for name, count in beyond.items() if count} == {"3-boat", "4-apple"}


def test_what_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_practice(tmp_path / "practice")
    before = sorted(tmp_path.rglob("*"))
    assert main([str(tmp_path / "practice")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["--help"]) == 2
