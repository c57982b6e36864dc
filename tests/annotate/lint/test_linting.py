"""Lint of a workspace and of a release: one order, any number of workers, files that appear whole, and the gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from lint_samples import FIGURES, Photos, accept_masks, disc, make_photos, with_squares
from shared_cases import run_here

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.lint.checking import LintOptions, lint_gate, lint_release, lint_workspace
from figureground.annotate.lint.linting import LintRequest, lint
from figureground.annotate.lint.subjects import WorkspaceSubjects, accepted_origins
from figureground.errors import DataError, UsageError
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.releases import read_annotation, read_release
from figureground.schemas.store.workspace import Workspace

SPECKS = with_squares(FIGURES["plain"], [(5, 5), (290, 9)], 3, True)
INVERTED = ~FIGURES["mirrored"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A workspace whose dogs have faulty masks, one with islands and one of the surround; nobody painted the cat."""
    workspace = make_photos(tmp_path)
    accept_masks(workspace, {"plain": {"object": SPECKS}, "mirrored": {"object": INVERTED}})
    return workspace


@pytest.fixture
def store(work: Path) -> Iterator[Workspace]:
    with Workspace.open(work) as workspace:
        yield workspace


def propose(store: Workspace, name: str, *, score: float = 0.9) -> str:
    """Store the mask of a photo's figure as a machine mask; returns its id."""
    (image,) = [image for image in store.images() if Path(image.uri).stem == name]
    run = ProposalRun(
        run_id=content_id(name), image_id=image.image_id, segmenter="sam", prompt_mode="box", reason="", seconds=0.1
    )
    proposal = ProposalRecord(
        proposal_id=content_id(name, "0"),
        run_id=run.run_id,
        image_id=image.image_id,
        rle=encode_coco_rle(FIGURES[name]),
        score=score,
        stability=1.0,
        rank=0,
        prompt="{}",
        segmenter="sam",
        checkpoint_sha256="",
    )
    store.add_run(run, [proposal])
    return proposal.proposal_id


def test_the_worst_comes_first_with_all_that_a_program_needs(store: Workspace) -> None:
    report = lint_workspace(store)
    assert [(finding.severity, finding.rule) for finding in report.findings] == [
        ("error", "inverted"),
        ("warning", "islands"),
        ("note", "touches_borders"),
    ]
    islands = report.findings[1]
    assert (islands.value, islands.unit, islands.threshold, islands.mask) == (2, "islands", 0, "object")
    assert islands.box_xyxy_px == (5, 5, 12, 293)
    assert islands.uri == "dog/plain.png"
    assert report.checked["islands"] == report.objects == 2


@pytest.mark.slow
def test_workers_change_nothing(store: Workspace) -> None:
    subjects = [WorkspaceSubjects(store, accepted_origins(store))[number % 2] for number in range(24)]
    alone, together = (lint(subjects, LintRequest(workers=workers), sources=store.sources()) for workers in (1, 2))
    assert alone.to_dict() == together.to_dict()
    assert alone.objects == 24


def test_a_report_is_the_same_bytes_and_the_same_rows_in_either_form(store: Workspace, tmp_path: Path) -> None:
    table, text = tmp_path / "found.parquet", tmp_path / "found.csv"
    lint_workspace(store, LintOptions(out=text))
    lint_workspace(store, LintOptions(out=table))
    first = table.read_bytes()
    report = lint_workspace(store, LintOptions(out=table))
    assert table.read_bytes() == first
    assert pq.read_table(table).to_pylist() == [finding.to_dict() for finding in report.findings]
    lines = text.read_text().splitlines()
    assert lines[0].startswith("severity,rule,object_id,mask,value,unit,threshold,words,")
    assert [line.split(",")[1] for line in lines[1:]] == [finding.rule for finding in report.findings]
    assert not list(tmp_path.glob(".*partial"))


