"""Spatial layers of a network: which one to explain, and its activations as ``(N, C, h, w)`` whatever the network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from figureground.errors import UsageError
from figureground.exports.analyses.networks import device_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialLayer:
    """One layer whose output is laid out over the image: a grid of cells with one value a channel."""

    name: str
    """Name of the module in the network."""
    call: int
    """Which of its calls in one forward pass, from 0; a module may be used several times in it."""
    grid_hw: tuple[int, int]
    """Rows and columns of cells of the output."""
    channels: int
    """Values of each cell."""
    prefix_tokens: int | None
    """Class and register tokens before the patch tokens of a ``(N, L, C)`` output; None for ``(N, C, h, w)``."""


def find_explained_layer(
    network: torch.nn.Module, input_size_hw: tuple[int, int], name: str | None = None
) -> SpatialLayer:
    """The layer that GradCAM looks at.

    ``name`` if given. Else ``blocks[-1].norm1`` of a timm ViT (what the paper of RIVAL10 takes); else the last module,
    in the order of computation, whose output ``(N, C, h, w)`` is wider and higher than one cell.

    Raises:
        UsageError: if no module fits, or ``name`` is no module, or its output is no grid.
    """
    transformer = _find_vision_transformer(network)
    if name is None and transformer is not None:
        blocks: Any = transformer[1].blocks
        name = f"{transformer[0]}blocks.{len(blocks) - 1}.norm1"
    return find_spatial_layer(network, input_size_hw, name)


def find_feature_layer(
    network: torch.nn.Module, input_size_hw: tuple[int, int], name: str | None = None
) -> SpatialLayer:
    """The layer whose channels are the penultimate units before pooling: the last spatial one, a ViT's last norm."""
    transformer = _find_vision_transformer(network)
    if name is None and transformer is not None:
        name = f"{transformer[0]}norm"
    return find_spatial_layer(network, input_size_hw, name)


def find_spatial_layer(network: torch.nn.Module, input_size_hw: tuple[int, int], name: str | None) -> SpatialLayer:
    """The named layer, or the last whose output is a grid; see ``find_explained_layer``."""
    modules = dict(network.named_modules())
    if name is not None and name not in modules:
        near = [label for label in modules if label and label.count(".") <= 1]
        raise UsageError(f"layer {name!r}: the network has no such module; some are {', '.join(near[-8:])}")
    calls: list[tuple[str, int, tuple[int, ...]]] = []
    counts: dict[str, int] = {}

    def note(label: str, output: Any) -> None:  # noqa: ANN401  whatever a module returns
        counts[label] = counts.get(label, -1) + 1
        if isinstance(output, torch.Tensor):
            calls.append((label, counts[label], tuple(output.shape)))

    wanted = {name: modules[name]} if name is not None else modules
    hooks = [
        module.register_forward_hook(lambda _, __, output, label=label: note(label, output))
        for label, module in wanted.items()
        if label
    ]
    try:
        with torch.no_grad():
            network(torch.zeros((1, 3, *input_size_hw), device=device_of(network)))
    finally:
        for hook in hooks:
            hook.remove()
    return _choose(network, calls, input_size_hw, name)


def _choose(
    network: torch.nn.Module,
    calls: list[tuple[str, int, tuple[int, ...]]],
    input_size_hw: tuple[int, int],
    name: str | None,
) -> SpatialLayer:
    for label, call, shape in reversed(calls):
        if len(shape) == 4 and min(shape[2:]) > 1:
            if not _like_input(shape[2:], input_size_hw):
                raise UsageError(f"layer {label}: output {shape} is not (N, C, h, w) of the input; choose with --layer")
            return SpatialLayer(
                name=label, call=call, grid_hw=(shape[2], shape[3]), channels=shape[1], prefix_tokens=None
            )
        if len(shape) == 3 and name is not None:
            transformer = _find_vision_transformer(network)
            leading = 0 if transformer is None else int(transformer[1].num_prefix_tokens)  # type: ignore[arg-type]
            for prefix in (leading, 0):  # before the class token joins there is none
                grid_hw = _grid_of(shape[1] - prefix, input_size_hw)
                if grid_hw is not None:
                    return SpatialLayer(name=label, call=call, grid_hw=grid_hw, channels=shape[2], prefix_tokens=prefix)
    shapes = ", ".join(str(shape) for _, _, shape in calls[-3:]) or "none"
    raise UsageError(f"{name or type(network).__name__}: expected an output with places, got {shapes}; choose --layer")


def _like_input(grid_hw: tuple[int, ...], input_size_hw: tuple[int, int]) -> bool:
    """Whether a grid has the proportions of the input, to the rounding of a cell: rules out (N, h, w, C)."""
    return abs(grid_hw[0] * input_size_hw[1] / input_size_hw[0] - grid_hw[1]) <= 1


def _grid_of(tokens: int, input_size_hw: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of patch tokens, in the proportions of the input; None if they fill no such grid."""
    if tokens < 1:
        return None
    rows = max(1, round(math.sqrt(tokens * input_size_hw[0] / input_size_hw[1])))
    columns = tokens // rows
    fits = rows * columns == tokens and tokens > 1 and _like_input((rows, columns), input_size_hw)
    return (rows, columns) if fits else None


def _find_vision_transformer(network: torch.nn.Module) -> tuple[str, torch.nn.Module] | None:
    """A ViT, DeiT or their kin in timm (blocks with pre-norm, on tokens), and its name in the network with a dot.

    It is the network itself, or inside it, as the backbone of a trained head is.
    """
    for name, module in network.named_modules():
        blocks: Any = getattr(module, "blocks", None)
        if hasattr(module, "num_prefix_tokens") and blocks is not None and hasattr(blocks[-1], "norm1"):
            return f"{name}." if name else "", module
    return None


@contextmanager
def tap_layer(network: torch.nn.Module, layer: SpatialLayer) -> Iterator[torch.nn.Identity]:
    """While open, the layer's activations pass through the yielded module, as ``(N, C, h, w)``.

    So attribution methods see one shape for all networks: prefix tokens go round it, patch tokens are laid on their
    grid and taken up again. Gradients pass; the answer of the network is unchanged. What is computed in place
    afterwards works on a copy.
    """
    grid = torch.nn.Identity()
    count = -1

    def start(*_: object) -> None:
        nonlocal count
        count = -1

    def pass_through(_: object, __: object, output: torch.Tensor) -> torch.Tensor | None:
        nonlocal count
        count += 1
        if count != layer.call:
            return None
        if layer.prefix_tokens is None:
            passed: torch.Tensor = grid(output).clone()
            return passed
        prefix, patches = output[:, : layer.prefix_tokens], output[:, layer.prefix_tokens :]
        on_grid = patches.transpose(1, 2).reshape(len(output), layer.channels, *layer.grid_hw)
        return torch.cat([prefix, grid(on_grid).flatten(2).transpose(1, 2)], dim=1)

    hooks = [
        network.register_forward_pre_hook(start),
        network.get_submodule(layer.name).register_forward_hook(pass_through),
    ]
    try:
        yield grid
    finally:
        for hook in hooks:
            hook.remove()
