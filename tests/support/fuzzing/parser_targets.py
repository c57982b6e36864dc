"""Every parser of files that strangers pass on, with its good inputs, which ``fuzz_parsers.py`` damages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import parser_reads as reads
import parser_samples as made
from parser_samples import MASK, PHOTO, SCHEMA, Samples, json_bytes

from figureground.annotate.human.questions import read_foils
from figureground.annotate.imports.mask_files import read_mask_files
from figureground.annotate.imports.plain_pickle import read_plain_dict
from figureground.annotate.imports.png_masks import read_png_mask
from figureground.build.recipes.loading import load_recipe
from figureground.errors import Faults, FigureGroundError
from figureground.exports.analyses.families import load_families
from figureground.exports.dataset import changes
from figureground.exports.evaluation.model_files.onnx_data import external_files
from figureground.exports.evaluation.values import EvaluationError
from figureground.exports.report.timm_table import read_published
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.classes import load_class_map
from figureground.schemas.rasters.masks import (
    CocoRle,
    decode_brush_rle,
    decode_coco_rle,
    decode_png1,
    encode_bitmask,
    encode_coco_rle,
)
from figureground.schemas.sources.group_table import read_groups
from figureground.schemas.sources.voc import parse_voc

Read = Callable[[bytes, Path], object]


@dataclass(frozen=True, slots=True)
class Target:
    """One parser."""

    ending: str
    """Ending of its files; decides which edits know its format."""
    seeds: Callable[[Samples], Sequence[bytes]]
    """Good inputs."""
    read: Read
    """Parses an input as its callers do."""
    pixels: Callable[[bytes], int] = lambda _: 0
    """Pixels that an input says it has, of at most 100 megapixels: a photo of so many takes time and memory for each,
    whoever it is from."""


TABLE: Final = (
    b"file,label,split,group\ndog/a.png,dog,train,v1\nb.jpg,dog,,\n",
    b"ImageId,PredictionString\na,n01440764 1 2 3 4\n",
)


SECRETS: Final = (
    {"url": "http://127.0.0.1:1", "token": "t", "server": "s", "key": "k", "username": "", "password": ""},
    {"s": {"1": "p12", "ann@x": "p13"}},
    {"ann": "secret"},
    {"pid": 99999999, "created": 1.5, "port": 8080},
    {"photos": {"a": 1}, "next": 2},
)
SETTINGS: Final = (
    {
        "input_size": [224, 224],
        "mean": [0.1, 0.2, 0.3],
        "std": [1, 1, 1],
        "scale": 255,
        "layout": "NCHW",
        "crop_pct": 0.9,
    },
    {"outputs": "logits", "class_names": ["a", "b"], "label_space": "map", "interpolation": "bicubic", "parameters": 5},
)
SHEET: Final = {
    "format": "figureground sheet decisions",
    "version": "1",
    "sheet": "0" * 32,
    "page": 1,
    "annotator": "ann",
    "decisions": [
        {
            "image_id": PHOTO.image_id,
            "proposal_id": "1" * 32,
            "decision": "accept",
            "decided_at": "2026-01-01T00:00:00Z",
            "seconds": 1.5,
        }
    ],
}
CARD: Final = (
    "---\nlicense: other\nextra_gated_prompt: ask\nconfigs:\n- config_name: original\n  data_files:\n  - split: test\n"
    "    path: data/original/test-*.parquet\n---\n# A card\n"
)
ATTRIBUTES: Final = b"file,attribute,value\na.png,wing,true\nb.png,wet,unsure\n"
MODELS: Final = (
    b"models:\n- model: timm:resnet18\n  family: ResNet\n  training: supervised\n- model: m\n  family: ViT\n"
)
TIMM: Final = b"model,top1,top5,param_count,img_size,crop_pct,interpolation\nvit,80.5,95.1,22.1,224,0.9,bicubic\n"


def _recipes(samples: Samples) -> list[bytes]:
    names = ("imagenet9.yaml", "rival10.yaml", "imagenet_a_plus.yaml")
    return [
        (samples.folder / "plain.yaml").read_bytes(),
        *(made.shipped("figureground.build.recipes", n) for n in names),
    ]


def _yaml(schema: Any) -> bytes:
    import yaml

    return yaml.safe_dump(schema.model_dump(mode="json")).encode()


TARGETS: Final[dict[str, Target]] = {
    "recipe": Target(".yaml", _recipes, reads.file("r.yaml", lambda path: load_recipe(str(path)))),
    "attribute schema": Target(
        ".yaml",
        lambda _: [made.shipped("figureground.schemas", "attribute_schemas/rival10.yaml"), _yaml(SCHEMA)],
        reads.file("a.yaml", lambda path: load_attribute_schema(str(path))),
    ),
    "class map, JSON": Target(
        ".json",
        lambda s: [
            (s.folder / "toy.json").read_bytes(),
            made.shipped("figureground.schemas", "class_maps/rival10.json"),
        ],
        reads.file("c.json", reads.parse_class_map),
    ),
    "class map, CSV": Target(
        ".csv",
        lambda _: [b"label,class,imagenet_index\nn01440764,fish,0 1\nn01530575,bird,5;6\n", b"label,class\na,b\nc,b\n"],
        reads.file("c.csv", lambda path: load_class_map(str(path))),
    ),
    "label table": Target(".csv", lambda _: TABLE, reads.file("l.csv", reads.parse_labels)),
    "group table": Target(".csv", lambda _: TABLE, reads.file("g.csv", lambda path: read_groups(path, reads.ITEMS))),
    "attribute table": Target(
        ".csv",
        lambda _: [ATTRIBUTES],
        reads.file("attributes.csv", lambda path: read_mask_files(path.parent, SCHEMA, Faults())),
    ),
    "foils": Target(
        ".csv",
        lambda _: [b"image_id,foil\na,ring\nb,bar\n"],
        reads.file("f.csv", lambda path: read_foils(path, {"a": 0, "b": 1}, reads.toy_classes(path))),
    ),
    "refused objects": Target(
        ".csv",
        lambda s: [b"object_id,reason\na.0,no_strip\n", (s.plain / "report/refused.csv").read_bytes()],
        reads.file("refused.csv", changes._read_refused),
    ),
    "timm's table": Target(".csv", lambda _: [TIMM], reads.file("t.csv", read_published)),
    "COCO": Target(".json", lambda _: made.coco_files(), reads.file("c.json", reads.parse_coco)),
    "VOC": Target(".xml", lambda _: made.voc_files(), lambda data, _: parse_voc(data, where="a.xml")),
    "Label Studio export": Target(".json", lambda _: made.exports(), reads.file("e.json", reads.parse_export)),
    "sheet decisions": Target(".json", lambda _: [json_bytes(SHEET)], reads.file("s.json", reads.parse_sheet)),
    "brush RLE": Target(
        ".rle", lambda _: made.brushes(), lambda data, _: decode_brush_rle(list(data), size_hw=PHOTO.size_hw)
    ),
    "COCO RLE": Target(
        ".txt",
        lambda _: [encode_coco_rle(mask).counts.encode() for mask in (MASK, ~MASK)],
        lambda data, _: decode_coco_rle(CocoRle(size_hw=PHOTO.size_hw, counts=data.decode("utf-8", "replace"))),
    ),
    "bitmask": Target(
        ".png",
        lambda _: [encode_bitmask(MASK).encode(), base64.b64decode(encode_bitmask(MASK)[22:])],
        reads.parse_bitmask,
    ),
    "1-bit PNG": Target(".png", lambda _: made.masks_png(), lambda data, _: decode_png1(data)),
    "PNG mask": Target(
        ".png", lambda _: made.masks_png(), reads.file("a.png", lambda path: read_png_mask(path, PHOTO))
    ),
    "npy": Target(".npy", lambda _: made.arrays(), reads.parse_npy),
    "npz": Target(".npz", lambda _: made.answer_files(), reads.file("a.npz", reads.parse_answers)),
    "plain pickle": Target(".pkl", lambda _: made.pickles(), lambda data, _: read_plain_dict(data, where="a.pkl")),
    "photo": Target(".jpg", lambda _: made.photos(), reads.parse_photo, reads.said_pixels),
    "photos in Parquet": Target(
        ".parquet", lambda _: made.photo_tables(), reads.file("p.parquet", reads.parse_photo_table)
    ),
    "release": Target(
        ".parquet", lambda s: [(s.plain / "objects.parquet").read_bytes()], reads.file("r.parquet", reads.parse_release)
    ),
    "plan": Target(
        ".parquet",
        lambda s: [(s.plain / "report/plan.parquet").read_bytes()],
        reads.file("p.parquet", reads.parse_plan),
    ),
    "shard": Target(
        ".parquet",
        lambda s: [
            path.read_bytes()
            for folder in (s.pictures, s.plain)
            for path in sorted(folder.glob("data/*/*.parquet"))[:2]
        ],
        reads.file("s.parquet", reads.parse_shard),
    ),
    "lock": Target(
        ".json",
        lambda s: [(s.plain / "recipe.lock.json").read_bytes()],
        reads.file("recipe.lock.json", reads.parse_lock),
    ),
    "manifest": Target(".json", lambda s: [(s.plain / "manifest.json").read_bytes()], reads.parse_manifests),
    "changelog": Target(
        ".json", lambda _: [json_bytes([{"version": "b", "follows": "a", "changes": ["x"]}])], reads.parse_changelog
    ),
    "card": Target(
        ".md",
        lambda s: [CARD.encode(), (s.plain / "README.md").read_bytes()],
        reads.file("README.md", reads.parse_card),
    ),
    "model settings": Target(
        ".json", lambda _: [*map(json_bytes, SETTINGS)], reads.file("m.json", reads.parse_settings)
    ),
    "models file": Target(
        ".yaml", lambda _: [MODELS], reads.file("m.yaml", lambda path: load_families(path, ["m", "timm:resnet18"]))
    ),
    "results": Target(".json", made.results, reads.file("r.json", reads.parse_result_sections)),
    "ONNX": Target(".onnx", made.graphs, reads.file("m.onnx", external_files)),
    "tar": Target(".tar", lambda _: made.tar_files(), reads.file("t.tar", reads.parse_tar)),
    "workspace": Target(".sqlite", lambda s: [s.database], reads.parse_workspace),
    "studio's own files": Target(".json", lambda _: [*map(json_bytes, SECRETS)], reads.parse_secrets),
}
"""Name of a parser to the parser."""

SHARES: Final[dict[str, float]] = {
    "recipe": 0.15,
    "attribute schema": 0.15,
    "class map, JSON": 1,
    "class map, CSV": 1,
    "label table": 1,
    "group table": 1,
    "attribute table": 1,
    "foils": 1,
    "refused objects": 2,
    "timm's table": 1.5,
    "COCO": 1,
    "VOC": 3,
    "Label Studio export": 0.15,
    "sheet decisions": 0.15,
    "brush RLE": 1.5,
    "COCO RLE": 3,
    "bitmask": 2,
    "1-bit PNG": 1,
    "PNG mask": 1,
    "npy": 0.7,
    "npz": 0.2,
    "plain pickle": 3,
    "photo": 1,
    "photos in Parquet": 0.2,
    "release": 0.15,
    "plan": 0.2,
    "shard": 0.1,
    "lock": 0.7,
    "manifest": 1.5,
    "changelog": 1.5,
    "card": 0.12,
    "model settings": 1.5,
    "models file": 0.1,
    "results": 0.5,
    "ONNX": 1,
    "tar": 0.7,
    "workspace": 0.12,
    "studio's own files": 0.2,
}
"""How often each is run: parsers that take milliseconds seldom, those that take microseconds often."""

OURS: Final = (FigureGroundError, EvaluationError)
"""Errors that may come out of a parser."""
