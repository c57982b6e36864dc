"""Tiny models, each saved once a run, and pictures to show them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_dataset import CLASS_MAP
from numpy.typing import NDArray
from PIL import Image
from scored_cases import scratch

from figureground.exports import evaluate as script


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by the name of what writes it: vit, clip, siglip, open_clip or chat."""
    import tiny_models

    root = tmp_path_factory.mktemp("tiny")

    def folder(kind: str) -> Path:
        path = Path(root, kind)
        return path if path.exists() else Path(getattr(tiny_models, f"write_{kind}")(path))

    return folder


@pytest.fixture(scope="session")
def classes() -> Any:
    """Those of the dataset of colours: red, green, blue."""
    return script.parse_class_map(json.dumps(CLASS_MAP))


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """Three pictures of the size that tiny models take."""
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    with scratch(tmp_path):
        yield


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned() -> bytes:
    """A JPEG whose EXIF says that it lies on its side (orientation 6)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    halves = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    return encode(Image.fromarray(halves), "JPEG", exif=exif)


def noise(height: int, width: int) -> bytes:
    return encode(Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)))


@pytest.fixture(scope="session", params=["odd", "one-pixel-row", "three-pixel-row", "one-pixel-column", "exif-6"])
def stored(request: pytest.FixtureRequest) -> bytes:
    """A stored picture that readers of pictures have been wrong about."""
    drawn: dict[str, Callable[[], bytes]] = {
        "odd": lambda: noise(23, 37),
        "one-pixel-row": lambda: noise(1, 40),
        "three-pixel-row": lambda: noise(3, 40),
        "one-pixel-column": lambda: noise(40, 1),
        "exif-6": turned,
    }
    return drawn[request.param]()
