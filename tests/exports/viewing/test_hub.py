"""A dataset on the Hub is looked at as a folder is; its shards are fetched once, and compared with its manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hub_client import Client
from hub_double import HubDouble
from hub_store import folder_hashes
from viewed_dataset import Viewed


@pytest.fixture
def client(viewed: Viewed, tmp_path: Path) -> Iterator[Client]:
    files = {path: (viewed.dataset / path).read_bytes() for path in folder_hashes(viewed.dataset)}
    with HubDouble() as hub:
        repo = hub.create("me/seen")
        repo.refs["refs/tags/v1"] = repo.put(files, "v1").oid
        odd = {**files, "data/mixed/test-00000-of-00001.parquet": b"PAR1"}
        repo.refs["refs/tags/odd"] = repo.put(odd, "odd").oid
        yield Client(hub, tmp_path / "home")


def test_a_dataset_on_the_hub_is_fetched_once(client: Client, viewed: Viewed) -> None:
    process = client.start(
        "-m", "figureground", "view", "me/seen", "--revision", "v1", "--results", str(viewed.scores), "--json"
    )
    try:
        assert process.stdout is not None
        about = json.loads(process.stdout.readline())
        assert (about["dataset"], about["rows"], about["models"]) == ("me/seen@v1", 36, ["sees colours"])
        with httpx.Client(base_url=about["url"], timeout=20) as http:
            assert [http.get(f"thumbnails/{row}").status_code for row in (0, 12, 24, 35)] == [200] * 4
            assert http.get("rows", params={"config": "mixed"}).json()["total"] == 12
    finally:
        process.terminate()
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, stderr
    fetched = [request.path for request in client.hub.log if request.method == "GET" and "/data/" in request.path]
    assert len(fetched) == len(set(fetched)) == 3


def test_a_shard_that_the_manifest_does_not_know_is_refused(client: Client) -> None:
    stderr = client.figureground("view", "me/seen", "--revision", "odd", code=1).stderr
    assert "me/seen@odd: data/mixed/test-00000-of-00001.parquet: expected a file with SHA-256" in stderr
