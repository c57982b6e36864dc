"""Pictures that the adversarial-background challenge shows a model, beside the released evaluator's order, in one run.

A real classifier answers on every figure pasted on every ground. Those answers are replayed to our search, and to the
order of challenge_eval.py (MadryLab/backgrounds_challenge): for each figure all grounds in the order of their classes,
in batches of 32, until a batch has one that fools. It has no other rule; for ``exact`` and ``targeted``, which have no
target for that reason, the same order is given their test. Figures that nothing fools are shown on every ground by
both, so that only those that something fools are compared. That the search finds exactly the figures that the
exhaustive answers tell is asserted.

    python benchmarks/challenge.py [--repository FOLDER] [--images 100] [--model SPEC]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parent))  # python -P leaves it out

from photo_sets import SHARED, make_release, request_of

from figureground.exports.dataset.building import build_dataset
from figureground.exports.evaluation.answers import Feeder, predict
from figureground.exports.evaluation.dataset import Repository, load_rows, open_repository
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.models import load_model
from figureground.exports.evaluation.protocols.challenge import (
    CHALLENGE,
    CHALLENGE_CONFIGS,
    GroundSearch,
    answer_pasted,
)

TARGET: Final = 0.2
BATCH: Final = 32
"""challenge_eval.py's."""
OBJECTS: Final = 200
SMALL: Final = SHARED / "models" / "mobilenet_v1_0.25_128_quant.tflite"
"""The fastest classifier at hand: there are as many pictures as figures times grounds."""

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def build_pairs(root: Path) -> Path:
    """A dataset with nothing but figures and grounds."""
    make_release(root, OBJECTS)
    request = request_of(root, workers=1)
    recipe = request.design.recipe
    few = recipe.model_copy(update={"variants": {name: recipe.variants[name] for name in CHALLENGE_CONFIGS}})
    build_dataset(replace(request, design=replace(request.design, recipe=few)), root / "pairs")
    return root / "pairs"


def answer_all(adapter: Any, figures: Any, grounds: Any, classes: ClassMap) -> Ints:  # noqa: ANN401
    """Class index of every figure on every ground, ``(F, G)``."""
    answer = answer_pasted(adapter, figures, grounds, classes)
    all_grounds = np.arange(len(grounds))
    return np.stack([answer(np.full(len(grounds), figure), all_grounds) for figure in range(len(figures))])


def shown_in_order(fools: Bools, batch: int) -> Ints:
    """Grounds that figures are shown on, ``(F,)``: by their order, until a batch has one of ``(F, G)`` that fools."""
    shown = np.where(fools.any(axis=1), (fools.argmax(axis=1) // batch + 1) * batch, fools.shape[1])
    return np.asarray(np.minimum(shown, fools.shape[1]))


def compare_rule(rule: str, answers: Ints, labels: Ints, under: Ints, likely: NDArray[np.float64]) -> dict[str, Any]:
    """A row of figures: our pictures / the reference order's, over the figures that something fools."""
    apart, aimed = CHALLENGE[rule]
    allowed = np.logical_or(under[None] != labels[:, None], not apart)
    fools = (answers != labels[:, None]) & allowed & np.logical_or(answers == under[None], not aimed)
    search = GroundSearch(under, likely, [rule])
    chosen, shown = search.run(labels, lambda figure, ground: answers[figure, ground], BATCH, lambda _: None)
    vulnerable = fools.any(axis=1)
    if not np.array_equal(chosen[:, 0] >= 0, vulnerable):
        raise SystemExit(f"{rule}: the search finds other figures than the exhaustive answers")
    target = {"figure": f"{rule}: pictures shown / the reference order's, on vulnerable figures"}
    target |= {"target": f"<= {TARGET}" if rule == "reference" else ""}
    if not vulnerable.any():
        detail = f"none of {len(labels)} figures is vulnerable on {len(under)} grounds; nor in an exhaustive search"
        return {**target, "value": "-", "reached": None, "detail": detail}
    ours, theirs = int(shown[vulnerable].sum()), int(shown_in_order(fools, BATCH)[vulnerable].sum())
    single = int(shown_in_order(fools, 1)[vulnerable].sum())
    return {
        **target,
        "value": ours / theirs,
        "reached": ours / theirs <= TARGET if rule == "reference" else None,
        "detail": f"{vulnerable.sum()} of {len(labels)} figures vulnerable on {len(under)} grounds; {ours} of {theirs} "
        f"pictures ({ours / single:.2f} of an order that stops within a batch); all figures {shown.sum()} of "
        f"{shown_in_order(fools, BATCH).sum()}; the same figures as an exhaustive search",
    }


def compare(repository: Repository, spec: str, images: int) -> list[dict[str, Any]]:
    """Rows of figures of all rules."""
    adapter = load_model(spec)
    figures = load_rows(repository, "original", "test", limit=images, columns=["object_mask"])
    grounds = load_rows(repository, "only_bg_t", "test", limit=images)
    alone = predict(Feeder(adapter=adapter), grounds, repository.classes, "only_bg_t")
    answers = answer_all(adapter, figures, grounds, repository.classes)
    labels, under = np.array(figures["label"][:]), np.array(grounds["label"][:])
    # both evaluators take figures, and challenge_eval.py grounds, in the order of their classes
    order, order_under = (np.argsort(classes_of, kind="stable") for classes_of in (labels, under))
    likely = np.where(alone.mapped == under, alone.probability, 0)[order_under]
    answers = answers[order][:, order_under]
    return [compare_rule(rule, answers, labels[order], under[order_under], likely) for rule in CHALLENGE]


def main() -> None:
    """Measure and print."""
    small = f"figureground.exports.evaluation.classifiers:tflite={SMALL}"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, help="folder of a dataset; one is built where none is given")
    parser.add_argument("--images", type=int, default=100, help="figures and grounds")
    parser.add_argument("--model", help="as for evaluate; default: a MobileNet of ../shared, else EfficientNet-Lite0")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    model = given.model or (
        small if SMALL.is_file() else "figureground.exports.evaluation.classifiers:efficientnet_lite0"
    )
    with tempfile.TemporaryDirectory() as scratch:
        repository = open_repository(str(given.repository or build_pairs(Path(scratch))))
        rows = compare(repository, model, given.images)
    for row in rows:
        value = f"{row['value']:.3f}" if isinstance(row["value"], float) else row["value"]
        print(f"{row['figure']}: {value} (target {row['target'] or 'none'}): {row['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
