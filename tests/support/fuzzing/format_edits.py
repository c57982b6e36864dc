"""Files of binary formats made a little wrong inside of sound containers: checksums, footers and headers still fit."""

from __future__ import annotations

import io
import random
import re
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from byte_edits import BYTE_EDITS, MOST_BYTES, VALUES, Edit, edit_csv, edit_json, edit_tree, edit_yaml, flip, recode

_CHUNKS: Final = tuple(b"IHDR IDAT PLTE tRNS zTXt iTXt tEXt iCCP acTL fcTL eXIf gAMA".split())
_SIMPLE: Final = (pa.string(), pa.binary(), pa.int8(), pa.int64(), pa.uint64(), pa.float64(), pa.bool_(), pa.null())
_TYPES: Final = (*_SIMPLE, pa.list_(pa.int32()), pa.struct([("x", pa.float64())]), pa.date32(), pa.timestamp("ns"))
_SIZES: Final = (b"77777777777", b"\x80" + bytes(10) + b"\x40", b"\xff" * 12, b"-0000000001", b"x", b"00000000000")
_KINDS: Final = tuple(b"L K x g S D 1 2 6 7 V".split())
_NAMES: Final = (b"../x", b"/x", b"", b"\xff" * 20, b"a/" * 40, b".", b"x")
_TAR_FIELDS: Final = ((0, 100), (124, 12), (124, 12), (156, 1), (156, 1), (257, 8), (345, 155), (386, 126))
_METADATA: Final = (b"", b"\xff", b"[" * 2000, b"1e999", b"{}", b"[]", b'{"a": 1e999}', b"9" * 4400, b"null")


