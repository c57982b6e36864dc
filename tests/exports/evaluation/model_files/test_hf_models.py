"""Classifiers of transformers: their logits are the library's own, and what is not whole is refused."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax  # type: ignore[import-untyped]  # ships no annotations
from scored_cases import draw_dataset, score

from figureground.exports import evaluate as script

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
Tiny = Callable[[str], Path]


def own_logits(folder: Path, picture: Any, **options: Any) -> NDArray[np.float32]:
    """What the library itself makes of a picture."""
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(**processor(picture, return_tensors="pt", **options)).logits.numpy()
    return logits


def refused(spec: str, code: int = 1, classes: Any = None) -> str:
    with pytest.raises(script.EvaluationError) as caught:
        script.load_model(spec, classes=classes)
    assert caught.value.exit_code == code, str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    return str(caught.value)


def test_a_stored_picture_gets_the_librarys_logits(tiny: Tiny, stored: bytes) -> None:
    """As the pixels are stored: a path would be turned by its EXIF, and a row of one or three taken for channels."""
    adapter = script.load_model(f"hf:{tiny('vit')}")
    shown = script.whole_canvas(adapter).crops(stored, "row")
    pixels = np.asarray(Image.open(io.BytesIO(stored)))
    expected = own_logits(tiny("vit"), pixels, input_data_format="channels_last")
    assert adapter.logits(shown) == pytest.approx(expected, abs=1e-4)


def test_probabilities_are_those_of_the_librarys_pipeline(tiny: Tiny, images: NDArray[np.uint8], classes: Any) -> None:
    pipeline = transformers.pipeline("image-classification", model=str(tiny("vit")))
    by_label = {scored["label"]: scored["score"] for scored in pipeline(Image.fromarray(images[0]))}
    adapter = script.load_model(f"hf:{tiny('vit')}", classes=classes)
    assert softmax(adapter.logits(images)[0]) == pytest.approx([by_label[name] for name in "abc"], abs=1e-5)


def test_arrays_of_every_kind_are_taken_as_pictures(tiny: Tiny, images: NDArray[np.uint8]) -> None:
    adapter: Any = script.load_model(f"hf:{tiny('vit')}")
    expected = adapter.logits(images)
    assert adapter.logits(images / np.float32(255)) == pytest.approx(expected, abs=1e-5)  # not divided by 255 again
    mirrored = images[:, :, ::-1]
    assert adapter.logits(mirrored) == pytest.approx(adapter.logits(mirrored.copy()), abs=0)
    fixed = images.copy()
    fixed.flags.writeable = False
    assert adapter.logits(fixed) == pytest.approx(expected, abs=0)
    singles = np.concatenate([adapter.logits(image[None]) for image in images])
    assert singles == pytest.approx(expected, abs=1e-5)


def test_pictures_three_pixels_high_are_no_channels(tmp_path: Path) -> None:
    import tiny_models

    folder = tiny_models.write_vit(tmp_path / "small", side=3)
    adapter = script.load_model(f"hf:{folder}")
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, 3, 3), dtype=np.uint8)
    expected = own_logits(folder, list(picture), input_data_format="channels_last")
    assert adapter.logits(picture) == pytest.approx(expected, abs=1e-5)


def test_weights_that_are_not_all_there_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    headless = shutil.copytree(tiny("vit"), tmp_path / "headless")
    config = transformers.ViTConfig.from_pretrained(headless)
    transformers.ViTModel(config).save_pretrained(headless)  # a folder that transformers loads with a random head
    assert "lack classifier.bias, classifier.weight" in refused(f"hf:{headless}")
    other = shutil.copytree(tiny("vit"), tmp_path / "other")
    fields = json.loads((other / "config.json").read_text())
    fields |= {"id2label": {str(index): f"c{index}" for index in range(5)}}
    fields.pop("label2id")
    (other / "config.json").write_text(json.dumps(fields))
    assert "classifier" in refused(f"hf:{other}")


def test_nothing_of_a_folder_is_run(tiny: Tiny, tmp_path: Path) -> None:
    pickled = shutil.copytree(tiny("vit"), tmp_path / "pickled")
    model = transformers.AutoModelForImageClassification.from_pretrained(pickled)
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    assert "no weights as safetensors" in refused(f"hf:{pickled}")
    coded = shutil.copytree(tiny("vit"), tmp_path / "coded")
    fields = json.loads((coded / "config.json").read_text())
    fields |= {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "mine.Config", "AutoModelForImageClassification": "mine.M"},
    }
    (coded / "config.json").write_text(json.dumps(fields))
    (coded / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert "code of its own repository" in refused(f"hf:{coded}")
    assert not (tmp_path / "ran").exists()


def test_half_precision_checkpoints_are_computed_in_full(tiny: Tiny, tmp_path: Path, images: NDArray[np.uint8]) -> None:
    half = shutil.copytree(tiny("vit"), tmp_path / "half")
    model = transformers.AutoModelForImageClassification.from_pretrained(half).half()
    model.save_pretrained(half)
    adapter: Any = script.load_model(f"hf:{half}")
    assert {tensor.dtype for tensor in adapter.network.parameters()} == {torch.float32}
    full = script.load_model(f"hf:{tiny('vit')}").logits(images)
    assert adapter.logits(images) == pytest.approx(full, abs=1e-2)
    mixed = script.load_model(f"hf:{tiny('vit')}", precision="bfloat16").logits(images)
    assert mixed.dtype == np.float32
    assert 0 < np.abs(mixed - full).max() < 0.05


def test_the_same_tensors_are_the_same_model_however_they_are_split(tiny: Tiny, tmp_path: Path) -> None:
    whole = script.load_model(f"hf:{tiny('vit')}")
    split = shutil.copytree(tiny("vit"), tmp_path / "split")
    model = transformers.AutoModelForImageClassification.from_pretrained(split)
    (split / "model.safetensors").unlink()
    model.save_pretrained(split, max_shard_size="2KB")
    assert len(list(split.glob("*.safetensors"))) > 1
    assert script.load_model(f"hf:{split}").weights_sha256 == whole.weights_sha256
    with torch.no_grad():
        model.classifier.bias[0] += 1
    model.save_pretrained(tmp_path / "changed")
    shutil.copy(split / "preprocessor_config.json", tmp_path / "changed")
    assert script.load_model(f"hf:{tmp_path / 'changed'}").weights_sha256 != whole.weights_sha256


def test_a_heads_labels_bring_its_outputs_into_the_datasets_order(
    tmp_path: Path, images: NDArray[np.uint8], classes: Any
) -> None:
    import tiny_models

    folder = tiny_models.write_vit(tmp_path / "named", ["blue", "red", "green"])
    adapter = script.load_model(f"hf:{folder}", classes=classes)
    raw: Any = script.load_model(f"hf:{folder}")
    assert raw.class_names == ("blue", "red", "green")
    assert adapter.logits(images) == pytest.approx(raw.logits(images)[:, [1, 2, 0]], abs=0)
    result = score(draw_dataset(tmp_path / "set"), f"hf:{folder}")
    assert (result["model"], result["label_space"]) == ("hf:named", "head")
    assert result["model_settings"]["class_names"] == ("red", "green", "blue")
    assert "assumed" not in script.format_table([result])
    assert str(tmp_path) not in json.dumps(result)


def test_a_folder_that_says_nothing_of_its_classes_is_asked(tiny: Tiny, tmp_path: Path, classes: Any) -> None:
    folder = draw_dataset(tmp_path / "set")
    with pytest.raises(script.EvaluationError, match="class_names: expected the dataset's in their order, red, green"):
        score(folder, f"hf:{tiny('vit')}")
    (tmp_path / "mine.json").write_text('{"class_names": ["red", "green", "blue"]}')
    result = score(folder, f"hf:{tiny('vit')}={tmp_path / 'mine.json'}")
    assert (result["model"], result["label_space"]) == ("hf:vit=mine", "head")
    (tmp_path / "mine.json").write_text('{"words": {"red": "red"}}')
    assert "no settings of a classifier with a head" in refused(f"hf:{tiny('vit')}={tmp_path / 'mine.json'}")
    assert "no such settings file" in refused(f"hf:{tiny('vit')}={tmp_path / 'none.json'}", code=2)
    assert "neither a folder nor an id of the Hub" in refused("hf:./none", code=2)


@pytest.mark.parametrize(
    ("kind", "options", "size", "crop", "mode"),
    [
        ("ViT", {"size": {"height": 20, "width": 20}}, 20, 1.0, "squash"),
        ("CLIP", {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}}, 16, 0.8, "center"),
        ("ConvNext", {"size": {"shortest_edge": 16}, "crop_pct": 0.8}, 16, 0.8, "center"),
        ("ConvNext", {"size": {"shortest_edge": 384}, "crop_pct": 1.0}, 384, 1.0, "squash"),
    ],
    ids=["vit", "clip", "convnext", "convnext-384"],
)
def test_photos_are_cropped_as_the_processor_crops_them(
    kind: str, options: Any, size: int, crop: float, mode: str
) -> None:
    own = getattr(transformers, f"{kind}ImageProcessor")(**options)
    feeding = script.read_feeding(own, "mine")
    assert (feeding.size_hw, feeding.crop_mode) == ((size, size), mode)
    assert feeding.crop_pct == pytest.approx(crop)
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    transform = script.Transform(
        size_hw=feeding.size_hw, crop_pct=feeding.crop_pct, crop_mode=mode, interpolation=feeding.interpolation
    )
    ours = script.normalise(transform.crop(Image.fromarray(photo), "row"), feeding.mean, feeding.std)
    theirs = np.asarray(own(photo, return_tensors="np")["pixel_values"]).transpose(0, 2, 3, 1)
    assert np.abs(ours - theirs).max() < 0.1  # torchvision's resizing and Pillow's are up to two grey levels apart


@pytest.mark.parametrize(
    "processor",
    [
        lambda: transformers.MobileViTImageProcessor(size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}),
        lambda: transformers.EfficientNetImageProcessor(size={"height": 16, "width": 16}, rescale_offset=True),
        lambda: transformers.Siglip2ImageProcessor(patch_size=4, max_num_patches=16),
    ],
    ids=["blue-first", "offset", "patches"],
)
def test_a_processor_that_does_more_is_refused(processor: Any) -> None:
    with pytest.raises(script.EvaluationError, match="does more than resize, crop and normalise: write an adapter"):
        script.read_feeding(processor(), "mine")
