"""Damage that decoders swallow is found: checksums of PNG, warnings of libjpeg, bytes behind the end."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from photo_samples import draw_pixels, encode
from PIL import Image
from shared_cases import copy_case, run_here

from figureground.annotate.catalogue import index_source
from figureground.annotate.imports.png_masks import read_png_mask
from figureground.errors import DataError
from figureground.exports.dataset.files import ShardName
from figureground.exports.dataset.verify import StoredShard, check_shard
from figureground.schemas.rasters.masks import decode_png1, encode_png1, pixels_sha256
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo, read_photo
from figureground.schemas.rasters.png import encode_png
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

PIXELS = draw_pixels(5, 120, 160)
PNG = encode(PIXELS, "PNG")
JPEG = encode(PIXELS, "JPEG", quality=90)


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the chunks of a PNG."""
    start = 8
    while start < len(data):
        (length,) = struct.unpack(">I", data[start : start + 4])
        yield data[start + 4 : start + 8], start, start + 12 + length
        start += 12 + length


def with_wrong_checksum(data: bytes, name: bytes) -> bytes:
    """A PNG whose first chunk of a name has another checksum."""
    end = next(end for kind, _, end in chunks(data) if kind == name)
    return data[: end - 1] + bytes([data[end - 1] ^ 1]) + data[end:]


def overwritten(data: bytes, share: float, count: int = 40) -> bytes:
    """A file with bytes of noise in its middle."""
    start = int(len(data) * share)
    noise = np.random.default_rng(int(share * 100)).integers(1, 255, count, dtype=np.uint8).tobytes()
    return data[:start] + noise + data[start + count :]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(packed: bytes, *, mode: int = 2, size: tuple[int, int] = (160, 120), more: bytes = b"") -> bytes:
    """A PNG whose chunks are whole, whatever they hold."""
    header = struct.pack(">IIBBBBB", *size, 8, mode, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", header) + more + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def rows_of(pixels: NDArray[np.uint8], filters: Callable[[int], int] = lambda _: 0) -> bytes:
    return b"".join(bytes([filters(number)]) + row.tobytes() for number, row in enumerate(pixels))


WHOLE_ROWS = zlib.compress(rows_of(PIXELS))
FOUR = zlib.compress(b"".join(b"\0" + bytes([0, 1, 2, 9]) for _ in range(4)))
PROGRESSIVE = encode(PIXELS, "JPEG", progressive=True)


def flipped(data: bytes, share: float = 0.5, count: int = 40) -> bytes:
    start = int(len(data) * share)
    return data[:start] + bytes(byte ^ 0x5A for byte in data[start : start + count]) + data[start + count :]


DAMAGED: dict[str, bytes] = {
    "png of half its rows": png_of(zlib.compress(rows_of(PIXELS[:60]))),
    "png with a wrong checksum of its pixels": png_of(WHOLE_ROWS[:-1] + bytes([WHOLE_ROWS[-1] ^ 1])),
    "png without a checksum of its pixels": png_of(WHOLE_ROWS[:-4]),
    "png with a filter that is none": png_of(zlib.compress(rows_of(PIXELS, lambda row: 9 * (row == 50)))),
    "png without its palette": png_of(FOUR, mode=3, size=(4, 4)),
    "png of colours that its palette lacks": png_of(FOUR, mode=3, size=(4, 4), more=chunk(b"PLTE", b"\1\2\3" * 4)),
    "packed tiff": flipped(encode(PIXELS, "TIFF", compression="tiff_adobe_deflate")),
    "tiff packed as jpeg": flipped(encode(PIXELS, "TIFF", compression="jpeg")),
    "tiff packed as lzw": flipped(encode(PIXELS, "TIFF", compression="tiff_lzw")),
    "checksum of pixels": with_wrong_checksum(PNG, b"IDAT"),
    "checksum of the end": with_wrong_checksum(PNG, b"IEND"),
    "checksum of the header": with_wrong_checksum(PNG, b"IHDR"),
    "no end of a png": PNG[:-12],
    "jpeg cut, end marker behind it": JPEG[: len(JPEG) // 2] + b"\xff\xd9",
    "jpeg overwritten early": overwritten(JPEG, 0.35),
    "jpeg overwritten late": overwritten(JPEG, 0.7),
    "progressive jpeg overwritten": overwritten(encode(PIXELS, "JPEG", progressive=True), 0.5),
    "grey jpeg cut": (lambda grey: grey[: len(grey) // 2] + b"\xff\xd9")(
        encode(Image.fromarray(PIXELS).convert("L"), "JPEG")
    ),
    "cmyk jpeg cut": (lambda cmyk: cmyk[: len(cmyk) // 2] + b"\xff\xd9")(
        encode(Image.fromarray(PIXELS).convert("CMYK"), "JPEG")
    ),
    "jpeg with noise before its end": JPEG[:-2] + b"\x12\x34\x56" * 9 + JPEG[-2:],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_photo_is_rejected_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "p/dog").mkdir(parents=True)
    (tmp_path / "p/dog/bad.png").write_bytes(DAMAGED[name])
    (tmp_path / "p/dog/good.png").write_bytes(PNG)
    with Workspace.create(tmp_path / "w") as store:
        report = index_source(store, open_source(str(tmp_path / "p")))
        assert [image.uri for image in store.images()] == ["dog/good.png"]
    (rejection,) = report.rejections
    assert rejection.uri == "dog/bad.png"
    assert rejection.reason in {"damaged", "truncated", "unreadable"}
    assert rejection.detail


def test_a_progressive_jpeg_that_ends_between_two_scans_is_flagged() -> None:
    assert "scans_missing" not in read_photo(PROGRESSIVE)[0].flags
    ends = [match for match in range(len(PROGRESSIVE)) if PROGRESSIVE.startswith(b"\xff\xda", match)]
    assert len(ends) > 5
    for end in ends[1:]:
        assert "scans_missing" in read_photo(PROGRESSIVE[:end] + b"\xff\xd9")[0].flags


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (160, 120), (9, 1), (1, 9)])
def test_whole_pngs_of_every_form_are_sound(mode: str, size: tuple[int, int]) -> None:
    picture = Image.fromarray(PIXELS).resize(size).convert(mode)
    for options in ({}, {"optimize": True}, {"bits": 4} if mode == "P" else {}, {"compress_level": 0}):
        facts, _ = read_photo(encode(picture, "PNG", **options))
        assert "odd_end" not in facts.flags


def test_rows_beyond_the_last_are_not_missed() -> None:
    facts, pixels = read_photo(png_of(zlib.compress(rows_of(PIXELS) + rows_of(PIXELS[:9]))))
    assert facts.flags == ()
    np.testing.assert_array_equal(pixels, PIXELS)


def interlaced(pixels: NDArray[np.uint8], rows: slice = slice(None)) -> bytes:
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    parts = [rows_of(np.ascontiguousarray(pixels[y::dy, x::dx][rows])) for x, y, dx, dy in passes]
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(parts))) + chunk(b"IEND", b"")


