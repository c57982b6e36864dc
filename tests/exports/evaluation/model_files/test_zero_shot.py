"""Models that are asked with words: CLIP and SigLIP of transformers, and their like of open_clip."""

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
from scipy.special import expit, softmax  # type: ignore[import-untyped]  # ships no annotations
from scored_cases import draw_dataset, score

from figureground.exports import evaluate as script

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
Tiny = Callable[[str], Path]
COLOURS = ["red", "green", "blue"]
KINDS = pytest.mark.parametrize("kind", ["clip", "siglip", "open_clip"])


def spec_of(kind: str, folder: Path, settings: Path | None = None) -> str:
    return f"{'open_clip' if kind == 'open_clip' else 'hf'}:{folder}" + (f"={settings}" if settings else "")


def write(path: Path, **settings: Any) -> Path:
    path.write_text(json.dumps(settings))
    return path


def refused(spec: str, classes: Any, code: int = 1) -> str:
    with pytest.raises(script.EvaluationError) as caught:
        script.load_model(spec, classes=classes)
    assert caught.value.exit_code == code, str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_scores_are_those_of_the_librarys_pipeline(
    tiny: Tiny, kind: str, images: NDArray[np.uint8], stored: bytes, classes: Any
) -> None:
    """The vectors of the library's texts are not normalised, and a stored picture is shown as it lies."""
    folder = str(tiny(kind))
    crop = {"size": {"height": 16, "width": 16}} if kind == "clip" else {}  # ours are of the model's size by now
    pipeline = transformers.pipeline(
        "zero-shot-image-classification",
        model=folder,
        image_processor=transformers.AutoImageProcessor.from_pretrained(folder, **crop),
    )
    adapter = script.load_model(f"hf:{folder}", classes=classes)
    to_scores = expit if kind == "siglip" else softmax
    pictures = np.concatenate([images[:1], script.whole_canvas(adapter).crops(stored, "row")])
    for image, logits in zip(pictures, adapter.logits(pictures), strict=True):
        answers = pipeline(Image.fromarray(image), candidate_labels=COLOURS, hypothesis_template="a photo of a {}.")
        by_label = {answer["label"]: answer["score"] for answer in answers}
        assert to_scores(logits) == pytest.approx([by_label[name] for name in COLOURS], abs=1e-5)


