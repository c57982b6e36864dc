"""croissant.json: the dataset in MLCommons' Croissant 1.0, so that tools that know neither us nor the Hub read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from figureground.runtime.files import file_sha256
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Recipe

_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the format's specification, version 1.0, asks for."""

_COLUMNS: Final = (
    ("image", "sc:ImageObject", "The picture, lossless PNG."),
    ("label", "sc:Integer", "Index of the class."),
    ("image_id", "sc:Text", "First 32 hex digits of the SHA-256 of the photo's bytes."),
    ("source_label", "sc:Text", "Label of the photo in its source, such as a wnid."),
    ("variant", "sc:Text", "The config's name."),
    ("draw", "sc:Integer", "Number of the repeated donor draw or instance."),
    ("attribute", "sc:Text", "Attribute that the row is about, where it is about one."),
    ("object_mask", "sc:ImageObject", "The object, 1-bit PNG on the canvas."),
    ("ground_id", "sc:Text", "The other photo in the picture, where there is one."),
    ("ground_label", "sc:Integer", "Class of that photo."),
)
"""Column, Croissant type, and what it holds; those with a single value."""
_CLASSES: Final = "classes"


class MaskSources(NamedTuple):
    """Who made the masks, as the Responsible AI part of Croissant holds it."""

    lines: tuple[str, ...]
    """What the masks are, with the number of objects, and the origins of those that were imported; a line each."""
    machines: tuple[str, ...]
    """Segmenters, and origins of masks that a machine made elsewhere."""


def make_croissant(
    recipe: Recipe, classes: ClassMap, shards: Mapping[str, Sequence[Path]], root: Path, *, masks: MaskSources
) -> dict[str, Any]:
    """The description of a dataset repository: its files with their hashes, its classes, a record set a config.

    Args:
        recipe: The recipe.
        classes: Its classes.
        shards: Config to its shards.
        root: The repository's folder, which paths are taken below.
        masks: Who made the masks.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": recipe.name,
        "description": recipe.description or recipe.name,
        "version": recipe.version,
        **({"citeAs": recipe.citation} if recipe.citation else {}),
        **({"license": recipe.licence} if recipe.licence else {}),
        "rai:dataAnnotationProtocol": list(masks.lines),
        **({"rai:machineAnnotationTools": list(masks.machines)} if masks.machines else {}),
        "distribution": [*_file_sets(shards), *_file_objects(shards, root)],
        "recordSet": [_classes(classes), *(_records(name, pixels=recipe.pixels) for name in shards)],
    }


def _file_sets(shards: Mapping[str, Sequence[Path]]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileSet",
            "@id": _files(name),
            "description": f"The shards of {name}, all splits.",
            "encodingFormat": "application/x-parquet",
            "includes": f"data/{name}/*.parquet",
        }
        for name in shards
    ]


def _file_objects(shards: Mapping[str, Sequence[Path]], root: Path) -> list[dict[str, Any]]:
    """Every shard by itself, so that what was downloaded can be checked."""
    return [
        {
            "@type": "cr:FileObject",
            "@id": (name := path.relative_to(root).as_posix()),
            "contentUrl": name,
            "contentSize": f"{path.stat().st_size} B",
            "encodingFormat": "application/x-parquet",
            "sha256": file_sha256(path),
        }
        for paths in shards.values()
        for path in paths
    ]


def _classes(classes: ClassMap) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": _CLASSES,
        "dataType": "sc:Enumeration",
        "key": {"@id": f"{_CLASSES}/index"},
        "field": [
            {"@type": "cr:Field", "@id": f"{_CLASSES}/index", "dataType": "sc:Integer"},
            {"@type": "cr:Field", "@id": f"{_CLASSES}/name", "dataType": "sc:Text"},
        ],
        "data": [{f"{_CLASSES}/index": index, f"{_CLASSES}/name": name} for index, name in enumerate(classes.names)],
    }


def _records(config: str, *, pixels: bool) -> dict[str, Any]:
    fields = []
    for column, kind, description in _COLUMNS:
        if column == "image" and not pixels:
            continue
        source: dict[str, Any] = {"fileSet": {"@id": _files(config)}, "extract": {"column": column}}
        if kind == "sc:ImageObject":
            source["transform"] = {"jsonPath": "bytes"}
        link = {"references": {"field": {"@id": f"{_CLASSES}/index"}}} if column == "label" else {}
        fields.append(
            {
                "@type": "cr:Field",
                "@id": f"{config}/{column}",
                "description": description,
                "dataType": kind,
                "source": source,
                **link,
            }
        )
    return {"@type": "cr:RecordSet", "@id": config, "description": f"Rows of {config}.", "field": fields}


def _files(config: str) -> str:
    return f"files-of-{config}"
