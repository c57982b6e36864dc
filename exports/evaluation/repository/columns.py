"""Columns of a config's rows, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from figureground.exports.evaluation.values import Table, list_names, plain_line, require

MOST_CHARACTERS: Final = 256  # of an id or a name: as an array every one takes the room of the longest
_WHOLE: Final = ("draw", "ground_label")
_REQUIRED: Final = ("image_id", "draw")  # in which every row has a value


def check_columns(table: Table, record: str, columns: Collection[str], classes: Sequence[str]) -> None:
    """Refuse rows with columns of other kinds than a dataset's; ``EvaluationError`` names every fault.

    Args:
        table: Rows with at least the columns ``columns``.
        record: What to call them in errors.
        columns: Those that are going to be read.
        classes: Names of the classes in the order of the labels.
    """
    features = table.features
    names = tuple(getattr(features["label"], "names", None) or ())
    require(
        names == tuple(classes),
        f"{record}: expected the labels of class_map.json, {list_names(classes)}; got "
        f"{list_names([plain_line(name, 60) for name in names]) or 'numbers or texts without names of classes'}",
    )
    faults = [fault for column in sorted({"image", "image_id", *columns}) for fault in _column_faults(table, column)]
    faults += _label_faults(table, len(classes))
    require(not faults, f"{record}: {'; '.join(faults)}")


def _column_faults(table: Table, column: str) -> Iterator[str]:
    import datasets
    import pyarrow.compute
    import pyarrow.types as kinds

    pc: Any = pyarrow.compute  # which makes its functions when it is imported

    feature, stored = table.features[column], table.data.column(column)
    if column in ("image", "object_mask"):
        shaped = isinstance(feature, datasets.Image) or (isinstance(feature, dict) and "bytes" in feature)
        if not shaped:
            yield f"{column}: expected encoded images, got {plain_line(stored.type, 60)}"
        return
    if column in _WHOLE and not kinds.is_integer(stored.type):
        yield f"{column}: expected whole numbers, got {plain_line(stored.type, 60)}"
    if column == "image_id" and not (kinds.is_string(stored.type) or kinds.is_large_string(stored.type)):
        yield f"{column}: expected texts, got {plain_line(stored.type, 60)}"
    elif kinds.is_string(stored.type) or kinds.is_large_string(stored.type):
        longest: Any = pc.max(pc.utf8_length(stored)).as_py()
        if longest is not None and longest > MOST_CHARACTERS:
            yield f"{column}: expected at most {MOST_CHARACTERS} characters, got {longest}"
    if column in _REQUIRED and stored.null_count:
        yield f"{column}: {stored.null_count} of {len(stored)} rows have none"


def _label_faults(table: Table, classes: int) -> Iterator[str]:
    import pyarrow.compute

    pc: Any = pyarrow.compute
    stored = table.data.column("label")
    largest: Any = pc.max(stored).as_py()
    if largest is not None and largest >= classes:
        yield f"label: expected 0 to {classes - 1}, got {largest}"
