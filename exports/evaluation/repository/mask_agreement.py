"""How far a photo's machine mask agrees with another segmenter's, as the rows say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from figureground.exports.evaluation.values import EvaluationError, plain_line

_COLUMN = "mask_agreement"  # of provenance


def read_mask_agreement(paths: Iterable[Path]) -> dict[str, float]:
    """IoU in [0, 1] by image_id, of those photos whose masks were compared; none in datasets without that column.

    Args:
        paths: Shards of one config.

    Raises:
        EvaluationError: for a shard that cannot be read, or an IoU that is none.
    """
    import pyarrow.parquet as pq

    ious: dict[str, float] = {}
    for path in paths:
        try:
            with pq.ParquetFile(path) as table:
                stored = table.read(columns=["image_id", f"provenance.{_COLUMN}"]).to_pylist()
        except Exception as error:  # pyarrow raises its own errors and OSError alike
            raise EvaluationError(f"{path}: cannot be read: {plain_line(error, 120)}; download it again") from error
        for row in stored:
            iou = (row.get("provenance") or {}).get(_COLUMN)
            if iou is None:
                continue
            if not isinstance(iou, (int, float)) or not 0 <= iou <= 1:
                got = plain_line(repr(iou), 60)
                raise EvaluationError(f"{path}: provenance.{_COLUMN}: expected an IoU from 0 to 1, got {got}")
            ious[row["image_id"]] = min(float(iou), ious.get(row["image_id"], 1.0))
    return ious
