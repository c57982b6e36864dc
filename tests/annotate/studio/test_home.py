"""What a workspace keeps of its Label Studio: secrets that nobody else reads, and programs that are found again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from needs import need

from figureground.annotate.studio.daemons import LOOPBACK, Daemon, free_port, same_port
from figureground.annotate.studio.home import Connection, StudioHome, private_files, write_secret
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.errors import DataError, UsageError

TOKEN = "3c9d-secret-token"
PASSWORD = "pass-secret-word"
CONNECTION = Connection(
    url="http://127.0.0.1:8080", token=TOKEN, server="s-1", key="k-1", username="admin@example.org", password=PASSWORD
)


@pytest.fixture
def home(tmp_path: Path) -> StudioHome:
    return StudioHome.of(tmp_path)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


# Secrets


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("kind", ["connection", "pseudonyms"])
def test_a_secret_is_its_owners_alone_from_the_first_moment(
    home: StudioHome, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    really_open: Callable[..., int] = os.open

    def watch(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        descriptor = really_open(path, flags, *rest, **named)
        if flags & os.O_CREAT and home.root in Path(str(path)).parents:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watch)
    for _ in range(2):
        if kind == "connection":
            home.save_connection(CONNECTION)
        else:
            Pseudonyms(home, "s-1").of(str(len(modes)))
    monkeypatch.undo()
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in home.root.iterdir()}
    assert files.pop(f"{kind}.json.lock", 0o600) == 0o600
    assert files == {f"{kind}.json": 0o600}
    assert len(modes) >= 2
    assert set(modes) == {0o600}


@pytest.mark.usefixtures("open_umask")
def test_a_secret_never_lies_in_a_file_that_others_had_open(tmp_path: Path) -> None:
    path = tmp_path / "connection.json"
    path.write_text("old")
    path.chmod(0o666)
    with path.open() as of_another:
        write_secret(path, TOKEN)
        assert of_another.read() == "old"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == TOKEN


def test_a_secret_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "connection.json"
    write_secret(path, "old")

    def refuse(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="no space"):
            write_secret(path, "new")
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["connection.json"]


def test_a_connection_comes_back_as_it_was_kept(home: StudioHome) -> None:
    assert home.connection() is None
    with pytest.raises(UsageError, match="start one with: figureground studio up"):
        home.require_connection()
    home.save_connection(CONNECTION)
    assert home.connection() == home.require_connection() == CONNECTION
    assert CONNECTION.ours
    home.forget_connection()
    home.forget_connection()
    assert home.connection() is None


def test_no_secret_is_shown(home: StudioHome) -> None:
    home.save_connection(CONNECTION)
    for shown in (repr(CONNECTION), str(CONNECTION), f"{CONNECTION}", repr({"c": CONNECTION}), repr(home)):
        assert TOKEN not in shown
        assert PASSWORD not in shown
    assert "http://127.0.0.1:8080" in repr(CONNECTION)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"text"',
        "{}",
        '{"url": "http://x"}',
        '{"other": 1}',
        "\xff\xfe",
        f'{{"token": "{TOKEN}", "unknown": 1}}',
    ],
)
def test_a_damaged_connection_is_refused_with_what_to_do(home: StudioHome, text: str) -> None:
    home.root.mkdir()
    (home.root / "connection.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="restore it from a copy; a server that runs was left alone") as caught:
        home.connection()
    assert "connection.json" in str(caught.value)
    assert TOKEN not in str(caught.value)


# Pseudonyms


def test_pseudonyms_are_drawn_once(home: StudioHome) -> None:
    pseudonyms = Pseudonyms(home, "s-1", {"ann@example.org": 3})
    ann = pseudonyms.of("ann@example.org")
    assert pseudonyms.of("3") == ann != pseudonyms.of("4")
    assert Pseudonyms(home, "s-1").of("3") == ann
    assert Pseudonyms(home, "s-2").of("3") != ann
    assert Pseudonyms(home, "s-1").of("3") == ann
    assert pseudonyms.of("") == ""
    assert "example" not in ann
    assert json.loads((home.root / "pseudonyms.json").read_text())["s-1"]["3"] == ann


def test_pseudonyms_say_nothing_of_who_it_is(tmp_path: Path) -> None:
    drawn = {Pseudonyms(StudioHome.of(tmp_path / str(number)), "s-1").of("3") for number in range(20)}
    assert len(drawn) == 20


@pytest.mark.parametrize("text", ["", "{", '{"s-1": {"3": "p1"', "7", "[1]", "null", '{"s-1": 5}'])
def test_a_damaged_key_of_the_pseudonyms_is_refused_with_what_to_do(home: StudioHome, text: str) -> None:
    home.root.mkdir()
    (home.root / "pseudonyms.json").write_text(text)
    with pytest.raises(DataError, match="restore it from a backup"):
        Pseudonyms(home, "s-1")
    assert (home.root / "pseudonyms.json").read_text() == text


# Programs

SLEEPER = (
    "import json, os, sys, time\n"
    "print(json.dumps(dict(os.environ)), flush=True)\n"
    "print('in', os.getcwd(), flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    try:
        import psutil  # noqa: F401
    except ImportError:
        need(False, "psutil is not installed")
    made = Daemon(tmp_path / "folder", "program")
    yield made
    made.stop()


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def test_a_program_is_found_again_and_stopped(daemon: Daemon) -> None:
    again = Daemon(daemon.folder, "program")
    assert (again.process(), again.port, again.stop(), again.last_words()) == (None, None, False, "")
    daemon.start([sys.executable, "-c", SLEEPER], {}, port=4321)
    process = again.process()
    assert process is not None
    assert again.port == 4321
    assert Daemon(daemon.folder, "other").process() is None
    wait_for(lambda: "in " in again.last_words())
    assert again.last_words(1) == f"in {daemon.folder}"
    assert os.getsid(process.pid) == process.pid  # the end of our terminal is not its end
    assert again.stop()
    assert not process.is_running() or process.status() == "zombie"
    assert (daemon.process(), daemon.port, daemon.stop()) == (None, None, False)
    assert daemon.last_port == 4321


@pytest.mark.slow
def test_a_program_takes_its_children_with_it(daemon: Daemon) -> None:
    import psutil

    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SLEEPER!r}])"
    daemon.start([sys.executable, "-c", script], {}, port=1)
    process = daemon.process()
    assert process is not None
    wait_for(lambda: len(process.children()) == 1)
    (child,) = process.children()
    daemon.stop()
    assert not psutil.pid_exists(child.pid) or child.status() == psutil.STATUS_ZOMBIE


def test_a_program_that_ended_is_not_there(daemon: Daemon) -> None:
    daemon.start([sys.executable, "-c", "raise SystemExit('could not start')"], {}, port=1)
    wait_for(lambda: daemon.process() is None)
    assert daemon.port is None
    assert daemon.last_words() == "could not start"


def test_a_stranger_with_the_same_number_is_left_alone(daemon: Daemon) -> None:
    import psutil

    daemon.start([sys.executable, "-c", SLEEPER], {}, port=1)
    state = daemon.folder / "program.json"
    ours = json.loads(state.read_text())
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state.write_text(json.dumps({**ours, "pid": stranger.pid, "created": ours["created"] - 3600}))
        assert daemon.process() == psutil.Process(ours["pid"])  # found by its environment, and noted again
        assert daemon.port == 1
        state.write_text(json.dumps({**ours, "pid": stranger.pid, "created": ours["created"] - 3600}))
        assert daemon.stop()
        assert daemon.process() is None
        assert not daemon.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        state.write_text(json.dumps(ours))


def test_the_callers_settings_do_not_reach_the_program(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("HOST", "PORT", "DEBUG", "LABEL_STUDIO_X", "DJANGO_DB", "PYTHONPATH", "ML_BLOCK_LOCAL_IP")
    for name in settings:
        monkeypatch.setenv(name, "leaked")
    daemon.start([sys.executable, "-c", SLEEPER], {"OWN": "1", "DEBUG": "false"}, port=1)
    wait_for(lambda: "in " in daemon.last_words())
    seen = json.loads(daemon.last_words().splitlines()[0])
    assert "leaked" not in seen.values()
    assert (seen["OWN"], seen["DEBUG"]) == ("1", "false")
    assert seen["PATH"] == os.environ["PATH"]


def test_a_program_whose_note_was_lost_is_found_by_its_environment(daemon: Daemon) -> None:
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SLEEPER!r}])"
    daemon.start([sys.executable, "-c", script], {}, port=9)
    process = daemon.process()
    assert process is not None
    wait_for(lambda: len(process.children()) == 1)  # which has the same environment
    for note in ("", None):
        path = daemon.folder / "program.json"
        path.unlink() if note is None else path.write_text(note)
        assert Daemon(daemon.folder / "other", "program").process() is None
        assert Daemon(daemon.folder, "prog").process() is None
        assert daemon.process() == process
        assert daemon.port == 9
    assert daemon.stop()


@pytest.mark.usefixtures("open_umask")
def test_what_a_program_writes_is_its_owners_alone(daemon: Daemon) -> None:
    daemon.folder.mkdir(mode=0o755)
    (daemon.folder / "label.sqlite3").touch(mode=0o644)
    private_files(daemon.folder, ".sqlite3")
    daemon.start([sys.executable, "-c", "open('db.sqlite3', 'w'); import os; os.mkdir('media')"], {}, port=1)
    wait_for(lambda: (daemon.folder / "media").is_dir())
    rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [daemon.folder, *daemon.folder.iterdir()]}
    assert {name: mode for name, mode in rights.items() if mode & 0o077 and not name.startswith("program")} == {}
    assert rights["folder"] == 0o700


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1', "7", "[1, 2]", "{}", '{"pid": -1, "created": 1}'])
def test_a_damaged_state_is_no_program(daemon: Daemon, text: str) -> None:
    daemon.folder.mkdir()
    (daemon.folder / "program.json").write_text(text)
    assert daemon.process() is None
    assert not daemon.stop()


def test_a_port_that_somebody_has_is_refused() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is taken"):
            free_port(port)
        assert free_port() not in (0, port)
        assert same_port(port) not in (0, port)
    assert free_port(port) == same_port(port) == port
