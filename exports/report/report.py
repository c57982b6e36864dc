"""The report of several results: tables, families pooled, and plots."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from figureground.errors import UsageError
from figureground.exports.analyses.families import ListedModel, load_families
from figureground.exports.evaluation.dataset import Repository, load_rows, open_repository
from figureground.exports.evaluation.pictures import stored_bytes
from figureground.exports.evaluation.results import result_tables, table_text
from figureground.exports.report.background import BackgroundRelation, background_section, describe_background, relate
from figureground.exports.report.box_sources import compare_box_sources, describe_box_sources
from figureground.exports.report.crops import MARGINS, crops_section
from figureground.exports.report.crossed.section import crossed_section, describe_crossed
from figureground.exports.report.groups import ResultGroup, group_results, require_each_once
from figureground.exports.report.imagenet9 import describe_imagenet9, fit_trends, group_models, imagenet9_section
from figureground.exports.report.leak.levelling import MARGIN
from figureground.exports.report.leak.section import describe_leak, draw_leak_section, leak_section
from figureground.exports.report.noise import FamilyNoise, NoiseResult, noise_results, pool_families, worst_gaps
from figureground.exports.report.page import REPORT_PAGE, write_page
from figureground.exports.report.stored_results import read_results, reading_results
from figureground.exports.report.table_files import table_files
from figureground.exports.report.timm_table import (
    PublishedComparison,
    compare_published,
    describe_published,
    read_published,
)
from figureground.runtime.files import csv_text, write_text

VectorFormat = Literal["svg", "pdf"]

GAP_LEVELS: Final = (60 / 255, 0.25, 75.0)
"""Levels that worst noise gaps are shown at, first scored: the paper's sigma, Hard ImageNet's, an l2 norm."""


def write_report(
    results: Sequence[Path],
    out: Path,
    *,
    models: Path | None = None,
    repository: str | None = None,
    published: Path | None = None,
    margin: float = MARGIN,
    vector: VectorFormat | None = None,
) -> list[str]:
    """Write ``report.txt``, ``report.json``, plots, and all of it as ``report.html``; returns the files' names.

    Args:
        results: Result files of ``evaluate``, or folders of them.
        out: Folder to write to.
        models: Models file with families, which the protocol rival10 pools and plots colour; None makes each model a
            family.
        repository: Dataset whose images to show; None leaves worst noise gaps and categories without pictures.
        published: timm's ``results-imagenet-a.csv``, to set results of the protocol imagenet_a beside; None sets none.
        margin: Difference of two accuracies on ``no_fg`` that counts as none, in (0, 1).
        vector: ``svg`` or ``pdf``, to write the charts of crossed grounds and of the leak of rims as that too.

    Raises:
        UsageError: if there are no results, or results that cannot be pooled.
        DataError: for files that are no results, and for faults in the models file or the published one.
    """
    read = read_results(results)
    families = load_families(models, [result["model"] for result in read])
    read = _with_parameters(read, families)
    family_of = {entry.model: family for family, members in families.items() for entry in members} if models else {}
    compared = compare_published(read, read_published(published)) if published else []
    with reading_results(results):
        leaks = _leaks(read, margin)
        return _write(read, families, family_of, compared, out, repository, leaks, vector)


def _write(
    read: Sequence[Mapping[str, Any]],
    families: Mapping[str, Sequence[ListedModel]],
    family_of: Mapping[str, str],
    compared: Sequence[PublishedComparison],
    out: Path,
    repository: str | None,
    leaks: Sequence[Mapping[str, Any] | None],
    vector: VectorFormat | None,
) -> list[str]:
    crops, grounds, crossed = (
        group_results(read, protocol) for protocol in ("imagenet_a", "background_check", "crossed")
    )
    box_sources = compare_box_sources(read)
    out.mkdir(parents=True, exist_ok=True)
    nines = [(members, imagenet9_section(members)) for members in group_models(read)]
    tables = result_tables(read)
    texts = [*map(describe_background, grounds), *map(describe_crossed, crossed)]
    texts += [describe_imagenet9(section) for _, section in nines]
    texts += [describe_leak(leak) for leak in leaks if leak]
    texts += [describe_published(compared)] if compared else []
    texts += [describe_box_sources(box_sources)] if box_sources else []
    write_text(out / "report.txt", "\n\n".join([*map(table_text, tables), *texts]) + "\n")
    tabled = table_files(tables)
    for name, text in tabled.items():
        write_text(out / name, text)
    sections, drawn = _report_noise(read, families, out, repository)
    sections += [{"protocol": "imagenet_a", "box_sources": asdict(comparison)} for comparison in box_sources]
    for draw, section, groups in (
        (_draw_crops, crops_section, crops),
        (_draw_grounds, background_section, grounds),
        (partial(_draw_crossed, repository, vector), crossed_section, crossed),
    ):
        for group in groups:
            sections.append(section(group))
            drawn += draw(group, out, _stem(group, groups), family_of)
    drawn += _draw_whitened([result for result in read if result["protocol"] == "background_check"], out, repository)
    for number, (members, nine) in enumerate(nines):
        sections.append(nine)
        stem = "imagenet9" if len(nines) == 1 else f"imagenet9.{number}"
        drawn += _draw_nine(members, nine, out, stem, repository, family_of)
        if leak := leaks[number]:
            sections.append(dict(leak))
            drawn += draw_leak_section(leak, out, stem, vector)
    if compared:
        write_text(out / "published.csv", csv_text(PublishedComparison, compared))
        drawn.append("published.csv")
    names = ["report.txt", *tabled, *drawn]
    if sections:
        write_text(out / "report.json", json.dumps(sections, indent=1, sort_keys=True) + "\n")
        names.append("report.json")
    write_page(out, tables, texts, names)
    return [*names, REPORT_PAGE]


def _leaks(read: Sequence[Mapping[str, Any]], margin: float) -> list[dict[str, Any] | None]:
    """Of every group of models of the protocol imagenet9: curves over the growth of the hole, where there are some."""
    if not 0 < margin < 1:
        raise UsageError(f"expected a margin in (0, 1), such as 0.05 for 5 points, got {margin:g}")
    return [leak_section(members, margin) for members in group_models(read)]


def _with_parameters(
    read: Sequence[dict[str, Any]], families: Mapping[str, Sequence[ListedModel]]
) -> list[dict[str, Any]]:
    """Results with the number of parameters that the models file has, where the model's adapter did not say."""
    listed = {entry.model: entry.parameters for members in families.values() for entry in members}
    return [{**result, "parameters": result.get("parameters") or listed.get(result["model"])} for result in read]


