"""The words by which a photo's class is asked for: its name, and its synonyms, in a template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from figureground.annotate.segmenters.protocol import SegmentationRejected
from figureground.errors import Faults, UsageError
from figureground.schemas.classes import imagenet_names, load_class_map
from figureground.schemas.documents import same_form
from figureground.schemas.tables import read_table

_WNID: Final = re.compile(r"n\d{8}")
_GAP: Final = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTexts:
    """How classes are named to a model."""

    template: str = _GAP
    """Text with ``{}`` where the name stands, such as ``a photo of a {}``."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Source label to name; ImageNet's own names for wnids that are not in it, and else the label itself."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Source label, or name, to further names, each of which is asked for too."""

    @classmethod
    def of(cls, *, template: str = _GAP, class_map: str | None = None, synonyms: Path | None = None) -> ClassTexts:
        """Texts by what the command line names.

        Args:
            template: Text with ``{}`` once.
            class_map: A shipped class map or a file of one, whose class names are asked for; None for the labels' own.
            synonyms: A CSV with the columns ``label`` (a label or a name) and ``text``, one row a synonym.

        Raises:
            UsageError: for a template without its gap, or an unknown class map.
            DataError: for a table that cannot be read, or rows of it without one of the two.
        """
        if template.count(_GAP) != 1 or not template.replace(_GAP, "x").strip():
            raise UsageError(f"the template {template!r} has no {{}} for the name, or several")
        names: dict[str, str] = {}
        if class_map is not None:
            classes = load_class_map(class_map)
            names = {label: classes.names[index] for label, index in classes.index_of_label.items()}
        return cls(template=template, names=names, synonyms={} if synonyms is None else read_synonyms(synonyms))

    def texts(self, label: str) -> tuple[str, ...]:
        """What is asked of a photo with this source label, the name first.

        Raises:
            SegmentationRejected: ``no_class_name`` for a photo without a label, or with a wnid that has no name.
        """
        name = self.names.get(label) or imagenet_names().get(label, "" if _WNID.fullmatch(label) else label)
        words = _words(name)
        if not words:
            raise SegmentationRejected("no_class_name")
        further = [*self.synonyms.get(label, ()), *self.synonyms.get(name, ()), *self.synonyms.get(words, ())]
        return tuple(self.template.replace(_GAP, one) for one in dict.fromkeys([words, *map(_words, further)]) if one)

    def strange_synonyms(self, labels: Iterable[str]) -> list[str]:
        """What further names are given to that is neither one of these source labels nor the name of one, sorted."""
        names = {label: self.names.get(label) or imagenet_names().get(label, label) for label in set(labels)}
        return sorted(self.synonyms.keys() - {word for pair in names.items() for word in (*pair, _words(pair[1]))})

    def cover(self, labels: Iterable[str]) -> bool:
        """Whether every label has a name."""
        try:
            return all(self.texts(label) for label in set(labels))
        except SegmentationRejected:
            return False


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """Label, or name, to further names, in the order of the rows; raises as ``ClassTexts.of``."""
    synonyms: dict[str, list[str]] = {}
    faults = Faults()
    for row in read_table(path, ["label", "text"]).rows:
        label, text = same_form(row.cells["label"]), same_form(row.cells["text"])
        if not label or not text:
            faults.add(str(path), row.line, expected="a label and a text", got=f"{label!r} and {text!r}")
        else:
            synonyms.setdefault(label, []).append(text)
    faults.raise_if_any()
    return {label: tuple(texts) for label, texts in synonyms.items()}


def _words(name: str) -> str:
    """``tiger_cat`` to ``tiger cat``."""
    return " ".join(name.replace("_", " ").split())
