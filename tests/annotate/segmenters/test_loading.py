"""Devices and precisions of segmenters: what cannot be computed is said in one line, before weights are looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from needs import need

from figureground.annotate.segmenters.loading import (
    CLICKABLE,
    SEGMENTER_NAMES,
    ModelChoice,
    load_interactive,
    load_models,
    load_segmenter,
)
from figureground.annotate.segmenters.onnx_models import OnnxModel, onnx_provider
from figureground.annotate.studio.backend_daemon import model_options
from figureground.cli.interactive import CLICKABLE_NAMES
from figureground.errors import UsageError

onnxruntime = pytest.importorskip("onnxruntime")
NOWHERE = Path("no/such/weights")


@pytest.fixture
def cpu_alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Neither library sees another device, whatever the machine has."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    return monkeypatch


@pytest.mark.parametrize(
    ("segmenter", "options", "message"),
    [
        ("sam", {"device": "cuda"}, "device cuda: this machine has none; it has cpu"),
        ("sam", {"device": "gpu"}, "device 'gpu': expected auto, cpu, cuda, cuda:N or mps"),
        (
            "sam",
            {"precision": "float16"},
            "precision float16: the cpu has no arithmetic for it; take bfloat16 or float32",
        ),
        ("sam", {"precision": "half"}, "precision 'half': expected float32, bfloat16, float16"),
        ("mobile-sam", {"device": "cuda:1"}, "device cuda:1: this ONNX Runtime has none; it has cpu"),
        ("saliency", {"device": "mps"}, "device mps: this ONNX Runtime has none; it has cpu"),
        ("detector", {"device": "gpu"}, "device 'gpu': expected auto, cpu, cuda, cuda:N or mps"),
        ("detector", {"precision": "bfloat16"}, "precision bfloat16: detector computes in float32 alone"),
        ("grabcut", {"device": "cuda"}, "device cuda: grabcut runs on the cpu alone"),
        ("grabcut", {"precision": "half"}, "precision 'half': expected float32, bfloat16, float16"),
    ],
)
def test_what_cannot_be_computed_is_said_first(
    cpu_alone: pytest.MonkeyPatch, segmenter: str, options: dict[str, Any], message: str
) -> None:
    checkpoint = None if segmenter == "grabcut" else NOWHERE
    with pytest.raises(UsageError) as refused:
        load_segmenter(segmenter, checkpoint=checkpoint, **options)
    assert str(refused.value) == message
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("segmenter", [name for name in SEGMENTER_NAMES if name != "grabcut"])
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_cpu_is_there_for_each_of_them(cpu_alone: pytest.MonkeyPatch, segmenter: str, device: str) -> None:
    with pytest.raises(UsageError, match=r"no/such/weights.*no such (file|folder)"):
        load_segmenter(segmenter, checkpoint=NOWHERE, device=device)


def test_auto_takes_cuda_where_onnx_runtime_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    assert onnx_provider("auto") == ("CUDAExecutionProvider", {"device_id": "0"})
    assert onnx_provider("cuda:3") == ("CUDAExecutionProvider", {"device_id": "3"})
    assert onnx_provider("cpu") == ("CPUExecutionProvider", {})
    with pytest.raises(UsageError, match=r"^device mps: this ONNX Runtime has none; it has cpu, cuda$"):
        onnx_provider("mps")


def test_a_provider_that_does_not_start_is_no_quiet_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime itself goes on without a provider that its build lacks."""
    need("CUDAExecutionProvider" not in onnxruntime.get_available_providers(), "this ONNX Runtime has CUDA")
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with pytest.raises(UsageError, match=r"^device cuda: ONNX Runtime could not start CUDAExecutionProvider"):
        OnnxModel(identity_model(), where="identity", threads=1, device="cuda")


def test_models_are_loaded_for_the_device_that_was_chosen(cpu_alone: pytest.MonkeyPatch) -> None:
    segmenter, saliency = load_models(ModelChoice(segmenter="grabcut", device="cpu"))
    assert (segmenter.name, saliency) == ("grabcut", None)
    with pytest.raises(UsageError, match="grabcut runs on the cpu alone"):
        load_models(ModelChoice(segmenter="grabcut", device="mps"))
    with pytest.raises(UsageError, match="this machine has none"):
        load_models(ModelChoice(segmenter="sam", checkpoint=str(NOWHERE), device="cuda", precision="float16"))


def test_a_backend_is_started_with_the_model_that_was_chosen() -> None:
    assert model_options(ModelChoice(segmenter="mobile-sam")) == ["--segmenter", "mobile-sam"]
    chosen = ModelChoice(segmenter="sam", checkpoint="sam_vit_b", device="cuda:1", precision="bfloat16")
    expected = "--segmenter sam --checkpoint sam_vit_b --device cuda:1 --precision bfloat16"
    assert model_options(chosen) == expected.split()


def identity_model() -> bytes:
    """An ONNX model that gives back the one number that it is fed."""
    onnx: Any = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    tensors = [helper.make_tensor_value_info(name, kind, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("segmenter", sorted(set(SEGMENTER_NAMES) - set(CLICKABLE)))
def test_what_takes_no_clicks_is_refused_before_its_weights_are_looked_for(segmenter: str) -> None:
    with pytest.raises(UsageError, match=f"{segmenter} takes no clicks; SAMs do, such as mobile-sam"):
        load_interactive(ModelChoice(segmenter=segmenter, checkpoint=str(NOWHERE)))


def test_the_command_line_names_those_that_take_clicks() -> None:
    assert set(CLICKABLE_NAMES.replace(" or ", ", ").split(", ")) == set(CLICKABLE)
