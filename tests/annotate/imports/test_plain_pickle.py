"""Pickles are programs: only those that make a dict of text are read."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from figureground.annotate.imports import plain_pickle
from figureground.annotate.imports.plain_pickle import read_plain_dict
from figureground.errors import DataError

PLAIN: dict[str, Any] = {"entire-object": "aGVsbG8=" * 1000, "wings": "x", "same": "x"}


class RunsACommand:
    """What an attacker's pickle makes of its reader."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_text_is_read_whatever_the_protocol(protocol: int) -> None:
    assert read_plain_dict(pickle.dumps(PLAIN, protocol=protocol), where="f") == PLAIN


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_bytes_are_read(protocol: int) -> None:
    assert read_plain_dict(pickle.dumps({"wings": b"x"}, protocol=protocol), where="f") == {"wings": b"x"}


def test_python_2_text_is_read() -> None:
    assert read_plain_dict(b"}q\x00U\x05wingsq\x01U\x02abq\x02s.", where="f") == {"wings": "ab"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("position", ["value", "key", "whole"])
def test_a_pickle_that_runs_a_command_runs_nothing(tmp_path: Path, protocol: int, position: str) -> None:
    mark = tmp_path / "ran"
    evil = RunsACommand(f"touch {mark}")
    made = {"value": {"wings": evil}, "key": {("wings", evil): "x"}, "whole": evil}[position]
    data = pickle.dumps(made, protocol=protocol)
    with pytest.raises(DataError, match=r"f: expected a pickled dict of text"):
        read_plain_dict(data, where="f")
    assert not mark.exists()
    pickle.loads(data)  # it would have
    assert mark.exists()


@pytest.mark.parametrize("reach", [b"cos\nsystem\n(S'true'\ntR.", b"Pan id\n."], ids=["import", "outside object"])
def test_the_reader_itself_refuses_as_well(monkeypatch: pytest.MonkeyPatch, reach: bytes) -> None:
    """The second wall stands without the first."""
    monkeypatch.setattr(plain_pickle, "_require_plain_words", lambda data: None)
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(DataError, match=r"it names (os|posix)|outside object"):
        read_plain_dict(reach, where="f")


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "exhausted|Ran out|got"),
    "cut": (pickle.dumps(PLAIN)[:-30], "expected a pickled dict"),
    "no pickle": (b"\x89PNG\r\n", "expected a pickled dict"),
    "a list": (pickle.dumps(["x"]), "EMPTY_LIST"),
    "a number": (pickle.dumps({"wings": 1}), "BININT1"),
    "a dict within": (pickle.dumps({"wings": {"a": "b"}}), "dict under 'wings'"),
    "a key of bytes": (pickle.dumps({b"wings": "x"}), "str under b'wings'"),
    "text alone": (pickle.dumps("x"), "got a str"),
    "a memo that would fill memory": (b"\x80\x02}r\xff\xff\xff\x7f.", "memo index 2147483647"),
    "a length that is not there": (b"\x80\x04\x8d" + (1 << 60).to_bytes(8, "little") + b"x.", "expected a pickled"),
    "an extension": (b"\x80\x02\x82\x01.", "EXT1"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_anything_else_is_a_fault_of_the_file(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_plain_dict(data, where="f")


def test_large_files_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_pickle, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="at most 100 bytes"):
        read_plain_dict(pickle.dumps(PLAIN), where="f")
