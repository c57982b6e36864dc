"""Label Studio's brush RLE, the bit stream of ``@thi.ng/rle-pack`` over the RGBA bytes of a mask.

The most significant bit comes first:

    32 bits  number of values, 4 per pixel: R, G, B and alpha, row by row; alpha is the mask
     5 bits  word size - 1: 7, since a value is a byte
    4 x 4    sizes - 1: the four widths that a length may be written in; everyone writes 3, 4, 8 and 16
    tokens   1 bit   1 a run, 0 literals
             2 bits  which of the four sizes
             k bits  length - 1, k that size
             8 bits  the value that repeats, or ``length`` values of 8 bits
    zeros    up to a whole byte; label-studio-sdk adds a spare one where the tokens end on a byte

Source: https://github.com/thi-ng/umbrella/blob/develop/packages/rle-pack/src/index.ts.

``figureground.schemas.rasters.masks`` has the public codec. Here are NumPy arrays of all tokens at once, and no RGBA
picture is ever made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError

_WORD_BITS = 8
_HEADER_BITS = 32 + 5 + 4 * 4
_SIZES = (3, 4, 8, 16)
_LONGEST = 1 << _SIZES[-1]
"""Most values that one token can hold."""
_MOST_PIXELS = (2**32 - 1) // 4
"""Beyond it the number of values does not fit the header, and label-studio-sdk writes a header of 33 bits."""

_Ints = NDArray[np.int64]
_Words = NDArray[np.uint64]


def pack_mask(mask_hw: NDArray[np.bool_]) -> bytes:
    """The stream of an ``(H, W)`` bool mask whose pixels are RGBA 255 255 255 255 or 0 0 0 0: runs only.

    Raises:
        ValueError: if the mask has 2**30 pixels or more.
    """
    if mask_hw.size > _MOST_PIXELS:
        raise ValueError(f"brush RLE holds at most {_MOST_PIXELS:,} pixels, got {mask_hw.size:,}")
    flat = mask_hw.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate(([0], changes))[: flat.size]  # none at all in an empty picture
    lengths = 4 * np.diff(starts, append=flat.size)
    codes, widths = _run_tokens(lengths, flat[starts])
    parameters = _WORD_BITS - 1
    for size in _SIZES:
        parameters = parameters << 4 | size - 1
    header = np.array([4 * flat.size, parameters], dtype=np.uint64)
    return _join_bits(np.concatenate((header, codes)), np.concatenate(([32, _HEADER_BITS - 32], widths)))


def _run_tokens(lengths: _Ints, figure: NDArray[np.bool_]) -> tuple[_Words, _Ints]:
    """Codes of the runs and their widths in bits; ``lengths``, in values, and ``figure`` are ``(R,)``."""
    # A run beyond the longest token is cut into longest ones and a rest, and the rest keeps the widest size however
    # short it is: so does the SDK, and equal bytes let a mask be recognised as untouched.
    size_index = np.searchsorted([1 << size for size in _SIZES[:-1]], lengths)
    tokens = (lengths - 1) // _LONGEST + 1
    parts = np.full(int(tokens.sum()), _LONGEST)
    parts[np.cumsum(tokens) - 1] = lengths - (tokens - 1) * _LONGEST
    index = np.repeat(size_index, tokens)
    size = np.array(_SIZES)[index]
    value = np.repeat(figure, tokens) * 255
    codes = ((0b100 | index) << size | parts - 1) << _WORD_BITS | value
    return codes.astype(np.uint64), 3 + size + _WORD_BITS


def _join_bits(codes: _Words, widths: _Ints) -> bytes:
    """The codes one behind the other, each in its width of at most 32 bits, the last byte filled with zeros."""
    ends = np.cumsum(widths)
    at = ends - widths
    words = at >> 5
    shifted = codes << (64 - (at & 31) - widths).astype(np.uint64)  # within the 64 bits from the word's first one
    total_bits = int(ends[-1])
    count = (total_bits >> 5) + 2
    # Codes share words but never bits, so a sum is their union; a float64 holds every sum below 2**32 exactly.
    joined = np.bincount(words, weights=shifted >> np.uint64(32), minlength=count)
    joined += np.bincount(words + 1, weights=shifted & np.uint64(0xFFFFFFFF), minlength=count)
    return joined.astype(np.uint32).astype(">u4").tobytes()[: -(-total_bits // 8)]


def stream_bytes(rle: Iterable[int], record: str) -> bytes:
    """The numbers of a result's ``rle`` as bytes.

    Raises:
        DataError: if it is not a list of whole numbers from 0 to 255.
    """
    try:
        # bytes() would take a number for a length, and an array for its memory.
        return bytes(rle if isinstance(rle, list) else list(rle))
    except (TypeError, ValueError) as error:
        raise DataError.single(
            "mask", record, expected="brush RLE: a list of whole numbers from 0 to 255", got=str(error)
        ) from error


def unpack_alpha(data: bytes, *, size_hw: tuple[int, int], threshold: int, record: str) -> NDArray[np.bool_]:
    """``(H, W)`` bool, True where the alpha that the stream holds reaches ``threshold`` (1 to 255).

    Raises:
        DataError: if the stream is not of that size, is damaged, or holds no alpha but 0 and 1.
    """
    values = 4 * size_hw[0] * size_hw[1]
    sizes = _read_header(data, values, record)
    windows = _windows(data)
    tokens = _read_tokens(data, windows, sizes, values, record)
    pixels = tokens.end // 4 - tokens.first // 4  # alpha of pixel i is value 4 i + 3
    run_alpha = _read_bits(windows, tokens.payload, _WORD_BITS)
    flat = np.repeat(run_alpha >= threshold, pixels)
    index, literal_alpha = _literal_alphas(windows, tokens, pixels)
    flat[index] = literal_alpha >= threshold
    runs = run_alpha[tokens.is_run & (pixels > 0)]
    if max(runs.max(initial=0), literal_alpha.max(initial=0)) == 1:
        raise zero_one_mask(record)
    return flat.reshape(size_hw)


def zero_one_mask(record: str) -> DataError:
    """The error for a mask whose only alpha beside 0 is 1."""
    return DataError.single(
        "mask",
        record,
        expected="an alpha of 255 on the figure",
        got="a mask of 0 and 1, which Label Studio shows as nothing and keeps",
        remedy="it was made from 0/1 numbers where 255 was meant: encode it again with 255",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """All tokens of a stream, ``(T,)`` each."""

    is_run: NDArray[np.bool_]
    """Whether the token repeats one value."""
    first: _Ints
    """Index of the token's first value."""
    end: _Ints
    """Index after its last value."""
    payload: _Ints
    """Bit at which its first, or only, value is written."""


