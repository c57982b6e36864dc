"""What an address asks for, as a filter and a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from figureground.errors import UsageError
from figureground.exports.viewing.filters import PageRequest, RowFilter

_SEVERAL: Final = ("config", "split", "label", "state", "part")
"""Criteria that may be given several times."""


def parse_request(pairs: Iterable[tuple[str, str]]) -> tuple[RowFilter, PageRequest]:
    """The filter and the page of an address's query.

    Args:
        pairs: Names and values in their order; empty values are as if left out.

    Raises:
        UsageError: with every name that there is not, and every value that cannot be.
    """
    asked, page = dict[str, Any](), dict[str, Any]()
    for name, value in pairs:
        if name in PageRequest.model_fields:
            page[name] = value
        elif name in _SEVERAL:
            asked.setdefault(name, []).append(value)
        elif value:
            asked[name] = value
    try:
        return RowFilter.model_validate(asked), PageRequest.model_validate(page)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:10]]
        raise UsageError("; ".join(lines)) from error
