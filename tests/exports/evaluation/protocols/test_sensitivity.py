"""RFS beyond its null: models that look at no place, at the figure or at the ground alone, by area of the object.

Photos are smooth textures whose mean tells the class; a model is right until the energy of the noise where it looks
passes a threshold of the photo's own.
"""

from __future__ import annotations

import dataclasses
import io
from functools import cache
from typing import Any

import datasets
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from strategies import square_mask

from figureground.exports import evaluate as script
from figureground.exports.evaluate import NoiseSettings, Sampling
from figureground.schemas.rasters.masks import Mask, encode_png1

SIDE = 32
SIDES_PX = (6, 9, 12, 18, 24)  # of square objects: 3.5, 7.9, 14.1, 31.6, 56.3 % of the canvas
PHOTOS_PER_SIZE = 30
TWO = script.parse_class_map(
    '{"name": "two", "classes": [{"index": 0, "name": "dark", "wnids": ["n0"], "imagenet_indices": [0]},'
    ' {"index": 1, "name": "bright", "wnids": ["n1"], "imagenet_indices": [1]}]}'
)
NULLED = NoiseSettings(levels={"sigma": (0.1, 0.2, 0.3)}, null=("sigma",), trials=2)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Photos ``(N, H, W, 3)``, masks and labels."""

    photos: NDArray[np.uint8]
    masks: list[Mask]
    labels: list[int]

    def table(self) -> Any:
        rows = []
        for number, (photo, mask, label) in enumerate(zip(self.photos, self.masks, self.labels, strict=True)):
            buffer = io.BytesIO()
            Image.fromarray(photo).save(buffer, "PNG")
            rows.append(
                {
                    "image": {"bytes": buffer.getvalue(), "path": None},
                    "label": label,
                    "image_id": f"id{number:03}",
                    "object_mask": {"bytes": encode_png1(mask), "path": None},
                    "source_label": f"n{label}",
                    "attribute": None,
                }
            )
        return datasets.Dataset.from_list(rows)


@cache
def drawn() -> Drawn:
    """Textures from black to white, so that clamping takes noise away at some places and not at others."""
    generator = np.random.default_rng(5)
    photos, masks, labels = [], [], []
    for side in SIDES_PX:
        for number in range(PHOTOS_PER_SIZE):
            coarse = generator.integers(0, 256, (5, 5), dtype=np.uint8)
            texture = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            photos.append(np.stack([texture] * 3, axis=2))
            y, x = generator.integers(0, SIDE - side + 1, 2)
            masks.append(square_mask((SIDE, SIDE), (int(x), int(y), int(x) + side, int(y) + side)))
            labels.append(number % 2)
    return Drawn(np.array(photos), masks, labels)


class Threshold:
    """Right until the energy of the noise, summed over where the model looks, passes the photo's own threshold.

    It knows the photos, which come one after the other in all conditions, and so what is noise in them.
    """

    name = "threshold"
    input_size_hw: tuple[int, int] = (SIDE, SIDE)
    weights_sha256 = "0" * 64
    takes_float = True
    label_space = "head"
    outputs = "logits"  # stated: it can be shown nothing but its photos

    def __init__(self, looks: str, pictures_of_each: int) -> None:
        self.looks, self.pictures_of_each, self.shown = looks, pictures_of_each, 0
        self.thresholds = np.exp(np.random.default_rng(1).normal(3, 2, len(drawn().labels)))

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        answers = np.zeros((len(images), 2), np.float32)
        for row, image in enumerate(images):
            photo, mask = self.shown // self.pictures_of_each, drawn().masks[self.shown // self.pictures_of_each]
            self.shown += 1
            energy = ((image - drawn().photos[photo] / np.float32(255)) ** 2).sum(axis=2)
            seen = {"everywhere": energy, "figure": energy[mask], "ground": energy[~mask]}[self.looks].sum()
            label = drawn().labels[photo]
            answers[row, label if seen <= self.thresholds[photo] else 1 - label] = 1
        return answers


@cache
def measured(looks: str, settings_name: str = "sigma") -> Any:
    settings = settings_of(settings_name)
    model = Threshold(looks, len(settings.conditions()) * settings.trials)
    feeder = script.Feeder(adapter=model, batch_size=64)
    return script.measure(
        feeder, drawn().table(), TWO, "original", conditions=settings.conditions(), trials=settings.trials
    )["head2"]


def settings_of(name: str) -> NoiseSettings:
    return NULLED if name == "sigma" else NoiseSettings(levels={"l2": (30.0, 60.0, 90.0)}, trials=2)


def noise(looks: str, kind: str = "sigma") -> dict[str, Any]:
    outcomes = {"original": measured(looks, kind)}
    summary = script.summarise_rival10(outcomes, TWO, "head2", settings_of(kind), Sampling(count=500))
    result: dict[str, Any] = summary["noise"]["0"][kind]
    return result


def test_a_model_blind_to_place_has_nothing_beyond_its_null_at_any_area() -> None:
    result = noise("everywhere")
    assert [part["n"] for part in result["by_area"]] == [PHOTOS_PER_SIZE] * 5
    for part in result["by_area"]:
        low, high = part["rfs_beyond_null"]["ci95"]
        assert low <= 0 <= high
        assert part["rfs_beyond_null"]["p"] > 0.05
        assert not part["undecidable"]
        low, high = part["rfs_skill"]["ci95"]
        assert low <= 0 <= high
    # RFS itself follows the area: noise on a small figure is little noise
    assert result["by_area"][0]["rfs"]["value"] < -0.5 < 0 < result["by_area"][-1]["rfs"]["value"]
    low, high = result["pooled"]["rfs_beyond_null"]["ci95"]
    assert low <= 0 <= high


@pytest.mark.parametrize(("looks", "sign"), [("figure", 1), ("ground", -1)])
@pytest.mark.parametrize("kind", ["sigma", "l2"])
def test_a_model_that_looks_at_one_region_is_told_by_its_sign(looks: str, sign: int, kind: str) -> None:
    result = noise(looks, kind)
    beyond = result["pooled"]["rfs_beyond_null"]
    assert min(sign * bound for bound in beyond["ci95"]) > 0.3
    assert beyond["p"] < 0.01
    assert beyond["value"] == pytest.approx(
        result["pooled"]["rfs"]["value"] - result["pooled"]["rfs_null"]["value"], abs=1e-12
    )
    for level in range(3):
        assert sign * result["rfs_beyond_null"][level]["value"] > 0


def test_a_model_that_looks_at_the_figure_alone_has_all_that_can_be_had_at_every_area() -> None:
    for part in noise("figure")["by_area"]:
        assert part["rfs_skill"]["value"] == pytest.approx(1)
        assert part["rfs_skill"]["ci95"][1] > 0.95
        assert part["rfs_skill"]["ci95"][0] > 0.5
        assert part["rfs_beyond_null"]["value"] > 0.5


def over_masks(looks: str, grow_px: tuple[int, ...], trials: int = 2) -> dict[str, Any]:
    settings = NoiseSettings(levels={"sigma": (0.2,)}, null=("sigma",), trials=trials, grow_px=grow_px)
    model = Threshold(looks, len(settings.conditions()) * trials)
    feeder = script.Feeder(adapter=model, batch_size=64)
    outcomes = script.measure(
        feeder, drawn().table(), TWO, "original", conditions=settings.conditions(), trials=trials
    )["head2"]
    summary = script.summarise_rival10({"original": outcomes}, TWO, "head2", settings, Sampling(count=500))
    assert ("sigma, all levels, masks 0, +3, -2 px: RFS" in script.rival10_cells(summary)) == (len(grow_px) > 1)
    result: dict[str, Any] = summary["over_masks"]
    return {**result, "each": [own["sigma"]["pooled"] for own in summary["noise"].values()]}


def test_masks_images_and_draws_are_in_one_interval() -> None:
    result = over_masks("figure", (0, 3, -2))
    own = result["sigma"]
    assert own["masks_px"] == [0, 3, -2]
    low, high = own["rfs_beyond_null"]["ci95"]
    assert low <= own["rfs_beyond_null"]["value"] <= high
    shares = own["variance"]
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share > 0 for share in shares.values())
    values = [single["rfs_beyond_null"]["value"] for single in result["each"]]
    assert min(values) < own["rfs_beyond_null"]["value"] < max(values)
    narrowest = min(np.ptp(single["rfs_beyond_null"]["ci95"]) for single in result["each"])
    assert high - low > narrowest  # another mask would move the figure


def test_a_blind_model_has_nothing_beyond_over_masks_and_one_mask_is_no_sample() -> None:
    blind = over_masks("everywhere", (0, 3, -2), trials=1)["sigma"]
    low, high = blind["rfs_beyond_null"]["ci95"]
    assert low <= 0 <= high
    assert blind["variance"]["draws"] is None  # one draw of each image tells nothing of draws
    assert "sigma" not in over_masks("figure", (0,), trials=1)


def test_few_images_of_an_area_are_undecidable() -> None:
    outcomes = measured("figure")
    rows = np.flatnonzero(outcomes.area > 0.05)[:: PHOTOS_PER_SIZE // 10]
    few = type(outcomes)(**{name: values[rows] for name, values in script.arrays_of(outcomes).items()})
    summary = script.summarise_rival10({"original": few}, TWO, "head2", NULLED, Sampling(count=50))
    parts = summary["noise"]["0"]["sigma"]["by_area"]
    assert [(part["area"], part["n"]) for part in parts] == [
        ([0.05, 0.1], 10),
        ([0.1, 0.2], 10),
        ([0.2, 0.4], 10),
        ([0.4, 1.0], 10),
    ]
    assert all(part["undecidable"] and part["rfs_beyond_null"]["ci95"] is None for part in parts)
    cell = script.rival10_cells(summary)[
        "sigma, all levels, object 5 to 10 % of the canvas (n 10): RFS beyond displaced masks"
    ]
    assert "undecidable" in cell.text()


def test_noise_is_displaced_alike_each_time_and_otherwise_for_each_photo_and_trial() -> None:
    assert script.displacement((224, 224), "photo", 0) == script.displacement((224, 224), "photo", 0)
    offsets = [script.displacement((224, 160), f"photo{number}", trial) for number in range(300) for trial in (0, 1)]
    rows, columns = np.array(offsets).T
    assert (rows.min(), columns.min()) >= (0, 0)
    assert rows.max() < 224
    assert columns.max() < 160
    assert len(set(offsets)) > 550
    assert rows.mean() == pytest.approx(111.5, abs=8)
    assert columns.mean() == pytest.approx(79.5, abs=6)
    assert script.displacement((10, 10), "photo", 0) == DISPLACED_BY  # on every machine


DISPLACED_BY = (9, 4)


@pytest.mark.parametrize("kind", ["sigma", "l2"])
def test_displaced_noise_is_the_same_noise_at_another_place(kind: str) -> None:
    grey = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    mask = square_mask((SIDE, SIDE), (8, 4, 20, 24))
    settings = NoiseSettings(levels={kind: (0.05 if kind == "sigma" else 2.0,)}, null=(kind,))
    clean, figure, ground, moved_figure, moved_ground = script.show_conditions(
        grey, mask, settings.conditions(), 1, "a"
    )
    rows, columns = script.displacement((SIDE, SIDE), "a", 0)
    for there, moved in ((figure, moved_figure), (ground, moved_ground)):
        rolled = np.roll(there - clean, (rows, columns), axis=(0, 1))
        assert moved - clean == pytest.approx(rolled, abs=1e-6)
        assert np.linalg.norm(moved - clean) == pytest.approx(np.linalg.norm(there - clean), rel=1e-5)
    assert ((moved_figure != clean).any(axis=2) ^ (moved_ground != clean).any(axis=2)).all()  # each other's complement


def test_the_headline_is_l2_and_is_first() -> None:
    settings = NoiseSettings(levels={"sigma": (0.2,), "l2": (60.0,)})
    model = Threshold("figure", len(settings.conditions()))
    outcomes = script.measure(
        script.Feeder(adapter=model, batch_size=64), drawn().table(), TWO, "original", conditions=settings.conditions()
    )
    summary = script.summarise_rival10({"original": outcomes["head2"]}, TWO, "head2", settings, Sampling(count=50))
    assert [figure.name for figure in script.rival10_figures(summary)] == [
        "rfs_l2_beyond_null",
        "rfs_l2",
        "rfs_sigma",
        "original",
    ]
    rows = list(script.rival10_cells(summary))
    assert (
        rows.index("l2 60: RFS beyond displaced masks") < rows.index("l2 60: RFS skill") < rows.index("sigma 0.2: RFS")
    )
    assert "sigma 0.2: RFS beyond displaced masks" not in rows  # only where it was asked for


@pytest.mark.parametrize(
    ("words", "reason"),
    [({"null": "gamma"}, "null: expected l2 or sigma, got gamma"), ({"noise": "l2", "null": "sigma"}, "add it to")],
)
def test_nulls_are_of_noise_that_is_asked_for(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(script.EvaluationError, match=reason):
        script.parse_noise(**script.fill_options(script.NOISE_OPTIONS, words))


def test_a_null_is_asked_for_by_kind() -> None:
    parse = {"default": {}, "both": {"null": "sigma,l2"}, "none": {"null": "none"}, "without l2": {"noise": "sigma"}}
    settings_by_name = {
        name: script.parse_noise(**script.fill_options(script.NOISE_OPTIONS, words)) for name, words in parse.items()
    }
    pictures = {name: len(settings.conditions()) for name, settings in settings_by_name.items()}
    assert pictures == {"default": 47, "both": 61, "none": 31, "without l2": 15}
