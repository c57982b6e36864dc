"""Time that machine masks saved: each person against himself or herself, with an interval that holds the truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered_photos import add_answer, add_photo, add_proposal, band

from figureground.annotate.agreement.time_saved import (
    NO_COMPARISON,
    NOTHING,
    PAUSE_SECONDS,
    Saving,
    measure_saving,
    report_times,
)
from figureground.schemas.records import SHEET_TOOL, Annotation
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        yield workspace


def timed(image_id: str, who: str, seconds: float) -> Annotation:
    return Annotation(
        annotation_id=f"{image_id} {who}",
        updated_at="2026-01-01T00:00:00.000000Z",
        image_id=image_id,
        masks={},
        attributes={},
        flags=(),
        annotator=who,
        seconds=seconds,
        tool="manual",
        proposal_id="",
        edit_iou=None,
    )


def test_people_are_compared_with_themselves() -> None:
    """The slow one painted from nothing more often, which makes no saving."""
    painted = [timed("a", "slow", 100), timed("b", "slow", 120), timed("c", "fast", 30), timed("d", "fast", 10)]
    corrected = [timed("e", "slow", 80), timed("f", "slow", 100), timed("g", "fast", 5), timed("h", "fast", 15)]
    corrected += [timed("i", "fast", 10), timed("j", "fast", 10), timed("k", "once", 1)]
    saving = measure_saving(painted, corrected)
    assert saving.seconds == pytest.approx((2 * (110 - 90) + 4 * (20 - 10)) / 6)
    assert (saving.annotators, saving.photos, saving.ci95, saving.reason) == (2, 10, None, "too few to say")
    assert measure_saving(painted[:1], corrected) == Saving(reason=NO_COMPARISON)
    assert measure_saving(painted, []).seconds is None


@pytest.mark.parametrize("people", [1, 3])
def test_its_interval_holds_the_truth(people: int) -> None:
    generator = np.random.Generator(np.random.Philox(people))
    covered, others, known = 0, 0, 0
    for _ in range(150):
        painted, corrected = [], []
        savings = []
        for person in range(people):
            pace = float(np.exp(generator.normal(0, 0.4)))
            saved = 20 + 8 * generator.standard_normal() * (people > 1)
            savings.append(saved)
            for number in range(30):
                noise = generator.lognormal(0, 0.5, 2) - np.exp(0.125)
                painted.append(timed(f"p{person}-{number}", str(person), 60 * pace + 30 * noise[0]))
                corrected.append(timed(f"c{person}-{number}", str(person), 60 * pace - saved + 20 * noise[1]))
        saving = measure_saving(painted, corrected)
        if saving.ci95 is not None:
            known += 1
            covered += saving.ci95[0] <= sum(savings) / people <= saving.ci95[1]
            assert saving.ci95[1] - saving.ci95[0] < 40
            if saving.ci95_others is not None:
                others += saving.ci95_others[0] <= 20 <= saving.ci95_others[1]
    assert known == 150
    assert covered >= 0.92 * known
    assert others >= 0.92 * known if people > 1 else others == 0


def test_times_are_those_of_what_was_painted_here(store: Workspace) -> None:
    machine = {
        name: add_proposal(store, add_photo(store, name), segmenter)
        for name, segmenter in (("a", "sam"), ("b", "sam"), ("c", "sam"), ("d", "other"))
    }
    untouched: dict[str, Any] = {"edit_iou": 1.0, "changed_px": 0}

    def began(name: str, who: str, seconds: float, **more: Any) -> None:
        fields = {"proposal_id": machine[name], **untouched, **more}
        add_answer(store, add_photo(store, name), who, {"object": band(3)}, seconds=seconds, **fields)

    began("a", "p1", 10)
    began("b", "p1", 30, edit_iou=0.95, changed_px=3)
    began("c", "p1", 50, edit_iou=0.5, changed_px=30)
    began("d", "p2", 20)
    began("a", "p2", 2000)
    began("b", "p2", 5, tool=SHEET_TOOL)
    began("c", "p2", 5, origin="made elsewhere")
    began("d", "p3", 0)
    add_answer(store, add_photo(store, "e"), "p1", {"object": band(3)}, seconds=80)
    add_answer(store, add_photo(store, "f"), "p1", {}, seconds=70)
    report = report_times(store)
    assert [own.segmenter for own in report.segmenters] == [NOTHING, "other", "sam"]
    nothing, other, sam = report.segmenters
    assert (nothing.answers, nothing.seconds.median, nothing.saving) == (1, 80, None)
    assert (other.answers, other.annotators) == (1, 1)
    assert (sam.answers, sam.seconds.median, sam.annotators) == (3, 30, 1)
    assert sam.edits == {"untouched": 1, "touched_up": 1, "redrawn": 1}
    assert sam.edit_seconds == {"untouched": 10, "touched_up": 30, "redrawn": 50}
    assert (sam.minutes_saved, sam.to_json()["saved"]["no_ci95"]) == (None, NO_COMPARISON)
    assert report.pauses == 1
    add_answer(store, add_photo(store, "g"), "p1", {"object": band(3)}, seconds=PAUSE_SECONDS)
    sam = report_times(store).segmenters[2]
    assert sam.minutes_saved == pytest.approx(3 * ((80 + PAUSE_SECONDS) / 2 - 30) / 60)


def test_nobody_was_timed(store: Workspace) -> None:
    add_answer(store, add_photo(store, "a"), "p1", {"object": band(3)})
    assert report_times(store).segmenters == ()