def _read_header(data: bytes, values: int, record: str) -> _Ints:
    """The four sizes of a header.

    Raises:
        DataError: if it does not announce ``values`` values of 8 bits.
    """
    if 8 * len(data) < _HEADER_BITS:
        raise _cut_off(record, f"a header of {_HEADER_BITS} bits", f"{len(data)} bytes")
    declared = int.from_bytes(data[:4])
    if declared != values:
        raise DataError.single(
            "mask",
            record,
            expected=f"{values} values, 4 for each of {values // 4} px",
            got=f"{declared} values",
            remedy="the mask belongs to a picture of another size",
        )
    parameters = int.from_bytes(data[4:7]) >> 3
    word_bits = (parameters >> 16) + 1
    if word_bits != _WORD_BITS:
        raise DataError.single("mask", record, expected="values of 8 bits", got=f"values of {word_bits} bits")
    return np.array([(parameters >> shift & 15) + 1 for shift in (12, 8, 4, 0)])


def _read_tokens(data: bytes, windows: NDArray[Any], sizes: _Ints, values: int, record: str) -> _Tokens:
    """The tokens that make up exactly ``values`` values, with nothing but padding behind them."""
    at = _token_starts(data, sizes)
    head = _read_bits(windows, at, 3)
    size = sizes[head & 3]
    is_run = head > 3
    lengths = _read_bits(windows, at + 3, size) + 1
    payload = at + 3 + size
    bit_ends = payload + _WORD_BITS * np.where(is_run, 1, lengths)
    whole = np.searchsorted(bit_ends, 8 * len(data), side="right")  # what was read beyond the last byte is not there
    ends = np.cumsum(lengths[:whole])
    count = int(np.searchsorted(ends, values)) + 1 if values else 0
    if count > whole:
        raise _cut_off(record, f"{values} values", f"{ends[-1] if whole else 0} values")
    if count and ends[count - 1] != values:
        got = f"a last token that reaches to {ends[count - 1]}"
        raise DataError.single("mask", record, expected=f"tokens that end at {values} values", got=got)
    _require_padding(data, int(bit_ends[count - 1]) if count else _HEADER_BITS, record)
    token_ends = ends[:count]
    return _Tokens(is_run=is_run[:count], first=token_ends - lengths[:count], end=token_ends, payload=payload[:count])


