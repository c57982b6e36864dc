"""Label Studio's masks: what its SDK and its page write is read, what is written is the SDK's, damage is refused."""

from __future__ import annotations

import base64
import importlib.machinery
import importlib.util
import io
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from needs import need
from numpy.typing import NDArray
from PIL import Image, ImageFile
from strategies import masks

from figureground.errors import DataError
from figureground.schemas.rasters.masks import (
    BRUSH_ALPHA,
    Mask,
    decode_bitmask,
    decode_brush_rle,
    encode_bitmask,
    encode_brush_rle,
)

SIZES = (3, 4, 8, 16)
Token = tuple[bool, int, list[int]]
"""Run or literals, index of the size that its length is written in, its values."""


@pytest.fixture(scope="module")
def sdk() -> Any:
    """Label Studio's own codec, by its path: its package takes seconds to import, for a client that none need here."""
    package = importlib.util.find_spec("label_studio_sdk")
    need(package is not None, "label-studio-sdk is not installed")
    path = Path(str(package and package.origin)).parent / "converter" / "brush.py"
    module = ModuleType("brush")
    importlib.machinery.SourceFileLoader("brush", str(path)).exec_module(module)
    return module


def drawn(size_hw: tuple[int, int], start: int, stop: int) -> Mask:
    """A mask whose figure is one run of pixels."""
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask.reshape(-1)[start:stop] = True
    return mask


def write_plain(tokens: list[Token], sizes: tuple[int, ...] = SIZES, *, word_bits: int = 8) -> list[int]:
    """The stream of these tokens, bit by bit."""
    bits = f"{sum(len(values) for _, _, values in tokens):032b}{word_bits - 1:05b}"
    bits += "".join(f"{size - 1:04b}" for size in sizes)
    for is_run, index, values in tokens:
        bits += f"{int(is_run)}{index:02b}{len(values) - 1:0{sizes[index]}b}"
        bits += "".join(f"{value:08b}" for value in (values[:1] if is_run else values))
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def read_plain(rle: list[int], count: int) -> list[int] | None:
    """The ``count`` values of a stream, bit by bit; None where it is damaged."""
    bits = "".join(f"{byte:08b}" for byte in rle)
    if len(bits) < 53 or int(bits[:32], 2) != count or int(bits[32:37], 2) != 7:
        return None
    sizes = [int(bits[at : at + 4], 2) + 1 for at in (37, 41, 45, 49)]
    at, values = 53, list[int]()
    while len(values) < count:
        if at + 3 > len(bits):
            return None
        is_run, size = bits[at] == "1", sizes[int(bits[at + 1 : at + 3], 2)]
        length = int(bits[at + 3 : at + 3 + size].ljust(size, "0"), 2) + 1
        at += 3 + size
        read = 1 if is_run else length
        if at + 8 * read > len(bits):
            return None
        token = [int(bits[at + 8 * i : at + 8 * i + 8], 2) for i in range(read)]
        values += token * length if is_run else token
        at += 8 * read
    fits = len(values) == count and len(bits) - at < 16 and "1" not in bits[at:]
    return values if fits else None


def mask_of(values: list[int]) -> Mask:
    """What the stream of these RGBA values shows, one row."""
    return np.array([values[3::4]], dtype=np.uint8).reshape(1, -1) >= 128


@st.composite
def streams(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Token]]:
    """Sizes and tokens of any stream that fills whole pixels: long and short, runs and literals, any byte."""
    sizes = draw(st.tuples(*[st.integers(1, 16)] * 4))
    tokens: list[Token] = []
    for _ in range(draw(st.integers(0, 12))):
        is_run, index = draw(st.booleans()), draw(st.integers(0, 3))
        longest = min(1 << sizes[index], 70)
        if is_run:
            values = [draw(st.integers(0, 255))] * draw(st.integers(1, longest))
        else:
            values = list(draw(st.binary(min_size=1, max_size=longest)))
        tokens.append((is_run, index, values))
    missing = -sum(len(values) for _, _, values in tokens) % 4
    return sizes, tokens + [(False, 0, [200])] * missing


