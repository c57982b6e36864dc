"""Releases read from a double of the Hub: verified, rebuilt, compared, no byte more than needed, and never trusted."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from drawn_release import DrawnRelease, draw_release
from hub_client import VARIANTS, Client, build_toy, relist
from hub_double import HubDouble
from hub_store import Blob, folder_hashes
from typer.testing import CliRunner

from figureground.cli.app import app
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.changes import compare_versions
from figureground.exports.rebuilding.rebuild import rebuild_dataset
from figureground.schemas.sources.opening import open_source

SHARD = "data/original/test-00000-of-00001.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Two versions on the Hub, and what they were made of."""

    hub: HubDouble
    first: Path
    second: Path
    drawn: DrawnRelease


def files_of(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in folder_hashes(folder)}


def put(hub: HubDouble, name: str, files: Mapping[str, bytes], tag: str = "v1") -> None:
    repo = hub.repos.get(name) or hub.create(name)
    repo.refs[f"refs/tags/{tag}"] = repo.put(files, tag).oid


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    root = Path(tmp_path_factory.mktemp("published"))
    drawn = draw_release(root / "drawn", per_class=4)
    first = build_toy(drawn, root / "first")
    second = build_toy(drawn, root / "second", version="2", variants={"original": VARIANTS["original"]})
    with HubDouble() as hub:
        put(hub, "me/toy", files_of(first))
        put(hub, "me/toy", files_of(second), "v2")
        yield Published(hub=hub, first=first, second=second, drawn=drawn)


@pytest.fixture
def client(published: Published, tmp_path: Path) -> Client:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Client(published.hub, tmp_path / "home", more={"TMPDIR": str(scratch)})


def received(hub: HubDouble, start: int) -> dict[str, list[int]]:
    """Bytes of every answer that held a file or a part of it, by path."""
    sizes: dict[str, list[int]] = {}
    for request in hub.log[start:]:
        if request.method == "GET" and (match := re.search(r"/resolve/[^/]+/(.+)", request.path)):
            sizes.setdefault(match[1], []).append(request.sent)
    return sizes


def test_every_file_is_fetched_once_and_verified(published: Published, client: Client) -> None:
    verify = ["verify", "me/toy", "--revision", "v1", "--workers", "1"]
    start = len(published.hub.log)
    done = client.figureground(*verify)
    files = files_of(published.first)
    assert done.stdout.startswith(f"me/toy@v1: {len(files) - 1} files, 24 rows and 24 images are as they were released")
    assert done.stderr == ""
    assert received(published.hub, start) == {path: [len(data)] for path, data in files.items()}
    start = len(published.hub.log)
    client.figureground(*verify)
    assert received(published.hub, start) == {}

    put(published.hub, "me/toy", {SHARD: files[SHARD] + b" ", "data/extra.parquet": b"PAR1"}, "bad")
    stderr = client.figureground("verify", "me/toy", "--revision", "bad", "--workers", "1", code=1).stderr
    assert f"me/toy@bad: {SHARD}: expected a file with SHA-256" in stderr
    assert "me/toy@bad: data/extra.parquet: expected only files that manifest.json lists" in stderr
    assert str(client.more["TMPDIR"]) not in stderr


def test_a_rebuild_reads_hashes_of_pixels_and_no_pixels(published: Published, client: Client, tmp_path: Path) -> None:
    start, out = len(published.hub.log), tmp_path / "out"
    words: list[str | Path] = ["rebuild", "me/toy", "--revision", "v1", "--workers", "1", "-o", out]
    client.figureground(*words, "--source", published.drawn.photos)
    made, released = folder_hashes(out), folder_hashes(published.first)
    assert {path for path in released if made[path] != released[path]} == {"manifest.json"}
    got, files = received(published.hub, start), files_of(published.first)
    shards = [path for path in files if path.startswith("data/")]
    assert got.keys() == {
        "manifest.json",
        "recipe.yaml",
        "recipe.lock.json",
        "class_map.json",
        "objects.parquet",
        "report/plan.parquet",
        "report/refused.csv",
        "report/coverage.csv",
        "report/gates.json",
        *shards,
    }
    for path in shards:
        pixels = sum(len(row["image"]["bytes"]) for row in pq.read_table(published.first / path).to_pylist())
        assert sum(got[path]) < len(files[path]) - pixels + 65536  # a reader fetches the last 64 kB for the footer
    assert all(
        request.range for request in published.hub.log[start:] if re.search("/resolve/[^/]+/data/", request.path)
    )
    assert not list(Path(client.more["TMPDIR"]).iterdir())


