"""Signals that ask a command to stop: it ends with one word and a code of its own, and leaves no process behind."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, NoReturn

_ASKED: Final = ("SIGINT", "SIGTERM", "SIGHUP")
"""By name: a system may lack some."""
_PATIENCE: Final = 2.0
"""Seconds that threads have to end by themselves."""


class Stopped(BaseException):
    """A signal asked the command to stop. No ``Exception``, so that nobody takes it for a fault and goes on."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.serving = False
        """Whether a server was stopped, which has nothing to go on with."""

    @property
    def exit_code(self) -> int:
        """As shells tell it: 128 and the signal's number."""
        return 128 + self.number

    def __str__(self) -> str:
        """What happened, and what to do."""
        rest = "" if self.serving else "; what is finished is kept, run again to go on"
        return f"stopped by {signal.Signals(self.number).name}{rest}"


@contextmanager
def stoppable() -> Iterator[list[Stopped]]:
    """Let signals raise ``Stopped`` in the block, after they have ended this process's workers.

    Gives the list that a ``Stopped`` stands in from the moment it was raised: a library may make an error of its own of
    it, as C++ does of whatever ends the import of its module.

    A second signal ends the process as the system does. Signals that are ignored, as under ``nohup``, stay ignored;
    outside of the main thread, where Python lets nobody listen, nothing changes.
    """
    raised: list[Stopped] = []
    if threading.current_thread() is not threading.main_thread():
        yield raised
        return
    numbers = [getattr(signal, name) for name in _ASKED if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]

    def stop(number: int, _: FrameType | None) -> None:
        for other in heard:
            signal.signal(other, signal.SIG_DFL)
        threading.excepthook = lambda _: None  # threads that waited for the workers: nobody asks what they miss
        end_workers()
        raised.append(Stopped(number))
        raise raised[0]

    on_fault = threading.excepthook
    for number in heard:
        signal.signal(number, stop)
    try:
        yield raised
    finally:
        threading.excepthook = on_fault
        for number in heard:
            signal.signal(number, before[number])


@contextmanager
def serving() -> Iterator[None]:
    """Let a signal that stops the block, in which a server runs, say that it was stopped and no more."""
    try:
        yield
    except Stopped as stop:
        stop.serving = True
        raise


def end_workers() -> None:
    """End the processes that ``multiprocessing`` started here: a pool would wait for what they are busy with."""
    started: Any = sys.modules.get("multiprocessing")
    for child in started.active_children() if started is not None else ():
        child.kill()


def end_silently() -> None:
    """Let Ctrl-C end this process as the system does, from the moment on that Python ends.

    All is done and told by then, and ``KeyboardInterrupt`` in what libraries do at the end would be a traceback.
    """
    atexit.unregister(_leave_to_the_system)
    atexit.register(_leave_to_the_system)  # what was registered last comes first


def _leave_to_the_system() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_process(code: int) -> NoReturn:
    """End this process, though a thread of it goes on, such as a model's in the middle of a request.

    Python would wait for it without end. What is to be done at the end is done.
    """
    deadline = time.monotonic() + _PATIENCE
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in others):
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def deaf() -> Iterator[None]:
    """Hold signals back, and from processes that are started in the block until they ``hear`` again.

    Ctrl-C goes to all processes of a terminal; the one that started the workers ends them. And a signal in the middle
    of a start would leave a worker that waits for what it is to do.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    held = {getattr(signal, name) for name in _ASKED}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_sigterm() -> None:
    """Let SIGTERM end this worker again, by which a pool ends those that are left; the terminal stays unheard."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
