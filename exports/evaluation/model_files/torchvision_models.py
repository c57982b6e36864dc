"""torchvision's classifiers, by name and weights."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final

from figureground.exports.evaluation.label_spaces import IMAGENET_CLASSES
from figureground.exports.evaluation.model_files.checkpoints import compare_tensors, read_checkpoint
from figureground.exports.evaluation.model_files.settings import read_settings
from figureground.exports.evaluation.model_files.torch_models import TorchAdapter, library, tensors_sha256
from figureground.exports.evaluation.values import EvaluationError, list_names, plain_line, require

_CHECKPOINT_SETTINGS: Final = ("class_names", "label_space", "outputs", "checkpoint")
_ONE_SIZE: Final = ("vit_", "maxvit")  # their positions are of one size of picture


class TorchvisionAdapter(TorchAdapter):
    """``torchvision:NAME[/WEIGHTS]`` with torchvision's own weights, or ``torchvision:NAME=FILE`` with a checkpoint.

    WEIGHTS is a name such as ``IMAGENET1K_V2``, by default the one that torchvision calls the default; they bring their
    size, crop, filter and normalisation. A checkpoint is fed as the default weights are.
    """

    libraries = ("torch", "torchvision")

    def __init__(self, rest: str) -> None:
        models = library("torchvision.models", "eval")
        name, _, file = rest.partition("=")
        name, _, tag = name.partition("/")
        checkpoint = Path(file) if file else None
        require(not (tag and file), f"torchvision:{rest}: expected NAME/WEIGHTS or NAME=FILE, not both", 2)
        require(checkpoint is None or checkpoint.is_file(), f"{checkpoint}: no such checkpoint", 2)
        weights = _find_weights(models, name, tag or "DEFAULT")
        self.name = f"torchvision:{name}=" + checkpoint.stem if checkpoint else f"torchvision:{name}/{weights.name}"
        given: dict[str, Any] = {}
        if checkpoint is None:
            model = _load_own(models, name, weights, self.name)
            self.settings: dict[str, Any] = {"weights": weights.name}
            self.label_space = "map" if len(weights.meta["categories"]) == IMAGENET_CLASSES else None
        else:
            given, self.settings_file = read_settings(checkpoint, _CHECKPOINT_SETTINGS)
            model, self.settings = _load_checkpoint(models, name, checkpoint, given.get("checkpoint"))
            self.label_space = given.get("label_space")
        self.class_names = given.get("class_names")
        if "outputs" in given:
            self.outputs = given["outputs"]
        transform = weights.transforms()
        side = transform.crop_size[0]
        self.input_size_hw: tuple[int, int] = (side, side)
        self.mean, self.std = tuple(transform.mean), tuple(transform.std)
        self.interpolation = transform.interpolation.value
        self.crop_pct = side / transform.resize_size[0]
        self.any_size = not name.startswith(_ONE_SIZE)
        self.weights_sha256 = tensors_sha256(model.state_dict())
        self.parameters = sum(tensor.numel() for tensor in model.parameters())
        self.network = model.eval()


def _find_weights(models: Any, name: str, tag: str) -> Any:  # noqa: ANN401  torchvision's own
    known = models.list_models(module=models)
    near = difflib.get_close_matches(name, known, 3)
    hint = f"; near names are {', '.join(near)}" if near else ""
    require(name in known, f"torchvision:{name}: torchvision has no such classifier{hint}", 2)
    own = models.get_model_weights(name)
    words = f"it has {list_names(list(own.__members__))}"
    require(tag == "DEFAULT" or tag in own.__members__, f"torchvision:{name}: it has no weights {tag!r}; {words}", 2)
    return own[tag] if tag in own.__members__ else own.DEFAULT


def _load_own(models: Any, name: str, weights: Any, label: str) -> Any:  # noqa: ANN401  torchvision's own
    """A model with torchvision's weights, from torch's cache or fetched into it."""
    try:
        weights.get_state_dict(progress=False, check_hash=True, weights_only=True)  # get_model would run a file's code
        return models.get_model(name, weights=weights, progress=False)
    except OSError as error:  # of urllib too: there is no way to where they lie, or no room here
        words = f"its weights, {weights.url}, cannot be fetched ({plain_line(error, 120)})"
        raise EvaluationError(f"{label}: {words}; run again, or put the file into torch's hub/checkpoints", 3) from None
    except Exception as error:  # a file in the cache that was cut, or is of something else
        words = "delete its file in torch's hub/checkpoints and run again"
        raise EvaluationError(f"{label}: its weights cannot be read: {plain_line(error, 200)}; {words}") from error


def _load_checkpoint(models: Any, name: str, path: Path, part: str | None) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """A model with the weights of a file, with as many outputs as these have, and what was taken of the file."""
    model = models.get_model(name, weights=None)
    stored = read_checkpoint(path, model.state_dict(), part)
    heads = [key for key, tensor in model.state_dict().items() if tensor.shape[:1] == (IMAGENET_CLASSES,)]
    sizes = {len(stored.tensors[key]) for key in heads if key in stored.tensors and stored.tensors[key].ndim}
    if len(sizes) == 1 and sizes != {IMAGENET_CLASSES}:
        model = models.get_model(name, weights=None, num_classes=sizes.pop())
    faults = compare_tensors(stored.tensors, model.state_dict())
    require(not faults, f"{path}: these are not the weights of {name}: {'; '.join(faults)}")
    model.load_state_dict(stored.tensors, strict=True)
    return model, {"part": stored.part, "prefix": stored.prefix}
