"""A dataset of the Hub where the Hub is not in reach, and what is told apart where it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_client import Client
from hub_double import SECRET, STRANGER, HubDouble
from hub_store import folder_hashes
from needs import SHARED, need_shared
from scored_cases import SHARD, colour_model, draw_dataset

from figureground.exports import join_evaluation

FILE = Path(join_evaluation.__file__).with_name("evaluate.py")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubDouble]:
    with HubDouble() as double:
        publish(double, "me/colours", draw_dataset(tmp_path / "colours"))
        yield double


def publish(hub: HubDouble, name: str, folder: Path, tag: str = "v1") -> None:
    repo = hub.repos.get(name) or hub.create(name)
    files = {path: (folder / path).read_bytes() for path in folder_hashes(folder)}
    repo.refs[f"refs/tags/{tag}"] = repo.put(files, tag).oid


def client_of(hub: HubDouble, tmp_path: Path, token: str | None = SECRET, **more: str) -> Client:
    return Client(hub, tmp_path / "home", token=token, more=more)


def results(out: str) -> Any:
    return json.loads(out)["results"]


@pytest.mark.parametrize(
    ("program", "listed"), [("figureground", True), ("file", False)], ids=["command-manifest", "file-no-manifest"]
)
def test_offline_it_scores_as_it_did_online(hub: HubDouble, tmp_path: Path, program: str, listed: bool) -> None:
    if not listed:
        publish(hub, "me/colours", draw_dataset(tmp_path / "bare", listed=False), "v1")
    model = colour_model(tmp_path / "a.onnx")
    tail = ["--revision", "v1", "--model", model, "--bootstrap", "20", "--json", "--configs", "original"]
    words = ["me/colours", *tail] if program == "figureground" else ["--repo", "me/colours", *tail]
    head = ["-m", "figureground", "evaluate"] if program == "figureground" else [str(FILE)]
    online = client_of(hub, tmp_path).python(*head, *words)
    asked = len(hub.log)
    offline = client_of(hub, tmp_path, HF_HUB_OFFLINE="1").python(*head, *words)
    assert results(offline.stdout) == results(online.stdout)
    assert len(hub.log) == asked
    shutil.rmtree(tmp_path / "home" / "datasets", ignore_errors=True)  # what datasets made of the shards
    again = client_of(hub, tmp_path, HF_HUB_OFFLINE="1").python(*head, *words)
    assert results(again.stdout) == results(online.stdout)


def test_offline_what_the_cache_does_not_hold_is_named(hub: HubDouble, tmp_path: Path) -> None:
    model = colour_model(tmp_path / "a.onnx")
    tail = ["--model", model, "--bootstrap", "20"]
    client_of(hub, tmp_path).figureground("evaluate", "me/colours", "--revision", "v1", *tail)
    offline = client_of(hub, tmp_path, HF_HUB_OFFLINE="1")
    other = offline.figureground("evaluate", "me/colours", "--revision", "v2", *tail, code=3)
    assert "this machine's cache holds the dataset at v1 alone" in " ".join(other.stderr.split())
    absent = offline.figureground("evaluate", "me/none", "--revision", "v1", *tail, code=3)
    assert "this machine's cache holds nothing of the dataset" in " ".join(absent.stderr.split())
    wrong = offline.figureground("evaluate", "me/colours", "--revision", "v1", *tail, "--configs", "nope", code=2)
    assert "has no config nope; it has original" in wrong.stderr
    (shard,) = (tmp_path / "home").rglob(SHARD)
    shard.unlink()
    cut = offline.figureground("evaluate", "me/colours", "--revision", "v1", *tail, code=3)
    assert SHARD in cut.stderr
    assert "does not hold this file" in " ".join(cut.stderr.split())


@pytest.mark.parametrize(
    ("repo", "revision", "token", "settings", "code", "words"),
    [
        ("me/none", "v1", SECRET, {}, 2, "no such repository, or none that this login may see"),
        ("me/none", "v1", None, {}, 2, "it is private or absent"),
        ("me/colours", "v9", SECRET, {}, 2, "has the repository, but no such revision"),
        ("me/colours", "v1", STRANGER, {"private": True}, 2, "none that this login may see"),
        ("me/colours", "v1", None, {"private": True}, 2, "it is private or absent"),
        ("me/colours", "v1", STRANGER, {"gated": "manual"}, 2, "access is restricted"),
    ],
    ids=["absent", "absent-no-login", "tag", "private", "private-no-login", "gated"],
)
def test_absent_private_and_mistagged_are_told_apart(
    hub: HubDouble, tmp_path: Path, repo: str, revision: str, token: str | None, settings: Any, code: int, words: str
) -> None:
    for name, value in settings.items():
        setattr(hub.repos["me/colours"], name, value)
    model = colour_model(tmp_path / "a.onnx")
    done = client_of(hub, tmp_path, token).figureground(
        "evaluate", repo, "--revision", revision, "--model", model, code=code
    )
    assert words in " ".join(done.stderr.split())
    assert sum(line.startswith("error:") for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert f"{repo}@{revision}" in done.stderr


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_token_that_the_hub_echoes_is_not_printed(hub: HubDouble, tmp_path: Path, status: int) -> None:
    """``Client`` looks for it in all that is printed."""
    model = colour_model(tmp_path / "a.onnx")
    hub.fail("GET", r"/api/datasets/me/colours", status, times=99, headers={"X-Error-Message": f"Bearer {SECRET}"})
    done = client_of(hub, tmp_path).figureground(
        "evaluate", "me/colours", "--revision", "v1", "--model", model, code=2 if status == 403 else 3
    )
    assert str(status) in done.stderr or "holds nothing" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_shard_that_the_hub_gives_with_other_bytes_is_named(hub: HubDouble, tmp_path: Path) -> None:
    folder = tmp_path / "colours"
    content = bytearray((folder / SHARD).read_bytes())
    content[-1] ^= 1
    (folder / SHARD).write_bytes(bytes(content))
    publish(hub, "me/colours", folder, "v2")
    model = colour_model(tmp_path / "a.onnx")
    done = client_of(hub, tmp_path).figureground("evaluate", "me/colours", "--revision", "v2", "--model", model, code=1)
    assert f"{SHARD}: expected the bytes that manifest.json lists" in " ".join(done.stderr.split())


def test_the_shared_tiny_dataset_scores_offline(hub: HubDouble, tmp_path: Path) -> None:
    tiny = SHARED / "cases" / "build" / "00_tiny"
    need_shared(tiny)
    publish(hub, "me/tiny", tiny)
    model = f"onnx:{SHARED / 'cases' / 'build' / '02_shard_changed' / 'k2.onnx'}"
    words = ["evaluate", "me/tiny", "--revision", "v1", "--model", model, "--configs", "original", "--json"]
    online = client_of(hub, tmp_path).figureground(*words)
    offline = client_of(hub, tmp_path, HF_HUB_OFFLINE="1").figureground(*words)
    assert results(offline.stdout) == results(online.stdout)
