"""Test both ends of the ranges in pyproject.toml, each in an environment of its own.

``constraints.txt`` pins what we work with; only this sees the rest of each range. Run by ``make ranges``, which passes
on what ``RANGES`` holds, such as ``RANGES="oldest newest --newest-python python3.12"``. A first run downloads about
6 GB on x86_64 Linux, nearly all of it two releases of torch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from checkout import ROOT

UV: Final = str(Path(sys.executable).with_name("uv"))
SCRATCH: Final = ROOT / ".scratch" / "ranges"
CONSTRAINTS: Final = ROOT / "constraints.txt"
TOOLS: Final = ("hypothesis", "mlcroissant", "mobilesam-mirror", "pytest", "pytest-timeout", "syrupy")
"""What the tests themselves import, at the versions of the lock."""
SHOWN: Final = (
    *("datasets", "huggingface-hub", "numpy", "opencv-python-headless", "pillow", "pyarrow", "pydantic", "scipy"),
    *("label-studio-sdk", "onnxruntime", "open-clip-torch", "ray", "scikit-learn", "timm", "torch", "torchvision"),
    "transformers",
)
"""Packages whose versions are printed."""

CORE_TESTS: Final = (
    "tests/build",
    "tests/schemas/rasters",
    "tests/schemas/sources/test_opening.py",
    "tests/exports/dataset/test_building_crops.py",
    "tests/exports/dataset/test_card.py",
    "tests/figureground/cli/test_app.py",
)
"""Pixels and their bytes, photos, masks, Parquet, the card, the command line."""
EXTRAS_TESTS: Final = (
    "tests/annotate/segmenters/hub_models",
    "tests/annotate/segmenters/test_detector.py",
    "tests/annotate/segmenters/test_sam.py",
    "tests/annotate/segmenters/test_tfjs_graph.py",
    "tests/annotate/studio/test_answers.py",
    "tests/annotate/studio/test_backend.py",
    "tests/annotate/studio/test_tasks.py",
    "tests/exports/analyses",
    "tests/exports/evaluation/model_files",
    "tests/exports/evaluation/test_classifiers.py",
    "tests/exports/evaluation/test_memory.py",
    "tests/exports/evaluation/test_models.py",
    "tests/exports/evaluation/protocols/test_noise.py",
    "tests/exports/human/test_scores.py",
    "tests/exports/publishing/test_publish.py",
    "tests/figureground/runtime/test_ray_engine.py",
)
"""Segmenters, Label Studio without its server, analyses, adapters of classifiers, agreement, publishing, Ray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of the ranges."""

    name: str
    """Also the name of its environment's folder."""
    resolution: Literal["lowest-direct", "highest"]
    """How uv chooses; ``lowest-direct`` takes the newest of what is not named in pyproject.toml."""
    extras: tuple[str, ...]
    tests: tuple[str, ...]


EXTRAS: Final = ("agree", "analyses", "backend", "demo", "label-studio", "open-clip", "publish", "ray", "transformers")
"""Those of ``make install``; label-studio-sdk holds NumPy and OpenCV back, so the core is also tested without it."""
ENDS: Final = (
    End(name="oldest-core", resolution="lowest-direct", extras=(), tests=CORE_TESTS),
    End(name="newest-core", resolution="highest", extras=(), tests=CORE_TESTS),
    End(name="oldest", resolution="lowest-direct", extras=EXTRAS, tests=CORE_TESTS + EXTRAS_TESTS),
    End(name="newest", resolution="highest", extras=EXTRAS, tests=CORE_TESTS + EXTRAS_TESTS),
)


def main() -> int:
    """Returns the exit code: 0 where every test of every end passed."""
    ends = {end.name: end for end in ENDS}
    parser = argparse.ArgumentParser(description="Test both ends of the ranges in pyproject.toml.")
    parser.add_argument("names", nargs="*", metavar="END", help=f"{', '.join(ends)}; all by default")
    parser.add_argument("--newest-python", default=sys.executable, help="interpreter of the newest ends")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in ends]:
        parser.error(f"no such end: {', '.join(unknown)}")
    outcomes = {}
    for end in [ends[name] for name in options.names or ends]:
        newest = end.resolution == "highest"
        outcomes[end.name] = run_tests(end, make_environment(end, options.newest_python if newest else sys.executable))
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome.summary}")
    return 0 if all(outcome.passed for outcome in outcomes.values()) else 1


def make_environment(end: End, interpreter: str) -> Path:
    """Install the project at one end of its ranges, and print the versions that matter; returns the interpreter."""
    python = SCRATCH / end.name / "bin" / "python"
    versions = SCRATCH / f"{end.name}.txt"
    uv("venv", "--clear", "--seed", "--python", interpreter, str(SCRATCH / end.name))
    extras = [option for extra in end.extras for option in ("--extra", extra)]
    choice = ("--python", str(python), "--resolution", end.resolution, "--output-file", str(versions), "--upgrade")
    uv("pip", "compile", "--no-header", "--no-annotate", *choice, *extras, "pyproject.toml")
    uv("pip", "install", "--python", str(python), "--no-deps", "--requirements", str(versions), "--editable", ".")
    lock = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    tools = [line for line in lock if line.partition("==")[0] in TOOLS]
    uv("pip", "install", "--python", str(python), "--constraint", str(versions), *tools)
    chosen = versions.read_text(encoding="utf-8").splitlines()
    shown = [line.replace("==", " ") for line in chosen if line.partition("==")[0] in SHOWN]
    release = subprocess.run([str(python), "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"\n==== {end.name}: {release}, {', '.join(shown)}", flush=True)
    return python


def uv(*arguments: str) -> None:
    """Run uv without the settings of this checkout, which are for the lock."""
    subprocess.run([UV, "--quiet", "--no-config", *arguments], cwd=ROOT, check=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an end's tests ended."""

    passed: bool
    summary: str
    """pytest's last line, such as ``3 failed, 812 passed in 60.12s``."""


def run_tests(end: End, python: Path) -> Outcome:
    """Run the tests of an end, with its own programs first in PATH."""
    command = [str(python), "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *end.tests]
    environment = {**os.environ, "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout or ():
        print(line, end="", flush=True)
        lines.append(line.strip())
    return Outcome(passed=process.wait() == 0, summary=next(filter(None, reversed(lines)), "no test ran"))


if __name__ == "__main__":
    sys.exit(main())
