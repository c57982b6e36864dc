"""Which pictures a report has: what of its results is drawn, under which names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from figureground.errors import UsageError
from figureground.exports.analyses.families import ListedModel
from figureground.exports.evaluation.dataset import Repository, load_rows, open_repository
from figureground.exports.evaluation.pictures import stored_bytes
from figureground.exports.evaluation.results import result_tables
from figureground.exports.report.background import BackgroundRelation, relate
from figureground.exports.report.crops import MARGINS
from figureground.exports.report.groups import ResultGroup
from figureground.exports.report.imagenet9 import fit_trends
from figureground.exports.report.noise import FamilyNoise, NoiseResult, worst_gaps
from figureground.exports.report.page.examples import Examples, collect_examples
from figureground.exports.report.pictures import PictureFolder, safe_name

_BY_VARIANT: Final = ("imagenet9", "background_check", "imagenet_a")
"""Protocols whose tables begin with accuracies of variants."""
_ANSWERED: Final = ("imagenet9", "background_check")
"""Protocols whose answers to single rows are shown."""
GAP_LEVELS: Final = (60 / 255, 0.25, 75.0)
"""Levels that worst noise gaps are shown at, first scored: the paper's sigma, Hard ImageNet's, an l2 norm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What all pictures of a report are drawn with."""

    pictures: PictureFolder
    families: Mapping[str, Sequence[ListedModel]]
    """Models by family; without a models file each model is its own."""
    family_of: Mapping[str, str]
    """Models to families, as a models file has them; empty without one."""
    repository: str | None
    """Dataset whose photos are shown; None shows none."""
    revision: str | None
    """Tag, branch or commit, of a dataset on the Hub."""

    def open_scored(self, name: str, fingerprint: str) -> Repository | None:
        """The dataset, which must be the one that was scored; None where none was given.

        Raises:
            UsageError: if it is another.
        """
        if self.repository is None:
            return None
        opened = open_repository(self.repository, self.revision)
        if opened.fingerprint != fingerprint:
            raise UsageError(f"{self.repository} is not the dataset that was scored ({name})")
        return opened


def load_images(opened: Repository, split: str, config: str, ids: Collection[str] | None = None) -> dict[str, bytes]:
    """Encoded images by image_id, of all or of some ids; the first draw of each."""
    table = load_rows(opened, config, split, columns=["draw"], ids=ids)
    rows = zip(table["image_id"], table["draw"], table["image"], strict=True)
    return {name: stored_bytes(image) or b"" for name, draw, image in rows if draw == 0}


def draw_tables(drawing: Drawing, results: Sequence[Mapping[str, Any]]) -> None:
    """Accuracies by variant and differences of every table; of the protocol imagenet9 also classes by variant."""
    from figureground.exports.report.variants import plots

    for protocol in dict.fromkeys(result["protocol"] for result in results):
        members = [result for result in results if result["protocol"] == protocol]
        tables = result_tables(members)
        for number, table in enumerate(tables, 1):
            stem = protocol if len(tables) == 1 else f"{protocol}.table{number}"
            if protocol in _BY_VARIANT and plots.accuracy_rows(table):
                draw = partial(plots.draw_accuracies, table)
                drawing.pictures.chart(f"{stem}.accuracies", draw, kind="accuracies", of=table.title)
            if plots.difference_rows(table):
                draw = partial(plots.draw_differences, table)
                drawing.pictures.chart(f"{stem}.differences", draw, kind="differences", of=table.title)


def draw_crops(drawing: Drawing, group: ResultGroup, stem: str) -> None:
    """Crops beside their controls, by margin, by size of the box."""
    from figureground.exports.report import crop_plots

    chart = drawing.pictures.chart
    chart(f"{stem}.arms", partial(crop_plots.draw_arms, group), kind="arms", of=group.space)
    if any(len(set(MARGINS) & set(member.summary["configs"])) > 1 for member in group.members):
        chart(f"{stem}.margins", partial(crop_plots.draw_margins, group), kind="margins", of=group.space)
    if any(member.summary["slices"] for member in group.members):
        chart(f"{stem}.box_share", partial(crop_plots.draw_box_slices, group), kind="box_share", of=group.space)


def draw_grounds(drawing: Drawing, group: ResultGroup, stem: str) -> None:
    """Accuracy against background influence, and against invariance."""
    from figureground.exports.report import background_plots

    panels: dict[str, list[BackgroundRelation]] = {}
    for relation in relate(group):
        panels.setdefault(relation.measures, []).append(relation)
    for name, relations in panels.items():
        drawing.pictures.chart(
            f"{stem}.{name}",
            partial(background_plots.draw_relations, relations, drawing.family_of),
            kind=name,
            of=group.space,
        )


def draw_whitened(drawing: Drawing, results: Sequence[Mapping[str, Any]]) -> None:
    """Photos beside the same without their figure, of results of the protocol background_check."""
    from figureground.exports.report import background_plots

    shown = [result for result in results if background_plots.WHITENED[1] in _scored(result)]
    if not shown:
        return
    data, split = shown[0]["dataset"], shown[0]["split"]
    opened = drawing.open_scored(data["name"], data["fingerprint"])
    if opened is None:
        return
    for result in shown:
        sheet = background_plots.draw_whitened(result, partial(load_images, opened, split), opened.classes)
        if sheet is not None:
            drawing.pictures.sheet(
                f"background_check.whitened.{safe_name(result['model'])}", sheet, kind="whitened", of=result["model"]
            )


def _scored(result: Mapping[str, Any]) -> set[str]:
    """Configs that a result is of."""
    return {config for summary in result["label_spaces"].values() for config in summary["configs"]}


def draw_crossed(drawing: Drawing, group: ResultGroup, stem: str) -> None:
    """Whose the errors are, and which grounds fool."""
    from figureground.exports.report.crossed import drawing as crossed

    opened = drawing.open_scored(group.dataset, group.fingerprint)
    crossed.draw_crossed(group, drawing.pictures, stem, opened=opened)


def draw_nine(drawing: Drawing, members: Sequence[Mapping[str, Any]], section: Mapping[str, Any], stem: str) -> None:
    """Trends, vulnerable figures, cue conflict and examples of categories of a group of the protocol imagenet9."""
    from figureground.exports.report import imagenet9_plots
    from figureground.exports.report.variants.plots import draw_classes

    for member in members:
        name = f"{stem}.classes.{safe_name(member['model'])}"
        drawing.pictures.chart(name, partial(draw_classes, member), kind="classes", of=member["model"])
    if trends := fit_trends(members):
        title = f"{members[0]['dataset']['name']} ({members[0]['split']})"
        chart = partial(imagenet9_plots.draw_trends, trends, title, drawing.family_of)
        drawing.pictures.chart(f"{stem}.trends", chart, kind="trends")
    if section["fooled_per_class"]:
        drawing.pictures.chart(
            f"{stem}.fooled", partial(imagenet9_plots.draw_fooled, section["fooled_per_class"]), kind="fooled"
        )
    _draw_conflict(drawing, members, stem)
    if not section["category_examples"]:
        return
    data, split = members[0]["dataset"], members[0]["split"]
    opened = drawing.open_scored(data["name"], data["fingerprint"])
    if opened is None:
        return
    for member in members:
        if examples := section["category_examples"].get(member["model"]):
            load = partial(load_images, opened, split)
            sheet = imagenet9_plots.draw_categories(member, examples, load, opened.classes)
            drawing.pictures.sheet(
                f"{stem}.categories.{safe_name(member['model'])}", sheet, kind="categories", of=member["model"]
            )


def _draw_conflict(drawing: Drawing, members: Sequence[Mapping[str, Any]], stem: str) -> None:
    """Which of figure and ground wins, of members that know it and whose answers were stored."""
    from figureground.exports.report.conflict.drawing import draw_conflicts
    from figureground.exports.report.conflict.readings import stored_readings

    if known := [reading for member in members for reading in stored_readings(member)]:
        draw_conflicts(known, drawing.pictures, f"{stem}.conflict.")


def draw_leak(drawing: Drawing, section: Mapping[str, Any], stem: str) -> None:
    """Accuracy over the growth of the hole, of ``leak_section``."""
    from figureground.exports.report.leak import plot

    drawing.pictures.chart(f"{stem}.leak", partial(plot.draw_leak, section), kind="leak")


def collect(drawing: Drawing, results: Sequence[Mapping[str, Any]]) -> list[Examples]:
    """Photos for the page, of results that single answers can be read of; none without a dataset."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results if drawing.repository is not None else ():
        if result["protocol"] in _ANSWERED:
            groups.setdefault((result["dataset"]["fingerprint"], result["split"]), []).append(result)
    examples = []
    for (fingerprint, _), members in groups.items():
        opened = drawing.open_scored(members[0]["dataset"]["name"], fingerprint)
        if opened is not None and (own := collect_examples(members, opened)) is not None:
            examples.append(own)
    return examples


