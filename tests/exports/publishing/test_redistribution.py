"""What may be passed on: what a source's maintainer said counts, else what its kind, names and labels tell."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_release import lock_of

from figureground.exports.dataset.lock import RecipeLock
from figureground.exports.publishing.redistribution import describe_terms, restrictions
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import ObjectRecord
from figureground.schemas.terms import RESTRICTED_KINDS, UNSTATED, restriction_by_name

IMAGENET, IMAGENET_A, RIVAL10 = (RESTRICTED_KINDS[kind] for kind in ("ilsvrc", "imagenet-a", "rival10"))
REASON = "its maintainer said so"
MASKS = "the terms of RIVAL10 let nobody pass on its masks either"


def record(source: str, label: str = "disc") -> ObjectRecord:
    return ObjectRecord(
        object_id="a.0",
        image_id="a",
        source=source,
        uri="0" * 32,
        sha256="0" * 64,
        width=2,
        height=2,
        exif_orientation=1,
        label=label,
        source_split="",
        boxes_xyxy_px=(),
        phash="",
        image_flags=(),
        mask=encode_coco_rle(np.ones((2, 2), bool)),
        instances=(),
        state="accepted",
        mask_origin="",
        segmenter="",
    )


def lock(recipe: str = "toy@1", textures: str = "", imagenet_train: int | None = None, **sources: str) -> RecipeLock:
    stated = {
        name: {"photos": 1, "licence": "", "restricted": reason, "said": True} for name, reason in sources.items()
    }
    drawn_from = {"source": textures, "photos": 1, "sha256": "0"} if textures else None
    return lock_of(recipe=recipe, sources=stated, textures=drawn_from, imagenet_train=imagenet_train)


def unsaid(licence: str) -> RecipeLock:
    """A lock as they were before: nothing is known against the source."""
    return lock_of(sources={"mine": {"photos": 1, "licence": licence, "restricted": ""}})


@pytest.mark.parametrize(
    ("stated", "source", "label", "with_pixels", "without"),
    [
        pytest.param(lock(mine=""), "mine", "disc", [], [], id="own photos"),
        pytest.param(lock(mine=""), "mine", "n01440764", [], [], id="own photos, labelled by wnid, said to be free"),
        pytest.param(lock("rival10@1", rival=""), "rival", "dog", [], [], id="named like one, said to be free"),
        pytest.param(lock(mine=REASON), "mine", "disc", [f"source mine: {REASON}"], [], id="said to be restricted"),
        pytest.param(lock(train=IMAGENET), "train", "disc", [f"source train: {IMAGENET}"], [], id="ImageNet"),
        pytest.param(lock(a=IMAGENET_A), "a", "disc", [f"source a: {IMAGENET_A}"], [], id="ImageNet-A"),
        pytest.param(
            lock(r=RIVAL10),
            "r",
            "dog",
            [f"source r: {RIVAL10}", f"source r: {MASKS}"],
            [f"source r: {MASKS}"],
            id="RIVAL10: masks too",
        ),
        pytest.param(
            lock(mine="", walls=IMAGENET, textures="walls"),
            "mine",
            "disc",
            [f"source walls: {IMAGENET}"],
            [],
            id="textures are pixels too",
        ),
        pytest.param(
            lock(mine="", textures="imagenet-val"),
            "mine",
            "disc",
            [f"source imagenet-val: {IMAGENET}"],
            [],
            id="textures that the lock does not name",
        ),
        pytest.param(lock(), "mine", "disc", [f"source mine: {UNSTATED}"], [], id="a lock that names no source"),
        pytest.param(lock(), "ILSVRC2012", "disc", [f"source ILSVRC2012: {IMAGENET}"], [], id="by its name"),
        pytest.param(lock(), "mine", "n01440764", [f"source mine: {IMAGENET}"], [], id="by its labels"),
        pytest.param(lock(imagenet_train=7), "mine", "disc", [f"source mine: {IMAGENET}"], [], id="by its file names"),
        pytest.param(
            lock("rival10@1"),
            "mine",
            "dog",
            [f"source rival10@1: {RIVAL10}", f"source rival10@1: {MASKS}"],
            [f"source rival10@1: {MASKS}"],
            id="by its recipe",
        ),
        pytest.param(
            lock("imagenet9@1"), "mine", "dog", [f"source mine: {UNSTATED}"], [], id="a recipe for anybody's photos"
        ),
        pytest.param(unsaid("CC0"), "mine", "disc", [], [], id="a licence is enough"),
        pytest.param(unsaid(""), "mine", "disc", [f"source mine: {UNSTATED}"], [], id="no licence, as locks were"),
        pytest.param(unsaid("n/a"), "mine", "disc", [f"source mine: {UNSTATED}"], [], id="a word that is no licence"),
        pytest.param(unsaid("CC0"), "mine", "n09999999_x", [f"source mine: {IMAGENET}"], [], id="any wnid"),
    ],
)
def test_what_is_said_counts_and_the_rest_is_judged_by_what_shows(
    stated: RecipeLock, source: str, label: str, with_pixels: list[str], without: list[str]
) -> None:
    records = [record(source, label)]
    assert restrictions(stated, records, pixels=True) == with_pixels
    assert restrictions(stated, records, pixels=False) == without


def test_the_terms_of_everything_are_told() -> None:
    recipe_lock = lock_of(sources={"mine": {"photos": 3, "licence": "CC0", "restricted": ""}})
    assert describe_terms(recipe_lock, [record("mine")], "") == [
        "photos of mine (3): CC0",
        "masks, attributes, parameters: no licence stated",
    ]
    assert describe_terms(lock(r=RIVAL10), [record("r"), record("lost")], "MIT") == [
        f"photos of lost: no licence stated; not to be passed on: {UNSTATED}",
        f"photos of r (1): no licence stated; not to be passed on: {RIVAL10}",
        "masks, attributes, parameters: MIT",
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("imagenet", IMAGENET),
        ("my-ILSVRC-copy", IMAGENET),
        ("imagenet1k", IMAGENET),
        ("imagenet_animals", IMAGENET),
        ("imagenet-a", IMAGENET_A),
        ("ImageNetA", IMAGENET_A),
        ("RIVAL10", RIVAL10),
        ("rival10_imagenet", RIVAL10),
        ("holiday", ""),
        ("", ""),
    ],
)
def test_a_source_is_taken_for_what_it_is_named_after(name: str, reason: str) -> None:
    assert restriction_by_name(name) == reason
