"""The page of a build as one HTML file: style, script, pictures and rows are in it, and it asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
import numpy as np
from markupsafe import Markup

from figureground.exports.build_report.facts import BuildFacts
from figureground.exports.build_report.row_packs import RowPacks
from figureground.exports.build_report.shown import DonorPair, ShownPhoto
from figureground.exports.build_report.thumbnails import Thumbnail
from figureground.exports.viewing.columns import Coded, RowColumns

_OPEN_PHOTOS: Final = 60
"""Photos up to which the sheets of all classes are unfolded; else the first class alone is."""
_SHORT_ID: Final = 8
_NO_CLASS: Final = "no class"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPage:
    """What the page shows."""

    facts: BuildFacts
    columns: RowColumns
    photos: Sequence[ShownPhoto]
    pairs: Sequence[DonorPair]
    thumbnails: Mapping[int, Thumbnail]
    packs: RowPacks

    def render(self) -> str:
        """Its text; names of a stranger's dataset are text in it, never markup."""
        columns, style, script = self.columns, _file("page.css"), _file("page.js")
        return _template().render(
            facts=self.facts,
            style=Markup(style),  # noqa: S704  ours
            script=Markup(script),  # noqa: S704  ours
            policy=_policy(style, script),
            classes=self._classes(),
            all_open=len(self.photos) <= _OPEN_PHOTOS,
            pairs=self._pairs(),
            packs=self.packs,
            pixels=columns.has_pixels,
            masks=bool(np.isfinite(columns.area).any()),
            counts={
                "photos": len(self.photos),
                "of_photos": len(columns.image.names),
                "rows": sum(len(photo.rows) for photo in self.photos),
                "of_rows": columns.rows,
                "listed": len(self.packs.rows),
            },
            listed=self._listed(),
            configs=columns.config.names,
            choices={
                name: _used_names(column)
                for name, column in (
                    ("config", columns.config),
                    ("split", columns.split),
                    ("label", columns.label),
                    ("ground", columns.ground),
                    ("state", columns.state),
                )
            },
        )

    def _listed(self) -> list[tuple[str, str, bool]]:
        """Columns of the table of rows: name, words, whether it holds numbers; those that say nothing are left out."""
        columns = self.columns
        return [
            ("config", "config", False),
            *([("split", "split", False)] if len(columns.split.names) > 1 else []),
            ("label", "class", False),
            *([("ground", "donor's class", False), ("ground_id", "donor", False)] if columns.ground_id.names else []),
            *([("part", "attribute", False)] if columns.part.names else []),
            *([("draw", "draw", True)] if columns.draw.any() else []),
            ("area", "area, %", True),
        ]

    def _classes(self) -> list[dict[str, Any]]:
        """Classes that have photos, in the order of the class map, each with those that are shown."""
        columns = self.columns
        _, first = np.unique(columns.image.codes, return_index=True)
        totals = np.bincount(columns.label.codes[first] + 1, minlength=len(columns.label.names) + 1)
        shown: dict[int, list[dict[str, Any]]] = {}
        for photo in self.photos:
            shown.setdefault(int(columns.label.codes[photo.rows[0]]), []).append(self._photo(photo))
        return [
            {"name": self._class(code), "total": int(totals[code + 1]), "photos": own}
            for code, own in sorted(shown.items())
        ]

    def _class(self, code: int) -> str:
        return self.columns.label.names[code] if code >= 0 else _NO_CLASS

    def _photo(self, photo: ShownPhoto) -> dict[str, Any]:
        split = self.columns.split
        return {
            "id": photo.image_id,
            "short": photo.image_id[:_SHORT_ID],
            "split": split.name(photo.rows[0]) if len(split.names) > 1 else "",
            "tiles": [self._tile(row) for row in photo.rows],
        }

    def _tile(self, row: int) -> dict[str, Any]:
        columns = self.columns
        return {
            "place": int(np.searchsorted(self.packs.rows, row)),
            "config": columns.config.name(row),
            "label": columns.label.name(row) or _NO_CLASS,
            "ground": columns.ground.name(row),
            "part": columns.part.name(row),
            "short": columns.image.name(row)[:_SHORT_ID],
            "thumbnail": self.thumbnails[row],
        }

    def _pairs(self) -> dict[str, list[dict[str, Any]]]:
        """Config to its pairs."""
        pairs: dict[str, list[dict[str, Any]]] = {}
        for pair in self.pairs:
            pairs.setdefault(self.columns.config.name(pair.row), []).append(
                {
                    "result": self._tile(pair.row),
                    "figure": self._tile(pair.figure),
                    "ground": None if pair.ground is None else self._tile(pair.ground),
                    "ground_id": self.columns.ground_id.name(pair.row)[:_SHORT_ID],
                }
            )
        return pairs


def _used_names(column: Coded) -> list[str]:
    """Names that a row has, in their order."""
    used = set(np.unique(column.codes).tolist())
    return [name for code, name in enumerate(column.names) if code in used]


def _policy(style: str, script: str) -> str:
    """Content Security Policy: this style and this script, pictures in the page, and nothing from anywhere."""
    own = {name: _digest(text) for name, text in (("style-src", style), ("script-src", script))}
    sources = "; ".join(f"{name} '{digest}'" for name, digest in own.items())
    return f"default-src 'none'; img-src data:; {sources}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _file(name: str) -> str:
    return (files("figureground.exports.build_report") / name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file("page.html.jinja"))
