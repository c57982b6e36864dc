"""Painters of layers, as recipes spell them in short."""

from __future__ import annotations

from typing import Any

from figureground.schemas.documents import shown


def spelled_paint(value: Any) -> dict[str, Any]:  # noqa: ANN401  whatever the YAML holds
    """Shorthand of one painter: ``source``, ``{of: DONOR}``, ``{fill: COLOUR}``, ``{tile: strip, of: DONOR}``.

    Effects and ``grow_px`` may stand beside any of them, as in ``{source: self, blur: {sigma: 8, within: ground}}``.
    """
    if value == "source":
        return {"paint": "source"}
    if isinstance(value, dict):
        if "source" in value:
            return {"paint": "source", "of": value["source"], **{key: value[key] for key in set(value) - {"source"}}}
        if "texture" in value:
            return {"paint": "texture", **value}
        rest = {key: item for key, item in value.items() if key not in {"fill", "tile"}}
        if value.get("fill") == "mean":
            return {"paint": "mean", **rest}
        if "fill" in value:
            return {"paint": "fill", "fill": value["fill"], **rest}
        if value.get("tile") in ("strip", "adjacent"):
            return {"paint": {"strip": "tile", "adjacent": "adjacent"}[value["tile"]], **rest}
        if "of" in value:
            return {"paint": "source", **rest}
    raise ValueError(
        "source, {source: PHOTO, …}, {fill: COLOUR|mean}, {tile: strip|adjacent}, {texture: FAMILY} or {of: DONOR}, "
        f"not {shown(value)}"
    )
