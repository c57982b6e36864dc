"""Variants over a list of dilations: ``grow_px: [0, 2, 4]`` in a recipe stands for one variant of each number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

GROW: Final = "grow_px"
_PAINTERS: Final = ("ground", "figure")


def grown_name(name: str, grow_px: int) -> str:
    """Name of a variant of a list: its own for 0, ``NAME_d4`` where dilated by 4 canvas pixels, ``NAME_e4`` eroded."""
    return name if grow_px == 0 else f"{name}_{'d' if grow_px > 0 else 'e'}{abs(grow_px)}"


def spread_lists(variants: Mapping[Any, Any]) -> dict[Any, Any]:
    """Variants as a recipe spells them, those with a list in ``grow_px`` replaced by one of each of its numbers.

    Where they draw donors or textures, all of a list take those of its first, so that they differ by the mask alone.

    Raises:
        ValueError: for a list that is empty or has something twice or something that is no whole number, for two lists
            in one variant, and for a name that is there already; with every one of them.
    """
    spread: dict[Any, Any] = {}
    faults: list[str] = []
    for name, variant in variants.items():
        lists = dict(_lists(variant))
        fault = _list_fault(name, lists, variants) if lists else None
        if fault:
            faults.append(fault)
        elif lists:
            spread |= dict(_spread(str(name), variant, *next(iter(lists.items()))))
        else:
            spread[name] = variant
    if faults:
        raise ValueError("; ".join(faults))
    return spread


def _lists(variant: Any) -> Iterator[tuple[str | int, Sequence[Any]]]:  # noqa: ANN401  whatever the YAML holds
    """Lists of ``grow_px`` by the painter that has one, or by the number of the layer."""
    if not isinstance(variant, dict):
        return
    layers = variant.get("layers")
    parts: dict[str | int, Any] = {key: variant.get(key) for key in _PAINTERS}
    parts |= dict(enumerate(layers)) if isinstance(layers, list) else {}
    for key, part in parts.items():
        if isinstance(part, dict) and isinstance(part.get(GROW), list | tuple):
            yield key, part[GROW]


def _list_fault(
    name: Any,  # noqa: ANN401  whatever the YAML holds
    lists: Mapping[str | int, Sequence[Any]],
    variants: Mapping[Any, Any],
) -> str | None:
    if len(lists) > 1:
        return f"variants.{name} with one list of {GROW}, not {len(lists)}"
    ((key, numbers),) = lists.items()
    where = f"variants.{name}.{key}.{GROW}"
    if not numbers or not all(type(number) is int for number in numbers) or len(set(numbers)) < len(numbers):
        return f"{where}: whole numbers, each once, not {list(numbers)!r}"
    taken = [grown for number in numbers if (grown := grown_name(str(name), number)) != name and grown in variants]
    return f"{where}: names that no other variant has, not {', '.join(taken)}" if taken else None


def _spread(
    name: str, variant: Mapping[str, Any], key: str | int, numbers: Sequence[int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    lender = grown_name(name, numbers[0])
    shares = _draws(variant) and "donors_from" not in variant
    for number in numbers:
        own = dict(variant)
        if isinstance(key, int):
            layers = list(variant["layers"])
            layers[key] = {**layers[key], GROW: number}
            own["layers"] = layers
        else:
            own[key] = {**variant[key], GROW: number}
        grown = grown_name(name, number)
        yield grown, {**own, "donors_from": lender} if shares and grown != lender else own


def _draws(variant: Mapping[str, Any]) -> bool:
    """Whether rows draw a donor or a texture."""
    parts = [variant.get(key) for key in _PAINTERS] + list(variant.get("layers") or ())
    own = [part for part in parts if isinstance(part, dict)]
    return any(part.get("of", part.get("source", "self")) != "self" or "texture" in part for part in own)
