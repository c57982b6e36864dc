"""timm's models: pretrained, or with the weights of a file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final

from figureground.exports.evaluation.label_spaces import IMAGENET_CLASSES
from figureground.exports.evaluation.model_files.checkpoints import StoredTensors, compare_tensors, read_checkpoint
from figureground.exports.evaluation.model_files.settings import read_settings
from figureground.exports.evaluation.model_files.torch_models import TorchAdapter, tensors_sha256
from figureground.exports.evaluation.repository.hub import hub_fault
from figureground.exports.evaluation.values import EvaluationError, file_sha256, plain_line, require

_SETTINGS: Final = ("class_names", "label_space", "outputs", "checkpoint")


class TimmAdapter(TorchAdapter):
    """A timm model with its own size, filter and normalisation; pretrained, or with the weights of a local file.

    Its size and crop are those that timm tests it at, as its ``validate.py`` does; ``size="train"`` takes those that it
    was trained at. A file ``NAME.json`` beside a checkpoint may say ``class_names``, ``label_space``, ``outputs``, and
    as ``checkpoint`` which part of the file to take.
    """

    libraries = ("timm", "torch")

    def __init__(self, name: str, checkpoint: Path | None = None, *, size: str = "test") -> None:
        try:
            import timm
            import torch  # noqa: F401  timm needs it and says so in many lines
        except ImportError as error:
            raise EvaluationError(f"no {error.name}; run: uv run --with timm --with torch evaluate.py …", 2) from error
        require(checkpoint is None or checkpoint.is_file(), f"{checkpoint}: no such checkpoint", 2)
        given, where = read_settings(checkpoint, _SETTINGS) if checkpoint else ({}, "")
        model, stored = _load_timm(name, checkpoint, given.get("checkpoint"))
        self.weights_sha256 = file_sha256(checkpoint) if checkpoint else tensors_sha256(model.state_dict())
        tested = size == "test"
        feeding = timm.data.resolve_data_config({}, model=model, use_test_size=tested)  # type: ignore[no-untyped-call, attr-defined]
        self.name = f"timm:{name}={checkpoint.stem}" if checkpoint else f"timm:{name}"
        self.input_size_hw: tuple[int, int] = tuple(feeding["input_size"][1:])
        self.mean, self.std = tuple(feeding["mean"]), tuple(feeding["std"])
        self.interpolation = feeding["interpolation"]
        self.crop_pct, self.crop_mode = feeding["crop_pct"], feeding["crop_mode"]
        self.parameters = sum(tensor.numel() for tensor in model.parameters())
        self.any_size = not model.pretrained_cfg.get("fixed_input_size")
        self.settings = {"size": size, **({"part": stored.part, "prefix": stored.prefix} if stored else {})}
        self.notes = (f"checkpoint: {stored.choice}",) if stored and stored.choice else ()
        self.settings_file = where
        pretrained_on_imagenet = checkpoint is None and model.num_classes in (IMAGENET_CLASSES, IMAGENET_CLASSES + 1)
        self.label_space = given.get("label_space", "map" if pretrained_on_imagenet else None)
        self.class_names = given.get("class_names")
        if "outputs" in given:
            self.outputs = given["outputs"]
        self.network = model.eval()


def _load_timm(name: str, path: Path | None, part: str | None) -> tuple[Any, StoredTensors | None]:
    """A model, and what its checkpoint held."""
    model = _create(name, pretrained=path is None)
    if path is None:
        return model, None
    stored, heads = read_checkpoint(path, model.state_dict(), part), model.pretrained_cfg.get("classifier") or ""
    weight = stored.tensors.get(f"{heads if isinstance(heads, str) else heads[0]}.weight")
    if weight is not None and weight.ndim and len(weight) != model.num_classes:  # a head of the user's own
        model = _create(name, pretrained=False, num_classes=len(weight))
    faults = compare_tensors(stored.tensors, model.state_dict())
    require(not faults, f"{path}: these are not the weights of {name}: {'; '.join(faults)}")
    model.load_state_dict(stored.tensors, strict=True)
    return model, stored


def _create(name: str, **options: Any) -> Any:  # noqa: ANN401  a torch.nn.Module
    import timm

    try:
        return timm.create_model(name, **options)
    except Exception as error:  # no such model, no weights of it, or what the Hub's client raises
        fault = hub_fault(error, f"timm:{name}: its weights")
        if fault is not None:
            raise fault from None  # the client's own text may hold the token
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        hint = f"; near names are {', '.join(near)}" if near and "unknown model" in str(error).lower() else ""
        code = 3 if isinstance(error, OSError) else 2
        raise EvaluationError(f"timm:{name}: {plain_line(error)}{hint}", code) from error
