"""A sheet in a real browser: keys decide, a name is asked for, the file that comes down is read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import open_chromium
from sheet_samples import by_name, make_workspace

from figureground.annotate.sheet.making import SheetRequest, make_sheet
from figureground.annotate.sheet.reading import read_decisions
from figureground.schemas.store.workspace import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_chromium() as chromium:
        yield chromium


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with make_workspace(tmp_path, 5) as workspace:
        yield workspace


def opened(browser: Any, store: Workspace, tmp_path: Path) -> tuple[Any, list[str]]:
    """The first page of a sheet, in a browser of its own, and what it complains about."""
    (path,) = make_sheet(store, tmp_path / "sheet", SheetRequest()).pages
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    complaints = list[str]()
    page.on("console", lambda line: complaints.append(line.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    return page, complaints


def download(page: Any, path: Path) -> Path:
    with page.expect_download() as started:
        page.click("#download")
    assert started.value.suggested_filename.endswith("-1.json")
    started.value.save_as(path)
    return path


def test_keys_decide_and_the_file_is_read_back(browser: Any, store: Workspace, tmp_path: Path) -> None:
    page, complaints = opened(browser, store, tmp_path)
    for key in ("a", "r", "s", "Enter"):
        page.keyboard.press(key)
    assert page.inner_text("#counts") == "accepted 2 · rejected 1 · skipped 1 · open 1"
    page.fill("#name", "Ada")
    file = download(page, tmp_path / "d.json")
    report = read_decisions(store, [file])
    ids = by_name(store)
    assert (report.accepted, report.rejected, report.skipped) == (2, 1, 1)
    states = {name: store.decision(image_id) for name, image_id in ids.items()}
    assert {name: decision.state for name, decision in states.items() if decision} == {
        "0": "accepted",
        "1": "needs_second",
        "3": "accepted",
    }
    proposals = {proposal.image_id: proposal.rle for proposal in store.proposals()}
    for answer in store.annotations():
        assert answer.masks in ({}, {"object": proposals[answer.image_id]})
    assert complaints == []


def test_enter_ends_the_name_and_keys_reach_the_photos(browser: Any, store: Workspace, tmp_path: Path) -> None:
    page, _ = opened(browser, store, tmp_path)
    page.click("#name")
    page.keyboard.type("Ada R")
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    assert page.input_value("#name") == "Ada R"
    assert page.inner_text("#counts") == "accepted 1 · rejected 0 · skipped 0 · open 4"


def test_a_file_without_a_name_or_a_decision_does_not_come_down(browser: Any, store: Workspace, tmp_path: Path) -> None:
    page, _ = opened(browser, store, tmp_path)
    page.click("#download")
    assert "name" in page.inner_text("#message")
    page.fill("#name", "a r s")  # keys in the field decide nothing
    page.click("#download")
    assert page.inner_text("#message") == "Nothing is decided yet."
    assert page.inner_text("#counts").endswith("open 5")


def test_undo_and_buttons_and_moves(browser: Any, store: Workspace, tmp_path: Path) -> None:
    page, _ = opened(browser, store, tmp_path)
    page.keyboard.press("r")
    page.keyboard.press("u")
    assert page.inner_text("#counts").endswith("open 5")
    page.keyboard.press("a")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("r")  # another mind
    assert page.inner_text("#counts") == "accepted 0 · rejected 1 · skipped 0 · open 4"
    page.keyboard.press("u")
    assert page.inner_text("#counts") == "accepted 1 · rejected 0 · skipped 0 · open 4"
    page.locator("figure").nth(3).get_by_text("Reject").click()
    assert page.locator("figure").nth(3).locator(".state").inner_text() == "rejected"
    page.keyboard.press("s")
    assert page.locator("figure").nth(4).locator(".state").inner_text() == "skipped"


def test_decisions_outlive_a_reload(browser: Any, store: Workspace, tmp_path: Path) -> None:
    page, _ = opened(browser, store, tmp_path)
    page.fill("#name", "Ada")
    page.locator("#name").blur()
    page.keyboard.press("a")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    assert page.inner_text("#counts") == "accepted 1 · rejected 0 · skipped 0 · open 4"
    assert "current" in page.locator("figure").nth(1).get_attribute("class")
    content = json.loads(download(page, tmp_path / "d.json").read_text())
    assert (content["annotator"], len(content["decisions"])) == ("Ada", 1)


def test_the_mask_lies_on_its_photo_and_can_be_hidden(browser: Any, store: Workspace, tmp_path: Path) -> None:
    page, _ = opened(browser, store, tmp_path)
    photo, mask = page.locator("figure").first.locator("img").all()
    assert photo.bounding_box() == mask.bounding_box()
    assert photo.evaluate("image => [image.naturalWidth, image.naturalHeight]") == mask.evaluate(
        "image => [image.naturalWidth, image.naturalHeight]"
    )
    with_mask = page.locator("figure .picture").first.screenshot()
    page.keyboard.press("m")
    assert mask.is_hidden()
    assert page.locator("figure .picture").first.screenshot() != with_mask
    page.keyboard.press("l")
    larger = photo.bounding_box()["height"]
    assert larger > 500
