"""Second pass of a build: a shard, a fixed range of sorted plan rows, rendered into one Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.geometry.views import view_geometry, whole_frame
from figureground.build.painting.render import Rendered, render_row
from figureground.build.painting.scene_files import SceneStore
from figureground.exports.dataset.earlier import RENDER, EarlierRows
from figureground.exports.dataset.rows import IndexedRows
from figureground.runtime.files import replace_file
from figureground.schemas.rasters.masks import Mask, encode_coco_rle, pixels_sha256, tight_box
from figureground.schemas.rasters.png import encode_png
from figureground.schemas.rasters.sketches import sketch
from figureground.schemas.recipes import Recipe, RuleSet
from figureground.schemas.records import PlanRow
from figureground.schemas.store.releases import group_digest

ROWS_PER_SHARD: Final = 1000  # about 75 MB of 224-pixel PNG; more of them keep all workers busy to the end of a build
ROWS_PER_GROUP: Final = 200  # the Hub's viewer reads one group at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """A shard to be made."""

    path: Path
    rows: tuple[PlanRow, ...]
    objects: Mapping[str, MeasuredObject]
    """The objects that the rows use, by object_id."""
    recipe: Recipe
    rules: RuleSet
    mask_version: str
    scenes: Path
    """Scratch folder of the first pass."""
    schema: pa.Schema
    earlier: EarlierRows | None = None
    """Where the rows lie in an earlier version of the dataset, which is not rendered again."""

    def rows_to_render(self) -> list[PlanRow]:
        """The rows that no earlier version has."""
        indices = self.earlier.indices if self.earlier else [RENDER] * len(self.rows)
        return [row for row, index in zip(self.rows, indices, strict=True) if index == RENDER]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a row shows, as it is stored: all of it that is pixels."""

    image_png: bytes
    """Empty in a dataset without pixels."""
    mask_png: bytes
    attribute_masks: list[dict[str, Any]]
    box_xyxy_px: Sequence[float]
    """Half-open, on the canvas."""
    pixels_sha256: str
    sketch: str


def write_shard(job: ShardJob) -> int:
    """Render a shard and write it whole or not at all; a shard that exists is left alone. Returns its rows."""
    if job.path.exists():
        return len(job.rows)
    scenes = SceneStore(job.scenes)
    job.path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(job.path) as temporary:
        plain = {"image", "object_mask"}
        dictionary = [name for name in job.schema.names if name not in plain]
        # A compressor's blocks move with every byte before them: one PNG of another length would change all after it,
        # and the Hub would store a new version's rows again that are as they were. PNG does not compress further.
        compression = "none" if job.recipe.pixels else "snappy"
        with pq.ParquetWriter(
            temporary, job.schema, compression=compression, use_dictionary=dictionary, write_page_index=True
        ) as writer:
            rows = _rendered(job, scenes)
            while group := list(islice(rows, ROWS_PER_GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema=job.schema), row_group_size=len(group))
                group.clear()  # or its images would still be there while the next ones are drawn
    return len(job.rows)


def _rendered(job: ShardJob, scenes: SceneStore) -> Iterator[dict[str, Any]]:
    """The rows of a shard as they are stored, drawn or copied."""
    indices = job.earlier.indices if job.earlier else (RENDER,) * len(job.rows)
    columns = [name for name in _DRAWN if name in job.schema.names]
    earlier = IndexedRows(job.earlier.shards, columns) if job.earlier else None
    for row, index in zip(job.rows, indices, strict=True):
        drawn = _draw(row, job, scenes) if earlier is None or index == RENDER else _copied(earlier[index])
        yield _columns(row, drawn, job)


def _draw(row: PlanRow, job: ShardJob, scenes: SceneStore) -> Drawn:
    rendered = render_row(row, job.recipe.variants[row.variant], job.rules, scenes.get, scenes.texture)
    return Drawn(
        image_png=encode_png(rendered.image_rgb) if job.recipe.pixels else b"",
        mask_png=rendered.mask_png,
        attribute_masks=[_attribute(name, mask) for name, mask in rendered.attribute_masks.items()],
        box_xyxy_px=_box_on_canvas(row, rendered, job),
        pixels_sha256=pixels_sha256(rendered.image_rgb),
        sketch=sketch(rendered.image_rgb),
    )


