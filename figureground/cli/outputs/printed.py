"""Shapes of JSON: records as they are printed, and the JSON Schema of a shape."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

DIALECT: Final = GenerateJsonSchema.schema_dialect
"""JSON Schema's draft, by its address."""
ABSENT: Final[Any] = None
"""Default of a key that may be absent: ``key: int = ABSENT``."""


class Output(BaseModel):
    """A JSON object with these keys and no others; a key with a default may be absent."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)


Ci95 = tuple[float, float] | None
"""Both ends of a 95 % interval; null where there is none."""


class Figure(Output):
    """A figure with its 95 % interval."""

    value: float | None
    """Null where it is not defined."""
    ci95: Ci95
    """Null where there is none."""
    no_ci95: str = ABSENT
    """Why a figure that has a value has no interval."""


def printed(record: type, about: str = "", /, *, without: tuple[str, ...] = (), **changed: Any) -> type[Output]:  # noqa: ANN401
    """The shape of a dataclass whose ``to_dict`` prints some fields otherwise than they are.

    Args:
        record: The dataclass; what its fields mean is said there.
        about: What the object is; empty for the dataclass's own words.
        without: Fields that are not printed.
        changed: Key to type, of fields that are printed as another type and of keys that are no fields. A type may be
            ``Annotated[..., Field(description=...)]``, and a pair of it and ``ABSENT`` may be absent.
    """
    hints = get_type_hints(record)
    own = {field.name: hints[field.name] for field in dataclasses.fields(record) if field.name not in without}
    texts = field_texts(record)
    fields = dict[str, Any]()
    for name, kind in {**own, **changed}.items():
        hint, default = kind if isinstance(kind, tuple) else (kind, ...)
        own_words = any(getattr(part, "description", None) for part in getattr(hint, "__metadata__", ()))
        fields[name] = (hint, default if own_words else Field(default, description=texts.get(name)))
    text = about or inspect.cleandoc(record.__doc__ or "")
    return create_model(record.__name__, __base__=Output, __doc__=text, **fields)


@cache
def field_texts(record: type) -> Mapping[str, str]:
    """Field to the docstring below it, of a class and those above it."""
    texts = dict[str, str]()
    for owner in reversed(record.__mro__):
        written = _written_classes(owner.__module__).get(owner.__qualname__)
        for statement, after in itertools.pairwise(written.body if written else []):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                texts.pop(statement.target.id, None)
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    texts[statement.target.id] = " ".join(str(after.value.value).split())
    return texts


@cache
def _written_classes(module: str) -> Mapping[str, ast.ClassDef]:
    """Classes at the top of a module by name; none of one of Python itself. It is parsed once, not for each of them."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        return {}
    return {statement.name: statement for statement in tree.body if isinstance(statement, ast.ClassDef)}


class _ClosedSchema(GenerateJsonSchema):
    """Objects are closed; records print all their fields; what a field means is the docstring below it."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401  pydantic's own
        """Never: a title would repeat the key."""
        return False

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401  pydantic's own
        return _closed(super().dataclass_schema(schema), schema["cls"])

    def model_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401  pydantic's own
        return _closed(super().model_schema(schema), schema["cls"])


def _closed(schema: JsonSchemaValue, record: type) -> JsonSchemaValue:
    properties = schema.get("properties", {})
    optional = issubclass(record, Output)
    closed = {**schema, "additionalProperties": False}
    if text := schema.get("description"):
        closed["description"] = _of_json(text)
    closed["properties"] = {
        name: _described({key: value for key, value in about.items() if key != "default"}, record, name)
        for name, about in properties.items()
    }
    if not optional:
        closed["required"] = list(properties)
    return closed


def _described(about: JsonSchemaValue, record: type, name: str) -> JsonSchemaValue:
    text = about.get("description") or field_texts(record).get(name)
    return {**about, "description": _of_json(text)} if text else about


def _of_json(text: str) -> str:
    """A docstring's words in those of JSON and of Markdown."""
    return re.sub(r"\bNone\b", "null", re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.split())))


def json_schema(shape: Any) -> dict[str, Any]:  # noqa: ANN401  a class, or a union of some
    """JSON Schema of a shape: no key that it does not name may be there."""
    schema = TypeAdapter(shape).json_schema(schema_generator=_ClosedSchema, mode="serialization")
    return {"$schema": DIALECT, **schema}
