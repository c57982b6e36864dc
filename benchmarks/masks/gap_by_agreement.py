"""BG-gap over all photos, and over those whose machine mask agrees with another segmenter's: how much of it is masks'.

Photos are indexed, two segmenters propose masks, all photos are frozen with the masks of the first, and every model is
scored on ``original``, ``mixed_same`` and ``mixed_rand``. What masks miss of a figure stays in the ground, and a gap
that falls where two segmenters agree was in part theirs.

    python benchmarks/masks/gap_by_agreement.py [--photos FOLDER] [--limit 20] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.proposals.proposing import ProposalScope, ProposalSettings, propose
from figureground.annotate.segmenters.loading import ModelChoice, load_models
from figureground.annotate.verbs import index
from figureground.exports.dataset.request import BuildOptions, build
from figureground.exports.evaluation.intervals import MIN_DECIDABLE
from figureground.exports.evaluation.scoring import evaluate
from figureground.exports.evaluation.tables import measured_cell
from figureground.schemas.store.workspace import Workspace

SHARED: Final = Path(__file__).parents[3] / "shared" / "data"
_OWN: Final = "figureground.exports.evaluation.classifiers"
MODELS: Final = (
    f"{_OWN}:efficientnet_lite0",
    f"{_OWN}:efficientnet_lite1",
    f"{_OWN}:efficientnet_lite2",
    f"{_OWN}:tflite={SHARED / 'models' / 'mobilenet_v2_1.0_224_quant.tflite'}",
)
CONFIGS: Final = ("original", "mixed_same", "mixed_rand")


def make_dataset(photos: Path, root: Path, segmenters: tuple[str, str], limit: int | None) -> Path:
    """A dataset of the photos with the masks of the first segmenter, which knows how far the second's agree."""
    work = root / "work"
    index(photos, work)
    for name in segmenters:
        segmenter, saliency = load_models(ModelChoice(segmenter=name, with_saliency=name != "saliency"))
        settings = ProposalSettings(prompt_mode="auto")
        with Workspace.open(work) as store:
            propose(store, segmenter, settings, saliency=saliency, scope=ProposalScope(limit=limit))
    with Workspace.open(work) as store:
        freeze(store, "v1", FreezeOptions(unreviewed=True, segmenter=segmenters[0]))
    options = BuildOptions(variants=CONFIGS, per_class="all", pixels=True)
    build("imagenet9", work, root / "dataset", options=options)
    return root / "dataset"


def gaps(dataset: Path, spec: str) -> dict[str, Any]:
    """BG-gap of a model over all images and over those whose masks agree."""
    result = evaluate(dataset, spec)
    own = result["by_agreement"]
    return {"model": result["model"], "all": result["differences"]["bg_gap"], **own}


def describe(rows: list[dict[str, Any]]) -> str:
    """A line for each model."""
    first = rows[0]
    head = (
        f"{'model':42} {'BG-gap, ' + str(first['all']['n']) + ' images':28} masks agree (IoU >= {first['min_iou']:g})"
    )
    lines = [head]
    for row in rows:
        cells = [
            measured_cell(gap, signed=True, few=gap.get("n", 0) < MIN_DECIDABLE).text()
            for gap in (row["all"], row["bg_gap"])
        ]
        lines.append(f"{row['model']:42} {cells[0]:28} {cells[1]} ({row['agreeing']} of {row['compared']} compared)")
    return "\n".join(lines)


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SHARED / "photos_in9", help="photos in folders of wnids")
    parser.add_argument("--segmenters", nargs=2, default=("mobile-sam", "saliency"), metavar="NAME")
    parser.add_argument("--model", action="append", help="as evaluate takes it; may be repeated")
    parser.add_argument("--limit", type=int, help="most photos")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    given = parser.parse_args()
    if not given.photos.is_dir():
        sys.exit(f"{given.photos}: no such folder of photos")
    with tempfile.TemporaryDirectory() as root:
        dataset = make_dataset(given.photos, Path(root), tuple(given.segmenters), given.limit)
        rows = [gaps(dataset, spec) for spec in given.model or MODELS]
    print(json.dumps(rows, indent=1) if given.json else describe(rows))


if __name__ == "__main__":
    main()
