"""What is tried: each verb on small drawn inputs, from a folder as it is before the verb."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from fault_inputs import Inputs, first_photo

Words = Callable[[Inputs], list[str]]
Kind = Literal["plain", "networks", "studio", "hub"]
"""What a process imports before it runs a verb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb as it is tried."""

    words: Words
    """Its arguments, in the folder."""
    begin: tuple[str, ...] = ()
    """Parts of ``Inputs`` that lie in the folder before: copied, under the second name of ``NAME=NAME``."""
    quick: bool = False
    """Whether it is tried in every run of the tests."""
    every: int = 1
    """In which rounds of a long run it is tried: in each, or in every second or third, if it takes long."""
    kind: Kind = "plain"
    printed: bool = False
    """Whether what it prints is the same each time, so that it is compared too."""
    done: str = ""
    """What it says, with exit code 2, where it is run again after it had done all."""
    starved: bool = True
    """Whether it is tried on a full disk, with few files and without a home: not what starts a server, which shares
    the limits."""
    prepare: Callable[[Inputs, Path], None] = lambda _, __: None
    """Makes the folder ready, and what lies outside of it."""
    facts: Callable[[Inputs, Path], Mapping[str, Any]] = lambda _, __: {}
    """What lies outside of the folder: that of a server."""
    finish: Callable[[Inputs, Path], None] = lambda _, __: None
    """Tidies up outside of the folder."""
    changes: Callable[[Inputs, Path], Mapping[str, str | None]] = lambda _, __: {}
    """Variables of the environment; None for absent."""


def begin(verb: Verb, inputs: Inputs, folder: Path) -> Path:
    """Make the folder of a verb as it is before it."""
    sources = [name.partition("=") for name in verb.begin]
    parts = {target or source: inputs.part(source) for source, _, target in sources}
    folder.mkdir(parents=True)
    for target, part in parts.items():
        shutil.copytree(part, folder / target, symlinks=True)
    verb.prepare(inputs, folder)
    return folder


def _part(name: str, *words: str) -> Words:
    """Words, in which PART stands for the path of a part."""
    return lambda inputs: [word.replace("PART", str(inputs.part(name))) for word in words]


def words(*fixed: str) -> Words:
    """Words that are the same whatever the inputs."""
    return lambda _: list(fixed)


def _build(workers: str) -> Words:
    return _part("recipe", "build", "PART/plain.yaml", "-w", "work", "-o", "out", "--workers", workers)


def _export(layout: str) -> Words:
    return words("export", "data", "--layout", layout, "-o", "out")


def _model(inputs: Inputs) -> str:
    return f"onnx:{inputs.part('models') / 'model.onnx'}"


_PHOTOS: Final[Mapping[str, Verb]] = {
    "index": Verb(words=_part("many", "index", "PART", "-w", "work", "--workers", "1"), quick=True),
    "index, two workers": Verb(words=_part("many", "index", "PART", "-w", "work", "--workers", "2")),
    "photos": Verb(words=words("photos", "-w", "work"), begin=("accepted=work",), printed=True),
    "status": Verb(words=words("status", "-w", "work"), begin=("accepted=work",), printed=True),
    "duplicates": Verb(words=words("duplicates", "work"), begin=("accepted=work",), printed=True),
    "forget": Verb(
        words=lambda inputs: ["forget", first_photo(inputs), "-w", "work"],
        begin=("served=work",),
        done="knows no photo",
        quick=True,
    ),
    "propose": Verb(
        words=words("propose", "-w", "work", "--segmenter", "grabcut", "--prompt", "box"),
        begin=("indexed=work",),
        quick=True,
    ),
    "import masks": Verb(
        words=_part("masks", "import", "masks", "PART", "-w", "work", "--origin", "drawn"),
        begin=("indexed=work",),
        quick=True,
    ),
    "import coco": Verb(
        words=_part("coco.json", "import", "coco", "PART", "-w", "work", "--origin", "drawn"), begin=("indexed=work",)
    ),
    "import rival10": Verb(
        words=_part("rivals", "import", "rival10", "PART", "-w", "work"), begin=("rival photos=work",)
    ),
    "sheet make": Verb(words=words("sheet", "make", "-w", "work", "-o", "out"), begin=("proposed=work",), quick=True),
    "sheet read": Verb(
        words=_part("decisions.json", "sheet", "read", "PART", "-w", "work"), begin=("judged=work",), quick=True
    ),
}

_RELEASES: Final[Mapping[str, Verb]] = {
    "agree": Verb(words=words("agree", "-w", "work", "-o", "out"), begin=("answered=work",), printed=True),
    "lint": Verb(
        words=words("lint", "-w", "work", "--out", "found.csv", "--page", "found.html", "--fail-on", "never"),
        begin=("speckled=work",),
        printed=True,
    ),
    "lint, mending": Verb(
        words=words("lint", "-w", "work", "--fix", "pinholes", "--fix", "islands", "--apply"),
        begin=("speckled=work",),
        quick=True,
    ),
    "rims": Verb(words=words("rims", "-w", "work", "--workers", "1"), begin=("accepted=work",)),
    "policy": Verb(words=words("policy", "double_checked"), printed=True),
    "checkpoints": Verb(words=words("checkpoints", "--json"), printed=True),
    "recipe": Verb(words=words("recipe", "imagenet9"), printed=True),
    "freeze": Verb(words=words("freeze", "-w", "work", "--version", "v1"), begin=("accepted=work",), quick=True),
    "build": Verb(words=_build("1"), begin=("workspace=work",), quick=True),
    "build, two workers": Verb(words=_build("2"), begin=("workspace=work",)),
    "verify": Verb(words=words("verify", "data", "--workers", "1"), begin=("pictures=data",), printed=True),
    "diff": Verb(words=_part("pictures", "diff", "data", "PART"), begin=("plain=data",), printed=True),
    "rebuild": Verb(
        words=lambda inputs: [
            "rebuild",
            "data",
            "--source",
            str(inputs.plain.drawn.photos),
            "-o",
            "out",
            "--workers",
            "1",
        ],
        begin=("plain=data",),
        quick=True,
    ),
    "export, coco": Verb(words=_export("coco"), begin=("pictures=data",), quick=True),
    "export, imagenet9": Verb(words=_export("imagenet9"), begin=("pictures=data",)),
    "export, rival10": Verb(words=_export("rival10"), begin=("rival data=data",)),
}

_SCORES: Final[Mapping[str, Verb]] = {
    "evaluate": Verb(
        words=lambda inputs: [
            "evaluate",
            "data",
            "--model",
            _model(inputs),
            "--out",
            "out",
            "--bootstrap",
            "50",
            "--configs",
            "original,mixed",
        ],
        begin=("pictures=data",),
        quick=True,
    ),
    "report": Verb(words=words("report", "scores", "-o", "out"), begin=("scores",)),
    "report, of a dataset": Verb(words=words("report", "data", "-o", "out"), begin=("pictures=data",)),
    "compare": Verb(words=words("compare", "scores", "-o", "out", "--rounds", "99"), begin=("scores",), printed=True),
    "plan-size": Verb(words=words("plan-size", "--discordant", "0.15", "--difference", "0.1"), printed=True),
    "human make": Verb(
        words=words("human", "make", "data", "-o", "out", "--config", "original", "--config", "mixed"),
        begin=("pictures=data",),
    ),
    "human score": Verb(
        words=lambda inputs: ["human", "score", "kit", "-o", "out", "--bootstrap", "50"], begin=("kit",), printed=True
    ),
}


def _analysis(name: str, out: str, *more: str) -> Verb:
    """An analysis of drawn figures by a network of five units."""
    called = ["analyze", name, "data", "--model", "figure_models:half_lazy", "-o", out, *more]
    return Verb(words=words(*called), begin=("figures=data",), kind="networks", every=2)


_ANALYSES: Final[Mapping[str, Verb]] = {
    "analyze saliency": _analysis("saliency", "out", "--bootstrap", "50", "--shown", "1"),
    "analyze worst": _analysis("worst", "out", "-k", "2"),
    "analyze probe": _analysis("probe", "head.safetensors", "--epochs", "3"),
    "analyze heads": _analysis("heads", "out", "--train", "original", "--epochs", "3", "--bootstrap", "50"),
    "analyze features": _analysis("features", "out", "-k", "2"),
    "analyze spuriosity": _analysis("spuriosity", "out", "-k", "2", "--shown", "2"),
}

VERBS: Final[Mapping[str, Verb]] = MappingProxyType({**_PHOTOS, **_RELEASES, **_SCORES, **_ANALYSES})
"""By name: the words of the command line, and after a comma how they are meant. Those that need no server."""

LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "analyze conflict": "writes what report writes of the same stored answers, by the same functions",
        "doctor": "changes nothing, and tells what the machine is like at the moment",
        "demo": "calls the functions of the other verbs one after the other, in a folder that is new each time",
        "view": "serves a browser until it is stopped",
        "studio backend": "serves until it is stopped; tests/annotate/studio/test_backend.py stops it in mid-work",
    }
)
"""Verbs of the command line that are not tried, and why."""
