"""Odd photo files, made from seeds: what sources hold in practice and what attackers put there."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 40, 60


def draw_pixels(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """A ``(H, W, 3)`` uint8 gradient with a bright corner at the top left: every rotation of it looks different."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], axis=-1)
    pixels[: height // 4, : width // 4] = 255
    return ((pixels + generator.integers(0, 20, pixels.shape)) % 256).astype(np.uint8)


def encode(image: Image.Image | Pixels, format_name: str, **options: Any) -> bytes:
    """Bytes of an image in a format of Pillow's."""
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, format=format_name, **options)
    return buffer.getvalue()


def with_orientation(orientation: int, format_name: str) -> tuple[bytes, Pixels]:
    """A photo whose EXIF claims a rotation, and the pixels that it stores."""
    pixels = draw_pixels(orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if format_name == "JPEG":
        plain = encode(pixels, "JPEG", quality=95)
        with Image.open(io.BytesIO(plain)) as image:
            stored = np.asarray(image.convert("RGB"))
        return encode(pixels, "JPEG", quality=95, exif=exif), stored
    extra: dict[str, Any] = {"tiffinfo": {0x0112: orientation}} if format_name == "TIFF" else {"exif": exif}
    if format_name == "WEBP":
        extra["lossless"] = True
    return encode(pixels, format_name, **extra), pixels


def png(width: int, height: int, *, bits: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    """A PNG put together by hand: any header, any raw rows (colour 0 grey, 2 RGB, 4 grey and alpha)."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def sixteen_bit_png(colour: int) -> bytes:
    """A whole 16-bit PNG of 4 x 3 pixels."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    return png(4, 3, bits=16, colour=colour, rows=(b"\0" + bytes(range(4 * channels * 2))) * 3)


def frames(count: int) -> list[Image.Image]:
    """Frames that differ, for animations and pages."""
    return [Image.fromarray(draw_pixels(seed)) for seed in range(count)]


def _animated(format_name: str, **options: Any) -> bytes:
    first, *others = frames(3)
    return encode(first, format_name, save_all=True, append_images=others, **options)


def _cut(format_name: str, share: float, **options: Any) -> bytes:
    data = encode(draw_pixels(1, 200, 300), format_name, **options)
    return data[: int(len(data) * share)]


def _webp_header(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([2, 0, 0, 0]) + size + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body)) + body


REJECTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero bytes": (lambda: b"", "zero_byte"),
    "text named jpg": (lambda: b"<html>404 not found</html>\n", "unreadable"),
    "jpeg magic only": (lambda: b"\xff\xd8\xff", "unreadable"),
    "png header of five bytes": (lambda: png(4, 3)[:8] + b"\0\0\0\5IHDR" + bytes(5) + bytes(4), "truncated"),
    "random bytes": (lambda: np.random.default_rng(3).bytes(5000), "unreadable"),
    "jpeg cut in half": (lambda: _cut("JPEG", 0.5), "truncated"),
    "jpeg without its last tenth": (lambda: _cut("JPEG", 0.9), "truncated"),
    "progressive jpeg cut": (lambda: _cut("JPEG", 0.6, progressive=True), "truncated"),
    "png cut in half": (lambda: _cut("PNG", 0.5), "truncated"),
    "gif cut in half": (lambda: _cut("GIF", 0.5), "truncated"),
    "bmp cut in half": (lambda: _cut("BMP", 0.5), "truncated"),
    "webp cut in half": (lambda: _cut("WEBP", 0.5), "truncated"),
    "tiff cut in half": (lambda: _cut("TIFF", 0.5), "truncated"),
    "compressed tiff cut": (lambda: _cut("TIFF", 0.5, compression="tiff_lzw"), "truncated"),
    "16-bit grey png": (lambda: sixteen_bit_png(0), "sixteen_bit"),
    "16-bit rgb png": (lambda: sixteen_bit_png(2), "sixteen_bit"),
    "16-bit grey+alpha png": (lambda: sixteen_bit_png(4), "sixteen_bit"),
    "16-bit rgba png": (lambda: sixteen_bit_png(6), "sixteen_bit"),
    "16-bit tiff": (lambda: encode(Image.new("I;16", (5, 4), 999), "TIFF"), "sixteen_bit"),
    "float tiff": (lambda: encode(Image.new("F", (5, 4), 0.5), "TIFF"), "sixteen_bit"),
    "animated gif": (lambda: _animated("GIF"), "animated"),
    "animated png": (lambda: _animated("PNG"), "animated"),
    "animated webp": (lambda: _animated("WEBP", lossless=True), "animated"),
    "tiff of three pages": (lambda: _animated("TIFF"), "animated"),
    "png header of 400 MP": (lambda: png(20_000, 20_000), "too_large"),
    "png header of 121 MP": (lambda: png(11_000, 11_000), "too_large"),
    "webp header of 256 MP": (lambda: _webp_header(16_000, 16_000), "too_large"),
    "jpeg 2000": (lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "unsupported_format"),
    "avif": (lambda: b"\0\0\0\x1cftypavif" + bytes(50), "unsupported_format"),
    "photoshop": (lambda: b"8BPS\0\1" + bytes(50), "unsupported_format"),
    "pdf": (lambda: b"%PDF-1.7\n", "unsupported_format"),
    "tiff in lab": (lambda: encode(Image.new("LAB", (5, 4)), "TIFF"), "unsupported_format"),
}
"""What it is, to its bytes and the code that it is rejected with."""


def _palette(transparent: bool = False) -> bytes:
    image = Image.fromarray(draw_pixels()).quantize(16)
    return encode(image, "PNG", transparency=3) if transparent else encode(image, "PNG")


FLAGGED: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "rgb jpeg": (lambda: encode(draw_pixels(), "JPEG"), ()),
    "rgb png": (lambda: encode(draw_pixels(), "PNG"), ()),
    "webp": (lambda: encode(draw_pixels(), "WEBP"), ()),
    "bmp": (lambda: encode(draw_pixels(), "BMP"), ()),
    "tiff": (lambda: encode(draw_pixels(), "TIFF"), ()),
    "one pixel": (lambda: encode(draw_pixels(0, 1, 1), "PNG"), ()),
    "cmyk jpeg": (lambda: encode(Image.fromarray(draw_pixels()).convert("CMYK"), "JPEG"), ("cmyk",)),
    "grey jpeg": (lambda: encode(Image.fromarray(draw_pixels()).convert("L"), "JPEG"), ("grey",)),
    "1-bit png": (lambda: encode(Image.fromarray(draw_pixels()).convert("1"), "PNG"), ("grey",)),
    "palette png": (_palette, ("palette",)),
    "palette png, one colour clear": (lambda: _palette(transparent=True), ("alpha", "palette")),
    "still gif": (lambda: encode(Image.fromarray(draw_pixels()).quantize(16), "GIF"), ("palette",)),
    "rgba png": (lambda: encode(Image.fromarray(draw_pixels()).convert("RGBA"), "PNG"), ("alpha",)),
    "grey+alpha png": (lambda: encode(Image.fromarray(draw_pixels()).convert("LA"), "PNG"), ("alpha", "grey")),
    "rgb png, one colour clear": (lambda: encode(draw_pixels(), "PNG", transparency=(1, 2, 3)), ("alpha",)),
}
"""What it is, to its bytes and the flags that it is catalogued with."""
