from __future__ import annotations

import ast
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError

SCRIPT = Path(script.__file__)
COLOURS = {"red": (200, 20, 30), "green": (10, 180, 40), "blue": (25, 35, 220)}
NAMES = tuple(COLOURS)
CLASS_MAP = {
    "name": "rgb",
    "unmapped_value": -1,
    "classes": [
        {"index": 0, "name": "red", "wnids": ["n0"], "imagenet_indices": [0, 1]},
        {"index": 1, "name": "green", "wnids": ["n1"], "imagenet_indices": [2]},
        {"index": 2, "name": "blue", "wnids": ["n2"], "imagenet_indices": [3]},
    ],
}
LABELS = ["red", "red", "green", "green", "blue", "blue"]
TRUE = LABELS
VARIANTS = {
    "mixed_rand": ["red", "green", "red", "red", "blue", "blue"],  # 3 of 6 right
    "mixed_same": ["red", "red", "green", "red", "blue", "red"],  # 4 of 6
    "only_bg_t": ["red", "red", "red", "blue", "red", "green"],  # 2 of 6
    "original": ["red", "red", "green", "green", "blue", "red"],  # 5 of 6
}


def need(condition: bool, reason: str) -> None:
    if not condition:
        (pytest.fail if os.environ.get("FIGUREGROUND_REQUIRE_ALL") == "1" else pytest.skip)(reason)


