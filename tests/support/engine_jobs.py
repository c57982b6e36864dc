"""Jobs for the engine's tests, in a module of their own so that spawned workers can import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    return number * number


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(job: tuple[str, int]) -> int:
    folder, number = job
    if number == 3 and not Path(folder, "died").exists():
        Path(folder, "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(number: int) -> int:
    raise ValueError(f"job {number}")


def wait(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def own_pid(_: int) -> int:
    """Say which process runs this."""
    time.sleep(0.05)  # or one process would have done all before the other one is there
    return os.getpid()
