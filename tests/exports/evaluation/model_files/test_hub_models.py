"""Models of the Hub in one command: what it does not give is a line with the remedy, and stops no other model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from colour_dataset import HEAD, PLAIN, write_onnx
from hub_client import Client
from hub_double import STRANGER, HubDouble
from scored_cases import draw_dataset

pytest.importorskip("transformers")
pytestmark = pytest.mark.same_on_file


def put_model(hub: HubDouble, name: str, folder: Path, **settings: Any) -> str:
    repo = hub.create(name, **settings)
    oid = repo.put({path.name: path.read_bytes() for path in folder.iterdir()}).oid
    repo.refs["refs/tags/v1"] = oid
    return str(oid)


def test_a_zoo_is_scored_whatever_the_hub_refuses(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    write_onnx(tmp_path / "home" / "colour.onnx", HEAD, settings=PLAIN)
    (tmp_path / "home" / "abc.json").write_text('{"class_names": ["red", "green", "blue"]}')
    models = [
        {"model": "hf:me/gated", "family": "ViT"},
        {"model": "hf:me/none", "family": "ViT"},
        {"model": "hf:me/vit@v9", "family": "ViT"},
        {"model": "hf:me/vit@v1=abc", "spec": "hf:me/vit@v1=abc.json", "family": "ViT", "training": "random"},
        {"model": "colour", "spec": "onnx:colour.onnx", "family": "by hand"},
        {"model": "onnx:colour", "spec": "onnx:colour.onnx", "family": "by hand", "parameters": 9},
    ]
    (tmp_path / "home" / "models.yaml").write_text(json.dumps({"models": models}))
    folder = draw_dataset(tmp_path / "set")
    with HubDouble() as hub:
        commit = put_model(hub, "me/vit", tiny("vit"))
        put_model(hub, "me/gated", tiny("vit"), gated="manual")
        client = Client(hub, tmp_path / "home", token=STRANGER, more={"USE_TORCH": "1"})
        words = ["--models", "models.yaml", "--configs", "original", "--bootstrap", "20", "-o", "scores", "--json"]
        done = client.figureground("evaluate", folder, *words, code=1)
    printed = json.loads(done.stdout)
    assert [result["model"] for result in printed["results"]] == ["hf:me/vit@v1=abc", "onnx:colour"]
    assert printed["results"][0]["model_settings"]["settings"]["revision"] == commit
    reasons = {failure["model"]: (failure["exit_code"], failure["reason"]) for failure in printed["failures"]}
    assert [code for code, _ in reasons.values()] == [2, 2, 2, 2]
    assert "hf:me/gated: access is restricted; ask for it on its page, then log in" in reasons["hf:me/gated"][1]
    assert "the Hub has no such repository, or none that this login may see" in reasons["hf:me/none"][1]
    assert "has the repository, but no such revision" in reasons["hf:me/vit@v9"][1]
    assert "results will call it 'onnx:colour': list it as {model: 'onnx:colour', spec:" in reasons["colour"][1]
    output = " ".join(done.stderr.split())
    assert "4 of 6 models were not scored: hf:me/gated: hf:me/gated: access is restricted" in output
    assert "Traceback" not in output
