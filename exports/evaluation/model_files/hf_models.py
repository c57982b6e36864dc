"""Models of transformers: image classifiers, and CLIP and SigLIP that are asked with words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from figureground.exports.evaluation.adapters import normalise
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.model_files.adapter_checks import drawn_pictures
from figureground.exports.evaluation.model_files.imagenet_labels import Outputs, read_labels
from figureground.exports.evaluation.model_files.prompts import (
    PROMPT_SETTINGS,
    ZeroShotAdapter,
    compare_with_texts,
    read_prompts,
)
from figureground.exports.evaluation.model_files.settings import read_named_settings
from figureground.exports.evaluation.model_files.torch_models import TorchAdapter, library, tensors_sha256
from figureground.exports.evaluation.repository.hub import hub_fault
from figureground.exports.evaluation.values import EvaluationError, list_names, plain_line, require

_LABEL_SETTINGS: Final = ("class_names", "imagenet_outputs", "label_space")
_CONVNEXT_SQUASHES_FROM: Final = 384  # ConvNextImageProcessor: from this size on nothing is cropped
_CHECK_SLACK: Final = 1e-3  # of normalised pixels: our arithmetic and the processor's round differently


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a model of transformers lies, and what a settings file says of it."""

    kind: str
    name: str  # folder, or id on the Hub
    revision: str | None  # on the Hub; None for its newest
    settings: Mapping[str, Any]
    settings_file: str  # for messages; empty where there is none
    label: str  # what results call the model

    @property
    def local(self) -> bool:
        """Whether it is a folder."""
        return Path(self.name).is_dir()

    @property
    def where(self) -> str:
        """The model, for messages."""
        return self.settings_file or self.label


def find_source(kind: str, rest: str, known: Sequence[str]) -> Source:
    """What stands behind ``KIND:``, ``NAME[@REVISION][=SETTINGS.json]``; NAME is a folder or an id on the Hub.

    Raises:
        EvaluationError: if it is neither (exit code 2), or a setting is not among ``known``.
    """
    name, _, file = (rest, "", "") if Path(rest).is_dir() else rest.partition("=")
    given, where = read_named_settings(Path(file), known) if file else ({}, "")
    folder = Path(name).is_dir()
    revision = None
    if not folder:
        name, _, revision = name.partition("@")
        likely = re.fullmatch(r"[\w][\w.-]*(/[\w][\w.-]*)?", name)
        words = "neither a folder nor an id of the Hub; expected NAME[@REVISION][=SETTINGS.json]"
        require(likely, f"{kind}:{rest}: {words}", 2)
    label = f"{kind}:{Path(name).resolve().name if folder else name}" + (f"@{revision}" if revision else "")
    label += f"={Path(file).stem}" if file else ""
    return Source(kind=kind, name=name, revision=revision or None, settings=given, settings_file=where, label=label)


def open_hf(rest: str, classes: ClassMap | None) -> HfClassifier | HfZeroShot:
    """The adapter of ``hf:NAME[@REVISION][=SETTINGS.json]``: a classifier with a head, or one that is asked with words.

    ``EvaluationError`` where the Hub does not give it, weights are missing or of other shapes, or it is no such model.
    """
    transformers = library("transformers", "transformers")
    library("torch", "transformers")
    source = find_source("hf", rest, (*_LABEL_SETTINGS, *PROMPT_SETTINGS))
    with quiet_transformers(transformers):
        config, source = load_config(transformers, source)
        lists = transformers.models.auto.modeling_auto
        headed = any(str(name).endswith("ForImageClassification") for name in config.architectures or ())
        if not headed and config.model_type in lists.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES:
            return HfZeroShot(transformers, source, classes)
        known = config.model_type in lists.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
        words = "no image classifier of transformers, nor a model that compares pictures with words"
        require(known, f"{source.label}: {config.model_type} is {words}; write an adapter, as MODULE:CALLABLE", 2)
        return HfClassifier(transformers, source, classes)


class _HfAdapter(TorchAdapter):
    """What both kinds share: weights, how pictures are fed, what stands on record."""

    name: str
    input_size_hw: tuple[int, int]
    weights_sha256: str
    libraries: tuple[str, ...] = ("torch", "transformers")

    def describe(self, source: Source, model: Any, processor: Any) -> None:  # noqa: ANN401  transformers' own
        """Take over all but the network."""
        self.name, self.settings_file = source.label, source.settings_file
        self.weights_sha256 = tensors_sha256(model.state_dict())
        self.parameters = sum(tensor.numel() for tensor in model.parameters())
        feeding = read_feeding(processor, source.where)
        self.input_size_hw = feeding.size_hw
        self.mean, self.std = feeding.mean, feeding.std
        self.interpolation, self.crop_pct, self.crop_mode = feeding.interpolation, feeding.crop_pct, feeding.crop_mode
        self.settings: dict[str, Any] = {"revision": source.revision}


