"""The fuzzer of parsers: a short search of all of them, and proof that it finds what it looks for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import fuzz_parsers
import pytest

SCRIPT = Path(fuzz_parsers.__file__)


@pytest.mark.slow
def test_a_short_search_finds_nothing_in_any_parser() -> None:
    command = [sys.executable, "-P", str(SCRIPT), "--unguided", "--executions", "3000", "--seed", "1"]
    done = subprocess.run(command, env=fuzz_parsers.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *parsers, total = done.stdout.splitlines()[1:]
    assert len(parsers) > 35
    assert all(" executions in " in line and " 0 findings" in line for line in parsers)
    assert int(total.split()[0]) >= 3000


PLANTED = """
import json, sys, tempfile, time
from pathlib import Path
from parser_child import Guard, limit_memory
from figureground.errors import DataError

def fall(data, folder):
    if data == b"key":
        raise KeyError("label")
    if data == b"time":
        while True:
            pass
    if data == b"room":
        try:
            bytearray(2 << 30)
        except MemoryError as error:
            raise DataError.single("a", "", expected="less", got="more") from error
    if data == b"ours":
        raise DataError.single("a", "", expected="b", got="c")

with tempfile.TemporaryDirectory() as folder:
    guard = Guard(fall, (DataError,), Path(folder))
    limit_memory()
    for data in (b"good", b"key", b"time", b"room", b"ours", b"key"):
        guard(data)
    inputs = {key.partition(" at ")[0]: bytes.fromhex(found["input"]) for key, found in guard.findings.items()}
    print(json.dumps({key: data.decode() for key, data in inputs.items()}))
    print(guard.executions)
"""


def _in_child(code: str) -> str:
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, env=fuzz_parsers.environment(), capture_output=True, text=True, check=True).stdout


def test_errors_time_and_memory_are_findings_and_errors_of_ours_are_none() -> None:
    findings, executions = _in_child(PLANTED).splitlines()
    assert json.loads(findings) == {"KeyError": "key", "over a second": "time", "memory": "room"}
    assert executions == "6"


def test_equal_seeds_make_equal_inputs() -> None:
    code = (
        "import random; from format_edits import mutated; import parser_samples as made\n"
        "for kind, ending in ((made.coco_files, '.json'), (made.tar_files, '.tar'), (made.masks_png, '.png'), "
        "(made.arrays, '.npy'), (made.voc_files, '.xml'), (made.photo_tables, '.parquet')):\n"
        "    seeds = kind()\n"
        "    first, again, other = (\n"
        "        [mutated(seeds[0], seeds, rng, ending) for _ in range(40)] for rng in map(random.Random, (5, 5, 6))\n"
        "    )\n"
        "    print(first == again, first != other, len(set(first)) > 25)\n"
    )
    assert _in_child(code).split() == ["True"] * 18
