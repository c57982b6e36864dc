"""Trained heads: a linear layer on a frozen backbone, in one safetensors file, and the classifier that the two make.

``figureground.exports.analyses.probe:head=FILE`` is a model specification for ``evaluate`` and for every analysis. A
head names its backbone, but files come from strangers, and a specification can name any code: only backbones of timm's
by name and those that figureground ships are loaded on a file's word. Others are named by the user, after two colons:
``figureground.exports.analyses.probe:head=FILE::timm:resnet50=my.safetensors``; the weights' SHA-256 must be the one
that the head was trained on, whoever names it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Final, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from figureground.errors import DataError, UsageError
from figureground.exports.analyses.networks import AnalysedModel, Penultimate, look_into
from figureground.exports.evaluation.adapters import Adapter, adapter_option
from figureground.exports.evaluation.model_files.torch_models import TorchAdapter
from figureground.exports.evaluation.models import load_model
from figureground.exports.evaluation.values import file_sha256
from figureground.runtime.files import replace_file
from figureground.schemas.documents import Document, validate_document

_KEY: Final = "figureground_head"  # the one entry of the file's metadata: several would be written in any order
_TRUSTED: Final = re.compile(
    r"timm:[A-Za-z0-9_.-]+|figureground\.exports\.evaluation\.classifiers:efficientnet_lite[0-2]"
)
_SEPARATOR: Final = "::"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class Feeding(Document):
    """How canvases were fed to the backbone."""

    input_size_hw: tuple[int, int]
    mean: Triple
    std: Triple
    interpolation: str


class TrainedOn(Document):
    """The images that a head was fitted to and chosen by."""

    dataset: str
    revision: str | None
    fingerprint: str
    config: str
    train_split: str
    validation_split: str
    n_train: int
    n_validation: int
    limit: int | None


class HeadRecord(Document):
    """Everything about a head but its numbers."""

    schema_version: Literal["1"] = "1"
    backbone: str
    """Model specification; a file's folder is left out."""
    backbone_name: str
    backbone_weights_sha256: Sha256
    device: str
    """Where the backbone computed the features, such as ``cpu`` or ``cuda:0``."""
    precision: str
    """What it computed them in, such as ``float32``."""
    class_names: Annotated[tuple[str, ...], Field(min_length=2)]
    """In the order of the outputs."""
    feeding: Feeding
    trained_on: TrainedOn
    preset: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    seed: int
    chosen_epoch: int
    """From 1."""
    train_loss: tuple[float, ...]
    """Mean cross-entropy of each epoch."""
    validation_accuracy: tuple[float, ...]
    """Class-mean accuracy on the validation split after each epoch, in [0, 1]."""
    libraries: dict[str, str]


