"""What the verbs are tried on: small drawn inputs by name, each made when it is first asked for."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from colour_dataset import HEAD, PLAIN, write_onnx
from drawn_release import draw_photo, draw_release
from PIL import Image
from plain_dataset import Plain, make_plain, write_recipe

from figureground.annotate.proposals.proposing import ProposalSettings
from figureground.annotate.sheet.reading import TOOL
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.verbs import index, propose
from figureground.schemas.documents import same_form
from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.records import Annotation, Decision
from figureground.schemas.sources.names import name_key
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

if TYPE_CHECKING:
    from fault_studio import Studio
    from hub_double import HubDouble

PHOTOS: Final = 300
"""That are indexed: two transactions."""


@dataclass(slots=True)
class Inputs:
    """What all verbs are tried on; nothing of it is written to."""

    root: Path
    studio: Studio | None = None
    """A Label Studio that all trials share; None where none runs."""
    hub: HubDouble | None = None
    """A Hub that all trials share."""
    _plain: Plain | None = field(default=None)

    def part(self, name: str) -> Path:
        """A file or folder of ``PARTS``, made if it is the first time."""
        whole = name.partition("/")[0]
        if not (self.root / whole).exists():
            self.root.mkdir(parents=True, exist_ok=True)
            PARTS[whole](self, self.root / whole)
        return self.root / name

    @property
    def plain(self) -> Plain:
        """A drawn release, a recipe for it, and both of its datasets."""
        if self._plain is None:
            self._plain = make_plain(self.root / "drawn")
        return self._plain

    @property
    def server(self) -> Studio:
        """The Label Studio, where a verb needs one."""
        assert self.studio is not None
        return self.studio

    @property
    def double(self) -> HubDouble:
        """The Hub, where a verb needs one."""
        assert self.hub is not None
        return self.hub


Draw: TypeAlias = Callable[["Inputs", Path], object]
"""Makes a part at its place."""


def _copied(which: Callable[[Plain], Path]) -> Draw:
    """A part of the drawn dataset."""
    return lambda inputs, path: shutil.copytree(which(inputs.plain), path)


def _draw_many(inputs: Inputs, folder: Path) -> None:
    generator = random.Random(5)
    for number in range(PHOTOS):
        path = folder / f"class{number % 3}" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 32), tuple(generator.randbytes(3))).save(path, compress_level=0)


def _drawn_masks(inputs: Inputs) -> dict[str, Mask]:
    """True masks of the plain dataset's photos, by uri."""
    return {
        f"{kind}/{path.name}": draw_photo(kind, 100 * number + int(path.stem.removeprefix(kind)))[1]
        for number, kind in enumerate(("disc", "ring", "bar"))
        for path in sorted((inputs.plain.drawn.photos / kind).iterdir())
    }


def _draw_masks(inputs: Inputs, folder: Path) -> None:
    for name, mask in _drawn_masks(inputs).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / name)