def test_files_that_cannot_be_written_are_refused_before_the_work(store: Workspace, tmp_path: Path) -> None:
    for options in (
        LintOptions(out=tmp_path / "found.txt"),
        LintOptions(page=tmp_path / "page.pdf"),
        LintOptions(out=tmp_path / "nowhere" / "found.csv"),
    ):
        with pytest.raises(UsageError):
            lint_workspace(store, options, progress=lambda *_: pytest.fail("it began"))


def test_settings_change_thresholds_and_severities_and_skip_rules(store: Workspace, work: Path) -> None:
    (work / "lint.yaml").write_text("island_px: 4\nrules: {inverted: note, touches_borders: skip}\n")
    report = lint_workspace(store)
    assert [(finding.severity, finding.rule) for finding in report.findings] == [("note", "inverted")]
    assert "touches_borders" not in report.checked
    (work / "lint.yaml").write_text("island_pixels: 4\nmost_frame_share: 2\n")
    with pytest.raises(DataError) as caught:
        lint_workspace(store)
    assert len(caught.value.faults) == 2
    (work / "lint.yaml").write_text("rules: {iselands: skip}\n")
    with pytest.raises(UsageError, match="iselands"):
        lint_workspace(store)


def test_machine_masks_are_checked_on_request(store: Workspace) -> None:
    proposal = propose(store, "tall")
    assert lint_workspace(store).objects == 2
    report = lint_workspace(store, LintOptions(proposals=True))
    assert report.objects == 3
    assert [(f.rule, f.origin) for f in report.findings if f.label == "cat"] == [("gone_in_crop", proposal)]
    with pytest.raises(UsageError, match="--proposals"):
        lint_workspace(store, LintOptions(segmenter="sam"))


def test_a_release_is_checked_with_its_photos_where_they_are_known(store: Workspace, tmp_path: Path) -> None:
    path = freeze(store, "v1", FreezeOptions()).path
    own = lint_workspace(store)
    beside = lint_release(path, None)
    assert [finding.to_dict() for finding in beside.findings] == [finding.to_dict() for finding in own.findings]
    assert beside.checked["rim_shows_ground"] == 2
    assert beside.checked["hurried"] == 0  # a release holds no times
    elsewhere = tmp_path / "v1.parquet"
    elsewhere.write_bytes(path.read_bytes())
    alone = lint_release(elsewhere, None)
    assert alone.checked["rim_shows_ground"] == 0
    assert [finding.rule for finding in alone.findings] == [finding.rule for finding in own.findings]


def test_a_gate_refuses_with_every_finding_and_lets_pass_what_is_waived(store: Workspace, work: Path) -> None:
    with pytest.raises(DataError) as caught:
        freeze(store, "v1", FreezeOptions(lint="note"))
    assert {fault.where for fault in caught.value.faults} == {"lint inverted", "lint islands", "lint touches_borders"}
    assert not (work / "objects").exists()
    with pytest.raises(DataError) as caught:
        freeze(store, "v1", FreezeOptions(lint="error"))
    assert [fault.where for fault in caught.value.faults] == ["lint inverted"]
    ids = {Path(image.uri).stem: image.image_id for image in store.images()}
    (work / "lint_waivers.yaml").write_text(
        f"waivers:\n- {{rule: inverted, object: {ids['mirrored']}, who: Ada, why: a window in a wall}}\n"
    )
    report = freeze(store, "v1", FreezeOptions(lint="error"))
    summary = read_annotation(report.path)["lint"]
    assert summary == report.lint
    assert (summary["objects"], summary["findings"], summary["waived"]) == (2, 2, 1)
    assert summary["rules"]["inverted"] == {"severity": "error", "checked": 2, "findings": 0, "waived": 1}
    assert summary["rules"]["pinholes"] == {"severity": "warning", "checked": 2, "findings": 0, "waived": 0}


