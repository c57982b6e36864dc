"""Signals that ask a command to stop: one line, a code of its own, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from needs import ROOT

from figureground.cli import app as program
from figureground.runtime.signals import Stopped, deaf, stoppable

COMMAND = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from engine_jobs import wait
from figureground.cli import app as program
from figureground.runtime.engines import EngineChoice
from figureground.runtime.pools import open_engine

def work(**_):
    try:
        with open_engine(EngineChoice(), workers=2) as engine:
            list(engine.run(wait, [sys.argv[1]] * 4))
    finally:
        Path(sys.argv[1], "tidied").touch()

if __name__ == "__main__":
    program.app = work
    program.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "whole_group"), [("SIGTERM", False), ("SIGINT", True), ("SIGHUP", True)])
def test_a_command_that_is_asked_to_stop_ends_with_its_workers(name: str, whole_group: bool, tmp_path: Path) -> None:
    script, pids = tmp_path / "command.py", tmp_path / "pids"
    script.write_text(COMMAND)
    pids.mkdir()
    command = [sys.executable, "-P", str(script), str(pids), str(ROOT / "tests" / "support")]
    number = getattr(signal, name)
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # whoever runs the tests may ignore it
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(pids.iterdir())) < 2:
        time.sleep(0.02)
    workers = [psutil.Process(int(path.name)) for path in pids.iterdir()]
    assert len(workers) == 2
    os.killpg(process.pid, number) if whole_group else process.send_signal(number)
    _, stderr = process.communicate(timeout=20)  # the jobs last for minutes
    assert (process.returncode, stderr) == (
        128 + number,
        f"stopped by {name}; what is finished is kept, run again to go on\n",
    )
    assert (pids / "tidied").is_file()
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)


def test_signals_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped) as stopped, stoppable():
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.exit_code == 143
    assert not isinstance(stopped.value, Exception)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_library_that_makes_an_error_of_its_own_of_the_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module in C++ says ``initialization failed``, whatever ended its import."""

    def work(**_: Any) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr(program, "app", work)
    with pytest.raises(SystemExit) as ended:
        program.main([])
    assert ended.value.code == 143
    assert capsys.readouterr().err == "stopped by SIGTERM; what is finished is kept, run again to go on\n"


def test_an_interruption_while_python_ends_prints_nothing() -> None:
    work = "lambda **_: atexit.register(signal.raise_signal, signal.SIGINT) and None"
    lines = ["import atexit, signal", "from figureground.cli import app as program", f"program.app = {work}"]
    ended = subprocess.run(
        [sys.executable, "-P", "-c", "\n".join([*lines, "program.main([])"])],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_that_come_while_workers_start_are_heard_afterwards(name: str) -> None:
    reached = []

    def start() -> None:
        with stoppable():
            with deaf():
                signal.raise_signal(getattr(signal, name))
                reached.append("the end")
            reached.append("too far")

    with pytest.raises(Stopped):
        start()
    assert reached == ["the end"]