class HfClassifier(_HfAdapter):
    """A classifier with a head; its labels say what its outputs are, or a settings file does."""

    def __init__(self, transformers: Any, source: Source, classes: ClassMap | None) -> None:  # noqa: ANN401
        _require_settings(source, _LABEL_SETTINGS, "a classifier with a head")
        model = load_weights(transformers.AutoModelForImageClassification, source)
        self.describe(source, model, load_part(transformers.AutoImageProcessor, source, backend="pil"))
        labels = [str(model.config.id2label[index]) for index in sorted(model.config.id2label)]
        outputs = read_labels(labels, classes, source.settings, source.where)
        self.label_space, self.class_names = outputs.label_space, outputs.class_names
        self.settings["columns"] = list(outputs.columns) if outputs.columns else None
        self.network = take_outputs(model, outputs)


class HfZeroShot(_HfAdapter, ZeroShotAdapter):
    """CLIP, SigLIP and their like, asked with words."""

    libraries = ("tokenizers", "torch", "transformers")

    def __init__(self, transformers: Any, source: Source, classes: ClassMap | None) -> None:  # noqa: ANN401
        _require_settings(source, PROMPT_SETTINGS, "a model that is asked with words")
        self.prompts = read_prompts(source.settings, classes, source.where)
        model = load_weights(transformers.AutoModelForZeroShotImageClassification, source)
        self.describe(source, model, load_part(transformers.AutoImageProcessor, source, backend="pil"))
        compares = hasattr(model, "logit_scale") and hasattr(model, "get_image_features")
        words = "compares pictures and words in a way of its own"
        require(compares, f"{source.label}: {model.config.model_type} {words}; write an adapter, as MODULE:CALLABLE", 2)
        tokenizer = load_part(transformers.AutoTokenizer, source)
        self.label_space, self.class_names = self.prompts.label_space, self.prompts.class_names
        self.notes = self.prompts.notes
        self.network = compare_with_texts(model, lambda pixels: model.get_image_features(pixels).pooler_output)
        self.encode_texts = partial(_encode_texts, model, tokenizer)
        self.settings |= self.prompts.settings(lambda texts: tokenise(tokenizer, model.config, texts)["input_ids"])


def tokenise(tokenizer: Any, config: Any, texts: Sequence[str]) -> Any:  # noqa: ANN401  transformers' own
    """Texts as a model was trained on them.

    SigLIP's are of one length and in small letters: its fixed-size second version has a tokenizer that keeps capitals
    (google/siglip2-base-patch16-224, discussion 22). Longer ones than a model has places for are cut. The side of the
    padding is the checkpoint's.
    """
    most = int(config.text_config.max_position_embeddings)
    if "siglip" in config.model_type:
        small = [text.lower() for text in texts]
        return tokenizer(small, padding="max_length", max_length=min(64, most), truncation=True, return_tensors="pt")
    return tokenizer(list(texts), padding=True, max_length=most, truncation=True, return_tensors="pt")


def _encode_texts(model: Any, tokenizer: Any, texts: Sequence[str]) -> Any:  # noqa: ANN401  transformers' own
    return model.get_text_features(**tokenise(tokenizer, model.config, texts).to(model.device)).pooler_output


def take_outputs(model: Any, outputs: Outputs) -> Any:  # noqa: ANN401  a torch.nn.Module
    """A network that gives the logits of a model of transformers alone, the outputs that are asked for."""
    import torch

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.columns = None if outputs.columns is None else list(outputs.columns)

        def forward(self, pixels: Any) -> Any:  # noqa: ANN401  tensors
            logits = self.model(pixel_values=pixels).logits
            return logits if self.columns is None else logits[:, self.columns]

    return Head().eval()


def _require_settings(source: Source, known: Sequence[str], what: str) -> None:
    strange = set(source.settings) - set(known)
    require(not strange, f"{source.settings_file}: {list_names(strange)}: no settings of {what}")


@contextmanager
def quiet_transformers(transformers: Any) -> Iterator[None]:  # noqa: ANN401  the package
    """Without progress bars and advice between a table's lines; what matters of them is an error here."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_config(transformers: Any, source: Source) -> tuple[Any, Source]:  # noqa: ANN401  transformers' own
    """A model's config, and the model at the commit that it came from, so that no two files are of different ones."""
    config = load_part(transformers.AutoConfig, source)
    if source.local:
        return config, source
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(source.name, "config.json", revision=source.revision)
    commit = Path(path).parent.name if isinstance(path, str) else source.revision
    return config, replace(source, revision=commit)


def load_part(loader: Any, source: Source, **options: Any) -> Any:  # noqa: ANN401  transformers' own
    """``from_pretrained`` that runs no code of a repository; ``EvaluationError`` in one line where it fails."""
    if not source.local:
        options["revision"] = source.revision
    try:
        return loader.from_pretrained(source.name, trust_remote_code=False, **options)
    except Exception as error:  # OSError, ValueError, ImportError, RuntimeError, safetensors' own
        raise _loading_fault(error, source) from None  # the Hub's own text may hold the token


