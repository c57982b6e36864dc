"""A classifier of your own for evaluate.py: python evaluate.py --model my_classifier:green_is_bird.

This one has a head of nine, ImageNet-9's classes in order, and calls everything green a bird, the rest a dog. Put your
network in its place.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DOG, BIRD, CLASSES = 0, 1, 9


class GreenIsBird:
    """Looks at nothing but the mean colour."""

    name = "green-is-bird"
    input_size_hw = (224, 224)
    weights_sha256 = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()  # of your weights, if you have some

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(N, 224, 224, 3)`` uint8 RGB to ``(N, 9)`` float32."""
        red, green, blue = images.mean(axis=(1, 2)).T
        scores = np.zeros((len(images), CLASSES), dtype=np.float32)
        scores[:, DOG] = (red + blue) / 2
        scores[:, BIRD] = green
        return scores


def green_is_bird() -> GreenIsBird:
    """What ``--model`` names; with ``=ARGUMENT`` after it, it is given the argument as text."""
    return GreenIsBird()