def _stem(group: ResultGroup, groups: Sequence[ResultGroup]) -> str:
    """First part of the names of a group's files; numbered where several groups have its label space."""
    alike = [other for other in groups if other.space == group.space]
    return f"{group.protocol}.{group.space}" + (f".{alike.index(group)}" if len(alike) > 1 else "")


def _report_noise(
    read: Sequence[Mapping[str, Any]], families: Mapping[str, Sequence[ListedModel]], out: Path, repository: str | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Sections of the report on the protocol rival10, and names of the files drawn."""
    groups: dict[tuple[str, str, str], list[NoiseResult]] = {}
    for result in noise_results(read):
        groups.setdefault((result.space, result.fingerprint, result.split), []).append(result)
    sections, written = [], []
    for number, ((space, fingerprint, split), members) in enumerate(groups.items()):
        require_each_once(sorted(member.model for member in members), members[0].dataset)
        stem = space if sum(key[0] == space for key in groups) == 1 else f"{space}.{number}"
        pooled = pool_families(members, families)
        key = {"protocol": "rival10", "space": space, "fingerprint": fingerprint, "split": split}
        sections.append(_noise_section(members, pooled, **key))
        written += _draw(members, families, pooled, out, stem, repository)
    return sections, written


def _draw_crops(group: ResultGroup, out: Path, stem: str, _: Mapping[str, str]) -> list[str]:
    from figureground.exports.report import crop_plots

    plots = {"arms": crop_plots.draw_arms}
    if any(len(set(MARGINS) & set(member.summary["configs"])) > 1 for member in group.members):
        plots["margins"] = crop_plots.draw_margins
    if any(member.summary["slices"] for member in group.members):
        plots["box_share"] = crop_plots.draw_box_slices
    for name, draw in plots.items():
        draw(group, out / f"{stem}.{name}.png")
    return [f"{stem}.{name}.png" for name in plots]


def _draw_grounds(group: ResultGroup, out: Path, stem: str, family_of: Mapping[str, str]) -> list[str]:
    from figureground.exports.report import background_plots

    panels: dict[str, list[BackgroundRelation]] = {}
    for relation in relate(group):
        panels.setdefault(relation.measures, []).append(relation)
    for name, relations in panels.items():
        background_plots.draw_relations(relations, out / f"{stem}.{name}.png", family_of)
    return [f"{stem}.{name}.png" for name in panels]


def _draw_crossed(
    repository: str | None, vector: VectorFormat | None, group: ResultGroup, out: Path, stem: str, _: Mapping[str, str]
) -> list[str]:
    from figureground.exports.report.crossed.drawing import draw_crossed

    opened = None if repository is None else _open_scored(repository, group.dataset, group.fingerprint)
    return draw_crossed(group, out, stem, _safe_name, opened=opened, vector=vector)


def _draw_nine(
    members: Sequence[Mapping[str, Any]],
    section: Mapping[str, Any],
    out: Path,
    stem: str,
    repository: str | None,
    family_of: Mapping[str, str],
) -> list[str]:
    from figureground.exports.report import imagenet9_plots

    written = []
    if trends := fit_trends(members):
        imagenet9_plots.draw_trends(trends, out / f"{stem}.trends.png", family_of)
        written.append(f"{stem}.trends.png")
    if section["fooled_per_class"]:
        imagenet9_plots.draw_fooled(section["fooled_per_class"], out / f"{stem}.fooled.png")
        written.append(f"{stem}.fooled.png")
    written += _draw_conflict(members, out, stem)
    if repository is not None and section["category_examples"]:
        data, split = members[0]["dataset"], members[0]["split"]
        opened = _open_scored(repository, data["name"], data["fingerprint"])
        for member in members:
            if examples := section["category_examples"].get(member["model"]):
                written.append(f"{stem}.categories.{_safe_name(member['model'])}.png")
                load = partial(_images, opened, split)
                imagenet9_plots.draw_categories(member, examples, load, opened.classes, out / written[-1])
    return written


def _draw_conflict(members: Sequence[Mapping[str, Any]], out: Path, stem: str) -> list[str]:
    """Which of figure and ground wins, of members that know it and whose answers were stored."""
    from figureground.exports.report.conflict import drawing, readings

    known = [reading for member in members for reading in readings.stored_readings(member)]
    return drawing.write_pictures(known, out, f"{stem}.conflict.") if known else []


def _draw_whitened(results: Sequence[Mapping[str, Any]], out: Path, repository: str | None) -> list[str]:
    from figureground.exports.report import background_plots

    shown = [result for result in results if background_plots.WHITENED[1] in _scored(result)]
    if repository is None or not shown:
        return []
    data, split = shown[0]["dataset"], shown[0]["split"]
    opened = _open_scored(repository, data["name"], data["fingerprint"])
    load = partial(_images, opened, split)
    names = {f"background_check.whitened.{_safe_name(result['model'])}.png": result for result in shown}
    return [
        name
        for name, result in names.items()
        if background_plots.draw_whitened(result, load, opened.classes, out / name)
    ]


def _scored(result: Mapping[str, Any]) -> set[str]:
    """Configs that a result is of."""
    return {config for summary in result["label_spaces"].values() for config in summary["configs"]}


def _safe_name(model: str) -> str:
    return "".join(char if char.isalnum() or char in "-._" else "-" for char in model)


def _noise_section(members: Sequence[NoiseResult], pooled: Sequence[FamilyNoise], **key: str) -> dict[str, Any]:
    return {
        **key,
        "dataset": members[0].dataset,
        "models": [member.model for member in members],
        "families": [asdict(family) for family in pooled],
        "worst_noise_gaps": {
            member.model: {
                kind: {name: [asdict(gap) for gap in gaps] for name, gaps in worst_gaps(member, kind, index).items()}
                for kind, index in _gap_levels(member)
            }
            for member in members
            if member.outcomes is not None
        },
    }


def _draw(
    members: Sequence[NoiseResult],
    families: Mapping[str, Sequence[ListedModel]],
    pooled: Sequence[FamilyNoise],
    out: Path,
    stem: str,
    repository: str | None,
) -> list[str]:
    from figureground.exports.report import noise_plots

    written: list[str] = []

    def next_path(name: str) -> Path:
        written.append(f"{stem}.{name}.png")
        return out / written[-1]

    kinds = list(members[0].summary["noise"].get("0", {}))
    for kind in kinds:
        noise_plots.draw_scatter(members, families, kind, next_path(f"scatter_{kind}"))
        noise_plots.draw_levels([family for family in pooled if family.kind == kind], next_path(f"levels_{kind}"))
        nulled = [member for member in members if "rfs_skill" in member.summary["noise"]["0"][kind]["pooled"]]
        if nulled:
            noise_plots.draw_nulls(nulled, kind, next_path(f"nulls_{kind}"))
        if any(member.outcomes is not None for member in members):
            noise_plots.draw_densities(members, kind, next_path(f"irfs_{kind}"))
    if members[0].summary["ablations"]:
        noise_plots.draw_ablations(members, next_path("ablations"))
    if members[0].summary["attributes"]:
        noise_plots.draw_attributes(members, next_path("attributes"))
    if repository is not None:
        opened = _open_scored(repository, members[0].dataset, members[0].fingerprint)
        images = _images(opened, members[0].split, "original")
        for member in members:
            for kind, index in _gap_levels(member) if member.outcomes is not None else []:
                level = member.summary["noise"]["0"][kind]["levels"][index]
                title = f"{member.model}: hurt most by noise on the ground, {kind} {level:.3g}"
                path = next_path(f"gaps_{kind}.{_safe_name(member.model)}")
                noise_plots.draw_gaps(worst_gaps(member, kind, index), images, title, path)
    return written


def _gap_levels(result: NoiseResult) -> list[tuple[str, int]]:
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


def _open_scored(repository: str, name: str, fingerprint: str) -> Repository:
    """The dataset that was scored; ``UsageError`` if ``repository`` is another."""
    opened = open_repository(repository)
    if opened.fingerprint != fingerprint:
        raise UsageError(f"{repository} is not the dataset that was scored ({name})")
    return opened


def _images(opened: Repository, split: str, config: str, ids: Collection[str] | None = None) -> dict[str, bytes]:
    """Encoded images by image_id, of all or of some ids; the first draw of each."""
    table = load_rows(opened, config, split, columns=["draw"], ids=ids)
    rows = zip(table["image_id"], table["draw"], table["image"], strict=True)
    return {name: stored_bytes(image) or b"" for name, draw, image in rows if draw == 0}