def test_interlaced_pngs_are_counted_pass_by_pass() -> None:
    facts, pixels = read_photo(interlaced(PIXELS))
    assert facts.flags == ()
    np.testing.assert_array_equal(pixels, PIXELS)
    with pytest.raises(PhotoRejected, match="bytes of pixels"):
        read_photo(interlaced(PIXELS, slice(0, -1)))


def gif() -> bytes:
    return encode(Image.fromarray(PIXELS).quantize(16), "GIF")


@pytest.mark.parametrize(
    "make",
    [
        lambda: JPEG,
        lambda: PNG,
        lambda: encode(PIXELS, "WEBP"),
        lambda: encode(PIXELS, "WEBP", lossless=True),
        lambda: encode(PIXELS, "BMP"),
        gif,
    ],
)
@pytest.mark.parametrize("tail", [b"\0", b"garbage", b"\xff\xd9", b"PK\x03\x04" + bytes(99)])
def test_bytes_behind_the_end_are_flagged(make: Callable[[], bytes], tail: bytes) -> None:
    whole = make()
    assert "odd_end" not in read_photo(whole)[0].flags
    facts, pixels = read_photo(whole + tail)
    assert "odd_end" in facts.flags
    np.testing.assert_array_equal(pixels, decode_photo(whole))


def test_a_jpeg_without_its_end_marker_is_rejected() -> None:
    with pytest.raises(PhotoRejected, match=r"damaged|truncated"):
        read_photo(JPEG[:-2])


def test_previews_of_a_camera_are_no_garbage() -> None:
    first, second = Image.fromarray(PIXELS), Image.fromarray(PIXELS[::2, ::2])
    facts, _ = read_photo(encode(first, "MPO", save_all=True, append_images=[second]))
    assert facts.flags == ()


def _kept_rgb() -> bytes:
    return encode(PIXELS, "JPEG", keep_rgb=True)


