"""Which mask comes first when several segmenters are asked: the rule's choice beside each of them, and its probability.

Photos are indexed and proposed for in a work folder, which a stopped run goes on with. Mean IoU of the mask that ranks
first, its difference to each single segmenter's first choice, and how right the probability is that a mask needs no
correction are measured by cross-validation within cross-validation over groups (``rule_fitting``). Each folder holds
``labels.csv`` (column id, and one of group, species), ``images/`` and ``masks/`` (white is figure). The first folder is
what is tabled; others take part in the fits.

    python benchmarks/masks/first_choice.py PHOTOS [MORE ...] [--unseen FOLDER] [--work FOLDER] [--write PAGE]
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from PIL import Image
from rule_fitting import LEVELS, MaskedPhoto, Scored, fit_rule, mean_interval, nested, reliability, scored_by

from figureground.annotate.proposals.mask_features import photo_features
from figureground.annotate.proposals.proposing import ProposalSettings
from figureground.annotate.proposals.triage import skimmable
from figureground.annotate.verbs import SourceReading, index, propose
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, mask_iou
from figureground.schemas.records import CONSENSUS
from figureground.schemas.store.workspace import Workspace

SEGMENTERS: Final = ("grabcut", "mobile-sam", "saliency")
TABLED: Final = (*SEGMENTERS, CONSENSUS)
LEVEL: Final = 0.9
RISKS: Final = (0.02, 0.05, 0.1)
MARKS: Final = ("<!-- first choice -->\n", "<!-- end of first choice -->\n")


def prepare(folder: Path, work: Path) -> None:
    """Let every segmenter propose masks for the photos of a folder."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    work.parent.mkdir(parents=True, exist_ok=True)
    labels = work.with_suffix(".csv")
    labels.write_text("id,label\n" + "".join(f"{name},photo\n" for name in ids), encoding="utf-8")
    index(folder / "images", work, name="photos", reading=SourceReading(labels=labels))
    propose(work, SEGMENTERS, settings=ProposalSettings(prompt_mode="auto"))


def read_photos(folder: Path, work: Path) -> list[MaskedPhoto]:
    """Photos whose masks by all segmenters are there, with features and true IoUs, by name."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = {row["id"]: row.get("group") or row["species"] for row in csv.DictReader(file)}
    photos = []
    with Workspace.open(work) as store:
        runs: dict[str, dict[str, str]] = {}
        for run in store.runs():
            if run.prompt_mode == "auto":
                runs.setdefault(run.image_id, {})[run.segmenter] = run.run_id
        for image in store.images():
            name, ids = Path(image.uri).stem, runs.get(image.image_id, {})
            if not set(SEGMENTERS) <= set(ids):
                continue
            wanted = {ids[segmenter] for segmenter in TABLED if segmenter in ids}
            masks = [proposal for proposal in store.proposals(image.image_id) if proposal.run_id in wanted]
            truth = true_mask(folder, name)
            photos.append(
                MaskedPhoto(
                    name=name,
                    group=rows[name],
                    segmenters=tuple(mask.segmenter for mask in masks),
                    ranks=tuple(mask.rank for mask in masks),
                    features=tuple(photo_features(masks, len(SEGMENTERS)) if masks else ()),
                    iou=tuple(mask_iou(decode_coco_rle(mask.rle), truth) for mask in masks),
                )
            )
    return sorted(photos, key=lambda photo: photo.name)


def true_mask(folder: Path, name: str) -> Mask:
    """A photo's true mask, stored pixels."""
    with Image.open(next((folder / "masks").glob(f"{name}.*"))) as image:
        mask: Mask = np.asarray(image.convert("L")) > 127
    return mask


def measure(results: Sequence[Scored], bins: int) -> dict[str, Any]:
    """All figures of some photos."""
    singles = {name: [result.photo.single(name) for result in results] for name in TABLED}
    chosen = [result.iou for result in results]
    best = [max(result.photo.iou, default=0.0) for result in results]
    figures: dict[str, Any] = {"n": len(results), "chosen": mean_interval(chosen), "best_possible": mean_interval(best)}
    figures["singles"] = {name: mean_interval(ious) for name, ious in singles.items()}
    figures["differences"] = {
        name: mean_interval([one - other for one, other in zip(chosen, ious, strict=True)])
        for name, ious in singles.items()
    }
    figures["by_group"] = {}
    for group in sorted({result.photo.group for result in results}):
        part = [result for result in results if result.photo.group == group]
        means = {name: float(np.mean([result.photo.single(name) for result in part])) for name in TABLED}
        figures["by_group"][group] = {
            "n": len(part),
            "chosen": float(np.mean([result.iou for result in part])),
            **means,
        }
    figures["reliability"] = reliability(results, LEVEL, bins)
    figures["skimmed"] = [skimming(results, risk) for risk in RISKS]
    return figures


