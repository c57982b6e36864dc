"""Each rule: a photo and a mask that trip it, and some that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from lint_samples import FIGURES, SIZE_HW, Photos, answer_of, disc, with_squares

from figureground.annotate.lint.class_rules import ObjectFacts
from figureground.annotate.lint.registry import RULES
from figureground.annotate.lint.settings import LintSettings
from figureground.annotate.lint.subjects import OtherMask, Subject
from figureground.schemas.rasters.masks import CocoRle, Mask, encode_coco_rle

Make = Callable[[Photos], Subject]


def grown(mask: Mask, pixels: int) -> Mask:
    """A mask dilated by some pixels, or eroded."""
    disc_of = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    change = cv2.dilate if pixels > 0 else cv2.erode
    return np.asarray(change(mask.astype(np.uint8), disc_of).astype(np.bool_))


def drawn(change: Callable[[Mask], Mask], name: str = "plain") -> Make:
    """An object whose mask is that of the figure, changed."""
    return lambda photos: photos.subject(name, np.ascontiguousarray(change(FIGURES[name])))


def made(name: str = "plain", **fields: Any) -> Make:
    """An object with the mask of the figure and other fields."""
    return lambda photos: photos.subject(name, **fields)


def without_mask(photos: Photos) -> Subject:
    return replace(photos.subject(), mask=None)


def missing_photo(photos: Photos) -> Subject:
    subject = photos.subject()
    return replace(subject, photo=replace(subject.photo, uri="dog/gone.png"))


def noted_size(height: int, width: int) -> Make:
    """An object whose photo is noted with another size, which its mask has."""

    def make(photos: Photos) -> Subject:
        subject = photos.subject("plain", np.ones((height, width), np.bool_))
        return replace(subject, photo=replace(subject.photo, height=height, width=width))

    return make


def accepted_after(seconds: float, changed_px: int | None) -> Make:
    """An answer that began from a machine mask."""

    def make(photos: Photos) -> Subject:
        answer = answer_of(
            photos.images["plain"], {}, seconds=seconds, proposal_id="machine", changed_px=changed_px, edit_iou=1.0
        )
        return replace(photos.subject(), answer=answer)

    return make


def boxed(*boxes: tuple[int, int, int, int]) -> Make:
    def make(photos: Photos) -> Subject:
        subject = photos.subject()
        return replace(subject, photo=replace(subject.photo, boxes_xyxy_px=boxes))

    return make


def other_mask(mask: Mask, quality: float) -> Make:
    return made(others=(OtherMask(rle=encode_coco_rle(mask), quality=quality, maker="sam"),))


def part(mask: Mask) -> Make:
    return made(parts={"tail": encode_coco_rle(mask)})


FRAME = np.zeros(SIZE_HW, np.bool_)
FRAME[[0, -1]] = True
FRAME[:, [0, -1]] = True
LEFT_HALF = disc() & (np.arange(SIZE_HW[1]) < 230)
AWAY = disc(centre_yx=(60, 60), radius=50)

TRIPPED: list[tuple[str, str, Make]] = [
    ("no_mask", "an answer without one", without_mask),
    ("size_mismatch", "another size", made(mask=np.ones((30, 40), np.bool_))),
    ("size_mismatch", "a damaged mask", made(mask=CocoRle(size_hw=SIZE_HW, counts="01"))),
    ("size_mismatch", "a photo noted wrongly", noted_size(30, 40)),
    ("size_mismatch", "a part", part(np.ones((30, 40), np.bool_))),
    ("empty", "no pixel", drawn(np.zeros_like)),
    ("empty", "a part", part(np.zeros(SIZE_HW, np.bool_))),
    ("full_frame", "nearly all", drawn(lambda mask: ~with_squares(mask & False, [(9, 9)], 20, True))),
    ("inverted", "the surround", drawn(np.logical_not)),
    ("islands", "two specks", drawn(lambda mask: with_squares(mask, [(5, 5), (290, 9)], 3, True))),
    ("pinholes", "two specks", drawn(lambda mask: with_squares(mask, [(130, 230), (150, 230)], 3, False))),
    ("thin_lines", "a frame of mask", drawn(lambda mask: mask | FRAME)),
    ("thin_lines", "a frame of ground", drawn(lambda mask: ~FRAME)),
    ("touches_borders", "three sides", drawn(lambda mask: np.arange(SIZE_HW[1]) < 200 * np.ones((300, 1)))),
    ("gone_in_crop", "beside the middle", made("tall")),
    ("cut_by_crop", "mostly beside it", drawn(lambda mask: mask | disc((600, 200), (380, 100), 20), "tall")),
    ("attribute_outside", "a part elsewhere", part(AWAY)),
    ("exif_turned", "the upright photo's", drawn(lambda mask: mask[:, ::-1], "mirrored")),
    ("photo_unreadable", "no such file", missing_photo),
    ("rim_shows_ground", "too wide", drawn(lambda mask: grown(mask, 3))),
    ("ring_shows_figure", "too tight", drawn(lambda mask: grown(mask, -3))),
    ("second_object", "a flag", made(flags=("class_visible_outside",))),
    ("second_object", "an annotated box", boxed((170, 70, 290, 190), (10, 10, 90, 90))),
    ("second_object", "a machine mask", other_mask(AWAY, 0.9)),
    ("hurried", "unchanged", accepted_after(0.7, 0)),
]
SPARED: list[tuple[str, str, Make]] = [
    ("no_mask", "an answer with one", made()),
    ("size_mismatch", "the photo's size", part(LEFT_HALF)),
    ("empty", "one pixel", drawn(lambda mask: with_squares(mask & False, [(9, 9)], 1, True))),
    ("full_frame", "nine tenths", drawn(lambda mask: np.arange(SIZE_HW[1]) < 360 * np.ones((300, 1)))),
    ("inverted", "ground in a corner of the photo", drawn(lambda mask: ~disc(centre_yx=(0, 0)))),
    ("inverted", "a figure that fills the photo", drawn(lambda mask: with_squares(mask | True, [(9, 9)], 9, False))),
    ("islands", "a second figure", drawn(lambda mask: mask | disc(centre_yx=(40, 40), radius=9))),
    ("islands", "a figure that is small itself", drawn(lambda mask: with_squares(mask & False, [(9, 9)], 3, True))),
    ("pinholes", "a ring", drawn(lambda mask: mask & ~disc(radius=20))),
    ("pinholes", "a notch", drawn(lambda mask: with_squares(mask, [(130, 286)], 4, False))),
    ("thin_lines", "an antenna", drawn(lambda mask: mask | with_line(40))),
    ("thin_lines", "a disc", made()),
    ("touches_borders", "a corner", drawn(lambda mask: disc(centre_yx=(0, 0)))),
    ("gone_in_crop", "in the middle", made()),
    ("cut_by_crop", "mostly in it", drawn(lambda mask: disc((600, 200), (370, 100), 40), "tall")),
    ("cut_by_crop", "gone altogether, which another rule says", made("tall")),
    ("attribute_outside", "a part inside", part(LEFT_HALF)),
    ("attribute_outside", "a rim of one pixel", part(grown(disc(), 1))),
    ("exif_turned", "the stored photo's", made("mirrored")),
    ("exif_turned", "no rotation", drawn(lambda mask: mask[:, ::-1])),
    ("photo_unreadable", "there", made()),
    ("rim_shows_ground", "to the pixel", made()),
    ("ring_shows_figure", "to the pixel", made()),
    ("second_object", "a box of the figure", boxed((170, 70, 290, 190))),
    ("second_object", "a machine mask of a part", other_mask(LEFT_HALF, 0.9)),
    ("second_object", "a doubtful machine mask", other_mask(AWAY, 0.5)),
    ("hurried", "looked at", accepted_after(5.0, 0)),
    ("hurried", "changed", accepted_after(0.7, 12)),
    ("hurried", "nobody measured", accepted_after(0.0, 0)),
    ("hurried", "no answer", made()),
]


def with_line(length: int) -> Mask:
    """A line one pixel wide from the figure on."""
    line = np.zeros(SIZE_HW, np.bool_)
    line[130, 290 : 290 + length] = True
    return line


def names(case: object) -> str | None:
    return case if isinstance(case, str) else None


@pytest.mark.parametrize(("rule", "words", "make"), TRIPPED, ids=names)
def test_a_rule_finds_what_it_is_about(lint_photos: Photos, rule: str, words: str, make: Make) -> None:
    seen = lint_photos.observe(rule, make(lint_photos))
    assert seen, words
    assert all(observation.words and observation.unit for observation in seen)


@pytest.mark.parametrize(("rule", "words", "make"), SPARED, ids=names)
def test_a_rule_leaves_the_rest_alone(lint_photos: Photos, rule: str, words: str, make: Make) -> None:
    assert lint_photos.observe(rule, make(lint_photos)) == [], words


def test_every_rule_of_single_objects_is_tried_both_ways() -> None:
    single = {name for name, rule in RULES.items() if rule.check is not None}
    assert {rule for rule, _, _ in TRIPPED} == single
    assert {rule for rule, _, _ in SPARED} == single


def test_a_right_mask_trips_nothing(lint_photos: Photos) -> None:
    for name, rule in RULES.items():
        if rule.check is not None:
            assert lint_photos.observe(name, lint_photos.subject()) == [], name


@pytest.mark.parametrize(
    ("rule", "make", "marked"),
    [
        ("islands", TRIPPED[9][2], 18),
        ("pinholes", TRIPPED[10][2], 18),
        ("attribute_outside", part(AWAY), int(AWAY.sum())),
    ],
)
def test_what_is_wrong_is_marked(lint_photos: Photos, rule: str, make: Make, marked: int) -> None:
    (seen,) = lint_photos.observe(rule, make(lint_photos))
    assert seen.marked_hw is not None
    assert np.count_nonzero(seen.marked_hw) == marked


@pytest.mark.parametrize(
    ("rule", "make", "change"),
    [
        ("islands", TRIPPED[9][2], {"island_px": 9}),
        ("full_frame", TRIPPED[7][2], {"most_frame_share": 0.999}),
        ("thin_lines", TRIPPED[11][2], {"thin_line_px": 401}),
        ("hurried", accepted_after(0.7, 0), {"hurried_seconds": 0.5}),
        ("rim_shows_ground", drawn(lambda mask: grown(mask, 3)), {"rim_leak": 1.0}),
        ("second_object", other_mask(AWAY, 0.9), {"second_score": 0.95}),
        ("cut_by_crop", TRIPPED[15][2], {"crop_share": 0.05}),
    ],
)
def test_a_threshold_is_the_settings_own(lint_photos: Photos, rule: str, make: Make, change: dict[str, Any]) -> None:
    assert lint_photos.observe(rule, make(lint_photos))
    assert lint_photos.observe(rule, make(lint_photos), LintSettings(**change)) == []


def facts(number: int, share: float, *, label: str = "dog", present: str = "", painted: str = "") -> ObjectFacts:
    return ObjectFacts(
        object_id=f"{number:032}.0",
        label=label,
        share=share,
        present=tuple(present.split()),
        painted=tuple(painted.split()),
    )


def compared(rule: str, objects: list[ObjectFacts]) -> list[str]:
    """Objects that a rule of whole classes names, by number."""
    compare = RULES[rule].compare
    assert compare is not None
    return [str(int(object_id.partition(".")[0])) for object_id, _ in compare(objects, LintSettings())]


def test_a_size_unlike_its_class_is_found_on_either_side() -> None:
    usual = [facts(number, 0.2 * 1.1 ** (number % 7 - 3)) for number in range(20)]
    assert compared("size_outlier", [*usual, facts(50, 0.9), facts(51, 0.004)]) == ["50", "51"]
    assert compared("size_outlier", usual) == []
    assert compared("size_outlier", [*usual[:8], facts(50, 0.9)]) == []  # too few to say what is usual
    assert compared("size_outlier", [*usual, facts(50, 0.9, label="whale")]) == []


def test_sizes_that_are_alike_to_the_pixel_make_no_outliers_of_the_others() -> None:
    assert compared("size_outlier", [*(facts(number, 0.2) for number in range(20)), facts(50, 0.21)]) == []


def test_a_part_that_is_there_and_not_painted_is_found_where_it_is_painted_elsewhere() -> None:
    objects = [
        facts(1, 0.2, present="tail wet", painted="tail"),
        facts(2, 0.2, present="tail wet"),
        facts(3, 0.2, present="wet"),
    ]
    assert compared("attribute_without_mask", objects) == ["2"]
