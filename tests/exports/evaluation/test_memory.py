"""Batches that do not fit into memory: halved, said once, and the same answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from figureground.exports import evaluate as script

torch = pytest.importorskip("torch")


class Narrow:
    """Fits ``most`` images."""

    name, input_size_hw, weights_sha256 = "narrow", (4, 4), "0" * 64

    def __init__(self, most: int, error: BaseException) -> None:
        self.most, self.error, self.sizes = most, error, list[int]()

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise self.error
        return np.asarray(images.mean(axis=(1, 2)), np.float32)


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    MemoryError("Unable to allocate 3.2 GiB"),
]


@pytest.mark.parametrize("error", FULL, ids=["cuda", "mps", "cpu", "numpy"])
def test_a_batch_that_does_not_fit_is_halved_and_that_is_said_once(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    adapter, rows = Narrow(5, error), [f"id{index}" for index in range(20)]
    for _ in range(2):
        assert script.checked_logits(adapter, images, rows) == pytest.approx(images.mean(axis=(1, 2)), abs=1e-4)
    assert adapter.sizes == [20, 10, 5, 5, 5, 5, 5, 5, 5, 5]
    assert capsys.readouterr().err == "narrow: no more than 5 images fit into its memory at a time\n"


def test_one_image_that_does_not_fit_is_a_fault_with_a_remedy() -> None:
    images = np.zeros((4, 4, 4, 3), np.uint8)
    with pytest.raises(
        script.EvaluationError, match=r"id0: it fails on images.*not even one image fits: take --precision"
    ):
        script.checked_logits(Narrow(0, FULL[0]), images, ["id0", "id1", "id2", "id3"])


def test_another_error_is_not_taken_for_a_full_memory() -> None:
    adapter = Narrow(1, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(script.EvaluationError, match="cannot be multiplied"):
        script.checked_logits(adapter, np.zeros((4, 4, 4, 3), np.uint8), ["a", "b", "c", "d"])
    assert adapter.sizes == [4]