# Encoding


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (7, 1), (61, 83)])
@pytest.mark.parametrize("kind", ["empty", "full", "first", "last", "checkerboard", "noise"])
def test_encoding_is_the_sdks_on_every_kind_of_mask(sdk: Any, size_hw: tuple[int, int], kind: str) -> None:
    rows, columns = np.indices(size_hw)
    pixels = size_hw[0] * size_hw[1]
    mask = {
        "empty": drawn(size_hw, 0, 0),
        "full": drawn(size_hw, 0, pixels),
        "first": drawn(size_hw, 0, 1),
        "last": drawn(size_hw, pixels - 1, pixels),
        "checkerboard": (rows + columns) % 2 == 0,
        "noise": np.random.default_rng(0).random(size_hw) < 0.5,
    }[kind]
    assert_sdk_agrees(sdk, mask)


@pytest.mark.parametrize("longest", [2, 4, 64, 16384, 32768, 65536])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_encoding_is_the_sdks_where_the_size_of_a_length_changes(sdk: Any, longest: int, more: int) -> None:
    run = longest + more
    assert_sdk_agrees(sdk, drawn((1, run + 5), 2, 2 + run))
    assert_sdk_agrees(sdk, drawn((1, run), 0, run))


@given(mask=masks())
def test_encoding_is_the_sdks(sdk: Any, mask: Mask) -> None:
    assert_sdk_agrees(sdk, mask)


def assert_sdk_agrees(sdk: Any, mask: Mask) -> None:
    """Both encodings are equal but for a spare zero, and both codecs read them."""
    ours, theirs = encode_brush_rle(mask), sdk.mask2rle(mask.astype(np.uint8) * 255)
    assert theirs[: len(ours)] == ours
    assert theirs[len(ours) :] in ([], [0])
    assert all(type(number) is int for number in ours)  # json refuses NumPy's
    size_hw = (mask.shape[0], mask.shape[1])
    np.testing.assert_array_equal(decode_brush_rle(theirs, size_hw=size_hw), mask)
    np.testing.assert_array_equal(sdk.decode_rle(ours), np.repeat(mask.ravel(), 4) * 255)


def test_encoding_of_one_pixel_bit_by_bit() -> None:
    # 4 values; words of 8 bits; sizes 3, 4, 8, 16; a run, size 0, of 4 values of 255; 5 bits of padding
    bits = f"{4:032b} 00111 0010 0011 0111 1111 1 00 011 11111111 00000".replace(" ", "")
    assert encode_brush_rle(drawn((1, 1), 0, 1)) == list(int(bits, 2).to_bytes(len(bits) // 8))


@given(mask=masks(), order=st.sampled_from("CFR"))
def test_brush_rle_round_trip(mask: Mask, order: str) -> None:
    view = {"C": mask, "F": np.asfortranarray(mask), "R": mask[::-1, ::-1]}[order]
    decoded = decode_brush_rle(encode_brush_rle(view), size_hw=(mask.shape[0], mask.shape[1]))
    assert decoded.dtype == np.bool_
    assert decoded.flags.c_contiguous
    assert decoded.flags.writeable
    np.testing.assert_array_equal(decoded, view)


@pytest.mark.parametrize("size_hw", [(0, 0), (0, 5), (5, 0)])
def test_mask_without_pixels_round_trips(size_hw: tuple[int, int]) -> None:
    assert decode_brush_rle(encode_brush_rle(drawn(size_hw, 0, 0)), size_hw=size_hw).shape == size_hw


@pytest.mark.parametrize("encode", [encode_brush_rle, encode_bitmask])
@pytest.mark.parametrize("wrong", [np.zeros((2, 2), dtype=np.uint8), np.zeros((2, 2, 4), dtype=np.bool_)])
def test_encoders_take_masks_only(encode: Any, wrong: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match="bool"):
        encode(wrong)


def test_mask_that_the_header_cannot_count_is_refused() -> None:
    with pytest.raises(ValueError, match="1,073,741,823"):
        encode_brush_rle(np.broadcast_to(np.False_, (1 << 15, 1 << 15)))


# Decoding


@given(rgba=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4))))
def test_painted_rgba_is_read_as_the_sdk_reads_it(sdk: Any, rgba: NDArray[np.uint8]) -> None:
    """Colour unlike alpha gives the SDK's literals."""
    assume(rgba[:, :, 3].max() != 1)
    rle = sdk.encode_rle(rgba.ravel())
    alpha = sdk.decode_rle(rle).reshape(rgba.shape)[:, :, 3]
    decoded = decode_brush_rle(rle, size_hw=(rgba.shape[0], rgba.shape[1]))
    np.testing.assert_array_equal(decoded, alpha >= 128)


