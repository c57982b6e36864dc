"""JSON that a verb printed, held to the schema that docs/json publishes."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import pytest
from checkout import ROOT


def read_printed(verb: str, text: str) -> Any:
    """The one object of a line, after it was found to be as the verb's schema says; NaN and Infinity are no JSON."""
    jsonschema = pytest.importorskip("jsonschema")
    (line,) = text.splitlines()
    value = json.loads(line, parse_constant=_refuse)
    assert [error.message for error in jsonschema.Draft202012Validator(schema_of(verb)).iter_errors(value)] == []
    return value


def schema_of(verb: str) -> dict[str, Any]:
    """The published schema of a verb."""
    path = ROOT / "docs" / "json" / f"{verb.replace(' ', '-')}.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
