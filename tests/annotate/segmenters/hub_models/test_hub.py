"""Segmenters from the Hub: what it gives is loaded, what it refuses is one line with the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_client import Client
from hub_double import STRANGER, HubDouble

pytest.importorskip("transformers")

LOAD = """
import json, sys
from figureground.annotate.segmenters.hub_models.text_boxes import TextBoxes
from figureground.annotate.segmenters.loading import ModelChoice, load_models, load_segmenter
from figureground.errors import FigureGroundError

LOADERS = {
    "sam3 by text": lambda at: load_models(ModelChoice(segmenter="sam3", checkpoint=at, by_text="alone"))[0],
    "grounding-dino": lambda at: TextBoxes("grounding-dino", at),
    "owlv2": lambda at: TextBoxes("owlv2", at),
}
answers = []
for name, at in json.loads(sys.argv[1]):
    try:
        model = LOADERS[name](at) if name in LOADERS else load_segmenter(name, checkpoint=at)
        answers.append([0, model.checkpoint_sha256])
    except FigureGroundError as error:
        answers.append([error.exit_code, str(error)])
print(json.dumps(answers))
"""


def put(hub: HubDouble, name: str, folder: Path, **settings: Any) -> str:
    repo = hub.create(name, **settings)
    oid = repo.put({path.name: path.read_bytes() for path in folder.iterdir()}).oid
    repo.refs["refs/tags/v1"] = oid
    return str(oid)


def test_every_family_says_what_the_hub_refuses_and_how_to_go_on(saved: Callable[[str], Path], tmp_path: Path) -> None:
    families = ["sam2", "edgetam", "sam-hq", "sam3", "sam3 by text", "grounding-dino", "owlv2"]
    asked = [(name, f"me/{kind}") for name in families for kind in ("gated", "none")]
    asked += [("sam2", "me/open@v9"), ("sam2", "me/open@v1"), ("sam2", "me/open"), ("owlv2", "me/open")]
    with HubDouble() as hub:
        put(hub, "me/open", saved("sam2"))
        put(hub, "me/gated", saved("sam2"), gated="manual")
        client = Client(hub, tmp_path / "home", token=STRANGER, more={"USE_TORCH": "1"})
        done = client.python("-P", "-c", LOAD, json.dumps(asked))
    answers = dict(zip(asked, json.loads(done.stdout), strict=True))
    for name in families:
        code, words = answers[name, "me/gated"]
        assert code == 3
        assert "accept its terms at https://huggingface.co/me/gated and log in with: hf auth login" in words
        assert "\n" not in words
        code, words = answers[name, "me/none"]
        assert code == 3
        assert "me/none: the Hub does not give it" in words
        assert "give the folder as --checkpoint" in words or "a folder that has it as --checkpoint" in words
        assert "\n" not in words
    code, words = answers["sam2", "me/open@v9"]
    assert (code, "me/open@v9" in words) == (3, True)
    tagged, newest = answers["sam2", "me/open@v1"], answers["sam2", "me/open"]
    assert tagged == newest
    assert (tagged[0], len(tagged[1])) == (0, 64)
    code, words = answers["owlv2", "me/open"]
    assert (code, "this is no owlv2" in words) == (1, True)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