JPEGS: dict[str, bytes] = {
    "4:2:0": encode(PIXELS, "JPEG", subsampling=2),
    "4:2:2": encode(PIXELS, "JPEG", subsampling=1),
    "4:4:4": encode(PIXELS, "JPEG", subsampling=0),
    "odd sides": encode(PIXELS[:117, :155], "JPEG", subsampling=2),
    "one pixel": encode(PIXELS[:1, :1], "JPEG"),
    "progressive": encode(PIXELS, "JPEG", progressive=True),
    "quality 5": encode(PIXELS, "JPEG", quality=5),
    "grey": encode(Image.fromarray(PIXELS).convert("L"), "JPEG"),
    "cmyk": encode(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"),
    "rgb": _kept_rgb(),
    "restarts": encode(PIXELS, "JPEG", restart_marker_rows=1),
}


@pytest.mark.parametrize("name", JPEGS)
def test_pixels_at_index_are_those_that_pillow_decodes(name: str) -> None:
    facts, pixels = read_photo(JPEGS[name])
    np.testing.assert_array_equal(pixels, decode_photo(JPEGS[name]))
    assert set(facts.flags) <= {"grey", "cmyk"}


def test_most_noise_in_a_jpeg_is_noticed() -> None:
    """JPEG has no checksum: noise that is a valid code by chance, and as long as what it replaced, has no mark."""
    noticed = 0
    for number in range(40):
        try:
            read_photo(overwritten(JPEG, 0.3 + number / 62, count=12))
        except PhotoRejected:
            noticed += 1
    assert noticed >= 20


# Masks, and what was published


def _bit_mask() -> NDArray[np.bool_]:
    mask = np.zeros((120, 160), dtype=np.bool_)
    mask[10:50, 20:80] = True
    return mask


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"IEND"])
def test_damaged_masks_are_refused_by_every_reader(tmp_path: Path, name: bytes) -> None:
    bad = with_wrong_checksum(encode_png1(_bit_mask()), name)
    with pytest.raises(DataError, match=f"checksum of the chunk {name.decode()}"):
        decode_png1(bad)
    (tmp_path / "p/dog").mkdir(parents=True)
    (tmp_path / "p/dog/a.png").write_bytes(PNG)
    (tmp_path / "a.png").write_bytes(bad)
    with Workspace.create(tmp_path / "w") as store:
        index_source(store, open_source(str(tmp_path / "p")))
        (photo,) = store.images()
    with pytest.raises(DataError, match=f"checksum of the chunk {name.decode()}"):
        read_png_mask(tmp_path / "a.png", photo)


def test_odd_chunks_of_a_mask_are_an_error_of_ours() -> None:
    whole = encode_png1(_bit_mask())
    empty = struct.pack(">I", 0) + b"tRNS" + struct.pack(">I", zlib.crc32(b"tRNS"))
    idat = whole.index(b"IDAT") - 4
    for odd in (whole[:8] + whole[-12:], whole[:idat] + empty + whole[idat:][:8]):
        with pytest.raises(DataError, match="a 1-bit PNG"):
            decode_png1(odd)


@pytest.mark.parametrize("damaged", [False, True])
def test_verify_finds_a_damaged_image_whose_pixels_are_right(tmp_path: Path, damaged: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = encode_png(PIXELS)
    stored = with_wrong_checksum(image, b"IDAT") if damaged else image
    with Image.open(io.BytesIO(stored)) as opened:
        assert np.array_equal(np.asarray(opened), PIXELS)  # Pillow says nothing
    row = {
        "image": {"bytes": stored, "path": "a.png"},
        "variant": "original",
        "draw": 0,
        "attribute": None,
        "provenance": {"object_id": "a.0", "pixels_sha256": pixels_sha256(PIXELS)},
    }
    path = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    check = check_shard(StoredShard(ShardName("original", "test", 0, 1), path))
    assert [fault.got for fault in check.faults] == (
        [f"these, out of a damaged file: the checksum of the chunk IDAT at byte {image.index(b'IDAT') - 4} is wrong"]
        if damaged
        else []
    )


def test_case_png_crc_and_jpeg_eoi(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_case("annotate/16_png_crc_and_jpeg_eoi", tmp_path))
    code, out, _ = run_here(capsys, "index", "photos", "-w", "w")
    assert (code, "2 photos added" in out) == (0, True)
    for name in ("p_crc.png", "cut_eoi.jpg", "flipped.jpg"):
        assert f"dog/{name}: damaged (" in out
