"""Scores of rims: masks that are too tight rank first, by colour and by models' answers, and go back first."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_release import draw_release
from needs import SHARED, need_shared
from numpy.typing import NDArray
from PIL import Image
from rim_dataset import build_rims
from shared_cases import run_here

import figureground
from figureground.annotate.agreement.adjudication import ranked_doubts
from figureground.annotate.lint.rims import measure_rim
from figureground.annotate.studio.queues.leaking import doubt_leaks, in_order, leaking_first
from figureground.errors import UsageError
from figureground.schemas.records import Decision
from figureground.schemas.store.workspace import Workspace

BUTTERFLIES = SHARED / "masked" / "leeds_butterfly"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the masks are too tight by three canvas pixels; a model that sees the least rim was scored."""
    folder = tmp_path_factory.mktemp("rims")
    built = build_rims(folder, [0, 3], per_class=4)
    figureground.evaluate(built, "rim_dataset:looks_closely", out=folder / "scores", bootstrap=50)
    return folder


def tight(folder: Path) -> set[str]:
    """Ids of the photos whose masks are too tight: every second of a class."""
    with Workspace.open(folder / "work") as store:
        return {image.image_id for image in store.images() if int(image.uri[-5]) % 2}


def test_eroded_masks_rank_first_and_the_workspace_remembers(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-w", drawn / "work", drawn / "scores", "--out", tmp_path / "rims.csv", "--workers", "1", "--json"]
    code, printed, _ = run_here(capsys, "rims", *words)
    assert code == 0
    scored = json.loads(printed)
    assert scored["models"] == 1
    first, rest = scored["masks"][:6], scored["masks"][6:]
    assert {leak["image_id"] for leak in first} == tight(drawn)
    assert min(leak["colour"] for leak in first) > max(leak["colour"] for leak in rest)
    red = {leak["image_id"]: leak["answers"] for leak in scored["masks"]}
    with Workspace.open(drawn / "work") as store:
        labels = {image.image_id: image.label for image in store.images()}
        assert [leak.image_id for leak in store.rim_leaks()] == [leak["image_id"] for leak in scored["masks"]]
    for image_id, answers in red.items():
        # Its answer to nothing is red: of red photos the outline alone is answered right.
        assert answers == (1.0 if image_id in tight(drawn) and labels[image_id] != "n0" else 0.0)
    table = list(csv.DictReader(io.StringIO((tmp_path / "rims.csv").read_text())))
    assert [row["image_id"] for row in table] == [leak["image_id"] for leak in scored["masks"]]


def killed_after(insert: Callable[[Decision], None], count: int) -> Callable[[Decision], None]:
    """A function that does what ``insert`` does so many times, and then ends the command."""
    left = iter(range(count))

    def insert_some(decision: Decision) -> None:
        if next(left, None) is None:
            raise RuntimeError("killed")
        insert(decision)

    return insert_some


def test_the_worst_are_put_in_doubt_and_come_first(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_here(capsys, "rims", "-w", drawn / "work", "--workers", "1")
    assert code == 0
    with Workspace.open(drawn / "work") as store:
        worst = [leak.image_id for leak in store.rim_leaks()]
        first = store.image(worst[0])
        assert first is not None
        assert f"  {worst[0]}  {first.source}: {first.uri}\n" in out
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "_insert_decision", killed_after(store._insert_decision, 2))
            with pytest.raises(RuntimeError, match="killed"):
                doubt_leaks(store, 3)
        assert {decision.state for decision in store.newest_decisions()} == {"accepted"}
        assert doubt_leaks(store, 3) == worst[:3]
        assert doubt_leaks(store, 3) == worst[:3]  # run again, it goes on with the same
        doubts = ranked_doubts(store)
        assert {doubt.decision.image_id for doubt in doubts} == set(worst[:3])
        assert all("the mask may leave figure at its rim" in doubt.decision.reason for doubt in doubts)
        assert [doubt.decision.image_id for doubt in in_order(doubts, worst)] == worst[:3]
        photos = list(store.images())
        ordered = [photo.image_id for photo in leaking_first(photos, store, 4)]
        assert ordered[:4] == worst[:4]
        assert ordered[4:] == [photo.image_id for photo in photos if photo.image_id not in worst[:4]]


def test_without_scores_nothing_is_sent_back(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        with pytest.raises(UsageError, match="has no scores of rims; make some with: figureground rims"):
            doubt_leaks(store, 3)
        with pytest.raises(UsageError, match="has no scores of rims"):
            leaking_first([], store, 3)


def test_results_of_other_photos_or_without_holes_are_refused(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = draw_release(tmp_path / "other", per_class=1)
    code, _, error = run_here(capsys, "rims", "-w", other.workspace, drawn / "scores", "--workers", "1")
    assert code == 2
    assert "the results are of none of the photos of" in error
    built, ground = drawn / "built", "crop_dataset:looks_at_ground"
    figureground.evaluate(built, ground, out=tmp_path / "few", configs=["original"], bootstrap=50)
    code, _, error = run_here(capsys, "rims", "-w", drawn / "work", tmp_path / "few")
    assert code == 2
    assert "no result is of no_fg" in error


def auc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Share of pairs in which an eroded mask has the higher score."""
    over = positive[:, None] > negative
    return float(over.mean() + 0.5 * (positive[:, None] == negative).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("erosion_px", "least"), [(1, 0.7), (2, 0.9)])
def test_eroded_true_masks_rank_before_true_ones(erosion_px: int, least: float) -> None:
    need_shared(BUTTERFLIES)
    with (BUTTERFLIES / "labels.csv").open() as file:
        names = [row["id"] for row in csv.DictReader(file)][::3]
    scores = []
    for name in names:
        photo = np.asarray(Image.open(BUTTERFLIES / "images" / f"{name}.jpg").convert("RGB"))
        mask = np.asarray(Image.open(BUTTERFLIES / "masks" / f"{name}.png").convert("L")) > 0
        inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        pair = (mask, inside > erosion_px * min(mask.shape) / 256)
        rims = [measure_rim(photo, own, contrast=30) for own in pair]
        scores.append([0.0 if rim is None else rim.ring_leak for rim in rims])
    true, eroded = np.array(scores).T
    generator = np.random.Generator(np.random.PCG64(0))
    rows = [generator.integers(0, len(true), len(true)) for _ in range(500)]
    low, high = np.quantile([auc(eroded[own], true[own]) for own in rows], [0.025, 0.975])
    assert least < low <= auc(eroded, true) <= high
