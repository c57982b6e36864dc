"""Property tests with new examples each round, for as long as one says; `make fuzz SECONDS=600`.

`make test` draws the same examples each time, so that nobody's change fails by luck. This searches: a round runs every
property test with a seed of its own, and the search ends with the first failure or when the time is up. pytest prints
the falsifying example and the decorator that replays it; the last lines say how to run the same round again.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence

from checkout import ROOT, project_files

PASSED, INTERRUPTED = 0, 2
"""pytest's exit codes."""


def property_modules() -> list[str]:
    """Test modules that use Hypothesis, relative to the root."""
    names = [name for name in project_files("tests") if name.rpartition("/")[2].startswith("test_")]
    return [name for name in names if "hypothesis" in (ROOT / name).read_text(encoding="utf-8")]


def options_of(seed: int) -> list[str]:
    """What makes pytest search with this seed."""
    return ["-m", "hypothesis", "--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}"]


def run_round(seed: int, tests: Sequence[str], end: float) -> int:
    """Exit code of one round, INTERRUPTED if the time was up first; ``end`` by ``time.time()``."""
    command = [sys.executable, "-P", "-m", "pytest", "--quiet", "--exitfirst", *options_of(seed), *tests]
    environment = {**os.environ, "FIGUREGROUND_TESTS_END": str(end)}  # for conftest
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    """Search; exit code 1 after a failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float, help="how long to search")
    parser.add_argument("tests", nargs="*", help="test modules; default: all that hold property tests")
    given = parser.parse_args()
    tests = given.tests or property_modules()
    end, rounds = time.time() + given.seconds, 0
    while time.time() < end:
        seed = secrets.randbits(32)
        print(f"round {rounds + 1}, seed {seed}", flush=True)
        code = run_round(seed, tests, end)
        if code not in (PASSED, INTERRUPTED):
            again = " ".join([*options_of(seed), *tests])
            print(f'failed; the same round again:\n\n    make test TESTS="{again}"')
            return 1
        rounds += code == PASSED
    print(f"nothing found in {rounds} whole rounds of {len(tests)} modules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
