"""Chat models: a forced choice by letters, the same in any batch, whatever letters the classes get."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scored_cases import draw_dataset, score

from figureground.exports import evaluate as script

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
Tiny = Callable[[str], Path]
COLOURS = ["red", "green", "blue"]


def load(folder: Path, classes: Any, tmp_path: Path, **settings: Any) -> Any:
    settings_file = tmp_path / "mine.json"
    settings_file.write_text(json.dumps(settings))
    return script.load_model(f"chat:{folder}={settings_file}", classes=classes)


def test_a_letter_is_as_likely_as_the_library_has_it(
    tiny: Tiny, tmp_path: Path, images: NDArray[np.uint8], stored: bytes, classes: Any
) -> None:
    adapter = load(tiny("chat"), classes, tmp_path, input_size=16)
    pictures = np.concatenate([images[:1], script.whole_canvas(adapter).crops(stored, "row")])
    model = transformers.AutoModelForImageTextToText.from_pretrained(tiny("chat")).eval()
    processor = transformers.AutoProcessor.from_pretrained(tiny("chat"))
    letters = [processor.tokenizer.encode(letter)[-1] for letter in "ABC"]
    for image, ours in zip(pictures, adapter.logits(pictures), strict=True):
        (order,) = adapter._letter_orders(image)
        choices = "\n".join(f"{letter}. {COLOURS[index]}" for letter, index in zip("ABC", order, strict=True))
        question = f"Which of these is in the picture?\n{choices}\nAnswer with the letter alone."
        text = f"<s><image>{question}:"
        fed = processor(images=Image.fromarray(image), text=text, return_tensors="pt")
        with torch.inference_mode():
            answers = model(**fed).logits[0, -1, letters].log_softmax(dim=0).numpy()
        assert ours[order] == pytest.approx(answers, abs=1e-5)


def test_batches_are_asked_as_single_pictures_are(
    tiny: Tiny, tmp_path: Path, images: NDArray[np.uint8], classes: Any
) -> None:
    many = np.concatenate([images, images[:, ::-1], images[:, :, ::-1]])
    adapter = load(tiny("chat"), classes, tmp_path, words={"red": "crimson and scarlet"})
    singles = np.concatenate([adapter.logits(image[None]) for image in many])
    assert adapter.logits(many) == pytest.approx(singles, abs=1e-5)
    assert np.exp(singles).sum(axis=1) == pytest.approx(np.ones(len(many)), abs=1e-5)
    mixed = script.load_model(f"chat:{tiny('chat')}", classes=classes, precision="bfloat16")
    assert mixed.logits(images).dtype == np.float32


def test_letters_are_dealt_by_seed_and_picture(tiny: Tiny, tmp_path: Path, classes: Any) -> None:
    many = np.random.default_rng(5).integers(0, 256, (60, 4, 4, 3), dtype=np.uint8)
    adapters = [load(tiny("chat"), classes, tmp_path, order_seed=seed) for seed in (0, 0, 1)]
    first, same, other = ([tuple(adapter._letter_orders(image)[0]) for image in many] for adapter in adapters)
    assert first == same
    assert first != other
    counts = np.array([[sum(order[place] == index for order in first) for index in range(3)] for place in range(3)])
    assert counts.min() >= 10  # of 20 on average: no class has a letter of its own
    twice = load(tiny("chat"), classes, tmp_path, orders=2)
    orders = twice._letter_orders(many[0])
    by_class = np.zeros(3, np.float32)
    for order in orders:
        by_class[order] += twice._answer([adapters[0]._ask(Image.fromarray(many[0]), order)])[0] / 2
    assert len(orders) == 2
    assert twice.logits(many[:1])[0] == pytest.approx(by_class, abs=1e-5)


def test_a_dataset_is_scored_by_a_chat_model(tiny: Tiny, tmp_path: Path) -> None:
    result = score(draw_dataset(tmp_path / "set"), f"chat:{tiny('chat')}")
    assert (result["model"], result["label_space"], result["n"]) == ("chat:chat", "head", 6)
    assert result["model_settings"]["settings"]["words"] == COLOURS
    assert result["model_settings"]["settings"]["order_seed"] == 0
    assert "assumed" not in script.format_table([result])


def test_what_cannot_be_asked_is_refused(tiny: Tiny, tmp_path: Path, classes: Any) -> None:
    def refused(spec: str, own: Any, code: int = 1) -> str:
        with pytest.raises(script.EvaluationError) as caught:
            script.load_model(spec, classes=own)
        assert caught.value.exit_code == code
        return str(caught.value)

    many = script.ClassMap(
        name="many", names=tuple(f"c{index}" for index in range(27)),
        class_of_output=classes.class_of_output, output_of_source={},
    )  # fmt: skip
    assert "at most 26 classes have a letter, and the dataset has 27" in refused(f"chat:{tiny('chat')}", many, 2)
    part = shutil.copytree(tiny("chat"), tmp_path / "part")
    safetensors = pytest.importorskip("safetensors.torch")
    tensors = safetensors.load_file(part / "model.safetensors")
    missing = next(name for name in sorted(tensors) if name.endswith("q_proj.weight"))
    del tensors[missing]
    safetensors.save_file(tensors, part / "model.safetensors", {"format": "pt"})
    assert "its weights lack" in refused(f"chat:{part}", classes)
    mute = shutil.copytree(tiny("chat"), tmp_path / "mute")
    (mute / "chat_template.jinja").unlink()
    assert "no chat template" in refused(f"chat:{mute}", classes)
    letterless = shutil.copytree(tiny("chat"), tmp_path / "letterless")
    tokens = json.loads((letterless / "tokenizer.json").read_text())
    tokens["model"]["vocab"]["bb"] = tokens["model"]["vocab"].pop("B")
    (letterless / "tokenizer.json").write_text(json.dumps(tokens))
    assert "no token for each of the letters ABC" in refused(f"chat:{letterless}", classes)
    assert "CLIP" in refused(f"chat:{tiny('clip')}", classes) or "clip" in refused(f"chat:{tiny('clip')}", classes)