def write_head(path: Path, weight: torch.Tensor, bias: torch.Tensor, record: HeadRecord) -> str:
    """Write a head, ``(K, D)`` and ``(K,)`` float32, whole or not at all; returns the file's SHA-256.

    The same head gives the same bytes.
    """
    text = json.dumps(record.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    content = save({"weight": weight.contiguous(), "bias": bias.contiguous()}, metadata={_KEY: text})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        temporary.write_bytes(content)
    return file_sha256(path)


def read_head(path: Path) -> tuple[torch.Tensor, torch.Tensor, HeadRecord]:
    """Read a head: weight ``(K, D)``, bias ``(K,)``, both float32 and finite, and its record.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is no head, holds anything else than the two tensors, or contradicts itself.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such head")
    name = path.name
    try:
        with safe_open(path, framework="pt") as file:
            record = _parse_record((file.metadata() or {}).get(_KEY), name)
            keys, classes = sorted(file.keys()), len(record.class_names)
            shapes = {key: (file.get_slice(key).get_dtype(), tuple(file.get_slice(key).get_shape())) for key in keys}
            width = shapes["weight"][1][-1] if shapes.get("weight", ("", ()))[1] else 0
            wanted = {"bias": ("F32", (classes,)), "weight": ("F32", (classes, width))}
            if shapes != wanted or not width:
                raise DataError.single(name, "", expected=f"tensors bias and weight of {classes} rows", got=f"{shapes}")
            weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
    except (SafetensorError, OSError) as error:
        raise DataError.single(name, "", expected="a safetensors file", got=str(error)) from error
    if len(set(record.class_names)) < len(record.class_names):
        raise DataError.single(name, "class_names", expected="different names", got=", ".join(record.class_names))
    if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise DataError.single(name, "", expected="finite weights", got="NaN or infinity")
    return weight, bias, record


def _parse_record(text: str | None, file: str) -> HeadRecord:
    if text is None:
        raise DataError.single(file, "", expected=f"a head, with {_KEY} in its metadata", got="another file")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError.single(file, _KEY, expected="JSON", got=str(error)) from error
    return validate_document(value, HeadRecord, where=file)


def portable_spec(spec: str) -> str:
    """A model specification without the folder of its file, which is nobody else's."""
    target, equals, argument = spec.partition("=")
    return f"{target}={Path(argument).name}" if equals else target


def describe_feeding(model: AnalysedModel) -> Feeding:
    """How a backbone is fed."""
    first, second, third = model.mean
    mean, (first, second, third) = (first, second, third), model.std
    return Feeding(
        input_size_hw=model.input_size_hw, mean=mean, std=(first, second, third), interpolation=model.interpolation
    )


def blank_linear(width: int, outputs: int) -> torch.nn.Linear:
    """A linear layer whose parameters are yet to be filled; the global generator is not moved by making it."""
    layer: torch.nn.Linear = torch.nn.utils.skip_init(torch.nn.Linear, width, outputs)  # type: ignore[no-untyped-call]
    return layer


class ProbedNetwork(torch.nn.Module):
    """A frozen backbone with a trained head: normalised ``(N, 3, H, W)`` to ``(N, K)``."""

    def __init__(self, features: Penultimate, head: torch.nn.Linear) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of the head's classes."""
        answer: torch.Tensor = self.head(self.features(images))
        return answer


class ProbedClassifier(TorchAdapter):
    """A trained head on its backbone, as ``evaluate`` and the analyses take models."""

    label_space = "head"

    def __init__(self, path: Path, backbone: str | None = None) -> None:
        """Load a head and the backbone that it names, or that ``backbone`` names.

        Raises:
            UsageError: if the head's backbone must be named by the user, or is fed otherwise than it was.
            DataError: if the head is damaged, or the backbone has other weights or another width.
        """
        weight, bias, record = read_head(path)
        adapter = _load_backbone(record, backbone, path.name)
        model = look_into(adapter)
        if describe_feeding(model) != record.feeding:
            raise UsageError(f"{model.name}: fed with {describe_feeding(model)}; the head was with {record.feeding}")
        features = Penultimate(model.network)
        if features.width != weight.shape[1]:
            got = f"{weight.shape[1]}"
            raise DataError.single(path.name, "weight", expected=f"{features.width} columns for {model.name}", got=got)
        head = blank_linear(weight.shape[1], weight.shape[0])
        head.load_state_dict({"weight": weight, "bias": bias})
        self.record = record
        self.class_names = record.class_names
        self.network = ProbedNetwork(features, head).eval()
        self.name = f"{model.name}+head:{path.stem}"
        self.weights_sha256 = file_sha256(path)  # the file names the backbone's own
        self.input_size_hw = model.input_size_hw
        self.mean, self.std, self.interpolation = record.feeding.mean, record.feeding.std, model.interpolation
        self.libraries = (*model.libraries, "safetensors")
        self.any_size = bool(adapter_option(adapter, "any_size"))


def _load_backbone(record: HeadRecord, spec: str | None, file: str) -> Adapter:
    """The backbone of a head on the CPU, by the user's ``spec`` or the head's own; raises as ``ProbedClassifier``."""
    if spec is None and not _TRUSTED.fullmatch(record.backbone):
        raise UsageError(
            f"{file}: its backbone is {record.backbone!r}, which no file may choose; name it after the file: "
            f"{file}{_SEPARATOR}{record.backbone}"
        )
    adapter = load_model(spec or record.backbone, device="cpu")
    if adapter.weights_sha256 != record.backbone_weights_sha256:
        expected = f"weights {record.backbone_weights_sha256[:16]}… of {record.backbone_name}"
        raise DataError.single(file, "backbone", expected=expected, got=f"{adapter.weights_sha256[:16]}…")
    return adapter


def head(argument: str) -> ProbedClassifier:
    """Model specification ``figureground.exports.analyses.probe:head=FILE`` or ``…=FILE::BACKBONE``."""
    path, _, backbone = argument.partition(_SEPARATOR)
    return ProbedClassifier(Path(path), backbone or None)
