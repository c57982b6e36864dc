"""Pictures with a model's answer under them."""

from __future__ import annotations

from typing import Final

import numpy as np

from figureground.exports.analyses.plots import Tile
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.pictures import open_image
from figureground.exports.report.stored_answers import StoredAnswer

ANSWERS_NOTE: Final = "orange: wrong; answer and its probability under each picture"


def answer_tile(encoded: bytes, answer: StoredAnswer, classes: ClassMap, config: str = "") -> Tile:
    """An encoded image with the answer to it, below the config's name where one is given; orange where it is wrong."""
    pixels = np.asarray(open_image(encoded, config or "an image of the dataset"))
    caption = "\n".join(line for line in (config, answer.words(classes)) if line)
    return Tile(image=pixels, caption=caption, warned=not answer.right)
