"""Pickles of plain text, read without the power to run anything.

A pickle is a program. RIVAL10 keeps its masks in pickles, and a dict of strings needs few words of that language: any
other word is refused before the file is run, and what is run can neither import nor call.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, Final, NoReturn

from figureground.errors import DataError

MOST_BYTES: Final = 64_000_000
"""Of one file: a few dozen masks of a megapixel or so in base64."""

_WORDS: Final = frozenset(
    {
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "POP",
        "POP_MARK",
        "EMPTY_DICT",
        "DICT",
        "SETITEM",
        "SETITEMS",
        "MEMOIZE",
        "PUT",
        "BINPUT",
        "LONG_BINPUT",
        "GET",
        "BINGET",
        "LONG_BINGET",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
    }
)
_PUTS: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


class _PlainUnpickler(pickle.Unpickler):
    """Refuses the two ways in which a pickle reaches beyond itself."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> NoReturn:  # noqa: ANN401  whatever the pickle holds
        raise pickle.UnpicklingError(f"it asks for the outside object {pid!r:.40}")


def read_plain_dict(data: bytes, *, where: str) -> dict[str, str | bytes]:
    """Unpickle a dict of strings to strings or bytes; nothing in it is ever called.

    Args:
        data: The file.
        where: What to call it in an error.

    Raises:
        DataError: if it is anything else, damaged, or larger than ``MOST_BYTES``.
    """
    expected = "a pickled dict of text, no more"
    if len(data) > MOST_BYTES:
        raise DataError.single(where, "", expected=f"at most {MOST_BYTES} bytes", got=f"{len(data)} bytes")
    try:
        _require_plain_words(data)
        content = _PlainUnpickler(io.BytesIO(data)).load()
    except Exception as error:  # unpickling raises nearly anything on damaged bytes
        got = f"{error or type(error).__name__}"
        raise DataError.single(where, "", expected=expected, got=got, remedy="do not open it otherwise") from error
    if type(content) is not dict:
        raise DataError.single(where, "", expected=expected, got=f"a {type(content).__name__}")
    for name, value in content.items():
        if type(name) is not str or type(value) not in (str, bytes):
            got = f"{type(value).__name__} under {name!r:.40}"
            raise DataError.single(where, "", expected=expected, got=got)
    return content


def _require_plain_words(data: bytes) -> None:
    """Read the program without running it. A memo index is bounded because the C reader allocates up to it."""
    for count, (word, argument, _) in enumerate(pickletools.genops(data)):
        if word.name not in _WORDS:
            shown = f" {argument!r:.60}" if argument is not None else ""
            raise pickle.UnpicklingError(f"the instruction {word.name}{shown}")
        if word.name in _PUTS and int(argument or 0) > count:
            raise pickle.UnpicklingError(f"the memo index {argument}")
