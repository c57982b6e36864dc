"""Reading the documents that people write by hand (YAML, JSON) into pydantic models, every fault at once."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from figureground.errors import DataError, Fault, UsageError
from figureground.schemas.records import NAME_PATTERN


class Document(BaseModel):
    """A part of a hand-written document: frozen, and strange keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def _check_name(name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError("1 to 128 letters, digits, dots, dashes and underscores, and not dots alone")
    return name


Name = Annotated[str, AfterValidator(_check_name)]
"""A name that can stand in an id, a path and a config of ``datasets``."""

Model = TypeVar("Model", bound=BaseModel)


def read_document(path: Path, model: type[Model]) -> Model:
    """Read a YAML or JSON file as ``model``.

    Raises:
        UsageError: if there is no such file.
        DataError: with every fault of the file, each by the path of its key.
    """
    return parse_document(read_text(path), model, where=str(path))


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
    try:
        value: Any = json.loads(text) if where.endswith(".json") else yaml.safe_load(text)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise DataError.single(where, "", expected="well-formed YAML or JSON", got=str(error)) from error
    return validate_document(value, model, where=where)


def validate_document(value: Any, model: type[Model], *, where: str) -> Model:  # noqa: ANN401  what a parser gave
    """Check a parsed document against ``model``. Raises as ``read_document``."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise DataError(_fault(where, details) for details in error.errors(include_url=False)) from error


def _fault(where: str, details: Any) -> Fault:  # noqa: ANN401  pydantic's ErrorDetails
    key_path = ".".join(str(part) for part in details["loc"])
    got = repr(details["input"])
    shown = got if len(got) <= 80 else f"{got[:77]}..."
    if details["type"] == "extra_forbidden":
        return Fault(where=where, record=key_path, expected="no such key", got=shown, remedy="check its spelling")
    if details["type"] == "missing":
        return Fault(where=where, record=key_path, expected="a value", got="none", remedy="add the key")
    return Fault(where=where, record=key_path, expected=details["msg"].removeprefix("Value error, "), got=shown)
