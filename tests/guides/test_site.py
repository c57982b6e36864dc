"""The documentation as a site: made without a warning, whole without a network, and every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from checkout import ROOT

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """Anchors and links of a page of the site."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values and tag != "meta"}
        self.links += [values[name] for name in ("href", "src") if values.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx")
    folder = Path(tmp_path_factory.mktemp("site"))
    options = ["-q", "-W", "--keep-going", "-d", f"{folder}/trees", "-c", "docs"]
    command = [sys.executable, "-P", "-m", "sphinx", *options, ".", f"{folder}/site"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """Every page by its path on the site."""
    paths = sorted(site.rglob("*.html"))
    return {path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8")) for path in paths}


def test_it_begins_with_what_it_makes_and_loads_nothing_from_elsewhere(site: Path) -> None:
    assert "Ten photos, their masks and every variant" in (site / "docs" / "index.html").read_text(encoding="utf-8")
    outside = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?//')
    assert [page.name for page in site.rglob("*.html") if outside.search(page.read_text(encoding="utf-8"))] == []


def test_links_within_the_site_lead_to_a_page_and_an_anchor(site: Path, pages: dict[str, Page]) -> None:
    assert sorted(broken_links(site, pages)) == []


def broken_links(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Links to files that are not there, or to anchors that a page has not."""
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            path = target.resolve().relative_to(site.resolve()).as_posix()
            if not target.is_file() or (
                parts.fragment and path in pages and unquote(parts.fragment) not in pages[path].anchors
            ):
                yield f"{name}: {link}"


def test_links_out_of_the_site_are_whole_addresses(pages: dict[str, Page]) -> None:
    """Nothing is asked over the network: a name with a dot, nothing secret, no space."""
    links = {link for page in pages.values() for link in page.links if urlsplit(link).scheme or link.startswith("//")}
    wrong = [
        link
        for link in links
        if not re.fullmatch(r"(https://[\w-]+(\.[\w-]+)+(:\d+)?(/[^\s\"<>\\]*)?|mailto:\S+@\S+)", link)
    ]
    assert wrong == []
    assert links
