"""Long lists in a JSON text, element by element: a file of hundreds of megabytes never becomes one Python object.

ijson 3.6 was tried instead. It takes four times as long for COCO's polygons, reads a lone surrogate as a question mark,
and its C parser ends the whole process (segmentation fault) at a number of more than 4,300 digits; told to read numbers
as C does, it refuses a whole file for one number beyond 64 bits, where here that annotation alone is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from json import JSONDecoder
from typing import Any, Final

from figureground.errors import DataError

_NO_SPACE: Final = re.compile(r"[^ \t\n\r]")


def list_elements(text: str, names: Collection[str], *, where: str) -> Iterator[tuple[str, int, Any]]:
    """Every element of some lists of a JSON object, in the order of the text; its other members are passed over.

    Args:
        text: The object.
        names: Names of the lists, which must all be there.
        where: What the text is called in an error.

    Yields:
        The list's name, the element's position in it, the element.

    Raises:
        DataError: if the text is no such object, with the position of the first character that is wrong.
    """
    cursor, missing = _Cursor(text), set(names)
    try:
        for _ in cursor.members("{}"):
            key = cursor.value()
            cursor.expect(":")
            if not isinstance(key, str):
                raise ValueError(f"a key that is text expected, found {key!r:.20}")
            if key in missing:
                missing.remove(key)
                for position, _ in enumerate(cursor.members("[]")):
                    yield key, position, cursor.value()
            elif key in names:
                raise ValueError(f"a second list {key}")
            else:
                cursor.value()
        cursor.expect_end()
    except (ValueError, RecursionError) as error:
        got = str(error) or type(error).__name__
        raise DataError.single(where, "", expected="one JSON object", got=got) from error
    if missing:
        got = f"none called {', '.join(sorted(missing))}"
        raise DataError.single(where, "", expected=f"the lists {', '.join(names)}", got=got)


class _Cursor:
    """A position in JSON text, which moves on value by value. Raises ``ValueError`` where the text is no JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._decoder = JSONDecoder(parse_constant=_refuse_constant)

    def value(self) -> Any:  # noqa: ANN401  any JSON value
        """The value at this position; moves past it."""
        self._skip_space()
        value, self._position = self._decoder.raw_decode(self._text, self._position)
        return value

    def members(self, brackets: str) -> Iterator[None]:
        """Stop before each member of an object or a list, whose brackets are given."""
        closing = brackets[1]
        self.expect(brackets[0])
        self._skip_space()
        if self._text.startswith(closing, self._position):
            self.expect(closing)
            return
        while True:
            yield
            if self.expect(f",{closing}") == closing:
                return

    def expect(self, chars: str) -> str:
        """Move past one of ``chars``, and return it."""
        self._skip_space()
        char = self._text[self._position : self._position + 1]
        if not char or char not in chars:
            wanted = " or ".join(map(repr, chars))
            raise ValueError(f"{wanted} expected at char {self._position}, found {char or 'the end'!r}")
        self._position += 1
        return char

    def expect_end(self) -> None:
        """Check that nothing follows."""
        self._skip_space()
        if self._position < len(self._text):
            raise ValueError(f"nothing more expected at char {self._position}")

    def _skip_space(self) -> None:
        match = _NO_SPACE.search(self._text, self._position)
        self._position = match.start() if match else len(self._text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is no JSON number")
