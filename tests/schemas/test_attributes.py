"""Attribute schemas: what a new version does to the old one's answers, and every fault of a file at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from studio_samples import make_schema

from figureground.errors import DataError, UsageError
from figureground.schemas.attributes import (
    Attribute,
    AttributeSchema,
    compare_schemas,
    load_attribute_schema,
    shipped_attribute_schemas,
)

OLD = make_schema(local=["horns", "tail"], ticked=["wet", "hairy"])

RIVAL10 = (
    "long-snout",
    "wings",
    "wheels",
    "text",
    "horns",
    "floppy-ears",
    "ears",
    "colored-eyes",
    "tail",
    "mane",
    "beak",
    "hairy",
    "metallic",
    "rectangular",
    "wet",
    "long",
    "tall",
    "patterned",
)
"""In the order of the authors' attribute vectors."""

CATEGORIES = {
    "part": ["long-snout", "wings", "wheels", "horns", "floppy-ears", "ears", "colored-eyes", "tail", "mane", "beak"],
    "shape": ["rectangular", "long", "tall"],
    "texture": ["hairy", "metallic", "wet"],
    "other": ["text", "patterned"],
}
"""As the project's page sorts them."""


def test_the_same_attributes_in_other_words_and_order() -> None:
    other = AttributeSchema(
        name="animals",
        version="2",
        attributes=tuple(
            attribute.model_copy(update={"ask": "another question", "category": "part"})
            for attribute in reversed(OLD.attributes)
        ),
    )
    change = compare_schemas(OLD, other)
    assert (change.kind, change.added, change.removed, change.renamed, change.rescoped) == ("same", (), (), (), ())
    assert str(change) == "same: the same attributes"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        pytest.param(
            make_schema(local=["horns", "tail", "mane"], ticked=["wet", "hairy", "tall"]),
            "additive: adds mane, tall",
            id="added",
        ),
        pytest.param(
            make_schema(local=["antlers", "tail"], ticked=["wet", "furry"], was={"antlers": "horns", "furry": "hairy"}),
            "rename: renames horns to antlers, hairy to furry",
            id="renamed",
        ),
        pytest.param(make_schema(local=["horns"], ticked=["wet"]), "destructive: removes tail, hairy", id="removed"),
        pytest.param(
            make_schema(local=["horns", "wet"], ticked=["tail", "hairy"]),
            "destructive: changes the scope of wet, tail",
            id="rescoped",
        ),
        pytest.param(
            make_schema(local=["antlers", "tail", "mane"], ticked=["wet", "hairy"], was={"antlers": "horns"}),
            "rename: adds mane; renames horns to antlers",
            id="renamed and added",
        ),
        pytest.param(
            make_schema(local=["antlers"], ticked=["wet", "hairy", "tall"], was={"antlers": "horns"}),
            "destructive: adds tall; renames horns to antlers; removes tail",
            id="removed beside lesser changes",
        ),
        pytest.param(
            make_schema(local=["tail"], ticked=["antlers", "wet", "hairy"], was={"antlers": "horns"}),
            "destructive: renames horns to antlers; changes the scope of antlers",
            id="renamed and rescoped",
        ),
        pytest.param(
            make_schema(local=["tail"], ticked=["wet", "hairy"], was={"tail": "horns"}),
            "destructive: renames horns to tail; removes tail",
            id="renamed onto another",
        ),
        pytest.param(
            make_schema(local=["horns", "tail", "mane"], ticked=["wet", "hairy"], was={"mane": "hair"}),
            "additive: adds mane",
            id="renamed from nothing",
        ),
        pytest.param(
            make_schema(local=["horns", "tail"], ticked=["wet", "hairy"], was={"horns": "antlers"}),
            "same: the same attributes",
            id="renamed before",
        ),
        pytest.param(make_schema(), "destructive: removes horns, tail, wet, hairy", id="nothing left"),
    ],
)
def test_a_change_is_named_by_its_gravest_part(new: AttributeSchema, expected: str) -> None:
    change = compare_schemas(OLD, new)
    assert str(change) == expected
    assert change.kind == expected.split(":")[0]


plans = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "e", "f"]),
    st.tuples(
        st.sampled_from(["local", "global"]), st.sampled_from(["unchanged", "renamed", "rescoped", "removed", "added"])
    ),
)
"""Attribute name to its scope and to what happens to it."""


@given(plans)
def test_every_mix_of_changes_is_told_apart(plan: dict[str, tuple[str, str]]) -> None:
    other = {"local": "global", "global": "local"}
    old = [{"name": name, "scope": scope} for name, (scope, fate) in plan.items() if fate != "added"]
    new: list[dict[str, Any]] = []
    for name, (scope, fate) in plan.items():
        if fate == "renamed":
            new.append({"name": f"new-{name}", "scope": scope, "was": name})
        elif fate != "removed":
            new.append({"name": name, "scope": other[scope] if fate == "rescoped" else scope})
    change = compare_schemas(
        AttributeSchema.model_validate({"name": "x", "version": "1", "attributes": old}),
        AttributeSchema.model_validate({"name": "x", "version": "2", "attributes": new}),
    )
    named = {
        fate: tuple(name for name, (_, other_fate) in plan.items() if other_fate == fate) for _, fate in plan.values()
    }
    assert change.added == named.get("added", ())
    assert change.removed == named.get("removed", ())
    assert change.rescoped == named.get("rescoped", ())
    assert change.renamed == tuple((name, f"new-{name}") for name in named.get("renamed", ()))
    ranks = ["unchanged", "added", "renamed", "removed", "rescoped"]
    worst = max((ranks.index(fate) for fate in named), default=0)
    assert change.kind == ["same", "additive", "rename", "destructive", "destructive"][worst]


