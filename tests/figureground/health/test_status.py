"""``figureground status``: what a workspace holds, and at each step of the way what to type next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from answered_photos import accept, add_answer, add_photo, add_proposal, band
from drawn_release import draw_release
from sheet_samples import add_mask, by_name, decisions_file, make_workspace

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.lint.fixing import fix
from figureground.annotate.lint.settings import LintSettings
from figureground.annotate.sheet.reading import read_decisions
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.cli.app import main
from figureground.health.status import workspace_state
from figureground.schemas.records import Decision
from figureground.schemas.store.workspace import Workspace


def next_command(store: Workspace) -> str:
    """The first words of what is most urgent."""
    return " ".join(workspace_state(store).next_commands[0].split()[:2])


def test_each_step_names_the_next(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        assert next_command(store) == "figureground index"
        ids = [add_photo(store, f"{number}.jpg") for number in range(3)]
        assert next_command(store) == "figureground propose"
        for image_id in ids:
            add_proposal(store, image_id)
        assert next_command(store) == "figureground studio"
        for image_id in ids:
            accept(store, add_answer(store, image_id, "ada", {"object": band(5)}))
        assert next_command(store) == "figureground freeze"
        freeze(store, "v1", FreezeOptions())
        assert next_command(store) == "figureground build"
        accept(store, add_answer(store, add_photo(store, "4.jpg"), "ben", {"object": band(5)}))
        state = workspace_state(store)
        assert [line.split()[1] for line in state.next_commands] == ["freeze", "build"]
        assert "(1 accepted photo in no release)" in state.next_commands[0]
    assert (state.answers, state.annotators, state.states) == (4, 2, {"accepted": 4})
    assert state.proposals == {"sam:box": 3}
    assert [(release.version, release.objects) for release in state.releases] == [("v1", 3)]


def test_a_sheet_of_competing_masks_is_advised_with_a_segmenter(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        image_id = add_photo(store, "1.jpg")
        add_proposal(store, image_id)
        assert "--segmenter" not in workspace_state(store).next_commands[0]
        add_proposal(store, image_id, segmenter="saliency")
        assert "sheet make" in workspace_state(store).next_commands[0]
        assert "-o sheet --segmenter NAME  (" in workspace_state(store).next_commands[0]


def test_a_photo_in_doubt_is_sent_to_a_second_look(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        image_id = add_photo(store, "1.jpg")
        doubt = add_answer(store, image_id, "ada", {})
        store.decide(Decision(image_id=image_id, state="needs_second", reason="", annotation_id=doubt.annotation_id))
        (command,) = workspace_state(store).next_commands
    assert "studio push" in command
    assert command.endswith("--second-look  (1 photo in doubt, or with a rejected mask)")


def test_a_photo_whose_mask_was_rejected_on_a_sheet_goes_on_by_a_sheet(tmp_path: Path) -> None:
    with make_workspace(tmp_path, 1) as store:
        (tmp_path / "d.json").write_text(json.dumps(decisions_file(store, {"0": "reject"})))
        read_decisions(store, [tmp_path / "d.json"])
        (other, studio) = workspace_state(store).next_commands
        assert other.startswith("figureground propose")
        assert other.endswith(
            "sheet make -w " + str(store.root) + " -o SHEET --segmenter OTHER  (1 photo with a rejected mask)"
        )
        assert "--second-look" in studio
        add_mask(store, by_name(store)["0"], score=0.9, segmenter="other")
        command = workspace_state(store).next_commands[0]
        assert "sheet make" in command
        assert command.endswith("--segmenter other  (1 photo with a rejected mask, and another one to judge)")


def test_what_lint_mended_is_no_answer_of_a_person(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        mask = band(5)
        mask[2, 3] = False
        accept(store, add_answer(store, add_photo(store, "1.jpg"), "ada", {"object": mask}))
        assert fix(store, ["pinholes"], LintSettings(pinhole_share=0.5), apply=True).changes
        state = workspace_state(store)
    assert (state.answers, state.mended, state.annotators) == (2, 1, 1)
    assert "answers: 1, of 1 annotator; 1 mended by lint\n" in str(state)


def test_a_stopped_label_studio_is_told_and_is_no_error(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        add_proposal(store, add_photo(store, "1.jpg"))
        home = StudioHome.of(store.root)
        home.root.mkdir()
        home.save_connection(
            Connection(url="http://127.0.0.1:9", token="0" * 40, server="s", key="k", username="u", password="p" * 12)
        )
        state = workspace_state(store)
    assert state.studio == "stopped at http://127.0.0.1:9"
    assert state.next_commands[0].startswith("figureground studio up")


def test_the_verb_tells_of_a_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = draw_release(tmp_path, per_class=1)
    for words in ([], ["--json"]):
        with pytest.raises(SystemExit) as stop:
            main(["status", "-w", str(drawn.workspace), *words])
        assert stop.value.code == 0
    text, _, last = capsys.readouterr().out.rstrip().rpartition("\n")
    assert f"{drawn.workspace}: 3 photos in 3 classes" in text
    assert "  figureground build RECIPE" in text
    report = json.loads(last)
    assert (report["labels"], sum(report["states"].values()), len(report["releases"])) == (3, 3, 1)