def test_versions_are_compared_wherever_they_lie(published: Published, client: Client) -> None:
    start = len(published.hub.log)
    difference = client.figureground("diff", "me/toy", "me/toy", "--revision", "v1", "--revision", "v2").stdout
    assert difference.strip() == str(compare_versions(published.first, published.second))
    assert "plus: 0 rows as they were, 12 removed" in difference
    files = files_of(published.first)
    assert sum(received(published.hub, start)[SHARD][:2]) < len(files[SHARD]) / 3
    assert client.figureground("diff", published.first, "me/toy", "--revision", "v2").stdout == difference
    local = [str(published.first), str(published.second)]
    for words, message in (
        ([local[0], "me/toy"], "me/toy: a dataset on the Hub needs --revision"),
        ([*local, "--revision", "v1"], "--revision v1: there is no dataset on the Hub left for it"),
        ([local[0], "nowhere"], "nowhere: neither a folder nor a dataset on the Hub"),
    ):
        refused = CliRunner().invoke(app, ["diff", *words]).exception
        assert isinstance(refused, UsageError)
        assert message in str(refused)


def test_a_branch_is_asked_for_anew_and_an_old_copy_never_served(published: Published, client: Client) -> None:
    hub = published.hub
    put(hub, "me/moving", files_of(published.second))
    verify = ["verify", "me/moving", "--revision", "main", "--workers", "1"]
    assert "12 images" in client.figureground(*verify).stdout
    hub.repos["me/moving"].put(files_of(published.first))
    assert "24 images" in client.figureground(*verify).stdout
    hub.fail("GET", "/revision/main", 503, times=99)
    try:
        stderr = client.figureground(*verify, code=3).stderr
    finally:
        hub._troubles.clear()
    assert "ServiceError: me/moving@main: the Hub answered 503: injected; run again to go on" in stderr


OPEN = """
import json
from figureground.errors import DataError
from figureground.exports.dataset.opening import open_dataset

dataset = open_dataset("me/opened", "v1")
answer = {
    "name": dataset.name,
    "configs": dataset.configs,
    "lock": dataset.lock.recipe,
    "classes": dataset.recipe.class_map.rpartition("/")[2],
    "ids": [row["image_id"] for row in dataset.rows("original", "test", ["image_id"])],
}
try:
    dataset.count_rows("plus")
except DataError as error:
    answer["fault"] = str(error.faults[0])
print(json.dumps(answer))
"""


def test_a_dataset_is_opened_on_the_hub_and_its_files_are_fetched_as_they_are_read(
    published: Published, client: Client
) -> None:
    files = files_of(published.first)
    changed = SHARD.replace("original", "plus")
    put(published.hub, "me/opened", {**files, changed: files[changed] + b" "})
    start = len(published.hub.log)
    answer = json.loads(client.python("-c", OPEN).stdout)
    stored = pq.read_table(published.first / SHARD, columns=["image_id"])["image_id"].to_pylist()
    assert answer.pop("fault").startswith(f"me/opened@v1: {changed}: expected a file with SHA-256 ")
    assert answer == {
        "name": "me/opened@v1",
        "configs": ["original", "plus"],
        "lock": "toy@1",
        "classes": "class_map.json",
        "ids": stored,
    }
    read = {"manifest.json", "recipe.lock.json", "recipe.yaml", "class_map.json", SHARD, changed}
    assert received(published.hub, start).keys() == read


def _manifest(**files: str) -> dict[str, bytes]:
    return {"manifest.json": json.dumps({"schema": "1", "sha256": files}).encode()}


def _table(rows: int, **columns: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: pa.repeat(value, rows) for name, value in columns.items()}), buffer)
    return buffer.getvalue()


