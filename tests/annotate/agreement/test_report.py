"""``figureground agree``: what it prints, its JSON, its files, and the order in which it lists what is in doubt."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answered_photos import add_answer, add_photo, add_proposal, band
from needs import need
from PIL import Image
from shared_cases import run_here

from figureground.schemas.records import Decision
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    """Three people who answered two photos, one in doubt, and one of whom painted from nothing as well."""
    with Workspace.create(tmp_path / "work") as workspace:
        first, second = add_photo(workspace, "first.jpg"), add_photo(workspace, "second.jpg")
        machine = add_proposal(workspace, first)
        for who, columns, wet in (("p1", 5, True), ("p2", 6, True), ("p3", 10, False)):
            fields: dict[str, Any] = {"proposal_id": machine, "edit_iou": 5 / columns, "changed_px": 4 * (columns - 5)}
            add_answer(workspace, first, who, {"object": band(columns)}, attributes={"wet": wet}, seconds=20, **fields)
        add_answer(workspace, second, "p1", {"object": band(4)}, seconds=60)
        add_answer(workspace, second, "p2", {"object": band(2)}, seconds=100)
        for image_id in (first, second):
            workspace.decide(Decision(image_id=image_id, state="needs_second", reason="object masks differ"))
        yield workspace


def test_the_report_in_words(store: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run_here(capsys, "agree", "-w", store.root, "--limit", 1)
    assert code == 0
    assert "2 photos answered by several people, 4 pairs of answers" in printed
    assert "consensus (staple) of 1 photo that three or more people painted" in printed
    lines = printed.splitlines()
    listed = [line for line in lines if ".jpg" in line]
    assert len(listed) == 1
    assert "first.jpg" in listed[0]  # masks differ by 0.39 and attributes by 2/3; second.jpg by 0.5
    assert "and 1 more; all with --json or --out" in printed
    assert any(line.split()[:5] == ["nothing", "2", "2", "80", "(70-90)"] for line in lines)
    assert "cannot be told: nobody painted two photos from nothing and two" in printed


def test_masks_alone_order_the_queue(store: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    _, printed, _ = run_here(capsys, "agree", "-w", store.root, "--by", "masks", "--json")
    queue = json.loads(printed)["queue"]
    assert queue["by"] == "masks"
    assert [own["uri"] for own in queue["photos"]] == ["second.jpg", "first.jpg"]


def test_a_ranking_without_second_looks_is_refused(store: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, complained = run_here(capsys, "studio", "push", "-w", store.root, "--by", "masks")
    assert code == 2
    assert "give it with --second-look" in complained


def test_json_files_and_plot(store: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need(_has_matplotlib(), "matplotlib is not installed (extra analyses)")
    out = tmp_path / "report"
    words = ("agree", "-w", store.root, "--consensus", "majority", "-o", out, "--json")
    code, printed, _ = run_here(capsys, *words)
    stored = json.loads(printed)
    assert code == 0
    assert stored == json.loads((out / "agreement.json").read_text())
    assert stored["consensus"]["method"] == "majority"
    people = {own["annotator"]: own for own in stored["annotators"]}
    # The majority of 5, 6 and 10 columns is 6.
    assert {who: own["consensus_iou"]["value"] for who, own in people.items()} == {
        "p1": round(5 / 6, 4),
        "p2": 1.0,
        "p3": 0.6,
    }
    assert people["p3"]["consensus_attributes"]["value"] == 0
    assert people["p1"]["seconds"] == {"lower": 30.0, "median": 40.0, "upper": 50.0}
    assert people["p1"]["proposal_iou"]["value"] == 1.0
    rows = {
        name: read_rows(out / f"{name}.csv") for name in ("annotators", "queue", "votes", "segmenters", "agreement")
    }
    iou = next(row for row in rows["annotators"] if (row["annotator"], row["figure"]) == ("p3", "object_iou"))
    assert float(iou["value"]) == pytest.approx((0.5 + 0.6) / 2)
    assert float(iou["low"]) < float(iou["value"]) < float(iou["high"])
    assert [row["uri"] for row in rows["queue"]] == ["first.jpg", "second.jpg"]
    assert [(row["annotator"], row["said"], row["consensus"]) for row in rows["votes"]] == [
        ("p1", "yes", "yes"),
        ("p2", "yes", "yes"),
        ("p3", "no", "yes"),
    ]
    assert [(row["segmenter"], row["untouched"], row["redrawn"]) for row in rows["segmenters"]] == [
        ("nothing", "0", "0"),
        ("sam", "1", "2"),
    ]
    assert {row["about"] for row in rows["agreement"]} == {"mask", "attribute", "consensus"}
    with Image.open(out / "agreement.png") as picture:
        assert picture.width > 600
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    run_here(capsys, *words)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def _has_matplotlib() -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_a_workspace_without_answers_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Workspace.create(tmp_path / "work").close()
    code, printed, _ = run_here(capsys, "agree", "-w", tmp_path / "work", "-o", tmp_path / "out")
    assert code == 0
    assert f"studio push -w {tmp_path / 'work'} --overlap NUMBER" in printed
    assert not (tmp_path / "out" / "agreement.png").exists()
    assert run_here(capsys, "agree", "-w", tmp_path / "none")[0] == 2
