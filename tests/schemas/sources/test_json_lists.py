"""Lists of a JSON text come out as ``json.loads`` has them, or the text is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import DataError
from figureground.schemas.sources.json_lists import list_elements

NAMES = ("images", "annotations")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(
    st.dictionaries(st.text().filter(lambda key: key not in NAMES), values, max_size=3),
    st.lists(values, max_size=4),
    st.lists(values, max_size=4),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
)
def test_lists_are_what_json_has(
    others: dict[str, Any], images: list[Any], annotations: list[Any], indent: int | None, last: bool
) -> None:
    lists = {"images": images, "annotations": annotations}
    text = json.dumps({**others, **lists} if last else {**lists, **others}, indent=indent)
    elements: dict[str, list[Any]] = {name: [] for name in NAMES}
    for name, position, value in list_elements(text, NAMES, where="x.json"):
        assert position == len(elements[name])
        elements[name].append(value)
    assert elements == lists


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'{' expected at char 0, found 'the end'"),
        ("[]", "'{' expected at char 0"),
        ('{"images": [], "annotations": []', "',' or '}' expected at char 32"),
        ('{"images": [], "annotations": []} {}', "nothing more expected at char 34"),
        ('{"images": [1 2], "annotations": []}', "',' or ']' expected at char 14, found '2'"),
        ('{"images": [1,], "annotations": []}', "Expecting value"),
        ('{"images": {}, "annotations": []}', r"'\[' expected at char 11"),
        ('{"images": []}', "the lists images, annotations, got none called annotations"),
        ('{"images": [], "images": [], "annotations": []}', "a second list images"),
        ('{1: [], "images": [], "annotations": []}', "a key that is text expected"),
        ('{"images": [NaN], "annotations": []}', "NaN, which is no JSON number"),
        ('{"x": -Infinity, "images": [], "annotations": []}', "-Infinity, which is no JSON number"),
        ('{"images": [' + "[" * 10**5 + "]" * 10**5 + '], "annotations": []}', "recursion"),
        ('{"images": [' + "9" * 10**5 + '], "annotations": []}', "integer string conversion"),
    ],
)
def test_what_is_no_such_object_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(list_elements(text, NAMES, where="x.json"))
    assert caught.value.faults[0].where == "x.json"


@given(st.text(st.sampled_from('{}[]",:1 \n\\ue-nul'), max_size=30))
def test_no_text_brings_it_down(text: str) -> None:
    try:
        list(list_elements(text, (), where="x.json"))
    except DataError:
        return
    assert isinstance(json.loads(text), dict)
