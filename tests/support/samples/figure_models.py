"""Networks for tests: some look at the figure alone or at the ground alone by construction, some are small and random.

Each callable is a model specification, ``figure_models:looks_at_figure``.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from figureground.exports.evaluation.model_files.torch_models import TorchAdapter
from figureground.exports.evaluation.values import Images, Logits


class ColourNetwork(torch.nn.Module):
    """Five activation maps (red, green, blue, yellow, white); their means are weighed by a linear head."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        super().__init__()
        self.colours = torch.nn.Conv2d(3, 5, 1)
        self.rise = torch.nn.ReLU(inplace=True)
        self.pool = torch.nn.AdaptiveAvgPool2d(1)
        self.flatten = torch.nn.Flatten()
        self.head = torch.nn.Linear(5, 3)
        half, third = 1 / 2, 1 / 3
        mixing = [[1, -half, -half], [-half, 1, -half], [-half, -half, 1], [half, half, -1], [third, third, third]]
        with torch.no_grad():
            self.colours.weight.data.copy_(torch.tensor(mixing)[:, :, None, None])
            self.colours.bias = torch.nn.Parameter(torch.tensor([-0.25, -0.25, -0.25, -0.5, -0.9]))
            self.head.weight.copy_(torch.from_numpy(weights))
            self.head.bias.zero_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.flatten(self.pool(self.rise(self.colours(images)))))
        return answer


class CoarseColours(ColourNetwork):
    """The same maps on a grid of few cells, as those of a deep network."""

    def __init__(self, weights: NDArray[np.float32], cells: int) -> None:
        super().__init__(weights)
        self.grid = torch.nn.AdaptiveAvgPool2d(cells)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.flatten(self.pool(self.grid(self.rise(self.colours(images))))))
        return answer


class SixColours(torch.nn.Module):
    """How much red, green, blue, yellow, magenta and cyan an image has: six features, and a head of three classes."""

    passes = 0
    """Calls of ``forward`` since the module was loaded, of all instances."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = torch.nn.Conv2d(3, 6, 1)
        self.rise = torch.nn.ReLU()
        self.pool = torch.nn.AdaptiveAvgPool2d(1)
        self.flatten = torch.nn.Flatten()
        self.head = torch.nn.Linear(6, 3)
        pure = 2 * torch.eye(3) - 1
        mixed = torch.tensor([[0.5, 0.5, -1.0], [0.5, -1.0, 0.5], [-1.0, 0.5, 0.5]])
        with torch.no_grad():
            self.colours.weight.copy_(torch.cat([pure, mixed])[:, :, None, None])
            self.colours.bias.copy_(torch.tensor([0.0] * 3 + [-0.45] * 3))  # type: ignore[union-attr]
            self.head.weight.zero_()
            self.head.bias.zero_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        SixColours.passes += 1
        answer: torch.Tensor = self.head(self.flatten(self.pool(self.rise(self.colours(images)))))
        return answer


class NetworkAdapter(TorchAdapter):
    """Any network as ``evaluate`` takes it."""

    label_space: str | None = "head"

    def __init__(self, network: torch.nn.Module, name: str, side_px: int = 64, centre: float = 0.0) -> None:
        self.network = network.eval()
        self.name = name
        self.input_size_hw = (side_px, side_px)
        self.mean, self.std = (centre,) * 3, (1.0,) * 3
        digest = hashlib.sha256()
        for key, tensor in sorted(network.state_dict().items()):
            digest.update(key.encode() + tensor.contiguous().numpy().tobytes())
        self.weights_sha256 = digest.hexdigest()


class ClosedAdapter:
    """An adapter that shows no network."""

    name = "closed"
    input_size_hw = (64, 64)
    weights_sha256 = "0" * 64

    def logits(self, images: Images) -> Logits:
        return np.zeros((len(images), 3), dtype=np.float32)


def looks_at_figure() -> NetworkAdapter:
    """Answers the colour of the figure: always right, for the right reason."""
    return NetworkAdapter(ColourNetwork(np.eye(3, 5, dtype=np.float32)), "looks-at-figure")


def looks_at_ground() -> NetworkAdapter:
    """The same classes, but by the yellow patch: red where there is one, else blue."""
    weights = np.array([[0, 0, 0, 1, 0], [0, 0, 0, -2, 0], [0, 0, 0, -1, 0]], dtype=np.float32)
    return NetworkAdapter(ColourNetwork(weights), "looks-at-ground")


def half_lazy() -> NetworkAdapter:
    """Sees the colour, and believes in yellow patches when it says red."""
    weights = np.eye(3, 5, dtype=np.float32)
    weights[0, 3] = 2
    return NetworkAdapter(ColourNetwork(weights), "half-lazy")


def coarsely_half_lazy() -> NetworkAdapter:
    """The same with maps of 3 x 3 cells, so coarse that even a perfect one lies mostly outside the figure."""
    weights = np.eye(3, 5, dtype=np.float32)
    weights[0, 3] = 2
    return NetworkAdapter(CoarseColours(weights, cells=3), "coarsely-half-lazy")


def six_colours() -> NetworkAdapter:
    """Sees colours, wherever they are; what they mean is for a head to learn."""
    return NetworkAdapter(SixColours(), "six-colours")


def sees_nothing() -> NetworkAdapter:
    """Its maps are zero everywhere."""
    network = ColourNetwork(np.zeros((3, 5), dtype=np.float32))
    return NetworkAdapter(network, "sees-nothing")


def small_vit() -> NetworkAdapter:
    """A random ViT of timm with two blocks, a class token and 8 x 8 patches."""
    return NetworkAdapter(_timm("vit_tiny_patch16_224", patch_size=8, img_size=64, depth=2), "small-vit", centre=0.5)


def small_vit_with_registers() -> NetworkAdapter:
    """Four register tokens besides, and mean pooling."""
    network = _timm("vit_tiny_patch16_224", patch_size=8, img_size=64, depth=2, reg_tokens=4, global_pool="avg")
    return NetworkAdapter(network, "small-vit-with-registers", centre=0.5)


def small_resnet() -> NetworkAdapter:
    """A random ResNet of timm."""
    return NetworkAdapter(_timm("resnet10t"), "small-resnet", centre=0.5)


def random_imagenet() -> NetworkAdapter:
    """A thousand outputs, two of them for class red."""
    adapter = NetworkAdapter(_timm("resnet10t", num_classes=1000), "random-imagenet", centre=0.5)
    adapter.label_space = "map"
    return adapter


def closed() -> ClosedAdapter:
    """A model that cannot be looked into."""
    return ClosedAdapter()


@cache
def _timm(name: str, **options: Any) -> torch.nn.Module:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return timm.create_model(name, pretrained=False, **{"num_classes": 3, **options})
