"""Clean-up: told before it is done, done once, and what was there before stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from lint_samples import FIGURES, SIZE_HW, accept_masks, disc, make_photos, with_squares
from shared_cases import run_here
from strategies import masks

from figureground.annotate.decisions import decide
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.lint.checking import lint_workspace
from figureground.annotate.lint.fixing import STEPS, fix
from figureground.annotate.lint.settings import LintSettings
from figureground.annotate.lint.specks import islands_of, pinholes_of
from figureground.errors import UsageError
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Annotation
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

FIGURE = FIGURES["plain"]
SPECKLED = with_squares(with_squares(FIGURE, [(5, 5)], 3, True), [(130, 230)], 3, False)
TAIL = disc(centre_yx=(130, 290), radius=20)
ALL = tuple(STEPS)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    workspace = make_photos(tmp_path)
    painted = {OBJECT: SPECKLED, "tail": TAIL, "shadow": disc(centre_yx=(30, 30), radius=20)}
    accept_masks(workspace, {"plain": painted, "mirrored": {OBJECT: FIGURE}})
    return workspace


@pytest.fixture
def store(work: Path) -> Iterator[Workspace]:
    with Workspace.open(work) as workspace:
        yield workspace


def states(store: Workspace) -> list[Annotation]:
    """Every state of the answer for the first dog."""
    (image_id,) = [image.image_id for image in store.images() if image.uri == "dog/plain.png"]
    return list(store.annotations(image_id))


def mask_of(answer: Annotation, name: str = OBJECT) -> Mask:
    return decode_coco_rle(answer.masks[name])


def test_nothing_is_stored_before_it_is_asked_for(store: Workspace) -> None:
    before = [*store.annotations()], store.decisions()
    report = fix(store, ALL)
    assert ([*store.annotations()], store.decisions()) == before
    changes = [(change.step, change.mask, change.added_px, change.removed_px) for change in report.changes]
    assert changes == [
        ("pinholes", OBJECT, 9, 0),
        ("islands", OBJECT, 0, 9),
        ("attribute_outside", "tail", 0, int((TAIL & ~FIGURE).sum())),
    ]
    assert "nothing is stored before you say --apply" in str(report)
    assert len(report.left) == 1
    assert "shadow lies outside" in report.left[0]


def test_a_check_names_the_command_that_mends_and_that_one_the_photos_and_the_freeze(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run_here(capsys, "lint", "-w", work)
    mends = f"figureground lint -w {work} --fix pinholes --fix islands --fix attribute_outside"
    assert out.endswith(f"how pinholes and islands and attribute_outside would be mended: {mends}  (--apply does it)\n")
    _, out, _ = run_here(capsys, *mends.split()[1:])
    assert " object (photos: dog/plain.png): 9 px added, 0 px removed\n" in out
    assert "figureground freeze" not in out
    _, out, _ = run_here(capsys, *mends.split()[1:], "--apply")
    assert out.endswith(f"never change: figureground freeze -w {work} --version NAME\n")
    _, out, _ = run_here(capsys, "lint", "-w", work, "--rule", "pinholes")
    assert "--fix" not in out


def test_a_mended_answer_is_a_later_state_that_names_the_steps(store: Workspace) -> None:
    changes = fix(store, ALL).changes
    assert fix(store, ALL, apply=True).changes == changes
    former, mended = states(store)
    assert np.array_equal(mask_of(former), SPECKLED)
    assert np.array_equal(mask_of(mended), FIGURE)
    assert np.array_equal(mask_of(mended, "tail"), TAIL & FIGURE)
    assert mask_of(mended, "shadow").any()
    assert (mended.annotation_id, mended.annotator) == (former.annotation_id, former.annotator)
    assert (mended.tool, mended.edited_by, mended.seconds) == ("lint+manual", "figureground-lint", former.seconds)
    assert mended.note.splitlines() == [
        "lint: pinholes filled under 64 px and 0.005 of the mask",
        "lint: islands dropped under 64 px and 0.005 of the mask",
        "lint: attribute_outside cut to the object",
    ]
    decision = store.decision(mended.image_id)
    assert decision is not None
    assert decision.reason.startswith("mended by lint: pinholes filled under 64 px")
    assert decision.annotation_id == mended.annotation_id


def test_a_second_call_finds_nothing_to_do(store: Workspace) -> None:
    fix(store, ALL, apply=True)
    before = [*store.annotations()]
    report = fix(store, ALL, apply=True)
    assert report.changes == []
    assert [*store.annotations()] == before
    assert [finding.rule for finding in lint_workspace(store).findings] == ["attribute_outside"]  # the shadow


def test_a_release_takes_the_mended_mask_and_later_answers_win(store: Workspace) -> None:
    fix(store, ALL, apply=True)
    records = {record.uri: record for record in read_release(freeze(store, "v1", FreezeOptions()).path)[1]}
    assert np.array_equal(decode_coco_rle(records["dog/plain.png"].mask), FIGURE)
    former, mended = states(store)
    decision = decide(mended.image_id, states(store))  # as the next pull decides
    assert decision is not None
    assert (decision.state, decision.annotation_id) == ("accepted", mended.annotation_id)
    assert former.updated_at < mended.updated_at < "2026-01-01T00:00:01Z"


def test_instances_stay_the_parts_of_their_union(tmp_path: Path) -> None:
    left, right = disc(centre_yx=(150, 120), radius=50), disc(centre_yx=(150, 280), radius=50)
    speck = with_squares(np.zeros(SIZE_HW, np.bool_), [(5, 5)], 3, True)
    holed = with_squares(left, [(150, 120)], 3, False)
    workspace = make_photos(tmp_path)
    instances = tuple(map(encode_coco_rle, (holed, right, speck)))
    accept_masks(workspace, {"plain": {OBJECT: holed | right | speck}}, instances=instances)
    with Workspace.open(workspace) as store:
        fix(store, ("pinholes", "islands"), apply=True)
        mended = states(store)[-1]
    assert np.array_equal(mask_of(mended), left | right)
    assert [
        np.array_equal(decode_coco_rle(rle), mask) for rle, mask in zip(mended.instances, (left, right), strict=True)
    ]
    assert len(mended.instances) == 2


def test_the_verb_tells_and_then_does(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_here(capsys, "lint", "-w", work, "--fix", "islands")
    assert code == 0
    assert "islands (dropped under 64 px and 0.005 of the mask)" in out
    assert run_here(capsys, "lint", "-w", work, "--fix", "islands", "--apply")[0] == 0
    code, out, _ = run_here(capsys, "lint", "-w", work, "--rule", "islands")
    assert "0 warnings" in out
    assert run_here(capsys, "lint", "-w", work, "--apply")[0] == 2
    assert run_here(capsys, "lint", work / "v1.parquet", "--fix", "islands")[0] == 2


def test_only_what_can_be_mended_is_taken(store: Workspace) -> None:
    with pytest.raises(UsageError, match="rim_shows_ground"):
        fix(store, ["rim_shows_ground"])


@given(masks())
def test_steps_leave_no_specks_and_do_nothing_to_mended_masks(mask: Mask) -> None:
    settings = LintSettings(island_px=5, island_share=1, pinhole_px=5, pinhole_share=1)
    named: dict[str, Any] = {OBJECT: mask}
    for name in ("pinholes", "islands"):
        named = STEPS[name].mend(named, settings)
        assert STEPS[name].mend(named, settings)[OBJECT].tobytes() == named[OBJECT].tobytes()
    assert pinholes_of(named[OBJECT], settings) is None
    assert islands_of(named[OBJECT], settings) is None
    assert named[OBJECT].any() == mask.any()
