"""A torch network of your own: figureground evaluate in9 --model my_network:trained=weights.pt.

Put your architecture and your mean and standard deviation in the place of these; it is moved to the device and the
precision that the command is asked for. The weights are what torch.save(network.state_dict(), "weights.pt") wrote.
"""

import hashlib
from pathlib import Path

import torch

import figureground as fg


class MyNetwork(fg.TorchAdapter):
    """A network of 1000 outputs, ImageNet's classes in their order."""

    name = "my-network"
    input_size_hw = (224, 224)
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self, weights: str) -> None:
        self.network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, kernel_size=7, stride=4),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(16, 1000),
        )
        self.network.load_state_dict(torch.load(weights, weights_only=True))
        self.network.eval()
        self.weights_sha256 = hashlib.sha256(Path(weights).read_bytes()).hexdigest()


def trained(weights: str) -> MyNetwork:
    """What ``--model`` names, given the file behind the ``=``."""
    return MyNetwork(weights)
