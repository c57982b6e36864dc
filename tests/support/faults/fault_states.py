"""The end state of a command: every file, and every table row by row; clocks and stopwatches apart."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

State = Mapping[str, Any]
"""Path to SHA-256 of a file, or ``PATH table`` to the rows of a table."""
_VARYING: Final = frozenset({"seconds", "updated_at", "since", "project", "task"})
"""Columns that differ from run to run: clocks, and numbers that a server draws."""
_PSEUDONYM: Final = re.compile(r"'p[0-9a-f]{8}'")
"""Which is drawn; how many there are stands beside them."""
_LIBRARIES: Final = (
    "home/hf",
    "home/.cache",
    "home/cache/matplotlib",
    "home/cache/Microsoft",
    "home/.config",
    "tmp/.ses",
)
"""Caches of libraries, which keep what they like."""
_SERVERS: Final = ("connection.json", "server.json", "server.log", "data", "queues")
"""Entries of a studio that name a server, or are its own; ``fault_studio`` compares what they stand for."""


def end_state(folder: Path) -> State:
    """What lies in a folder."""
    return dict(_entries(folder))


def differences(expected: State, got: State) -> list[str]:
    """What is missing, changed or left over, a line each."""
    lines = []
    for name in sorted(expected.keys() | got.keys()):
        if name not in got:
            lines.append(f"missing: {name}")
        elif name not in expected:
            lines.append(f"left over: {name}")
        elif expected[name] != got[name]:
            rows = f" ({len(expected[name])} rows, {len(got[name])})" if isinstance(got[name], list) else ""
            lines.append(f"differs: {name}{rows}")
    return lines


def _entries(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(name == cache or name.startswith(f"{cache}/") for cache in _LIBRARIES) or name in ("home", "home/cache"):
            continue
        if name.split("/")[1:2] == ["studio"] and path.relative_to(folder).parts[2:3] in [(own,) for own in _SERVERS]:
            continue
        if path.suffix == ".sqlite":
            yield from ((f"{name} {table}", rows) for table, rows in _tables(path))
        elif path.name == "pseudonyms.json":
            yield name, {server: len(users) for server, users in json.loads(path.read_text()).items()}
        elif path.name == "accounts.json":  # passwords are drawn
            yield name, sorted(json.loads(path.read_text()))
        elif path.is_file():
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()
        elif not any(path.iterdir()):
            yield f"{name}/", "an empty folder"


def _tables(path: Path) -> Iterator[tuple[str, list[Any]]]:
    with closing(sqlite3.connect(path)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        for name in names:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
            selection = ", ".join(column for column in columns if column not in _VARYING)
            rows = database.execute(f"SELECT {selection} FROM {name}")
            yield name, sorted(_PSEUDONYM.sub("'p'", repr(row)) for row in rows)