def draw_noise(drawing: Drawing, members: Sequence[NoiseResult], pooled: Sequence[FamilyNoise], stem: str) -> None:
    """Noise on figure and ground, ablations and attributes of a group of the protocol rival10."""
    from figureground.exports.report import noise_plots

    chart = drawing.pictures.chart
    for kind in members[0].summary["noise"].get("0", {}):
        named = f"{members[0].space}, {kind}"
        of_kind = [family for family in pooled if family.kind == kind]
        chart(
            f"{stem}.scatter_{kind}",
            partial(noise_plots.draw_scatter, members, drawing.families, kind),
            kind="scatter",
            of=named,
        )
        chart(
            f"{stem}.levels_{kind}",
            partial(noise_plots.draw_levels, of_kind, members[0].summary["n"]),
            kind="levels",
            of=named,
        )
        nulled = [member for member in members if "rfs_skill" in member.summary["noise"]["0"][kind]["pooled"]]
        if nulled:
            chart(f"{stem}.nulls_{kind}", partial(noise_plots.draw_nulls, nulled, kind), kind="nulls", of=named)
        if any(member.outcomes is not None for member in members):
            chart(f"{stem}.irfs_{kind}", partial(noise_plots.draw_densities, members, kind), kind="irfs", of=named)
    if members[0].summary["ablations"]:
        chart(f"{stem}.ablations", partial(noise_plots.draw_ablations, members), kind="ablations", of=members[0].space)
    if members[0].summary["attributes"]:
        chart(
            f"{stem}.attributes", partial(noise_plots.draw_attributes, members), kind="attributes", of=members[0].space
        )
    opened = drawing.open_scored(members[0].dataset, members[0].fingerprint)
    if opened is None:
        return
    images = load_images(opened, members[0].split, "original")
    for member in members:
        for kind, index in gap_levels(member) if member.outcomes is not None else []:
            level = member.summary["noise"]["0"][kind]["levels"][index]
            title = f"{member.model}: hurt most by noise on the ground, {kind} {level:.3g}"
            sheet = noise_plots.draw_gaps(worst_gaps(member, kind, index), images, title)
            drawing.pictures.sheet(
                f"{stem}.gaps_{kind}.{safe_name(member.model)}", sheet, kind="gaps", of=f"{member.model}, {kind}"
            )


def gap_levels(result: NoiseResult) -> list[tuple[str, int]]:
    """Each kind of noise with the index of the level at which gaps are shown: a usual one, else the middle."""
    levels = []
    for kind, noise in result.summary["noise"].get("0", {}).items():
        usual = [
            index
            for index, level in enumerate(noise["levels"])
            if any(abs(level - usual_level) < 1e-6 for usual_level in GAP_LEVELS)
        ]
        levels.append((kind, usual[0] if usual else len(noise["levels"]) // 2))
    return levels