def test_a_gate_that_stops_nothing_tells_what_it_found_and_by_which_settings(store: Workspace, work: Path) -> None:
    (work / "lint.yaml").write_text("island_px: 4\n")
    records = read_release(freeze(store, "v1", FreezeOptions()).path)[1]
    summary = lint_gate(store, iter(records), len(records), "never")
    assert summary["settings"] == {"island_px": 4}
    assert summary["rules"]["islands"]["findings"] == 0
    assert summary["rules"]["inverted"]["findings"] == 1


def test_a_gate_looks_at_what_is_released_not_at_the_answer_that_it_comes_from(store: Workspace) -> None:
    records = read_release(freeze(store, "v1", FreezeOptions()).path)[1]
    mended = [replace(record, mask=encode_coco_rle(disc())) for record in records]
    assert lint_gate(store, iter(mended), 2, "note")["findings"] == 0
    with pytest.raises(DataError):
        lint_gate(store, iter(records), 2, "note")


def test_a_gate_knows_the_times_of_answers(tmp_path: Path) -> None:
    workspace = make_photos(tmp_path)
    with Workspace.open(workspace) as store:
        proposal = propose(store, "plain")
    accept_masks(workspace, {"plain": {"object": disc()}}, seconds=0.5, proposal_id=proposal, edit_iou=1.0)
    with Workspace.open(workspace) as store:
        report = freeze(store, "v1", FreezeOptions(lint="error"))
        assert report.lint["rules"]["hurried"] == {"severity": "warning", "checked": 1, "findings": 1, "waived": 0}
        with pytest.raises(DataError, match=r"accepted unchanged after 0\.5 s"):
            freeze(store, "v2", FreezeOptions(lint="warning"))


def test_the_verb_ends_with_1_where_an_error_stands(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys, "lint", "-w", work)
    assert code == 1
    assert "error inverted: " in out
    assert "expected no finding of severity error, got 1" in err
    code, out, _ = run_here(capsys, "lint", "-w", work, "--fail-on", "never", "--json")
    assert code == 0
    assert json.loads(out)["summary"]["rules"]["islands"]["findings"] == 1
    page = work.with_name("found.html")
    code, out, _ = run_here(capsys, "lint", "-w", work, "--rule", "islands", "--page", page)
    assert code == 0
    assert "inverted" not in out
    assert out.endswith(f"look at {page}\n")
    assert run_here(capsys, "lint", "-w", work, "--rule", "iselands")[0] == 2
    assert run_here(capsys, "lint")[0] == 2


def test_the_rules_are_listed_with_what_they_find(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_here(capsys, "lint", "--rules", "--json")
    assert code == 0
    assert all(rule["finds"].endswith((".", ",", "leaves")) or rule["finds"] for rule in json.loads(out)["rules"])


def test_photos_that_are_gone_are_findings_and_hide_no_others(store: Workspace, work: Path) -> None:
    (work.parent / "photos" / "dog" / "plain.png").unlink()
    rules = [finding.rule for finding in lint_workspace(store).findings]
    assert rules == ["inverted", "photo_unreadable", "islands", "touches_borders"]


def test_an_accepted_answer_without_a_mask_is_a_finding(tmp_path: Path) -> None:
    workspace = make_photos(tmp_path)
    accept_masks(workspace, {"plain": {}, "mirrored": {"object": disc()}})
    with Workspace.open(workspace) as store:
        assert [finding.rule for finding in lint_workspace(store).findings] == ["no_mask"]


def test_nothing_to_check_is_said(tmp_path: Path) -> None:
    with Workspace.open(make_photos(tmp_path)) as store, pytest.raises(UsageError, match="--proposals"):
        lint_workspace(store)


def test_an_object_is_found_by_its_id(store: Workspace, lint_photos: Photos) -> None:
    subjects = WorkspaceSubjects(store, accepted_origins(store))
    for number in range(len(subjects)):
        subject = subjects[number]
        assert subject is not None
        assert subjects.find(subject.object_id) == subject
    assert subjects.find(f"{lint_photos.images['tall'].image_id}.0") is None
    assert subjects.find("f" * 32 + ".0") is None
