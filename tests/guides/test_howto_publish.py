"""The page on publishing, typed to the letter by somebody whose Hub is a double on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_double import SECRET, HubDouble
from typist import TRANSCRIPTS, Typist

pytestmark = [pytest.mark.whole_path, pytest.mark.timeout(900)]


def test_a_dataset_is_published_and_so_is_its_next_version(first_dataset: Path, tmp_path: Path) -> None:
    with HubDouble() as hub:
        (tmp_path / "home").mkdir()
        everything = hub.client_environment(tmp_path / "home")
        environment = {name: value for name, value in everything.items() if name.startswith("HF_")}
        typist = Typist(first_dataset, "howto_publish", {**environment, "HF_HUB_OFFLINE": "0", "USE_TORCH": "0"})
        typed = dict(typist.page("docs/howto/publish.md"))
        assert {"refs/tags/v2", "refs/tags/v2-board1", "refs/tags/v3"} <= set(hub.repos["me/mine"].refs)
    (loaded,) = [printed for block, printed in typed.items() if "load_dataset" in block]
    assert "num_rows" in loaded
    assert SECRET not in (TRANSCRIPTS / "howto_publish.txt").read_text(encoding="utf-8")
