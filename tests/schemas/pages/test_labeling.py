"""The annotator's page: Label Studio takes it for any schema, every label can be painted, no two keys are the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studio_samples import label_interface, make_photo, make_proposal, make_schema

from figureground.annotate.studio.tasks import TaskSource, make_task
from figureground.schemas.attributes import Attribute, AttributeSchema, load_attribute_schema, shipped_attribute_schemas
from figureground.schemas.pages.labeling import EDITOR_KEYMAP, FLAGS, VISIBILITIES, labeling_configuration
from figureground.schemas.pages.page_style import STYLE
from figureground.schemas.records import NAME_PATTERN, Purpose

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
LABEL_CONTROLS = ("mask", "sam_part_point", "sam_part_box")
SMART_PARTS = 16
"""As many parts as have a plain key: nine digits, seven letters."""
EDITORS_KEYS = frozenset("behkmorvwu[]")
"""Single keys that the editor's own tools have; P is its tool for polygons, which the page does not show."""
MOST_LABELS_WITH_SIMPLE_KEYS = 17
"""The object and sixteen parts."""

names = st.one_of(
    st.from_regex(NAME_PATTERN, fullmatch=True),
    st.sampled_from(["mask", "image", "visible", "_", "-", ".a", "x" * 128]),
).filter(lambda name: name.casefold() != "object")
asks = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=200)


@st.composite
def schemas(draw: st.DrawFn, *, most_parts: int = MOST_LABELS_WITH_SIMPLE_KEYS - 1) -> AttributeSchema:
    """Any schema whose parts still get keys."""
    attributes: list[Attribute] = []
    scopes = st.sampled_from(["local", "global"])
    for name in draw(st.lists(names, max_size=most_parts + 8, unique_by=str.casefold)):
        scope = draw(scopes)
        if scope == "global" or sum(attribute.scope == "local" for attribute in attributes) < most_parts:
            ask = draw(asks | st.sampled_from(["<b>&amp;\"'", "]]>", "$image", "Hörner, 角\u200d"]))
            attributes.append(Attribute.model_validate({"name": name, "scope": scope, "ask": ask}))
    return AttributeSchema(name="any", version="1", attributes=tuple(attributes))


def page(schema: AttributeSchema, purpose: Purpose = "first_look") -> xml.Element:
    return xml.fromstring(labeling_configuration(schema, purpose=purpose))


def control(root: xml.Element, name: str) -> xml.Element:
    (control,) = [element for element in root.iter() if element.get("name") == name]
    return control


def values(root: xml.Element, name: str) -> list[str | None]:
    return [option.get("value") for option in control(root, name)]


def hotkeys(root: xml.Element) -> list[str]:
    return [key for element in root.iter() if (key := element.get("hotkey")) is not None]


# Label Studio takes it


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("name", shipped_attribute_schemas())
def test_label_studio_takes_the_pages_of_shipped_schemas(name: str, purpose: Purpose) -> None:
    assert_label_studio_takes(load_attribute_schema(name), purpose)


@pytest.mark.slow
@settings(max_examples=15)
@given(schema=schemas(most_parts=30), purpose=st.sampled_from(PURPOSES))
def test_label_studio_takes_the_page_of_any_schema(schema: AttributeSchema, purpose: Purpose) -> None:
    assert_label_studio_takes(schema, purpose)


def assert_label_studio_takes(schema: AttributeSchema, purpose: Purpose) -> None:
    """It is read and checked by the SDK, and a machine mask of ours is one that its page can show."""
    image = make_photo()
    source = TaskSource(
        record=image, proposal=make_proposal(image), copy=Path("a.png"), address="/data/a.png", schema=schema.label
    )
    task = make_task(source)
    interface = label_interface(labeling_configuration(schema, purpose=purpose))
    interface.validate()
    (prediction,) = task["predictions"]
    assert interface.validate_prediction(prediction, return_errors=True) == []
    for name in schema.names("local")[-1:]:
        (region,) = prediction["result"]
        part = {**region, "value": {**region["value"], "brushlabels": [name]}}
        assert interface.validate_prediction({"result": [part]}, return_errors=True) == []


def test_label_studio_refuses_a_mask_of_a_name_that_is_not_asked_for() -> None:
    image = make_photo()
    source = TaskSource(
        record=image, proposal=make_proposal(image), copy=Path("a.png"), address="/data/a.png", schema=""
    )
    (prediction,) = make_task(source)["predictions"]
    prediction["result"][0]["value"]["brushlabels"] = ["horns"]
    interface = label_interface(labeling_configuration(make_schema(local=["tail"])))
    assert interface.validate_prediction(prediction, return_errors=True)


# What stands on it


@pytest.mark.slow
@given(schema=schemas(most_parts=30), purpose=st.sampled_from(PURPOSES))
def test_the_page_asks_for_everything_once(schema: AttributeSchema, purpose: Purpose) -> None:
    root = page(schema, purpose)
    parts = list(schema.names("local"))
    assert values(root, "mask") == ["object", *parts]
    prompts = [element.get("name") for element in root.iter() if element.get("smartOnly")]
    if parts:
        assert [values(root, name) for name in LABEL_CONTROLS[1:]] == [parts[:SMART_PARTS]] * 2
        assert values(root, "parts") == ["no_other_parts"]
        assert prompts == ["sam_not", "sam_part_point", "sam_part_box", "sam_box", "sam_point"]
    else:
        assert prompts == ["sam_not", "sam_box", "sam_point"]
        assert "parts" not in [element.get("name") for element in root.iter()]
    assert values(root, "flags") == list(FLAGS)
    assert values(root, "visibility") == list(VISIBILITIES)
    assert control(root, "visibility").get("perRegion") == "true"
    assert control(root, "note").tag == "TextArea"
    asked = [element.get("name") for element in root.iter() if element.get("name")]
    assert max(Counter(asked).values()) == 1
    if schema.names("global"):
        assert values(root, "attributes") == list(schema.names("global"))
    else:
        assert "attributes" not in asked


