"""The gallery's page in a real browser: filters, masks, provenance, light and dark, keys alone, no network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from chromium import open_chromium
from plain_dataset import rewrite_rows
from viewed_dataset import Viewed
from watched_page import WatchedPage

import figureground

SLIDE = """value => { const slider = document.getElementById("mask");
  slider.value = value; slider.dispatchEvent(new Event("input")); }"""
SHADED = "shade => Number(getComputedStyle(document.querySelector('.tile img.mask')).opacity) === shade"
MARKUP = "<img src=x onerror=document.title='run'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_chromium() as chromium:
        yield chromium


class Seen(WatchedPage):
    """The gallery's page, when its first tiles are there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.page.wait_for_selector("#grid li")

    def may_ask(self, url: str) -> bool:
        return urlsplit(url).netloc == urlsplit(self.url).netloc

    def captions(self) -> list[str]:
        return [str(text) for text in self.page.locator("#grid .caption").all_inner_texts()]


@pytest.fixture
def seen(browser: Any, shown: figureground.View) -> Iterator[Seen]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    yield (opened := Seen(page, shown.url))
    page.close()
    assert opened.complaints == []


def test_filters_leave_rows_and_say_how_many(seen: Seen) -> None:
    seen.await_count("36 rows shown")
    seen.page.check("input[name=config][value=mixed]")
    seen.await_count("12 rows shown")
    seen.choose("ground", "disc")
    seen.await_count("4 rows shown")
    assert {caption.split("\n")[0] for caption in seen.captions()} == {"mixed"}
    assert all("on disc" in caption for caption in seen.captions())
    # What another config would leave stands beside its name.
    assert seen.page.inner_text("[data-count=config][data-name=original]") == "0"
    seen.page.click("#show-all")
    seen.await_count("36 rows shown")
    seen.page.fill("input[name=least_area]", "99")
    seen.await_count("0 rows shown")
    assert "No row passes" in seen.page.inner_text("#grid")
    seen.page.fill("input[name=least_area]", "")
    seen.await_count("36 rows shown")


def test_wrong_answers_of_a_model_are_a_choice(seen: Seen) -> None:
    seen.choose("model", "0")
    seen.choose("outcome", "wrong")
    seen.page.wait_for_function(
        "() => document.querySelectorAll('.is-wrong').length > 0 && !document.querySelector('.is-right')"
    )
    wrong = seen.captions()
    assert all("✗" in caption for caption in wrong)
    assert re.search(r"wrong \(\d+\)", seen.page.inner_text("select[name=outcome]"))
    seen.choose("answer", "disc")
    seen.page.wait_for_function(
        "() => [...document.querySelectorAll('#grid .wrong')].every(one => one.textContent.includes('disc'))"
    )
    assert 0 < len(seen.captions()) <= len(wrong)


def test_a_filter_is_an_address(seen: Seen, browser: Any) -> None:
    seen.page.check("input[name=config][value=striped]")
    seen.choose("label", "ring")
    seen.await_count("4 rows shown")
    other = browser.new_page()
    other.goto(seen.page.url)
    other.wait_for_function("() => document.getElementById('count').textContent === '4 rows shown'")
    assert other.is_checked("input[name=config][value=striped]")
    other.close()


def test_the_slider_shows_the_mask(seen: Seen) -> None:
    seen.page.wait_for_function(
        "() => [...document.querySelectorAll('.tile img.mask')].slice(0, 6).every(one => one.naturalWidth === 32)"
    )
    seen.page.wait_for_load_state("networkidle")
    pictures = set()
    for value in (0, 50, 100):
        seen.page.evaluate(SLIDE, value)
        seen.page.wait_for_function(SHADED, arg=value / 100)
        pictures.add(seen.page.locator(".tile .frame").first.screenshot())
    assert len(pictures) == 3
    seen.page.focus("#keys")
    for shade in (0, 1):
        seen.page.keyboard.press("m")
        seen.page.wait_for_function(SHADED, arg=shade)


def test_a_click_shows_provenance_and_the_photo_s_variants(seen: Seen, viewed: Viewed) -> None:
    seen.page.check("input[name=config][value=mixed]")
    seen.await_count("12 rows shown")
    seen.page.locator(".tile").nth(2).click()
    seen.page.wait_for_selector("#detail[open]")
    stored = list(figureground.open_dataset(viewed.dataset).rows("mixed"))[2]
    provenance = seen.page.inner_text("#provenance")
    for name in ("pixels_sha256", "seed", "mask_version", "recipe", "ground_sha256"):
        assert str(stored["provenance"][name]) in provenance
    assert '"affine": [' in provenance
    siblings = seen.page.locator("#siblings .tile")
    assert [text.split("\n")[0] for text in siblings.all_inner_texts()] == ["original", "mixed", "striped"]
    assert siblings.nth(1).get_attribute("aria-current") == "true"
    siblings.nth(2).click()
    seen.page.wait_for_function("() => document.getElementById('detail-title').textContent.startsWith('striped')")
    seen.page.locator("#siblings .tile").nth(1).click()
    seen.page.wait_for_function("() => document.getElementById('detail-title').textContent.startsWith('mixed')")
    seen.page.click("#detail-body .link")  # the photo that lent the ground
    seen.page.wait_for_function("() => document.getElementById('detail-title').textContent.startsWith('original')")
    assert stored["ground_id"] in seen.page.inner_text("#detail-body .facts-list")


