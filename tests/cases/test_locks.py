"""Locks of both kinds: recipe.lock.json tells builds apart, and one folder is made by one command at a time."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from plain_dataset import RECIPE, Plain, build_plain, make_plain, write_recipe

from figureground.errors import UsageError
from figureground.exports.dataset.lock import read_lock
from figureground.exports.dataset.verify import verify_repository
from figureground.exports.verbs import export
from figureground.runtime.files import file_sha256
from figureground.runtime.folders import MARK, unfinished_folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


VIEW = RECIPE["rules"]["exact"]["views"]["imagenet"]
CHANGED_RECIPES: dict[str, dict[str, Any]] = {
    "description": {"description": "other words"},
    "citation": {"citation": "somebody"},
    "licence": {"licence": "CC0-1.0"},
    "seed": {"seed": 8},
    "interpolation": {"rules": {"exact": {"views": {"imagenet": {**VIEW, "image": "bicubic"}}}}},
    "filter": {"rules": {"exact": {"views": {"imagenet": VIEW}, "filters": {"max_box_share": 0.99}}}},
    "texture": {
        "variants": {**RECIPE["variants"], "striped": {**RECIPE["variants"]["striped"], "ground": {"texture": "dots"}}}
    },
    "a variant less": {"variants": {"original": {"ground": "source"}}},
    "balance": {"balance": {"per_class": 2}},
    "split": {"split": "validation"},
    "version": {"version": "2"},
}


DIFFERENCES = {
    "description": "description of the recipe",
    "citation": "citation of the recipe: none -> somebody",
    "licence": "licence of the recipe: none -> CC0-1.0",
    "seed": "seed of the recipe: 7 -> 8",
    "interpolation": "rules.exact.views.imagenet.image of the recipe: bilinear -> bicubic",
    "filter": "rules.exact.filters.max_box_share of the recipe: none -> 0.99",
    "texture": "variants.striped",
    "a variant less": "variants.",
    "balance": "balance.per_class of the recipe: all -> 2",
    "split": "split of the recipe: test -> validation",
    "version": "version of the recipe: 1 -> 2",
}


@pytest.mark.parametrize("case", CHANGED_RECIPES)
def test_a_changed_recipe_is_another_build(case: str, plain: Plain, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, CHANGED_RECIPES[case])
    before = file_sha256(plain.dataset / "manifest.json")
    with pytest.raises(
        UsageError, match=r"is not this build, which differs in: .*; give another folder with -o"
    ) as raised:
        build_plain(plain, plain.dataset, recipe, pixels=False)
    assert DIFFERENCES[case] in str(raised.value)
    assert file_sha256(plain.dataset / "manifest.json") == before


@pytest.mark.parametrize("option", [{"pixels": True}, {"licence": "MIT"}, {"draws": 2}, {"per_class": "1"}])
def test_options_make_another_build(option: dict[str, Any], plain: Plain) -> None:
    with pytest.raises(UsageError, match="is not this build"):
        build_plain(plain, plain.dataset, **{"pixels": False, **option})


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda classes: classes["classes"][0].update(imagenet_indices=[7]), "class map"),
        (lambda classes: classes.update(note="of one's own"), "class map"),
        (lambda classes: classes["classes"][0].update(name="round"), "class map"),
    ],
    ids=["outputs", "a key of one's own", "name"],
)
def test_a_changed_class_map_is_another_build(change: Any, name: str, plain: Plain, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, {})
    classes = json.loads((tmp_path / "toy.json").read_text())
    change(classes)
    (tmp_path / "toy.json").write_text(json.dumps(classes))
    with pytest.raises(UsageError, match=rf"is not this build, which differs in: the {name}; give"):
        build_plain(plain, plain.dataset, recipe, pixels=False)


def test_a_changed_attribute_schema_is_another_build(plain: Plain, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="differs in: the attribute schema: none -> rival10; give"):
        build_plain(plain, plain.dataset, attributes="rival10", pixels=False)
    assert build_plain(plain, plain.dataset, attributes="none", pixels=False).reused


def test_the_same_build_from_another_place_is_the_same(plain: Plain, tmp_path: Path) -> None:
    """Where recipe and class map lie is nothing that a dataset is made of."""
    assert build_plain(plain, plain.dataset, write_recipe(tmp_path / "elsewhere", {}), pixels=False).reused
    lock = read_lock(plain.dataset / "recipe.lock.json")
    assert lock.inputs is not None
    assert all(len(digest) == 64 for digest in lock.inputs.model_dump().values())
    assert str(tmp_path.parent) not in lock.to_json()


def test_a_dataset_of_earlier_days_is_taken_for_no_other(plain: Plain, tmp_path: Path) -> None:
    build_plain(plain, tmp_path / "out", pixels=False)
    lock = json.loads((tmp_path / "out" / "recipe.lock.json").read_text())
    del lock["inputs"]
    (tmp_path / "out" / "recipe.lock.json").write_text(json.dumps(lock))
    with pytest.raises(UsageError, match="differs in: an earlier figureground made it, whose lock"):
        build_plain(plain, tmp_path / "out", pixels=False)
    (tmp_path / "out" / "recipe.lock.json").write_text("[]")
    with pytest.raises(UsageError, match="exists and is no dataset; give another folder"):
        build_plain(plain, tmp_path / "out", pixels=False)


def test_of_two_exports_at_once_one_is_told_and_the_other_is_whole(plain: Plain, tmp_path: Path) -> None:
    whole = export(plain.pictures, "coco", tmp_path / "alone")
    inside, refused = threading.Event(), threading.Event()

    def wait(_: str, done: int, __: int) -> None:
        inside.set()
        assert refused.wait(60)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(export, plain.pictures, "coco", tmp_path / "out", progress=wait)
        assert inside.wait(60)
        with pytest.raises(UsageError, match="another command is making"):
            export(plain.pictures, "coco", tmp_path / "out")
        with pytest.raises(UsageError, match="another command is making"):
            build_plain(plain, tmp_path / "out")
        refused.set()
        assert first.result() == type(whole)(
            **{**{name: getattr(whole, name) for name in whole.__slots__}, "folder": tmp_path / "out"}
        )
    assert _files(tmp_path / "out") == _files(tmp_path / "alone")


def test_many_builds_at_once_make_one_whole_dataset(plain: Plain, tmp_path: Path) -> None:
    def build(_: int) -> str:
        try:
            build_plain(plain, tmp_path / "out", pixels=False)
        except UsageError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(build, range(6)))
    assert "" in answers
    assert all(answer == "" or "another command is making" in answer or "exists" in answer for answer in answers)
    verify_repository(tmp_path / "out")
    assert _files(tmp_path / "out") == _files(plain.dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_lock_is_let_go_when_work_fails(keeps: bool, tmp_path: Path) -> None:
    def fail() -> None:
        with unfinished_folder(tmp_path / "out", "k", "build", keeps=keeps) as made:
            (made / "half").touch()
            raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            fail()
    assert (tmp_path / "out.partial" / "half").exists() == keeps
    with unfinished_folder(tmp_path / "out", "k", "build", keeps=keeps) as made:
        assert (made / MARK).read_text() == "k"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == (["half"] if keeps else [])


def _files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}
