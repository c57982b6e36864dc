"""Where a model runs: the table, on this machine's torch and on devices that are faked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_dataset import write_adapter, write_dataset

from figureground.cli.app import main
from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError
from figureground.runtime.devices import available_devices, resolve_device

pytestmark = pytest.mark.usefixtures("offline_datasets", "fresh_modules")
torch = pytest.importorskip("torch")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
def test_auto_takes_what_is_there() -> None:
    assert script.resolve_device("auto") == resolve_device("auto") == "cuda"
    assert script.resolve_device("cuda:1") == "cuda:1"
    assert script.available_devices() == available_devices()
    with pytest.raises(EvaluationError, match=r"device cuda:2: this machine has none; it has cpu, cuda:0, cuda:1"):
        script.resolve_device("cuda:2")


def test_mps_is_taken_where_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert script.resolve_device("auto") == resolve_device("auto") == "mps"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "meta", ""])
def test_other_names_are_no_devices(name: str) -> None:
    with pytest.raises(EvaluationError, match="expected auto, cpu, cuda, cuda:N or mps") as caught:
        script.resolve_device(name)
    assert caught.value.exit_code == 2


class Small(script.TorchAdapter):
    """Three outputs: the means of the channels."""

    name, input_size_hw, weights_sha256 = "small", (4, 4), "0" * 64
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        self.network = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 4), torch.nn.Flatten()).eval()


def test_a_network_is_moved_and_answers_in_float32() -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    adapter = Small()
    plain = adapter.logits(images)
    adapter.run_on("cpu", "bfloat16")
    rounded = adapter.logits(images)
    assert rounded.dtype == plain.dtype == np.float32
    assert 0 < np.abs(rounded - plain).max() < 0.05
    adapter.run_on("meta", "float32")
    assert next(adapter.network.parameters()).device.type == "meta"
    assert (adapter.device, adapter.precision, adapter.on_cpu) == ("meta", "float32", False)


def test_results_say_what_ran_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = Path(__file__).read_text(encoding="utf-8").partition("class Small")[2].partition("\n\n\ndef")[0]
    head = (
        "import torch\nfrom figureground.exports.evaluation.model_files import torch_models as script\n\n\nclass Small"
    )
    (tmp_path / "small_model.py").write_text(f"{head}{lines}\n\n\ndef make():\n    return Small()\n")
    repo = write_dataset(tmp_path / "colours")
    call: dict[str, Any] = {"configs": ["original"], "bootstrap": 5}
    result = script.evaluate(repo, "small_model:make", precision="bfloat16", **call)
    assert (result["device"], result["precision"]) == ("cpu", "bfloat16")
    with pytest.raises(EvaluationError, match="the cpu has no arithmetic for it"):
        script.evaluate(repo, "small_model:make", precision="float16", **call)


def test_a_model_that_chooses_its_own_device_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_adapter(tmp_path, "own_device", answer="images.mean(axis=(1, 2))")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert script.load_model("own_device:make", device="auto").name
    with pytest.raises(EvaluationError, match="it chooses its own") as caught:
        script.load_model("own_device:make", device="cuda")
    assert caught.value.exit_code == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:3", "mps"])
def test_a_device_that_is_not_there_is_one_line_and_exit_code_2(
    tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = write_dataset(tmp_path / "colours")
    spec = "figureground.exports.evaluation.classifiers:efficientnet_lite0"
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(repo), "--model", spec, "--device", device])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: device {device}: this machine has none; it has cpu\n"
