"""What a map has beyond displaced masks: nothing if it is blind, all if it is the figure, at every area."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from strategies import square_mask

from figureground.errors import UsageError
from figureground.exports.analyses.attribution import SaliencySettings
from figureground.exports.analyses.networks import load_network
from figureground.exports.analyses.nulls.displaced import (
    NullMeasure,
    NullSettings,
    displaced_masks,
    measure_null,
    summarise_nulls,
)
from figureground.exports.analyses.nulls.drawing import draw_nulls
from figureground.exports.analyses.saliency_metrics import METRIC_NAMES
from figureground.exports.analyses.saliency_report import AnalysisInput, SaliencyRequest, analyse_saliency
from figureground.exports.analyses.spuriosity import SpuriositySettings, rank_spuriosity

SIDE = 32
SIDES_PX = (6, 9, 12, 18, 24)  # of square objects: 3.5, 7.9, 14.1, 31.6, 56.3 % of the canvas
PER_SIDE = 25


@cache
def drawn(kind: str, grow_px: tuple[int, ...] = (0,), per_side: int = PER_SIDE) -> tuple[NullMeasure, ...]:
    """Squares anywhere; maps that are blobs anywhere, or the mask itself."""
    generator = np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    measures = []
    for side in SIDES_PX:
        for number in range(per_side):
            y, x, centre_y, centre_x = generator.integers(0, [SIDE - side + 1, SIDE - side + 1, SIDE, SIDE])
            mask = square_mask((SIDE, SIDE), (int(x), int(y), int(x) + side, int(y) + side))
            away = np.minimum(abs(rows - centre_y), SIDE - abs(rows - centre_y)) ** 2
            away = away + np.minimum(abs(columns - centre_x), SIDE - abs(columns - centre_x)) ** 2
            saliency = mask.astype(np.float64) if kind == "oracle" else np.exp(-away / 60)
            settings = NullSettings(displacements=3, grow_px=grow_px)
            null = measure_null(saliency, mask, f"{side}-{number}", number % 2, settings)
            assert null is not None
            measures.append(null)
    return tuple(measures)


def test_a_map_that_is_blind_to_the_figure_has_nothing_beyond_its_null_at_any_area() -> None:
    summary = summarise_nulls(drawn("blind"), METRIC_NAMES, bootstrap=400, seed=0)
    assert [part["n"] for part in summary["by_area"]] == [PER_SIDE] * 5
    missed = 0
    for part in summary["by_area"]:
        for name in METRIC_NAMES:
            for figure in ("beyond_null", "skill"):
                low, high = part["metrics"][name][figure]["ci95"]
                missed += not low <= 0 <= high
    assert missed <= 6  # of 80 intervals of 95 %
    for name in METRIC_NAMES:
        low, high = summary["metrics"][name]["beyond_null"]["ci95"]
        assert low <= 0 <= high
    precisions = [part["metrics"]["precision"]["value"] for part in summary["by_area"]]
    assert precisions[0] < 0.1 < 0.5 < precisions[-1]  # which by itself follows the area


def test_the_least_width_of_an_interval_is_that_of_the_places_there_are() -> None:
    """Images that agree: only the variance between places, of one place and the mean of D, gives a width."""
    widths, measures = {}, np.array([[0.5]])
    for count in (2, 8):
        places = np.resize([0.2, 0.8], count).reshape(-1, 1, 1)
        spread = places.var(axis=0, ddof=1)
        scaled = 0.5 + (places - 0.5) * np.sqrt(0.01 / spread)  # one variance whatever the number
        images = [
            NullMeasure.of(f"{number}", 0, 0.1, own=measures, places=scaled, best=np.array([[9.0]]))
            for number in range(40)
        ]
        cell = summarise_nulls(images, ["iou"], bootstrap=4000, seed=0)["metrics"]["iou"]["beyond_null"]
        widths[count] = np.ptp(cell["ci95"])
    assert (widths[2] / widths[8]) ** 2 == pytest.approx((1 + 1 / 2) / (1 + 1 / 8))


def test_one_place_of_each_mask_gives_no_interval() -> None:
    images = [replace(image, spread=np.full_like(image.spread, np.nan), places=1) for image in drawn("blind")]
    mask = square_mask((SIDE, SIDE), (2, 4, 10, 9))
    one = measure_null(np.arange(SIDE**2).reshape(SIDE, SIDE) / SIDE**2, mask, "a", 0, NullSettings(displacements=1))
    assert one is not None
    assert one.places == 1
    assert np.isnan(one.spread).all()
    measured = summarise_nulls([*images, one], METRIC_NAMES, bootstrap=100, seed=0)["metrics"]["iou"]
    for figure in ("beyond_null", "skill"):
        assert measured[figure]["value"] is not None
        reason = "one place of each mask does not tell how far places differ"
        assert (measured[figure]["ci95"], measured[figure]["p"], measured[figure]["no_ci95"]) == (None, None, reason)


def test_a_map_that_is_the_figure_has_all_that_can_be_had_at_every_area() -> None:
    summary = summarise_nulls(drawn("oracle", per_side=5), METRIC_NAMES, bootstrap=100, seed=0)
    for part in summary["by_area"]:
        for name in METRIC_NAMES:
            assert part["metrics"][name]["skill"]["value"] == pytest.approx(1)
            assert part["metrics"][name]["beyond_null"]["value"] > 0.2


def test_masks_are_moved_whole_to_places_that_the_id_decides() -> None:
    mask = square_mask((SIDE, SIDE), (2, 4, 10, 9))
    moved = list(displaced_masks(mask, "photo", 6))
    assert all(other.sum() == mask.sum() for other in moved)
    assert len({other.tobytes() for other in moved}) >= 5  # six offsets of 1,024 that seldom meet
    assert [other.tobytes() for other in displaced_masks(mask, "photo", 6)] == [other.tobytes() for other in moved]
    assert next(displaced_masks(mask, "other", 1)).tobytes() != moved[0].tobytes()


def test_the_variance_of_masks_is_in_the_interval() -> None:
    three = drawn("oracle", (0, 3, -2), per_side=5)
    assert {image.own.shape for image in three} == {(3, 8)}
    one = [
        replace(image, **{part: getattr(image, part)[:1] for part in ("own", "null", "spread", "best")})
        for image in three
    ]
    narrow, wide = (
        np.ptp(summarise_nulls(images, METRIC_NAMES, bootstrap=800, seed=0)["metrics"]["iou"]["skill"]["ci95"] or [0])
        for images in (one, three)
    )
    assert wide > 0.05
    assert narrow == 0  # the very mask: no image differs, and there is no interval


def test_a_mask_that_vanishes_when_it_is_eroded_is_not_measured() -> None:
    mask, map_hw = square_mask((SIDE, SIDE), (2, 2, 5, 5)), np.eye(SIDE)
    assert measure_null(map_hw, mask, "a", 0, NullSettings(grow_px=(0, -4))) is None


def test_saliency_and_spuriosity_come_with_what_they_have_beyond(given: AnalysisInput, tmp_path: Path) -> None:
    model = load_network("figure_models:half_lazy")
    nulls = NullSettings(displacements=2, grow_px=(0, 1))
    request = SaliencyRequest(settings=SaliencySettings(), bootstrap=50, shown=0, nulls=nulls, null_format="svg")
    result = analyse_saliency(given, [model], request, tmp_path / "saliency")
    assert result == json.loads((tmp_path / "saliency" / "saliency.json").read_text())
    beyond = result["models"][0]["beyond_null"]["metrics"]["precision"]
    assert beyond["beyond_null"]["value"] == pytest.approx(beyond["value"] - beyond["null"])
    assert {"nulls.svg", "nulls_by_area.svg"} <= set(result["files"])
    ranked = rank_spuriosity(given, model, SpuriositySettings(), tmp_path / "ranks")
    assert {"nulls.png", "nulls_by_area.png"} <= set(ranked["files"])
    for ranking in ranked["classes"].values():
        for unit in ranking["candidates"]:
            if unit["precision"] is not None:
                wanted = (unit["precision"] - unit["null_precision"]) / (
                    unit["reachable_precision"] - unit["null_precision"]
                )
                assert unit["skill"] == pytest.approx(wanted)
    overall = ranked["beyond_null"]["metrics"]["precision"]
    assert 0 < overall["null"] < overall["best"] <= 1


def test_bars_are_drawn_alike_each_time() -> None:
    summary = summarise_nulls(drawn("oracle", per_side=5), METRIC_NAMES, bootstrap=50, seed=0)
    drawings = [draw_nulls({"blind": summary}, {"iou": "IoU"}, "drawn squares", "pdf") for _ in range(2)]
    assert drawings[0] == drawings[1]
    assert all(content.startswith(b"%PDF") for content in drawings[0].values())


def test_masks_that_are_no_numbers_are_refused() -> None:
    from figureground.cli.analyses.options import SaliencyReportOptions

    assert SaliencyReportOptions(mask_grow="0,4,-4").nulls().grow_px == (0, 4, -4)
    with pytest.raises(UsageError, match="mask-grow"):
        SaliencyReportOptions(mask_grow="some").nulls()
