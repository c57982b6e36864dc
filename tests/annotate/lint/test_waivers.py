"""Waivers: which finding each lets stand, and what is wrong with one that lets none."""

from __future__ import annotations

from pathlib import Path

import pytest
from lint_samples import FIGURES, accept_masks, make_photos, with_squares

from figureground.annotate.lint.checking import LintOptions, lint_workspace
from figureground.annotate.lint.linting import LintReport
from figureground.errors import DataError, UsageError
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A workspace with islands on one mask."""
    workspace = make_photos(tmp_path)
    specks = with_squares(FIGURES["plain"], [(5, 5)], 3, True)
    accept_masks(workspace, {"plain": {"object": specks}, "mirrored": {"object": FIGURES["mirrored"]}})
    return workspace


def checked(work: Path, *waivers: str, **options: object) -> LintReport:
    """The report under waivers, whose objects are written as ``<plain>`` and the like."""
    with Workspace.open(work) as store:
        text = "waivers:\n" + "".join(f"- {{{waiver}, who: Ada, why: fleas}}\n" for waiver in waivers)
        for image in store.images():
            text = text.replace(f"<{Path(image.uri).stem}>", image.image_id)
        path = work.parent / "waivers.yaml"
        path.write_text(text)
        return lint_workspace(store, LintOptions(waivers=path, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "waiver",
    [
        "rule: islands, object: <plain>",
        "rule: islands, object: <plain>.0",
        "rule: islands, object: <plain>, mask: object",
    ],
)
def test_a_waiver_lets_its_finding_stand_and_says_who_and_why(work: Path, waiver: str) -> None:
    report = checked(work, waiver)
    assert [(f.rule, f.waived_by, f.waived_why) for f in report.findings] == [("islands", "Ada", "fleas")]
    assert report.standing == []
    assert list(report.faults) == []
    assert report.summary()["rules"]["islands"] == {"severity": "warning", "checked": 2, "findings": 0, "waived": 1}


@pytest.mark.parametrize(
    ("waiver", "got"),
    [
        pytest.param("rule: pinholes, object: <plain>", "none", id="no such finding"),
        pytest.param("rule: islands, object: <mirrored>", "none", id="another photo"),
        pytest.param("rule: islands, object: <plain>, mask: tail", "none", id="another mask"),
        pytest.param("rule: islands, object: <plain>, origin: earlier", "none", id="an earlier answer"),
        pytest.param("rule: islands, object: nobody", "no such object", id="no photo"),
    ],
)
def test_a_waiver_that_fits_nothing_is_a_fault(work: Path, waiver: str, got: str) -> None:
    report = checked(work, waiver)
    (fault,) = report.faults
    assert fault.got == got
    assert "Ada: fleas" in fault.record
    assert [finding.rule for finding in report.standing] == ["islands"]


def test_what_was_not_looked_at_is_not_judged(work: Path) -> None:
    assert list(checked(work, "rule: islands, object: <tall>").faults) == []
    assert list(checked(work, "rule: pinholes, object: <plain>", rules=("islands",)).faults) == []


def test_every_fault_of_the_file_is_told(work: Path) -> None:
    with pytest.raises(DataError) as caught:
        checked(work, "rule: iselands, object: <plain>", "rule: pinholes2, object: <plain>")
    assert [fault.got for fault in caught.value.faults] == ["iselands", "pinholes2"]
    with Workspace.open(work) as store:
        (work / "lint_waivers.yaml").write_text("waivers:\n- {rule: islands, object: a}\n- {rule: islands, why: b}\n")
        with pytest.raises(DataError) as caught:
            lint_workspace(store)
        assert {fault.record for fault in caught.value.faults} == {
            "waivers.0.who",
            "waivers.0.why",
            "waivers.1.object",
            "waivers.1.who",
        }
        with pytest.raises(UsageError):
            lint_workspace(store, LintOptions(waivers=work / "gone.yaml"))
