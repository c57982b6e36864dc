"""Options that a verb would ignore are refused by name, before anything is done; so are workspaces that are none."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import pytest
import typer
from PIL import Image
from shared_cases import run_here
from typer.testing import CliRunner

from figureground.annotate.studio import server
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.verbs import index
from figureground.cli.options import refuse_options, verb
from figureground.errors import UsageError
from figureground.exports.dataset.files import MANIFEST
from figureground.exports.verbs import export
from figureground.schemas.pages import human_tasks

PUSH = "studio push -w work"
URL = "studio up -w work --url http://127.0.0.1:9"
FIX = "lint -w work --fix islands"
BOX = "propose -w work --segmenter grabcut --prompt box"
OF_FIRST_LOOKS = (
    "--annotator ada",
    "--add ada",
    "--hand-over ada:ben",
    "--overlap 2",
    "--honeypots 1",
    "--entry-test 1",
    "--segmenter grabcut",
    "--first doubtful",
    "--allow-destructive",
)
OF_SAM = ("--segmenter mobile-sam", "--checkpoint x", "--device cpu", "--precision float32")
OF_LINT = (
    "--proposals",
    "--segmenter grabcut",
    "--rule islands",
    "--waivers waivers.yaml",
    "--out findings.csv",
    "--page findings.html",
    "--fail-on error",
    "--engine local",
    "--ray-address auto",
    "--workers 1",
)
OF_RESULTS = ("--models m.yaml", "--repository in9", "--published p.csv", "--margin 0.05", "--vector svg")
OF_TEXTS = ("--template {}", "--class-map imagenet9", "--synonyms words.csv", "--boxes-checkpoint x")
OF_TRIAGE = ("--no-correction-iou 0.9", "--risk 0.05")

IDLE: dict[str, tuple[str, ...]] = {
    f"{PUSH} --second-look": (*OF_FIRST_LOOKS, "--ask tail"),
    f"{PUSH} --ask tail": (*OF_FIRST_LOOKS, "--limit 3", "--leaking 3"),
    URL: ("--port 8080", "--sam", *OF_SAM),
    f"{URL} --no-sam": ("--port 8080", *OF_SAM),
    "studio up -w work --no-sam": OF_SAM,
    "studio embeddings -w work": (*OF_SAM, "--embeddings-gb 2"),
    FIX: OF_LINT,
    f"{FIX} --apply": OF_LINT,
    "report dataset": OF_RESULTS,
    "export dataset -o out --layout imagenet9": ("--config original", "--config plus", "--validation train"),
    "export dataset -o out --layout rival10": ("--config plus",),
    "export dataset -o out --layout coco": ("--validation drop",),
    "export dataset -o out --layout imagenet-a": ("--validation drop",),
    "freeze -w work --version v1": ("--segmenter saliency", "--agree saliency"),
    "freeze -w work --version v1 --unmasked": ("--segmenter saliency",),
    BOX: (*OF_TEXTS, *OF_TRIAGE, "--grid 4", "--embeddings-gb 2"),
    "propose -w work --prompt center": OF_TEXTS,
    "propose -w work --prompt grid": OF_TEXTS,
    "propose -w work --segmenter saliency": (*OF_TEXTS, *OF_TRIAGE, "--grid 4"),
}
"""What is typed, and what has no effect beside it."""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace of one photo, and what passes for a dataset as long as nobody reads it."""
    folder = tmp_path_factory.mktemp("idle")
    (folder / "photos" / "dog").mkdir(parents=True)
    Image.new("RGB", (32, 32), "red").save(folder / "photos" / "dog" / "a.png")
    index(folder / "photos", folder / "work", workers=1)
    (folder / "dataset").mkdir()
    (folder / "dataset" / MANIFEST).write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("typed", "option"), [pytest.param(typed, option) for typed, options in IDLE.items() for option in options]
)
def test_an_option_without_effect_is_refused_by_name(
    typed: str, option: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setattr(server, "start_server", lambda *_, **__: pytest.fail("a server was started"))
    before = contents(home)
    code, stdout, err = run_here(capsys, *shlex.split(typed), *option.split())
    assert (code, stdout) == (2, "")
    assert err.startswith(f"error: UsageError: {option.split()[0]} "), err
    assert "leave it out" in " ".join(err.split()) or "with it" in err
    assert contents(home) == before


def test_all_options_without_effect_are_named_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    words = " ".join(OF_FIRST_LOOKS).split()
    code, _, err = run_here(capsys, *PUSH.split(), "--second-look", *words)
    names = ", ".join(option.split()[0] for option in OF_FIRST_LOOKS)
    assert code == 2
    assert f"{names} have no effect with --second-look: leave them out" in " ".join(err.split())


WITH_EFFECT = (
    f"{PUSH} --second-look --by masks --by-authors --limit 3 --attributes rival10",
    f"{PUSH} --ask tail --attributes rival10",
    f"{PUSH} --annotator ada --annotator ben --overlap 2 --first sure --limit 3 --allow-destructive",
    "studio down -w work",
    "studio embeddings -w work",
    f"{FIX} --settings lint.yaml",
    "lint --rules",
    "lint -w work --rule islands --fail-on never --workers 1",
    "report dataset -o page",
    "export dataset -o out --layout coco --config plus",
    "export dataset -o out --layout imagenet-a --config plus",
    "export dataset -o out --layout rival10 --validation drop",
    "freeze -w work --version v1 --unreviewed --segmenter saliency",
    "propose -w work --segmenter nothing --template {} --class-map imagenet9 --boxes-checkpoint x",
    "propose -w work --segmenter nothing --segmenter grabcut --prompt box --risk 0.1 --no-correction-iou 0.9",
    "propose -w work --segmenter nothing --prompt grid --grid 4 --embeddings kept --embeddings-gb 2",
)
"""What goes on: to what is asked for, or to another fault of this small home."""


@pytest.mark.parametrize("typed", WITH_EFFECT)
def test_an_option_with_effect_is_taken(
    typed: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    _, _, err = run_here(capsys, *typed.split())
    assert "leave" not in err
    assert "give --unreviewed" not in err


@pytest.mark.parametrize(
    "typed", ["studio down", "studio embeddings", "studio embeddings --fill", "studio up --no-sam"]
)
def test_a_workspace_that_is_none_is_refused(typed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, stdout, err = run_here(capsys, *typed.split(), "-w", tmp_path / "nowhere")
    assert (code, stdout) == (2, "")
    assert "holds no workspace" in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_stopped_however_damaged_its_workspace_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    StudioHome.of(tmp_path / "work").root.mkdir(parents=True)
    code, stdout, _ = run_here(capsys, "studio", "down", "-w", tmp_path / "work")
    assert (code, stdout) == (0, "Label Studio: it was not running\n")


def test_raters_of_no_studio_leave_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(human_tasks, "read_kit", lambda folder: folder)
    code, _, err = run_here(capsys, "human", "push", "people", "-w", tmp_path / "nowhere", "--rater", "ada")
    assert code == 2
    assert "figureground studio up" in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_the_door_refuses_arguments_of_other_layouts(tmp_path: Path) -> None:
    for layout in ("rival10", "imagenet9"):
        with pytest.raises(UsageError, match=f"--config plus is for coco and imagenet-a: {layout} takes all configs"):
            export(tmp_path, layout, tmp_path / "out", config="plus")
    with pytest.raises(UsageError, match="--validation drop is for rival10, not for coco"):
        export(tmp_path, "coco", tmp_path / "out", validation="drop")
    with pytest.raises(UsageError, match="no layout is called 'imagenet10'"):
        export(tmp_path, "imagenet10", tmp_path / "out", config="plus")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@verb("Example: boat --oars 2")
def boat(
    context: typer.Context,
    *,
    oars: Annotated[int, typer.Option("--oars", "-r")] = 2,
    sail: Annotated[bool, typer.Option(help="Set it.")] = True,
    motor: bool = False,
) -> None:
    """Row a boat."""
    if motor:
        refuse_options(context, ["oars", "sail"], "with --motor")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--motor"], ""),
        (["--oars", "4", "--no-sail"], ""),
        (["--motor", "-r", "2"], "--oars has no effect with --motor: leave it out"),
        (["--no-sail", "--oars", "4", "--motor"], "--oars, --sail have no effect with --motor: leave them out"),
    ],
)
def test_what_was_typed_is_told_from_what_has_its_default(words: list[str], message: str) -> None:
    done = CliRunner().invoke(boat, words)
    assert (str(done.exception) if done.exception else "") == message
    assert done.exit_code == (1 if message else 0)
