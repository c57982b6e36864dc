"""Adapters: ONNX, timm, foreign checkpoints and models of one's own, fed as asked or refused by name."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import ROOT
from colour_dataset import COLOURS, HEAD, PLAIN, imagenet_weights, shares, write_adapter, write_onnx
from PIL import Image

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError

pytestmark = pytest.mark.usefixtures("offline_datasets", "fresh_modules")


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
    original = result["configs"]["original"]
    assert result["label_space"] == "map"
    assert original["per_class_accuracy"] == {"red": 1, "green": 1, "blue": 0}
    assert original["unmapped_share"] == pytest.approx(1 / 6)
    assert result["differences"]["bg_gap"] == {"value": None, "reason": "not scored: mixed_same, mixed_rand"}
    assert result["categories"]["bg_fools"]["reason"] == "not scored: mixed_rand, only_bg_t"
    table = script.format_table([result])
    assert "bg_" not in table  # nothing can be in the rows of what was not chosen
    assert " -\n" not in table


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
    fed: Any = script.load_model(f"onnx:{raw}")
    assert (fed.interpolation, fed.crop_pct, fed.parameters) == ("bicubic", 0.875, None)
    settings = {"interpolation": '"bilinear"', "crop_pct": "0.95", "parameters": "9"}
    fed = script.load_model(f"onnx:{write_onnx(tmp_path / 'told.onnx', HEAD, settings=settings)}")
    assert (fed.interpolation, fed.crop_pct, fed.parameters) == ("bilinear", 0.95, 9)
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
    with pytest.raises(EvaluationError, match="takes 16x16 "):
        script.evaluate(str(repo), f"onnx:{fixed}", feed="reference")
    write_adapter(tmp_path, "stiff", "mean = std = (0.5, 0.5, 0.5)\n    input_size_hw = (224, 224)")
    with pytest.raises(EvaluationError, match="cannot change its normalisation"):
        script.evaluate(str(repo), "stiff:make", feed="reference")


def test_bad_answers_name_model_and_row(repo: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, "broken", answer="np.where(np.arange(len(images))[:, None] == 3, np.nan, [[1., 0., 0.]])")
    with pytest.raises(EvaluationError, match="broken: original/id3: expected finite logits"):
        script.evaluate(str(repo), "broken:make", batch_size=4)
    write_adapter(tmp_path, "shapeless", answer="images[:1]")
    with pytest.raises(EvaluationError, match=r"shapeless: expected logits \(3, K\), got \(1, 16, 16, 3\)"):
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
    examples = ROOT / "docs" / "examples"
    shutil.copy(examples / "my_classifier.py", tmp_path)
    adapter = script.load_model("my_classifier:green_is_bird")
    images = np.array([COLOURS["green"], COLOURS["red"]], dtype=np.uint8)[:, None, None].repeat(4, axis=1)
    assert adapter.logits(images).argmax(axis=1).tolist() == [1, 0]
    with pytest.raises(EvaluationError, match="got 9 outputs"):
        script.evaluate(str(repo), "my_classifier:green_is_bird")


def test_example_of_a_torch_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    shutil.copy(ROOT / "docs" / "examples" / "my_network.py", tmp_path)
    torch.manual_seed(0)
    linear = {"weight": torch.randn(1000, 16), "bias": torch.randn(1000)}
    state = {"0.weight": torch.randn(16, 3, 7, 7), "0.bias": torch.zeros(16)} | {
        f"4.{key}": linear[key] for key in linear
    }
    torch.save(state, tmp_path / "weights.pt")
    adapter = script.load_model(f"my_network:trained={tmp_path / 'weights.pt'}", device="cpu")
    images = np.zeros((2, 224, 224, 3), dtype=np.uint8)
    images[1, :, :112] = 255
    outputs = adapter.logits(images)
    assert outputs.shape == (2, 1000)
    assert outputs.dtype == np.float32
    assert not np.allclose(outputs[0], outputs[1])
    assert adapter.weights_sha256 == script.file_sha256(tmp_path / "weights.pt")


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
    assert message.endswith(
        "these are not the weights of test_resnet: missing: bn1.weight; unexpected: stranger; "
        "other shapes: conv1.0.weight (1, 2) for (16, 3, 3, 3)"
    )
    torch.save({"weights": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "foreign.safetensors").read_bytes()[:500])
    for name in ("evil.pth", "cut.safetensors"):
        with pytest.raises(EvaluationError, match="these are not the weights"):
            script.load_model(f"timm:test_resnet={tmp_path / name}")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(EvaluationError, match="no_such_architecture") as unknown:
        script.load_model(f"timm:no_such_architecture={tmp_path / 'foreign.safetensors'}")
    assert unknown.value.exit_code == 2


def test_a_model_without_weights_is_never_scored() -> None:
    pytest.importorskip("timm")
    with pytest.raises(EvaluationError):  # offline, or no such weights: never a random network
        script.load_model("timm:resnet18.a1_in1k")
