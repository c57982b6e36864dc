"""The page as it is sent: one template, with what the dataset has to choose from."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import jinja2

from figureground.exports.viewing.gallery import Gallery

FILES: Final = {"page.css": "text/css", "page.js": "text/javascript", "page.svg": "image/svg+xml"}
"""Files that the page loads, with their media types."""


def render_page(gallery: Gallery) -> str:
    """The page of a gallery; names of a stranger's dataset are text in it, never markup."""
    return _template().render(about=gallery.about())


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    text = (files("figureground.exports.viewing") / "page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)