def test_open_clips_scores_are_its_own(tiny: Tiny, stored: bytes, classes: Any) -> None:
    """A model that stays in training mode, or random weights, would not give them."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tiny('open_clip')}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tiny('open_clip')}")([f"a photo of a {name}." for name in COLOURS])
    adapter: Any = script.load_model(f"open_clip:{tiny('open_clip')}", classes=classes)
    assert model.training  # as the library gives it
    assert not any(part.training for part in adapter.network.modules())
    shown = script.whole_canvas(adapter).crops(stored, "row")
    with torch.inference_mode():
        texts = model.eval().encode_text(tokens, normalize=True)
        seen = model.encode_image(preprocess(Image.fromarray(shown[0]))[None], normalize=True)
        expected = (model.logit_scale.exp() * seen @ texts.T).numpy()
    assert adapter.logits(shown) == pytest.approx(expected, abs=1e-4)
    assert adapter.input_size_hw == (16, 16)


@KINDS
def test_batches_and_mixed_precision_give_the_same(
    tiny: Tiny, kind: str, images: NDArray[np.uint8], classes: Any
) -> None:
    adapter = script.load_model(spec_of(kind, tiny(kind)), classes=classes)
    together = adapter.logits(images)
    singles = np.concatenate([adapter.logits(image[None]) for image in images])
    assert singles == pytest.approx(together, abs=1e-5)
    mixed = script.load_model(spec_of(kind, tiny(kind)), classes=classes, precision="bfloat16").logits(images)
    assert mixed.dtype == np.float32
    assert mixed == pytest.approx(together, abs=0.05)


@KINDS
def test_an_ensemble_is_normalised_averaged_and_normalised(
    tiny: Tiny, kind: str, tmp_path: Path, images: NDArray[np.uint8], classes: Any
) -> None:
    words = {"red": ["red", "crimson"], "blue": "azure"}
    settings_file = write(tmp_path / "mine.json", words=words, templates=["a {}.", "one big {} thing"])
    adapter: Any = script.load_model(spec_of(kind, tiny(kind), settings_file), classes=classes)
    asked = [
        ["a red.", "one big red thing", "a crimson.", "one big crimson thing"],
        ["a green.", "one big green thing"],
    ]
    for index, texts in enumerate([*asked, ["a azure.", "one big azure thing"]]):
        assert adapter.prompts.texts(index) == texts
        with torch.inference_mode():
            vectors = adapter.encode_texts(texts)
            assert (vectors.norm(dim=-1) - 1).abs().max() > 0.05  # the library's are of any length
            mean = (vectors / vectors.norm(dim=-1, keepdim=True)).mean(dim=0)
            assert adapter.network.vectors[index].numpy() == pytest.approx((mean / mean.norm()).numpy(), abs=1e-6)
    assert adapter.settings["words"] == {"red": ["red", "crimson"], "green": ["green"], "blue": ["azure"]}
    assert adapter.settings["templates"] == ["a {}.", "one big {} thing"]


def test_siglips_texts_are_small_letters_of_one_length(tiny: Tiny, tmp_path: Path, classes: Any) -> None:
    adapter: Any = script.load_model(f"hf:{tiny('siglip')}", classes=classes)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny("siglip"))
    config = transformers.AutoConfig.from_pretrained(tiny("siglip"))
    assert tokenizer(["Red"])["input_ids"] != tokenizer(["red"])["input_ids"]  # so it is left to us
    made = script.tokenise(tokenizer, config, ["A Red Fox", "x" * 100])
    assert made["input_ids"].shape == (2, 64)
    assert (made["input_ids"][0] == script.tokenise(tokenizer, config, ["a red fox"])["input_ids"][0]).all()
    model = transformers.AutoModel.from_pretrained(tiny("siglip")).eval()
    with torch.inference_mode():
        padded, short = (
            model.get_text_features(**tokenizer(["red"], return_tensors="pt", **how)).pooler_output
            for how in ({"padding": "max_length", "max_length": 64}, {"padding": True})
        )
        ours = adapter.encode_texts(["RED"])
    assert ours.numpy() == pytest.approx(padded.numpy(), abs=1e-5)
    assert (padded - short).abs().max() > 1e-2  # what the shorter padding would change


def test_texts_beyond_a_models_places_are_cut(
    tiny: Tiny, tmp_path: Path, images: NDArray[np.uint8], classes: Any
) -> None:
    for kind in ("clip", "open_clip"):
        settings_file = write(tmp_path / "mine.json", words={"red": "red " * 200})
        adapter = script.load_model(spec_of(kind, tiny(kind), settings_file), classes=classes)
        assert np.isfinite(adapter.logits(images)).all()


def test_the_checkpoint_says_on_which_side_texts_are_padded(tiny: Tiny) -> None:
    for kind, word in (("clip", "red"), ("siglip", "red")):
        config = transformers.AutoConfig.from_pretrained(tiny(kind))
        left, right = (
            transformers.AutoTokenizer.from_pretrained(tiny(kind), padding_side=side) for side in ("left", "right")
        )
        own = right(word)["input_ids"]
        rows = [
            script.tokenise(side, config, [word, "a longer text"])["input_ids"][0].tolist() for side in (left, right)
        ]
        assert rows[0][-len(own) :] == rows[1][: len(own)] == own
        assert rows[0] != rows[1]


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_model_of_which_a_part_would_be_random_is_refused(
    tiny: Tiny, kind: str, tmp_path: Path, classes: Any
) -> None:
    from safetensors.torch import load_file, save_file

    part = shutil.copytree(tiny(kind), tmp_path / "part")
    tensors = load_file(part / "model.safetensors")
    missing = next(name for name in sorted(tensors) if name.startswith("text_model.") and name.endswith("fc1.weight"))
    save_file(
        {name: tensor for name, tensor in tensors.items() if name != missing},
        part / "model.safetensors",
        {"format": "pt"},
    )
    assert f"its weights lack {missing}" in refused(f"hf:{part}", classes)


def test_words_are_of_classes_that_there_are_and_unlike(tiny: Tiny, tmp_path: Path, classes: Any) -> None:
    def refusal(**settings: Any) -> str:
        return refused(f"hf:{tiny('clip')}={write(tmp_path / 'mine.json', **settings)}", classes)

    assert "the dataset has no class reed; did you mean red?" in refusal(words={"reed": "red"})
    assert "green and blue are both 'Teal'" in refusal(words={"green": "teal", "blue": ["blue", "Teal"]})
    assert "templates: expected texts with {}" in refusal(templates=["a photo"])
    assert "unknown setting 'template'; did you mean templates?" in refusal(template=["a {}"])
    assert "no settings of a model that is asked with words" in refusal(class_names=COLOURS)
    wnids = script.ClassMap(
        name="wnids", names=("n02123045", "dog"), class_of_output=classes.class_of_output, output_of_source={}
    )
    assert "n02123045 are wnids, which no model of text knows" in refused(f"hf:{tiny('clip')}", wnids)
    assert "it is asked about the classes of a dataset, and here is none" in refused(f"hf:{tiny('clip')}", None, 2)


def test_imagenets_classes_are_named_by_index_or_wnid(tiny: Tiny, tmp_path: Path, classes: Any) -> None:
    timm = pytest.importorskip("timm")

    def read(words: Any) -> Any:
        return script.read_prompts({"label_space": "map", "words": words, "templates": ["{}"]}, classes, "mine")

    names = [f"thing {index}" for index in range(1000)]
    wnids = timm.data.ImageNetInfo("imagenet-1k").label_names()
    by_index = {str(index): name for index, name in enumerate(names)}
    assert read(names).words == read(by_index).words == read(dict(zip(wnids, names, strict=True))).words
    with pytest.raises(script.EvaluationError, match="10 and 11 are both 'thing 10'"):
        read([*names[:11], names[10], *names[12:]])
    with pytest.raises(script.EvaluationError, match='expected "openai", or 1000 names by index or by wnid; got 999'):
        read(names[:-1])
    settings_file = write(tmp_path / "mine.json", label_space="map", words="openai", templates=["{}"])
    openai: Any = script.load_model(f"hf:{tiny('clip')}={settings_file}", classes=classes)
    (note,) = openai.notes
    assert "657 and 744 (missile)" in note
    assert "836 and 837 (sunglasses)" in note
    assert (openai.label_space, openai.network.vectors.shape) == ("map", (1000, 8))


def test_templates_of_clips_authors_are_taken_by_name(tiny: Tiny, tmp_path: Path, classes: Any) -> None:
    for name, count in (("openai", 80), ("simple", 7)):
        settings_file = write(tmp_path / "mine.json", templates=name)
        adapter: Any = script.load_model(f"hf:{tiny('clip')}={settings_file}", classes=classes)
        assert len(adapter.settings["templates"]) == count
        assert all(template.count("{}") == 1 for template in adapter.settings["templates"])


@KINDS
def test_a_dataset_is_scored_in_its_own_classes(tiny: Tiny, kind: str, tmp_path: Path) -> None:
    folder, out = draw_dataset(tmp_path / "set"), tmp_path / "scores"
    plain = score(folder, spec_of(kind, tiny(kind)), out=out)
    assert plain["label_space"] == "head"
    assert "assumed" not in script.format_table([plain])
    settings_file = write(tmp_path / "mine.json", templates=["the colour {}"])
    other = score(folder, spec_of(kind, tiny(kind), settings_file), out=out)
    assert plain["weights_sha256"] == other["weights_sha256"]
    assert len(list((out / "predictions").glob("*.npz"))) == 2  # other words, other answers
    assert other["model_settings"]["settings"]["templates"] == ["the colour {}"]


def test_open_clip_models_without_their_weights_are_refused(tiny: Tiny, tmp_path: Path, classes: Any) -> None:
    bare = shutil.copytree(tiny("open_clip"), tmp_path / "bare")
    weights = bare / "open_clip_model.safetensors"
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    save_file({name: tensor for name, tensor in tensors.items() if name != "visual.proj"}, weights)
    assert "visual.proj" in refused(f"open_clip:{bare}", classes)
    weights.unlink()
    assert "not all of its weights" in refused(f"open_clip:{bare}", classes)  # open_clip only warns: they are random
    assert "take open_clip:ViT-B-32-quickgelu/openai" in refused("open_clip:ViT-B-32/openai", classes, 2)
    assert "has no weights 'none'; it has" in refused("open_clip:ViT-B-32/none", classes, 2)
    assert "near names are ViT-B-32" in refused("open_clip:ViT-B-33/openai", classes, 2)


def test_open_clip_leaves_the_root_logger_alone(classes: Any, capfd: pytest.CaptureFixture[str]) -> None:
    message = refused("open_clip:ViT-B-32/laion2b_s34b_b79k", classes, 3)
    assert "this machine's cache does not hold it; run once with the Hub in reach" in message
    assert capfd.readouterr() == ("", "")
