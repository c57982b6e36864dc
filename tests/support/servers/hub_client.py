"""Real clients of the Hub's double, each in a process of its own, and small datasets for them to publish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from drawn_release import DrawnRelease
from hub_double import SECRET, SIGNATURE, STRANGER, HubDouble

from figureground.build.recipes.loading import load_recipe
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.runtime.files import file_sha256

VARIANTS = {"original": {"view": "native", "ground": "source"}, "plus": {"view": "crop", "ground": "source"}}
CLASSES = {
    "name": "toy",
    "classes": [
        {"index": index, "name": name, "wnids": [name], "imagenet_indices": list(range(index, 1000, 3))}
        for index, name in enumerate(("disc", "ring", "bar"))
    ],
}
"""Every ImageNet class is one of three, so that a classifier of ImageNet is right now and then."""


def build_toy(
    drawn: DrawnRelease,
    folder: Path,
    *,
    pixels: bool = True,
    version: str = "1",
    base: str = "imagenet_a_plus",
    variants: Mapping[str, Any] = VARIANTS,
) -> Path:
    """A dataset repository of drawn photos."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / "toy.json").write_text(json.dumps(CLASSES))
    recipe = load_recipe(base).model_dump(mode="json")
    recipe |= {"name": "toy", "version": version, "class_map": "toy.json", "variants": variants}
    (folder.parent / f"{folder.name}.yaml").write_text(yaml.safe_dump(recipe))
    path = str(folder.parent / f"{folder.name}.yaml")
    build_dataset(
        prepare_request(
            path, drawn.workspace, options=BuildOptions(per_class="all", pixels=pixels), machines=Machines(workers=1)
        ),
        folder,
    )
    return folder


def relist(folder: Path) -> Path:
    """Let the manifest list the files as they are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json")
    manifest["sha256"] = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return folder


@dataclass(slots=True)
class Client:
    """Somebody at a computer of their own."""

    hub: HubDouble
    home: Path
    token: str | None = SECRET
    more: Mapping[str, str] = field(default_factory=dict)
    """Further environment."""

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        # datasets imports torch when it streams, where there is one; nothing here asks for tensors
        return {**self.hub.client_environment(self.home, self.token), "USE_TORCH": "0", "USE_TF": "0", **self.more}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A process of Python."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def python(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run Python to its end; no secret may stand in what it prints."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, (arguments, process.returncode, out, err)
        for secret in (SECRET, STRANGER, SIGNATURE):
            assert secret not in out + err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def figureground(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command line; ``code`` is the exit code that is expected."""
        return self.python("-m", "figureground", *map(str, arguments), code=code)

    def files(self) -> list[str]:
        """What this client's caches hold, by name."""
        return [name for _, _, names in os.walk(self.home) for name in names]
