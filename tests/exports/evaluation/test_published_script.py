"""The published evaluate.py and the card's snippets, run as a reader would: by uv from its address, in a download."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn_release import draw_release
from hub_client import Client, build_toy
from hub_double import HubDouble
from hub_store import folder_hashes
from needs import ROOT, need

from figureground.build.recipes.loading import load_recipe

EXPORT = """
import sys
import torch
from figureground.exports.evaluation.classifiers import efficientnet_lite0
network = efficientnet_lite0().network
network.set_swish(memory_efficient=False)
torch.onnx.export(
    network, torch.zeros(1, 3, 224, 224), sys.argv[1], dynamo=False,
    input_names=["image"], output_names=["logits"], dynamic_axes={"image": {0: "images"}, "logits": {0: "images"}},
)
"""
SETTINGS = {"mean": [127 / 255] * 3, "std": [128 / 255] * 3}  # the lite models see (pixel - 127) / 128

pytestmark = pytest.mark.same_on_file
LIBRARIES = ("datasets", "numpy", "onnxruntime", "pillow", "scipy")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNet-Lite0 with its ImageNet weights, as ONNX."""
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("onnx")
    path = Path(tmp_path_factory.mktemp("model")) / "lite0.onnx"
    subprocess.run([sys.executable, "-W", "ignore", "-c", EXPORT, str(path)], check=True, capture_output=True)
    path.with_suffix(".json").write_text(json.dumps(SETTINGS))
    return path


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubDouble]:
    root = Path(tmp_path_factory.mktemp("toy"))
    variants = load_recipe("imagenet9").model_dump(mode="json")["variants"]
    selection = {name: variants[name] for name in ("original", "mixed_same", "mixed_rand", "only_bg_t")}
    folder = build_toy(draw_release(root / "drawn", per_class=4), root / "toy", base="imagenet9", variants=selection)
    with HubDouble() as double:
        repo = double.create("me/toy")
        repo.refs["refs/tags/v1"] = repo.put({path: (folder / path).read_bytes() for path in folder_hashes(folder)}).oid
        yield double


def uv() -> str:
    """uv, if it can install what the script asks for."""
    program = shutil.which("uv", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    need(program is not None, "there is no uv")
    command = [str(program), "export", "--quiet", "--script", str(ROOT / "exports" / "evaluate.py")]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    need(asked.returncode == 0, f"uv cannot find the script's packages: {asked.stderr[-300:]}")
    return str(program)


def test_uv_runs_the_script_from_its_address_and_gets_our_numbers(
    hub: HubDouble, classifier: Path, tmp_path: Path
) -> None:
    program = uv()
    cache = subprocess.run([program, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    proxies = {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy")}
    client = Client(hub, tmp_path / "home", more={"UV_CACHE_DIR": cache, **proxies})
    words = ["--revision", "v1", "--model", f"onnx:{classifier}", "--bootstrap", "200", "--json"]
    address = f"{hub.url}/datasets/me/toy/resolve/v1/evaluate.py"
    command = [program, "run", "--no-project", "--python", sys.executable, address, "--repo", "me/toy", *words]
    done = subprocess.run(
        command, env=client.environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    (ours,) = json.loads(client.figureground("evaluate", "me/toy", *words).stdout)["results"]
    libraries = result.pop("libraries")  # those that uv found, which may be newer than ours
    assert libraries.keys() == ours.pop("libraries").keys() == set(LIBRARIES)
    for one in (result, ours):
        del one["answers"]  # named by the versions of what decides them
    assert "decided_by" not in result
    assert result == ours
    assert result["model"] == "onnx:lite0"
    assert {config["n"] for config in result["configs"].values()} == {12}
    assert {config["accuracy_micro"] for config in result["configs"].values()} - {0.0, 1.0}


def test_the_cards_snippets_run_as_they_are_printed(hub: HubDouble, classifier: Path, tmp_path: Path) -> None:
    client, folder = Client(hub, tmp_path / "home"), tmp_path / "home" / "toy"
    hf = Path(sysconfig.get_path("scripts"), "hf")
    words = ["--repo-type", "dataset", "--revision", "v1", "--local-dir", str(folder)]
    client.python(str(hf), "download", "me/toy", *words)
    card = (folder / "README.md").read_text()
    printed = dict(re.findall(r"^```(\w*)\n(.*?)^```$", card, re.MULTILINE | re.DOTALL))

    assert printed["python"].count("OWNER/NAME") == 1
    assert 'revision="v1"' in printed["python"]
    loading = printed["python"].replace("OWNER/NAME", "me/toy")
    shown = client.python("-c", f"{loading}\nprint(len(rows), rows[0]['variant'], rows[0]['image'].size)")
    assert shown.stdout.strip() == "12 mixed_rand (224, 224)"

    *command, script, repo, named, revision, tag, option, model = shlex.split(printed[""])
    assert command == ["uv", "run", "--with", "timm", "--with", "torch"]
    assert script == "https://huggingface.co/datasets/OWNER/NAME/resolve/v1/evaluate.py"
    assert (repo, named, revision, tag) == ("--repo", "OWNER/NAME", "--revision", "v1")
    assert (option, model) == ("--model", "timm:resnet50.a1_in1k")  # whose weights are not here
    scored = (option, f"onnx:{classifier}", "--bootstrap", "200")
    table = client.python(str(folder / "evaluate.py"), repo, "me/toy", revision, tag, *scored).stdout
    assert re.search("^bg_gap .*", table, re.MULTILINE), table
    assert "`python evaluate.py --model …` scores the copy in whose folder it lies" in card
    table = client.python(str(folder / "evaluate.py"), *scored).stdout
    assert re.search("^bg_gap .*", table, re.MULTILINE), table
