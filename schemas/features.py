"""The columns of a published dataset, as Hugging Face features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from figureground.schemas.classes import ClassMap

if TYPE_CHECKING:
    from datasets import Features


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
