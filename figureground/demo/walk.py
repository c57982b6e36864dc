"""The demo: the whole path once, on ten photos, with a real SAM and a real classifier."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.proposals.proposing import ProposalSettings, propose
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.annotate.segmenters.protocol import Segmenter
from figureground.console import counts_text, progress_bar, say
from figureground.demo.photos import write_demo_photos
from figureground.errors import MissingExtraError, ServiceError, UsageError
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import BuildRequest
from figureground.exports.dataset.request import prepare_request
from figureground.exports.evaluation.results import format_table
from figureground.exports.evaluation.scoring import evaluate
from figureground.runtime.files import file_sha256
from figureground.schemas.classes import load_class_map
from figureground.schemas.recipes import Balance
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

CLASSIFIERS: Final = tuple(f"figureground.exports.evaluation.classifiers:efficientnet_lite{size}" for size in (0, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo made and found."""

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
            f"Score       figureground evaluate {self.repository} --model timm:resnet50.a1_in1k",
            "Your photos figureground index PHOTOS -w work, then propose, freeze and build: each has --help",
            f"            {self.seconds:.0f} s in all",
        ]
        return "\n".join(lines)


def run_demo(folder: Path) -> DemoReport:
    """Catalogue, propose, freeze, build, load back and score, all in ``folder``; run again, it reuses what is there."""
    try:
        return _walk(folder)
    except MissingExtraError:
        raise
    except UsageError:
        # What an earlier figureground left here fits this one no more.
        for stale in ("workspace", "dataset", "dataset.partial"):
            shutil.rmtree(folder / stale, ignore_errors=True)
        return _walk(folder)


def _walk(folder: Path) -> DemoReport:
    start = time.perf_counter()
    work, repository = folder / "workspace", folder / "dataset"
    write_demo_photos(folder)
    saliency = load_segmenter("saliency")
    model, note = _load_sam()
    with Workspace.create(work) as store, progress_bar() as show:
        index_source(store, open_source(str(folder / "photos"), name="demo")).faults.raise_if_any()
        settings = ProposalSettings(prompt_mode="auto")
        propose(store, model, settings, saliency=saliency, progress=show)
        freeze(store, f"demo-{model.name}", FreezeOptions(unreviewed=True, segmenter=model.name))
        built = build_dataset(_request(work, f"demo-{model.name}"), repository, progress=show)
        results = [evaluate(str(repository), name, out=folder / "scores") for name in CLASSIFIERS]
    return DemoReport(
        segmenter=model.name,
        note=note,
        refused=f"refused: {counts_text(built.refused)}",
        repository=repository,
        contact_sheet=repository / "report" / "contact_sheet.png",
        table=format_table(results),
        rows_loaded=_load_back(repository),
        seconds=time.perf_counter() - start,
    )


def _load_sam() -> tuple[Segmenter, str]:
    """A real SAM, or GrabCut and the reason where no SAM weights can be had."""
    try:
        return load_segmenter("mobile-sam"), ""
    except (ServiceError, MissingExtraError) as error:
        reason = str(error).splitlines()[0]
        say(f"No SAM weights, so GrabCut proposes the masks: {reason}")
        return load_segmenter("grabcut"), f"no SAM weights: {reason}"


def _request(work: Path, release: str) -> BuildRequest:
    """ImageNet-9's recipe over the demo's own two classes, which are as small as they are."""
    request = prepare_request("imagenet9", work, release=release)
    recipe = request.design.recipe.model_copy(
        update={
            "name": "demo",
            "description": "ImageNet-9's variants of ten photos in two classes; a demonstration, not a benchmark.",
            "class_map": "living_made",
            "balance": Balance(per_class="all"),
        }
    )
    design = replace(request.design, recipe=recipe, classes=load_class_map("living_made"))
    return replace(request, design=design)


def _load_back(repository: Path) -> int:
    from datasets import load_dataset

    # datasets takes a folder that was built anew for the one it has cached, so each build gets a cache of its own.
    cache = repository.parent / "cache" / file_sha256(repository / "manifest.json")[:16]
    return len(load_dataset(str(repository), "mixed_rand", split="test", cache_dir=str(cache)))
