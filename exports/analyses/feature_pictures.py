"""Pictures of neural features: which units are active on which attribute, and on which images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from figureground.exports.analyses.neural_features import OBJECT, UnitTable
from figureground.exports.analyses.overlays import overlay_saliency
from figureground.exports.analyses.plots import Tile, TileRow, draw_heat_table, draw_sheet
from figureground.exports.analyses.rows import AnalysedRows
from figureground.exports.analyses.units import UnitReader
from figureground.exports.evaluation.values import Ints

_BEST_COLUMNS: Final = 3  # units of each attribute on the heat map
_SHOWN: Final = 5  # images of a unit on the sheet


def draw_features(table: UnitTable, best: Mapping[str, Sequence[int]], model: str, k: int) -> bytes:
    """Heat map of ``mean_iou``, attributes by their best units, PNG; ``best`` has positions in the table by region."""
    columns = list(dict.fromkeys(index for name in table.regions for index in best[name][:_BEST_COLUMNS]))
    if not columns:
        return draw_sheet([TileRow(title="no unit", tiles=())], title=f"{model}: no unit lies on an attribute")
    return draw_heat_table(
        table.mean_iou[columns].T,
        row_names=table.regions,
        column_names=[str(table.units[index]) for index in columns],
        title=f"{model}: where units are active",
        note=f"columns: the {_BEST_COLUMNS} best units of each row · means over a unit's {k} top images",
        scale="mean IoU with the attribute",
    )


def draw_units(
    reader: UnitReader, rows: AnalysedRows, table: UnitTable, best: Mapping[str, Sequence[int]], top: Mapping[str, Ints]
) -> bytes:
    """The best unit of each attribute on its top images, with the outline of the attribute, PNG.

    ``top`` is the positions of the unit's top images by region, the most active first.
    """
    sheet = []
    for region, name in enumerate(table.regions):
        if not best[name]:
            continue
        index = best[name][0]
        unit, order = int(table.units[index]), [int(row) for row in top[name][:_SHOWN]]
        tiles: dict[int, Tile] = {}
        for located in reader.locate(rows, {row: [unit] for row in order}):
            row = located.row
            mask = row.object_mask_hw if name == OBJECT else row.attribute_masks_hw.get(name)
            present = row.attributes.get(name, name == OBJECT)
            caption = row.image_id[:18] if present else f"{row.image_id[:18]}\nwithout"
            if present and mask is None:
                mask = row.object_mask_hw
            tiles[located.index] = Tile(
                image=overlay_saliency(row.canvas_rgb, located.maps_hw[0], mask), caption=caption, warned=not present
            )
        title = f"{name}\nunit {unit}\nIoU {table.mean_iou[index, region]:.2f}"
        sheet.append(TileRow(title=title, tiles=tuple(tiles[row] for row in order)))
    note = "heat: the unit's activation map · light blue: outline of the attribute · orange frame: not there or unknown"
    title = f"{reader.model.name}: the best unit of each attribute"
    return draw_sheet(sheet or [TileRow(title="no unit", tiles=())], title=title, note=note)
