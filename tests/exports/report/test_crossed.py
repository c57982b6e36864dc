"""The report on crossed grounds: tables, charts, and the grounds that fool most as a picture."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from crop_dataset import LOUD, write_crossed
from PIL import Image

import figureground
from figureground.exports.report.groups import group_results
from figureground.exports.report.report import write_report
from figureground.exports.report.stored_results import read_results

plots = pytest.importorskip("figureground.exports.report.crossed.plots")
MODELS = ("looks-at-figure", "looks-at-ground")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("report")
    repository = write_crossed(root / "grounds")
    for model in ("looks_at_figure", "looks_at_ground"):
        figureground.evaluate(repository, f"crop_dataset:{model}", out=root / "scores", bootstrap=200)
    return repository, root / "scores"


def test_charts_and_sheets_of_every_model(scored: tuple[Path, Path], tmp_path: Path) -> None:
    repository, scores = scored
    written = write_report([scores], tmp_path, repository=str(repository), vector="svg")
    stem = "crossed.head3.crossed"
    charts = [f"{stem}.components", f"{stem}.attacks", *(f"{stem}.pairs.{model}" for model in MODELS)]
    sheets = [f"{stem}.grounds.{model}.png" for model in MODELS]
    assert {name for name in written if name.startswith("crossed")} == {
        *(f"{chart}.{kind}" for chart in (*charts, "crossed.differences") for kind in ("png", "svg")),
        *sheets,
    }
    for chart in charts:
        assert (tmp_path / f"{chart}.svg").read_text().startswith("<?xml")
        assert f"{chart}.png".removesuffix(".png") in (tmp_path / "report.html").read_text()
    pictures = [np.asarray(Image.open(io.BytesIO((tmp_path / name).read_bytes())).convert("RGB")) for name in sheets]
    red = [(np.abs(picture.astype(int) - (230, 20, 20)).max(axis=2) < 12).sum() for picture in pictures]
    assert red[0] > 2 * red[1] > 0  # what looks at figures is fooled by the loud ground, which stands first
    group = group_results(read_results([scores]), "crossed")[0]
    for kind in ("png", "svg"):
        again = plots.draw_components(group.members, "crossed", kind)
        assert again == (tmp_path / f"{stem}.components.{kind}").read_bytes()


def test_the_text_lists_the_grounds_that_fool_most(scored: tuple[Path, Path], tmp_path: Path) -> None:
    written = write_report([scored[1]], tmp_path)
    assert not [name for name in written if ".grounds." in name or name.endswith(".svg")]
    text = (tmp_path / "report.txt").read_text()
    assert f"  {LOUD} (red, n 20): fooled 100.0 [83.9, 100.0], as itself 100.0 [83.9, 100.0]" in text
    assert "the worst of 6, chosen on other figures: 66.7" in text
    (section,) = json.loads((tmp_path / "report.json").read_text())
    assert section["protocol"] == "crossed"
    assert set(section["models"]) == set(MODELS)


def test_without_stored_answers_there_is_no_sheet(scored: tuple[Path, Path], tmp_path: Path) -> None:
    (result, *_) = read_results([scored[1]])
    alone = tmp_path / "scores"
    alone.mkdir()
    (alone / f"{result['stem']}.json").write_bytes((scored[1] / f"{result['stem']}.json").read_bytes())
    written = write_report([alone], tmp_path / "report", repository=str(scored[0]))
    assert not [name for name in written if ".grounds." in name]
    assert [name for name in written if ".components." in name]
