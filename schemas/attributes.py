"""Attribute schemas: which attributes of an object people are asked for, in versions that can be compared."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from figureground.errors import UsageError
from figureground.runtime.files import file_ending
from figureground.schemas.documents import Document, Name, check_unlike, parse_document, read_document

OBJECT: Final = "object"
"""Name of the mask of the whole figure; no attribute may have it."""

ChangeKind = Literal["same", "additive", "rename", "destructive"]

Value = TypeVar("Value")


class Attribute(Document):
    """One thing that is asked about an object."""

    name: Name
    scope: Literal["local", "global"]
    """``local``: a part, painted as a mask of its own; ``global``: ticked for the whole object."""
    ask: str = Field(default="", max_length=200)
    """Text that annotators read beside it, on one line."""
    category: Name | None = None
    """Its kind, for tables: ``part``, ``shape``, ``texture``, ``other``; it changes nothing else."""
    was: Name | None = None
    """Its name in the version before, where it was renamed."""

    @field_validator("ask")
    @classmethod
    def _on_one_line(cls, text: str) -> str:
        # XML, which it becomes part of, has no word for the others.
        if any(unicodedata.category(char) in ("Cc", "Cs") or char in "\ufffe\uffff" for char in text):
            raise ValueError("text on one line, without control characters")
        return text


class AttributeSchema(Document):
    """A versioned list of attributes; the order is that of published columns."""

    name: Name
    version: Name
    """Changes with the list: two lists under one version are refused."""
    attributes: tuple[Attribute, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> AttributeSchema:
        names = [attribute.name for attribute in self.attributes]
        if OBJECT in names:
            raise ValueError(f"attributes other than {OBJECT!r}, which names the mask of the whole")
        check_unlike(names)
        old = [attribute.was for attribute in self.attributes if attribute.was]
        if len(set(old)) < len(old) or set(old) & set(names):
            raise ValueError("each `was` once, and the name of no attribute of this version")
        return self

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def names(self, scope: Literal["local", "global"] | None = None) -> tuple[str, ...]:
        """Attribute names of one scope or of both, in order."""
        return tuple(attribute.name for attribute in self.attributes if scope in (None, attribute.scope))


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """Differences of a version of a schema from the version before."""

    kind: ChangeKind
    """The gravest change: ``destructive`` if any is removed or rescoped, else ``rename``, else ``additive``."""
    added: tuple[str, ...]
    removed: tuple[str, ...]
    """Attributes whose answers would no longer be asked for or shown."""
    renamed: tuple[tuple[str, str], ...]
    """(old, new)."""
    rescoped: tuple[str, ...]
    """Attributes that were painted and are now only ticked, or the reverse."""

    def __str__(self) -> str:
        """``destructive: removes horns``."""
        parts = [
            f"adds {', '.join(self.added)}" if self.added else "",
            f"renames {', '.join(f'{old} to {new}' for old, new in self.renamed)}" if self.renamed else "",
            f"removes {', '.join(self.removed)}" if self.removed else "",
            f"changes the scope of {', '.join(self.rescoped)}" if self.rescoped else "",
        ]
        return f"{self.kind}: {'; '.join(filter(None, parts)) or 'the same attributes'}"


def compare_schemas(old: AttributeSchema, new: AttributeSchema) -> SchemaChange:
    """Classify the step from ``old`` to ``new``; another wording, category or order changes nothing."""
    old_scope = {attribute.name: attribute.scope for attribute in old.attributes}
    renamed = tuple(
        (attribute.was, attribute.name) for attribute in new.attributes if attribute.was and attribute.was in old_scope
    )
    new_to_old = {name: name for name in new.names()} | {name: old_name for old_name, name in renamed}
    added = tuple(name for name, old_name in new_to_old.items() if old_name not in old_scope)
    removed = tuple(name for name in old_scope if name not in new_to_old.values())
    rescoped = tuple(
        attribute.name
        for attribute in new.attributes
        if (old_name := new_to_old[attribute.name]) in old_scope and old_scope[old_name] != attribute.scope
    )
    kind: ChangeKind = (
        "destructive" if removed or rescoped else "rename" if renamed else "additive" if added else "same"
    )
    return SchemaChange(kind=kind, added=added, removed=removed, renamed=renamed, rescoped=rescoped)


def step_names(named: Mapping[str, Value], schema: AttributeSchema) -> dict[str, Value]:
    """What was said of attributes in the version before, under the names of this one.

    Args:
        named: Attribute name to anything; names that this version did not change stay, ``object`` among them.
        schema: This version. A renamed attribute takes the place of one that had its new name before.
    """
    new_names = {attribute.was: attribute.name for attribute in schema.attributes if attribute.was}
    unchanged = {name: value for name, value in named.items() if name not in new_names}
    return unchanged | {new_names[name]: value for name, value in named.items() if name in new_names}


def shipped_attribute_schemas() -> tuple[str, ...]:
    """Names of the schemas that come with the package."""
    folder = files("figureground.schemas") / "attribute_schemas"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml")))


def load_attribute_schema(name_or_path: str) -> AttributeSchema:
    """Load a shipped schema by name, or the user's own YAML file.

    Raises:
        UsageError: if there is no such schema or file.
        DataError: with every fault of the file.
    """
    if name_or_path in shipped_attribute_schemas():
        text = (files("figureground.schemas") / "attribute_schemas" / f"{name_or_path}.yaml").read_text("utf-8")
        return parse_document(text, AttributeSchema, where=f"{name_or_path}.yaml")
    path = Path(name_or_path)
    if file_ending(path) not in {".yaml", ".yml"}:
        shipped = ", ".join(shipped_attribute_schemas())
        raise UsageError(f"no attribute schema {name_or_path!r}: give one of {shipped}, or a .yaml file")
    return read_document(path, AttributeSchema)
