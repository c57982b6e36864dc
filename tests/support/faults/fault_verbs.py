"""What is tried: each verb on small drawn inputs, from a folder as it is before the verb."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from colour_dataset import HEAD, PLAIN, write_onnx
from drawn_release import draw_photo
from PIL import Image
from plain_dataset import Plain, make_plain, write_recipe

from figureground.annotate.proposals.proposing import ProposalSettings
from figureground.annotate.sheet.reading import TOOL
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.verbs import index, propose
from figureground.schemas.documents import same_form
from figureground.schemas.sources.names import name_key
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

PHOTOS: Final = 300
"""That are indexed: two transactions."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What all verbs are tried on; nothing of it is written to."""

    root: Path
    plain: Plain

    @property
    def many(self) -> Path:
        """Photos to index."""
        return self.root / "many"

    @property
    def masks(self) -> Path:
        """Masks of the plain dataset's photos."""
        return self.root / "masks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb as it is tried."""

    words: Callable[[Inputs], list[str]]
    """Its arguments, in the folder."""
    begin: tuple[str, ...] = ()
    """Folders of ``Inputs.root`` that lie in the folder before: copied, under the second name of ``NAME=NAME``."""
    quick: bool = True
    """Whether it is tried in every run of the tests."""


def make_inputs(root: Path) -> Inputs:
    """Draw all that the verbs need."""
    plain = make_plain(root)
    inputs = Inputs(root, plain)
    write_recipe(root / "recipe", {})
    _draw_many(inputs.many)
    _draw_masks(plain, inputs.masks)
    index(plain.drawn.photos, root / "indexed", name="drawn", licence="CC0-1.0", workers=1)
    with closing(sqlite3.connect(root / "indexed" / DATABASE_NAME)) as database, database:
        database.execute("UPDATE images SET boxes = '[[40, 40, 160, 160]]'")  # what GrabCut begins from
    shutil.copytree(root / "indexed", root / "proposed")
    propose(root / "proposed", "grabcut", settings=ProposalSettings(prompt_mode="box"))
    shutil.copytree(plain.drawn.workspace, root / "accepted")
    shutil.rmtree(root / "accepted" / "objects")
    _draw_decisions(inputs)
    (root / "models").mkdir()
    write_onnx(root / "models" / "model.onnx", HEAD, settings=PLAIN)
    return inputs


def _draw_many(folder: Path) -> None:
    generator = random.Random(5)
    for number in range(PHOTOS):
        path = folder / f"class{number % 3}" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 32), tuple(generator.randbytes(3))).save(path, compress_level=0)


def _draw_masks(plain: Plain, folder: Path) -> None:
    for number, kind in enumerate(("disc", "ring", "bar")):
        for path in sorted((plain.drawn.photos / kind).iterdir()):
            target = folder / kind / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            _, mask = draw_photo(kind, 100 * number + int(path.stem.removeprefix(kind)))
            Image.fromarray(mask.astype(np.uint8) * 255).save(target)


def _draw_decisions(inputs: Inputs) -> None:
    """Answers to a sheet, as its page saves them."""
    with Workspace.open(inputs.root / "proposed") as store:
        decided = [
            {
                "image_id": proposal.image_id,
                "proposal_id": proposal.proposal_id,
                "decision": "accept",
                "decided_at": "2026-01-01T00:00:00Z",
                "seconds": 1.0,
            }
            for proposal in store.first_ranked()
        ]
        # Ids of answers are made of the pseudonym, which is drawn where it is not known.
        Pseudonyms(StudioHome.of(store.root), TOOL).of(name_key(same_form("Ada")))
    head = {"format": "figureground sheet decisions", "version": "1", "sheet": "0" * 32, "page": 1, "annotator": "Ada"}
    (inputs.root / "decisions.json").write_text(json.dumps({**head, "decisions": decided}))


def begin(verb: Verb, inputs: Inputs, folder: Path) -> Path:
    """Make the folder of a verb as it is before it."""
    folder.mkdir(parents=True)
    for name in verb.begin:
        source, _, target = name.partition("=")
        shutil.copytree(inputs.root / source, folder / (target or source), symlinks=True)
    return folder


def _build(*more: str) -> Callable[[Inputs], list[str]]:
    return lambda inputs: ["build", str(inputs.root / "recipe" / "plain.yaml"), "-w", "work", "-o", "out", *more]


VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        "index": Verb(words=lambda inputs: ["index", str(inputs.many), "-w", "work", "--workers", "1"]),
        "index, two workers": Verb(
            words=lambda inputs: ["index", str(inputs.many), "-w", "work", "--workers", "2"], quick=False
        ),
        "propose": Verb(
            words=lambda _: ["propose", "-w", "work", "--segmenter", "grabcut", "--prompt", "box"],
            begin=("indexed=work",),
        ),
        "import masks": Verb(
            words=lambda inputs: ["import", "masks", str(inputs.masks), "-w", "work", "--origin", "drawn"],
            begin=("indexed=work",),
        ),
        "sheet make": Verb(words=lambda _: ["sheet", "make", "-w", "work", "-o", "out"], begin=("proposed=work",)),
        "sheet read": Verb(
            words=lambda inputs: ["sheet", "read", str(inputs.root / "decisions.json"), "-w", "work"],
            begin=("proposed=work",),
        ),
        "rims": Verb(words=lambda _: ["rims", "-w", "work", "--workers", "1"], begin=("accepted=work",)),
        "freeze": Verb(words=lambda _: ["freeze", "-w", "work", "--version", "v1"], begin=("accepted=work",)),
        "build": Verb(words=_build("--workers", "1"), begin=("workspace=work",)),
        "build, two workers": Verb(words=_build("--workers", "2"), begin=("workspace=work",), quick=False),
        "verify": Verb(words=lambda _: ["verify", "data", "--workers", "1"], begin=("pictures=data",), quick=False),
        "diff": Verb(
            words=lambda inputs: ["diff", "data", str(inputs.plain.pictures)], begin=("plain=data",), quick=False
        ),
        "rebuild": Verb(
            words=lambda inputs: [
                "rebuild", "data", "--source", str(inputs.plain.drawn.photos), "-o", "out", "--workers", "1",
            ],
            begin=("plain=data",),
        ),
        "export coco": Verb(
            words=lambda _: ["export", "data", "--layout", "coco", "-o", "out"], begin=("pictures=data",)
        ),
        "export imagenet9": Verb(
            words=lambda _: ["export", "data", "--layout", "imagenet9", "-o", "out"],
            begin=("pictures=data",),
            quick=False,
        ),
        "human make": Verb(
            words=lambda _: ["human", "make", "data", "-o", "out", "--config", "original", "--config", "mixed"],
            begin=("pictures=data",),
            quick=False,
        ),
        "evaluate": Verb(
            words=lambda inputs: [
                "evaluate", "data", "--model", f"onnx:{inputs.root / 'models' / 'model.onnx'}", "--out", "out",
                "--bootstrap", "50", "--configs", "original,mixed",
            ],
            begin=("pictures=data",),
        ),
    }
)  # fmt: skip
"""By name."""