def edit_png(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A PNG with a chunk changed, moved, repeated or lost; each checksum is right."""
    chunks, start = [], 8
    while start + 12 <= len(data):
        (length,) = struct.unpack(">I", data[start : start + 4])
        chunks.append((data[start + 4 : start + 8], data[start + 8 : start + 8 + length]))
        start += 12 + length
    place, deed = rng.randrange(len(chunks)), rng.randrange(6)
    name, body = chunks[place]
    if deed == 0:
        del chunks[place]
    elif deed == 1:
        chunks.insert(rng.randrange(len(chunks) + 1), (name, body))
    elif deed == 2:
        filling = rng.choice((b"", b"\0", bytes(rng.randrange(300)), b"a\0\0" + zlib.compress(bytes(200_000)), body))
        chunks.insert(rng.randrange(1, len(chunks) + 1), (rng.choice(_CHUNKS), filling))
    elif name == b"IDAT" and deed == 3:
        chunks[place] = (name, zlib.compress(flip(zlib.decompress(body), (), rng)))
    else:
        chunks[place] = (name, flip(body, (), rng) if body else b"x")
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def edit_jpeg(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A JPEG with a segment lost, moved, repeated, changed or of another size; scans go with their data."""
    starts = [match.start() for match in re.finditer(rb"\xff[\xc0-\xcf\xda-\xfe]", data)] or [2]
    parts = [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]
    place, deed = rng.randrange(len(parts)), rng.randrange(5)
    if deed == 0:
        del parts[place]
    elif deed == 1:
        parts.insert(rng.randrange(len(parts) + 1), parts[place])
    elif deed == 2:
        parts[place] = parts[place] * rng.choice((2, 30, 100))
    elif deed == 3 and parts[place][1] in (0xC0, 0xC1, 0xC2):
        sides = (1, 17, 3000, 9000, 65_500)
        parts[place] = parts[place][:5] + struct.pack(">HH", rng.choice(sides), rng.choice(sides)) + parts[place][9:]
    else:
        parts[place] = parts[place][:4] + flip(parts[place][4:] or b"x", (), rng)
    return data[: starts[0]] + b"".join(parts)


_SIDES: Final = (0, 1, 17, 300, 9000, 16_383, 65_535)
_SIZE_FIELDS: Final[Mapping[bytes, tuple[tuple[int, ...], str]]] = {
    b"GIF8": ((6, 8), "<H"),
    b"BM": ((18, 22, 30), "<I"),  # and how it is packed
    b"RIFF": ((26, 28, 21), "<H"),
    b"II*\0": ((18, 30, 42, 54, 66, 78, 90), "<I"),  # whatever tags those values are of
}


def edit_size(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A photo whose header tells another size, or packing."""
    fields, form = next(fields for beginning, fields in _SIZE_FIELDS.items() if data.startswith(beginning))
    edited, place = bytearray(data), rng.choice(fields)
    struct.pack_into(form, edited, place, rng.choice(_SIDES))
    return bytes(edited)


def edit_tar(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A tar archive with a header changed and its checksum right, or with blocks repeated or lost."""
    blocks = [data[start : start + 512].ljust(512, b"\0") for start in range(0, len(data), 512)]
    headers = [number for number, block in enumerate(blocks) if block[257:262] == b"ustar"]
    place, deed = rng.choice(headers), rng.randrange(6)
    block = bytearray(blocks[place])
    if deed == 0:
        del blocks[place]
    elif deed == 1:
        blocks.insert(place, blocks[place])
    else:
        start, size = rng.choice(_TAR_FIELDS)
        filling = rng.choice({1: _KINDS, 12: _SIZES}.get(size, _NAMES))
        block[start : start + size] = filling.ljust(size, b"\0")[:size]
        block[148:156] = b" " * 8
        block[148:156] = f"{sum(block):06o}\0 ".encode()
        blocks[place] = bytes(block)
    return b"".join(blocks)


_HEADERS: Final = (
    "{'descr': '|b1', 'fortran_order': False, 'shape': (100000, 100000), }",
    "{'descr': '|b1', 'fortran_order': False, 'shape': (-1, 3), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (), }",
    "{'descr': '<U2000000000', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '|V8', 'fortran_order': False, 'shape': (1, 1), }",
    "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1, 1), }",
    "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1, 1), }",
    "{'descr': '<c16', 'fortran_order': False, 'shape': (1, 1), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999999999999, 1), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1" + "L" * 9 + ", 1), }",
    "{'descr': ('<f8', (2, 2)), 'fortran_order': 1, 'shape': (True, 1), }",
    "{" * 300,
    "(" * 9000,
    "{'descr': '<f8'",
    "[1]",
)


def edit_npy(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """An array under another header."""
    header = rng.choice(_HEADERS).encode() + b"\n"
    body = data[10 + int.from_bytes(data[8:10], "little") :]
    return data[:8] + len(header).to_bytes(2, "little") + header + body + bytes(rng.choice((0, 0, 8, 64)))


def edit_zip(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A zip of arrays with a member changed, lost, repeated or very large; checksums are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    place, deed = rng.randrange(len(members)), rng.randrange(5)
    name, body = members[place]
    if deed == 0:
        del members[place]
    elif deed == 1:
        members.append((rng.choice(("../x.npy", "x", "label.npy", "x" * 300)), body))
    elif deed == 2:
        zeros = io.BytesIO()
        np.save(zeros, np.zeros(rng.choice((0, 1, 7, 3_000_000)), rng.choice((np.bool_, np.int8, np.float64))))
        members[place] = (name, zeros.getvalue())
    else:
        members[place] = (name, edit_npy(body, others, rng) if deed == 3 else flip(body, (), rng))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return made.getvalue()


def edit_parquet(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A table with a column of another type, with gaps, lost, renamed or repeated, other metadata, or other values."""
    table = pq.read_table(io.BytesIO(data))
    place, deed = rng.randrange(table.num_columns), rng.randrange(8)
    name = table.column_names[place]
    if deed == 0:
        table = table.drop_columns([name])
    elif deed == 1:
        kind = rng.choice(_TYPES)
        table = table.set_column(place, name, pa.array([_sample(kind)] * table.num_rows, kind))
    elif deed == 2:
        name = rng.choice(("x", "", "a.b", table.column_names[0]))
        new = [name if at == place else old for at, old in enumerate(table.column_names)]
        table = table.rename_columns(new)
    elif deed == 3:
        rows = [rng.randrange(table.num_rows) for _ in range(rng.choice((0, 1, table.num_rows, 2 * table.num_rows)))]
        table = table.take(pa.array(rows, pa.int64())) if table.num_rows else table
    elif deed == 4:
        metadata = dict(table.schema.metadata or {})
        key = rng.choice([*metadata, b"x"])
        metadata[key] = rng.choice(_METADATA)
        table = table.replace_schema_metadata(metadata)
    else:
        cells = table.column(place).to_pylist()
        for _ in range(rng.choice((1, 1, len(cells)))):
            row = rng.randrange(len(cells))
            cells[row] = None if rng.random() < 0.2 else edit_tree(cells[row], rng)
        table = table.set_column(place, table.schema.field(place), _array(cells, table.schema.field(place).type))
    made = io.BytesIO()
    pq.write_table(table, made, row_group_size=rng.choice((1, 3, 1 << 20)), compression="none", store_schema=True)
    return made.getvalue()


def _array(cells: list[Any], kind: pa.DataType) -> pa.Array:
    """The cells that fit a type, and gaps in place of the others."""
    fitting = []
    for cell in cells:
        try:
            pa.array([cell], kind)
        except (pa.ArrowException, ValueError, TypeError, OverflowError, UnicodeError):
            cell = None
        fitting.append(cell)
    return pa.array(fitting, kind)


def _sample(kind: pa.DataType) -> Any:
    samples = {pa.string(): "x", pa.binary(): b"\xff", pa.float64(): 1.5, pa.bool_(): True, pa.null(): None}
    if kind in samples:
        return samples[kind]
    if pa.types.is_list(kind):
        return [1]
    return {"x": 1.5} if pa.types.is_struct(kind) else 1


def edit_sqlite(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A database with a cell, column, table or version changed by a statement of its own language."""
    with sqlite3.connect(":memory:") as connection:
        connection.deserialize(data)
        connection.execute("PRAGMA writable_schema = ON")
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = rng.choice(tables)
        column = rng.choice([row[1] for row in connection.execute(f"PRAGMA table_info({table})")])
        value = rng.choice([value for value in VALUES if not isinstance(value, list | dict)])
        plain = str(value) if isinstance(value, int) and abs(value) >= 1 << 63 else value
        statement, values = rng.choice(
            (
                (f"UPDATE {table} SET {column} = ?", (plain,)),
                (f"UPDATE {table} SET {column} = ?", (plain,)),
                (f"UPDATE {table} SET {column} = CAST(x'ff80' AS TEXT)", ()),
                (f"UPDATE {table} SET {column} = ?", ("[" * 2000,)),
                (f"DELETE FROM {table}", ()),
                (f"DROP TABLE {table}", ()),
                (f"ALTER TABLE {table} DROP COLUMN {column}", ()),
                (f"ALTER TABLE {table} RENAME COLUMN {column} TO strange", ()),
                (f"ALTER TABLE {table} ADD COLUMN strange TEXT", ()),
                (f"PRAGMA user_version = {rng.choice((-1, 0, 1, 2, 99))}", ()),
                (f"UPDATE sqlite_master SET sql = replace(sql, 'TEXT', 'BLOB') WHERE name = '{table}'", ()),
                (f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END", ()),
            )
        )
        connection.execute(statement, values)
        if rng.random() < 0.15 and statement.startswith("DROP"):
            connection.execute(
                f"CREATE VIEW {table} AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                f"SELECT i AS {column} FROM n"
            )
        connection.commit()
        return connection.serialize()


_BY_BEGINNING: Final[Mapping[bytes, Edit]] = {
    b"\x89PNG": edit_png,
    b"\x93NUMPY": edit_npy,
    b"PK\x03\x04": edit_zip,
    b"PAR1": edit_parquet,
    b"SQLite format 3": edit_sqlite,
    b"\xff\xd8": edit_jpeg,
    **dict.fromkeys(_SIZE_FIELDS, edit_size),
}
_BY_ENDING: Final[Mapping[str, tuple[Edit, ...]]] = {
    ".json": (edit_json, edit_json, edit_json, recode),
    ".yaml": (edit_yaml, edit_yaml, recode),
    ".csv": (edit_csv, edit_csv, edit_csv, recode),
    ".tar": (edit_tar,),
    ".md": (recode,),
    ".xml": (recode,),
}


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random, ending: str) -> bytes:
    """An input with one to four edits, most of them ones that know the format.

    Args:
        data: The input.
        others: Inputs of the same parser, at least one.
        rng: Decides everything.
        ending: Ending of the parser's files, such as ``.json``.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        own = next((edit for beginning, edit in _BY_BEGINNING.items() if data.startswith(beginning)), None)
        structured = (own,) if own else _BY_ENDING.get(ending, ())
        edit: Callable[..., bytes] = rng.choice(structured if structured and rng.random() < 0.6 else BYTE_EDITS)
        try:
            data = edit(data, others, rng)
        except Exception:  # what it knows of the format is wrong here by now
            data = rng.choice(BYTE_EDITS)(data or b"0", others, rng)
        data = data or b"0"
    longest = max(MOST_BYTES, *map(len, others))
    return data[:longest]
