"""docs/python.md is one program that runs: the whole path, with real weights, and a dry run on a double of the Hub."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from checkout import ROOT
from hub_client import Client
from hub_double import HubDouble
from needs import need

from figureground.annotate.segmenters.checkpoints import cache_folder, fetch_checkpoint
from figureground.errors import ServiceError


def blocks(page: str) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    try:
        fetch_checkpoint("u2netp")
    except ServiceError as error:
        need(False, str(error))
    with HubDouble() as hub:
        weights = {"FIGUREGROUND_CACHE": str(cache_folder()), "HF_HUB_OFFLINE": "0"}
        process = Client(hub, tmp_path, more=weights).start("-P", "-c", "\n".join(blocks("docs/python.md")))
        text, talk = process.communicate(timeout=540)
    assert process.returncode == 0, talk
    lines = text.splitlines()
    assert lines[0].startswith("10 {")
    assert any(line.startswith("v1 [(") and "unreviewed" in line for line in lines)
    assert any(line.startswith("BG-gap ") for line in lines)
    assert "efficientnet-lite0 (2, 1000)" in lines
    assert any(line.startswith("1 ") and int(line.split()[1]) > 0 for line in lines), "one commit, some bytes"
    assert lines[-1].startswith("release")
    assert "10 refused" in lines[-1]
    assert (tmp_path / "mine-as-in9" / "bg_challenge").is_dir()


def test_the_lines_of_the_readme_are_calls_of_the_door() -> None:
    """They name what a user lacks here, photos and weights; that they are calls at all is checked by their names."""
    import figureground

    (block,) = blocks("README.md")
    names = re.findall(r"fg\.(\w+)\(", block)
    assert names == ["index", "propose", "freeze", "build", "evaluate"]
    assert set(names) <= set(figureground.__all__)
    compile(textwrap.dedent(block), "README.md", "exec")
