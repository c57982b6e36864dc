"""A dataset on the Hub has the page that its folder has."""

from __future__ import annotations

from pathlib import Path

from hub_client import Client
from hub_double import HubDouble
from hub_store import folder_hashes
from viewed_dataset import Viewed


def test_a_dataset_on_the_hub_is_told_of_as_its_folder_is(viewed: Viewed, reported: Path, tmp_path: Path) -> None:
    with HubDouble() as hub:
        repo = hub.create("me/seen")
        files = {path: (viewed.dataset / path).read_bytes() for path in folder_hashes(viewed.dataset)}
        repo.refs["refs/tags/v1"] = repo.put(files, "v1").oid
        client = Client(hub, tmp_path / "home")
        client.figureground("report", "me/seen", "--revision", "v1", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "report.html").read_bytes() == reported.read_bytes()
