"""Chat models that see, asked which class fits, and read by the logits of the letters."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.model_files.hf_models import (
    Source,
    find_source,
    load_config,
    load_part,
    load_weights,
    quiet_transformers,
)
from figureground.exports.evaluation.model_files.prompts import Prompts, read_prompts
from figureground.exports.evaluation.model_files.torch_models import library, tensors_sha256
from figureground.exports.evaluation.values import REFERENCE_SIZE_HW, EvaluationError, Images, Logits, require

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
QUESTION: Final = "Which of these is in the picture?\n{}\nAnswer with the letter alone."
_CHAT_SETTINGS: Final = ("input_size", "order_seed", "orders", "question", "words")


def open_chat(rest: str, classes: ClassMap | None) -> ChatAdapter:
    """The adapter of ``chat:NAME[@REVISION][=SETTINGS.json]``, a chat model of transformers that takes pictures."""
    transformers = library("transformers", "transformers")
    library("torch", "transformers")
    source = find_source("chat", rest, _CHAT_SETTINGS)
    prompts = read_prompts({**source.settings, "templates": ["{}"]}, classes, source.where)
    most = f"{source.where}: at most {len(LETTERS)} classes have a letter, and the dataset has {len(prompts.words)}"
    require(len(prompts.words) <= len(LETTERS), most, 2)
    with quiet_transformers(transformers):
        _, source = load_config(transformers, source)
        return ChatAdapter(transformers, source, prompts)


class ChatAdapter:
    """A forced choice: every class has a letter, and the letter with the largest logit after the question answers.

    Which class has which letter is drawn anew for each picture, from the seed and the picture's pixels, because models
    prefer some letters whatever they see (Zheng et al., arXiv 2309.03882). With ``orders`` above 1 a picture is asked
    as often, each time with other letters, and log-probabilities are averaged. Nothing is generated: one pass a
    question. A letter counts with and without a space before it, where the tokenizer has both.

    Settings: ``words`` (a class's name or names, the first of which is asked), ``question`` (with ``{}`` for the
    choices), ``orders`` (1), ``order_seed`` (0), ``input_size`` (224: pixels of what the model's own processor gets).
    """

    libraries = ("tokenizers", "torch", "transformers")
    label_space = "head"
    outputs = "logits"
    interpolation = "bicubic"
    any_size = True
    device, precision, on_cpu = "cpu", "float32", True

    def __init__(self, transformers: Any, source: Source, prompts: Prompts) -> None:  # noqa: ANN401  the package
        given = source.settings
        size = given.get("input_size", REFERENCE_SIZE_HW)
        self.input_size_hw: tuple[int, int] = (size, size) if isinstance(size, int) else (size[0], size[1])
        self.name, self.settings_file, self.class_names = source.label, source.settings_file, prompts.class_names
        self.network = load_weights(transformers.AutoModelForImageTextToText, source, dtype="auto")
        self._processor = load_part(transformers.AutoProcessor, source)
        require(getattr(self._processor, "chat_template", None), f"{source.label}: its processor has no chat template")
        self._names = [own[0] for own in prompts.words]
        self._letters = _letter_tokens(self._processor.tokenizer, len(self._names), source.label)
        self._question = given.get("question", QUESTION)
        self._orders, self._seed = int(given.get("orders", 1)), int(given.get("order_seed", 0))
        self.weights_sha256 = tensors_sha256(self.network.state_dict())
        self.parameters = sum(tensor.numel() for tensor in self.network.parameters())
        asked = self._ask(Image.new("RGB", (8, 8)), range(len(self._names)))["input_ids"]
        self.settings = {
            "revision": source.revision,
            "question": self._question,
            "words": self._names,
            "orders": self._orders,
            "order_seed": self._seed,
            "letters": self._letters,
            "asked_sha256": hashlib.sha256(str(asked.tolist()).encode()).hexdigest(),  # the template's text, too
        }

    def run_on(self, device: str, precision: str) -> None:
        """Move the network; its weights are in ``precision``."""
        import torch

        self.network = self.network.to(device, getattr(torch, precision))
        self.device, self.precision, self.on_cpu = device, precision, device == "cpu"

    def logits(self, images: Images) -> Logits:
        """``(N, H, W, 3)`` uint8 RGB to log-probabilities of the classes ``(N, K)`` float32, of the letters alone."""
        scores = np.zeros((len(images), len(self._names)), np.float32)
        asked = [(row, order) for row, image in enumerate(images) for order in self._letter_orders(image)]
        questions = [self._ask(Image.fromarray(images[row]), order) for row, order in asked]
        for group in _same_shapes(questions):
            answers = self._answer([questions[index] for index in group])
            for index, answer in zip(group, answers, strict=True):
                row, order = asked[index]
                scores[row, order] += answer / self._orders
        return scores

    def _letter_orders(self, image: Images) -> list[NDArray[np.int64]]:
        """Which class the first, second … letter stands for, for each time that a picture is asked."""
        pixels = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
        orders = []
        for turn in range(self._orders):
            keys = [hashlib.sha256(f"{self._seed}\0{turn}\0{pixels}\0{name}".encode()).digest() for name in self._names]
            orders.append(np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64))
        return orders

    def _ask(self, picture: Image.Image, order: Sequence[int] | NDArray[np.int64]) -> dict[str, Any]:
        """What the network takes for one question, as the model's own chat template has it."""
        choices = "\n".join(f"{LETTERS[place]}. {self._names[index]}" for place, index in enumerate(order))
        content = [{"type": "image", "image": picture}, {"type": "text", "text": self._question.replace("{}", choices)}]
        words = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
        return dict(self._processor.apply_chat_template([{"role": "user", "content": content}], **words))

    def _answer(self, questions: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
        """Log-probabilities of the letters ``(N, K)`` after questions of one length."""
        import torch

        kind = next(self.network.parameters()).dtype
        fed = {name: torch.cat([question[name] for question in questions]) for name in questions[0]}
        fed = {name: (value.to(kind) if value.is_floating_point() else value) for name, value in fed.items()}
        with torch.inference_mode():
            last = self.network(**{name: value.to(self.device) for name, value in fed.items()}).logits[:, -1].float()
            shares = torch.log_softmax(last, dim=-1)
            letters = torch.stack([shares[:, tokens].logsumexp(dim=1) for tokens in self._letters], dim=1)
            answers: NDArray[np.float32] = torch.log_softmax(letters, dim=1).cpu().numpy()
        return answers


def _letter_tokens(tokenizer: Any, count: int, where: str) -> list[list[int]]:  # noqa: ANN401  transformers' own
    """The tokens of each letter by itself, with and without a space before it."""
    tokens = []
    for letter in LETTERS[:count]:
        coded = [tokenizer.encode(text, add_special_tokens=False) for text in (letter, f" {letter}")]
        tokens.append(sorted({own[0] for own in coded if len(own) == 1 and own[0] != tokenizer.unk_token_id}))
    known = [token for own in tokens for token in own]
    if not all(tokens) or len(set(known)) < len(known):
        raise EvaluationError(f"{where}: its tokenizer has no token for each of the letters {LETTERS[:count]}")
    return tokens


def _same_shapes(questions: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Questions that may be asked together: nothing has to be padded, which would move answers."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, question in enumerate(questions):
        groups.setdefault(tuple((name, tuple(value.shape)) for name, value in question.items()), []).append(index)
    return list(groups.values())
