"""Tables as text."""

from __future__ import annotations

from figureground.exports.evaluation.results import align_columns


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [["", "a", "model"], ["original", "90.0 [1]", "7"], [], ["mixed"], ["", "x"]]
    assert align_columns(rows) == [
        "          a         model",
        "original  90.0 [1]  7",
        "-------------------------",
        "mixed",
        "          x",
    ]
