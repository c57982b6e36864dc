"""Build, publish and score datasets that tell how much a classifier looks at the object and how much at the rest.

The nouns are here; the stages are modules of their own: ``figureground.annotate``, ``figureground.build`` and
``figureground.exports``. Importing this package loads neither torch nor datasets.
"""

from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError, Fault, FigureGroundError, MissingExtraError, ServiceError, UsageError
from figureground.schemas.attributes import AttributeSchema, load_attribute_schema
from figureground.schemas.classes import ClassMap, load_class_map
from figureground.schemas.rasters.masks import (
    Box,
    CocoRle,
    Mask,
    decode_bitmask,
    decode_brush_rle,
    decode_coco_rle,
    decode_npy,
    decode_png1,
    encode_bitmask,
    encode_brush_rle,
    encode_coco_rle,
    encode_npy,
    encode_png1,
)
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ImageRecord, ObjectRecord
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

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
    "decode_bitmask",
    "decode_brush_rle",
    "decode_coco_rle",
    "decode_npy",
    "decode_png1",
    "encode_bitmask",
    "encode_brush_rle",
    "encode_coco_rle",
    "encode_npy",
    "encode_png1",
    "load_attribute_schema",
    "load_class_map",
    "load_recipe",
    "read_release",
]
