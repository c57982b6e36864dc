"""The command line: help with examples, JSON on stdout, talk on stderr, exit codes, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_release import DrawnRelease, draw_photo, draw_release
from PIL import Image

from figureground.cli.app import main

pytestmark = pytest.mark.slow  # most tests start the command

VERBS = ("index", "propose", "freeze", "forget", "build", "evaluate", "demo")


def run(*arguments: str | Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "figureground", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check is None or done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return done


Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Here:
    """Runs a command in this process, half a second quicker; gives its exit code, stdout and stderr."""

    def run_here(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        assert isinstance(stop.value.code, int)
        stdout, stderr = capsys.readouterr()
        return stop.value.code, stdout, stderr

    return run_here


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    return draw_release(Path(tmp_path_factory.mktemp("cli")), per_class=2)


@pytest.mark.parametrize("verb", VERBS)
def test_help_says_what_the_verb_does_with_an_example(here: Here, verb: str) -> None:
    code, text, _ = here(verb, "--help")
    assert code == 0
    assert f"figureground {verb}" in text
    assert "Example" in text


def test_the_verbs_are_all_listed() -> None:
    text = run("--help").stdout
    assert all(verb in text for verb in VERBS)
    assert "Exit codes" in text


def test_index_reports_as_json(drawn: DrawnRelease, tmp_path: Path) -> None:
    (tmp_path / "photos" / "disc").mkdir(parents=True)
    Image.fromarray(draw_photo("disc", 1)[0]).save(tmp_path / "photos" / "disc" / "good.png")
    (tmp_path / "photos" / "disc" / "empty.jpg").write_bytes(b"")
    done = run("index", tmp_path / "photos", "-w", tmp_path / "work", "--json")
    report = json.loads(done.stdout)
    assert report["added"] == 1
    assert "zero_byte" in done.stdout
    assert "empty.jpg" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["index", "nowhere", "-w", "work"], 2, "no such folder", id="no source"),
        pytest.param(["propose", "-w", "work"], 2, "figureground index", id="no workspace"),
        pytest.param(["freeze", "-w", "work", "--version", "v1"], 2, "figureground index", id="freeze without"),
        pytest.param(["build", "imagenet10", "-w", "work", "-o", "out"], 2, "imagenet9", id="unknown recipe"),
        pytest.param(["build"], 2, "no recipe", id="no recipe"),
        pytest.param(["build", "imagenet9", "-w", "work", "-o", "out"], 1, "figureground freeze", id="no release"),
        pytest.param(["build", "imagenet9", "--rules", "sloppy"], 2, "sloppy", id="unknown rules"),
        pytest.param(["nonsense"], 2, "nonsense", id="unknown verb"),
    ],
)
def test_wrong_usage_is_one_message_and_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Here, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    exit_code, stdout, stderr = here(*arguments)
    assert exit_code == code
    assert message in " ".join(stderr.split())
    assert "Traceback" not in stderr
    assert not stdout


def test_faults_in_a_recipe_are_all_told_with_code_1(drawn: DrawnRelease, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nversion: '1'\nseed: x\nclass_map: imagenet9\nrules: {}\nvariants: {}\nnonsense: 1\n")
    done = run("build", path, "-w", drawn.workspace, "-o", tmp_path / "out", check=1)
    assert "4 faults" in done.stderr
    assert not (tmp_path / "out").exists()


def test_build_lists_the_shipped_recipes() -> None:
    listed = json.loads(run("build", "--list", "--json").stdout)
    assert set(listed) == {
        "background_check",
        "crossed",
        "imagenet9",
        "imagenet9_leak",
        "imagenet9l",
        "imagenet_a_plus",
        "rival10",
    }


def test_imagenet9_needs_its_own_classes(drawn: DrawnRelease, tmp_path: Path) -> None:
    done = run("build", "imagenet9", "-w", drawn.workspace, "-o", tmp_path / "out", check=1)
    assert "unmapped_class 6" in done.stderr


def test_a_killed_index_goes_on_and_nothing_is_doubled(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "disc"
    folder.mkdir(parents=True)
    for number in range(300):
        Image.new("RGB", (64, 48), (number % 256, number // 256, 7)).save(folder / f"{number:03d}.png")
    command = [sys.executable, "-m", "figureground", "index", str(tmp_path / "photos"), "-w", str(tmp_path / "work")]

    def count() -> int:
        if not (tmp_path / "work" / "workspace.sqlite").exists():
            return 0
        connection = sqlite3.connect(tmp_path / "work" / "workspace.sqlite")
        try:
            return int(connection.execute("SELECT count(*) FROM images").fetchone()[0])
        except sqlite3.OperationalError:
            return 0
        finally:
            connection.close()

    process = subprocess.Popen([*command, "--workers", "1"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not count():
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run("index", tmp_path / "photos", "-w", tmp_path / "work")
    assert count() == 300
    assert json.loads(run("index", tmp_path / "photos", "-w", tmp_path / "work", "--json").stdout)["added"] == 0