def test_hands_on_keys_alone(seen: Seen) -> None:
    press = seen.page.keyboard.press
    seen.await_count("36 rows shown")
    press("Tab")
    assert seen.page.evaluate("() => document.activeElement.className") == "skip"
    press("?")
    assert seen.page.is_visible("#help")
    press("Escape")
    assert not seen.page.is_visible("#help")
    press("/")
    assert seen.page.evaluate("() => document.activeElement.name") == "text"
    press("n")  # a letter in a field is a letter
    assert seen.page.input_value("input[name=text]") == "n"
    seen.await_count("0 rows shown")
    press("Backspace")
    seen.await_count("36 rows shown")
    for _ in range(40):
        press("Tab")
        if seen.focused() == "0":
            break
    assert seen.focused() == "0"  # one stop for all tiles
    press("ArrowRight")
    press("ArrowRight")
    press("ArrowLeft")
    assert seen.focused() == "1"
    press("ArrowDown")
    below = int(seen.focused())
    assert below > 2
    press("ArrowUp")
    press("End")
    assert seen.focused() == "35"
    press("Home")
    press("Enter")
    seen.page.wait_for_selector("#detail[open]")
    for key, row in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        press(key)
        seen.page.wait_for_function(
            "row => document.querySelector('#siblings [aria-current]')?.dataset.row === String(row)", arg=row
        )
    assert seen.page.evaluate("() => document.getElementById('detail').contains(document.activeElement)")
    press("Escape")
    seen.page.wait_for_function("() => !document.getElementById('detail').open")
    assert seen.focused() == "1"
    press("v")
    seen.await_count("36 rows of 12 photos shown")
    assert seen.page.locator(".photo").count() == 12
    press("r")
    press("v")
    seen.await_count("36 rows shown")


def test_a_flag_is_raised_by_a_named_person(seen: Seen) -> None:
    seen.page.locator(".tile").nth(5).click()
    seen.page.wait_for_selector("#detail[open]")
    seen.page.select_option("#flag-state", "not_localisable")
    seen.page.click("#flag button")
    assert seen.page.inner_text("#flagged") == ""  # the browser asks for the name
    seen.page.fill("#flag-person", "Grace")
    seen.page.fill("#flag-note", "three of them")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_function("() => document.getElementById('flagged').textContent !== ''")
    assert seen.page.inner_text("#flagged") == "The photo is now needs_second: flagged not_localisable"
    seen.page.keyboard.press("Escape")
    seen.choose("decision", "needs_second")
    seen.await_count("3 rows shown")
    assert all("⚑ needs_second" in caption for caption in seen.captions())
    seen.page.locator(".tile").first.click()
    seen.page.select_option("#flag-state", "taken_back")
    assert seen.page.input_value("#flag-person") == "Grace"
    seen.page.click("#flag button")
    seen.page.wait_for_function("() => document.getElementById('flagged').textContent.includes('accepted')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(browser: Any, shown: figureground.View, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    seen = Seen(page, shown.url)
    seen.choose("model", "0")
    seen.page.wait_for_selector(".is-wrong")
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 384) == (scheme == "dark")
    faults = [f"rows {fault}" for fault in seen.serious()]
    if scheme == "light":  # the same rules colour both
        page.select_option("#arrange", "photos")
        page.wait_for_selector(".photo")
        faults += [f"photos {fault}" for fault in seen.serious()]
    page.locator(".tile").nth(1).click()
    page.wait_for_selector("#detail[open]")
    faults += [f"detail {fault}" for fault in seen.serious()]
    if scheme == "dark":
        page.keyboard.press("?")
        page.wait_for_selector("#help[open]")
        faults += [f"help {fault}" for fault in seen.serious()]
    page.close()
    assert faults == []
    assert seen.complaints == []


def test_a_narrow_window_and_paper_hold_it(browser: Any, shown: figureground.View) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    seen = Seen(page, shown.url)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(media="print")
    assert not page.is_visible("aside")
    assert not page.is_visible(".tools")
    assert page.locator(".tile").first.is_visible()
    assert page.pdf().startswith(b"%PDF")
    page.close()
    assert seen.complaints == []


def test_a_release_without_images_and_markup_in_names(browser: Any, viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.release, tmp_path / "odd"))

    def odd(rows: list[dict[str, Any]]) -> None:
        rows[0]["image_id"] = rows[0]["source_label"] = rows[0]["attribute"] = MARKUP

    rewrite_rows(folder, "data/mixed/test-00000-of-00001.parquet", odd)
    with figureground.view(folder) as shown:
        seen = Seen(browser.new_page(), shown.url)
        assert "holds no images" in seen.page.inner_text(".notice")
        assert seen.page.locator(".tile img.mask").count() == 36
        assert seen.page.locator(".tile img:not(.mask)").count() == 0
        assert seen.page.locator("#flag").count() == 0
        seen.page.locator(".tile[data-row='12']").click()
        seen.page.wait_for_selector("#detail[open]")
        assert MARKUP in seen.page.inner_text("#detail-body")
        assert seen.page.title() != "run"
        seen.page.close()
    assert seen.complaints == []
