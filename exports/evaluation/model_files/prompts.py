"""Classes in words: templates, names and synonyms that models of pictures and text are asked with."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from figureground.exports.evaluation.label_spaces import IMAGENET_CLASSES, ClassMap
from figureground.exports.evaluation.model_files.imagenet_labels import imagenet_wnids
from figureground.exports.evaluation.model_files.torch_models import TorchAdapter, library
from figureground.exports.evaluation.values import EvaluationError, list_names, plain_line, require

PROMPT_SETTINGS: Final = ("label_space", "templates", "words")
DEFAULT_TEMPLATE: Final = "a photo of a {}."
_OPENAI: Final = "openai"  # ImageNet's names and 80 templates as CLIP's authors chose them
_TEMPLATE_LISTS: Final = {_OPENAI: "OPENAI_IMAGENET_TEMPLATES", "simple": "SIMPLE_IMAGENET_TEMPLATES"}
_TEXTS_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """What a model is asked with."""

    words: tuple[tuple[str, ...], ...]  # of each class, in the order of the outputs: its name and synonyms
    templates: tuple[str, ...]  # ``{}`` is where a word goes
    label_space: str  # ``head``: the dataset's classes; ``map``: ImageNet's
    class_names: tuple[str, ...] | None  # of a head
    notes: tuple[str, ...] = ()

    def texts(self, index: int) -> list[str]:
        """All texts of a class."""
        return [template.replace("{}", word) for word in self.words[index] for template in self.templates]

    def settings(self, tokens_of: Callable[[Sequence[str]], Any]) -> dict[str, Any]:
        """For the record: the words, and a hash of the tokens ``(N, L)`` that a model's tokenizer makes of them."""
        names = self.class_names or [str(index) for index in range(len(self.words))]
        words = {name: list(own) for name, own in zip(names, self.words, strict=True)}
        digest = hashlib.sha256()
        for index in range(len(self.words)):
            digest.update(f"{tokens_of(self.texts(index)).tolist()}\n".encode())
        return {"templates": list(self.templates), "words": words, "tokens_sha256": digest.hexdigest()}


def read_prompts(given: Mapping[str, Any], classes: ClassMap | None, where: str) -> Prompts:
    """The prompts that settings ask for, by default the dataset's classes in ``DEFAULT_TEMPLATE``.

    ``words`` name classes by the dataset's own names, ImageNet's (``label_space`` map) by index or wnid: never by a
    name, for two of ImageNet's classes are cranes. ``EvaluationError`` if a class has no words, or two have the same.
    """
    templates = given.get("templates", [DEFAULT_TEMPLATE])
    if isinstance(templates, str):
        listed = getattr(library("open_clip", "open-clip"), _TEMPLATE_LISTS[templates])
        templates = [template("{}") for template in listed]
    if given.get("label_space") == "map":
        words, notes = _imagenet_words(given.get("words"), where)
        return Prompts(words=words, templates=tuple(templates), label_space="map", class_names=None, notes=notes)
    if classes is None:
        raise EvaluationError(f"{where}: it is asked about the classes of a dataset, and here is none", 2)
    own = given.get("words", {})
    require(isinstance(own, Mapping), f"{where}: words: expected the dataset's classes by name, {{…}}; got {own!r:.40}")
    for name in set(own) - set(classes.names):
        near = difflib.get_close_matches(name, classes.names, 1)
        hint = f"did you mean {near[0]}?" if near else f"it has {list_names(classes.names)}"
        raise EvaluationError(f"{where}: words: the dataset has no class {plain_line(name, 60)}; {hint}")
    words = tuple(_spelled(own.get(name, name.replace("_", " "))) for name in classes.names)
    bare = [name for name in classes.names if name not in own and re.fullmatch(r"n\d{8}", name)]
    remedy = 'name them in a settings file, as NAME=FILE.json: {"words": {"n02123045": "tabby cat", …}}'
    require(not bare, f"{where}: {list_names(bare)} are wnids, which no model of text knows; {remedy}")
    _require_unlike(words, classes.names, where)
    return Prompts(words=words, templates=tuple(templates), label_space="head", class_names=classes.names)