def _token_starts(data: bytes, sizes: _Ints) -> _Ints:
    """Bits at which a token would start if tokens went on to the end of ``data``.

    A token's width is known only from its own bits, so this is a chain. Widths are looked up for all bits at once, and
    the chain is left with an addition for each token.
    """
    widths = tuple(sizes.tolist())
    steps = _window_bytes(data).translate(_step_table(widths))
    marks = bytearray(len(steps))
    at, end = _HEADER_BITS, len(steps)
    while at < end:
        marks[at] = 1
        at += steps[at] or _literals_width(data, at, widths)
    return np.flatnonzero(np.frombuffer(marks, dtype=np.bool_))


def _window_bytes(data: bytes) -> bytes:
    """For every bit of ``data`` the 8 bits that start there; zeros follow the last one."""
    padded = np.frombuffer(data + b"\0", dtype=np.uint8).astype(np.uint16)
    pairs = padded[:-1] << 8 | padded[1:]
    windows = np.empty((len(data), 8), dtype=np.uint8)
    for bit in range(8):
        windows[:, bit] = (pairs >> (8 - bit)).astype(np.uint8)
    return windows.tobytes()


@lru_cache(maxsize=8)
def _step_table(sizes: tuple[int, ...]) -> bytes:
    """Width in bits of a token by its first 8 bits; 0 where these do not tell."""
    table = bytearray(256)
    for window in range(256):
        size = sizes[window >> 5 & 3]
        if window >> 7:
            table[window] = 3 + size + _WORD_BITS
        elif size <= 5:
            width = 3 + size + _WORD_BITS * (((window & 31) >> (5 - size)) + 1)
            table[window] = width if width < 256 else 0
    return bytes(table)


def _literals_width(data: bytes, at: int, sizes: tuple[int, ...]) -> int:
    """Width in bits of the token of literals that starts at bit ``at``; missing bits count as zeros."""
    byte = at >> 3
    window = int.from_bytes(data[byte : byte + 4].ljust(4, b"\0")) << (at & 7) & 0xFFFFFFFF
    size = sizes[window >> 29]  # the run bit is 0
    length = ((window << 3 & 0xFFFFFFFF) >> (32 - size)) + 1
    return 3 + size + _WORD_BITS * length


def _literal_alphas(windows: NDArray[Any], tokens: _Tokens, pixels: _Ints) -> tuple[_Ints, _Ints]:
    """Index and alpha, ``(N,)`` both, of every pixel whose alpha is written as a literal."""
    chosen = np.flatnonzero(~tokens.is_run & (pixels > 0))
    counts = pixels[chosen]
    first = tokens.first[chosen]
    first_pixel = first // 4
    first_bit = tokens.payload[chosen] + _WORD_BITS * (4 * first_pixel + 3 - first)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    bits = np.repeat(first_bit, counts) + 4 * _WORD_BITS * within
    return np.repeat(first_pixel, counts) + within, _read_bits(windows, bits, _WORD_BITS)


def _windows(data: bytes) -> NDArray[Any]:
    """For every byte of ``data``, and one behind it, the 64 bits that start there, as overlapping big-endian words."""
    return np.ndarray((len(data) + 1,), dtype=">u8", buffer=data + bytes(8), strides=(1,))


def _read_bits(windows: NDArray[Any], at: _Ints, width: int | _Ints) -> _Ints:
    """Numbers of ``width`` bits, 1 to 16, that start at the bits ``at``, 7 past the end of the data at most."""
    words = windows[at >> 3].astype(np.uint64) << (at & 7).astype(np.uint64)
    numbers: _Ints = (words >> np.asarray(64 - width, dtype=np.uint64)).astype(np.int64)
    return numbers


def _require_padding(data: bytes, end_bit: int, record: str) -> None:
    """Check that zeros follow ``end_bit`` to the end of its byte, and at most one byte more.

    Raises:
        DataError: if there are other or more bits.
    """
    left = 8 * len(data) - end_bit
    if left >= 16 or int.from_bytes(data[end_bit >> 3 :]) & (1 << left) - 1:
        raise DataError.single(
            "mask", record, expected="the end of the RLE after its last pixel", got=f"{left} more bits of data"
        )


def _cut_off(record: str, expected: str, got: str) -> DataError:
    return DataError.single("mask", record, expected=f"brush RLE of {expected}", got=f"{got}, then the end")