# Files


def good() -> dict[str, Any]:
    return {
        "name": "animals",
        "version": "1",
        "attributes": [
            {"name": "horns", "scope": "local", "ask": "Horns and antlers", "was": "antlers"},
            {"name": "wet", "scope": "global"},
        ],
    }


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(good()), encoding="utf-8")
    schema = load_attribute_schema(str(path))
    assert schema.label == "animals@1"
    assert schema.attributes[0] == Attribute(name="horns", scope="local", ask="Horns and antlers", was="antlers")
    assert (schema.names(), schema.names("local"), schema.names("global")) == (("horns", "wet"), ("horns",), ("wet",))


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set the value at a dotted path; a value of None deletes it."""

    def change(document: Any) -> None:
        *parents, last = path.split(".")
        for step in parents:
            document = document[int(step) if step.isdigit() else step]
        key = int(last) if last.isdigit() else last
        if value is None:
            del document[key]
        else:
            document[key] = value

    return change


FAULTS = {
    "no name": (changed("name", None), "name: expected a value, got none"),
    "no version": (changed("version", None), "version: expected a value, got none"),
    "a number for a version": (changed("version", 1), "version: expected Input should be a valid string, got 1"),
    "a path for a name": (changed("name", "../animals"), "name: expected 1 to 128 letters"),
    "an unknown key": (changed("colour", "red"), "colour: expected no such key, got 'red'"),
    "no list": (changed("attributes", "horns"), "attributes: expected Input should be a valid tuple"),
    "a slash in a name": (changed("attributes.0.name", "a/b"), "attributes.0.name: expected 1 to 128 letters"),
    "dots for a name": (changed("attributes.1.name", ".."), "attributes.1.name: expected .*not dots alone"),
    "a long name": (changed("attributes.1.name", "x" * 129), "attributes.1.name: expected 1 to 128 letters"),
    "an unknown scope": (changed("attributes.0.scope", "part"), "attributes.0.scope: expected .*'local' or 'global'"),
    "no scope": (changed("attributes.1.scope", None), "attributes.1.scope: expected a value, got none"),
    "a long question": (changed("attributes.0.ask", "x" * 201), "attributes.0.ask: expected .*at most 200"),
    "a strange old name": (changed("attributes.0.was", "a b"), "attributes.0.was: expected 1 to 128 letters"),
    "a misspelt key": (changed("attributes.1.scop", "local"), "attributes.1.scop: expected no such key.*spelling"),
    "an attribute named object": (changed("attributes.1.name", "object"), "other than 'object'"),
    "one name twice": (changed("attributes.1.name", "horns"), "in more than capital letters"),
    "names that differ in case": (changed("attributes.1.name", "HORNS"), "in more than capital letters"),
    "one old name twice": (changed("attributes.1.was", "antlers"), "each `was` once"),
    "an old name that is a name": (changed("attributes.0.was", "wet"), "the name of no attribute of this version"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_a_file_is_named_with_its_place(tmp_path: Path, kind: str) -> None:
    change, expected = FAULTS[kind]
    document = good()
    change(document)
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(DataError, match=expected) as caught:
        load_attribute_schema(str(path))
    assert [fault.where for fault in caught.value.faults] == [str(path)]


def test_all_faults_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    document = good()
    together = [
        "no name",
        "a number for a version",
        "an unknown key",
        "a slash in a name",
        "no scope",
        "a long question",
    ]
    for kind in together:
        FAULTS[kind][0](document)
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_attribute_schema(str(path))
    assert sorted(fault.record for fault in caught.value.faults) == [
        "attributes.0.ask",
        "attributes.0.name",
        "attributes.1.scope",
        "colour",
        "name",
        "version",
    ]


@pytest.mark.parametrize("text", ["", "[]", "7", "name: [", "a: &a [*a]", "!!python/object/apply:os.getcwd []"])
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"own\.yml"):
        load_attribute_schema(str(path))


@pytest.mark.parametrize(
    ("name", "expected"), [("rival11", "none, rival10, or a .yaml file"), ("absent.yaml", "cannot be read")]
)
def test_a_schema_that_is_not_there_is_refused(name: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        load_attribute_schema(name)


# Shipped ones


def test_shipped_schemas_are_read_by_name() -> None:
    assert shipped_attribute_schemas() == ("none", "rival10")
    for name in shipped_attribute_schemas():
        assert load_attribute_schema(name).name == name
    assert load_attribute_schema("none").attributes == ()


def test_rival10_has_the_published_names_in_their_order() -> None:
    schema = load_attribute_schema("rival10")
    assert schema.names() == RIVAL10
    assert schema.names("local") == RIVAL10[:11]
    assert all(attribute.ask for attribute in schema.attributes)
    kinds = {
        kind: [attribute.name for attribute in schema.attributes if attribute.category == kind] for kind in CATEGORIES
    }
    assert kinds == CATEGORIES
    assert sum(map(len, kinds.values())) == len(RIVAL10)
