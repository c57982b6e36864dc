"""Imports of different origins are different makers, two at once store each answer once, and clocks may be wrong."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from drawn_masks import PHOTOS, draw, index_photos, put_mask
from shared_cases import copy_case, run_here

from figureground.annotate.imports.answers import ImportedAnswer, ImportOrigin, ImportReport, store_answer
from figureground.annotate.imports.mask_folder import import_mask_folder
from figureground.schemas.store.workspace import Workspace

ORIGIN = ImportOrigin(text="us", tool="import:test")


@pytest.fixture
def store(tmp_path: Path) -> Workspace:
    return index_photos(tmp_path)


# Nobody is not somebody


def both_imports(store: Workspace, tmp_path: Path, first: ImportOrigin, second: ImportOrigin) -> ImportReport:
    put_mask(tmp_path / "masks" / "a.png", draw(0, 10))
    import_mask_folder(store, tmp_path / "masks", first)
    put_mask(tmp_path / "masks" / "a.png", draw(20, 30))
    return import_mask_folder(store, tmp_path / "masks", second)


def test_imports_of_two_origins_are_two_nobodies(store: Workspace, tmp_path: Path) -> None:
    report = both_imports(store, tmp_path, ImportOrigin(text="lab A", tool="t"), ImportOrigin(text="lab B", tool="t"))
    assert (report.decisions, report.replaced) == ({"needs_second": 1}, 0)
    assert len({answer.annotator for answer in store.annotations()}) == 2


def test_the_same_origin_mends_its_masks_and_says_so(store: Workspace, tmp_path: Path) -> None:
    report = both_imports(store, tmp_path, ImportOrigin(text="lab A", tool="t"), ImportOrigin(text=" lab A", tool="u"))
    assert (report.decisions, report.replaced) == ({"accepted": 1}, 1)
    assert "1 answers replace older ones of the same annotator" in str(report)


def test_a_named_annotator_is_one_whatever_the_origin(store: Workspace, tmp_path: Path) -> None:
    origins = [ImportOrigin(text=text, annotator="anna", tool="t") for text in ("lab A", "lab B")]
    assert both_imports(store, tmp_path, *origins).replaced == 1


def test_the_command_line_keeps_origins_apart(
    store: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_mask(tmp_path / "masks" / "a.png", draw(0, 10))
    for origin in ("lab A", "lab B"):
        words = ("import", "masks", tmp_path / "masks", "-w", tmp_path / "work", "--origin", origin)
        assert run_here(capsys, *words)[0] == 0
    assert len({answer.annotator for answer in store.annotations()}) == 2


# Two at once, and clocks


def test_two_imports_at_once_store_each_answer_once(tmp_path: Path, store: Workspace) -> None:
    answers = [
        ImportedAnswer(image=image, masks={"object": draw()}, attributes={}) for image in store.images() for _ in "ab"
    ]
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Workspace.open(tmp_path / "work") as own:
                start.wait()
                for answer in answers:
                    store_answer(own, answer, ORIGIN, ImportReport())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(store.annotations())) == len(PHOTOS)


def test_what_is_read_and_written_in_one_transaction_holds_others_off(tmp_path: Path, store: Workspace) -> None:
    with store.writing():
        other = sqlite3.connect(tmp_path / "work" / "workspace.sqlite", timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_a_clock_set_back_does_not_keep_the_old_mask(store: Workspace) -> None:
    (image, *_) = store.images()
    for mask, now in ((draw(0, 10), "2026-05-02T00:00:00.000000Z"), (draw(20, 30), "2026-05-01T00:00:00.000000Z")):
        report = ImportReport()
        store_answer(store, ImportedAnswer(image=image, masks={"object": mask}, attributes={}), ORIGIN, report, now=now)
        assert (report.answers, report.decisions) == (1, {"accepted": 1})
        again = ImportReport()
        store_answer(store, ImportedAnswer(image=image, masks={"object": mask}, attributes={}), ORIGIN, again, now=now)
        assert (again.answers, again.already_there) == (0, 1)
    newest = max(store.annotations(image.image_id), key=lambda answer: answer.updated_at)
    decision = store.decision(image.image_id)
    assert decision is not None
    assert decision.annotation_id == newest.annotation_id
    assert newest.updated_at == "2026-05-02T00:00:00.000001Z"


def test_case_two_origins(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy_case("annotate/29_two_origins_one_annotator", tmp_path))
    run_here(capsys, "index", "photos", "-w", "w")
    with Workspace.open(Path("w")) as store:
        run_here(capsys, "import", "masks", "masks", "-w", "w", "--origin", "lab A")
        code, out, _ = run_here(capsys, "import", "coco", "x.json", "-w", "w", "--origin", "authors of B")
        assert (code, "needs_second 1" in out) == (0, True)
        assert {decision.state for decision in store.decisions().values()} == {"needs_second"}