def _spelled(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _imagenet_words(given: Any, where: str) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:  # noqa: ANN401
    """Words of ImageNet's classes in the order of its outputs, and what a reader of a table should know of them."""
    indices = [str(index) for index in range(IMAGENET_CLASSES)]
    if given == _OPENAI:
        named = tuple((str(name),) for name in library("open_clip", "open-clip").IMAGENET_CLASSNAMES)
        twice = [f"{first} and {second} ({word})" for word, first, second in _shared_words(named, indices)]
        return named, (f"ImageNet's classes {', '.join(twice)} have the same words, so the second is never answered",)
    by_key = dict(zip(indices, given, strict=False)) if isinstance(given, list) else dict(given or {})
    if by_key and not by_key.keys() & set(indices):
        by_key = {str(index): by_key[wnid] for index, wnid in enumerate(imagenet_wnids()) if wnid in by_key}
    fits = by_key.keys() == set(indices) and (not isinstance(given, list) or len(given) == IMAGENET_CLASSES)
    wanted = f'"{_OPENAI}", or {IMAGENET_CLASSES} names by index or by wnid'
    require(fits, f"{where}: words: under label_space map expected {wanted}; got {len(by_key)} that fit")
    words = tuple(_spelled(by_key[index]) for index in indices)
    _require_unlike(words, indices, where)
    return words, ()


def _shared_words(words: Sequence[Sequence[str]], names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Words that two classes have, with both, the earlier first."""
    first: dict[str, str] = {}
    shared = []
    for name, own in zip(names, words, strict=True):
        for word in own:
            owner = first.setdefault(word.strip().casefold(), name)
            if owner != name:
                shared.append((word, owner, name))
    return shared


def _require_unlike(words: Sequence[Sequence[str]], names: Sequence[str], where: str) -> None:
    shared = [f"{first} and {second} are both {word!r}" for word, first, second in _shared_words(words, names)]
    require(not shared, f"{where}: words: no two classes may be called alike: {list_names(shared, 4)}")


class ZeroShotAdapter(TorchAdapter):
    """A model of pictures and text that is asked which class's words fit best.

    A class is the mean of its texts' directions: each text's vector is normalised, then their mean, then that again
    (OpenAI's CLIP notebook, Prompt_Engineering_for_ImageNet). Texts are computed in float32 on the model's device;
    pictures, and no more than that, in ``precision``. Subclasses set ``prompts``, ``network`` of ``compare_with_texts``
    and ``encode_texts``.
    """

    prompts: Prompts
    encode_texts: Callable[[Sequence[str]], Any]  # texts to vectors (N, D), on the network's device

    def run_on(self, device: str, precision: str) -> None:
        """Move the network, and compute its classes there."""
        super().run_on(device, precision)
        self.network.vectors = self.class_vectors()

    def class_vectors(self) -> Any:  # noqa: ANN401  a torch.Tensor
        """Classes as directions, ``(K, D)`` float32."""
        import torch

        texts = [self.prompts.texts(index) for index in range(len(self.prompts.words))]
        flat = [text for own in texts for text in own]
        with torch.inference_mode():
            parts = [
                torch.nn.functional.normalize(self.encode_texts(flat[start : start + _TEXTS_AT_ONCE]).float(), dim=-1)
                for start in range(0, len(flat), _TEXTS_AT_ONCE)
            ]
            means = [part.mean(dim=0) for part in torch.split(torch.cat(parts), [len(own) for own in texts])]
            return torch.nn.functional.normalize(torch.stack(means), dim=-1)


def compare_with_texts(model: Any, encode_images: Callable[[Any], Any]) -> Any:  # noqa: ANN401  a torch.nn.Module
    """A network that compares pictures with ``vectors`` of texts: exp(scale) · cosine + bias, as it was trained.

    The comparison itself is in float32 whatever the pictures are encoded in: at a scale of 100 half precision would
    move answers.
    """
    import torch

    class Comparison(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.register_buffer("vectors", torch.zeros(0), persistent=False)

        def forward(self, pixels: Any) -> Any:  # noqa: ANN401  tensors
            encoded = encode_images(pixels)
            with torch.autocast(encoded.device.type, enabled=False):
                directions = torch.nn.functional.normalize(encoded.float(), dim=-1)
                scores = model.logit_scale.exp() * directions @ self.vectors.T
                bias = getattr(model, "logit_bias", None)
                return scores if bias is None else scores + bias

    return Comparison().eval()
