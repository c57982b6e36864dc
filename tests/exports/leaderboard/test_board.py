"""The card's part on scored models."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from figureground.exports.dataset.locked.leaderboard import BoardCell, BoardRow, BoardTable, Leaderboard
from figureground.exports.dataset.manifest import plain_card
from figureground.exports.leaderboard.board import with_board

CARD = "# A dataset\n\nWords.\n\n## Columns\n\nMore words.\n"


class Markdown(SingleFileSnapshotExtension):
    """One .md file a snapshot."""

    _write_mode = WriteMode.TEXT
    file_extension = "md"


def row(model: str, value: float | None, rank: int | None) -> BoardRow:
    ci95 = None if value is None else (value - 0.05, value + 0.04)
    cells = {
        "original": BoardCell(value=value, ci95=ci95, rank=rank, lowest=rank and 1, highest=rank and 2),
        "bg_gap": BoardCell(value=0.041, ci95=None, rank=None, lowest=None, highest=None),
    }
    return BoardRow(model=model, weights_sha256="0" * 64, file=f"{len(model)}.json", n=450, cells=cells)


BOARD = Leaderboard(
    schema_version="1",
    fingerprint="ab" * 32,
    edition=2,
    tables=(
        BoardTable(
            protocol="imagenet9",
            space="map",
            split="test",
            feed="canvas",
            figures=("original", "bg_gap"),
            rows=(row("timm:good|bad <b>", 0.912, 1), row("onnx:\nmy", 0.9, 2), row("none", None, None)),
            notes=("120 of 450 masks are a machine's that nobody reviewed", "a | in a note"),
        ),
    ),
)


def test_the_card_with_scored_models_is_the_golden_one(snapshot: SnapshotAssertion) -> None:
    assert with_board(CARD, BOARD) == snapshot(extension_class=Markdown)


@pytest.mark.parametrize("card", [CARD, "# A card without columns\n"])
def test_the_card_without_them_is_what_it_was(card: str) -> None:
    shown = with_board(card, BOARD)
    assert shown.count("## Leaderboard") == 1
    assert plain_card(shown) == card
