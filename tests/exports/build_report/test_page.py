"""A build's page in a real browser: filters, masks, provenance, light and dark, keys alone, paper, no request."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chromium import open_chromium
from plain_dataset import rewrite_rows
from viewed_dataset import Viewed
from watched_page import WatchedPage

import figureground

SLIDE = """([selector, value]) => { const slider = document.querySelector(selector);
  slider.value = value; slider.dispatchEvent(new Event("input", { bubbles: true })); }"""
SHADES = "() => [...document.querySelectorAll('.tile img.mask')].map(one => Number(getComputedStyle(one).opacity))"
MARKUP = "<img src=x onerror=document.title='run'></script>"
TILES_OF_A_PHOTO = 3


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_chromium() as chromium:
        yield chromium


class Seen(WatchedPage):
    """The page of a build, when it is ready."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.page.wait_for_selector("body[data-ready=yes]")

    def column(self, name: str) -> list[str]:
        """Cells of a column of the table of rows."""
        heads = self.page.locator("#found thead th").all_inner_texts()
        return [
            str(text)
            for text in self.page.locator(f"#found tbody tr > :nth-child({heads.index(name) + 1})").all_inner_texts()
        ]

    def await_title(self, text: str) -> None:
        self.page.wait_for_function("text => document.getElementById('detail-title').textContent === text", arg=text)


@pytest.fixture
def seen(browser: Any, reported: Path) -> Iterator[Seen]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    yield (opened := Seen(page, reported.as_uri()))
    page.close()
    assert opened.complaints == []


def test_every_row_is_found_by_what_it_is(seen: Seen, viewed: Viewed) -> None:
    stored = list(figureground.open_dataset(viewed.dataset).rows("mixed"))
    names = ["disc", "ring", "bar"]
    seen.await_count("36 rows shown")
    seen.choose("config", "=mixed")
    seen.await_count("12 rows shown")
    seen.choose("ground", "=disc")
    on_disc = [row for row in stored if names[row["ground_label"]] == "disc"]
    seen.await_count(f"{len(on_disc)} rows shown")
    assert seen.column("photo") == [row["image_id"][:8] for row in on_disc]
    assert seen.column("donor") == [row["ground_id"][:8] for row in on_disc]
    seen.choose("label", f"={names[on_disc[0]['label']]}")
    assert set(seen.column("donor's class")) == {"disc"}
    seen.page.click("#filters button")
    seen.await_count("36 rows shown")
    seen.choose("ground", "-")
    seen.await_count("24 rows shown")
    seen.choose("ground", "!")
    seen.await_count("12 rows shown")  # the next class lends each its ground
    seen.choose("ground", "")
    donor = stored[0]["ground_id"]
    seen.page.fill("input[name=text]", donor[3:20])
    lent = sum(row["ground_id"] == donor for row in stored)
    seen.await_count(f"{TILES_OF_A_PHOTO + lent} rows shown")
    seen.page.fill("input[name=text]", "no such photo")
    seen.await_count("No row passes all that is asked for.")


def test_a_row_tells_where_it_comes_from(seen: Seen, viewed: Viewed) -> None:
    stored = list(figureground.open_dataset(viewed.dataset).rows("mixed"))[5]
    seen.choose("config", "=mixed")
    seen.await_count("12 rows shown")
    seen.page.locator("#found button").nth(5).click()
    seen.await_title(f"Photo {stored['image_id'][:8]}, mixed")
    details = seen.page.inner_text("#detail-body")
    for name in ("pixels_sha256", "seed", "mask_version", "recipe", "ground_sha256", "source_sha256", "object_id"):
        assert str(stored["provenance"][name]) in details
    assert json.loads(stored["provenance"]["params"]) == json.loads(seen.page.inner_text("#detail-body pre"))
    assert "data/mixed/test-00000-of-00001.parquet" in details
    assert stored["image_id"] in details
    assert stored["source_label"] in details
    attributes = [f"{'' if has else 'not '}{name}" for name, has in stored["attributes"].items() if has is not None]
    assert ", ".join(attributes) in details
    assert seen.page.locator("#detail-body .siblings li").all_inner_texts() == ["original", "mixed", "striped"]
    assert seen.page.locator("#detail-body img.picture").count() == 1
    seen.page.click("#detail-body dd .link")  # the photo that lent the ground
    seen.await_title(f"Photo {stored['ground_id'][:8]}, original")
    seen.page.click("#detail-body .siblings >> text=striped")
    seen.await_title(f"Photo {stored['ground_id'][:8]}, striped")


