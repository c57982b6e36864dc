"""Sheets: which photos they show, in which order, in which bytes."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_samples import draw_pixels, encode
from PIL import Image
from sheet_samples import add_mask, by_name, decisions_file, make_workspace

from figureground.annotate.catalogue import index_source
from figureground.annotate.sheet.making import SheetRequest, make_sheet
from figureground.annotate.sheet.reading import read_decisions
from figureground.annotate.sheet.rejected import rejected_photos
from figureground.errors import DataError, UsageError
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.records import Decision
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

TILE = re.compile(r'<figure data-image="(\w+)" data-proposal="(\w+)">')
MASK = re.compile(r'class="mask" alt="its mask" src="data:image/png;base64,([^"]+)"')


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with make_workspace(tmp_path) as workspace:
        yield workspace


def shown(store: Workspace, *pages: Path) -> list[str]:
    """Names of the photos on pages, in their order."""
    names = {image_id: name for name, image_id in by_name(store).items()}
    return [names[image_id] for page in pages for image_id, _ in TILE.findall(page.read_text())]


def test_the_most_uncertain_come_first_over_all_pages(store: Workspace, tmp_path: Path) -> None:
    report = make_sheet(store, tmp_path / "sheet", SheetRequest(photos_a_page=3))
    assert [page.name for page in report.pages] == ["sheet-1.html", "sheet-2.html"]
    assert shown(store, *report.pages) == ["0", "1", "2", "3"]
    assert report.photos == 4
    assert 'href="sheet-2.html"' in report.pages[0].read_text()


def test_pages_show_the_very_masks_and_load_nothing(store: Workspace, tmp_path: Path) -> None:
    (page,) = make_sheet(store, tmp_path / "sheet").pages
    text = page.read_text()
    masks = {proposal.image_id: decode_coco_rle(proposal.rle) for proposal in store.proposals()}
    for (image_id, _), data in zip(TILE.findall(text), MASK.findall(text), strict=True):
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
        assert np.array_equal(picture[..., 3] == 255, masks[image_id])
        assert np.array_equal(picture[..., 3] == 0, ~masks[image_id])
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', text) == []
    assert "{{" not in text
    assert "<span>0.90 uncertain, by drawn</span>" in text
    assert "http" not in text.replace("http-equiv", "")


def test_the_same_masks_make_the_same_bytes(store: Workspace, tmp_path: Path) -> None:
    first, second = (make_sheet(store, tmp_path / name).pages[0].read_bytes() for name in ("a", "b"))
    assert first == second


def test_what_is_not_shown_is_counted(store: Workspace, tmp_path: Path) -> None:
    for number, name in enumerate(["bare", "other"]):
        folder = tmp_path / name
        (folder / "cat").mkdir(parents=True)
        (folder / "cat" / f"{name}.png").write_bytes(encode(draw_pixels(50 + number), "PNG"))
        index_source(store, open_source(str(folder)))
    (tmp_path / "grounds").mkdir()
    (tmp_path / "grounds" / "x.png").write_bytes(encode(draw_pixels(60), "PNG"))
    index_source(store, open_source(str(tmp_path / "grounds"), kind="textures"))
    store.decide(Decision(image_id=by_name(store)["1"], state="wrong_label", reason=""))
    report = make_sheet(store, tmp_path / "sheet", SheetRequest(limit=2))
    assert shown(store, *report.pages) == ["0", "2"]
    assert (report.photos, report.beyond_limit, report.decided, report.without_mask, report.textures) == (2, 1, 1, 2, 1)
    assert str(report).startswith(
        "2 photos to accept or reject, 1 beyond the limit, 1 decided before, 2 without a machine mask, 1 textures; open"
    )
    add_mask(store, by_name(store)["other"], score=0.01)
    chosen = make_sheet(store, tmp_path / "chosen", SheetRequest(sources=("other",)))
    assert shown(store, *chosen.pages) == ["other"]


def test_a_photo_that_cannot_be_read_is_named_and_the_others_are_shown(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "photos" / "dog" / "2.png").unlink()
    with pytest.raises(DataError, match=r"dog/2\.png") as error:
        make_sheet(store, tmp_path / "sheet")
    assert shown(store, *error.value.report.pages) == ["0", "1", "3"]
    assert error.value.report.photos == 3


@pytest.mark.parametrize(
    "request_", [SheetRequest(limit=0), SheetRequest(photos_a_page=0), SheetRequest(sources=("cats",))]
)
def test_what_cannot_be_is_refused_before_a_folder_is_made(
    store: Workspace, tmp_path: Path, request_: SheetRequest
) -> None:
    with pytest.raises(UsageError):
        make_sheet(store, tmp_path / "sheet", request_)
    assert not (tmp_path / "sheet").exists()


def test_nothing_to_show_says_why(tmp_path: Path) -> None:
    with make_workspace(tmp_path, 1) as store:
        store.decide(Decision(image_id=by_name(store)["0"], state="rejected", reason=""))
        with pytest.raises(UsageError, match=r"nothing to show: 1 photo rejected; what is next: figureground status"):
            make_sheet(store, tmp_path / "sheet")


def judge(store: Workspace, tmp_path: Path, given: dict[str, str], **about: Any) -> None:
    (tmp_path / "d.json").write_text(json.dumps(decisions_file(store, given, **about)))
    read_decisions(store, [tmp_path / "d.json"])


def test_another_mask_of_a_rejected_photo_is_shown_and_accepted(tmp_path: Path) -> None:
    with make_workspace(tmp_path, 3) as store:
        judge(store, tmp_path, {"0": "reject", "1": "accept", "2": "reject"})
        with pytest.raises(UsageError) as caught:
            make_sheet(store, tmp_path / "sheet")
        assert "nothing to show: 1 photo accepted, 2 photos needs_second; other masks" in str(caught.value)
        assert "propose" in str(caught.value)
        assert "--second-look" in str(caught.value)
        add_mask(store, by_name(store)["0"], score=0.9, segmenter="other")
        report = make_sheet(store, tmp_path / "next", SheetRequest(segmenter="other"))
        assert shown(store, *report.pages) == ["0"]
        assert (report.photos, report.again, report.decided) == (1, 1, 2)
        assert "1 photos to accept or reject, 1 of an earlier mask that was rejected, 2 decided" in str(report)
        assert rejected_photos(store) == {by_name(store)["0"]: ["other"], by_name(store)["2"]: []}
        second = next(mask for mask in store.proposals(by_name(store)["0"]) if mask.segmenter == "other")
        content = decisions_file(store, {"0": "accept"}, day=2)
        content["decisions"][0]["proposal_id"] = second.proposal_id
        (tmp_path / "d.json").write_text(json.dumps(content))
        assert read_decisions(store, [tmp_path / "d.json"]).decisions == {"accepted": 1}
        with pytest.raises(UsageError, match="2 photos accepted, 1 photo needs_second"):
            make_sheet(store, tmp_path / "last", SheetRequest(segmenter="other"))


def test_a_doubt_that_is_no_rejection_on_a_sheet_is_not_shown(tmp_path: Path) -> None:
    with make_workspace(tmp_path, 1) as store:
        judge(store, tmp_path, {"0": "accept"})
        judge(store, tmp_path, {"0": "reject"}, who="Ben")
        add_mask(store, by_name(store)["0"], score=0.9, segmenter="other")
        assert rejected_photos(store) == {}
        with pytest.raises(UsageError, match="nothing to show: 1 photo needs_second"):
            make_sheet(store, tmp_path / "sheet", SheetRequest(segmenter="other"))


def test_masks_of_two_segmenters_are_chosen_between(store: Workspace, tmp_path: Path) -> None:
    for image_id in by_name(store).values():
        add_mask(store, image_id, score=0.9, segmenter="other")
    with pytest.raises(UsageError, match="--segmenter"):
        make_sheet(store, tmp_path / "sheet")
    report = make_sheet(store, tmp_path / "sheet", SheetRequest(segmenter="other"))
    assert report.photos == 4


def test_a_folder_that_exists_is_left_alone(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        make_sheet(store, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_names_cannot_write_into_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "<script>alert(1)<"
    folder.mkdir(parents=True)
    (folder / 'a" onerror="x.png').write_bytes(encode(draw_pixels(1), "PNG"))
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "photos")))
        (image,) = store.images()
        add_mask(store, image.image_id, score=0.5)
        (page,) = make_sheet(store, tmp_path / "sheet").pages
    assert page.read_text().count("<script") == 1
    assert 'onerror="' not in page.read_text()
    assert "&lt;script&gt;alert(1)&lt;" in page.read_text()


def test_a_turned_photo_is_shown_upright_with_its_mask(tmp_path: Path) -> None:
    """Orientation 6: the stored left column is the top row."""
    pixels = draw_pixels(3)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photos" / "dog").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "photos" / "dog" / "0.jpg", exif=exif)
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "photos")))
        (image,) = store.images()
        mask = decode_coco_rle(add_mask(store, image.image_id, score=0.5).rle)
        (page,) = make_sheet(store, tmp_path / "sheet").pages
    (data,) = MASK.findall(page.read_text())
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    assert np.array_equal(picture[..., 3] == 255, np.rot90(mask, k=-1))
