"""The report of several results: tables, families pooled, and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from figureground.errors import UsageError
from figureground.exports.analyses.families import ListedModel, load_families
from figureground.exports.evaluation.results import result_tables, table_text
from figureground.exports.report import drawing as draw
from figureground.exports.report.background import background_section, describe_background
from figureground.exports.report.box_sources import compare_box_sources, describe_box_sources
from figureground.exports.report.crops import crops_section
from figureground.exports.report.crossed.section import crossed_section, describe_crossed
from figureground.exports.report.drawing import Drawing
from figureground.exports.report.groups import ResultGroup, group_results
from figureground.exports.report.imagenet9 import describe_imagenet9, group_models, imagenet9_section
from figureground.exports.report.leak.levelling import MARGIN
from figureground.exports.report.leak.section import describe_leak, leak_section
from figureground.exports.report.noise import FamilyNoise, NoiseResult, noise_result, pool_families, worst_gaps
from figureground.exports.report.page.document import REPORT_PAGE, Contents, write_page
from figureground.exports.report.pictures import PictureFolder, VectorFormat, formats_with
from figureground.exports.report.stored_results import read_results, reading_results
from figureground.exports.report.table_files import table_files
from figureground.exports.report.timm_table import (
    PublishedComparison,
    compare_published,
    describe_published,
    read_published,
)
from figureground.runtime.files import csv_text, write_text


def write_report(
    results: Sequence[Path],
    out: Path,
    *,
    models: Path | None = None,
    repository: str | None = None,
    revision: str | None = None,
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
        revision: Tag, branch or commit of ``repository`` on the Hub; needed there, and for nothing else.
        published: timm's ``results-imagenet-a.csv``, to set results of the protocol imagenet_a beside; None sets none.
        margin: Difference of two accuracies on ``no_fg`` that counts as none, in (0, 1).
        vector: ``svg`` or ``pdf``, to write every chart as that too; sheets of photos stay PNG.

    Raises:
        UsageError: if there are no results, or results that cannot be pooled; for a revision of nothing.
        DataError: for files that are no results, and for faults in the models file or the published one.
    """
    if revision is not None and repository is None:
        raise UsageError("a revision is of the dataset whose images are shown: give --repository OWNER/NAME with it")
    read = read_results(results)
    families = load_families(models, [result["model"] for result in read])
    read = _with_parameters(read, families)
    family_of = {entry.model: family for family, members in families.items() for entry in members} if models else {}
    compared = compare_published(read, read_published(published)) if published else []
    with reading_results(results):
        leaks = _leaks(read, margin)
        pictures = PictureFolder(out, formats_with(vector))
        drawing = Drawing(
            pictures=pictures, families=families, family_of=family_of, repository=repository, revision=revision
        )
        return _write(read, drawing, compared, leaks, out)


def _write(
    read: Sequence[Mapping[str, Any]],
    drawing: Drawing,
    compared: Sequence[PublishedComparison],
    leaks: Sequence[Mapping[str, Any] | None],
    out: Path,
) -> list[str]:
    crops, grounds, crossed = (
        group_results(read, protocol) for protocol in ("imagenet_a", "background_check", "crossed")
    )
    box_sources = compare_box_sources(read)
    nines = [(members, imagenet9_section(members)) for members in group_models(read)]
    tables = result_tables(read)
    texts = [*map(describe_background, grounds), *map(describe_crossed, crossed)]
    texts += [describe_imagenet9(section) for _, section in nines]
    texts += [describe_leak(leak) for leak in leaks if leak]
    texts += [describe_published(compared)] if compared else []
    texts += [describe_box_sources(box_sources)] if box_sources else []
    written = {"report.txt": "\n\n".join([*map(table_text, tables), *texts]) + "\n", **table_files(tables)}
    out.mkdir(parents=True, exist_ok=True)
    draw.draw_tables(drawing, read)
    sections = _report_noise(read, drawing)
    sections += [{"protocol": "imagenet_a", "box_sources": asdict(comparison)} for comparison in box_sources]
    for draw_group, section, groups in (
        (draw.draw_crops, crops_section, crops),
        (draw.draw_grounds, background_section, grounds),
        (draw.draw_crossed, crossed_section, crossed),
    ):
        for group in groups:
            sections.append(section(group))
            draw_group(drawing, group, _stem(group, groups))
    draw.draw_whitened(drawing, [result for result in read if result["protocol"] == "background_check"])
    for number, (members, nine) in enumerate(nines):
        sections.append(nine)
        stem = "imagenet9" if len(nines) == 1 else f"imagenet9.{number}"
        draw.draw_nine(drawing, members, nine, stem)
        if leak := leaks[number]:
            sections.append(dict(leak))
            draw.draw_leak(drawing, leak, stem)
    further = {"published.csv": csv_text(PublishedComparison, compared)} if compared else {}
    if sections:
        further["report.json"] = json.dumps(sections, indent=1, sort_keys=True) + "\n"
    for name, text in {**written, **further}.items():
        write_text(out / name, text)
    names = [*written, *drawing.pictures.names, *further]
    examples = draw.collect(drawing, read)
    pictures = drawing.pictures.shown
    write_page(out, Contents(tables=tables, texts=texts, pictures=pictures, examples=examples, names=names))
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


def _report_noise(read: Sequence[Mapping[str, Any]], drawing: Drawing) -> list[dict[str, Any]]:
    """Sections of the report on the protocol rival10, each of them drawn."""
    groups, sections = group_results(read, "rival10"), []
    for number, group in enumerate(groups):
        members = [noise_result(member.result, group.space) for member in group.members]
        stem = group.space if sum(other.space == group.space for other in groups) == 1 else f"{group.space}.{number}"
        pooled = pool_families(members, drawing.families)
        sections.append(_noise_section(group, members, pooled))
        draw.draw_noise(drawing, members, pooled, stem)
    return sections


def _noise_section(group: ResultGroup, members: Sequence[NoiseResult], pooled: Sequence[FamilyNoise]) -> dict[str, Any]:
    return {
        **group.key(),
        "models": [member.model for member in members],
        "families": [asdict(family) for family in pooled],
        "worst_noise_gaps": {
            member.model: {
                kind: {name: [asdict(gap) for gap in gaps] for name, gaps in worst_gaps(member, kind, index).items()}
                for kind, index in draw.gap_levels(member)
            }
            for member in members
            if member.outcomes is not None
        },
    }
