"""The demo: the whole path once, on ten photos, with a real SAM and a real classifier."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import figureground
from figureground.demo.photos import write_demo_photos
from figureground.errors import shell_word
from figureground.runtime.leftovers import locking

MARK: Final = ".figureground-demo"
"""File in a folder that a demo made; in no other does it delete anything."""
CLASSIFIERS: Final = tuple(f"figureground.exports.evaluation.classifiers:efficientnet_lite{size}" for size in (0, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo made, and how the classifiers did."""

    segmenter: str
    """The model that proposed the masks."""
    note: str
    """Why it was not a SAM; empty where it was one."""
    refused: str
    """What became of photos that the recipe refused."""
    repository: Path
    contact_sheet: Path
    table: str
    """Accuracies with intervals."""
    rows_loaded: int
    """Rows of ``mixed_rand`` that ``datasets.load_dataset`` gave back."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return asdict(self)

    def __str__(self) -> str:
        """The table, where everything lies and what to do next."""
        lines = [
            self.table,
            "",
            f"Masks by {self.segmenter}, unreviewed{f' ({self.note})' if self.note else ''}; {self.refused}.",
            "So few photos show that the path works; they say nothing about these classifiers.",
            "",
            f"Look at     {self.contact_sheet}",
            f"Load        datasets.load_dataset({str(self.repository)!r}, 'mixed_rand', split='test')"
            f"   ({self.rows_loaded} rows)",
            f"Score       figureground evaluate {shell_word(self.repository)} --model timm:resnet50.a1_in1k",
            "Your photos figureground index PHOTOS -w work, then propose, freeze and build: each has --help",
            f"            {self.seconds:.0f} s in all",
        ]
        return "\n".join(lines)


def run_demo(
    folder: Path,
    *,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    notice: Callable[[str], None] = lambda _: None,
) -> DemoReport:
    """Catalogue, propose, freeze, build, load back and score; run again, it reuses what is there.

    Args:
        folder: Everything that the demo makes lies in it.
        progress: Called with (stage, done, total).
        notice: Called with what a person should know at once.

    Raises:
        UsageError: for a folder with files that no demo made, and for one in which another demo is at work.
        MissingExtraError: if a package of the extra ``demo`` is not installed.
    """
    _claim(folder)
    with locking(folder / MARK) as state:
        if state != "held":
            raise figureground.UsageError(f"another demo is at work in {folder}; wait, or give another -o")
        try:
            return _walk(folder, progress, notice)
        except figureground.MissingExtraError:
            raise
        except figureground.UsageError:
            # What an earlier figureground left here fits this one no more.
            for stale in ("workspace", "dataset", "dataset.partial"):
                shutil.rmtree(folder / stale, ignore_errors=True)
            return _walk(folder, progress, notice)


def _claim(folder: Path) -> None:
    """Mark a new or empty folder as the demo's own."""
    if (folder / MARK).is_file():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise figureground.UsageError(
            f"{folder} holds what no demo made; name a new folder: figureground demo -o FOLDER"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def _walk(folder: Path, progress: Callable[[str, int, int], None], notice: Callable[[str], None]) -> DemoReport:
    start = time.perf_counter()
    work, dataset, scores = folder / "workspace", folder / "dataset", folder / "scores"
    write_demo_photos(folder)
    figureground.index(folder / "photos", work, name="demo", workers=1).faults.raise_if_any()
    segmenter, note = _propose(work, progress, notice)
    release = f"demo-{segmenter}"
    figureground.freeze(work, release, unreviewed=True, segmenter=segmenter)
    built = figureground.build(_recipe(), work, dataset, release=release, progress=progress)
    for classifier in CLASSIFIERS:
        figureground.evaluate(str(dataset), classifier, out=scores)
    table, *_ = figureground.report(scores, folder / "report")
    refused = ", ".join(f"{reason} {count}" for reason, count in built.refused.items())
    return DemoReport(
        segmenter=segmenter,
        note=note,
        refused=f"refused: {refused or 'none'}",
        repository=dataset,
        contact_sheet=dataset / "report" / "contact_sheet.png",
        table=table.read_text(encoding="utf-8").rstrip(),
        rows_loaded=_load_back(dataset),
        seconds=time.perf_counter() - start,
    )


def _propose(work: Path, progress: Callable[[str, int, int], None], notice: Callable[[str], None]) -> tuple[str, str]:
    """Masks by a real SAM, or by GrabCut and the reason where no SAM weights can be had."""
    try:
        figureground.propose(work, "mobile-sam", progress=progress)
        return "mobile-sam", ""
    except (figureground.ServiceError, figureground.MissingExtraError) as error:
        reason = str(error).splitlines()[0]
        notice(f"No SAM weights, so GrabCut proposes the masks: {reason}")
        figureground.propose(work, "grabcut", progress=progress)
        return "grabcut", f"no SAM weights: {reason}"


def _recipe() -> figureground.Recipe:
    """ImageNet-9's recipe over the demo's own two classes, which are as small as they are."""
    recipe = figureground.load_recipe("imagenet9")
    changes = {
        "name": "demo",
        "description": "ImageNet-9's variants of ten photos in two classes; a demonstration, not a benchmark.",
        "class_map": "living_made",
        "balance": recipe.balance.model_copy(update={"per_class": "all"}),
    }
    return recipe.model_copy(update=changes)


def _load_back(dataset: Path) -> int:
    from datasets import load_dataset

    # datasets takes a folder that was built anew for the one it has cached, so each build gets a cache of its own.
    manifest = hashlib.sha256((dataset / "manifest.json").read_bytes()).hexdigest()
    cache = dataset.parent / "cache" / manifest[:16]
    return len(load_dataset(str(dataset), "mixed_rand", split="test", cache_dir=str(cache)))
