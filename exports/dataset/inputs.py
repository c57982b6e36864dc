"""Everything that a build reads, gathered before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figureground.errors import UsageError
from figureground.runtime.engines import EngineChoice
from figureground.runtime.processes import default_workers
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Recipe, RuleName, RuleSet
from figureground.schemas.records import ObjectRecord, PhotoRef, SourceRow
from figureground.schemas.store.releases import LeftOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is built: the recipe and how it is read."""

    recipe: Recipe
    classes: ClassMap
    """The recipe's class map."""
    attributes: AttributeSchema
    """The recipe's attribute schema; without attributes where it has none."""
    rules: RuleName = "exact"
    draws: int = 1
    """Donors of each row of a donor variant, one row a donor."""

    @property
    def rule_set(self) -> RuleSet:
        """The rules of the recipe that are in use."""
        return self.recipe.rules[self.rules]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenObjects:
    """The release that is built from."""

    version: str
    """Name of the release, such as ``v1``."""
    sha256: str
    """SHA-256 of the release's file."""
    records: tuple[ObjectRecord, ...]
    """Its objects, sorted by object_id."""
    left_out: LeftOut = field(default_factory=dict)
    """Catalogued photos that are not in the release."""
    annotation: Mapping[str, Any] = field(default_factory=dict)
    """How the release's masks came about, in numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPlaces:
    """Where the photos lie."""

    sources: Mapping[str, SourceRow]
    """Source by name; every object and texture names one."""
    textures: tuple[PhotoRef, ...] = ()
    """Photos of the source that the recipe takes textures from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the dataset follows; never changes a row."""

    earlier: Path | None = None
    """Dataset repository that this is the next version of: its rows are copied where they did not change, and the
    changelog goes on from its own."""
    changelog: tuple[Mapping[str, Any], ...] = ()
    """Changelog so far, oldest entry first, where it is not that of ``earlier``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Where the work runs; never changes a byte."""

    workers: int = field(default_factory=default_workers)
    """Processes of this machine."""
    engine: EngineChoice = field(default_factory=EngineChoice)
    """What runs the work: these processes, or a Ray of one or many machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Everything that decides the bytes of a dataset repository, and how fast it is made."""

    design: Design
    release: FrozenObjects
    photos: PhotoPlaces
    history: History = field(default_factory=History)
    machines: Machines = field(default_factory=Machines)

    def __post_init__(self) -> None:
        """Refuse what cannot be made.

        Raises:
            UsageError: for an earlier version on a cluster.
        """
        if self.history.earlier is not None and self.machines.engine.is_cluster:
            raise UsageError("--earlier copies rows from a folder of this machine, which a cluster may not see")
