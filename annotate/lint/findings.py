"""Findings: what a rule says about one object, and the tables that they are written to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.annotate.lint.settings import SEVERITIES, Severity
from figureground.errors import UsageError
from figureground.runtime.files import csv_text, file_ending, replace_file, write_text
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import Box, CocoRle, Mask

DIGITS: Final = 4
"""Decimals of a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a rule saw on an object."""

    words: str
    """One sentence for people, with what to do where that is not plain."""
    value: float
    unit: str
    threshold: float
    """What ``value`` was held against, in the same unit."""
    mask: str = OBJECT
    """The mask that it is about: ``object``, ``instance 0``, or an attribute."""
    marked_hw: Mask | None = None
    """The pixels that are wrong, stored pixels; None where it is the mask as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule says about one object, as it is reported."""

    rule: str
    severity: Severity
    image_id: str
    object_id: str
    mask: str
    """The mask that it is about: ``object``, ``instance 0``, or an attribute."""
    value: float
    unit: str
    threshold: float
    words: str
    label: str
    source: str
    uri: str
    origin: str
    """The answer or proposal that the mask is."""
    box_xyxy_px: Box | None
    """Half-open box around the pixels that are wrong, stored pixels; None for the mask as a whole."""
    waived_by: str = ""
    """Who waived it; empty for a finding that stands."""
    waived_why: str = ""
    marked: CocoRle | None = None
    """The pixels that are wrong, for pictures."""

    @property
    def order(self) -> tuple[int, str, str, str, str]:
        """Key that findings are sorted by: the worst first, then by rule, object, mask and words."""
        return SEVERITIES.index(self.severity), self.rule, self.object_id, self.mask, self.words

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        fields = asdict(self)
        del fields["marked"]
        return {**fields, "box_xyxy_px": list(self.box_xyxy_px) if self.box_xyxy_px else None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A finding as a line of a CSV file."""

    severity: str
    rule: str
    object_id: str
    mask: str
    value: float
    unit: str
    threshold: float
    words: str
    label: str
    image_id: str
    source: str
    uri: str
    origin: str
    box_xyxy_px: str
    waived_by: str
    waived_why: str


_SCHEMA: Final = pa.schema(
    [
        ("rule", pa.string()),
        ("severity", pa.string()),
        ("image_id", pa.string()),
        ("object_id", pa.string()),
        ("mask", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("threshold", pa.float64()),
        ("words", pa.string()),
        ("label", pa.string()),
        ("source", pa.string()),
        ("uri", pa.string()),
        ("origin", pa.string()),
        ("box_xyxy_px", pa.list_(pa.int32())),
        ("waived_by", pa.string()),
        ("waived_why", pa.string()),
    ]
)


def require_table(path: Path) -> None:
    """Check that a report's name says what it is to be.

    Raises:
        UsageError: for another ending than ``.csv`` or ``.parquet``.
    """
    if file_ending(path) not in (".csv", ".parquet"):
        raise UsageError(f"{path}: a report is a .csv or a .parquet file")


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """Write findings as CSV or Parquet, by the name's ending; the same findings give the same bytes.

    Raises:
        UsageError: for another ending.
    """
    require_table(path)
    if file_ending(path) == ".csv":
        write_text(path, csv_text(_Row, _rows(findings)))
        return
    table = pa.Table.from_pylist([finding.to_dict() for finding in findings], schema=_SCHEMA)
    with replace_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _rows(findings: Iterable[Finding]) -> Iterable[_Row]:
    for finding in findings:
        cells = finding.to_dict()
        box = cells.pop("box_xyxy_px")
        yield _Row(**cells, box_xyxy_px=" ".join(map(str, box or ())))
