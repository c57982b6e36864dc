"""What a folder of masks holds: files by the names of photos, and a table of attributes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from figureground.errors import DataError, Faults, UsageError
from figureground.runtime.files import file_ending, is_hidden
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.sources.names import name_key
from figureground.schemas.sources.walking import HIDDEN
from figureground.schemas.tables import read_table

ATTRIBUTE_TABLE: Final = "attributes.csv"
_COLUMNS: Final = ("file", "attribute", "value")
_VALUES: Final[dict[str, bool | None]] = {"true": True, "false": False, "unsure": None}
_CONTAINERS: Final = frozenset({"images", "photos"})


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """One sound row of the table."""

    name: str
    """The photo's name, as written."""
    attribute: str
    value: bool | None
    line: str
    """``line 3``."""


@dataclass(slots=True)
class MaskFiles:
    """What a folder of masks holds."""

    masks: dict[str, dict[str, Path]] = field(default_factory=lambda: defaultdict(dict))
    """Mask name (``object`` or a local attribute) to photo's name to file; names are paths without ``.png``."""
    rows: list[AttributeRow] = field(default_factory=list)
    barred: set[str] = field(default_factory=set)
    """Names of photos that a fault is about."""
    asked: set[str] = field(default_factory=set)
    """Local attributes that have a folder: a photo without a file there lacks the attribute."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Files and columns that are not read, by what they are."""

    def names(self) -> set[str]:
        """All names of photos."""
        named = {name for files in self.masks.values() for name in files}
        return named | {row.name for row in self.rows} | self.barred


def read_mask_files(folder: Path, schema: AttributeSchema | None, faults: Faults) -> MaskFiles:
    """Look at every file of a folder of masks.

    Args:
        folder: The folder: ``PHOTO.png`` or ``FOLDERS/PHOTO.png`` of objects, ``ATTRIBUTE/…`` of local attributes.
        schema: The attributes; None for object masks alone.
        faults: Gets files that are no masks and rows that make no sense.
    """
    files = MaskFiles()
    local = {name_key(name): name for name in schema.names("local")} if schema else {}
    for path in _sorted(folder, files, faults):
        if path.name == ATTRIBUTE_TABLE:
            _read_rows(path, schema, files, faults)
        elif path.is_dir() and (attribute := local.get(name_key(path.name))):
            files.asked.add(attribute)
            _add_tree(path, attribute, "", files, faults)
        else:
            _add_tree(path, OBJECT, path.name, files, faults)
    if not files.names():
        faults.add(str(folder), "", expected="masks called after their photos, such as 0001.png", got="none")
    return files


def refuse_strange_folders(
    folder: Path, files: MaskFiles, schema: AttributeSchema | None, photo_folders: Collection[str], faults: Faults
) -> set[str]:
    """Refuse folders that are called like no folder of photos, and like an attribute and a folder of photos both.

    Args:
        folder: The folder of masks.
        files: What it holds.
        schema: The attributes; None for object masks alone.
        photo_folders: Keys of the folders that photos lie in.
        faults: Gets them.

    Returns:
        Names of photos, and names of attributes, that lie in them: none of them has an answer.
    """
    local = schema.names("local") if schema else ()
    for attribute in sorted(files.asked):
        if name_key(attribute) in photo_folders:
            faults.add(
                str(folder / attribute),
                "",
                expected="a folder of an attribute, or one of photos",
                got=f"both are called {attribute!r}",
                remedy="rename the attribute in the schema, or name the masks of the photos by their image_ids",
            )
    refused, known = set[str](), {*photo_folders, *_CONTAINERS}
    strange: dict[Path, None] = {}
    for mask, named in files.masks.items():
        root = folder if mask == OBJECT else folder / mask
        for name in named:
            around = name.split("/")[:-1]
            odd = [part for part in around if name_key(part) not in known]
            if odd:
                strange[root / Path(*around[: around.index(odd[0]) + 1])] = None
                refused.add(name)
    for path in strange:
        asked = f"of {schema.label}: {', '.join(local) or 'none'}" if schema else "of the schema: --attributes"
        expected = f"a folder of a local attribute {asked}, or one that photos lie in"
        faults.add(str(path), "", expected=expected, got=repr(path.name))
    both = {attribute for attribute in files.asked if name_key(attribute) in photo_folders}
    return refused | {name for attribute in both for name in files.masks[attribute]}


def _sorted(folder: Path, files: MaskFiles, faults: Faults) -> Iterator[Path]:
    """What lies in a folder, without what systems put there, which is counted."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        faults.add(str(folder), "", expected="a readable folder", got=error.strerror or str(error))
        return
    for path in paths:
        if is_hidden(path.name):
            files.passed_over[HIDDEN] += 1
        else:
            yield path


def _add_tree(path: Path, mask: str, below: str, files: MaskFiles, faults: Faults) -> None:
    """Add a file, or all files below a folder, as masks of one name; ``below`` is its path from their root."""
    whole = file_ending(path) == ".png" and path.is_file()
    if not whole and path.is_dir() and not path.is_symlink():
        for inner in _sorted(path, files, faults):
            _add_tree(inner, mask, f"{below}/{inner.name}" if below else inner.name, files, faults)
        return
    name = below.removesuffix(path.suffix)
    if not whole:
        faults.add(str(path), "", expected="a PNG mask", got=_kind(path), remedy="take it out, or save it as PNG")
        files.barred.add(name)
    elif name in files.masks[mask]:
        faults.add(str(path), "", expected="one mask of this name", got=f"{files.masks[mask][name].name} as well")
        files.barred.add(name)
    else:
        files.masks[mask][name] = path


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a link to a folder"
    return f"a file {path.suffix}" if path.is_file() and path.suffix else "something else"


def _read_rows(path: Path, schema: AttributeSchema | None, files: MaskFiles, faults: Faults) -> None:
    """Add the rows of ``attributes.csv``; every bad one is a fault, and bars its photo."""
    known = {name_key(name): name for name in schema.names()} if schema else {}
    try:
        table = read_table(path, _COLUMNS)
    except (DataError, UsageError) as error:
        if isinstance(error, DataError):
            faults.extend(error.faults)
        else:
            faults.add(str(path), "", expected="a readable file", got=str(error))
        return
    files.passed_over.update(table.passed_over(_COLUMNS))
    for row in table.rows:
        file_name, attribute, value = (row.cells[name] for name in _COLUMNS)
        before = len(faults)
        if row.too_long:
            faults.add(str(path), row.line, expected=f"{len(table.header)} cells", got="more; quote those with a comma")
        elif name_key(attribute) not in known:
            asked = ", ".join(known.values()) or "a schema, with --attributes"
            faults.add(str(path), row.line, expected=f"one of {asked}", got=f"{attribute!r}")
        elif value.lower() not in _VALUES or not file_name:
            expected = f"a file and one of {', '.join(_VALUES)}"
            faults.add(str(path), row.line, expected=expected, got=f"{file_name!r} and {value!r}")
        if len(faults) == before:
            files.rows.append(AttributeRow(file_name, known[name_key(attribute)], _VALUES[value.lower()], row.line))
        elif file_name:
            files.barred.add(file_name)