def _write_coco(inputs: Inputs, path: Path) -> None:
    """The same masks as one COCO file."""
    kinds, images, annotations = ["disc", "ring", "bar"], [], []
    for number, (name, mask) in enumerate(_drawn_masks(inputs).items(), start=1):
        rle = encode_coco_rle(mask)
        drawn = {"size": list(rle.size_hw), "counts": rle.counts}
        images.append({"id": number, "file_name": name, "height": mask.shape[0], "width": mask.shape[1]})
        category = 1 + kinds.index(name.partition("/")[0])
        annotations.append({"id": number, "image_id": number, "category_id": category, "segmentation": drawn})
    categories = [{"id": 1 + number, "name": kind} for number, kind in enumerate(kinds)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def _index(inputs: Inputs, folder: Path) -> None:
    index(inputs.plain.drawn.photos, folder, name="drawn", licence="CC0-1.0", workers=1)
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as database, database:
        database.execute("UPDATE images SET boxes = '[[40, 40, 160, 160]]'")  # what GrabCut begins from


def _propose(inputs: Inputs, folder: Path) -> None:
    shutil.copytree(inputs.part("indexed"), folder)
    propose(folder, "grabcut", settings=ProposalSettings(prompt_mode="box"))


def _accept(inputs: Inputs, folder: Path) -> None:
    shutil.copytree(inputs.plain.drawn.workspace, folder)
    shutil.rmtree(folder / "objects")


def _answer(inputs: Inputs, folder: Path) -> None:
    """Three people's answers to every photo, alike but for a strip, and one attribute on which they differ."""
    shutil.copytree(inputs.part("proposed"), folder)
    masks = _drawn_masks(inputs)
    with Workspace.open(folder) as store:
        for image in list(store.images()):
            for person in range(3):
                mask = masks[image.uri].copy()
                mask[: mask.shape[0] // 2 - 10 * person] = False
                answer = Annotation(
                    annotation_id=f"answer-{image.image_id}-{person}",
                    updated_at=f"2026-01-0{person + 1}T00:00:00.000000Z",
                    image_id=image.image_id,
                    masks={"object": encode_coco_rle(mask)},
                    attributes={"round": person > 0},
                    flags=(),
                    annotator=f"p{person}",
                    seconds=1.0 + person,
                    tool="drawn",
                    proposal_id="",
                    edit_iou=None,
                )
                decision = Decision(image_id=image.image_id, state="needs_second", reason="they differ")
                store.add_answer(answer, decision if person == 2 else None)


def _speckle(inputs: Inputs, folder: Path) -> None:
    """Accepted masks with holes and islands."""
    from lint_samples import FIGURES, accept_masks, make_photos, with_squares

    work = make_photos(folder.with_name("lint"))
    specks = with_squares(with_squares(FIGURES["plain"], [(5, 5)], 3, True), [(130, 230)], 3, False)
    accept_masks(work, {"plain": {"object": specks}, "mirrored": {"object": specks}})
    shutil.copytree(work, folder)


def _serve(inputs: Inputs, folder: Path) -> None:
    """A photo that annotators are shown, beside what the interactive SAM would keep of it."""
    shutil.copytree(inputs.part("proposed"), folder)
    home = StudioHome.of(folder)
    home.served.mkdir(parents=True)
    (home.served / f"{first_photo(inputs)}.png").write_bytes(b"copy")
    (home.served / f"answer-{first_photo(inputs)}-0.jpg").write_bytes(b"comparison")


def first_photo(inputs: Inputs) -> str:
    """The photo that is to be forgotten."""
    with Workspace.open(inputs.part("indexed")) as store:
        return min(image.image_id for image in store.images())


def _rivals(inputs: Inputs, folder: Path) -> None:
    from rival10_tree import draw_tree

    draw_tree(folder)


def _rival_photos(inputs: Inputs, folder: Path) -> None:
    from figureground.annotate.verbs import SourceReading

    index(inputs.part("rivals"), folder, name="rivals", reading=SourceReading(kind="rival10"), workers=1)


def _draw_decisions(inputs: Inputs, path: Path) -> None:
    """Answers to a sheet, as its page saves them; the workspace ``judged`` knows who gave them."""
    shutil.copytree(inputs.part("proposed"), inputs.root / "judged")
    with Workspace.open(inputs.root / "judged") as store:
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
    path.write_text(json.dumps({**head, "decisions": decided}))


def _models(inputs: Inputs, folder: Path) -> None:
    folder.mkdir()
    write_onnx(folder / "model.onnx", HEAD, settings=PLAIN)
    write_onnx(folder / "other.onnx", HEAD[:, ::-1].copy(), settings=PLAIN)


def _score(inputs: Inputs, folder: Path) -> None:
    from figureground.exports.evaluation.scoring import evaluate

    for name in ("model", "other"):
        model = f"onnx:{inputs.part('models') / f'{name}.onnx'}"
        evaluate(str(inputs.plain.pictures), model, out=folder, bootstrap=50, configs=("original", "mixed"))


def _kit(inputs: Inputs, folder: Path) -> None:
    from human_kits import draw_dataset, give_answers, make, truth

    kit = make(folder, draw_dataset(folder.with_name("asked"), per_class=2))
    give_answers(kit, {"r1": truth, "r2": truth})


def _rival_data(inputs: Inputs, folder: Path) -> None:
    """A dataset with canvases and an attribute of RIVAL10's."""
    from hub_client import build_toy

    drawn = draw_release(folder.with_name("rival drawn"), per_class=2, part="wings")
    variants = {"original": {"view": "squash", "ground": "source"}}
    build_toy(drawn, folder, base="rival10", variants=variants)


def _toy(inputs: Inputs, folder: Path) -> None:
    """A dataset to publish, with more large files than are on their way at once."""
    from hub_client import build_toy, relist

    build_toy(inputs.plain.drawn, folder)
    for number in range(12):
        (folder / "report" / f"{number:02}.png").write_bytes(b"\x89PNG" + bytes([number]) * 64)
    relist(folder)


def _figures(inputs: Inputs, folder: Path) -> None:
    from figure_dataset import write_figures

    write_figures(folder)


PARTS: Final[Mapping[str, Draw]] = MappingProxyType(
    {
        "workspace": _copied(lambda plain: plain.drawn.workspace),
        "pictures": _copied(lambda plain: plain.pictures),
        "plain": _copied(lambda plain: plain.dataset),
        "recipe": lambda _, path: write_recipe(path, {}),
        "many": _draw_many,
        "masks": _draw_masks,
        "coco.json": _write_coco,
        "indexed": _index,
        "proposed": _propose,
        "accepted": _accept,
        "answered": _answer,
        "speckled": _speckle,
        "served": _serve,
        "rivals": _rivals,
        "rival photos": _rival_photos,
        "decisions.json": _draw_decisions,
        "judged": lambda inputs, _: inputs.part("decisions.json"),
        "models": _models,
        "scores": _score,
        "kit": _kit,
        "figures": _figures,
        "rival data": _rival_data,
        "toy": _toy,
        "toys": lambda inputs, path: inputs.server.draw_photos(path),
        "pushed": lambda inputs, path: inputs.server.draw_answered(inputs.part("toys"), path),
        "doubted": lambda inputs, path: inputs.server.draw_doubts(inputs, path),
        "asked raters": lambda inputs, path: inputs.server.draw_raters(inputs, path),
    }
)
"""What there is, by the name of its file or folder, and who makes it."""
