"""Long lists in a JSON text, element by element: a file of hundreds of megabytes never becomes one Python object."""

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
        DataError: at the place where the text is no such object.
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
    """A place in JSON text, which moves on value by value. Raises ``ValueError`` where the text is none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._decoder = JSONDecoder(parse_constant=_refuse_constant)

    def value(self) -> Any:  # noqa: ANN401  any JSON value
        """The value that stands here."""
        self._skip_space()
        found, self._place = self._decoder.raw_decode(self._text, self._place)
        return found

    def members(self, brackets: str) -> Iterator[None]:
        """Stop before each member of an object or a list, whose brackets are given."""
        closing = brackets[1]
        self.expect(brackets[0])
        self._skip_space()
        if self._text.startswith(closing, self._place):
            self.expect(closing)
            return
        while True:
            yield
            if self.expect(f",{closing}") == closing:
                return

    def expect(self, chars: str) -> str:
        """Pass one of ``chars``, and return it."""
        self._skip_space()
        found = self._text[self._place : self._place + 1]
        if not found or found not in chars:
            wanted = " or ".join(map(repr, chars))
            raise ValueError(f"{wanted} expected at char {self._place}, found {found or 'the end'!r}")
        self._place += 1
        return found

    def expect_end(self) -> None:
        """Check that nothing follows."""
        self._skip_space()
        if self._place < len(self._text):
            raise ValueError(f"nothing more expected at char {self._place}")

    def _skip_space(self) -> None:
        found = _NO_SPACE.search(self._text, self._place)
        self._place = found.start() if found else len(self._text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is no JSON number")
