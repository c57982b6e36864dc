"""JPEG files by their markers: where one ends, whether its last scans are there, and what it asks of a decoder.

Read before the file is opened, in time that grows with its bytes alone: decoders take a time of their own for every
scan and every segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MOST_SCANS: Final = 64
"""Scans of a file that is read; a decoder goes over all pixels in each. libjpeg's longest own script has 24 (jcparam.c,
``jpeg_simple_progression``), mozjpeg's about as many."""
_MOST_SEGMENTS: Final = 4096
"""A colour profile has up to 255 segments, a depth map in XMP some hundred."""
_MOST_EXIF: Final = 64
"""Segments of Exif: Pillow joins them one by one, which takes the square of their number."""
_MOST_FILLING: Final = 1 << 16
"""Bytes between segments, which Pillow reads one by one."""

_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The end of the next marker behind entropy-coded data, where 0xFF is followed by 0 or a restart's number (ITU T.81,
B.1.1); any number of 0xFF may stand before it."""
_ALONE: Final = frozenset(b"\x01\xd8\xd9")  # markers without a segment: TEM, SOI, EOI
_EXIF: Final = (0xE1, b"Exif\0\0")
_START_OF_SCAN: Final = 0xDA
_FRAMES: Final = (0xC0, 0xC1, 0xC2)
_PROGRESSIVE: Final = 0xC2
_BANDS: Final = 64  # coefficients of a block
_END_OF_IMAGE: Final = 0xD9


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Every marker with the offset behind it; what its segment holds is passed over."""
    start = 0
    while match := _MARKER.search(data, start):
        marker, start = data[match.end() - 1], match.end()
        yield marker, start
        if marker not in _ALONE:
            start += int.from_bytes(data[start : start + 2])  # the segment; behind that of a scan follow its data


def jpeg_excess(data: bytes) -> str:
    """Why a JPEG would take a decoder far more time than its pixels do; empty where it would not."""
    segments, scans, exif, filling, behind = 0, 0, 0, 0, 2
    for marker, start in _markers(data):
        if marker == _END_OF_IMAGE and scans:
            break  # what follows is no part of the picture: previews, films
        length = 0 if marker in _ALONE else int.from_bytes(data[start : start + 2])
        filling += 0 if scans else max(0, start - 2 - behind)
        segments, scans, behind = segments + 1, scans + (marker == _START_OF_SCAN), start + length
        exif += marker == _EXIF[0] and data.startswith(_EXIF[1], start + 2)
        for count, most, what in (
            (scans, MOST_SCANS, "scans"),
            (segments, _MOST_SEGMENTS, "segments"),
            (exif, _MOST_EXIF, "segments of Exif"),
            (filling, _MOST_FILLING, "bytes between segments"),
        ):
            if count > most:
                return f"more than {most} {what}"
    return ""


def lacks_scans(data: bytes) -> bool:
    """Whether a progressive JPEG ends before all bits of its coefficients came (ITU T.81, G.1.1.1).

    A file that was cut between two scans and closed with an end marker is a coarser picture, of which libjpeg says
    nothing.
    """
    left = dict[tuple[int, int], int]()
    progressive = False
    for marker, start in _markers(data):
        if marker in _FRAMES and not progressive:
            if marker != _PROGRESSIVE or len(data) < start + 8:
                return False
            progressive = True
            parts = data[start + 8 : start + 8 + 3 * data[start + 7] : 3]
            left = {(part, band): 1 for part in parts for band in range(_BANDS)}
        if marker == _START_OF_SCAN and progressive:
            count = int.from_bytes(data[start + 2 : start + 3])
            parts, tail = data[start + 3 : start + 3 + 2 * count : 2], data[start + 3 + 2 * count :][:3]
            if len(tail) < 3:
                break
            first, last, bits = tail
            left.update({(part, band): bits & 15 for part in parts for band in range(first, min(last, _BANDS - 1) + 1)})
        if marker == _END_OF_IMAGE:
            break
    return any(left.values())


def jpeg_end(data: bytes) -> int:
    """Offset of the first byte behind the first end-of-image marker; -1 where there is none."""
    nearest = 0  # the two bytes of that marker, wherever they stand, behind the last scan that was looked at
    for marker, start in _markers(data):
        if marker == _END_OF_IMAGE:
            return start
        if marker == _START_OF_SCAN:
            behind = start + int.from_bytes(data[start : start + 2])
            nearest = data.find(b"\xff\xd9", behind) if 0 <= nearest < behind else nearest
            if nearest == len(data) - 2:
                return len(data)  # they are nowhere else: most photos are done here, ten times as fast
    return -1
