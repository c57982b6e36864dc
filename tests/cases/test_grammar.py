"""What recipes, class maps and options may say: names that datasets loads, each key once, and numbers in bounds."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from needs import SHARED, need_shared
from plain_dataset import RECIPE, Plain, build_plain, make_plain, write_recipe
from typer.testing import CliRunner

from figureground.build.recipes.loading import load_recipe, shipped_recipes
from figureground.cli.app import app
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.folder import DatasetFolder, name_faults
from figureground.exports.dataset.request import describe_report, parse_splits
from figureground.schemas.attributes import AttributeSchema, load_attribute_schema
from figureground.schemas.classes import ClassMap, load_class_map
from figureground.schemas.documents import parse_document, read_document, shown
from figureground.schemas.recipes import Recipe

CASES = SHARED / "cases" / "build"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


SOURCE = {"ground": "source"}


def with_view(**view: Any) -> dict[str, Any]:
    return {"rules": {"exact": {"views": {"imagenet": view}}}}


REFUSED_RECIPES: dict[str, tuple[dict[str, Any], str]] = {
    "default beside others": ({"variants": {"default": SOURCE, "original": SOURCE}}, "default alone"),
    "a hidden variant": ({"variants": {".hidden": SOURCE}}, "does not begin with a dot"),
    "a variant with a slash": ({"variants": {"a/b": SOURCE}}, "1 to 128 letters"),
    "a variant above": ({"variants": {"..": SOURCE}}, "1 to 128 letters"),
    "variants alike": ({"variants": {"Original": SOURCE, "original": SOURCE}}, "more than capital letters"),
    "no variant": ({"variants": {}}, "at least 1"),
    "split with a dash": ({"split": "my-test"}, "letters, digits and underscores"),
    "split all": ({"split": "all"}, "and not all"),
    "split ALL": ({"split": "ALL"}, "and not all"),
    "split with a dot before": ({"split": ".test"}, "letters, digits and underscores"),
    "split with a dot behind": ({"split": "test."}, "letters, digits and underscores"),
    "split of two dots": ({"split": "a..b"}, "letters, digits and underscores"),
    "split of an umlaut": ({"split": "prüfung"}, "1 to 128 letters"),
    "seeded split with a dash": (
        {"splits": {"shares": {"my-test": 0.5, "train": 0.5}}},
        "letters, digits and underscores",
    ),
    "seeded split all": ({"splits": {"shares": {"all": 1.0}}}, "and not all"),
    "splits alike": ({"splits": {"shares": {"Test": 0.5, "test": 0.5}}}, "more than capital letters"),
    "share of no number": ({"splits": {"shares": {"a": float("nan")}}}, "add up to 1"),
    "view too large": (
        {"rules": {"exact": {"views": {"imagenet": {"size": 60000, "crop": 224}}}}},
        "less than or equal to 4096",
    ),
    "view of 10**12": (
        {"rules": {"exact": {"views": {"imagenet": {"size": 10**12, "crop": None}}}}},
        "less than or equal",
    ),
    "crop too large": (
        {"rules": {"exact": {"views": {"imagenet": {"size": 4096, "crop": 60000}}}}},
        "less than or equal",
    ),
    "no view": ({"rules": {"exact": {"views": {}}}}, "at least 1"),
    "no rules": ({"rules": {}}, "at least 1"),
    "none of a class": ({"balance": {"per_class": 0}}, "per_class"),
    "fewer than none": ({"balance": {"per_class": -3}}, "per_class"),
}


@pytest.mark.parametrize("case", REFUSED_RECIPES)
def test_a_recipe_that_nobody_could_load_is_refused_when_it_is_read(case: str, tmp_path: Path) -> None:
    changes, message = REFUSED_RECIPES[case]
    path = write_recipe(tmp_path, changes)
    with pytest.raises(DataError, match=message) as raised:
        load_recipe(str(path))
    assert all(fault.where == str(path) for fault in raised.value.faults)


@pytest.mark.parametrize("split", ["test", "a.b", "_a", "12_3", "validation", "x" * 128])
def test_names_that_datasets_takes_are_taken(split: str, tmp_path: Path) -> None:
    assert load_recipe(str(write_recipe(tmp_path, {"split": split}))).split == split
    alone = load_recipe(str(write_recipe(tmp_path, {"variants": {"default": SOURCE}})))
    assert list(alone.variants) == ["default"]


@pytest.mark.parametrize("splits", ["my-test=0.5,train=0.5", "all=1", ".a=1", "Test=0.5,test=0.5", "a/b=1"])
def test_splits_of_the_command_line_follow_the_same_rule(splits: str, plain: Plain, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--splits: "):
        build_plain(plain, tmp_path / "out", splits=parse_splits(splits))


LARGE = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)
TWICE = {
    "at the top": ("name: a\nname: b\n", "line 2", "'name' twice, first in line 1"),
    "deep down": ("rules:\n  exact: {views: {}}\n  exact: {views: {}}\n", "line 3", "'exact' twice, first in line 2"),
    "variants": (
        "variants:\n  a: {ground: source}\n  b: {ground: source}\n  a: {ground: source}\n",
        "line 4",
        "'a' twice",
    ),
    "a number and itself": ("1: a\n1: b\n", "line 2", "1 twice"),
}
MALFORMED = {
    "bomb": (LARGE, "more than 500000 values"),
    "itself": ("a: &a [*a]", "holds itself"),
    "!!int": ("name: !!int x", "no int"),
    "!!bool": ("name: !!bool x", "no bool"),
    "!!timestamp": ("name: !!timestamp x", "no timestamp"),
    "no date": ("name: 2001-99-99", "no timestamp"),
    "many digits": ("seed: " + "9" * 4400, "no int"),
    "1000 levels": ("[" * 1000 + "]" * 1000, "more than 100 levels"),
    "python": ("name: !!python/object:os.system x", "python/object"),
    "a list for a key": ("? [a]\n: b", "unhashable"),
    "nul": ("a: \0", "not allowed"),
    "two documents": ("a: 1\n---\nb: 2", "another document"),
}


@pytest.mark.parametrize("model", [Recipe, AttributeSchema, ClassMap], ids=lambda model: model.__name__)
@pytest.mark.parametrize("case", TWICE)
def test_a_key_stands_once(case: str, model: Any) -> None:
    text, line, message = TWICE[case]
    with pytest.raises(DataError, match=message) as raised:
        parse_document(text, model, where="mine.yaml")
    (fault,) = raised.value.faults
    assert (fault.where, fault.record) == ("mine.yaml", line)


def test_a_key_of_json_stands_once_and_what_merges_may_be_said_again() -> None:
    with pytest.raises(DataError, match="'name' twice"):
        parse_document('{"name": "a", "name": "b"}', ClassMap, where="mine.json")
    views = "views: {imagenet: &view {size: 64, crop: 32}, other: {<<: *view, crop: 64}}"
    text = yaml.safe_dump({**RECIPE, "rules": None}).replace("rules: null", f"rules: {{exact: {{{views}}}}}")
    views_read = parse_document(text, Recipe, where="mine.yaml").rules["exact"].views
    assert (views_read["other"].size, views_read["other"].crop) == (64, 64)


@pytest.mark.parametrize("model", [Recipe, AttributeSchema], ids=lambda model: model.__name__)
@pytest.mark.parametrize("case", MALFORMED)
def test_no_document_costs_more_than_a_moment_or_gets_a_traceback(case: str, model: Any) -> None:
    text, message = MALFORMED[case]
    began = time.process_time()
    with pytest.raises(DataError, match=message) as raised:
        parse_document(text, model, where="mine.yaml")
    assert time.process_time() - began < 5
    assert len(str(raised.value)) < 500
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["[" * 1100 + "]" * 1100, '{"name":' + "9" * 4400 + "}", "{", "{} x"])
def test_json_gets_no_traceback_either(text: str) -> None:
    with pytest.raises(DataError, match="well-formed JSON"):
        parse_document(text, ClassMap, where="mine.json")


def test_messages_are_short_however_large_the_value(tmp_path: Path) -> None:
    shared: list[Any] = ["x" * 1000] * 1000
    for _ in range(3):
        shared = [shared] * 100
    assert len(shown(shared)) <= 80
    assert shown(16**5000) == "a number of 20001 bits"
    path = write_recipe(tmp_path, {"name": "n" * 100_000, "variants": {"a": {"ground": "x" * 100_000}}})
    with pytest.raises(DataError) as raised:
        load_recipe(str(path))
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("ending", ["yaml", "json", "csv"])
def test_texts_are_read_in_one_way(encoding: str, ending: str, tmp_path: Path) -> None:
    """A byte order mark tells the encoding and is none of the text; other bytes that are no UTF-8 are a fault."""
    texts = {
        "yaml": yaml.safe_dump({**RECIPE, "description": "für"}, allow_unicode=True),
        "json": json.dumps(
            {"name": "toy", "note": "für", "classes": [{"index": 0, "name": "a", "wnids": ["a"]}]}, ensure_ascii=False
        ),
        "csv": "label,class\nfür,a\n",
    }
    path = tmp_path / f"mine.{ending}"
    path.write_bytes(texts[ending].encode(encoding))

    def read() -> object:
        return read_document(path, Recipe) if ending == "yaml" else load_class_map(str(path))

    if encoding != "latin-1":
        read()
        return
    with pytest.raises(DataError, match="UTF-8"):
        read()


CSV_FAULTS = {
    "1000 of a list from 1": ("cat,cat,281\ndog,dog,1000\n", "line 3", "outputs from 0 to 999"),
    "below 0": ("cat,cat,-1\n", "line 2", "outputs from 0 to 999"),
    "no number": ("cat,cat,tabby\n", "line 2", "outputs from 0 to 999"),
    "digits of another script": ("cat,cat,\u0663\n", "line 2", "outputs from 0 to 999"),
    "half a number": ("cat,cat,1.5\n", "line 2", "outputs from 0 to 999"),
    "one of several": ("cat,cat,281 1000\n", "line 2", "outputs from 0 to 999"),
    "output of two classes": ("cat,cat,281\ndog,dog,281\n", "line 3", "output 281 in one class, cat of line 2"),
    "label of two classes": ("cat,cat,281\ncat,dog,1\n", "line 3", "cat in one class, cat of line 2"),
    "label of two classes in two forms": (
        "caf\u00e9,cat,281\ncafe\u0301,dog,1\n",
        "line 3",
        "in one class, cat of line 2",
    ),
    "a class that is a path": ("cat,../cat,281\n", "line 2", "a class of letters"),
    "no label": (",cat,281\n", "line 2", "a label"),
    "a cell too many": ("cat,cat,281,282\n", "line 2", "3 cells"),
    "a cell too few": ("cat,cat\n", "line 2", "3 cells"),
}


@pytest.mark.parametrize("case", CSV_FAULTS)
def test_a_row_of_a_class_map_at_fault_is_named_by_its_line(case: str, tmp_path: Path) -> None:
    rows, line, message = CSV_FAULTS[case]
    path = tmp_path / "classes.csv"
    path.write_text(f"label,class,imagenet_index\n{rows}", encoding="utf-8")
    with pytest.raises(DataError) as raised:
        load_class_map(str(path))
    fault = raised.value.faults[0]
    assert (fault.where, fault.record) == (str(path), line)
    assert message in fault.expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "label,class\ncafe\u0301,cafe\n"),
        ("m.json", json.dumps({"classes": [{"index": 0, "name": "cafe", "wnids": ["cafe\u0301"]}]})),
    ],
)
def test_labels_of_a_class_map_are_in_the_form_of_the_photos_labels(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_class_map(str(tmp_path / name)).classes[0].wnids == ("caf\u00e9",)


@pytest.mark.parametrize("head", ["label,class,imagenet_idx", "label,klass", "label,class,class", "label,class,"])
def test_strange_columns_of_a_class_map_are_named(head: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(f"{head}\n{','.join('a' for _ in head.split(','))}\n")
    with pytest.raises(DataError, match="the columns label and class"):
        load_class_map(str(path))
    path.write_text("label,class\n" + "x" * 200_000 + ",a\n")
    with pytest.raises(DataError, match="line"):
        load_class_map(str(path))


def test_a_label_of_a_csv_has_several_outputs_in_a_cell_or_in_rows(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(
        "label,class,imagenet_index\ntabby, cat ,281;282\ntabby,cat,285\nsiamese,cat,284\nlab,dog,207 208\nx,dog,\n"
    )
    cat, dog = load_class_map(str(path)).classes
    assert (cat.name, cat.wnids, cat.imagenet_indices) == ("cat", ("tabby", "siamese"), (281, 282, 285, 284))
    assert (dog.wnids, dog.imagenet_indices) == (("lab", "x"), (207, 208))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imagenet_indices": [1000]}, "less than 1000"),
        ({"imagenet_indices": [-1]}, "greater than or equal to 0"),
        ({"name": "b"}, "b is the name of two"),
    ],
    ids=["1000", "-1", "one name of two"],
)
def test_a_class_map_of_json_is_bounded_too(changes: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    first = {"index": 0, "name": "a", "wnids": ["a"], **changes}
    (tmp_path / "m.json").write_text(json.dumps({"classes": [first, {"index": 1, "name": "b", "wnids": ["b"]}]}))
    with pytest.raises(DataError, match=message):
        load_class_map(str(tmp_path / "m.json"))
    (tmp_path / "m.json").write_text(
        json.dumps({"unmapped_value": 0, "classes": [{**first, "name": "a"} | {"imagenet_indices": []}]})
    )
    with pytest.raises(DataError, match="less than 0"):
        load_class_map(str(tmp_path / "m.json"))


def test_asking_for_more_than_there_is_is_said(plain: Plain, tmp_path: Path) -> None:
    report = build_plain(plain, tmp_path / "a", per_class="9", draws=5, pixels=False)
    text = describe_report(report)
    assert "fewer_than_asked: 3 (bar 2, disc 2, ring 2); expected 9 objects of every class" in text
    rows = [row for row in DatasetFolder.open(tmp_path / "a").plan_rows() if row.variant == "mixed"]
    again = len(rows) - len({(row.object_id, row.ground_id) for row in rows})
    assert again >= 18  # 5 draws of each of 6 figures, and 2 donors at most
    assert f"donors_repeat: 1 (mixed test {again} rows)" in text
    assert "fewer_than_asked" not in describe_report(build_plain(plain, tmp_path / "b", per_class="2", pixels=False))
    with pytest.raises(UsageError, match="--draws 0"):
        build_plain(plain, tmp_path / "c", draws=0)


def test_why_it_is_not_balanced_and_what_would_take_the_refused_is_said(plain: Plain, tmp_path: Path) -> None:
    classes = tmp_path / "two.csv"
    classes.write_text("label,class,imagenet_index\ndisc,round,1\nring,round,2\nbar,bar,3\n")
    whole = describe_report(build_plain(plain, tmp_path / "a", class_map=str(classes), pixels=False))
    assert "not balanced (all objects of every class were asked for)" in whole
    some = describe_report(build_plain(plain, tmp_path / "b", class_map=str(classes), per_class="3", pixels=False))
    assert "not balanced (bar has 2, fewer than 3)" in some
    small = build_plain(plain, tmp_path / "c", max_box_share=0.12, pixels=False)
    assert small.refused["box_too_large"] > 0
    assert "--max-box-share takes objects with larger boxes" in describe_report(small)
    all_of_them = build_plain(plain, tmp_path / "d", max_box_share=1.0, pixels=False)
    assert "box_too_large" not in all_of_them.refused
    for share in (0, 1.5, float("nan")):
        with pytest.raises(UsageError, match="--max-box-share"):
            build_plain(plain, tmp_path / "e", max_box_share=share)


def test_a_class_without_an_output_is_said(plain: Plain, tmp_path: Path) -> None:
    classes = tmp_path / "some.csv"
    classes.write_text("label,class,imagenet_index\ndisc,disc,1\nring,ring,\nbar,bar,3\n")
    report = build_plain(plain, tmp_path / "out", class_map=str(classes), pixels=False)
    assert "warning: class_without_output: 1 (ring); expected imagenet_indices of every class" in describe_report(
        report
    )
    assert "class_without_output" not in describe_report(build_plain(plain, tmp_path / "b", pixels=False))


def test_options_of_the_command_change_the_recipe(plain: Plain, tmp_path: Path) -> None:
    classes = tmp_path / "two.csv"
    classes.write_text("label,class,imagenet_index\ndisc,round,1\nring,round,2\nbar,bar,3\n")
    command = [
        "build",
        plain.recipe,
        "-w",
        plain.drawn.workspace,
        "-o",
        tmp_path / "out",
        "--no-pixels",
        "--workers",
        1,
    ]
    options = ["--class-map", classes, "--attributes", "rival10", "--max-box-share", "0.9"]
    done = CliRunner().invoke(app, list(map(str, [*command, *options])), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = DatasetFolder.open(tmp_path / "out")
    assert made.class_map.names == ("round", "bar")
    assert made.attributes == load_attribute_schema("rival10")
    assert made.recipe.rules["exact"].filters.max_box_share == 0.9


def test_a_recipe_is_printed_to_begin_with(tmp_path: Path) -> None:
    for name in shipped_recipes():
        done = CliRunner().invoke(app, ["recipe", name])
        (tmp_path / "mine.yaml").write_text(done.stdout)
        assert load_recipe(str(tmp_path / "mine.yaml")) == load_recipe(name)


def test_a_dataset_that_was_named_otherwise_is_told_before_it_is_published(plain: Plain) -> None:
    dataset = DatasetFolder.open(plain.dataset)
    assert name_faults(dataset) == []
    shards = ("default/test", "original/my-test", "Original/all")
    listed = {f"data/{shard}-00000-of-00001.parquet": "" for shard in shards}
    faults = name_faults(DatasetFolder(name="d", manifest=listed, files=dataset.files))
    assert {fault.record for fault in faults} == {"configs", "original: my-test", "Original: all"}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("12_csv_index_1000/classes.csv", "line 3: expected outputs from 0 to 999"),
        ("14_names_that_datasets_refuses/default.yaml", "default alone"),
        ("14_names_that_datasets_refuses/hidden.yaml", "does not begin with a dot"),
        ("14_names_that_datasets_refuses/split_all.yaml", "and not all"),
        ("14_names_that_datasets_refuses/split_dash.yaml", "letters, digits and underscores"),
    ],
)
def test_shared_cases(recipe: str, message: str) -> None:
    need_shared(CASES / recipe)
    load = load_class_map if recipe.endswith(".csv") else load_recipe
    with pytest.raises(DataError, match=message):
        load(str(CASES / recipe))
