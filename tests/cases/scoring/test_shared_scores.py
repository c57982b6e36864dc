"""Small inputs of ../shared that are about scores: timm's sizes, images that are few, the Hub's cache, late models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_client import Client
from hub_double import SECRET, HubDouble
from hub_store import folder_hashes
from needs import need_shared
from scored_cases import scoring_code, scratch
from shared_cases import CASES, copy_case, run_here

script = scoring_code()
TINY = CASES / "build" / "00_tiny"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    with scratch(tmp_path):
        yield


def test_case_timm_test_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The case's script prints our size and crop, and those of timm's validate.py."""
    pytest.importorskip("timm")
    case = copy_case("build/08_timm_test_size", tmp_path)
    monkeypatch.chdir(case)
    exec(compile((case / "show.py").read_text(), "show.py", "exec"), {})
    ours, theirs = capsys.readouterr().out.strip().removeprefix("figureground ").split(" timm validate.py ")
    assert ours == "(224, 224) 0.95"
    assert theirs == "(3, 224, 224) 0.95"


def test_case_zero_width_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = copy_case("build/09_zero_width_interval", tmp_path)
    monkeypatch.chdir(case)
    monkeypatch.syspath_prepend(str(case))
    result = script.evaluate("one_each", "half:half", bootstrap=50)
    for measured in result["configs"].values():
        assert measured["accuracy_micro"] == 0.5
        assert [round(100 * bound, 1) for bound in measured["ci95_micro"]] == [29.9, 70.1]
        assert measured["ci95"][0] < 0.31
        assert measured["ci95"][1] > 0.69
    for gap in result["differences"].values():
        if gap["value"] is not None:
            assert gap["ci95"][0] < gap["value"] < gap["ci95"][1]


def test_case_offline_hub(tmp_path: Path) -> None:
    """What the case's README says, on its tiny dataset: after a run online the same words score from the cache."""
    need_shared(CASES / "build" / "18_offline_hub")
    need_shared(TINY)
    with HubDouble() as hub:
        files = {path: (TINY / path).read_bytes() for path in folder_hashes(TINY)}
        repo = hub.create("me/tiny")
        repo.refs["refs/tags/v1"] = repo.put(files, "v1").oid
        model = f"onnx:{CASES / 'build' / '03_onnx_raises' / 'f32.onnx'}"
        words = ("evaluate", "me/tiny", "--revision", "v1", "--model", model, "--configs", "original")
        online = Client(hub, tmp_path / "home", token=SECRET, more={}).figureground(*words)
        asked = len(hub.log)
        offline = Client(hub, tmp_path / "home", token=SECRET, more={"HF_HUB_OFFLINE": "1"}).figureground(*words)
        assert offline.stdout == online.stdout
        assert "original" in offline.stdout
        assert len(hub.log) == asked


def test_case_late_model_loses_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_shared(CASES / "build" / "22_late_model_loses_results")
    tiny = Path(shutil.copytree(TINY, tmp_path / "tiny"))
    good = f"onnx:{CASES / 'build' / '03_onnx_raises' / 'f32.onnx'}"
    words = ("evaluate", tiny, "--configs", "original", "--bootstrap", "20", "-o", tmp_path / "scores", "--model", good)
    code, out, err = run_here(capsys, *words, "--model", "onnx:absent.onnx")
    assert (code, out, "absent.onnx" in err) == (2, "", True)
    assert not list(tmp_path.glob("scores/**/*.npz"))  # refused before the first was scored
    assert run_here(capsys, *words)[0] == 0
