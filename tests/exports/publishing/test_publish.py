"""Publishing to a double of the Hub with the real clients: what is asked of it, what it holds, and what loads back."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from drawn_release import DrawnRelease, draw_release
from hub_client import VARIANTS, Client, build_toy, relist
from hub_double import STRANGER, HubDouble
from hub_store import LFS_ENDINGS, folder_hashes
from typer.testing import CliRunner

from figureground.cli.app import app
from figureground.errors import UsageError
from figureground.exports.publishing.plan import require_tag
from figureground.runtime.hub import require_repo_id

MASKED = {"view": "crop", "ground": {"fill": "grey"}, "matte": "mask", "figure": "source"}
LOAD = """
import json, sys
from datasets import get_dataset_config_names, load_dataset
found = {}
for config, revision in json.loads(sys.argv[1]):
    whole = load_dataset("me/toy", config, split="test", revision=revision)
    flowing = load_dataset("me/toy", config, split="test", revision=revision, streaming=True)
    found[revision] = {
        "configs": sorted(get_dataset_config_names("me/toy", revision=revision)),
        "ids": whole["image_id"][:], "streamed": [row["image_id"] for row in flowing],
        "labels": whole.features["label"].names, "size": whole[0]["image"].size,
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    return draw_release(Path(tmp_path_factory.mktemp("drawn")), per_class=2)


@pytest.fixture(scope="module")
def first(drawn: DrawnRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(drawn, Path(tmp_path_factory.mktemp("first")) / "toy")


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with HubDouble() as double:
        yield double


def changing(hub: HubDouble, start: int = 0) -> list[str]:
    """Requests that could change something; asking for some paths is a POST too."""
    asked = [f"{request.method} {request.path}" for request in hub.log[start:] if request.method not in ("GET", "HEAD")]
    return [request for request in asked if "/paths-info/" not in request]


def uploaded(hub: HubDouble, start: int = 0) -> dict[str, int]:
    """SHA-256 of uploaded files to bytes that came."""
    puts = [request for request in hub.log[start:] if request.method == "PUT" and request.path.startswith("/lfs/")]
    return {request.path.partition("?")[0].rpartition("/")[2]: request.received for request in puts}


def large(folder: Path) -> dict[str, int]:
    """SHA-256 to size of the files that the Hub keeps as large ones."""
    hashes = folder_hashes(folder)
    return {sha256: (folder / path).stat().st_size for path, sha256 in hashes.items() if path.endswith(LFS_ENDINGS)}


def on_main(hub: HubDouble, name: str = "me/toy") -> dict[str, str]:
    tree = hub.repos[name].main.tree
    return {path: blob.sha256 for path, blob in tree.items() if not path.startswith(".")}


def stored_ids(folder: Path, config: str) -> list[str]:
    (shard,) = (folder / "data" / config).glob("*.parquet")
    return [str(name) for name in pq.read_table(shard, columns=["image_id"])["image_id"].to_pylist()]


FIRST_RELEASE = [
    "POST /api/repos/create",
    "PUT /lfs/",
    "POST .*/commit/main[?]create_pr=1",
    "GET .*/resolve/.*parquet",
    "POST .*/commit/main$",
    "POST .*/tag/",
    "POST .*/paths-info/v1",
    "POST .*/discussions/1/status",
]
"""Requests in their order: staged on a pull request, loaded back, one commit, a tag."""


def test_a_version_is_published_loaded_and_followed_by_another(
    hub: HubDouble, drawn: DrawnRelease, first: Path, tmp_path: Path
) -> None:
    client, second = Client(hub, tmp_path / "home"), tmp_path / "second"
    build_toy(drawn, second, version="2", variants={"original": VARIANTS["original"], "plus_masked": MASKED})
    hub.allow("me/toy", first)
    hub.allow("me/toy", second)
    publish = ["publish", "--repo-id", "me/toy", "--workers", "1", "--json"]

    plan = json.loads(client.figureground(*publish, first, "--dry-run").stdout)["plan"]
    assert (plan["exists"], plan["commits"], plan["tag"]) == (False, 1, "v1")
    assert {file["path"]: file["action"] for file in plan["files"]} == dict.fromkeys(folder_hashes(first), "new")
    assert hub.log
    assert changing(hub) == []
    assert hub.repos == {}

    report = json.loads(client.figureground(*publish, first).stdout)["report"]
    repo = hub.repos["me/toy"]
    assert (report["tag"], report["commit"], report["pull_request"]) == ("v1", repo.main.oid, 1)
    assert on_main(hub) == folder_hashes(first)
    assert uploaded(hub) == large(first)
    _assert_order([f"{item.method} {item.path}" for item in hub.log], FIRST_RELEASE)
    titles = [commit.title for commit in repo.commits.values() if commit.parent]
    assert [title.partition(" (")[0] for title in titles] == ["figureground: stage v1", "Release v1"]
    assert [item["status"] for item in repo.pull_requests.values()] == ["closed"]

    start = len(hub.log)
    assert json.loads(client.figureground(*publish, first).stdout)["plan"]["commits"] == 0
    assert changing(hub, start) == []

    start = len(hub.log)
    again = client.figureground(*publish, second).stdout
    deleted = ["data/plus/test-00000-of-00001.parquet"]
    assert json.loads(again)["report"]["deleted"] == deleted
    assert on_main(hub) == folder_hashes(second)
    assert uploaded(hub, start) == {
        sha256: size for sha256, size in large(second).items() if sha256 not in large(first)
    }
    assert {path for path in repo.find("v1").tree if not path.startswith(".")} == set(folder_hashes(first))
    asked = {"v1": (first, "plus"), "v2": (second, "plus_masked")}
    words = json.dumps([(config, revision) for revision, (_, config) in asked.items()])
    loaded = json.loads(client.python("-c", LOAD, words).stdout)
    for revision, (folder, config) in asked.items():
        answer = loaded[revision]
        assert answer["configs"] == sorted(["original", config])
        assert answer["ids"] == answer["streamed"] == stored_ids(folder, config)
        assert answer["labels"] == ["disc", "ring", "bar"]

    start = len(hub.log)
    refused = client.figureground(*publish, first, code=2).stderr
    assert "has this very release as v1 already, and main has moved on since" in refused
    refused = client.figureground(*publish, second, "--tag", "v1", code=2).stderr
    assert "has a tag v1 already, and it holds something else" in refused
    assert changing(hub, start) == []
    assert hub.violations == []


def _assert_order(asked: list[str], patterns: list[str]) -> None:
    next_request = 0
    for pattern in patterns:
        later = [
            number for number, request in enumerate(asked) if number >= next_request and re.search(pattern, request)
        ]
        assert later, f"no {pattern} after request {next_request}"
        next_request = later[0] + 1


def test_more_files_than_are_sent_at_once_come_in_one_commit(hub: HubDouble, first: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(first, tmp_path / "many")
    for number in range(120):
        (folder / "report" / f"{number:03}.png").write_bytes(b"\x89PNG" + bytes([number]) * 64)
    relist(folder)
    hub.allow("me/many", folder)
    hub.create("me/many").put({"NOTES.md": b"by hand"})
    done = Client(hub, tmp_path / "home").figureground("publish", folder, "--repo-id", "me/many", "--workers", "1")
    assert "left alone: NOTES.md" in done.stderr
    asked = [len(json.loads(request.body)["objects"]) for request in hub.asked("POST", "/objects/batch")]
    assert sum(asked) == len(large(folder)) > 120
    assert max(asked) <= 100
    assert len(uploaded(hub)) == sum(asked)
    assert [request.status for request in hub.asked("POST", "/commit/main$")] == [200]
    assert on_main(hub, "me/many").keys() == folder_hashes(folder).keys() | {"NOTES.md"}
    assert hub.violations == []


def test_what_may_not_be_passed_on_is_gated_and_only_by_who_says_so(
    hub: HubDouble, drawn: DrawnRelease, tmp_path: Path
) -> None:
    mine = shutil.copytree(drawn.workspace, tmp_path / "workspace")
    words = ["index", str(drawn.photos), "-w", str(mine), "--name", "drawn", "--restricted", "--workers", "1"]
    assert CliRunner().invoke(app, words).exit_code == 0
    held = DrawnRelease(photos=drawn.photos, workspace=mine, release=drawn.release)
    pictures = build_toy(held, tmp_path / "pictures")
    owner, stranger = Client(hub, tmp_path / "home"), Client(hub, tmp_path / "strange", STRANGER)

    stderr = owner.figureground("publish", pictures, "--repo-id", "me/held", "--workers", "1", code=2).stderr
    assert "source drawn: its maintainer said so" in stderr
    assert "build with --no-pixels" in stderr
    assert changing(hub) == []

    words = ["publish", str(pictures), "--repo-id", "me/held", "--workers", "1", "--i-may-redistribute"]
    done = owner.figureground(*words, "--private", "--gated", "manual")
    assert "me/held (new): private, gated: manual" in done.stderr
    assert "passed on because --i-may-redistribute was given" in done.stderr
    assert "told no terms" not in done.stderr
    asked = changing(hub)
    assert asked[:2] == ["POST /api/repos/create", "PUT /api/datasets/me/held/settings"]
    assert (
        json.loads(hub.log[[request.path for request in hub.log].index("/api/repos/create")].body)["visibility"]
        == "private"
    )
    verify = ["verify", "me/held", "--revision", "v1", "--workers", "1"]
    assert "no such dataset, or none that this login may see" in stranger.figureground(*verify, code=2).stderr

    assert "becomes public" in owner.figureground(*words, "--public").stderr
    assert (hub.repos["me/held"].private, hub.repos["me/held"].gated) == (False, "manual")
    stderr = stranger.figureground(*verify, code=2).stderr
    assert f"access is restricted; ask for it at {hub.url}/datasets/me/held" in stderr
    assert "test-00000-of-00001.parquet" not in stranger.files()
    assert "6 images" not in stderr


@pytest.mark.parametrize("tag", ["", "main", "a b", "v1..2", "-v1", "v1.lock", "v1.", "refs/tags/v1", "v\n"])
def test_tags_that_git_would_not_take_are_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="is no tag"):
        require_tag(tag)


@pytest.mark.parametrize("name", ["toy", "me/toy/x", "../toy", "me/..", "me/-toy", "me/toy.git", "me/a--b", "m e/toy"])
def test_ids_that_the_hub_would_not_take_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no id of a dataset"):
        require_repo_id(name)
