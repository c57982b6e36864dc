"""Build the source distribution and from it the wheel, compare both with git, and run the wheel in a bare environment.

An editable install finds every file in the checkout; only this sees what a wheel lost. Run by ``make wheel-check``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from checkout import PACKAGE_FOLDERS, ROOT, project_files

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
    return 0


def build() -> tuple[Path, Path]:
    """The source distribution, and the wheel made from it; ``python -m build`` runs in the root, as a release does."""
    environment = {**os.environ, "UV_BUILD_CONSTRAINT": str(CONSTRAINTS), "UV_CONSTRAINT": str(CONSTRAINTS)}
    command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(SCRATCH)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    (sdist,), (wheel,) = SCRATCH.glob("*.tar.gz"), SCRATCH.glob("*.whl")
    return sdist, wheel


def run_bare(wheel: Path) -> None:
    """Install the wheel with its core dependencies alone, away from the checkout, and use it."""
    bare = SCRATCH / "bare"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(bare)], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", str(bare), "--constraint", str(CONSTRAINTS)]
    subprocess.run([*install, str(wheel)], check=True)
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
