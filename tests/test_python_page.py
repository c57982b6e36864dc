"""docs/python.md is one program that runs: the whole path, with real weights, and a dry run on a double of the Hub.

Its photos are the demo's, and so are its masks where there is no npm: from there the demo goes on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from checkout import ROOT
from hub_client import Client
from hub_double import HubDouble
from needs import need

from figureground.annotate.segmenters.checkpoints import cache_folder, fetch_checkpoint
from figureground.demo.walk import MARK
from figureground.errors import ServiceError


def blocks(page: str) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder that the page's program ran in, and what it printed."""
    pytest.importorskip("efficientnet_lite_pytorch")
    try:
        fetch_checkpoint("u2netp")
    except ServiceError as error:
        need(False, str(error))
    folder = Path(tmp_path_factory.mktemp("page"))
    with HubDouble() as hub:
        weights = {"FIGUREGROUND_CACHE": str(cache_folder()), "HF_HUB_OFFLINE": "0"}
        process = Client(hub, folder, more=weights).start("-P", "-c", "\n".join(blocks("docs/python.md")))
        text, talk = process.communicate(timeout=540)
    assert process.returncode == 0, talk
    return folder, text.splitlines()


def test_the_page_runs_from_top_to_bottom(page: tuple[Path, list[str]]) -> None:
    folder, lines = page
    assert lines[0].startswith("10 {")
    assert any(line.startswith("v1 [(") and "unreviewed" in line for line in lines)
    assert any(line.startswith("BG-gap ") for line in lines)
    assert "efficientnet-lite0 (2, 1000)" in lines
    assert any(line.startswith("1 ") and int(line.split()[1]) > 0 for line in lines), "one commit, some bytes"
    assert lines[-1].startswith("release")
    assert "10 refused" in lines[-1]
    assert (folder / "mine-as-in9" / "bg_challenge").is_dir()


def test_without_npm_the_demo_ends_with_grabcut_and_says_so(page: tuple[Path, list[str]], tmp_path: Path) -> None:
    """It finds GrabCut's masks of its photos, which the page's program made: they cost seconds a photo."""
    shutil.copytree(page[0] / "demo", tmp_path / "demo")
    shutil.copytree(page[0] / "work", tmp_path / "demo" / "workspace")
    (tmp_path / "demo" / MARK).touch()
    cache = tmp_path / "cache"
    shutil.copytree(cache_folder() / "checkpoints" / "u2netp", cache / "checkpoints" / "u2netp")
    environment = {**os.environ, "FIGUREGROUND_CACHE": str(cache), "PATH": str(tmp_path)}
    one_classifier = "from figureground.demo import walk; walk.CLASSIFIERS = walk.CLASSIFIERS[:1]"
    program = f"{one_classifier}; from figureground.cli.app import main; main()"
    command = [sys.executable, "-c", program, "demo", "-o", str(tmp_path / "demo"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "No SAM weights, so GrabCut" in " ".join(done.stderr.split())
    report = json.loads(done.stdout)
    assert report["segmenter"] == "grabcut"
    assert "npm" in report["note"]
    assert report["rows_loaded"] > 0
    assert Path(report["contact_sheet"]).is_file()
    assert "mixed_rand" in report["table"]


def test_the_lines_of_the_readme_are_calls_of_the_door() -> None:
    """They name what a user lacks here, photos and weights; that they are calls at all is checked by their names."""
    import figureground

    (block,) = blocks("README.md")
    names = re.findall(r"fg\.(\w+)\(", block)
    assert names == ["index", "propose", "freeze", "build", "evaluate"]
    assert set(names) <= set(figureground.__all__)
    compile(textwrap.dedent(block), "README.md", "exec")
