"""Served copies: upright, small, and masks that come back from them as they went."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from photo_samples import FLAGGED, REJECTED, draw_pixels, encode, with_orientation
from PIL import Image, ImageOps
from shared_cases import run_here
from strategies import masks
from studio_samples import block_mask, make_photo

from figureground.annotate.catalogue import index_source
from figureground.annotate.studio import served
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.served import MOST_SERVED_PIXELS, ServedView, serve_copy, served_path
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.rasters.photos import PhotoRejected, read_photo
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

orientations = st.integers(1, 8)


def view_of(mask: Mask, orientation: int) -> ServedView:
    return ServedView.of(make_photo(size_hw=(mask.shape[0], mask.shape[1]), orientation=orientation))


def upright_by_pillow(mask: Mask, orientation: int) -> Mask:
    picture = Image.fromarray(mask.astype(np.uint8))
    exif = picture.getexif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    with Image.open(buffer) as stored:
        return np.asarray(ImageOps.exif_transpose(stored)) > 0


def record_of(data: bytes, name: str = "a") -> ImageRecord:
    facts, _ = read_photo(data)
    return make_photo(name, size_hw=(facts.height, facts.width), orientation=facts.exif_orientation)


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_turned_as_pillow_turns_photos(orientation: int) -> None:
    mask = block_mask((7, 11))
    view = view_of(mask, orientation)
    turned = upright_by_pillow(mask, orientation)
    assert view.served_hw == turned.shape
    np.testing.assert_array_equal(view.to_served(mask), turned)
    np.testing.assert_array_equal(view.to_stored(turned), mask)
    assert view.is_stored == (orientation == 1)


@given(mask=masks(), orientation=orientations)
def test_nothing_is_lost_where_nothing_is_scaled(mask: Mask, orientation: int) -> None:
    view = view_of(mask, orientation)
    there = view.to_served(mask)
    back = view.to_stored(there)
    np.testing.assert_array_equal(there, upright_by_pillow(mask, orientation))
    np.testing.assert_array_equal(back, mask)
    assert there.flags.c_contiguous
    assert back.flags.c_contiguous
    assert back.dtype == np.bool_


# Size


@pytest.mark.parametrize(
    ("size_wh", "orientation"), [((4000, 3000), 1), ((3000, 4000), 6), ((6000, 2000), 8), ((1501, 1333), 5)]
)
def test_big_photos_are_served_small_and_in_shape(size_wh: tuple[int, int], orientation: int) -> None:
    width, height = size_wh
    view = ServedView.of(make_photo(size_hw=(height, width), orientation=orientation))
    if orientation >= 5:
        width, height = height, width
    small_height, small_width = view.served_hw
    assert 0.995 * MOST_SERVED_PIXELS < small_height * small_width <= MOST_SERVED_PIXELS
    assert abs(small_width / small_height / (width / height) - 1) < 2 / min(view.served_hw)


@pytest.mark.parametrize("size_hw", [(1000, 2000), (2000, 1000), (1, 2_000_000), (1, 1), (333, 500)])
def test_photos_of_two_megapixels_keep_their_size(size_hw: tuple[int, int]) -> None:
    view = ServedView.of(make_photo(size_hw=size_hw))
    assert view.served_hw == size_hw
    assert view.is_stored


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_served_pixel_is_figure_if_half_of_it_is(orientation: int) -> None:
    mask = np.zeros((8, 8), dtype=np.bool_)
    mask[0, 0] = True  # a quarter of its served pixel
    mask[0, 2:4] = True  # a half
    mask[0:2, 4:6] = True  # all
    mask[4, 4], mask[4, 5], mask[5, 4] = True, True, True  # three quarters
    with mock.patch.object(served, "MOST_SERVED_PIXELS", 16):
        view = view_of(mask, orientation)
    expected = np.zeros((4, 4), dtype=np.bool_)
    expected[0, 1] = expected[0, 2] = expected[2, 2] = True
    np.testing.assert_array_equal(view.to_served(mask), upright_by_pillow(expected, orientation))


@given(
    size_hw=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    most=st.integers(1, 400),
    orientation=orientations,
    data=st.data(),
)
def test_a_served_pixel_stands_for_the_stored_ones_whose_centres_it_holds(
    size_hw: tuple[int, int], most: int, orientation: int, data: Any
) -> None:
    with mock.patch.object(served, "MOST_SERVED_PIXELS", most):
        view = ServedView.of(make_photo(size_hw=size_hw, orientation=orientation))
    height, width = view.served_hw
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    one = np.zeros(view.served_hw, dtype=np.bool_)
    one[row, column] = True
    upright_hw = size_hw if orientation < 5 else size_hw[::-1]
    inside = [
        [Fraction(at, small) <= Fraction(2 * pixel + 1, 2 * side) < Fraction(at + 1, small) for pixel in range(side)]
        for at, small, side in zip((row, column), view.served_hw, upright_hw, strict=True)
    ]
    expected = np.logical_and.outer(*inside)
    np.testing.assert_array_equal(upright_by_pillow(view.to_stored(one), orientation), expected)


# Edits


@given(mask=masks(), most=st.integers(1, 500), orientation=orientations)
def test_an_untouched_mask_is_the_proposal_bit_for_bit(mask: Mask, most: int, orientation: int) -> None:
    with mock.patch.object(served, "MOST_SERVED_PIXELS", most):
        view = view_of(mask, orientation)
    np.testing.assert_array_equal(view.merge_edit(mask, view.to_served(mask)), mask)


@given(mask=masks(), most=st.integers(1, 500), orientation=orientations, data=st.data())
def test_an_edit_changes_what_was_painted_and_nothing_else(mask: Mask, most: int, orientation: int, data: Any) -> None:
    with mock.patch.object(served, "MOST_SERVED_PIXELS", most):
        view = view_of(mask, orientation)
    sent = view.to_served(mask)
    stroke = data.draw(hnp.arrays(np.bool_, view.served_hw))
    merged = view.merge_edit(mask, sent ^ stroke)
    touched = view.to_stored(stroke)
    np.testing.assert_array_equal(merged[~touched], mask[~touched])
    np.testing.assert_array_equal(merged[touched], view.to_stored(~sent)[touched])


def test_an_edit_on_a_big_photo_keeps_the_fine_rim_elsewhere() -> None:
    """12 megapixels of fine structure that no served copy can show."""
    mask = np.zeros((3000, 4000), dtype=np.bool_)
    mask[::3] = True
    view = view_of(mask, 6)
    sent = view.to_served(mask)
    painted = sent.copy()
    painted[100:110, 100:110] = ~painted[100:110, 100:110]
    merged = view.merge_edit(mask, painted)
    differing = np.argwhere(merged != mask)
    assert 0 < len(differing) < 1000
    assert (np.ptp(differing, axis=0) < 30).all()


# Copies


@pytest.mark.parametrize("kind", ["rgb jpeg", "rgb png", "one pixel", "grey jpeg", "palette png", "rgba png"])
def test_a_small_upright_photo_is_copied_byte_for_byte(tmp_path: Path, kind: str) -> None:
    data = FLAGGED[kind][0]()
    record = record_of(data)
    path = serve_copy(data, record, tmp_path / "new" / "folder")
    assert path.read_bytes() == data
    suffix = ".jpg" if "jpeg" in kind else ".png"
    assert path == tmp_path / "new" / "folder" / f"{record.image_id}{suffix}"
    assert served_path(path.parent, record.image_id) == path


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photo_is_served_upright(tmp_path: Path, format_name: str, orientation: int) -> None:
    data, _ = with_orientation(orientation, format_name)
    copy = assert_plain(serve_copy(data, record_of(data), tmp_path))
    with Image.open(io.BytesIO(data)) as image:
        # Pillow turns TIFF while it decodes.
        expected = image.convert("RGB") if format_name == "TIFF" else ImageOps.exif_transpose(image).convert("RGB")
    assert copy.size == expected.size
    assert mean_difference(copy, expected) < 6


@pytest.mark.parametrize("kind", ["cmyk jpeg", "tiff", "bmp", "webp", "still gif"])
def test_what_browsers_do_not_all_know_is_served_as_jpeg(tmp_path: Path, kind: str) -> None:
    data = FLAGGED[kind][0]()
    copy = assert_plain(serve_copy(data, record_of(data), tmp_path))
    with Image.open(io.BytesIO(data)) as image:
        assert mean_difference(copy, image.convert("RGB")) < 6


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_big_photo_is_served_small_at_the_size_that_masks_have(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(draw_pixels(0, 1300, 1700), "JPEG", quality=90, exif=exif)
    record = record_of(data)
    copy = assert_plain(serve_copy(data, record, tmp_path))
    assert copy.size[::-1] == ServedView.of(record).served_hw
    assert copy.size[0] * copy.size[1] <= MOST_SERVED_PIXELS
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).resize(copy.size, Image.Resampling.BOX)
    assert mean_difference(copy, expected) < 8


def assert_plain(path: Path) -> Image.Image:
    """The copy, which is an RGB JPEG that no browser turns."""
    assert path.suffix == ".jpg"
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert image.getexif().get(0x0112, 1) == 1
        assert "exif" not in image.info
        return image.copy()


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)).mean())


def test_a_copy_that_is_there_is_left_alone(tmp_path: Path) -> None:
    data = FLAGGED["rgb png"][0]()
    record = record_of(data)
    first = serve_copy(data, record, tmp_path)
    written = first.stat().st_mtime_ns
    assert serve_copy(b"not even a photo", record, tmp_path) == first
    assert first.stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_a_copy_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = FLAGGED["rgb png"][0]()
    record = record_of(data)

    def write_half(path: Path, whole: bytes) -> int:
        with path.open("wb") as file:
            file.write(whole[: len(whole) // 2])
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_half)
        with pytest.raises(OSError, match="no space"):
            serve_copy(data, record, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert served_path(tmp_path, record.image_id) is None
    assert serve_copy(data, record, tmp_path).read_bytes() == data


@pytest.mark.parametrize("kind", ["16-bit rgb png", "jpeg cut in half", "animated gif", "zero bytes"])
def test_a_photo_that_cannot_be_used_leaves_no_copy(tmp_path: Path, kind: str) -> None:
    build, reason = REJECTED[kind]
    with pytest.raises(PhotoRejected, match=reason):
        serve_copy(build(), make_photo(), tmp_path / "photos")
    assert not (tmp_path / "photos").exists()


def test_a_photo_is_known_until_all_that_shows_it_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A takedown that was stopped halfway can be typed again."""
    work, photos = tmp_path / "work", tmp_path / "photos" / "dog"
    photos.mkdir(parents=True)
    for grey in (10, 200):
        Image.new("RGB", (64, 48), (grey,) * 3).save(photos / f"{grey}.png")
    with Workspace.create(work) as store:
        index_source(store, open_source(str(photos.parent)), workers=1)
        image_id, other = (image.image_id for image in store.images())
    shown = StudioHome.of(work).served
    shown.mkdir(parents=True)
    for name in (f"{image_id}.png", f"answer-{image_id}-0.jpg", f"{other}.png"):
        (shown / name).write_bytes(b"copy")
    in_the_way = shown / f"{image_id}.jpg"
    in_the_way.mkdir()
    assert run_here(capsys, "forget", image_id, "-w", work)[0] != 0
    in_the_way.rmdir()
    assert run_here(capsys, "forget", image_id, "-w", work)[0] == 0
    assert [path.name for path in shown.iterdir()] == [f"{other}.png"]
    assert run_here(capsys, "forget", image_id, "-w", work)[0] == 2
