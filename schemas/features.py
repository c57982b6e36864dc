"""The columns of a published dataset, as Hugging Face features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from figureground.schemas.classes import ClassMap
from figureground.schemas.records import ObjectState

if TYPE_CHECKING:
    from datasets import Features


class Column(NamedTuple):
    """What a column holds."""

    means: str
    unit: str = ""
    """Unit, range and order of what is in it; empty where the type says all."""
    null: str = ""
    """When it is null; empty for never."""


_NO_DONOR: Final = "no donor is in the row"
COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "image": Column("The canvas, a lossless PNG. Absent from a recipe release.", "RGB, 8 bits a channel"),
        "label": Column("Class of the photo that `image_id` names.", "0 to K - 1, in the order of class_map.json"),
        "image_id": Column(
            "Photo that the row is of: the one whose label, mask and attributes it has.",
            "first 32 hex digits of the SHA-256 of its bytes",
        ),
        "source_label": Column("Label that the photo came with, a wnid for ImageNet."),
        "variant": Column("How the row is composed; the name of the config."),
        "draw": Column("Which of several donors or windows of the same photo.", "0, 1, ...; 0 where one was asked for"),
        "attribute": Column("Attribute that the row is about.", null="the config has one row a photo"),
        "object_mask": Column("The figure on the canvas, a 1-bit PNG.", "canvas pixels, white on the figure"),
        "box": Column(
            "Box by which the photo was placed: the annotated one, or the tight one of the mask; that of the mask on "
            "the canvas where the figure was moved.",
            "canvas pixels, half-open x0, y0, x1, y1; may lie beyond the canvas",
        ),
        "ground_id": Column("Photo whose pixels the row shows too: the donor.", "as image_id", _NO_DONOR),
        "ground_label": Column("Class of that photo.", "as label", _NO_DONOR),
        "attributes": Column(
            "What people said of the photo's attributes, by name.",
            null="the recipe asks for none; one of them is null where nobody answered it",
        ),
        "attribute_masks": Column("Attributes that were painted; an empty list where none was."),
        "attribute_masks[].attribute": Column("Name of the attribute."),
        "attribute_masks[].size": Column("Size of the canvas.", "pixels: height, width"),
        "attribute_masks[].counts": Column("The mask, COCO's compressed run lengths.", "canvas pixels"),
        "provenance.object_id": Column(
            "Object whose figure was planned: with variant, attribute and draw the key of the row.", "image_id.index"
        ),
        "provenance.source_sha256": Column("Hash of the bytes of the photo `image_id`.", "SHA-256, hex"),
        "provenance.ground_sha256": Column("Hash of the bytes of the photo `ground_id`.", "SHA-256, hex", _NO_DONOR),
        "provenance.seed": Column("What the row draws its donor, texture and noise by.", "0 to 2^64 - 1"),
        "provenance.mask_version": Column("Frozen release that the masks are of."),
        "provenance.mask_state": Column(f"Who stands behind `object_mask`: {', '.join(get_args(ObjectState))}."),
        "provenance.mask_agreement": Column(
            "IoU of a machine mask with another segmenter's.", "[0, 1]", "no second segmenter was asked"
        ),
        "provenance.group": Column(
            "Equal in photos that may show one scene. Absent from datasets whose photos are in no groups.",
            "hex digits",
            "the photo is in no group",
        ),
        "provenance.recipe": Column("Recipe that composed the row.", "name@version"),
        "provenance.params": Column(
            "Where each photo lands on the canvas, its box, strip, window and texture, as canonical JSON."
        ),
        "provenance.pixels_sha256": Column(
            "Hash of the canvas: of `H W 3`, a zero byte and its pixels.", "SHA-256, hex; row by row, uint8 RGB"
        ),
        "provenance.sketch": Column("Mean grey of 8 x 8 blocks, to say how far a drifted row is off.", "[0, 255], hex"),
    }
)
"""Columns of every config by dotted name, ``[]`` for what is in a list; docs/columns.md is written from it."""

_PLAIN_LAYOUT: Final = 2
_GROUPED_LAYOUT: Final = 3


def row_layout(*, grouped: bool) -> int:
    """Layout of rows, for the lock: 1 had no ``mask_state`` and no ``mask_agreement``, 3 has groups; all are read."""
    return _GROUPED_LAYOUT if grouped else _PLAIN_LAYOUT


def dataset_features(
    classes: ClassMap, attributes: Sequence[str], *, pixels: bool = True, grouped: bool = False
) -> Features:
    """Features of every config of a dataset; all its configs share them. Without pixels there is no ``image``.

    ``object_mask``, ``box`` and ``attribute_masks`` are in canvas pixels. ``attribute`` names what a row is about, in
    configs with a row for each attribute, and is null elsewhere. Without attributes the column
    ``attributes`` is null, because Parquet has no empty struct. ``provenance.mask_state`` is the state of
    ``object_mask``, an ``ObjectState``, and ``mask_agreement`` the IoU of a machine mask with another segmenter's, null
    without one. ``provenance.group``, which is equal in photos that may show one scene, is there where photos are
    grouped.
    """
    from datasets import ClassLabel, Features, Image, List, Value

    text, whole = Value("string"), Value("int32")
    masks = {"attribute": text, "size": List(whole, length=2), "counts": text}
    return Features(
        {
            **({"image": Image()} if pixels else {}),
            "label": ClassLabel(names=list(classes.names)),
            "image_id": text,
            "source_label": text,
            "variant": text,
            "draw": whole,
            "attribute": text,
            "object_mask": Image(),
            "box": List(Value("float32"), length=4),
            "ground_id": text,
            "ground_label": whole,
            "attributes": {name: Value("bool") for name in attributes} if attributes else Value("null"),
            "attribute_masks": List(masks),
            "provenance": {
                "object_id": text,
                "source_sha256": text,
                "ground_sha256": text,
                "seed": Value("uint64"),
                "mask_version": text,
                "mask_state": text,
                "mask_agreement": Value("float64"),
                **({"group": text} if grouped else {}),
                "recipe": text,
                "params": text,
                "pixels_sha256": text,
                "sketch": text,
            },
        }
    )
