"""Results of several models side by side: every difference between them, who ranks where, and how sure both are."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from figureground.errors import UsageError
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
from figureground.exports.evaluation.results import align_columns, describe_groups
from figureground.exports.evaluation.tables import percent
from figureground.exports.report.groups import require_each_once
from figureground.exports.report.stored_results import read_results
from figureground.runtime.files import csv_text, replace_file, write_text

ROUNDS: Final = 10_000
"""Rounds of flipped signs."""
SCHEMA_VERSION: Final = "1"
PictureFormat = Literal["png", "svg", "pdf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredGroup:
    """Models that were scored alike: one protocol, dataset, split, feed and label space."""

    protocol: str
    space: str
    dataset: str
    fingerprint: str
    split: str
    feed: str
    results: tuple[Mapping[str, Any], ...]

    def key(self) -> dict[str, str]:
        """What the members share, JSON-ready."""
        return {name: getattr(self, name) for name in ("protocol", "space", "dataset", "fingerprint", "split", "feed")}

    def title(self) -> str:
        """The same in words."""
        return f"{self.dataset} ({self.split}), {self.protocol}, label space {self.space}, feed {self.feed}"

    def contributions(self) -> dict[str, dict[str, Contributions]]:
        """Model to figure to what images add to it."""
        return {str(result["model"]): figure_contributions(result, self.space) for result in self.results}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A group of models compared."""

    group: ScoredGroup
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


def group_scored(results: Sequence[Mapping[str, Any]]) -> list[ScoredGroup]:
    """Results by what must agree, in the order of their first.

    Raises:
        UsageError: if a model has several results of one kind.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        data = result["dataset"]
        for space in result.get("label_spaces") or [result["label_space"]]:
            key = (result["protocol"], space, data["name"], data["fingerprint"], result["split"], result["feed"])
            groups.setdefault(key, []).append(result)
    names = ("protocol", "space", "dataset", "fingerprint", "split", "feed")
    scored = [
        ScoredGroup(**dict(zip(names, key, strict=True)), results=tuple(members)) for key, members in groups.items()
    ]
    for group in scored:
        require_each_once([str(member["model"]) for member in group.results], group.dataset)
    return scored


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
        UsageError: if no two models were scored alike, answers were not stored, or there is no such figure.
        DataError: for files that are no results, and for models that saw other images.
    """
    groups = [group for group in group_scored(read_results(paths)) if len(group.results) > 1]
    if not groups:
        raise UsageError("no two models here were scored alike: give results of one dataset, split, feed and protocol")
    tables = [(group, _chosen(figure_tables(group.contributions()), figures)) for group in groups]
    return [_compare(group, own, rounds, seed) for group, own in tables]


def _chosen(tables: list[FigureTable], figures: Collection[str]) -> list[FigureTable]:
    known = [table.figure for table in tables]
    if unknown := sorted(set(figures) - set(known)):
        raise UsageError(f"no figure {', '.join(unknown)}; there are {', '.join(known)}")
    return [table for table in tables if not figures or table.figure in figures]


def _compare(group: ScoredGroup, tables: list[FigureTable], rounds: int, seed: int) -> Comparison:
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
            "forest": forest.draw_forest(comparison.contrasts, comparison.group.title(), picture_format),
            "ranks": forest.draw_ranks(comparison.ranks, comparison.group.title(), picture_format),
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
    lines = [comparison.group.title(), *describe_groups(comparison.group.results[0]["dataset"], {}), ""]
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