def png(colour: str, size: tuple[int, int] = (16, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(buffer, "PNG")
    return buffer.getvalue()


def write_dataset(
    folder: Path,
    variants: Mapping[str, Sequence[str]] = VARIANTS,
    *,
    manifest: str | None = "{}",
    ids: Mapping[str, Sequence[str]] | None = None,
    names: Sequence[str] = NAMES,
) -> Path:
    """A real dataset repository of one-colour images: the colour is what the test models answer."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(names)),
            "image_id": datasets.Value("string"),
            "variant": datasets.Value("string"),
            "draw": datasets.Value("int32"),
        }
    )
    card = ["---", "configs:"]
    for variant, colours in variants.items():
        rows = [
            {
                "image": {"bytes": png(colour), "path": f"{row}.png"},
                "label": NAMES.index(LABELS[row]),
                "image_id": (ids or {}).get(variant, [f"id{each}" for each in range(len(colours))])[row],
                "variant": variant,
                "draw": 0,
            }
            for row, colour in enumerate(colours)
        ]
        path = folder / "data" / variant / "test-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema), path)
        card += [f"- config_name: {variant}", "  data_files:", "  - split: test", f"    path: data/{variant}/test-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", "# Colours", ""]))
    (folder / "class_map.json").write_text(json.dumps(CLASS_MAP))
    if manifest is not None:
        (folder / "manifest.json").write_text(manifest)
    return folder


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf" / "datasets"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)


def offline(folder: Path) -> dict[str, str]:
    home = folder / "hf"
    return {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HF_DATASETS_CACHE": str(home / "datasets")}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "colours")


def write_onnx(
    path: Path,
    weights: NDArray[np.float32],
    *,
    layout: str = "NCHW",
    size: int | str = "size",
    batch: int | str = "batch",
    uint8: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Path:
    """A model whose logits are the mean colour (R, G, B) times ``weights`` ``(3, K)``."""
    onnx = pytest.importorskip("onnx")
    need(bool(onnx), "onnx")
    helper, numpy_helper, kinds = onnx.helper, onnx.numpy_helper, onnx.TensorProto
    shape = [batch, 3, size, size] if layout == "NCHW" else [batch, size, size, 3]
    kind = kinds.UINT8 if uint8 else kinds.FLOAT
    axes = np.array([2, 3] if layout == "NCHW" else [1, 2], dtype=np.int64)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=kinds.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("logits", kinds.FLOAT, [batch, weights.shape[1]])],
        [numpy_helper.from_array(axes, "axes"), numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in (settings or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


PLAIN = {"mean": "[0, 0, 0]", "std": "[1, 1, 1]"}
HEAD = np.eye(3, dtype=np.float32)


def imagenet_weights(outputs: int) -> NDArray[np.float32]:
    """Red answers output 1, green output 2, blue output 999, which no class has; 1001 outputs have a loud column 0."""
    shift = outputs - 1000
    weights = np.zeros((3, outputs), dtype=np.float32)
    weights[[0, 1, 2], np.array([1, 2, 999]) + shift] = 1
    if shift:
        weights[:, 0] = 10
    return weights


def shares(result: Mapping[str, Any]) -> dict[str, float]:
    return {name: found["accuracy_macro"] for name, found in result["configs"].items()}


def test_onnx_head_by_hand(repo: Path, tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "colour.onnx", HEAD, settings=PLAIN)
    result = script.evaluate(str(repo), f"onnx:{model}", bootstrap=300)
    assert shares(result) == {
        "original": pytest.approx(5 / 6),
        "mixed_same": pytest.approx(4 / 6),
        "mixed_rand": pytest.approx(3 / 6),
        "only_bg_t": pytest.approx(2 / 6),
    }
    assert list(result["configs"]) == ["original", "mixed_same", "mixed_rand", "only_bg_t"]
    assert result["differences"]["bg_gap"]["value"] == pytest.approx(1 / 6)
    assert result["label_space"] == "head"
    assert result["model"] == "onnx:colour"
    assert result["weights_sha256"] == script.file_sha256(model)
    assert result["dataset"]["name"] == "colours"
    assert result["libraries"]["numpy"] == np.__version__
    assert str(tmp_path) not in json.dumps(result)


@pytest.mark.parametrize("outputs", [1000, 1001])
def test_imagenet_outputs_go_through_the_map(repo: Path, tmp_path: Path, outputs: int) -> None:
    model = write_onnx(tmp_path / "imagenet.onnx", imagenet_weights(outputs), settings=PLAIN)
    result = script.evaluate(str(repo), f"onnx:{model}", configs=["original"], bootstrap=50)
    found = result["configs"]["original"]
    assert result["label_space"] == "map"
    assert found["per_class_accuracy"] == {"red": 1, "green": 1, "blue": 0}
    assert found["unmapped_share"] == pytest.approx(1 / 6)
    assert result["differences"]["bg_gap"] == {"value": None, "reason": "not scored: mixed_same, mixed_rand"}
    assert result["categories"]["bg_fools"]["reason"] == "not scored: mixed_rand, only_bg_t"


def test_onnx_normalises_as_its_settings_say(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    by_hand = images.mean(axis=(1, 2))
    default = script.load_model(f"onnx:{write_onnx(tmp_path / 'a.onnx', HEAD)}")
    expected = (by_hand / 255 - script.IMAGENET_MEAN) / script.IMAGENET_STD
    assert default.logits(images) == pytest.approx(expected, abs=1e-4)
    lite = {"scale": "1", "mean": "[127, 127, 127]", "std": "[128, 128, 128]"}
    nhwc = write_onnx(tmp_path / "b.onnx", HEAD, layout="NHWC", size=16, batch=2, settings=lite)
    assert script.load_model(f"onnx:{nhwc}").logits(images) == pytest.approx((by_hand - 127) / 128, abs=1e-4)
    assert script.load_model(f"onnx:{nhwc}").input_size_hw == (16, 16)
    (tmp_path / "b.json").write_text('{"mean": [0, 0, 0], "std": [0.5, 0.5, 0.5]}')
    assert script.load_model(f"onnx:{nhwc}").logits(images) == pytest.approx(by_hand / 127.5, abs=1e-4)
    raw = write_onnx(tmp_path / "c.onnx", HEAD, uint8=True)
    assert script.load_model(f"onnx:{raw}").logits(images) == pytest.approx(by_hand, abs=1e-2)
    (tmp_path / "c.json").write_text('{"input_size": [32, 48], "outputs": "probabilities"}')
    assert script.load_model(f"onnx:{raw}").input_size_hw == (32, 48)
    unclear = write_onnx(tmp_path / "d.onnx", HEAD, size=3)
    with pytest.raises(EvaluationError, match=r"Set it in d\.json"):
        script.load_model(f"onnx:{unclear}")


def test_reference_feed_changes_size_and_normalisation_or_says_it_cannot(repo: Path, tmp_path: Path) -> None:
    images = np.full((1, 224, 224, 3), 100, dtype=np.uint8)
    free = script.load_model(f"onnx:{write_onnx(tmp_path / 'a.onnx', HEAD, settings={**PLAIN, 'input_size': '64'})}")
    fed = script.feed_adapter(free, "reference")
    assert (free.input_size_hw, fed.input_size_hw) == ((64, 64), (224, 224))
    expected = (100 / 255 - np.array(script.IMAGENET_MEAN)) / script.IMAGENET_STD
    assert fed.logits(images)[0] == pytest.approx(expected, abs=1e-4)
    assert free.logits(images)[0] == pytest.approx([100 / 255] * 3, abs=1e-4)
    raw = script.load_model(f"onnx:{write_onnx(tmp_path / 'b.onnx', HEAD, uint8=True)}")
    assert script.feed_adapter(raw, "reference").logits(images)[0] == pytest.approx([100] * 3, abs=1e-3)
    fixed = write_onnx(tmp_path / "c.onnx", HEAD, size=16)
    with pytest.raises(EvaluationError, match=r"takes \(16, 16\) only"):
        script.evaluate(str(repo), f"onnx:{fixed}", feed="reference")
    write_adapter(tmp_path, "stiff", "mean = std = (0.5, 0.5, 0.5)\n    input_size_hw = (224, 224)")
    with pytest.raises(EvaluationError, match="cannot change its normalisation"):
        script.evaluate(str(repo), "stiff:make", feed="reference")


def write_adapter(folder: Path, module: str, extra: str = "", answer: str = "images.mean(axis=(1, 2))") -> None:
    """A module whose adapter answers the mean colour, unless told otherwise."""
    (folder / f"{module}.py").write_text(
        f"""import os, signal
import numpy as np

class Colour:
    name = {module!r}
    input_size_hw = (16, 16)
    weights_sha256 = os.environ.get("WEIGHTS", "0" * 64)
    {extra}
    def logits(self, images):
        with open("calls.log", "a") as log:
            log.write(f"{{len(images)}}\\n")
        if os.environ.get("KILL_AT") == str(len(open("calls.log").readlines())):
            os.kill(os.getpid(), signal.SIGKILL)
        return np.asarray({answer}, dtype=np.float32)

def make(argument="none"):
    return Colour() if argument != "nothing" else object()
"""
    )


@pytest.fixture
def fresh_modules() -> Any:
    before = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - before[0]:
        if name in {"stiff", "broken", "shapeless", "dog_only", "my_classifier", "counting"}:
            del sys.modules[name]
    sys.path[:] = before[1]


pytestmark = pytest.mark.usefixtures("fresh_modules")


def test_dog_only_scores_chance(repo: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, "dog_only", answer="np.tile([1, 0, 0], (len(images), 1))")
    result = script.evaluate(str(repo), "dog_only:make", configs=["original"], bootstrap=20)
    assert result["configs"]["original"]["accuracy_macro"] == pytest.approx(1 / 3)
    assert result["chance"] == pytest.approx(1 / 3)


def test_dog_only_scores_a_ninth_on_imagenet9() -> None:
    shipped = Path(__file__).parents[2] / "schemas" / "class_maps" / "imagenet9.json"
    classes = script.parse_class_map(shipped.read_text())
    assert (classes.class_of_output >= 0).sum() == 370
    labels = np.repeat(np.arange(9), 4)
    logits = np.zeros((36, 1000), dtype=np.float32)
    logits[:, 151] = 1  # Chihuahua
    mapped = script.map_predictions(logits, classes, "map")[1]
    assert script.accuracy_macro((mapped == labels)[:, None], labels) == pytest.approx(1 / 9)
    logits[:, 171] = 2  # Italian greyhound: a dog that ImageNet-9 leaves out
    assert (script.map_predictions(logits, classes, "map")[1] == -1).all()


def test_bad_answers_name_model_and_row(repo: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, "broken", answer="np.where(np.arange(len(images))[:, None] == 3, np.nan, [[1., 0., 0.]])")
    with pytest.raises(EvaluationError, match="broken: original/id3: expected finite logits"):
        script.evaluate(str(repo), "broken:make", batch_size=4)
    write_adapter(tmp_path, "shapeless", answer="images[:1]")
    with pytest.raises(EvaluationError, match=r"shapeless: expected logits \(6, K\), got \(1, 16, 16, 3\)"):
        script.evaluate(str(repo), "shapeless:make")
    with pytest.raises(EvaluationError, match="returned no adapter: it lacks name"):
        script.evaluate(str(repo), "shapeless:make=nothing")
    for spec, reason in (
        ("shapeless", "expected timm:NAME"),
        ("shapeless:gone", "no attribute 'gone'"),
        ("no_such_module_here:make", "no_such_module_here"),
        ("onnx:missing.onnx", "no such model"),
    ):
        with pytest.raises(EvaluationError, match=reason) as caught:
            script.evaluate(str(repo), spec)
        assert caught.value.exit_code == 2


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
    for call, reason in (
        ({"configs": ["nope"]}, "has no config nope"),
        ({"split": "train"}, "train"),
        ({"feed": "cnavas"}, "cnavas"),
        ({"limit": 0}, "at least 1"),
        ({"revision": "v1"}, "has no revision"),
    ):
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
    found = script.open_repository("owner/colours", "v1.0")
    assert (found.location, found.name, found.revision) == ("owner/colours", "owner/colours", "c0ffee")
    assert (asked["repo_id"], asked["revision"], asked["repo_type"]) == ("owner/colours", "v1.0", "dataset")
    monkeypatch.undo()
    with pytest.raises(EvaluationError, match="the Hub did not give it") as caught:
        script.open_repository("figureground-tests/nothing-here", "v1.0")
    assert caught.value.exit_code == 3


def calls(folder: Path) -> int:
    log = folder / "calls.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_finished_configs_are_reused_and_stale_ones_are_not(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_adapter(tmp_path, "counting")
    out = tmp_path / "scores"
    first = script.evaluate(str(repo), "counting:make", out=out, bootstrap=30)
    assert calls(tmp_path) == 4
    seen: list[tuple[str, int, int]] = []
    again = script.evaluate(str(repo), "counting:make", out=out, bootstrap=30, progress=lambda *step: seen.append(step))
    assert calls(tmp_path) == 4
    assert json.dumps(again) == json.dumps(first)
    assert ("original", 6, 6) in seen
    (stored,) = out.glob("*.json")
    assert json.loads(stored.read_text()) == json.loads(json.dumps(first))
    script.evaluate(str(repo), "counting:make", out=out, limit=4)
    assert calls(tmp_path) == 8
    (repo / "manifest.json").write_text('{"other": 1}')
    script.evaluate(str(repo), "counting:make", out=out)
    assert calls(tmp_path) == 12
    monkeypatch.setattr(sys.modules["counting"].Colour, "weights_sha256", "1" * 64)
    script.evaluate(str(repo), "counting:make", out=out)
    assert calls(tmp_path) == 16
    for path in (out / "predictions").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    script.evaluate(str(repo), "counting:make", out=out)
    assert calls(tmp_path) == 20


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


def test_killed_run_goes_on(repo: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, "counting")
    shutil.copy(SCRIPT, repo / "evaluate.py")
    killed = run(tmp_path, "--model", "counting:make", "--out", "scores", KILL_AT="3")
    assert killed.returncode == -signal.SIGKILL
    assert calls(tmp_path) == 3
    assert len(list((tmp_path / "scores" / "predictions").glob("*.npz"))) == 2
    assert not list((tmp_path / "scores").glob("*.json"))
    resumed = run(tmp_path, "--model", "counting:make", "--out", "scores", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert calls(tmp_path) == 3 + 2
    fresh = run(tmp_path, "--model", "counting:make", "--out", "elsewhere", "--json")
    assert fresh.stdout == resumed.stdout
    (one,), (other,) = (list((tmp_path / name).glob("*.json")) for name in ("scores", "elsewhere"))
    assert one.read_bytes() == other.read_bytes()


def test_script_in_a_dataset_folder(repo: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, "counting")
    shutil.copy(SCRIPT, repo / "evaluate.py")
    done = run(tmp_path, "--model", "counting:make", "--model", "counting:make", "--bootstrap", "50")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "colours (test, 6 images), label space head, feed canvas"
    assert lines[1].split() == ["counting", "counting"]
    assert next(line for line in lines if line.startswith("bg_gap")).split()[1] == "+16.7"
    assert "balanced classes; chance 33.3" in lines[-1]
    wrong = run(tmp_path, "--model", "counting:make", "--configs", "nope")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.strip() == (
        "error: colours has no config nope; it has mixed_rand, mixed_same, only_bg_t, original"
    )


def test_script_outside_a_dataset_needs_a_repo(tmp_path: Path) -> None:
    (tmp_path / "colours").mkdir()
    shutil.copy(SCRIPT, tmp_path / "colours" / "evaluate.py")
    lost = run(tmp_path, "--model", "counting:make")
    assert lost.returncode == 2
    assert "give --repo" in lost.stderr


def test_script_stands_alone() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or "."] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    promised = {"datasets", "huggingface_hub", "numpy", "onnxruntime", "PIL", "scipy"}  # datasets requires the Hub's
    assert imported - set(sys.stdlib_module_names) - promised == {"timm", "torch", "safetensors"}
    assert len(SCRIPT.read_text().splitlines()) <= 900
    loaded = "sorted({'torch', 'timm', 'figureground'} & set(sys.modules))"
    code = f"import runpy, sys; runpy.run_path({str(SCRIPT)!r}); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


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


def test_canvas_is_resized_whole() -> None:
    stored = io.BytesIO()
    halves = np.zeros((40, 40, 3), dtype=np.uint8)
    halves[:, 20:] = 255
    Image.fromarray(halves).save(stored, "PNG")
    image = script.decode_image(stored.getvalue(), (10, 20), "bicubic", "row")
    assert image.shape == (10, 20, 3)
    assert (image[:, 0].max(), image[:, -1].min()) == (0, 255)
    with pytest.raises(EvaluationError, match="row: the image cannot be decoded"):
        script.decode_image(b"no image", (10, 20), "bicubic", "row")
    with pytest.raises(EvaluationError, match="row: the dataset holds a path"):
        script.decode_image(None, (10, 20), "bicubic", "row")


def test_example_adapter(repo: Path, tmp_path: Path) -> None:
    examples = Path(__file__).parents[2] / "docs" / "examples"
    shutil.copy(examples / "my_classifier.py", tmp_path)
    adapter = script.load_model("my_classifier:green_is_bird")
    images = np.array([COLOURS["green"], COLOURS["red"]], dtype=np.uint8)[:, None, None].repeat(4, axis=1)
    assert adapter.logits(images).argmax(axis=1).tolist() == [1, 0]
    with pytest.raises(EvaluationError, match="got 9 outputs"):
        script.evaluate(str(repo), "my_classifier:green_is_bird")


def test_timm_checkpoint(repo: Path, tmp_path: Path) -> None:
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=3).eval()
    state = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "mine.safetensors")
    torch.save({"state_dict": {f"module.{key}": tensor for key, tensor in state.items()}}, tmp_path / "mine.pth")
    adapter = script.load_model(f"timm:test_resnet={tmp_path / 'mine.safetensors'}")
    images = np.random.default_rng(0).integers(0, 256, (2, *adapter.input_size_hw, 3), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(model.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    with torch.inference_mode():
        expected = model((pixels - mean) / std).numpy()
    assert adapter.logits(images) == pytest.approx(expected, abs=1e-5)
    assert adapter.name == "timm:test_resnet=mine"
    assert adapter.weights_sha256 == script.file_sha256(tmp_path / "mine.safetensors")
    result = script.evaluate(str(repo), f"timm:test_resnet={tmp_path / 'mine.pth'}", configs=["original"], bootstrap=20)
    assert result["label_space"] == "head"
    assert result["libraries"]["timm"] == timm.__version__


class Evil:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.folder,)


def test_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    from safetensors.torch import save_file

    state = {key: tensor.contiguous() for key, tensor in timm.create_model("test_resnet").state_dict().items()}
    state["stranger"] = torch.zeros(2)
    state["conv1.0.weight"] = torch.zeros(1, 2)
    del state["bn1.weight"]
    save_file(state, tmp_path / "foreign.safetensors")
    with pytest.raises(EvaluationError) as caught:
        script.load_model(f"timm:test_resnet={tmp_path / 'foreign.safetensors'}")
    message = str(caught.value)
    assert '"bn1.weight"' in message.partition("Missing")[2]
    assert '"stranger"' in message.partition("Unexpected")[2]
    assert "conv1.0.weight: copying a param with shape torch.Size([1, 2])" in message
    torch.save({"weights": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "foreign.safetensors").read_bytes()[:500])
    for name in ("evil.pth", "cut.safetensors"):
        with pytest.raises(EvaluationError, match="not the weights of test_resnet"):
            script.load_model(f"timm:test_resnet={tmp_path / name}")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(EvaluationError, match="no_such_architecture") as unknown:
        script.load_model(f"timm:no_such_architecture={tmp_path / 'foreign.safetensors'}")
    assert unknown.value.exit_code == 2


def test_a_model_without_weights_is_never_scored() -> None:
    pytest.importorskip("timm")
    with pytest.raises(EvaluationError):  # offline, or no such weights: never a random network
        script.load_model("timm:resnet18.a1_in1k")
