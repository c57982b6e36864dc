"""Single attributes: pasted from photo to photo, under noise, and configs that have no score.

Every photo shows a square whose left half is the attribute, all of it in the colour of its class. One model reads one
pixel of the left half, the other one pixel of the right.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from strategies import masks, square_mask

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError, NoiseSettings
from figureground.schemas.rasters.masks import Mask, encode_coco_rle, encode_png1

SIDE = 32
OBJECT = square_mask((SIDE, SIDE), (8, 8, 24, 24))
LEFT = square_mask((SIDE, SIDE), (8, 8, 16, 24))
PHOTOS = 30
THREE = script.parse_class_map(
    '{"name": "three", "classes": ['
    + ", ".join(
        f'{{"index": {index}, "name": "{name}", "wnids": ["n{index}"], "imagenet_indices": [{index}]}}'
        for index, name in enumerate(("red", "green", "blue"))
    )
    + "]}"
)


class OnePixel:
    """Answers with the strongest colour of one pixel."""

    name = "one-pixel"
    input_size_hw: tuple[int, int] = (SIDE, SIDE)
    weights_sha256 = "0" * 64
    takes_float = True
    label_space = "head"
    outputs = "logits"

    def __init__(self, column: int) -> None:
        self.column = column

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(10 * images[:, 15, self.column], dtype=np.float32)


LEFT_READER, RIGHT_READER = OnePixel(12), OnePixel(20)


def picture(left: int, right: int) -> NDArray[np.uint8]:
    """The square with halves in the colours of two classes, on grey."""
    image = np.full((SIDE, SIDE, 3), 60, dtype=np.uint8)
    for mask, colour in ((LEFT, left), (OBJECT & ~LEFT, right)):
        image[mask, colour] = 200
    return image


def table(
    pictures: Sequence[NDArray[np.uint8]],
    labels: Sequence[int],
    ids: Sequence[str],
    *,
    donors: Sequence[int | None] | None = None,
    parts: dict[str, Mask] | None = None,
) -> Any:
    rows = []
    for number, (image, label, image_id) in enumerate(zip(pictures, labels, ids, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        painted = [(name, encode_coco_rle(mask)) for name, mask in (parts or {}).items()]
        rows.append(
            {
                "image": {"bytes": buffer.getvalue(), "path": None},
                "label": label,
                "image_id": image_id,
                "object_mask": {"bytes": encode_png1(OBJECT), "path": None},
                "source_label": f"n{label}",
                "attribute": None if donors is None else "left",
                "ground_label": None if donors is None else donors[number],
                "attribute_masks": [
                    {"attribute": name, "size": list(rle.size_hw), "counts": rle.counts} for name, rle in painted
                ],
            }
        )
    return datasets.Dataset.from_list(rows)


IDS = [f"id{number:02}" for number in range(PHOTOS)]
LABELS = [number % 3 for number in range(PHOTOS)]
ORIGINAL = table([picture(label, label) for label in LABELS], LABELS, IDS, parts={"left": LEFT})
# Every photo gets the left half of one of the next class and of one of its own.
DONORS = [(label + step) % 3 for label in LABELS for step in (1, 0)]
PASTED = table(
    [picture(donor, label) for donor, label in zip(DONORS, np.repeat(LABELS, 2), strict=True)],
    np.repeat(LABELS, 2).tolist(),
    np.repeat(IDS, 2).tolist(),
    donors=DONORS,
)


def outcomes(model: OnePixel, rows: Any, config: str) -> Any:
    return script.measure(script.Feeder(adapter=model, batch_size=16), rows, THREE, config)["head3"]


# Pasted attributes


@pytest.mark.parametrize(("model", "moved"), [(LEFT_READER, 1.0), (RIGHT_READER, 0.0)])
def test_a_pasted_attribute_moves_the_answer_of_who_reads_it(model: OnePixel, moved: float) -> None:
    summary = script.summarise_pasted(
        outcomes(model, ORIGINAL, "original"), outcomes(model, PASTED, "attribute_superimposed")
    )
    assert list(summary) == ["all attributes", "left"]
    for part in summary.values():
        assert (part["n"], part["n_rows"], part["accuracy_original"]) == (PHOTOS, 2 * PHOTOS, 1.0)
        assert part["accuracy_micro"] == 1 - moved / 2  # half of the rows have a donor of their own class
        assert part["accuracy_drop"]["value"] == moved / 2
        donor = part["donor_class"]
        assert (donor["n"], donor["n_rows"], donor["value"], donor["original"]) == (PHOTOS, PHOTOS, moved, 0.0)
        assert donor["beyond_original"]["value"] == moved
        low, high = donor["beyond_original"]["ci95"]
        assert low <= moved <= high
        assert high > low
        assert (part["accuracy_drop"]["p"] < 0.01) == (donor["beyond_original"]["p"] < 0.01) == bool(moved)
    cells = script.attribute_cells(
        {"attributes": {}, "attribute_noise": {}, "pasted": {"attribute_superimposed": summary}}
    )
    assert cells["attribute_superimposed, left (n 30): answers the donor's class"].value == moved


def test_attributes_are_told_apart_and_rows_of_one_class_have_no_donor_to_move_to() -> None:
    answers = outcomes(LEFT_READER, PASTED, "attribute_removed")
    own = np.flatnonzero(answers.donor_label == answers.label)
    alike = type(answers)(**{name: values[own] for name, values in script.arrays_of(answers).items()})
    summary = script.summarise_pasted(outcomes(LEFT_READER, ORIGINAL, "original"), alike)
    assert summary["left"]["donor_class"] is None
    assert summary["left"]["accuracy_drop"]["value"] == 0
    renamed = np.where(np.arange(len(answers.label)) % 2 == 0, "other", "left")
    split = type(answers)(**{**script.arrays_of(answers), "attribute": renamed})
    summary = script.summarise_pasted(outcomes(LEFT_READER, ORIGINAL, "original"), split)
    assert {name: part["accuracy_micro"] for name, part in summary.items()} == {
        "all attributes": 0.5,
        "left": 1.0,
        "other": 0.0,
    }


# Noise on attributes


def noised(model: OnePixel, rows: Any, level: float = 200.0, trials: int = 4) -> Any:
    return script.measure_attributes(script.Feeder(adapter=model, batch_size=16), rows, THREE, level, trials)


@pytest.mark.parametrize(("model", "sign"), [(LEFT_READER, 1), (RIGHT_READER, -1)])
def test_noise_on_an_attribute_hurts_who_reads_it(model: OnePixel, sign: int) -> None:
    answers, skipped = noised(model, ORIGINAL)
    assert set(skipped.values()) == {0}
    summary = script.summarise_noised(outcomes(model, ORIGINAL, "original"), answers["head3"], THREE)["left"]
    assert (summary["n"], summary["accuracy_original"]) == (PHOTOS, 1.0)
    hurt, spared = ("noise", "control")[::sign]
    assert summary[hurt]["accuracy_drop"]["value"] > 0.3
    assert summary[hurt]["accuracy_drop"]["p"] < 0.01
    assert summary[spared]["accuracy_drop"]["value"] == 0  # the control is the right half: there is no other
    beyond = summary["noise_beyond_control"]
    assert sign * beyond["p_true_drop"]["value"] > 0.2
    assert min(sign * bound for bound in beyond["accuracy_drop"]["ci95"]) > 0


def test_both_regions_get_noise_of_one_norm_and_the_same_each_time() -> None:
    seen = []

    class Watching(OnePixel):
        def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
            seen.append(images.copy())
            return super().logits(images)

    grey = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    part = square_mask((SIDE, SIDE), (8, 8, 12, 16))
    rows = table([grey], [0], ["id"], parts={"part": part})
    for _ in range(2):
        noised(Watching(12), rows, level=2.0, trials=1)
    (first, again) = seen
    assert np.array_equal(first, again)
    on_part, elsewhere = (image - np.float32(128 / 255) for image in first)
    assert ((on_part != 0).any(axis=2) == part).all()
    touched = (elsewhere != 0).any(axis=2)
    assert touched.sum() == part.sum()
    assert not (touched & (part | ~OBJECT)).any()
    norms = [np.linalg.norm(noise) for noise in (on_part, elsewhere)]
    assert norms == pytest.approx([2.0 * SIDE / 224] * 2, rel=1e-4)


def test_attributes_without_room_for_a_control_are_counted() -> None:
    rows = table([picture(0, 0)] * 2, [0, 0], ["a", "b"], parts={"most": square_mask((SIDE, SIDE), (8, 8, 20, 24))})
    answers, skipped = noised(LEFT_READER, rows)
    assert answers == {}
    assert skipped[script.NO_ROOM] == 2


@given(masks(), st.integers(0, 1 << 60))
def test_controls_are_as_large_as_the_attribute_and_beside_it(mask: Mask, number: int) -> None:
    figure = mask | (np.arange(mask.size).reshape(mask.shape) % 3 == number % 3)
    control = script.control_region(figure, mask, f"photo{number}", "part")
    assert np.array_equal(control, script.control_region(figure, mask, f"photo{number}", "part"))
    assert not (control & (mask | ~figure)).any()
    assert control.sum() == (mask.sum() if (figure & ~mask).sum() >= mask.sum() else 0)


@pytest.mark.parametrize(
    ("levels", "level"), [({"l2": (25, 75.0, 100)}, 75.0), ({"l2": (10, 20, 30)}, 20.0), ({"sigma": (0.1,)}, None)]
)
def test_noise_on_attributes_has_the_headline_level(levels: Any, level: float | None) -> None:
    assert script.attribute_level(NoiseSettings(levels=levels)) == level


# Masks of attributes


@given(masks())
def test_runs_are_those_of_coco(mask: Mask) -> None:
    assert np.array_equal(script.decode_runs(mask.shape, encode_coco_rle(mask).counts, "photo"), mask)


@pytest.mark.parametrize("counts", ["", "0", "é", "P" * 40, "o" * 12, encode_coco_rle(LEFT).counts[:-1]])
def test_damaged_runs_are_refused(counts: str) -> None:
    with pytest.raises(EvaluationError, match="photo: expected"):
        script.decode_runs((SIDE, SIDE), counts, "photo")


# What has no score


def test_configs_without_a_score_are_named_with_the_reason() -> None:
    asked = [
        "original",
        "object_grey",
        "bg_grey",
        "attribute_grey",
        "attribute_removed",
        "mixed_rand",
        "attribute_control",
    ]
    left = [config for config in asked if config not in ("attribute_control", "attribute_removed")]
    assert script.unscored_configs(asked, left) == {
        "object_grey": "it needs original_crop",
        "attribute_grey": "it needs attribute_control",
        "attribute_removed": "it has none of these images",
        "attribute_control": "it has none of these images",
        "mixed_rand": "rival10 has no score for it",
    }
    assert script.unscored_configs(["original", "original_crop"], ["original", "original_crop"]) == {
        "original_crop": "no ablation is compared with it"
    }
    everything = ["original", *script.ABLATIONS, "original_crop", *script.ATTRIBUTE_CONFIGS, *script.PASTED_CONFIGS]
    assert script.unscored_configs(everything, everything) == {}
