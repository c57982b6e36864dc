"""A small dataset to look at, the workspace that it is from, and the answers of a model that sees colours alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from drawn_release import draw_release
from plain_dataset import Plain, build_plain, write_recipe

import figureground
from figureground.exports.evaluation.values import Images, Logits


class SeesColours:
    """Answers disc, ring or bar where most pixels are red, green or blue; ImageNet's 1000 outputs."""

    name = "sees colours"
    input_size_hw = (32, 32)
    weights_sha256 = "0" * 64
    mean = std = None

    def logits(self, images: Images) -> Logits:
        """One row of outputs an image."""
        answers = np.full((len(images), 1000), -10.0, dtype=np.float32)
        strongest = images.astype(np.int64).argmax(axis=3).reshape(len(images), -1)
        for colour in range(3):
            answers[:, colour] = 4 * (strongest == colour).mean(axis=1)
        return answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewed:
    """What is looked at."""

    dataset: Path
    """12 photos of three classes under three configs, 36 rows."""
    release: Path
    """The same without images."""
    workspace: Path
    scores: Path
    """Folder of results of ``SeesColours`` on ``dataset``."""


@cache
def make_viewed(base: Path) -> Viewed:
    """Draw, build with and without images, and score, once for all tests of a process; nobody changes it.

    Args:
        base: ``tmp_path_factory.getbasetemp()``.
    """
    root = base / "viewed"
    drawn = draw_release(root, per_class=4)
    plain = Plain(drawn=drawn, recipe=write_recipe(root, {}), dataset=root / "release", pictures=root / "seen")
    build_plain(plain, plain.dataset, pixels=False)
    build_plain(plain, plain.pictures)
    figureground.evaluate(str(plain.pictures), "viewed_dataset:SeesColours", out=root / "scores", bootstrap=1)
    return Viewed(dataset=plain.pictures, release=plain.dataset, workspace=drawn.workspace, scores=root / "scores")
