"""The report's page in a real browser: light, dark, keys alone, paper, nothing asked of anybody."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no annotations
from chromium import open_chromium

from figureground.exports.report.report import write_report

pytest.importorskip("matplotlib")
OPACITY = "() => Number(getComputedStyle(document.querySelector('.frame .mask')).opacity)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def address(answered: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    write_report([answered[1]], folder, repository=str(answered[0]))
    return (folder / "report.html").as_uri()


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """The page, on which nothing may go wrong."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=request.param)
    opened.set_default_timeout(30_000)
    complaints: list[str] = []
    opened.on("console", lambda line: complaints.append(line.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith("data:") else None)
    opened.goto(address)
    assert complaints.pop(0) == address  # the page itself
    yield opened
    opened.close()
    assert complaints == []


def test_everybody_can_read_it(page: Any) -> None:
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    dark = page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 384) == dark
    page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true; })")
    violations = Axe().run(page).response["violations"]
    assert [(fault["id"], fault["impact"], fault["nodes"][0]["html"][:150]) for fault in violations] == []
    levels = page.evaluate("() => [...document.querySelectorAll('h1,h2,h3,h4')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.evaluate("() => [...document.images].every(one => one.naturalWidth > 0)")


def test_the_slider_obeys_keys_and_shows_the_mask(page: Any) -> None:
    before = page.evaluate(OPACITY)
    page.focus("input.opacity")
    page.keyboard.press("End")
    assert page.evaluate(OPACITY) == 1
    page.keyboard.press("Home")
    assert page.evaluate(OPACITY) == 0
    page.keyboard.press("ArrowRight")
    assert page.evaluate(OPACITY) == pytest.approx(0.05)
    assert before == pytest.approx(0.4)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the first part that folds closes
    assert page.evaluate("() => document.activeElement.tagName") == "SUMMARY"
    assert not page.evaluate("() => document.activeElement.parentElement.open")


def test_tables_are_saved_from_the_page(page: Any) -> None:
    page.click("summary:text-is('tables.csv')")
    with page.expect_download() as saved:
        page.click("a[download='tables.csv']")
    beside = Path(page.url.removeprefix("file://")).with_name("tables.csv")
    assert Path(saved.value.path()).read_bytes() == beside.read_bytes()


def test_a_narrow_window_and_paper_hold_it(page: Any) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(media="print")
    assert not page.is_visible("nav")
    assert not page.is_visible("input.opacity")
    assert page.locator(".frame").first.is_visible()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
