"""torchvision's classifiers: their logits, sizes and weights."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figureground.exports import evaluate as script

torch = pytest.importorskip("torch")
models = pytest.importorskip("torchvision.models")
NAME = "mobilenet_v3_large"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch keeps what it fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def put(cache: Path, tag: str, content: Any = None) -> Any:
    """Weights of a seed as if they had been fetched; returns the library's own model of them."""
    torch.manual_seed(len(tag))
    model = models.get_model(NAME, weights=None).eval()
    weights = models.get_model_weights(NAME)[tag]
    torch.save(model.state_dict() if content is None else content, cache / Path(weights.url).name)
    return model


@pytest.mark.parametrize(("tag", "resized"), [("IMAGENET1K_V1", 256), ("IMAGENET1K_V2", 232)])
def test_logits_are_the_librarys_at_the_size_of_the_weights(cache: Path, tag: str, resized: int) -> None:
    model = put(cache, tag)
    adapter: Any = script.load_model(f"torchvision:{NAME}/{tag}")
    assert adapter.name == f"torchvision:{NAME}/{tag}"
    assert (adapter.input_size_hw, int(224 / adapter.crop_pct)) == ((224, 224), resized)
    assert (adapter.interpolation, adapter.label_space) == ("bilinear", "map")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 333, 3), dtype=np.uint8))
    transform = script.Transform(
        size_hw=adapter.input_size_hw, crop_pct=adapter.crop_pct, crop_mode="center", interpolation="bilinear"
    )
    with torch.inference_mode():
        fed = models.get_model_weights(NAME)[tag].transforms()(photo)
        expected = model(fed[None]).numpy()
    assert adapter.logits(transform.crop(photo, "row")) == pytest.approx(expected, abs=1e-4)
    assert adapter.weights_sha256 == script.tensors_sha256(model.state_dict())
    assert adapter.parameters == 5483032


def test_a_checkpoint_of_ones_own_has_its_own_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = models.get_model(NAME, weights=None, num_classes=3).eval()
    torch.save({"model": model.state_dict()}, tmp_path / "mine.pth")
    adapter = script.load_model(f"torchvision:{NAME}={tmp_path / 'mine.pth'}")
    assert (adapter.name, adapter.logits(np.zeros((1, 224, 224, 3), np.uint8)).shape) == (
        f"torchvision:{NAME}=mine",
        (1, 3),
    )
    with pytest.raises(script.EvaluationError, match="these are not the weights of resnet18: missing: bn1"):
        script.load_model(f"torchvision:resnet18={tmp_path / 'mine.pth'}")


@pytest.mark.parametrize("kind", ["torchvision", "timm"])
def test_stored_pictures_are_shown_as_they_lie_in_any_batch(kind: str, tmp_path: Path, stored: bytes) -> None:
    name = NAME if kind == "torchvision" else "test_resnet"
    torch.manual_seed(0)
    create = models.get_model if kind == "torchvision" else pytest.importorskip("timm").create_model
    model = create(name, num_classes=3).eval()
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    adapter: Any = script.load_model(f"{kind}:{name}={tmp_path / 'mine.pth'}")
    shown = script.whole_canvas(adapter).crops(stored, "row")
    pixels = np.asarray(Image.open(io.BytesIO(stored)))  # no reader of paths, which would turn them
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(pixels)).save(buffer, "PNG")
    turned = script.whole_canvas(adapter).crops(buffer.getvalue(), "row")
    pictures = np.concatenate([shown, turned])
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (adapter.mean, adapter.std))
    with torch.inference_mode():
        fed = [(torch.from_numpy(one.copy()).permute(2, 0, 1) / 255 - mean) / std for one in pictures]
        expected = np.concatenate([model(one[None]).numpy() for one in fed])
    together = adapter.logits(pictures)
    assert together == pytest.approx(expected, abs=1e-4)
    singles = np.concatenate([adapter.logits(one[None]) for one in pictures])
    assert singles == pytest.approx(together, abs=1e-4)
    height, width = adapter.input_size_hw
    resized = Image.fromarray(pixels).resize((width, height), getattr(Image.Resampling, adapter.interpolation.upper()))
    assert np.abs(shown[0].astype(int) - np.asarray(resized)).max() <= 1


class Hostile:
    """Unpickled, it makes a folder."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def test_what_is_not_there_or_not_harmless_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    put(cache, "IMAGENET1K_V1", Hostile())
    cases = [
        (f"{NAME}/IMAGENET1K_V1", 1, "its weights cannot be read"),
        (f"{NAME}/IMAGENET1K_V2", 3, "cannot be fetched .*; run again, or put the file into torch's hub/checkpoints"),
        (f"{NAME}/V3", 2, "it has no weights 'V3'; it has DEFAULT, IMAGENET1K_V1, IMAGENET1K_V2"),
        ("mobilenet_v3_larg", 2, "no such classifier; near names are mobilenet_v3_large"),
        (f"{NAME}=none.pth", 2, "no such checkpoint"),
    ]
    for rest, code, words in cases:
        with pytest.raises(script.EvaluationError, match=words) as caught:
            script.load_model(f"torchvision:{rest}")
        assert caught.value.exit_code == code
        assert "\n" not in str(caught.value)
    assert not Path("ran").exists()