_DRAWN: Final = ("image", "object_mask", "attribute_masks", "box", "provenance")


def _copied(stored: Mapping[str, Any]) -> Drawn:
    """What an earlier version of the dataset holds of a row."""
    return Drawn(
        image_png=stored["image"]["bytes"] if "image" in stored else b"",
        mask_png=stored["object_mask"]["bytes"],
        attribute_masks=stored["attribute_masks"],
        box_xyxy_px=stored["box"],
        pixels_sha256=stored["provenance"]["pixels_sha256"],
        sketch=stored["provenance"]["sketch"],
    )


def _columns(row: PlanRow, drawn: Drawn, job: ShardJob) -> dict[str, Any]:
    variant = job.recipe.variants[row.variant]
    figure, donor = job.objects[row.object_id], job.objects.get(row.ground_id)
    labelled = _labelled(row, job)
    other = figure if labelled is donor else donor
    stem = ".".join(filter(None, [row.object_id, row.variant, row.attribute, str(row.draw)]))
    attributes = dict(labelled.record.attributes)
    if variant.swaps_attribute:
        attributes[row.attribute] = variant.labels == "donor"
    image = {"image": {"bytes": drawn.image_png, "path": f"{stem}.png"}} if job.recipe.pixels else {}
    return {
        **image,
        "label": row.label,
        "image_id": labelled.record.image_id,
        "source_label": labelled.record.label,
        "variant": row.variant,
        "draw": row.draw,
        "attribute": row.attribute or None,
        "object_mask": {"bytes": drawn.mask_png, "path": f"{stem}.mask.png"},
        "box": drawn.box_xyxy_px,
        "ground_id": other.record.image_id if other else None,
        "ground_label": other.label if other else None,
        "attributes": attributes or None,
        "attribute_masks": drawn.attribute_masks,
        "provenance": {
            "object_id": row.object_id,
            "source_sha256": labelled.record.sha256,
            "ground_sha256": other.record.sha256 if other else None,
            "seed": row.seed,
            "mask_version": job.mask_version,
            "mask_state": labelled.record.state,
            "mask_agreement": labelled.record.agreement_iou,
            "group": group_digest(labelled.record) or None,  # stored where the schema has it
            "recipe": f"{job.recipe.name}@{job.recipe.version}",
            "params": row.params,
            "pixels_sha256": drawn.pixels_sha256,
            "sketch": drawn.sketch,
        },
    }


def _labelled(row: PlanRow, job: ShardJob) -> MeasuredObject:
    """Whose label the row has: its figure's, or its donor's where an attribute is pasted onto that."""
    donor = job.objects.get(row.ground_id)
    pasted = job.recipe.variants[row.variant].labels == "donor"
    return donor if donor is not None and pasted else job.objects[row.object_id]


def _box_on_canvas(row: PlanRow, rendered: Rendered, job: ShardJob) -> tuple[float, ...]:
    """The box by which the photo was placed; that of the mask on the canvas where the figure was moved."""
    variant = job.recipe.variants[row.variant]
    if variant.moved is not None and variant.labels == "self":
        return tuple(map(float, tight_box(rendered.object_mask) or (0, 0, 0, 0)))
    labelled = _labelled(row, job)
    view = variant.layers[-1].view
    crop = labelled.crop(view, row.draw)
    frame = crop.frame if crop else whole_frame(labelled.record.size_hw)
    geometry = view_geometry(job.rules.views[view], frame)
    return geometry.box_on_canvas(crop.box_xyxy_px if crop else labelled.box_xyxy_px)


def _attribute(name: str, mask: Mask) -> dict[str, Any]:
    rle = encode_coco_rle(mask)
    return {"attribute": name, "size": list(rle.size_hw), "counts": rle.counts}
