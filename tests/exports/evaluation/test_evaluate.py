"""evaluate.py as a whole: scored by hand, killed and resumed, run as a script, refusing what cannot be scored."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import ROOT
from colour_dataset import (
    HEAD,
    PLAIN,
    TRUE,
    VARIANTS,
    imagenet_weights,
    offline,
    shares,
    write_adapter,
    write_dataset,
    write_onnx,
)

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError

pytestmark = pytest.mark.usefixtures("offline_datasets", "fresh_modules")


SCRIPT = Path(script.__file__)


def test_both_command_lines_name_the_folder_of_results_alike() -> None:
    for name in ("-o", "--out"):
        assert script.make_parser().parse_args(["--model", "a:b", name, "scores"]).out == "scores"


def test_dog_only_scores_chance(repo: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, "dog_only", answer="np.tile([1, 0, 0], (len(images), 1))")
    result = script.evaluate(str(repo), "dog_only:make", configs=["original"], bootstrap=20)
    assert result["configs"]["original"]["accuracy_macro"] == pytest.approx(1 / 3)
    assert result["chance"] == pytest.approx(1 / 3)


def test_dog_only_scores_a_ninth_on_imagenet9() -> None:
    shipped = ROOT / "schemas" / "class_maps" / "imagenet9.json"
    classes = script.parse_class_map(shipped.read_text())
    assert (classes.class_of_output >= 0).sum() == 370
    labels = np.repeat(np.arange(9), 4)
    logits = np.zeros((36, 1000), dtype=np.float32)
    logits[:, 151] = 1  # Chihuahua
    mapped = script.map_predictions(logits, classes, "map")[1]
    assert script.accuracy_macro((mapped == labels)[:, None], labels) == pytest.approx(1 / 9)
    logits[:, 171] = 2  # Italian greyhound: a dog that ImageNet-9 leaves out
    assert (script.map_predictions(logits, classes, "map")[1] == -1).all()


def test_faulty_datasets_are_refused(tmp_path: Path) -> None:
    write_adapter(tmp_path, "counting")
    shifted = {"mixed_same": ["id0", "id1", "id2", "id3", "id4", "other"]}
    write_dataset(tmp_path / "unpaired", ids=shifted)
    with pytest.raises(EvaluationError, match=r"mixed_same: .*1 missing \(id5\), 1 extra \(other\)"):
        script.evaluate(str(tmp_path / "unpaired"), "counting:make")
    write_dataset(tmp_path / "renamed", names=("red", "blue", "green"))
    with pytest.raises(EvaluationError, match=r"expected the labels of class_map\.json"):
        script.evaluate(str(tmp_path / "renamed"), "counting:make")
    (write_dataset(tmp_path / "mapless") / "class_map.json").unlink()
    with pytest.raises(EvaluationError, match=r"expected class_map\.json"):
        script.evaluate(str(tmp_path / "mapless"), "counting:make")
    write_dataset(tmp_path / "good")
    faulty: list[tuple[dict[str, Any], str]] = [
        ({"configs": ["nope"]}, "has no config nope"),
        ({"split": "train"}, "train"),
        ({"feed": "cnavas"}, "cnavas"),
        ({"limit": 0}, "at least 1"),
        ({"revision": "v1"}, "has no revision"),
    ]
    for call, reason in faulty:
        with pytest.raises(EvaluationError, match=reason) as caught:
            script.evaluate(str(tmp_path / "good"), "counting:make", **call)
        assert caught.value.exit_code == 2
    with pytest.raises(EvaluationError, match="needs --revision"):
        script.open_repository("owner/name")


def test_a_dataset_on_the_hub_is_read_at_one_commit(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    cache = shutil.copytree(repo, tmp_path / "snapshots" / "c0ffee")
    asked: dict[str, Any] = {}

    def snapshot_download(repo_id: str, **options: Any) -> str:
        asked.update(options, repo_id=repo_id)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    repository = script.open_repository("owner/colours", "v1.0")
    assert (repository.location, repository.name, repository.revision) == ("owner/colours", "owner/colours", "c0ffee")
    assert (asked["repo_id"], asked["revision"], asked["repo_type"]) == ("owner/colours", "v1.0", "dataset")
    monkeypatch.undo()
    with pytest.raises(EvaluationError, match="this machine's cache holds nothing of the dataset") as caught:
        script.open_repository("figureground-tests/nothing-here", "v1.0")
    assert caught.value.exit_code == 3


def calls(folder: Path) -> int:
    log = folder / "calls.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_finished_configs_are_reused_and_stale_ones_are_not(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_adapter(tmp_path, "counting")
    out = tmp_path / "scores"  # each call tries the model once on drawn pictures
    first = script.evaluate(str(repo), "counting:make", out=out, bootstrap=30)
    assert calls(tmp_path) == 5
    seen: list[tuple[str, int, int]] = []
    again = script.evaluate(str(repo), "counting:make", out=out, bootstrap=30, progress=lambda *step: seen.append(step))
    assert calls(tmp_path) == 6
    assert json.dumps(again) == json.dumps(first)
    assert ("original", 6, 6) in seen
    (stored,) = out.glob("*.json")
    assert json.loads(stored.read_text()) == json.loads(json.dumps(first))
    asked: list[dict[str, Any]] = [
        {"configs": ["original"], "bootstrap": 30},
        {"bootstrap": 40},
        {"configs": list(first["configs"]), "bootstrap": 30},  # what was asked first, in other words
    ]
    for number, options in enumerate(asked):
        script.evaluate(str(repo), "counting:make", out=out, **options)
        assert calls(tmp_path) == 7 + number
    assert len(list(out.glob("*.json"))) == 3
    assert json.loads(stored.read_text()) == json.loads(json.dumps(first))
    script.evaluate(str(repo), "counting:make", out=out, limit=4)
    assert calls(tmp_path) == 14
    (repo / "manifest.json").write_text('{"other": 1}')
    script.evaluate(str(repo), "counting:make", out=out)
    assert calls(tmp_path) == 19
    monkeypatch.setattr(sys.modules["counting"].Colour, "weights_sha256", "1" * 64)
    script.evaluate(str(repo), "counting:make", out=out)
    assert calls(tmp_path) == 24
    for path in (out / "predictions").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    script.evaluate(str(repo), "counting:make", out=out)
    assert calls(tmp_path) == 29


def test_without_a_manifest_the_files_decide(tmp_path: Path) -> None:
    write_adapter(tmp_path, "counting")
    folder = write_dataset(tmp_path / "bare", manifest=None)
    first = script.evaluate(str(folder), "counting:make", out=tmp_path / "scores", bootstrap=30)
    assert first["dataset"]["manifest_sha256"] is None
    assert first["dataset"]["fingerprint"].startswith("files:")
    write_dataset(folder, {**VARIANTS, "original": TRUE}, manifest=None)
    second = script.evaluate(str(folder), "counting:make", out=tmp_path / "scores", bootstrap=30)
    assert shares(first)["original"] == pytest.approx(5 / 6)
    assert shares(second)["original"] == 1


def test_limit_takes_the_same_images_of_every_config(tmp_path: Path) -> None:
    write_adapter(tmp_path, "counting")
    backwards = {"mixed_same": ["id0", "id1", "id2", "id3", "id4", "id5"]}
    folder = write_dataset(tmp_path / "limited", ids=backwards)
    result = script.evaluate(str(folder), "counting:make", limit=4, bootstrap=30)
    assert result["n"] == 4
    assert result["configs"]["original"]["n_per_class"] == {"red": 2, "green": 2, "blue": 0}
    assert result["configs"]["original"]["per_class_accuracy"]["blue"] is None
    assert result["balanced"] is False


def test_the_photos_own_class_is_scored_where_the_dataset_names_it(repo: Path, tmp_path: Path) -> None:
    """Red is of the class of output 1, as the model says; green is said to be of another class than output 2."""
    model = f"onnx:{write_onnx(tmp_path / 'imagenet.onnx', imagenet_weights(1000), settings=PLAIN)}"
    classes = [
        {"index": 0, "name": "red", "wnids": ["n0", "n1"], "imagenet_indices": [0, 1]},
        {"index": 1, "name": "green", "wnids": ["n2", "n4"], "imagenet_indices": [2, 4]},
        {"index": 2, "name": "blue", "wnids": ["n3"], "imagenet_indices": [3]},
    ]
    assert "exact1000" not in script.evaluate(str(repo), model, bootstrap=20)  # no column says which photo is which
    named = write_dataset(tmp_path / "named", {"original": TRUE}, sources=["n1", "n1", "n2", "n4", "n3", "n3"])
    (named / "class_map.json").write_text(json.dumps({"name": "rgb", "classes": classes}))
    result = script.evaluate(str(named), model, bootstrap=20)
    assert shares(result)["original"] == pytest.approx(4 / 6)
    assert result["configs"]["original"]["unmapped_share"] == pytest.approx(2 / 6)
    assert result["exact1000"] == {"n": 6, "accuracy_micro": 0.5, "ci95_micro": script.wilson_interval(0.5, 6)}
    rows = {line.split("  ")[0]: line for line in script.format_table([result]).splitlines()}
    assert "33.3 [" in rows["original, outside the map"]
    assert "50.0 [" in rows["original, own ImageNet class"]
    assert rows["original, mapped outputs only"].endswith("] undecidable")


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the copy of the script in the dataset folder ``colours``, with ``folder`` as working directory."""
    return subprocess.run(
        [sys.executable, "-P", str(folder / "colours" / "evaluate.py"), *arguments],
        cwd=folder,
        env={**os.environ, **offline(folder), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.same_on_file
def test_killed_run_goes_on(repo: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, "counting")
    shutil.copy(SCRIPT, repo / "evaluate.py")
    killed = run(tmp_path, "--model", "counting:make", "--out", "scores", KILL_AT="4")
    assert killed.returncode == -signal.SIGKILL
    assert calls(tmp_path) == 1 + 3  # the first is the trial
    assert len(list((tmp_path / "scores" / "predictions").glob("*.npz"))) == 2
    assert not list((tmp_path / "scores").glob("*.json"))
    resumed = run(tmp_path, "--model", "counting:make", "--out", "scores", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert calls(tmp_path) == 1 + 3 + 1 + 2
    fresh = run(tmp_path, "--model", "counting:make", "--out", "elsewhere", "--json")
    assert fresh.stdout == resumed.stdout
    (one,), (other,) = (list((tmp_path / name).glob("*.json")) for name in ("scores", "elsewhere"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.same_on_file
def test_script_in_a_dataset_folder(repo: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, "counting")
    shutil.copy(SCRIPT, repo / "evaluate.py")
    done = run(tmp_path, "--model", "counting:make", "--model", "counting:make", "--bootstrap", "50")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "colours (test, 6 images), label space head, feed canvas"
    assert lines[1].split() == ["counting"]  # a model that is named twice is scored once
    assert next(line for line in lines if line.startswith("bg_gap")).split()[1] == "+16.7"
    assert "balanced classes; chance 33.3" in lines[-1]
    wrong = run(tmp_path, "--model", "counting:make", "--configs", "nope")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.strip() == (
        "error: colours has no config nope; it has mixed_rand, mixed_same, only_bg_t, original"
    )


@pytest.mark.same_on_file
def test_script_outside_a_dataset_needs_a_repo(tmp_path: Path) -> None:
    (tmp_path / "colours").mkdir()
    shutil.copy(SCRIPT, tmp_path / "colours" / "evaluate.py")
    lost = run(tmp_path, "--model", "counting:make")
    assert lost.returncode == 2
    assert "give --repo" in lost.stderr


def test_tables_never_mix_feeds_or_label_spaces(repo: Path, tmp_path: Path) -> None:
    head = write_onnx(tmp_path / "head.onnx", HEAD, settings=PLAIN)
    imagenet = write_onnx(tmp_path / "imagenet.onnx", imagenet_weights(1000), settings=PLAIN)
    results = [
        script.evaluate(str(repo), f"onnx:{head}", bootstrap=20),
        script.evaluate(str(repo), f"onnx:{imagenet}", bootstrap=20),
        script.evaluate(str(repo), f"onnx:{head}", bootstrap=20, feed="reference"),
        script.evaluate(str(repo), f"onnx:{head}", bootstrap=20, configs=["original"]),
    ]
    text = script.format_table(results)
    titles = [line for line in text.splitlines() if line.startswith("colours")]
    assert [title.split("images), ")[1] for title in titles] == [
        "label space head, feed canvas",
        "label space map, feed canvas",
        "label space head, feed reference",
    ]
    assert text.splitlines()[1].split() == ["onnx:head", "onnx:head"]
    assert "83.3 [" in text
