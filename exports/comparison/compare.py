"""Results of several models side by side: every difference between them, who ranks where, and how sure both are."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from figureground.errors import UsageError, listed
from figureground.exports.comparison.contrasts import (
    FigureTable,
    ModelContrast,
    contrast_models,
    figure_tables,
    flip_signs,
)
from figureground.exports.comparison.contributions import Contributions, figure_contributions
from figureground.exports.comparison.ranks import ModelRank, rank_models
from figureground.exports.evaluation.intervals import ALPHA, MIN_DECIDABLE
from figureground.exports.evaluation.results import align_columns
from figureground.exports.evaluation.tables import percent
from figureground.exports.report.groups import ResultGroup, group_results
from figureground.exports.report.stored_results import read_results
from figureground.runtime.files import csv_text, replace_file, write_text

ROUNDS: Final = 10_000
"""Rounds of flipped signs."""
SCHEMA_VERSION: Final = "1"
PictureFormat = Literal["png", "svg", "pdf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A group of models compared."""

    group: ResultGroup
    contrasts: tuple[ModelContrast, ...]
    ranks: tuple[ModelRank, ...]
    rounds: int
    seed: int

    def json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "schema_version": SCHEMA_VERSION,
            **self.group.key(),
            "alpha": ALPHA,
            "rounds": self.rounds,
            "seed": self.seed,
            "undecidable_below": MIN_DECIDABLE,
            "contrasts": [asdict(contrast) for contrast in self.contrasts],
            "ranks": [asdict(rank) for rank in self.ranks],
        }


def group_title(group: ResultGroup) -> str:
    """What the models of a group were scored on, in words."""
    title = f"{group.dataset} ({group.split}), {group.protocol}, label space {group.space}, feed {group.feed}"
    return f"{title}, {group.settings}" if group.settings else title


def describe_ungrouped(group: ResultGroup, computed: str) -> list[str]:
    """That what is computed from single images allows for no groups of photos, in words; nothing where there are none.

    Args:
        group: Models that were scored alike.
        computed: What that is, in words.
    """
    counts = group.members[0].result["dataset"].get("groups")
    if not counts:
        return []
    images = f"{counts['images']} images are in {counts['groups']} groups"
    return [f"{images}, which {computed} here do not allow for: each image counts as a sample of its own"]


def group_contributions(group: ResultGroup) -> dict[str, dict[str, Contributions]]:
    """Model to figure to what images add to it; raises as ``figure_contributions``."""
    return {member.model: figure_contributions(member.result, group.space) for member in group.members}


def compare_results(
    paths: Sequence[Path], *, figures: Collection[str] = (), rounds: int = ROUNDS, seed: int = 0
) -> list[Comparison]:
    """Compare all models that were scored alike.

    Args:
        paths: Result files of ``evaluate``, or folders of them, with the answers beside them.
        figures: Names of the only figures to compare; empty for all. Fewer comparisons find more.
        rounds: Rounds of flipped signs.
        seed: Of the signs.

    Raises:
        UsageError: if no two models were scored alike, or share no figure, answers were not stored, or there is no such
            figure.
        DataError: for files that are no results, and for models that saw other images.
    """
    groups = [group for group in group_results(read_results(paths)) if len(group.members) > 1]
    if not groups:
        raise UsageError("no two models here were scored alike: give results of one dataset, split, feed and protocol")
    tables = [(group, _chosen(_shared_figures(group), figures)) for group in groups]
    return [_compare(group, own, rounds, seed) for group, own in tables]


def _shared_figures(group: ResultGroup) -> list[FigureTable]:
    """Figures that at least two models of a group have; ``UsageError`` where there are none."""
    contributions = group_contributions(group)
    tables = figure_tables(contributions)
    if not tables:
        own = "; ".join(f"{model} has {listed(list(figures))}" for model, figures in contributions.items())
        raise UsageError(f"{group_title(group)}: no figure in common: {own}; score the models on the same configs")
    return tables


