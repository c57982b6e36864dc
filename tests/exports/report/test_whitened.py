"""Photos beside the same without their figure: what the report shows of the protocol background_check."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from crop_dataset import ground_configs, photos, write_repository
from PIL import Image

import figureground
from figureground.exports.evaluation.label_spaces import parse_class_map
from figureground.exports.report.report import write_report
from figureground.exports.report.stored_results import read_results

plots = pytest.importorskip("figureground.exports.report.background_plots")


def test_the_report_shows_photos_beside_whitened_ones(tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "grounds", ground_configs(photos()))
    for model in ("looks_at_figure", "looks_at_ground"):
        figureground.evaluate(repository, f"crop_dataset:{model}", out=tmp_path / "scores")
    written = write_report([tmp_path / "scores"], tmp_path / "report", repository=str(repository))
    sheets = [name for name in written if ".whitened." in name]
    assert sheets == [f"background_check.whitened.looks-at-{what}.png" for what in ("figure", "ground")]
    figure, ground = ((tmp_path / "report" / name).read_bytes() for name in sheets)
    assert figure != ground
    with Image.open(io.BytesIO(ground)) as image:
        assert np.asarray(image.convert("RGB")).std() > 0


def test_without_stored_answers_there_is_nothing_to_show(tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "grounds", ground_configs(photos()))
    figureground.evaluate(repository, "crop_dataset:looks_at_ground", out=tmp_path / "scores")
    (result,) = read_results([tmp_path / "scores"])
    classes = parse_class_map((repository / "class_map.json").read_text())
    assert plots.draw_whitened({**result, "answers": "gone"}, lambda *_: {}, classes) is None