def load_weights(loader: Any, source: Source, dtype: str = "float32") -> Any:  # noqa: ANN401  transformers' own
    """A model with all its weights, in evaluation mode and on the CPU; ``EvaluationError`` where any is missing.

    Weights are read as safetensors alone, and in float32 unless ``dtype`` says otherwise ("auto": as stored).
    """
    options = {"use_safetensors": True, "output_loading_info": True}
    options["ignore_mismatched_sizes"] = True  # else transformers prints them, and raises without saying which
    model, report = load_part(loader, source, dtype=dtype, **options)
    for kind, words in (("missing_keys", "lack"), ("mismatched_keys", "have other shapes of"), ("error_msgs", "say")):
        names = [str(name) for name in report.get(kind) or ()]
        remedy = "a folder without a head, or of another model? Random numbers would stand in for them"
        require(not names, f"{source.label}: its weights {words} {plain_line(list_names(names, 4))}: {remedy}")
    return model.eval()


def _loading_fault(error: Exception, source: Source) -> EvaluationError:
    text = plain_line(error, 200)
    fault = None if source.local else hub_fault(error, source.label)
    if fault is not None:
        return fault
    lowered = str(error).lower()
    if "trust_remote_code" in lowered or "custom code" in lowered:
        words = "it needs code of its own repository, which is never run here; write an adapter, as MODULE:CALLABLE"
        return EvaluationError(f"{source.label}: {words}")
    if "safetensors" in lowered and isinstance(error, OSError):
        words = "it has no weights as safetensors, and others could run code; convert them with save_pretrained"
        return EvaluationError(f"{source.label}: {words}")
    if isinstance(error, ImportError):
        return EvaluationError(f"{source.label}: {text}", 2)
    return EvaluationError(f"{source.label}: transformers cannot load it: {type(error).__name__}: {text}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HfFeeding:
    """How a model takes pictures; see ``Adapter``."""

    size_hw: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str


def read_feeding(processor: Any, where: str) -> HfFeeding:  # noqa: ANN401  an image processor of transformers
    """How an image processor resizes, crops and normalises; ``EvaluationError`` for one that does anything else.

    Pictures pass through our own resizing, so that all models of a table see the same; what comes out is compared with
    what the processor itself makes of a drawn picture.
    """
    stranger = f"{where}: its {type(processor).__name__} does more than resize, crop and normalise: write an adapter"
    size, crop = (dict(getattr(processor, name, None) or {}) for name in ("size", "crop_size"))
    size, crop = ({side: px for side, px in own.items() if px} for own in (size, crop))
    cropped = bool(getattr(processor, "do_center_crop", False)) and crop.keys() >= {"height", "width"}
    short = size.get("shortest_edge")
    if size.keys() >= {"height", "width"}:
        size_hw = (crop["height"], crop["width"]) if cropped else (size["height"], size["width"])
        crop_pct, crop_mode = size_hw[0] / size["height"], "squash"
    elif short and cropped:
        size_hw, crop_pct, crop_mode = (crop["height"], crop["width"]), crop["height"] / short, "center"
    elif short and getattr(processor, "crop_pct", None):
        squashes = short >= _CONVNEXT_SQUASHES_FROM
        size_hw, crop_pct = (short, short), 1.0 if squashes else float(processor.crop_pct)
        crop_mode = "squash" if squashes else "center"
    else:
        raise EvaluationError(f"{stranger} (sizes {size or None}, {crop or None})")
    unit = 255 * (float(processor.rescale_factor) if getattr(processor, "do_rescale", True) else 1)
    mean: tuple[float, ...] = (0.0,) * 3
    std: tuple[float, ...] = (1.0,) * 3
    if getattr(processor, "do_normalize", True):
        mean, std = tuple(map(float, processor.image_mean)), tuple(map(float, processor.image_std))
    feeding = HfFeeding(
        size_hw=(int(size_hw[0]), int(size_hw[1])),
        mean=tuple(value / unit for value in mean),
        std=tuple(value / unit for value in std),
        interpolation=Image.Resampling(int(processor.resample)).name.lower(),
        crop_pct=crop_pct,
        crop_mode=crop_mode,
    )
    pictures = drawn_pictures(feeding.size_hw)
    own = normalise(pictures, feeding.mean, feeding.std).transpose(0, 3, 1, 2)
    try:
        options = {"do_resize": False, "do_center_crop": False, "input_data_format": "channels_last"}
        made = processor(list(pictures), return_tensors="np", **options)["pixel_values"]
        alike = np.shape(made) == own.shape and bool(np.abs(np.asarray(made) - own).max() < _CHECK_SLACK)
    except Exception as error:  # processors raise nearly anything on what they do not expect
        raise EvaluationError(f"{stranger} ({plain_line(error, 120)})") from error
    require(alike, stranger)
    return feeding