def _relisted(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {**files, **_manifest(**{path: Blob(data, False).sha256 for path, data in files.items()})}


HOSTILE: dict[str, tuple[str | None, dict[str, bytes], dict[str, int], str]] = {
    # name: part, files instead of the release's, sizes that the Hub tells, error
    "manifest-missing": (None, {"manifest.json": b""}, {}, "the manifest of a dataset repository, got JSONDecodeError"),
    "manifest-text": (None, {"manifest.json": b"\xff\xfe"}, {}, "manifest of a dataset .* got UnicodeDecodeError"),
    "manifest-list": (None, {"manifest.json": b"[]"}, {}, "manifest of a dataset repository, got TypeError"),
    "manifest-deep": (None, {"manifest.json": b"[" * 10**6}, {}, "manifest of a dataset .* got RecursionError"),
    "manifest-large": (None, {}, {"manifest.json": 10**9}, "manifest.json: expected at most 64.0 MB, got 1.0 GB"),
    "path-up": (None, _manifest(**{"../../evil": "0"}), {}, r"'../../evil': expected a path inside"),
    "path-root": ("REBUILT_FROM", _manifest(**{"/etc/evil": "0"}), {}, r"'/etc/evil': expected a path inside"),
    "path-hidden": (None, _manifest(**{".git/config": "0"}), {}, r"'.git/config': expected a path inside"),
    "path-windows": (None, _manifest(**{"..\\evil": "0"}), {}, r"evil': expected a path inside"),
    "path-control": (None, _manifest(**{"a\x1b[2J": "0"}), {}, r"'a\\x1b\[2J': expected a path inside"),
    "path-empty": (None, _manifest(**{"": "0"}), {}, r"'': expected a path inside"),
    "shard-up": (None, {"data/../../evil": b"x"}, {}, r"'data/../../evil': expected a path as releases have"),
    "text-large": (None, {}, {"recipe.yaml": 10**9}, "recipe.yaml: expected at most 64.0 MB, got 1.0 GB"),
    "no-room": (None, {}, {SHARD: 10**18}, "no-room@v1 has 1.0 EB.* has room for .* name a larger disk"),
    "lock-edited": ("COMPARED", {"recipe.lock.json": b"{}"}, {}, "recipe.lock.json: expected a file with SHA-256"),
    "objects-rows": (
        "COMPARED",
        {"objects.parquet": _table(20_000_001, draw=0)},
        {},
        "objects.parquet: expected at most 20000000 rows and 4.0 GB, got 20000001 rows",
    ),
    "shard-text": ("COMPARED", {SHARD: b"no table"}, {}, f"{SHARD}: expected a table \\(Parquet\\), got "),
    "shard-columns": ("COMPARED", {SHARD: _table(1, draw=0)}, {}, f"{SHARD}: expected the column ground_id, got none"),
}
ASK = """
import json, sys
from figureground.errors import FigureGroundError
from figureground.exports.publishing import hub_releases
told = {}
for name, part in json.load(sys.stdin).items():
    try:
        with hub_releases.open_release(f"me/{name}", "v1", getattr(hub_releases, part or "", None)):
            told[name] = "opened"
    except FigureGroundError as error:
        told[name] = f"{type(error).__name__}: {error}"
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def answers(published: Published, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of every hostile release; they are all asked for by one process."""
    root = Path(tmp_path_factory.mktemp("hostile"))
    (root / "deep" / "scratch").mkdir(parents=True)
    for name, (_, files, sizes, _) in HOSTILE.items():
        whole = {**files_of(published.second), **files}
        if not (files.keys() & {"manifest.json", "recipe.lock.json", "data/../../evil"}):
            whole = _relisted(whole)
        put(published.hub, f"me/{name}", whole)
        tree: Any = published.hub.repos[f"me/{name}"].main.tree
        for path, size in sizes.items():
            tree[path] = Blob(tree[path].data, tree[path].is_lfs, size)
    client = Client(published.hub, root / "home", more={"TMPDIR": str(root / "deep" / "scratch")})
    (root / "asked.json").write_text(json.dumps({name: part for name, (part, *_) in HOSTILE.items()}))
    start = len(published.hub.log)
    done = client.python("-c", f"import sys; sys.stdin = open({str(root / 'asked.json')!r})\n{ASK}")
    assert not list((root / "deep" / "scratch").iterdir())
    assert not [path for path in root.rglob("*") if "evil" in path.name]
    asked = received(published.hub, start)
    assert SHARD not in asked or sum(asked[SHARD]) < 10**6
    assert not [path for path in asked if "evil" in path]
    answers: dict[str, str] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_release_is_refused(name: str, answers: dict[str, str]) -> None:
    assert re.search(HOSTILE[name][3], answers[name]), answers[name]
    assert f"me/{name}@v1" in answers[name]
    assert "Traceback" not in answers[name]


@pytest.mark.parametrize("key", ["class_map", "attributes"])
def test_a_recipe_that_names_files_of_this_machine_is_not_followed(
    key: str, published: Published, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text(json.dumps({"classes": []}))
    release = shutil.copytree(published.first, tmp_path / "release")
    recipe = yaml.safe_load((release / "recipe.yaml").read_text())
    (release / "recipe.yaml").write_text(yaml.safe_dump(recipe | {key: str(tmp_path / "mine.json")}))
    relist(release)
    with pytest.raises(DataError, match=rf"recipe\.yaml: {key}: expected .*, got .*mine\.json"):
        rebuild_dataset(release, [open_source(str(published.drawn.photos), name="mine")], tmp_path / "out")
    assert not (tmp_path / "out").exists()