def test_sliders_show_the_masks(seen: Seen) -> None:
    tiles = seen.page.locator("#pictures .tile").count()
    shades = seen.page.evaluate(SHADES)[:tiles]
    assert shades == [0.35 if number % TILES_OF_A_PHOTO == 0 else 0 for number in range(tiles)]  # the photo itself
    seen.page.evaluate(SLIDE, ["#mask", 80])
    assert set(seen.page.evaluate(SHADES)) == {0, 0.8}
    seen.page.check("#every")
    assert seen.page.evaluate(SHADES)[:tiles] == [0.8] * tiles
    # One photo's own.
    frame = seen.page.locator("#pictures .frame").first
    pictures = set()
    for value in (0, 50, 100):
        seen.page.evaluate(SLIDE, [".own", value])
        assert seen.page.evaluate(SHADES)[:tiles] == [value / 100] * TILES_OF_A_PHOTO + [0.8] * (
            tiles - TILES_OF_A_PHOTO
        )
        pictures.add(frame.screenshot())
    assert len(pictures) == 3
    seen.page.evaluate(SLIDE, ["#mask", 20])  # that of all is for all again
    assert seen.page.evaluate(SHADES)[:tiles] == [0.2] * tiles
    assert seen.page.locator(".own").first.input_value() == "20"


def test_variants_side_by_side_or_one_of_all_photos(seen: Seen) -> None:
    shown = """() => [...document.querySelectorAll('#pictures .tile')]
      .filter(one => one.checkVisibility()).map(one => one.dataset.config)"""
    assert seen.page.evaluate(shown) == ["original", "mixed", "striped"] * 12
    seen.page.select_option("#variant", "striped")
    assert seen.page.evaluate(shown) == ["striped"] * 12
    assert seen.page.locator("#pictures .tile[tabindex='0']").count() == 3  # a stop in each class, and one that is seen
    assert set(seen.page.locator("#pictures .tile[tabindex='0'] b").all_inner_texts()) == {"striped"}
    seen.page.select_option("#variant", "")
    assert seen.page.evaluate(shown) == ["original", "mixed", "striped"] * 12
    assert all(
        seen.page.evaluate("() => [...document.querySelectorAll('img.picture')].map(one => one.naturalWidth === 32)")
    )


def test_donors_stand_beside_what_was_made_of_them(seen: Seen, viewed: Viewed) -> None:
    dataset = figureground.open_dataset(viewed.dataset)
    stored = {row["image_id"]: row for row in dataset.rows("mixed")}
    pairs = seen.page.locator("#donors .pair")
    assert pairs.count() == 12
    rows = [[config, row["image_id"]] for config in ("original", "mixed", "striped") for row in dataset.rows(config)]
    for pair in pairs.all():
        figure, ground, result = (
            rows[int(str(tile.get_attribute("data-row")))] for tile in pair.locator(".tile").all()
        )
        assert [figure[0], ground[0], result[0]] == ["original", "original", "mixed"]
        assert figure[1] == result[1]
        assert stored[result[1]]["ground_id"] == ground[1]


