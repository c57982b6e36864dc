"""Reading the documents that people write by hand (YAML, JSON) into pydantic models, every fault at once.

A document may come from a stranger with a release: one that unfolds without end, or holds a key twice, is a fault, and
no message is as long as the document.
"""

from __future__ import annotations

import codecs
import json
import re
import reprlib
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from figureground.errors import DataError, Fault, UsageError
from figureground.runtime.files import file_ending
from figureground.schemas.records import NAME_PATTERN, NAME_WORDS

MOST_NODES: Final = 500_000
"""Most values that a document may hold, each reference to an anchor counted as all that it stands for. ImageNet's class
map of 1,000 classes has 10,000."""
MOST_LEVELS: Final = 100
"""Deepest nesting of a document."""
MOST_YAML_BYTES: Final = 1 << 20
"""Of a file, at 5 s a megabyte; the longest recipe that is shipped has 6 kB, an attribute schema of 1,000 100 kB."""
MOST_JSON_BYTES: Final = 1 << 26
"""Of a file, at 1 s; ImageNet's class map of 1,000 classes has 200 kB."""
_MOST_CHARACTERS: Final = 80


class Document(BaseModel):
    """A part of a hand-written document: frozen, and strange keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


_SPACES: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")


def same_form(text: str) -> str:
    """Text in the one form of those that look alike: NFC, with spaces of one width."""
    return text if text.isascii() else _SPACES.sub(" ", unicodedata.normalize("NFC", text))


def _check_name(name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError(NAME_WORDS)
    return name


Name = Annotated[str, AfterValidator(_check_name)]
"""A name that can stand in an id, a path and a config of ``datasets``."""

_SPLIT: Final = re.compile(r"(?!(?i:all)\Z)\w+(\.\w+)*", re.ASCII)  # datasets.naming; "all" is its word for all of them


def check_config_name(name: str) -> str:
    """The name of a config; ``ValueError`` with what would have been right."""
    if _check_name(name).startswith("."):
        raise ValueError("a name that does not begin with a dot: datasets and the Hub leave hidden files out")
    return name


def check_split_name(name: str) -> str:
    """The name of a split; ``ValueError`` with what would have been right."""
    if not _SPLIT.fullmatch(_check_name(name)):
        raise ValueError(
            "letters, digits and underscores, perhaps with dots between them, and not all: a split of datasets"
        )
    return name


ConfigName = Annotated[str, AfterValidator(check_config_name)]
"""A name that ``datasets`` takes for a config, and the Hub for a folder."""
SplitName = Annotated[str, AfterValidator(check_split_name)]
"""A name that ``datasets`` takes for a split."""


def check_config_names(names: Collection[str]) -> None:
    """Check the names of all configs of a dataset together; ``ValueError`` with what would have been right."""
    if "default" in names and len(names) > 1:
        raise ValueError("default alone, or another name: datasets takes it for the config that is loaded first")
    check_unlike(names)


def check_unlike(names: Collection[str]) -> None:
    """Check that no two names are one file's on a disk that does not tell capital letters from small ones.

    Raises:
        ValueError: with the names that are.
    """
    by_folded: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_folded[name.casefold()].append(name)
    if alike := sorted(name for group in by_folded.values() if len(group) > 1 for name in group):
        raise ValueError(f"names that differ in more than capital letters, unlike {', '.join(alike)}")


Model = TypeVar("Model", bound=BaseModel)


def read_document(path: Path, model: type[Model]) -> Model:
    """Read a YAML or JSON file as ``model``.

    Raises:
        UsageError: if there is no such file.
        DataError: with every fault of the file, each by the path of its key.
    """
    most_bytes = MOST_JSON_BYTES if file_ending(path) == ".json" else MOST_YAML_BYTES
    return parse_document(read_text(path, most_bytes=most_bytes), model, where=str(path))


def read_text(path: Path, *, most_bytes: int | None = None) -> str:
    """Text of a file that somebody wrote: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Args:
        path: The file.
        most_bytes: A larger one is a fault; None for no limit.

    Raises:
        UsageError: if there is no such file, or it may not be read.
        DataError: if it is larger, or other text.
    """
    try:
        if most_bytes is not None and path.stat().st_size > most_bytes:
            got = f"{path.stat().st_size}"
            raise DataError.single(str(path), "", expected=f"at most {most_bytes} bytes", got=got)
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = f"byte {data[error.start]:#04x}, in line {line}"
        raise DataError.single(
            str(path), "", expected="UTF-8 text", got=got, remedy="save it as UTF-8, not in the encoding of a country"
        ) from error


def parse_document(text: str, model: type[Model], *, where: str) -> Model:
    """Parse YAML or JSON text as ``model``; ``where`` is its name in errors. Raises as ``read_document``."""
    return validate_document(parse_text(text, where=where), model, where=where)


def parse_text(text: str, *, where: str, as_json: bool | None = None) -> Any:  # noqa: ANN401  whatever the text holds
    """The value of YAML text, or of JSON text where ``where`` ends in ``.json`` or ``as_json`` says so.

    Raises:
        DataError: for text that is not well-formed, holds a key twice in one mapping, or has more than ``MOST_NODES``
            values or ``MOST_LEVELS`` levels.
    """
    is_json = file_ending(where) == ".json" if as_json is None else as_json
    try:
        value = json.loads(text, object_pairs_hook=_unique_pairs) if is_json else _load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # nesting ends in the last one
        line, got = _complaint(error)
        expected = "well-formed JSON" if is_json else "well-formed YAML"
        raise DataError.single(where, line, expected=expected, got=got) from error
    return value


def _complaint(error: Exception) -> tuple[str, str]:
    """The line that a parser complains about, empty where it names none, and the complaint in one line."""
    if isinstance(error, RecursionError):
        return "", f"more than {MOST_LEVELS} levels"
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}", error.msg
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}", " ".join(str(error.problem or error.context).split())[:300]
    return "", " ".join(str(error).split())[:300]


def validate_document(value: Any, model: type[Model], *, where: str) -> Model:  # noqa: ANN401  what a parser gave
    """Check a parsed document against ``model``. Raises as ``read_document``."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise DataError(_fault(where, details) for details in error.errors(include_url=False)) from error
    except RecursionError as error:
        raise DataError.single(where, "", expected="values that are nested a few levels", got="more") from error


