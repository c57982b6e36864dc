"""What nobody foresaw: faults of the program, sizes without bounds, pipes that close, logs that want to know."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from drawn_release import draw_photo
from plain_dataset import Plain, build_plain, make_plain

from figureground import cli
from figureground.build.planning.selection import select_objects
from figureground.build.recipes import loading
from figureground.cli.app import main
from figureground.console import SECONDS_A_LINE, ProgressLog
from figureground.exports.dataset.folder import DatasetFolder
from figureground.schemas.classes import load_class_map
from figureground.schemas.recipe_views import View


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


# Sizes


def test_a_canvas_that_no_machine_holds_leaves_its_photo_out(plain: Plain) -> None:
    from dataclasses import replace

    dataset = DatasetFolder.open(plain.dataset)
    classes, recipe = dataset.class_map, dataset.recipe
    record = dataset.objects()[1][0]
    long = replace(record, width=90_000_000, height=1, mask=replace(record.mask, size_hw=(1, 90_000_000)))
    for view in (View(size=256, crop=224), View(size=4096, crop=None)):
        rules = recipe.rules["exact"].model_copy(update={"views": {"imagenet": view}})
        taken, refused = select_objects([long], recipe, rules, classes)
        assert not taken
        assert refused[0].reason == "canvas_too_large"
    assert load_class_map("imagenet9").names


# The command


def test_a_fault_of_the_program_is_one_line_and_leaves_a_file(
    plain: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for error in (RecursionError("too deep"), KeyError("label"), pa.ArrowInvalid("what\nis this")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(loading, "shipped_recipes", fail)
        with pytest.raises(SystemExit) as ended:
            main(["recipe", "imagenet9"])
        message = capsys.readouterr().err
        assert ended.value.code == 1
        assert len(message.splitlines()) == 1, message
        assert message.startswith("error: FigureGroundError: a fault of figureground itself (")
        report = Path(message.rstrip("\n").rpartition("with the file ")[2])
        assert report.parent == tmp_path
        assert type(error).__name__ in report.read_text()
        assert "Traceback" in report.read_text()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(SystemExit):
        main(["recipe", "imagenet9"])
    assert "with the file nowhere (No such file or directory)" in capsys.readouterr().err


def test_memory_that_gives_out_is_an_outside_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Sequence[str]:
        raise MemoryError

    monkeypatch.setattr(loading, "shipped_recipes", fail)
    with pytest.raises(SystemExit) as ended:
        main(["recipe", "imagenet9"])
    assert ended.value.code == 3
    assert "out of memory; give --workers a smaller number" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -P -m figureground recipe imagenet9 | head -1'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.startswith("# ImageNet-9")
    assert done.stderr == ""


# Logs


class _Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_half_minute_with_count_rate_and_rest() -> None:
    lines: list[str] = []
    clock = _Clock()
    show = ProgressLog(lines.append, clock)
    for done in range(0, 401):
        clock.now = done * 0.5
        show("rows", done, 400)
    assert lines == [
        "rows: 60 of 400, 2 a second, 3 min left",
        "rows: 120 of 400, 2 a second, 2 min left",
        "rows: 180 of 400, 2 a second, 2 min left",
        "rows: 240 of 400, 2 a second, 80 s left",
        "rows: 300 of 400, 2 a second, 50 s left",
        "rows: 360 of 400, 2 a second, 20 s left",
        "rows: 400 of 400, 2 a second",
    ]
    lines.clear()
    show("photos", 10, 12)  # a run that goes on where another ended
    clock.now += SECONDS_A_LINE
    show("photos", 11, 12)
    assert lines == ["photos: 11 of 12, one in 30 seconds, 30 s left"]
    lines.clear()
    show("quick", 1, 2)
    show("quick", 2, 2)
    assert lines == []


def test_progress_outside_a_terminal_is_such_a_log(plain: Plain, tmp_path: Path) -> None:
    from figureground.console import progress_bar

    with progress_bar() as show:
        assert isinstance(show, ProgressLog)
    photo, mask = draw_photo("disc", 1)
    assert photo.shape[:2] == mask.shape
    assert json.dumps(build_plain(plain, plain.dataset, pixels=False).rows) == "18"
    assert cli.__name__ == "figureground.cli"
