"""Families that results of several models are pooled by: as a models file lists them, or as names of models suggest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from pydantic import Field, model_validator

from figureground.schemas.documents import Document, read_document

_FAMILIES: Final = (  # the groups of the paper's plots, by patterns of timm's names
    (r"deit", "DeiTs"),
    (r"siglip", "SigLIPs"),
    (r"clip.*vit|vit.*clip", "CLIP ViTs"),
    (r"clip.*resnet|resnet.*clip", "CLIP ResNets"),
    (r"vit", "ViTs"),
    (r"resnet", "ResNets"),
    (r"efficientnet-lite|efficientnet_lite", "EfficientNet-Lites"),
)


class ListedModel(Document):
    """One model of a models file."""

    model: str
    """Its name as results have it, such as ``timm:resnet50.a1_in1k`` or ``efficientnet-lite0``."""
    family: str = Field(min_length=1)
    """What it is pooled with, such as ``ResNet`` or ``Robust ResNet``."""
    training: str = ""
    """Training procedure, such as ``supervised``, ``adversarial l2 eps=3`` or ``CLIP``."""
    parameters: int | None = Field(default=None, gt=0)
    """How many it has, where its adapter does not say; None where nobody does."""
    spec: str = ""
    """How ``evaluate`` loads it, where that is not its name, such as ``timm:vit_small=mine.pth``."""

    @model_validator(mode="before")
    @classmethod
    def _loaded_by_name(cls, values: Any) -> Any:  # noqa: ANN401  whatever the file holds
        return {"spec": values.get("model", ""), **values} if isinstance(values, dict) else values


class ModelsFile(Document):
    """Models with their families, in the order of legends."""

    models: tuple[ListedModel, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> ModelsFile:
        twice = [name for name, count in Counter(listed.model for listed in self.models).items() if count > 1]
        if twice:
            raise ValueError(f"each model once, not {', '.join(twice)} again")
        return self


def load_families(
    path: Path | None, models: Iterable[str], *, unlisted: Callable[[str], str] = str
) -> dict[str, list[ListedModel]]:
    """Families of ``models`` by name: those of a models file in its order, then those of models that it does not list.

    Args:
        path: Models file; None for none.
        models: Names of models, as results have them.
        unlisted: Family of a model that no file lists; by default the model is a family of its own.

    Raises:
        UsageError: if there is no such file.
        DataError: with every fault of the file.
    """
    listed = read_document(path, ModelsFile).models if path else ()
    asked = list(dict.fromkeys(models))
    known = {entry.model for entry in listed}
    others = [ListedModel(model=name, family=unlisted(name)) for name in asked if name not in known]
    families: dict[str, list[ListedModel]] = {}
    for entry in [*listed, *others]:
        if entry.model in asked:
            families.setdefault(entry.family, []).append(entry)
    return families


def family_of(model: str) -> str:
    """The paper's group of a model, recognised by its name; its own name if it is in none.

    Backbones with trained heads are families of their own: they answer in other classes.
    """
    backbone, headed, _ = model.partition("+head:")
    kind, _, name = backbone.rpartition(":")
    short = f"{'clip ' * (kind == 'open_clip')}{name}".partition("=")[0].lower()
    family = next((family for pattern, family in _FAMILIES if re.search(pattern, short)), None)
    return model if family is None else f"{family} with heads" if headed else family
