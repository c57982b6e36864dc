"""Damaged input for every parser, guided by what of our code it reaches; `make fuzz-parsers EXECUTIONS=1000000`.

Each parser runs in a process of its own with bounded memory. A finding is an error that is none of ours, over a second
of processor time for one input, more than a gigabyte, or the end of the process. With atheris, libFuzzer keeps inputs
that reach new code and goes on from them; without it, every input is made from good ones. Equal seed, equal inputs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from checkout import ROOT

FINDINGS: Final = ROOT / ".scratch" / "fuzz"
_SHORTEST: Final = 20
"""Executions of a parser, however few are asked for in all."""


def memory_folder() -> str | None:
    """A folder for temporary files in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def run_parsers(
    plan: Sequence[tuple[str, int]], options: argparse.Namespace, samples: Path
) -> Iterator[dict[str, Any]]:
    """Fuzz some parsers one after the other, each in a fork of one process that imported them all."""
    command = [sys.executable, "-P", __file__, "--child", json.dumps(plan), "--seed", str(options.seed)]
    command += ["--samples", str(samples), *(["--unguided"] if options.unguided else [])]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
    ) as child:
        for line in child.stdout or ():
            if line.startswith("{"):
                yield json.loads(line)
    if child.returncode:
        raise SystemExit(f"the process that forks ended with {child.returncode}")


def environment() -> dict[str, str]:
    """What a child runs in: one thread, no Hub, our own modules in reach."""
    support = ROOT / "tests" / "support"
    path = [str(support / name) for name in ("", "fuzzing", "samples", "servers")]
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = [*filter(None, [os.environ.get("PYTHONPATH")]), *path]
    return {**inherited, **own, "PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": "0"}


def prepare(folder: Path) -> None:
    """Draw the samples, in a process of its own."""
    code = (
        "import sys; from pathlib import Path; from parser_samples import draw_samples, results; "
        "results(draw_samples(Path(sys.argv[1])))"
    )
    offline = {"HF_DATASETS_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-P", "-c", code, str(folder)], env={**environment(), **offline}, check=True)


def shares(names: Sequence[str], executions: int) -> Iterator[tuple[str, int]]:
    """How many executions each parser gets."""
    from parser_targets import SHARES

    weights = {name: SHARES[name] for name in names}
    for name, weight in weights.items():
        yield name, max(round(executions * weight / sum(weights.values())), _SHORTEST)


def main() -> int:
    """Fuzz; exit code 1 after a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=100_000, help="of all parsers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="parsers at a time")
    parser.add_argument("--unguided", action="store_true", help="without atheris")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=Path, help="where samples were drawn before; default: they are drawn anew")
    parser.add_argument("--replay", type=Path, help="run the one parser that is named on this file")
    parser.add_argument("parsers", nargs="*", help="default: all")
    given = parser.parse_args()
    if given.child:
        from parser_child import run

        return run(json.loads(given.child), given.seed, given.samples, guided=not given.unguided)
    if given.replay:
        from parser_child import replay

        return replay(given.parsers[0], given.replay)
    return search(given)


def search(given: argparse.Namespace) -> int:
    """Fuzz the parsers, print what each did, and keep the inputs of findings."""
    sys.path[:0] = environment()["PYTHONPATH"].split(os.pathsep)
    from parser_targets import TARGETS

    if strange := sorted(set(given.parsers) - set(TARGETS)):
        raise SystemExit(f"no parser {', '.join(strange)}; there are: {', '.join(TARGETS)}")
    given.unguided = given.unguided or importlib.util.find_spec("atheris") is None
    print(f"seed {given.seed}, {'unguided' if given.unguided else 'guided by atheris'}", flush=True)
    shutil.rmtree(FINDINGS, ignore_errors=True)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(dir=memory_folder())
        if given.samples is None
        else nullcontext(given.samples) as drawn
    ):
        if not Path(drawn, "full.sqlite").is_file():
            prepare(Path(drawn))
        planned = list(shares(given.parsers or list(TARGETS), given.executions))

        def fuzz(plan: Sequence[tuple[str, int]]) -> tuple[int, int]:
            reports = [show(report) for report in run_parsers(plan, given, Path(drawn))]
            return sum(count for count, _ in reports), sum(count for _, count in reports)

        with ThreadPoolExecutor(given.jobs) as pool:
            counts = list(pool.map(fuzz, [planned[start :: given.jobs] for start in range(given.jobs)]))
    executed, findings = (sum(column) for column in zip(*counts, strict=True))
    print(f"{executed} executions, {findings} findings, {time.monotonic() - began:.0f} s")
    return 1 if findings else 0


def show(report: dict[str, Any]) -> tuple[int, int]:
    """Print what became of a parser; returns its executions and findings."""
    new = f", {report['inputs']} inputs that reached new code" if report["inputs"] else ""
    words = f"{report['executions']} executions in {report['seconds']:.0f} s, {len(report['findings'])} findings{new}"
    words += f"; at most {report['slowest']:.2f} s, {report['memory'] >> 20} MiB"
    print(f"{report['name']}: {words}", flush=True)
    keep(report["name"], report["findings"])
    return report["executions"], len(report["findings"])


def keep(name: str, findings: dict[str, Any]) -> None:
    """Print findings, and keep their inputs."""
    for number, (key, finding) in enumerate(sorted(findings.items())):
        folder = FINDINGS / name.replace(" ", "-").replace("'", "").replace(",", "")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number}.bin"
        path.write_bytes(bytes.fromhex(finding["input"]))
        (folder / f"{number}.txt").write_text(f"{key}\n{finding['trace']}", encoding="utf-8", errors="backslashreplace")
        print(f"  {key}\n    {path.relative_to(ROOT)}, {path.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    sys.exit(main())