def _chosen(tables: list[FigureTable], figures: Collection[str]) -> list[FigureTable]:
    known = [table.figure for table in tables]
    if unknown := sorted(set(figures) - set(known)):
        raise UsageError(f"no figure {', '.join(unknown)}; there are {', '.join(known)}")
    return [table for table in tables if not figures or table.figure in figures]


def _compare(group: ResultGroup, tables: list[FigureTable], rounds: int, seed: int) -> Comparison:
    flipped = flip_signs(tables, count=rounds, seed=seed)
    ranked = (rank_models(table, critical) for table, critical in zip(tables, flipped.critical, strict=True))
    return Comparison(
        group=group,
        contrasts=tuple(contrast_models(tables, flipped)),
        ranks=tuple(rank for ranks in ranked for rank in ranks),
        rounds=rounds,
        seed=seed,
    )


def write_comparison(
    comparisons: Sequence[Comparison], out: Path, *, picture_format: PictureFormat = "png"
) -> list[str]:
    """Write ``compare.txt``, ``compare.json``, ``contrasts.csv``, ``ranks.csv`` and plots; returns their names."""
    from figureground.exports.comparison import forest

    out.mkdir(parents=True, exist_ok=True)
    names = ["compare.txt", "compare.json"]
    write_text(out / names[0], "\n\n".join(map(describe_comparison, comparisons)) + "\n")
    plain = [comparison.json() for comparison in comparisons]
    write_text(out / names[1], json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    for number, comparison in enumerate(comparisons):
        suffix = "" if len(comparisons) == 1 else f".{number}"
        pictures = {
            "forest": forest.draw_forest(comparison.contrasts, group_title(comparison.group), picture_format),
            "ranks": forest.draw_ranks(comparison.ranks, group_title(comparison.group), picture_format),
        }
        for name, content in pictures.items():
            names.append(f"{name}{suffix}.{picture_format}")
            with replace_file(out / names[-1]) as temporary:
                temporary.write_bytes(content)
        for name, text in (
            ("contrasts", csv_text(ModelContrast, comparison.contrasts)),
            ("ranks", csv_text(ModelRank, comparison.ranks)),
        ):
            names.append(f"{name}{suffix}.csv")
            write_text(out / names[-1], text)
    return names


def describe_comparison(comparison: Comparison) -> str:
    """Ranks of every figure, and the differences that hold against the whole table, as plain text."""
    lines = [group_title(comparison.group), *describe_ungrouped(comparison.group, "intervals, p-values and ranks"), ""]
    by_figure: dict[str, list[ModelRank]] = {}
    for rank in comparison.ranks:
        by_figure.setdefault(rank.figure, []).append(rank)
    for figure, ranks in by_figure.items():
        rows = [
            [f"  {rank.model}", percent(rank.value), f"rank {rank.rank}", f"95 % set {rank.lowest} to {rank.highest}"]
            for rank in ranks
        ]
        lines += [figure, *align_columns(rows), ""]
    sure = [contrast for contrast in comparison.contrasts if contrast.holds]
    count = len(comparison.contrasts)
    lines.append(f"Differences at {100 * ALPHA:.0f} % after correction for all {count} comparisons (max-T):")
    lines += [_describe(contrast) for contrast in sure] or ["  none"]
    few = [contrast for contrast in comparison.contrasts if contrast.undecidable]
    lines += [f"{len(few)} comparisons are of fewer than {MIN_DECIDABLE} images: undecidable."] if few else []
    return "\n".join(lines)


def _describe(contrast: ModelContrast) -> str:
    interval = f" [{percent(contrast.ci95[0])}, {percent(contrast.ci95[1])}]" if contrast.ci95 else ""
    difference = percent(contrast.difference, signed=True)
    sides = f"{contrast.first} - {contrast.second}"
    return f"  {contrast.figure}: {sides} {difference}{interval}, n {contrast.n}, p {contrast.p_adjusted:.2g}"
