"""What a model is fed: the plain formula, to the bit, however it is computed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from figureground.exports import evaluate as script


@given(
    st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 9)),
    st.sampled_from(["uint8", "float32", "turned"]),
    st.integers(0, 2**32),
)
def test_normalising_is_the_plain_formula_to_the_bit(size: tuple[int, int, int], kind: str, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    images: NDArray[np.uint8] = drawn.integers(0, 256, (*size, 3), np.uint8)
    shown: NDArray[Any] = images.astype(np.float32) / 255 if kind == "float32" else images
    if kind == "turned":
        shown = np.swapaxes(shown, 1, 2)
    before = shown.copy()
    mean, std = tuple(drawn.random(3)), tuple(drawn.uniform(0.1, 1, 3))
    scaled = shown.astype(np.float32) / np.float32(1 if kind == "float32" else 255)
    expected = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    result = script.normalise(shown, mean, std)
    assert result.dtype == np.float32
    assert np.array_equal(result, expected)
    assert np.array_equal(shown, before)


class Idle:
    """An adapter that is never asked."""

    name, input_size_hw, weights_sha256 = "idle", (2, 2), "0" * 64

    def __init__(self, on_cpu: bool) -> None:
        self.on_cpu = on_cpu

    def logits(self, images: script.Images) -> script.Logits:
        raise AssertionError(len(images))


def feeder(batch_size: int, ahead: bool) -> script.Feeder:
    return script.Feeder(adapter=Idle(on_cpu=not ahead), batch_size=batch_size)


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("rest", [1, 31, 32, 33, 70])
def test_batches_are_the_rows_in_their_order(rest: int, ahead: bool) -> None:
    import datasets

    table = datasets.Dataset.from_dict(
        {"image": [{"bytes": bytes([row])} for row in range(rest)], "image_id": [f"{row}" for row in range(rest)]}
    )

    def show(stored: bytes | None, record: str) -> NDArray[np.uint8]:
        assert stored is not None
        assert record == f"toy/{stored[0]}"
        return np.full((1, 2, 2, 3), stored[0], np.uint8)

    batches = list(script._batches(feeder(32, ahead), table, "toy", show))
    assert max(map(len, batches)) <= 32
    assert np.concatenate(batches)[:, 0, 0, 0, 0].tolist() == list(range(rest))


@pytest.mark.parametrize(("ahead", "decoded"), [(False, 2), (True, 4)])
def test_only_a_model_that_leaves_the_processors_alone_is_decoded_for_ahead(ahead: bool, decoded: int) -> None:
    import datasets

    shown: list[str] = []
    table = datasets.Dataset.from_dict({"image": [{"bytes": b"."}] * 6, "image_id": list("abcdef")})

    def show(_: bytes | None, record: str) -> NDArray[np.uint8]:
        shown.append(record)
        return np.zeros((1, 2, 2, 3), np.uint8)

    batches = script._batches(feeder(2, ahead), table, "toy", show)
    next(batches)
    deadline = time.monotonic() + 10
    while len(shown) < decoded and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(shown) == decoded
    assert len(list(batches)) == 2
