"""What a protocol is: one record, so that a new one is a module of its own and a line in the registry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from figureground.exports.evaluation.jobs import Job
from figureground.exports.evaluation.options import Option
from figureground.exports.evaluation.tables import Cell, Figure

CLUSTER: Final = Option(
    name="cluster", help="What is a sample: images, or whole classes.", default="image", choices=("image", "class")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A way to score a dataset.

    A summary is what a protocol says of one label space, JSON-ready. It holds at least ``n`` (images), ``balanced``
    (whether all classes have as many), and ``chance`` in [0, 1].
    """

    name: str
    claims: Callable[[Collection[str]], bool]  # whether a dataset with these configs is made for it
    run: Callable[[Job], dict[str, Any]]  # results: a summary, or several by label space under "label_spaces"
    cells: Callable[[Mapping[str, Any]], dict[str, Cell]]  # rows of the text table of a summary; RULE is a line
    figures: Callable[[Mapping[str, Any]], Iterator[Figure]]  # headline figures of a summary
    options: tuple[Option, ...] = ()  # of this protocol, besides those of every evaluation
    views: tuple[str, ...] = ()  # configs that the dataset does not hold: other views of the images of original
    settings: tuple[str, ...] = ()  # entries of results that say what its options came to: only alike ones compare
    describe: Callable[[Mapping[str, Any]], list[str]] = lambda _: []  # settings of results that are not the usual ones
    feeding: tuple[str, ...] = ()  # attributes of the adapter that decide its answers here, besides the usual ones
    compares_with_original: bool = True  # whether every other config is compared with original, and needs it