@given(streams())
@example((SIZES, [(False, 3, [127, 128, 0, 255] * 16384)]))
@example((SIZES, [(False, 2, [7]), (True, 3, [255] * 65536), (False, 1, [0, 0, 200])]))
@example((SIZES, [(True, 0, [1, 1, 1]), (False, 0, [0])]))
def test_every_token_is_read(stream: tuple[tuple[int, ...], list[Token]]) -> None:
    sizes, tokens = stream
    values = [value for _, _, token in tokens for value in token]
    assume(max(values[3::4], default=0) != 1)
    decoded = decode_brush_rle(write_plain(tokens, sizes), size_hw=(1, len(values) // 4))
    np.testing.assert_array_equal(decoded, mask_of(values))


@pytest.mark.parametrize("is_run", [True, False])
def test_alpha_counts_from_the_threshold_on(is_run: bool) -> None:
    alphas = [0, 1, 2, 127, 128, 129, 254, 255]
    tokens: list[Token] = [(is_run, 0, [alpha] * 4) for alpha in alphas]
    decoded = decode_brush_rle(write_plain(tokens), size_hw=(2, 4))
    assert decoded.ravel().tolist() == [False] * 4 + [True] * 4
    assert BRUSH_ALPHA == 128


GOOD_MASK = np.eye(12, 9, dtype=np.bool_)
GOOD = encode_brush_rle(GOOD_MASK)


@pytest.mark.parametrize("wrap", [tuple, bytes, np.array, lambda rle: np.array(rle, dtype=np.uint8)])
def test_any_sequence_of_bytes_is_read(wrap: Any) -> None:
    np.testing.assert_array_equal(decode_brush_rle(wrap(GOOD), size_hw=(12, 9)), GOOD_MASK)


def zero_one(kind: str) -> list[int]:
    """A mask of 0 and 1, as numbers that were never multiplied by 255 give."""
    tokens: list[Token] = [(kind == "runs", 3, [0] * 400), (kind == "runs", 3, [1] * 32)]
    return write_plain(tokens)


@pytest.mark.parametrize(
    ("rle", "expected"),
    [
        pytest.param(encode_brush_rle(np.eye(12, 8, dtype=np.bool_)), "expected 432 values, .* got 384", id="width"),
        pytest.param([], "header of 53 bits, got 0 bytes", id="nothing"),
        pytest.param(GOOD[:6], "header of 53 bits, got 6 bytes", id="half a header"),
        pytest.param(GOOD[:7], "432 values, got 0 values, then the end", id="header only"),
        pytest.param(GOOD[:30], "432 values, got [0-9]+ values, then the end", id="cut off"),
        pytest.param(GOOD[:-1], "432 values, got [0-9]+ values, then the end", id="one byte less"),
        pytest.param([*GOOD, 0, 0], "the end of the RLE", id="two spare zeros"),
        pytest.param([*GOOD, 1], "the end of the RLE", id="one byte more"),
        pytest.param(GOOD + GOOD, "the end of the RLE", id="twice"),
        pytest.param([*GOOD[:-1], GOOD[-1] | 1], "the end of the RLE", id="a bit in the padding"),
        pytest.param([255] * 4 + GOOD[4:], "got 4294967295 values", id="count"),
        pytest.param(write_plain([(True, 3, [0] * 432)], word_bits=16), "values of 16 bits", id="word size"),
        pytest.param(
            GOOD[:4] + write_plain([(True, 3, [9] * 440)])[4:],
            "tokens that end at 432 values, got a last token that reaches to 440", id="too long a run",
        ),
        pytest.param(zero_one("runs"), "255 was meant", id="0/1 mask"),
        pytest.param(zero_one("literals"), "255 was meant", id="0/1 literals"),
        pytest.param([*GOOD[:9], 256, *GOOD[10:]], "numbers from 0 to 255", id="256"),
        pytest.param([*GOOD[:9], -1, *GOOD[10:]], "numbers from 0 to 255", id="negative"),
        pytest.param([*GOOD[:9], 10**30, *GOOD[10:]], "numbers from 0 to 255", id="huge"),
        pytest.param([*GOOD[:9], 1.0, *GOOD[10:]], "numbers from 0 to 255", id="float"),
        pytest.param([*GOOD[:9], None, *GOOD[10:]], "numbers from 0 to 255", id="null"),
        pytest.param("000", "numbers from 0 to 255", id="text"),
        pytest.param(7, "numbers from 0 to 255", id="a number"),
        pytest.param(None, "numbers from 0 to 255", id="no list"),
    ],
)  # fmt: skip
def test_damaged_brush_rle_is_refused(rle: Any, expected: str) -> None:
    np.testing.assert_array_equal(decode_brush_rle(GOOD, size_hw=(12, 9)), GOOD_MASK)
    with pytest.raises(DataError, match=expected) as caught:
        decode_brush_rle(rle, size_hw=(12, 9), record="task 7")
    assert caught.value.faults[0].record == "task 7"


def assert_read_as_plain(rle: list[int], pixels: int) -> None:
    """The mask of a plain reader, or an error where that finds damage."""
    values = read_plain(rle, 4 * pixels)
    if values is None or max(values[3::4], default=0) == 1:
        with pytest.raises(DataError):
            decode_brush_rle(rle, size_hw=(1, pixels))
    else:
        np.testing.assert_array_equal(decode_brush_rle(rle, size_hw=(1, pixels)), mask_of(values))


@given(
    body=st.binary(max_size=60),
    head=st.integers(0, 7),
    pixels=st.integers(0, 30),
    sizes=st.tuples(*[st.integers(1, 16)] * 4),
)
def test_random_tokens_give_a_mask_or_an_error(body: bytes, head: int, pixels: int, sizes: tuple[int, ...]) -> None:
    header = write_plain([], sizes)  # its last 3 bits are those that a token begins with
    assert_read_as_plain([*(4 * pixels).to_bytes(4), *header[4:6], header[6] | head, *body], pixels)


@given(rle=st.lists(st.integers(0, 255), max_size=60))
def test_random_bytes_give_a_mask_or_an_error(rle: list[int]) -> None:
    assert_read_as_plain(rle, 3)


@given(stream=streams(), data=st.data())
def test_mutated_stream_gives_its_mask_or_an_error(stream: tuple[tuple[int, ...], list[Token]], data: Any) -> None:
    sizes, tokens = stream
    rle = write_plain(tokens, sizes)
    at = data.draw(st.integers(4, len(rle) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "append"]))
    extra = data.draw(st.lists(st.sampled_from([0, 1, 255]), max_size=3))
    mutated = {
        "flip": [*rle[:at], rle[at] ^ (1 << data.draw(st.integers(0, 7))), *rle[at + 1 :]],
        "cut": rle[:at],
        "insert": [*rle[:at], *extra, *rle[at:]],
        "append": rle + extra,
    }[kind]
    assert_read_as_plain(mutated, sum(len(values) for _, _, values in tokens) // 4)


def test_memory_follows_the_data_not_the_count() -> None:
    rle = [255, 255, 255, 252, *GOOD[4:]]
    tracemalloc.start()
    for size_hw in [(12, 9), (32767, 32769)]:  # 32767 * 32769 = 2**30 - 1: the count is right, the tokens are not
        with pytest.raises(DataError):
            decode_brush_rle(rle, size_hw=size_hw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


# Bitmasks


def url_of(image: Image.Image, *, format: str = "PNG", cut: int | None = None) -> str:
    """Data URL of a picture, cut off after some bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format=format)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()[:cut]).decode()


def rgba(alpha: list[list[int]], colour: int = 0) -> Image.Image:
    """A picture of one grey and these alphas."""
    band = Image.fromarray(np.array(alpha, dtype=np.uint8))
    grey = Image.new("L", band.size, colour)
    return Image.merge("RGBA", [grey, grey, grey, band])


@given(masks())
def test_bitmask_round_trip(mask: Mask) -> None:
    decoded = decode_bitmask(encode_bitmask(mask), size_hw=(mask.shape[0], mask.shape[1]))
    assert decoded.dtype == np.bool_
    np.testing.assert_array_equal(decoded, mask)


def test_bitmask_is_black_and_alpha() -> None:
    head, data = encode_bitmask(GOOD_MASK).split(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.format, image.mode) == ("PNG", "RGBA")
        pixels = np.array(image)
    assert not pixels[:, :, :3].any()
    np.testing.assert_array_equal(pixels[:, :, 3], GOOD_MASK * 255)


@pytest.mark.parametrize("colour", [0, 255])
def test_bitmask_alpha_counts_from_the_threshold_on(colour: int) -> None:
    decoded = decode_bitmask(url_of(rgba([[0, 1, 127], [128, 254, 255]], colour)), size_hw=(2, 3))
    assert decoded.tolist() == [[False] * 3, [True] * 3]


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 4), dtype=np.uint8))
ENCODED = encode_bitmask(np.ones((40, 30), dtype=np.bool_))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(url_of(NOISE.resize((40, 30))), r"RGBA PNG of 30x40 \(width x height\), got 40x30", id="size"),
        pytest.param(url_of(NOISE.convert("RGB")), "got 30x40 of mode RGB", id="no alpha"),
        pytest.param(url_of(rgba([[0, 1] * 15] * 40)), "255 was meant", id="0/1 mask"),
        pytest.param(url_of(NOISE, cut=2000), "a damaged one: .*truncated", id="cut off"),
        pytest.param(url_of(NOISE.convert("RGB"), format="JPEG"), "a damaged one", id="JPEG"),
        pytest.param("data:image/png;base64,", "a damaged one", id="nothing"),
        pytest.param(ENCODED[:-1], "a data URL in base64", id="half a base64 group"),
        pytest.param(ENCODED.replace("iVBOR", "iVB OR"), "a data URL in base64", id="not base64"),
        pytest.param(ENCODED + "\u00e9", "a data URL in base64", id="not ASCII"),
        pytest.param("https://example.org/mask.png", "begins with data:image/png;base64,", id="another URL"),
        pytest.param(None, "begins with data:image/png;base64,", id="no text"),
    ],
)
def test_bitmask_that_is_no_mask_is_refused(url: Any, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as other libraries leave it
    with pytest.raises(DataError, match=expected) as caught:
        decode_bitmask(url, size_hw=(40, 30), record="task 7")
    assert caught.value.faults[0].record == "task 7"
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_bitmask_error_does_not_quote_the_whole_url() -> None:
    with pytest.raises(DataError) as caught:
        decode_bitmask("data:image/gif;base64," + "A" * 100_000, size_hw=(1, 1))
    assert len(str(caught.value)) < 300
