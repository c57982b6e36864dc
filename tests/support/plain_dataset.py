"""A small dataset of drawn photos with a variant of each kind, built once without and once with pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from drawn_release import CLASS_MAP, DrawnRelease, draw_release

from figureground.exports.dataset.building import BuildReport, build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.runtime.files import file_sha256

RECIPE: dict[str, Any] = {
    "name": "plain",
    "version": "1",
    "seed": 7,
    "class_map": "toy.json",
    "rules": {"exact": {"views": {"imagenet": {"size": 32, "crop": 32}}}},
    "balance": {"per_class": "all"},
    "variants": {
        "original": {"ground": "source"},
        "mixed": {"ground": {"fill": "grey"}, "matte": "mask", "figure": {"source": "next_class"}},
        "striped": {"ground": {"texture": "stripes"}, "matte": "mask", "figure": "source"},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A drawn release and a recipe for it."""

    drawn: DrawnRelease
    recipe: Path
    dataset: Path
    """Built without pixels."""
    pictures: Path
    """The same with pixels."""


def make_plain(root: Path) -> Plain:
    """Draw photos, and build both datasets."""
    drawn = draw_release(root, per_class=2)
    recipe = write_recipe(root, {})
    made = Plain(drawn=drawn, recipe=recipe, dataset=root / "plain", pictures=root / "pictures")
    build_plain(made, made.dataset, pixels=False)
    build_plain(made, made.pictures)
    return made


def write_recipe(folder: Path, changes: Mapping[str, Any], name: str = "plain.yaml") -> Path:
    """The recipe with some keys changed, beside its class map."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.json").write_text(CLASS_MAP)
    (folder / name).write_text(yaml.safe_dump({**RECIPE, **changes}, sort_keys=False))
    return folder / name


def build_plain(plain: Plain, out: Path, recipe: Path | None = None, **options: Any) -> BuildReport:
    """Build in this process."""
    request = prepare_request(
        str(recipe or plain.recipe),
        plain.drawn.workspace,
        options=BuildOptions(**options),
        machines=Machines(workers=1),
    )
    return build_dataset(request, out)


Rows = list[dict[str, Any]]


def rewrite_table(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a table of a dataset, and let the manifest know: what somebody hostile passes on."""
    pq.write_table(change(pq.read_table(folder / name)), folder / name)
    update_manifest(folder, name)


def rewrite_rows(folder: Path, name: str, change: Callable[[Rows], Rows | None]) -> None:
    """Change rows of a table of a dataset, and let the manifest know."""

    def changed(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        return pa.Table.from_pylist(change(rows) or rows, schema=table.schema)

    rewrite_table(folder, name, changed)


def update_manifest(folder: Path, name: str) -> None:
    """Note a changed file in the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = file_sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def without_column(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def with_null(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        cells = [None, *table.column(index).to_pylist()[1:]]
        return table.set_column(index, field, pa.array(cells, field.type))

    return change


def of_another_type(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        return table.set_column(index, name, pa.array([{"x": 1.5}] * table.num_rows))

    return change


def without_utf8(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        bad = pa.concat_arrays([_BAD_TEXT] * table.num_rows)
        return table.set_column(index, table.schema.field(index), bad)

    return change


DAMAGES: Mapping[str, Callable[[str], Callable[[pa.Table], pa.Table]]] = MappingProxyType(
    {"without": without_column, "null in": with_null, "another type of": of_another_type, "no UTF-8 in": without_utf8}
)
"""What may be wrong with a column: name of the damage to what does it to a column of a table."""
_BAD_TEXT: Final = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
