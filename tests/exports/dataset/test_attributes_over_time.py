"""Attributes that were renamed and added while people answered: one column each, from the answers to rows and card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from drawn_release import CLASS_MAP, draw_release
from studio_samples import make_schema, note_project

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.build.recipes.loading import load_recipe
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Annotation, Decision
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

FIRST = make_schema(local=["horns"], ticked=["round"])
SECOND = make_schema(local=["antlers"], ticked=["round"], was={"antlers": "horns"}, version="2")
THIRD = make_schema(local=["crown"], ticked=["round", "shiny"], was={"crown": "antlers"}, version="3")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos: the disc was answered under the first version, the ring under the second, the bar under the third.

    The disc was answered by two people, the other one under the second version: half of the part.
    """
    root = draw_release(Path(tmp_path_factory.mktemp("drawn")), 1, part="horns").workspace
    with Workspace.open(root) as store:
        for day, schema in enumerate((FIRST, SECOND, THIRD), start=1):
            note_project(store, schema, since=f"2026-02-0{day}T00:00:00+00:00")
        labels = {image.image_id: image.label for image in store.images()}
        for answer in list(store.annotations()):
            label = labels[answer.image_id]
            part = answer.masks["horns"]
            whole = {"object": answer.masks["object"]}
            if label == "disc":
                accept(store, answer, "animals@1", {**whole, "horns": part}, {"horns": True, "round": True})
                rows = np.arange(part.size_hw[0])[:, None]
                half = decode_coco_rle(part)
                half &= rows < np.median(np.nonzero(half)[0])
                other = replace(
                    answer,
                    annotation_id="other",
                    annotator="p2",
                    attribute_schema="animals@2",
                    masks={**whole, "antlers": encode_coco_rle(half)},
                    attributes={"antlers": True, "round": False},
                )
                store.add_answer(other, None)
            elif label == "ring":
                accept(store, answer, "animals@2", whole, {"antlers": False, "round": True})
            else:
                accept(store, answer, "animals@3", {**whole, "crown": part}, {"crown": True, "shiny": True})
        freeze(store, "v2", FreezeOptions())
    return root


def accept(
    store: Workspace, answer: Annotation, schema: str, masks: dict[str, Any], attributes: dict[str, bool | None]
) -> None:
    made = replace(
        answer,
        annotation_id=f"{schema}-{answer.image_id}",
        updated_at="2026-03-01T00:00:00Z",
        masks=masks,
        attributes=attributes,
        attribute_schema=schema,
    )
    store.add_answer(made, None)
    store.decide(Decision(image_id=made.image_id, state="accepted", reason="", annotation_id=made.annotation_id))


def build(workspace: Path, folder: Path, release: str, schema: AttributeSchema) -> Path:
    (folder / "toy.json").write_text(CLASS_MAP)
    (folder / "toy_attributes.yaml").write_text(yaml.safe_dump(schema.model_dump(mode="json")))
    recipe = load_recipe("rival10").model_dump(mode="json")
    recipe |= {"name": "toy", "class_map": "toy.json", "attributes": "toy_attributes.yaml", "splits": None}
    recipe |= {"variants": {name: recipe["variants"][name] for name in ("original", "attribute_grey")}}
    (folder / "toy.yaml").write_text(yaml.safe_dump(recipe))
    options = BuildOptions(per_class="all", pixels=False)
    request = prepare_request(
        str(folder / "toy.yaml"), workspace, release=release, options=options, machines=Machines(workers=1)
    )
    build_dataset(request, folder / "toy")
    return folder / "toy"


@pytest.fixture(scope="module")
def dataset(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(workspace, Path(tmp_path_factory.mktemp("built")), "v2", THIRD)


def rows(dataset: Path, config: str) -> dict[str, dict[str, Any]]:
    (path,) = (dataset / "data" / config).glob("*.parquet")
    return {row["source_label"]: row for row in pq.read_table(path).to_pylist()}


def test_the_newest_name_is_the_only_column(dataset: Path) -> None:
    assert {label: row["attributes"] for label, row in rows(dataset, "original").items()} == {
        "disc": {"crown": True, "round": True, "shiny": None},
        "ring": {"crown": False, "round": True, "shiny": None},
        "bar": {"crown": True, "round": None, "shiny": True},
    }
    grey = rows(dataset, "attribute_grey")
    assert {label: row["attribute"] for label, row in grey.items()} == {"disc": "crown", "bar": "crown"}
    assert [mask["attribute"] for mask in grey["disc"]["attribute_masks"]] == ["crown"]
    frequencies = (dataset / "report" / "attributes.csv").read_text()
    assert "horns" not in frequencies
    assert "antlers" not in frequencies
    assert "disc,crown,1,0,0,1" in frequencies


def test_the_card_compares_what_was_answered_under_two_names(workspace: Path, dataset: Path) -> None:
    text = (dataset / "README.md").read_text()
    record = next(record for record in read_release(workspace / "objects" / "v2.parquet")[1] if record.label == "disc")
    part = decode_coco_rle(record.attribute_masks["crown"])
    half = part & (np.arange(len(part))[:, None] < np.median(np.nonzero(part)[0]))
    assert f"| crown | 1 | {half.sum() / part.sum():.3f} [" in text
    assert "| object | 1 | 1.000 [" in text
    assert "| crown | 1 | 1.000 [" in text  # both said that it is there
    assert "| round | 1 | 0.000 [" in text
    assert "Answers to all attributes together: 0.500 [" in text


def test_a_release_under_an_earlier_name_is_read_under_the_recipe_s(workspace: Path, tmp_path: Path) -> None:
    """The first release knows ``horns`` alone: it was frozen before anything was renamed."""
    schema = make_schema(local=["crown"], ticked=["round", "shiny"], was={"crown": "horns"}, version="3")
    dataset = build(workspace, tmp_path, "v1", schema)
    by_label = rows(dataset, "original")
    assert by_label["disc"]["attributes"] == {"crown": True, "round": True, "shiny": None}
    assert by_label["bar"]["attributes"] == {"crown": True, "round": False, "shiny": None}
    assert {row["attribute"] for row in rows(dataset, "attribute_grey").values()} == {"crown"}
