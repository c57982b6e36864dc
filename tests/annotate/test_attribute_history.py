"""Attributes over time: answers under earlier names count under the newest, however many renames lie between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from answered_photos import add_answer, add_photo, band
from studio_samples import make_schema, note_project

from figureground.annotate.attribute_history import AttributeHistory
from figureground.schemas.attributes import AttributeSchema, step_names
from figureground.schemas.records import Annotation
from figureground.schemas.store.workspace import Workspace

FIRST = make_schema(local=["horns"], ticked=["wet"])
SECOND = make_schema(local=["antlers", "tail"], ticked=["wet"], was={"antlers": "horns"}, version="2")
THIRD = make_schema(local=["crown", "tail"], ticked=["damp"], was={"crown": "antlers", "damp": "wet"}, version="3")
OTHER = make_schema(local=["horns"], name="cars", was={"horns": "wet"})
HISTORY = AttributeHistory([FIRST, SECOND, OTHER, THIRD])


def answer(tmp_path: Path, schema: str, **more: Any) -> Annotation:
    with Workspace.create(tmp_path) as store:
        masks = {"object": band(5), **{name: band(1) for name in more.pop("parts", ())}}
        return add_answer(store, add_photo(store, "a"), "p1", masks, attribute_schema=schema, **more)


def test_renames_are_followed_one_after_the_other(tmp_path: Path) -> None:
    given = answer(
        tmp_path,
        "animals@1",
        parts=["horns"],
        attributes={"horns": True, "wet": False},
        visibility={"horns": "occluded", "object": "visible"},
    )
    current = HISTORY.current(given)
    assert current.attributes == {"crown": True, "damp": False}
    assert set(current.masks) == {"object", "crown"}
    assert current.masks["crown"] == given.masks["horns"]
    assert current.visibility == {"crown": "occluded", "object": "visible"}
    assert (current.annotation_id, current.attribute_schema) == (given.annotation_id, "animals@1")


@pytest.mark.parametrize(
    ("schema", "attributes", "expected"),
    [
        ("animals@2", {"antlers": None, "wet": True}, {"crown": None, "damp": True}),
        ("animals@3", {"crown": True, "wet": True}, {"crown": True, "wet": True}),
        ("animals@0", {"horns": True}, {"crown": True}),
        ("cars@1", {"horns": True, "wet": True}, {"horns": True, "wet": True}),
        ("plants@1", {"horns": True}, {"horns": True}),
        ("", {"horns": True}, {"horns": True}),
    ],
    ids=["second", "newest", "not known here", "another schema", "no schema of ours", "none"],
)
def test_only_later_versions_of_the_same_schema_rename(
    tmp_path: Path, schema: str, attributes: dict[str, bool | None], expected: dict[str, bool | None]
) -> None:
    assert HISTORY.current(answer(tmp_path, schema, attributes=attributes)).attributes == expected


def test_a_name_that_became_free_may_mean_something_else(tmp_path: Path) -> None:
    reused = make_schema(local=["antlers", "horns"], version="3")
    history = AttributeHistory([FIRST, SECOND, reused])
    old = answer(tmp_path / "1", "animals@1", attributes={"horns": True}, parts=["horns"])
    assert history.current(old).attributes == {"antlers": True}
    new = answer(tmp_path / "2", "animals@3", attributes={"horns": True, "antlers": False})
    assert history.current(new).attributes == {"horns": True, "antlers": False}


def test_age_and_newest_version(tmp_path: Path) -> None:
    ages = [HISTORY.age(answer(tmp_path / label, label)) for label in ("animals@9", "animals@1", "cars@1", "animals@3")]
    assert ages == [-1, 0, 2, 3]
    assert HISTORY.newest(answer(tmp_path, "animals@1")) == THIRD
    assert HISTORY.newest(answer(tmp_path / "b", "plants@1")) is None


def test_a_page_that_asks_for_a_part_of_a_version_does_not_stand_for_it(tmp_path: Path) -> None:
    added = make_schema(ticked=["damp"], version="3")
    for order in ([FIRST, SECOND, THIRD, added], [FIRST, SECOND, added, THIRD]):
        history = AttributeHistory(order)
        given = answer(tmp_path, "animals@1", attributes={"horns": True})
        assert history.newest(given) == THIRD
        assert history.current(given).attributes == {"crown": True}


def test_a_workspace_knows_what_it_pushed_in_order(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as store:
        note_project(store, SECOND, since="2026-01-02T00:00:00+00:00")
        note_project(store, FIRST, since="2026-01-01T00:00:00+00:00", project=8)
        note_project(store, SECOND, since="2026-01-03T00:00:00+00:00", project=8)
        note_project(store, FIRST, since="2026-01-09T00:00:00+00:00", project=9)  # somebody who came late
        schemas = [AttributeSchema.model_validate_json(text) for text in store.pushed_schemas()]
        assert schemas == [FIRST, SECOND]
        assert AttributeHistory.of(store).newest(answer(tmp_path / "a", "animals@1")) == SECOND


def test_a_step_puts_the_renamed_in_the_place_of_what_had_the_name() -> None:
    step = make_schema(ticked=["b"], was={"b": "a"})
    assert step_names({"a": 1, "c": 3, "object": 0}, step) == {"b": 1, "c": 3, "object": 0}
    assert step_names({"a": 1, "b": 2}, step) == {"b": 1}
    assert step_names({}, step) == {}
