"""Inputs made a little wrong: bytes, words and numbers that parsers stumble over, and values of JSON, YAML and CSV."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import yaml

MOST_BYTES: Final = 1 << 13
"""Of a made input that grew; good inputs may be larger."""

_NUMBERS: Final = "NaN Infinity -Infinity 1e999 -1e999 -0 0 -1 1e308 0.1 0x 0o9 1:2:3 1_000 2147483648 4294967296"
_MORE_NUMBERS: Final = "9223372036854775808 18446744073709551616 2026-01-01 9999-12-31T23:59:59-23:59 ٣ ²"
_MARKS: Final = "null true [] {} [[]] \"\" '' \\ \" ' , ; # : | >- ~ ... --- *a %TAG * [v2] é e\u0301 💩"
_ESCAPES: Final = "\\ud800 \\u0000 \\udfff\\ud800"
_TAGS: Final = (
    "!!int x|!!float x|!!bool x|!!timestamp 2001-99-99|!!binary x|!!set {a}|!!omap [a]|&a [*a, *a]|<<: *a|<<: [1]|"
    "? [a]|!!python/object/apply:os.getcwd []|<!DOCTYPE a [<!ENTITY b 'c'>]>|&#xD800;|&#0;|&b;|<![CDATA[|]]>|"
    "<?xml version='1.0'?>|../../x|/etc/passwd|C:\\x|a/b|.|..|.hidden|data:image/png;base64,|__class__|<script>|"
    "{{7*7}}|%s%n|' OR 1=1 --|\x1b]52;c;eA==\x07|\x1b[2J|\u202e|\r|\n|\r\n|\t"
)
_BYTES: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff", b"\x00", b"\xc0\x80", b"\xed\xa0\x80")
_LONG: Final = ("9" * 400, "9" * 4400, "[" * 1200, '{"a":' * 1200, "- " * 1200, "(" * 300, "<a>" * 1200)

WORDS: Final = (
    *(word.encode() for text in (_NUMBERS, _MORE_NUMBERS, _MARKS, _ESCAPES) for word in text.split()),
    *(word.encode() for word in (*_TAGS.split("|"), *_LONG)),
    *_BYTES,
)
"""What has made some parser fail before."""


def _nested(levels: int) -> Any:
    tree: Any = None
    for _ in range(levels):
        tree = [tree]
    return tree


_WHOLE: Final = (0, 1, -1, 2, 255, 256, 1 << 31, 1 << 32, 1 << 63, 1 << 64, -(1 << 63), 10**400, 100_000_000)
_REAL: Final = (0.5, -0.0, 1e308, float("inf"), float("-inf"), float("nan"))
_TEXTS: Final = ("", " ", "0", "-1", "x", "NaN", "1e999", "\0", "\ud800", "\u202e", "../../x", "/etc/passwd")
_MORE_TEXTS: Final = (
    "x" * 300,
    "\x1b]0;x\x07",
    "two\nlines",
    "e\u0301",
    "٣",
    "²",
    "2026-01-01",
    "0001-01-01T00:00:00+23:59",
)
_TREES: Final[tuple[Any, ...]] = ([], {}, [[]], {"": None}, [None], [1], ["x"], {"a": 1}, [[1, 2], [3]], _nested(150))

VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, *_WHOLE, *_REAL, *_TEXTS, *_MORE_TEXTS, "x" * 5000, "9" * 4400, *_TREES),
)
"""What stands in a tree where something else belongs."""

Edit = Callable[[bytes, Sequence[bytes], random.Random], bytes]


def flip(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """Some bytes are others."""
    edited = bytearray(data)
    for _time in range(rng.choice((1, 1, 1, 2, 4, 16))):
        place = rng.randrange(len(edited))
        edited[place] = rng.choice((edited[place] ^ (1 << rng.randrange(8)), rng.randrange(256), 0, 255))
    return bytes(edited)


def cut(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """A piece is missing, often the end."""
    start, stop = sorted((rng.randrange(len(data)), rng.randrange(len(data) + 1)))
    return data[:start] if rng.random() < 0.3 else data[:start] + data[min(stop, start + rng.choice((1, 4, 64))) :]


def repeat(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """A piece stands there several times."""
    start = rng.randrange(len(data))
    piece = data[start : start + rng.choice((1, 2, 8, 64, 512))]
    return data[:start] + piece * rng.choice((2, 3, 50, 400)) + data[start:]


def insert(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """A word in the middle, in place of as many bytes, or of what stood between two marks."""
    word = rng.choice(WORDS)
    place = rng.randrange(len(data) + 1)
    return data[:place] + word + data[place + rng.choice((0, 0, len(word), 1, 8)) :]


def number(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """A binary number of 1, 2, 4 or 8 bytes is another."""
    size = rng.choice((1, 2, 4, 8))
    place = rng.randrange(max(len(data) - size, 0) + 1)
    value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, (1 << 31) - 1, 1 << 31, (1 << 64) - 1))
    order: Any = rng.choice(("little", "big"))
    return data[:place] + (value % (1 << 8 * size)).to_bytes(size, order) + data[place + size :]


def splice(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """The beginning of one input and the end of another."""
    other = rng.choice(others)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


BYTE_EDITS: Final[tuple[Edit, ...]] = (flip, flip, cut, repeat, insert, insert, number, splice)


# Trees


def edit_tree(tree: Any, rng: random.Random) -> Any:
    """A tree of dicts and lists with one place changed: another value, a lost, a strange or a repeated member."""
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.12:
        return rng.choice(VALUES)
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = rng.choice(keys)
    edited: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    deed = rng.random()
    if deed < 0.7:
        edited[key] = edit_tree(tree[key], rng)
    elif deed < 0.8:
        del edited[key]
    elif isinstance(edited, dict):
        new = rng.choice(VALUES) if rng.random() < 0.5 else rng.choice(keys)
        edited[new if isinstance(new, str) else str(new)[:40]] = tree[key]
    elif deed < 0.95:
        edited.insert(rng.randrange(len(edited) + 1), tree[key])
    else:
        edited += [tree[key]] * rng.choice((1, 3, 200))
    return edited


def edit_json(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """JSON whose value is another."""
    return json.dumps(edit_tree(json.loads(data), rng)).encode("utf-8", "surrogatepass")


def edit_yaml(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """YAML whose value is another, with anchors where a part stands twice."""
    tree = edit_tree(yaml.load(data, yaml.CSafeLoader), rng)
    return yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False).encode("utf-8", "surrogatepass")


def edit_csv(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A table with one cell, row or column changed."""
    rows = list(csv.reader(io.StringIO(data.decode())))
    row = rng.choice(rows)
    deed = rng.randrange(6)
    if deed == 0:
        rows.remove(row)
    elif deed == 1:
        rows.insert(rng.randrange(len(rows) + 1), [*row])
    elif deed == 2:
        row.append(str(rng.choice(VALUES)))
    elif deed == 3:
        rows = [[cell for place, cell in enumerate(cells) if place] for cells in rows]
    elif row:
        row[rng.randrange(len(row))] = rng.choice((rng.choice(WORDS).decode("latin-1"), str(rng.choice(VALUES))))
    text = io.StringIO()
    csv.writer(text, delimiter=rng.choice((",", ",", ",", ";", "\t")), quoting=csv.QUOTE_MINIMAL).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def recode(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """The same text in another encoding, with or without its mark."""
    return data.decode().encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037", "utf-7")), "replace")
