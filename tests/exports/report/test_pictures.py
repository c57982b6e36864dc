"""Pictures of a report as files: charts in every format, sheets as PNG, series that are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from figureground.exports.report.pictures import PictureFolder, formats_with

plots = pytest.importorskip("figureground.exports.analyses.plots")


def test_charts_are_written_in_every_format_and_sheets_as_pixels(tmp_path: Path) -> None:
    pictures = PictureFolder(tmp_path, formats_with("pdf"))
    pictures.chart("a.bars", lambda picture_format: f"drawn as {picture_format}".encode(), kind="arms", of="m")
    pictures.sheet("a.photos", b"pixels", kind="gaps")
    assert pictures.names == ["a.bars.png", "a.bars.pdf", "a.photos.png"]
    assert [(tmp_path / name).read_bytes() for name in pictures.names] == [b"drawn as png", b"drawn as pdf", b"pixels"]
    assert [(picture.name, picture.kind, picture.of) for picture in pictures.shown] == [
        ("a.bars.png", "arms", "m"),
        ("a.photos.png", "gaps", ""),
    ]
    assert formats_with(None) == ("png",)


def test_series_are_told_apart_without_colour() -> None:
    for style, told_by in ((plots.series_style, "marker"), (plots.bar_style, "hatch")):
        assert len({style(number)[told_by] for number in range(8)}) == 8
        assert len({tuple(style(number).values()) for number in range(64)}) == 64