def shown(value: Any) -> str:  # noqa: ANN401  whatever a document holds
    """A value for a message: as Python spells it, at most 80 characters, however large it is."""
    text = _SHORT.repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."


class _ShortRepr(reprlib.Repr):
    """Spells out the beginning of a value alone: what is shared a thousand times is not spelled a thousand times."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple = 4, 6, 8, 8
        self.maxstring = self.maxother = _MOST_CHARACTERS

    def repr_int(self, x: int, level: int) -> str:
        """A number; one of more digits than Python spells is told by its size."""
        return repr(x) if x.bit_length() <= 256 else f"a number of {x.bit_length()} bits"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """A mapping in its own order; ``reprlib`` sorts it."""
        if level <= 0:
            return "{...}"
        parts = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in list(x)[: self.maxdict]]
        return "{" + ", ".join(parts + (["..."] if len(x) > self.maxdict else [])) + "}"


_SHORT: Final = _ShortRepr()


class _Loader(yaml.SafeLoader):
    """Plain YAML, in which a key stands once in its mapping, and references do not unfold without end."""

    def get_single_node(self) -> yaml.Node | None:
        """The document, measured before anything is made of it."""
        node = super().get_single_node()
        if node is not None:
            _measure(node, {}, 0)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401  whatever the node is
        """A value; an explicit tag (``!!int x``) that does not fit is a fault of its line."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            got = f"{shown(node.value)}, which is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, got, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping; what ``<<`` brings may be said again, by the keys of the mapping itself."""
        first: dict[Any, Any] = {}
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in first:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} twice, first in line {first[key]}", key_node.start_mark
                )
            first[key if isinstance(key, Hashable) else id(key_node)] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


def _load_yaml(text: str) -> Any:  # noqa: ANN401  whatever the text holds
    return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader


def _measure(node: yaml.Node, known: dict[int, int | None], level: int) -> int:
    """Number of values in a node, each reference counted as all that it stands for.

    Raises:
        yaml.YAMLError: for more than a document may hold, and for a node that holds itself.
    """
    if known.get(id(node), 0) is None or level > MOST_LEVELS:
        raise yaml.composer.ComposerError(
            None, None, f"more than {MOST_LEVELS} levels, or a value that holds itself", node.start_mark
        )
    if (count := known.get(id(node))) is not None:
        return count
    known[id(node)] = None
    children = node.value if isinstance(node, yaml.CollectionNode) else []
    parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
    count = 1
    for part in parts:
        count += _measure(part, known, level + 1)
        if count > MOST_NODES:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_NODES} values", node.start_mark)
    known[id(node)] = count
    return count


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} twice in one object")
    return value


def _fault(where: str, details: Any) -> Fault:  # noqa: ANN401  pydantic's ErrorDetails
    key_path = ".".join(str(part)[:_MOST_CHARACTERS] for part in details["loc"])
    got = shown(details["input"])
    if details["type"] == "extra_forbidden":
        return Fault(where=where, record=key_path, expected="no such key", got=got, remedy="check its spelling")
    if details["type"] == "missing":
        return Fault(where=where, record=key_path, expected="a value", got="none", remedy="add the key")
    return Fault(where=where, record=key_path, expected=details["msg"].removeprefix("Value error, "), got=got)
