"""Terms of sources: what the maintainer says counts, else what a source is; they reach the card of what is built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn_release import CLASS_MAP, draw_release
from typer.testing import CliRunner

from figureground.build.recipes.loading import load_recipe
from figureground.cli.app import app
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.schemas.records import SourceRow
from figureground.schemas.store.workspace import Workspace
from figureground.schemas.terms import UNSTATED, options_of_terms, source_terms


@pytest.mark.parametrize(
    ("kind", "uri", "options", "reason"),
    [
        ("folder", "dog/rex.jpg", {"licence": ""}, UNSTATED),
        ("folder", "dog/rex.jpg", {"licence": " unknown "}, UNSTATED),
        ("folder", "dog/rex.jpg", {"licence": "", "restricted": "no"}, ""),
        ("folder", "n01440764/a.jpg", {}, "ImageNet's terms"),
        ("folder", "fish/n01440764_tench.JPEG", {}, "ImageNet's terms"),
        ("folder", "n02085620-Chihuahua/a.jpg", {}, "ImageNet's terms"),
        ("folder", "fish/n02690373_ILSVRC2012_val_00000018.JPEG", {}, "ImageNet's terms"),
        ("parquet", "n01440764", {}, "ImageNet's terms"),  # the label of a photo in a table
        ("folder", "pan01440764/n014407641.jpg", {}, ""),
        ("folder", "dog/n0144.jpg", {}, ""),
        ("folder", "dog/rex.jpg", {}, ""),
        ("folder", "dog/rex.jpg", {"restricted": "yes"}, "its maintainer said so"),
        ("folder", "n01440764/n01440764_10026.JPEG", {}, "ImageNet's terms"),
        ("parquet", "ILSVRC2012_val_00000001.JPEG", {}, "ImageNet's terms"),
        ("folder", "n01440764/n01440764_10026.JPEG", {"restricted": "no"}, ""),
        ("ilsvrc", "a.JPEG", {}, "ImageNet's terms"),
        ("imagenet-a", "a.jpg", {}, "ImageNet-A's photos"),
        ("rival10", "a.JPEG", {}, "RIVAL10's licence"),
        ("rival10", "a.JPEG", {"restricted": "no"}, ""),
        ("rival10", "a.JPEG", {"restricted": "yes"}, "RIVAL10's licence"),  # which concerns masks too
    ],
)
def test_what_a_source_is_decides_unless_its_maintainer_does(
    kind: str, uri: str, options: dict[str, str], reason: str
) -> None:
    row = SourceRow(name="s", kind=kind, locator="/photos", options={"licence": "CC0", **options})
    terms = source_terms(row, ["x/y.jpg", uri])
    assert (terms.restricted.startswith(reason), bool(terms.restricted)) == (True, bool(reason))
    assert terms.licence == options.get("licence", "CC0")
    assert terms.said == ("restricted" in options)
    assert source_terms(row, ["x/y.jpg"], [uri]).restricted == terms.restricted


def test_what_is_not_said_now_stays_as_it_was_said() -> None:
    first = options_of_terms("CC BY 4.0", True, {})
    assert options_of_terms(None, None, {**first, "labels": "labels.csv"}) == first
    assert options_of_terms(None, False, first) == {"licence": "CC BY 4.0", "restricted": "no"}
    assert options_of_terms("", None, first) == {"licence": "", "restricted": "yes"}


def test_terms_said_to_index_reach_lock_and_card(tmp_path: Path) -> None:
    drawn = draw_release(tmp_path, per_class=2)
    words = ["index", str(drawn.photos), "-w", str(drawn.workspace), "--name", "drawn"]
    for terms in (["--licence", "CC BY 4.0"], ["--restricted"], []):
        done = CliRunner().invoke(app, [*words, *terms, "--workers", "1"])
        assert done.exit_code == 0, done.output
    with Workspace.open(drawn.workspace) as store:
        assert store.sources()["drawn"].options == {"licence": "CC BY 4.0", "restricted": "yes"}
    (tmp_path / "toy.json").write_text(CLASS_MAP)
    recipe = load_recipe("imagenet9").model_copy(update={"class_map": "toy.json", "name": "toy"})
    (tmp_path / "toy.yaml").write_text(recipe.model_dump_json())
    request = prepare_request(
        str(tmp_path / "toy.yaml"),
        drawn.workspace,
        options=BuildOptions(per_class="all", pixels=False, licence="MIT"),
        machines=Machines(workers=1),
    )
    build_dataset(request, tmp_path / "toy")
    lock = json.loads((tmp_path / "toy" / "recipe.lock.json").read_text())
    assert lock["sources"] == {
        "drawn": {"photos": 6, "licence": "CC BY 4.0", "restricted": "its maintainer said so", "said": True}
    }
    card = (tmp_path / "toy" / "README.md").read_text()
    assert "CC BY 4.0" in card
    assert "MIT" in card
