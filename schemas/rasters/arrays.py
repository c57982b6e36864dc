"""Arrays of numbers in NumPy's format (.npy), as others write them: the header is looked at before room is made."""

from __future__ import annotations

import io
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError

npy_format: Any = np.lib.format  # ships no annotations
_NUMBERS: Final = "biuf"
"""Kinds of truths, whole and real numbers. Text, dates, structures and objects are no numbers."""


def read_array(data: bytes, *, where: str, record: str = "", expected: str = "an array of numbers") -> NDArray[Any]:
    """Read the bytes of a ``.npy`` file.

    Args:
        data: The file.
        where: What to call it in an error.
        record: The part of ``where`` that it is.
        expected: What it should hold, in an error.

    Raises:
        DataError: if it is no such file, holds anything but truths and numbers, or has fewer bytes than its header
            speaks of.
    """
    try:
        return _read(data)
    except Exception as error:  # the header is Python text, and fails like it
        got = " ".join(str(error).split())[:200] or type(error).__name__
        wanted = f"a .npy file without pickle: {expected}"
        raise DataError.single(where, record, expected=wanted, got=got) from error


def _read(data: bytes) -> NDArray[Any]:
    stream = io.BytesIO(data)
    version = npy_format.read_magic(stream)
    header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = header(stream)
    size, left = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"dtype {dtype}")
    if min(shape, default=1) < 0 or size > left:
        raise ValueError(f"shape {shape} of {dtype} in {left} bytes")
    return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
