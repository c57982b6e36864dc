"""Build, publish and score datasets that tell how much a classifier looks at the object and how much at the rest.

All that a user needs is here; docs/python.md walks the whole path. A name is imported from where it is defined when it
is first asked for, so ``import figureground`` itself loads next to nothing.
"""

from __future__ import annotations

from importlib import import_module as _import_module

TYPE_CHECKING = False  # what typing says, without importing it; type checkers take the name for true
if TYPE_CHECKING:
    from figureground.build.recipes.loading import load_recipe
    from figureground.errors import DataError, Fault, FigureGroundError, MissingExtraError, ServiceError, UsageError
    from figureground.schemas.attributes import AttributeSchema, load_attribute_schema
    from figureground.schemas.classes import ClassMap, load_class_map
    from figureground.schemas.rasters.masks import Box, CocoRle, Mask
    from figureground.schemas.recipes import Recipe
    from figureground.schemas.records import ImageRecord, ObjectRecord
    from figureground.schemas.store.releases import read_release
    from figureground.schemas.store.workspace import Workspace

__version__: str
__all__ = [
    "AttributeSchema",
    "Box",
    "ClassMap",
    "CocoRle",
    "DataError",
    "Fault",
    "FigureGroundError",
    "ImageRecord",
    "Mask",
    "MissingExtraError",
    "ObjectRecord",
    "Recipe",
    "ServiceError",
    "UsageError",
    "Workspace",
    "load_attribute_schema",
    "load_class_map",
    "load_recipe",
    "read_release",
]

_HOMES = {
    "figureground.build.recipes.loading": ("load_recipe",),
    "figureground.errors": (
        "DataError",
        "Fault",
        "FigureGroundError",
        "MissingExtraError",
        "ServiceError",
        "UsageError",
    ),
    "figureground.schemas.attributes": ("AttributeSchema", "load_attribute_schema"),
    "figureground.schemas.classes": ("ClassMap", "load_class_map"),
    "figureground.schemas.rasters.masks": ("Box", "CocoRle", "Mask"),
    "figureground.schemas.recipes": ("Recipe",),
    "figureground.schemas.records": ("ImageRecord", "ObjectRecord"),
    "figureground.schemas.store.releases": ("read_release",),
    "figureground.schemas.store.workspace": ("Workspace",),
}
"""Module to the names that come from it: the imports above, said again for the interpreter; a test compares them."""


def __getattr__(name: str) -> object:
    """A name of ``__all__``, imported from its home; PEP 562."""
    if name == "__version__":
        return _import_module("importlib.metadata").version("figureground")
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What is here, imported or not."""
    return sorted({*globals(), *__all__, "__version__"})