def skimming(results: Sequence[Scored], risk: float) -> dict[str, float]:
    """How many may be skimmed at a risk, and how many of these had to be corrected."""
    ordered = sorted(results, key=lambda result: (-result.probability, result.photo.name))
    count = skimmable([result.probability for result in ordered], risk)
    return {"risk": risk, "n": count, "wrong": sum(result.iou < LEVEL for result in ordered[:count])}


def text(figures: dict[str, Any]) -> str:
    """The tables, as Markdown."""

    def cell(values: Sequence[float], sign: str = "") -> str:
        return f"{values[0]:{sign}.3f} [{values[1]:{sign}.3f}, {values[2]:{sign}.3f}]"

    lines = ["| first mask | n | mean IoU | chosen minus this one |", "|---|---|---|---|"]
    lines.append(f"| **chosen by the rule** | {figures['n']} | {cell(figures['chosen'])} | |")
    for name in TABLED:
        values, difference = figures["singles"][name], figures["differences"][name]
        lines.append(f"| {name}, `auto` | {figures['n']} | {cell(values)} | {cell(difference, '+')} |")
    lines += [f"| the best of all, if one knew | {figures['n']} | {cell(figures['best_possible'])} | |", ""]
    lines += [f"| group | n | chosen | {' | '.join(TABLED)} |", "|---|---|---|" + "---|" * len(TABLED)]
    for group, row in figures["by_group"].items():
        cells = [f"{row[name]:.3f}" for name in ("chosen", *TABLED)]
        lines.append(f"| {group} | {row['n']} | {' | '.join(cells)} |")
    table = figures["reliability"]
    lines += ["", f"| probability of IoU ≥ {LEVEL:g}, mean | n | observed |", "|---|---|---|"]
    for row in table["bins"]:
        low, high = row["ci95"]
        lines.append(f"| {row['expected']:.2f} | {row['n']} | {row['observed']:.2f} [{low:.2f}, {high:.2f}] |")
    errors = [f"{title} {cell([table[name]['value'], *table[name]['ci95']])}" for name, title in _ERRORS.items()]
    lines += ["", "; ".join(errors) + ".", "", "| risk | skimmed | of these under the IoU |", "|---|---|---|"]
    lines += [f"| {row['risk']:.0%} | {row['n']} of {figures['n']} | {row['wrong']} |" for row in figures["skimmed"]]
    return "\n".join(lines)


_ERRORS: Final = {"brier": "Brier score", "brier_of_the_share": "of the mean share alone", "ece": "calibration error"}


def main() -> None:
    """Propose, fit, measure, print; write the page and the rule where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--unseen", type=Path, help="folder that the rule of all photos is measured on besides")
    parser.add_argument("--work", type=Path, default=Path(".scratch/first_choice"))
    parser.add_argument("--bins", type=int, default=5)
    parser.add_argument("--stored", action="store_true", help="take the masks that are in the work folder as they are")
    parser.add_argument("--rule", type=Path, help="YAML file to write the rule of all photos to")
    parser.add_argument("--write", type=Path, help="page to write the tables into, between its markers")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    sets: list[list[MaskedPhoto]] = []
    for folder in given.photos:
        work = given.work / folder.name
        if not given.stored:
            prepare(folder, work)
        sets.append(read_photos(folder, work))
    photos = [photo for part in sets for photo in part]
    for folder, part in zip(given.photos, sets, strict=True):
        figures = measure(nested(photos, part, LEVEL), given.bins)
        print(f"{folder.name}\n\n{text(figures)}\n")
        if folder == given.photos[0]:
            page = text(figures)
            if given.json:
                given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    rule = fit_rule(photos, LEVELS)
    if given.unseen is not None:
        if not given.stored:
            prepare(given.unseen, given.work / given.unseen.name)
        unseen = read_photos(given.unseen, given.work / given.unseen.name)
        print(f"{given.unseen.name}, unseen\n\n{text(measure(scored_by(rule, unseen, LEVEL), given.bins))}\n")
    names = ", ".join(f"{len(part)} of {folder.name}" for folder, part in zip(given.photos, sets, strict=True))
    rule = rule.model_copy(update={"fitted": f"on {names}, with {', '.join(SEGMENTERS)}; {rule.fitted}"})
    document = yaml.safe_dump(rule.model_dump(mode="json"), sort_keys=False, width=110)
    print(document)
    if given.rule is not None:
        given.rule.write_text(document, encoding="utf-8")
    if given.write is not None:
        before, _, rest = given.write.read_text(encoding="utf-8").partition(MARKS[0])
        given.write.write_text(
            before + MARKS[0] + page + "\n" + MARKS[1] + rest.partition(MARKS[1])[2], encoding="utf-8"
        )


if __name__ == "__main__":
    main()
