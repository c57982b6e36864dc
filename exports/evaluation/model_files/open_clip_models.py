"""CLIP models of open_clip, by name and tag of their weights, or from a folder."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.model_files.prompts import (
    PROMPT_SETTINGS,
    ZeroShotAdapter,
    compare_with_texts,
    read_prompts,
)
from figureground.exports.evaluation.model_files.settings import read_named_settings
from figureground.exports.evaluation.model_files.torch_models import library, tensors_sha256
from figureground.exports.evaluation.repository.hub import hub_fault
from figureground.exports.evaluation.values import EvaluationError, list_names, plain_line, require


class OpenClipAdapter(ZeroShotAdapter):
    """``open_clip:NAME/TAG``, ``open_clip:FOLDER`` or ``open_clip:hf-hub:OWNER/NAME``, each with ``=SETTINGS.json``.

    A folder holds ``open_clip_config.json`` and the weights, as ``push_to_hf_hub`` writes them. Names that open_clip
    would only warn of are refused: weights of another activation, and no weights at all, which are random.
    """

    libraries = ("open_clip_torch", "torch")

    def __init__(self, rest: str, classes: ClassMap | None) -> None:
        clip = library("open_clip", "open-clip")
        name, _, file = (rest, "", "") if Path(rest).is_dir() else rest.partition("=")
        given, self.settings_file = read_named_settings(Path(file), PROMPT_SETTINGS) if file else ({}, "")
        model_name, tag, shown = _find_model(clip, name)
        self.name = f"open_clip:{shown}" + (f"={Path(file).stem}" if file else "")
        self.prompts = read_prompts(given, classes, self.settings_file or self.name)
        model = _create_clip(clip, model_name, tag, self.name).eval()  # it comes in training mode
        tokenizer = _get_tokenizer(clip, model_name, self.name)
        feeding = clip.get_model_preprocess_cfg(model)
        size = feeding["size"]
        self.input_size_hw: tuple[int, int] = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.mean, self.std = tuple(feeding["mean"]), tuple(feeding["std"])
        self.interpolation = feeding["interpolation"]
        self.crop_pct = 1.0
        self.crop_mode = "center" if feeding["resize_mode"] == "shortest" else "squash"
        self.weights_sha256 = tensors_sha256(model.state_dict())
        self.parameters = sum(tensor.numel() for tensor in model.parameters())
        self.label_space, self.class_names = self.prompts.label_space, self.prompts.class_names
        self.notes = self.prompts.notes
        if feeding["resize_mode"] == "longest":  # it pads; canvases are squares, so that there nothing is different
            self.notes += (f"{self.name}: photos are squashed, where open_clip would pad them",)
        self.settings = {"resize_mode": feeding["resize_mode"], **self.prompts.settings(tokenizer)}
        self.network = compare_with_texts(model, model.encode_image)
        self.encode_texts = partial(_encode, model, tokenizer)


def _encode(model: Any, tokenizer: Any, texts: Sequence[str]) -> Any:  # noqa: ANN401  open_clip's own
    return model.encode_text(tokenizer(list(texts)).to(next(model.parameters()).device))


def _find_model(clip: Any, name: str) -> tuple[str, str | None, str]:  # noqa: ANN401  the package
    """open_clip's name of a model, the tag of its weights, and what results call it."""
    folder = Path(name.removeprefix("local-dir:"))
    if folder.is_dir():
        return f"local-dir:{folder}", None, folder.resolve().name
    require(not name.startswith("local-dir:"), f"open_clip:{name}: no such folder", 2)
    if name.startswith("hf-hub:"):
        return name, None, name
    architecture, _, tag = name.rpartition("/")
    known = clip.list_models()
    near = difflib.get_close_matches(architecture or tag, known, 3)
    hint = (
        f"near names are {', '.join(near)}" if near else "python -c 'import open_clip; print(open_clip.list_models())'"
    )
    expected = "expected NAME/TAG, a folder, or hf-hub:OWNER/NAME"
    require(
        architecture in known, f"open_clip:{name}: {expected}; there is no model {architecture or tag!r}; {hint}", 2
    )
    tags = clip.list_pretrained_tags_by_model(architecture)
    require(tag in tags, f"open_clip:{name}: {architecture} has no weights {tag!r}; it has {list_names(tags)}", 2)
    wanted = bool(clip.get_pretrained_cfg(architecture, tag).get("quick_gelu", False))
    quick = bool(clip.get_model_config(architecture).get("quick_gelu", False))
    other = architecture.removesuffix("-quickgelu") if quick else f"{architecture}-quickgelu"
    words = f"these weights were trained with {'' if wanted else 'no '}QuickGELU: take open_clip:{other}/{tag}"
    require(wanted == quick, f"open_clip:{name}: {words}", 2)
    return architecture, tag, name


def _create_clip(clip: Any, name: str, tag: str | None, label: str) -> Any:  # noqa: ANN401  open_clip's own
    try:
        with _quiet_log():  # what it only logs is an error below
            return clip.create_model(name, pretrained=tag, require_pretrained=True)
    except Exception as error:  # open_clip puts what the Hub's client raised into words of its own
        fault = hub_fault(error, label)
        if fault is not None:
            raise fault from None
        text = plain_line(error, 200)
        if "Error(s) in loading state_dict" in text or "could not be loaded" in text:
            raise EvaluationError(f"{label}: these are not all of its weights: {text}") from error
        offline = any(word in text.lower() for word in ("download", "connect", "offline", "cache", "resolve"))
        remedy = "; run once with the Hub in reach" if offline else ""
        raise EvaluationError(f"{label}: open_clip cannot load it: {text}{remedy}", 3 if offline else 1) from None


def _get_tokenizer(clip: Any, name: str, label: str) -> Any:  # noqa: ANN401  open_clip's own
    try:
        with _quiet_log():
            return clip.get_tokenizer(name)
    except Exception as error:  # those of SigLIP are fetched
        fault = hub_fault(error, f"{label}: its tokenizer")
        words = f"{label}: its tokenizer cannot be loaded: {plain_line(error, 200)}"
        raise (fault or EvaluationError(words, 3)) from None


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Without lines of the root logger, which open_clip writes to, and without setting it up for good."""
    root, before, handler = logging.getLogger(), logging.root.manager.disable, logging.NullHandler()
    root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
        root.removeHandler(handler)
