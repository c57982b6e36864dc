"""Attributes over time: what answers said under earlier names, under the names that the newest page asks by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from figureground.schemas.attributes import AttributeSchema, step_names
from figureground.schemas.records import Annotation
from figureground.schemas.store.workspace import Workspace

Value = TypeVar("Value")


class AttributeHistory:
    """Versions of the attribute schemas that people were asked by.

    Args:
        schemas: Every version, the oldest first. A version that is repeated counts where it stands first, and with the
            page that asks for most: one that asks of decided photos what is new shows a part of its version.
    """

    def __init__(self, schemas: Iterable[AttributeSchema]) -> None:
        self._versions: dict[str, AttributeSchema] = {}
        for schema in schemas:
            known = self._versions.get(schema.label)
            if known is None or len(schema.attributes) >= len(known.attributes):
                self._versions[schema.label] = schema

    @classmethod
    def of(cls, workspace: Workspace) -> AttributeHistory:
        """The versions that a workspace pushed, to whichever server."""
        return cls(AttributeSchema.model_validate_json(text) for text in workspace.pushed_schemas())

    def newest(self, answer: Annotation) -> AttributeSchema | None:
        """The newest version of the schema that an answer was given under; None where none of its versions is known."""
        name = answer.attribute_schema.rpartition("@")[0]
        versions = [schema for schema in self._versions.values() if schema.name == name]
        return versions[-1] if versions else None

    def age(self, answer: Annotation) -> int:
        """A number that is the greater, the newer the version is that an answer was given under; -1 if not known."""
        labels = list(self._versions)
        return labels.index(answer.attribute_schema) if answer.attribute_schema in labels else -1

    def current(self, answer: Annotation) -> Annotation:
        """The answer with its attributes, masks and visibilities under the newest names.

        The renames of every later version are followed one after the other. An answer under a version that is not known
        here, such as one of an import, is taken for older than those that are.
        """
        name = answer.attribute_schema.rpartition("@")[0]
        own = self.age(answer)
        later = [schema for place, schema in enumerate(self._versions.values()) if place > own and schema.name == name]
        if not any(attribute.was for schema in later for attribute in schema.attributes):
            return answer
        return replace(
            answer,
            attributes=_follow(answer.attributes, later),
            masks=_follow(answer.masks, later),
            visibility=_follow(answer.visibility, later),
        )


def _follow(named: Mapping[str, Value], versions: Iterable[AttributeSchema]) -> dict[str, Value]:
    names = dict(named)
    for schema in versions:
        names = step_names(names, schema)
    return names
