"""Devices and precisions by name, with the machine's real torch and with faked devices."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest
from needs import need

from figureground.errors import UsageError
from figureground.runtime.devices import (
    PRECISIONS,
    available_devices,
    check_precision,
    device_kind,
    device_number,
    resolve_device,
    torch_dtype,
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """torch, with neither GPUs nor Apple's until a test says otherwise."""
    need(find_spec("torch") is not None, "torch is not installed")
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


def test_auto_takes_cuda_then_mps_then_the_cpu(machine: pytest.MonkeyPatch) -> None:
    assert resolve_device() == "cpu"
    machine.setattr("torch.backends.mps.is_available", lambda: True)
    assert resolve_device("auto") == "mps"
    machine.setattr("torch.cuda.is_available", lambda: True)
    machine.setattr("torch.cuda.device_count", lambda: 2)
    assert resolve_device("auto") == "cuda"


def test_named_devices_that_are_there_stay_as_named(machine: pytest.MonkeyPatch) -> None:
    machine.setattr("torch.cuda.is_available", lambda: True)
    machine.setattr("torch.cuda.device_count", lambda: 2)
    assert available_devices() == ("cpu", "cuda:0", "cuda:1")
    assert [resolve_device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]


def test_a_device_that_is_not_there_is_named_beside_those_that_are(machine: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as refused:
        resolve_device("cuda")
    assert str(refused.value) == "device cuda: this machine has none; it has cpu"
    machine.setattr("torch.cuda.is_available", lambda: True)
    machine.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UsageError, match=r"^device cuda:1: this machine has none; it has cpu, cuda:0$"):
        resolve_device("cuda:1")


@pytest.mark.parametrize("name", ["", "gpu", "CUDA", "cuda:", "cuda:x", "cpu:0", "meta", "cuda:0\n", "auto "])
def test_no_device_is_called_so(name: str) -> None:
    with pytest.raises(UsageError, match="expected auto, cpu, cuda, cuda:N or mps"):
        resolve_device(name)


def test_without_torch_there_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("figureground.runtime.devices.find_spec", lambda _: None)
    assert resolve_device() == "cpu"
    with pytest.raises(UsageError, match=r"it has cpu$"):
        resolve_device("mps")


def test_the_cpu_by_name_imports_no_torch() -> None:
    code = (
        "import sys\nfrom figureground.runtime.devices import resolve_device\n"
        "assert resolve_device('cpu') == 'cpu'\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=60)


def test_names_of_devices_are_taken_apart() -> None:
    assert (device_kind("cuda:3"), device_number("cuda:3")) == ("cuda", 3)
    assert (device_kind("mps"), device_number("mps")) == ("mps", 0)


def test_float16_is_for_accelerators() -> None:
    assert [check_precision("cuda:0", name) for name in PRECISIONS] == list(PRECISIONS)
    assert check_precision("cpu", "bfloat16") == "bfloat16"
    assert check_precision("mps", "float16") == "float16"
    with pytest.raises(UsageError, match=r"^precision float16: the cpu has no arithmetic for it; take bfloat16"):
        check_precision("cpu", "float16")
    with pytest.raises(UsageError, match="expected float32, bfloat16, float16"):
        check_precision("cuda", "fp16")


def test_precisions_are_the_types_of_torch() -> None:
    need(find_spec("torch") is not None, "torch is not installed")
    import torch

    sizes = [torch.empty(2, dtype=torch_dtype(name), device="meta").element_size() for name in PRECISIONS]
    assert sizes == [4, 2, 2]
