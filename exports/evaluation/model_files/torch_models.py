"""Torch networks behind an adapter."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import normalise
from figureground.exports.evaluation.values import EvaluationError, Logits


class TorchAdapter:
    """A torch network behind an adapter; subclasses set ``network``, ``mean``, ``std`` and what else they know."""

    libraries: tuple[str, ...] = ("torch",)
    refeedable = True
    takes_float = True
    network: Any  # torch.nn.Module in evaluation mode, normalised (N, 3, H, W) to (N, K)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    device = "cpu"
    precision = "float32"
    on_cpu = True

    def run_on(self, device: str, precision: str) -> None:
        """Move the network to a device of ``resolve_device``; below float32 it runs under torch's autocast."""
        self.network = self.network.to(device)
        self.device, self.precision, self.on_cpu = device, precision, device == "cpu"

    def logits(self, images: NDArray[Any]) -> Logits:
        """``(N, H, W, 3)`` RGB, uint8 or float32 in [0, 1], to ``(N, K)`` float32."""
        import torch

        mixed = torch.autocast(
            self.device.partition(":")[0], getattr(torch, self.precision), enabled=self.precision != "float32"
        )
        with torch.inference_mode(), mixed:
            fed = torch.from_numpy(normalise(images, self.mean, self.std)).permute(0, 3, 1, 2)
            scores: Logits = self.network(fed.to(self.device)).float().cpu().numpy()
        return scores


def library(name: str, extra: str) -> Any:  # noqa: ANN401  a module
    """A package that only some models need; ``EvaluationError`` says what to install where it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        words = (
            f"no {error.name or name}; run: pip install 'figureground[{extra}]', or uv run --with {name} evaluate.py …"
        )
        raise EvaluationError(words, 2) from error


def tensors_sha256(tensors: Mapping[str, Any]) -> str:
    """SHA-256 of a model's tensors: of name, type, shape and bytes of each, by name.

    Files of one model differ with how it was split into them, and some libraries do not say where their files lie.
    """
    import torch

    digest = hashlib.sha256()
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
