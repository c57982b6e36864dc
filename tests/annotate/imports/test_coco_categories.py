"""Categories stand for labels by name, by wnid, or by the table that somebody wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from figureground.annotate.imports.coco_categories import category_has_label, read_category_map
from figureground.errors import DataError, UsageError
from figureground.schemas.sources.coco_files import CocoCategory

BIRD = CocoCategory(id=16, name="bird", wnids=("n01530575", "n01531178"))


def test_names_and_wnids_say_it_where_there_is_no_table() -> None:
    assert category_has_label(BIRD, "bird", None)
    assert category_has_label(BIRD, "n01531178", None)
    assert not category_has_label(BIRD, "16", None)
    assert not category_has_label(BIRD, "n01531179", None)


def test_a_table_replaces_names(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("\ufeffcategory,label,why\nbird,n1,x\n bird , n2 ,\n16,n3,\ncat,bird,\n")
    table = read_category_map(tmp_path / "map.csv")
    assert table == {"bird": {"n1", "n2"}, "16": {"n3"}, "cat": {"bird"}}
    assert [label for label in ("n1", "n2", "n3", "bird", "n01531178") if category_has_label(BIRD, label, table)] == [
        "n1",
        "n2",
        "n3",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"category,name\nbird,n1\n", "header: expected the columns category, label, each once, got category, name"),
        (b"", "got an empty file"),
        (b"category,label\n", "expected at least one row, got none"),
        (b"category,label\nbird,\n,n1\nbird\n", "line 2: expected a category and a label, got 'bird', ''"),
        (b"category,label\nbird,\n,n1\nbird\n", "3 faults"),
        (b"category,label\n\xff\n", "expected UTF-8 text"),
    ],
)
def test_tables_at_fault(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "map.csv").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_category_map(tmp_path / "map.csv")


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.csv: cannot be read"):
        read_category_map(tmp_path / "gone.csv")
