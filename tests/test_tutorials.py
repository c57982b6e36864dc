"""The tutorials are followed to the letter, from an empty folder, by somebody who types their blocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chromium import open_chromium
from needs import need
from typist import Typist

from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.errors import ServiceError

pytestmark = [pytest.mark.whole_path, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    try:
        fetch_checkpoint("u2netp")
    except ServiceError as error:
        need(False, str(error))


def accept_all(folder: Path) -> None:
    """What the page says to do in a browser: a name, a key a photo, and the button."""
    with open_chromium() as browser:
        page = browser.new_page()
        page.goto((folder / "sheet" / "sheet-1.html").as_uri())
        page.click("#name")
        page.keyboard.type("Ada")
        page.keyboard.press("Enter")
        for _ in range(10):
            page.keyboard.press("a")
        with page.expect_download() as started:
            page.get_by_role("button", name="Download decisions").click()
        started.value.save_as(folder / started.value.suggested_filename)


def test_from_an_empty_folder_to_a_dataset_and_a_score(tmp_path: Path) -> None:
    typist = Typist(tmp_path, "first_dataset_and_score")
    printed = {}
    for block, text in typist.page("docs/tutorials/first_dataset.md"):
        printed[block.split("\n")[-2]] = text
        if "sheet make" in block:
            accept_all(tmp_path)
    assert "next:\n  figureground propose" in printed["figureground status -w work"]
    assert "10" in printed["figureground freeze -w work --version v1"]
    (loaded,) = [text for line, text in printed.items() if "load_dataset" in line]
    assert re.search(r"num_rows: ([1-9]|10)\b", loaded)
    assert (tmp_path / "mine" / "report" / "contact_sheet.png").is_file()
    assert (tmp_path / "lint.html").is_file()

    printed = {block.split("\n")[-2]: text for block, text in typist.page("docs/tutorials/first_score.md")}
    assert "mixed_rand" in printed["cat report/report.txt"]
    assert (tmp_path / "report" / "report.html").is_file()
    (crossed,) = [text for line, text in printed.items() if line.startswith("figureground evaluate crossed")]
    assert "fooled by a ground" in crossed
    assert "2941" in printed["figureground plan-size --discordant 0.15 --difference 0.02"]
    assert "--model" in printed["python mine/evaluate.py --help"]
