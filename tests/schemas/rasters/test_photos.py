"""Photos: stored pixels whatever EXIF says, and every unusable file rejected by its own name."""

from __future__ import annotations

import io
import pickle
import resource
import warnings

import numpy as np
import pytest
from needs import SHARED, need_shared
from photo_samples import FLAGGED, HEIGHT, REJECTED, WIDTH, draw_pixels, encode, png, with_orientation
from PIL import Image, ImageFile

from figureground.schemas.rasters.photos import PhotoRejected, decode_photo, perceptual_hash, read_photo
from figureground.schemas.rasters.sizes import MOST_PIXELS


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_the_stored_ones_whatever_exif_claims(orientation: int, format_name: str) -> None:
    data, stored = with_orientation(orientation, format_name)
    facts, pixels = read_photo(data)
    assert (facts.exif_orientation, facts.format) == (orientation, format_name)
    assert (facts.height, facts.width) == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(pixels, stored)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_a_senseless_orientation_is_none(orientation: int) -> None:
    data, _ = with_orientation(orientation, "PNG")
    assert read_photo(data)[0].exif_orientation == 1


def test_damaged_exif_costs_no_photo() -> None:
    data = encode(draw_pixels(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")
    facts, pixels = read_photo(data)
    assert facts.exif_orientation == 1
    assert pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("name", FLAGGED)
def test_usable_oddities_are_flagged_and_become_rgb(name: str) -> None:
    make, flags = FLAGGED[name]
    data = make()
    facts, pixels = read_photo(data)
    assert facts.flags == flags
    assert pixels.dtype == np.uint8
    assert pixels.shape == (facts.height, facts.width, 3)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("name", REJECTED)
def test_unusable_photos_are_rejected_by_name(name: str) -> None:
    make, reason = REJECTED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own warnings must not leak
        with pytest.raises(PhotoRejected) as caught:
            decode_photo(make())
    assert caught.value.reason == reason
    assert caught.value.detail
    assert " at 0x" not in str(caught.value)  # an address would differ from run to run


def test_the_limit_of_pixels_is_exact_and_found_without_decoding() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PhotoRejected, match="too_large"):
        read_photo(png(10_000, MOST_PIXELS // 10_000 + 1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; a decode needs 300 MB
    with pytest.raises(PhotoRejected, match="truncated"):  # not too large, but without any pixels
        read_photo(png(10_000, MOST_PIXELS // 10_000))


def test_truncation_is_found_even_where_another_library_switched_leniency_on() -> None:
    make, _ = REJECTED["jpeg cut in half"]
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with pytest.raises(PhotoRejected, match="truncated"):
            decode_photo(make())
        assert ImageFile.LOAD_TRUNCATED_IMAGES  # theirs, given back
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_every_cut_is_found_or_changes_no_pixel(format_name: str) -> None:
    data = encode(draw_pixels(2), format_name)
    whole, reasons = decode_photo(data), set[str]()
    for end in range(1, len(data), 7):
        try:
            pixels = decode_photo(data[:end])
        except PhotoRejected as error:
            reasons.add(error.reason)
        else:
            np.testing.assert_array_equal(pixels, whole)
    assert reasons == {"truncated", "unreadable"}


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_damaged_bytes_are_a_rejection_and_nothing_else(format_name: str) -> None:
    generator = np.random.default_rng(11)
    reasons = set[str]()
    good = np.frombuffer(encode(draw_pixels(), format_name), dtype=np.uint8)
    for _ in range(150):
        bad = good.copy()
        near = min(len(bad), int(generator.choice([64, 512, len(bad)])))
        bad[generator.integers(0, near, 4)] = generator.integers(0, 256, 4, dtype=np.uint8)
        try:
            facts, pixels = read_photo(bad.tobytes())
        except PhotoRejected as error:
            reasons.add(error.reason)
        else:
            assert pixels.shape == (facts.height, facts.width, 3)
    assert reasons
    assert reasons <= {"damaged", *(reason for _, reason in REJECTED.values())}


def test_a_rejection_survives_the_way_out_of_a_worker() -> None:
    error = pickle.loads(pickle.dumps(PhotoRejected("truncated", "cut")))
    assert (error.reason, error.detail, str(error)) == ("truncated", "cut", "truncated: cut")


def test_perceptual_hashes_are_close_for_one_photo_and_far_for_two() -> None:
    pixels = draw_pixels(0, 200, 300)
    first = perceptual_hash(pixels)
    again = perceptual_hash(decode_photo(encode(pixels, "JPEG", quality=60)))
    other = perceptual_hash(np.ascontiguousarray(pixels[::-1, ::-1]))
    assert len(first) == 16
    assert bits_apart(first, again) <= 6 < 16 < bits_apart(first, other)


def bits_apart(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_real_photos_decode_as_they_are_stored() -> None:
    paths = sorted((SHARED / "photos_in9").glob("*/*"))[:40]
    need_shared(SHARED / "photos_in9")
    for path in paths:
        data = path.read_bytes()
        facts, pixels = read_photo(data)
        with Image.open(path) as image:
            assert (facts.width, facts.height) == image.size
            np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))
        assert perceptual_hash(pixels) == perceptual_hash(pixels.copy())
