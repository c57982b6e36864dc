"""A models file: which family each model belongs to and how it was trained, so that results pool by family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, model_validator

from figureground.schemas.documents import Document, read_document


class ListedModel(Document):
    """One model of a models file."""

    model: str
    """Its name as results have it, such as ``timm:resnet50.a1_in1k`` or ``efficientnet-lite0``."""
    family: str = Field(min_length=1)
    """What it is pooled with, such as ``ResNet`` or ``Robust ResNet``."""
    training: str = ""
    """Training procedure, such as ``supervised``, ``adversarial l2 eps=3`` or ``CLIP``."""


class ModelsFile(Document):
    """Models with their families, in the order of legends."""

    models: tuple[ListedModel, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> ModelsFile:
        twice = [name for name, count in Counter(listed.model for listed in self.models).items() if count > 1]
        if twice:
            raise ValueError(f"each model once, not {', '.join(twice)} again")
        return self


def load_families(path: Path | None, models: Iterable[str]) -> dict[str, list[ListedModel]]:
    """Families of ``models`` by name, in the file's order; a model that no file names is a family of its own.

    Raises:
        UsageError: if there is no such file.
        DataError: with every fault of the file.
    """
    listed = read_document(path, ModelsFile).models if path else ()
    asked = list(dict.fromkeys(models))
    known = {entry.model for entry in listed}
    alone = [ListedModel(model=name, family=name) for name in asked if name not in known]
    families: dict[str, list[ListedModel]] = {}
    for entry in [*listed, *alone]:
        if entry.model in asked:
            families.setdefault(entry.family, []).append(entry)
    return families
