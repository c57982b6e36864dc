"""The table of a leaderboard: figures with intervals, and ranks with the sets that hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import jinja2

from figureground.exports.comparison.compare import ROUNDS, describe_ungrouped, group_contributions
from figureground.exports.comparison.contrasts import figure_tables, flip_signs
from figureground.exports.comparison.contributions import Contributions
from figureground.exports.comparison.ranks import ModelRank, rank_models
from figureground.exports.dataset.card import escape_cell
from figureground.exports.dataset.locked.leaderboard import BoardCell, BoardRow, BoardTable, Leaderboard
from figureground.exports.dataset.manifest import BOARD_BEGIN, BOARD_END
from figureground.exports.evaluation.intervals import mean_estimate, share_interval
from figureground.exports.evaluation.protocols.registry import named_protocol
from figureground.exports.evaluation.results import describe_groups, describe_masks, describe_model
from figureground.exports.evaluation.tables import percent
from figureground.exports.report.groups import ModelSummary, ResultGroup, group_results
from figureground.exports.report.stored_results import read_results

SCHEMA_VERSION: Final = "1"
_HEADLINES: Final[Mapping[str, Sequence[str]]] = {
    "imagenet9": ("original", "mixed_same", "mixed_rand", "only_bg_t", "no_fg", "bg_gap"),
    "background_check": ("original", "bg_influence_white", "bg_invariance_texture", "bg_invariance_constant"),
    "imagenet_a": ("original", "plus", "plus - original"),
    "rival10": ("original", "RFS l2", "RFS sigma"),
}
"""Figures of the card's table by protocol, those that there are; every other one is in the results."""
_BEFORE: Final = "\n## Columns\n"
_FEWEST: Final = 2
"""Headlines below which the first figures are shown instead."""
_SHOWN: Final = 5


def make_board(folder: Path, *, fingerprint: str, edition: int) -> Leaderboard:
    """The leaderboard of a folder of results, with the answers beside them.

    Raises:
        DataError: for answers that are damaged, or to other images under one dataset.
    """
    tables = [_table(group) for group in group_results(read_results([folder]))]
    tables.sort(key=lambda table: (table.protocol, table.split, table.space, table.feed))
    return Leaderboard(schema_version=SCHEMA_VERSION, fingerprint=fingerprint, edition=edition, tables=tuple(tables))


def _table(group: ResultGroup) -> BoardTable:
    contributions = group_contributions(group)
    names = list(dict.fromkeys(name for own in contributions.values() for name in own))
    wanted = [name for name in _HEADLINES.get(group.protocol, ()) if name in names]
    shown = tuple(wanted if len(wanted) >= _FEWEST else names[:_SHOWN])
    ranks = _ranks(contributions, shown)
    rows = [_row(member, contributions[member.model], group, shown, ranks) for member in group.members]
    first = group.members[0]
    stated = {name for member in group.members for name, *_ in named_protocol(group.protocol).figures(member.summary)}
    computed = " and ".join(["ranks", *(f"the interval of {name}" for name in shown if name not in stated)])
    notes = [group.settings] if group.settings else []
    notes += [*describe_groups(first.result["dataset"], first.summary), *describe_ungrouped(group, computed)]
    notes += describe_masks(first.result["dataset"])
    notes += [note for member in group.members for note in describe_model(member.result, group.space)]
    return BoardTable(
        protocol=group.protocol,
        space=group.space,
        split=group.split,
        feed=group.feed,
        figures=shown,
        rows=tuple(sorted(rows, key=lambda row: (-(row.cells[shown[0]].value or -math.inf), row.model, row.file))),
        notes=tuple(dict.fromkeys(notes)),
    )


def _ranks(
    contributions: Mapping[str, Mapping[str, Contributions]], shown: Sequence[str]
) -> dict[tuple[str, str], ModelRank]:
    """Ranks by figure and model; those of a figure hold together."""
    own = {
        model: {name: figures[name] for name in shown if name in figures} for model, figures in contributions.items()
    }
    tables = figure_tables(own)
    if not tables:
        return {}
    critical = flip_signs(tables, count=ROUNDS, seed=0).critical
    ranked = (rank for table, level in zip(tables, critical, strict=True) for rank in rank_models(table, level))
    return {(rank.figure, rank.model): rank for rank in ranked}


def _row(
    member: ModelSummary,
    contributions: Mapping[str, Contributions],
    group: ResultGroup,
    shown: Sequence[str],
    ranks: Mapping[tuple[str, str], ModelRank],
) -> BoardRow:
    stored = {name: (value, ci95) for name, value, ci95 in named_protocol(group.protocol).figures(member.summary)}
    cells = {}
    for name in shown:
        own, rank = contributions.get(name), ranks.get((name, member.model))
        value, ci95 = stored.get(name) or _measure(own)
        cells[name] = BoardCell(
            value=value,
            ci95=None if ci95 is None else (ci95[0], ci95[1]),
            rank=rank.rank if rank else None,
            lowest=rank.lowest if rank else None,
            highest=rank.highest if rank else None,
        )
    return BoardRow(
        model=member.model,
        weights_sha256=str(member.result["weights_sha256"]),
        file=f"{member.result['stem']}.json",
        n=max(len(own.image_id) for own in contributions.values()),
        cells=cells,
    )


def _measure(own: Contributions | None) -> tuple[float | None, Sequence[float] | None]:
    """A figure that the protocol's summary has under no name of its own, and its interval."""
    if own is None:
        return None, None
    if own.share:
        return own.figure, share_interval(own.value, own.stratum)
    return own.figure, mean_estimate(own.value, own.stratum, own.bounds).ci95


def render_board(board: Leaderboard) -> str:
    """The card's part on scored models, between the two lines by which it is found again."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701  Markdown; names go through the filter
    environment.filters["cell"] = escape_cell
    environment.filters["figure"] = _cell_text
    text = (files("figureground.exports.leaderboard") / "board.md.jinja").read_text(encoding="utf-8")
    return f"{BOARD_BEGIN}{environment.from_string(text).render(board=board)}{BOARD_END}"


def _cell_text(cell: BoardCell) -> str:
    """``82.3 [78.1, 86.0], 2 (1 to 3)``: percent with its interval, rank with its set."""
    if cell.value is None:
        return "undefined"
    interval = f"[{percent(cell.ci95[0])}, {percent(cell.ci95[1])}]" if cell.ci95 else "[too few to say]"
    rank = "" if cell.rank is None else f", {cell.rank} ({cell.lowest} to {cell.highest})"
    return f"{percent(cell.value)} {interval}{rank}"


def with_board(card: str, board: Leaderboard) -> str:
    """A card that has none with its leaderboard: before the columns, else at its end."""
    place = card.find(_BEFORE) + 1 or len(card)
    return f"{card[:place]}{render_board(board)}{card[place:]}"