def test_every_part_of_a_long_schema_can_be_painted() -> None:
    schema = make_schema(local=[f"part-{number}" for number in range(60)])
    assert values(page(schema), "mask") == ["object", *schema.names()]
    assert_distinct_keys(page(schema), painted_without=True)


@pytest.mark.slow
@given(schemas(most_parts=30))
def test_what_is_asked_arrives_as_it_was_written(schema: AttributeSchema) -> None:
    root = page(schema)
    hints = {option.get("value"): option.get("hint", "") for option in control(root, "mask")}
    if schema.names("global"):
        hints |= {option.get("value"): option.get("hint", "") for option in control(root, "attributes")}
    assert {attribute.name: hints[attribute.name] for attribute in schema.attributes} == {
        attribute.name: attribute.ask for attribute in schema.attributes
    }


def test_a_renamed_part_keeps_a_hidden_label_of_its_colour() -> None:
    schema = make_schema(local=["snout", "tail"], ticked=["furry"], was={"snout": "muzzle", "furry": "hairy"})
    labels = {str(option.get("value")): option for option in control(page(schema), "mask")}
    assert list(labels) == ["object", "snout", "tail", "muzzle"]
    assert labels["muzzle"].get("background") == labels["snout"].get("background")
    assert [name for name, option in labels.items() if option.get("visible") == "false"] == ["muzzle"]
    assert_distinct_keys(page(schema))
    assert [option.get("value") for option in control(page(schema), "sam_part_point")] == ["snout", "tail"]
    assert_label_studio_takes(schema, "first_look")


def test_markup_in_a_question_stays_text() -> None:
    hostile = '"/><Image name="other" value="$secret"/>'
    schema = AttributeSchema(name="x", version="1", attributes=(Attribute(name="horns", scope="local", ask=hostile),))
    root = page(schema)
    assert [element.get("value") for element in root.iter("Image")] == ["$image"]
    assert control(root, "mask")[1].get("hint") == hostile


def test_a_second_look_has_one_photo_and_cannot_be_sent_without_a_choice() -> None:
    schema = load_attribute_schema("rival10")
    assert [element.get("value") for element in page(schema, "second_look").iter("Image")] == ["$image"]
    choice = control(page(schema, "second_look"), "settlement")
    assert (choice.get("value"), choice.get("required"), list(choice)) == ("$answers", "true", [])
    assert not [element for element in page(schema).iter("Choices") if element.get("name") == "settlement"]
    headers = [element.get("value") for element in page(schema, "second_look").iter("Header")]
    assert "$question" in headers
    assert "$question" not in [element.get("value") for element in page(schema).iter("Header")]


def test_points_and_boxes_leave_no_regions() -> None:
    root = page(make_schema(local=["horns"]))
    for name in ("sam_point", "sam_not", "sam_box", "sam_part_point", "sam_part_box"):
        assert (control(root, name).get("smart"), control(root, name).get("smartOnly")) == ("true", "true")
    assert control(root, "mask").get("smart") == "false"


def test_flags_are_read_in_words_and_stored_by_name() -> None:
    flags = {option.get("value"): option.get("html") for option in control(page(make_schema()), "flags")}
    assert flags == FLAGS
    (no_other,) = control(page(make_schema(local=["horns"])), "parts")
    assert (no_other.get("value"), no_other.get("html")) == ("no_other_parts", "none of the other parts can be seen")


def test_style_is_one_for_all_pages_and_closes_its_braces() -> None:
    (style,) = page(make_schema()).iter("Style")
    assert style.text == STYLE
    assert STYLE.count("{") == STYLE.count("}") > 20


# Keys


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("name", shipped_attribute_schemas())
def test_keys_of_shipped_schemas_are_distinct(name: str, purpose: Purpose) -> None:
    assert_distinct_keys(page(load_attribute_schema(name), purpose))


@pytest.mark.slow
@given(schema=schemas(), purpose=st.sampled_from(PURPOSES))
def test_keys_are_distinct_and_every_label_has_one(schema: AttributeSchema, purpose: Purpose) -> None:
    assert_distinct_keys(page(schema, purpose))


def assert_distinct_keys(root: xml.Element, *, painted_without: bool = False) -> None:
    """No key twice on the page, none of the editor's own, and one for each label, or for each of SAM's."""
    keys = hotkeys(root)
    assert len(set(keys)) == len(keys)
    assert not set(keys) & EDITORS_KEYS
    assert all(len(key.split("+")[-1]) == 1 for key in keys)
    kinds = ("KeyPointLabels", "RectangleLabels") if painted_without else ("*",)
    assert all(label.get("hotkey") for kind in kinds for group in root.iter(kind) for label in group.iter("Label"))


def test_keys_of_the_three_label_controls_go_together() -> None:
    root = page(load_attribute_schema("rival10"))
    masks, points, boxes = ([str(label.get("hotkey")) for label in control(root, name)] for name in LABEL_CONTROLS)
    assert masks[:3] == ["1", "2", "3"]
    masks = masks[1:]
    assert points == [f"alt+{key}" for key in masks]
    assert boxes == [f"alt+shift+{key}" for key in masks]
    flags: list[Any] = [option.get("hotkey") for option in control(root, "flags")]
    assert flags == list("asdfg")


def test_keys_of_the_editor_are_taken_by_no_label() -> None:
    moved = {key for keys in EDITOR_KEYMAP.values() for key in keys["key"].split(",")}
    assert not moved & set(hotkeys(page(load_attribute_schema("rival10"))))
