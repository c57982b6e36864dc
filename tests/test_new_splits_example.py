"""The example of new splits: it loads, and its lines alone make rows of drawn photos with an attribute."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import yaml
from drawn_release import CLASS_MAP, draw_release

from figureground.build.recipes.loading import load_recipe
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import prepare_request

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "examples" / "new_splits.yaml"


def test_the_example_builds_rows_of_all_its_splits(tmp_path: Path) -> None:
    assert load_recipe(str(EXAMPLE)).class_map == str(EXAMPLE.with_name("butterfly_classes.json"))
    drawn = draw_release(tmp_path, per_class=2, part="left")
    (tmp_path / "toy.json").write_text(CLASS_MAP)
    own = {"class_map": "toy.json", "attributes": "none"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**yaml.safe_load(EXAMPLE.read_text()), **own}))
    build_dataset(
        prepare_request(str(tmp_path / "mine.yaml"), drawn.workspace, machines=Machines(workers=1)), tmp_path / "out"
    )
    counts = {
        name: pq.read_table(tmp_path / "out" / "data" / name).num_rows for name in load_recipe(str(EXAMPLE)).variants
    }
    assert counts == {"original": 6, "small_and_moved": 6, "attribute_grey_on_blur": 6, "two_figures": 6}