def test_hands_on_keys_alone(seen: Seen) -> None:
    press = seen.page.keyboard.press
    press("Tab")
    assert seen.page.evaluate("() => document.activeElement.className") == "skip"

    def tab_to(name: str) -> None:
        for _ in range(60):
            press("Tab")
            if seen.focused() == name:
                return
        raise AssertionError(f"Tab does not reach {name}")

    tab_to("mask")
    press("ArrowRight")
    assert seen.page.input_value("#mask") == "40"
    for _ in range(3):  # every variant, which, unfold
        press("Tab")
    press("Tab")
    assert seen.page.evaluate("() => document.activeElement.tagName") == "SUMMARY"
    press("Tab")
    press("ArrowLeft")
    assert seen.page.locator(".own").first.input_value() == "35"
    press("Tab")
    first = seen.focused()
    assert first.isdigit()
    press("ArrowRight")
    assert seen.page.evaluate("() => document.activeElement.dataset.config") == "mixed"
    press("ArrowDown")
    assert seen.page.evaluate("() => document.activeElement.dataset.config") == "mixed"
    below = seen.focused()
    press("End")
    press("Home")
    assert seen.focused() == first
    press("ArrowDown")
    press("ArrowRight")
    assert seen.focused() == below
    press("Enter")
    seen.page.wait_for_selector("#detail[open]")
    title = seen.page.inner_text("#detail-title")
    press("ArrowRight")
    seen.page.wait_for_function("text => document.getElementById('detail-title').textContent !== text", arg=title)
    press("ArrowLeft")
    seen.await_title(title)
    assert seen.page.evaluate("() => document.getElementById('detail').contains(document.activeElement)")
    press("Escape")
    seen.page.wait_for_function("() => !document.getElementById('detail').open")
    assert seen.focused() == below
    seen.page.focus("#filters input")
    seen.page.keyboard.type("zzzz")
    seen.await_count("No row passes all that is asked for.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(browser: Any, reported: Path, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    seen = Seen(page, reported.as_uri())
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 384) == (scheme == "dark")
    faults = [f"page {fault}" for fault in seen.serious()]
    page.locator("#pictures .tile").nth(1).click()
    page.wait_for_selector("#detail[open]")
    faults += [f"detail {fault}" for fault in seen.serious()]
    page.close()
    assert faults == []
    assert seen.complaints == []


def test_it_has_landmarks_headings_captions_and_words_for_pictures(seen: Seen) -> None:
    headings = """() => [...document.querySelectorAll('h1,h2,h3,h4')]
      .filter(one => !one.closest('dialog')).map(one => Number(one.tagName[1]))"""
    levels = seen.page.evaluate(headings)
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert [seen.page.locator(name).count() for name in ("header", "main", "nav")] == [1, 1, 1]
    assert seen.page.locator("table").count() == seen.page.locator("table > caption").count() > 5
    alts = seen.page.evaluate("() => [...document.querySelectorAll('img.picture')].map(one => one.alt)")
    assert all(re.fullmatch(r"Photo [0-9a-f]{8}, (disc|ring|bar):", alt) for alt in alts)
    targets = seen.page.evaluate("() => [...document.querySelectorAll('nav a')].map(one => one.getAttribute('href'))")
    assert all(seen.page.locator(target).count() == 1 for target in targets)


def test_a_narrow_window_and_paper_hold_it(browser: Any, reported: Path) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    seen = Seen(page, reported.as_uri())
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = false; })")
    page.emulate_media(media="print")
    assert not page.is_visible("#rows")
    assert not page.is_visible("#mask")
    assert page.pdf().startswith(b"%PDF")
    assert page.evaluate(
        "() => [...document.querySelectorAll('details')].every(one => one.open)"
    )  # paper unfolds nothing
    assert page.locator("#pictures .tile").last.is_visible()
    page.close()
    assert seen.complaints == []


def test_a_release_without_images_and_markup_in_names(browser: Any, viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.release, tmp_path / "odd"))

    def odd(rows: list[dict[str, Any]]) -> None:
        rows[0]["image_id"] = rows[0]["source_label"] = rows[0]["attribute"] = MARKUP

    rewrite_rows(folder, "data/mixed/test-00000-of-00001.parquet", odd)
    seen = Seen(browser.new_page(), figureground.report_build(folder).as_uri())
    assert "holds no images" in seen.page.inner_text(".notice")
    tiles = seen.page.locator("#pictures .tile").count()
    assert tiles == 36
    assert seen.page.locator("#pictures .tile img.mask").count() == tiles
    assert seen.page.locator("img.picture").count() == 0
    assert seen.page.locator("#mask").count() == 0
    assert set(seen.page.evaluate(SHADES)) == {1}
    assert seen.page.locator("#pictures img.mask").first.get_attribute("alt") != ""
    seen.page.fill("input[name=text]", "onerror")
    seen.await_count("1 row shown")
    seen.page.click("#found button")
    seen.page.wait_for_selector("#detail[open]")
    assert MARKUP in seen.page.inner_text("#detail-body")
    assert seen.page.title() != "run"
    assert seen.page.locator("img[src=x]").count() == 0
    seen.page.close()
    assert seen.complaints == []
