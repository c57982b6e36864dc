"""Gates: what must hold of objects, attributes and splits before a dataset is built, checked together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

from figureground.build.planning.plan import Plan
from figureground.build.planning.selection import IMAGENET_TRAIN
from figureground.build.planning.splits import near_duplicate_groups
from figureground.errors import DataError, Fault
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ObjectRecord

Severity = Literal["error", "warning"]

_EXAMPLES: Final = 20
_COMMON_SHARE: Final = 0.5
"""A class has an attribute, for telling classes apart, where more than this share of its objects do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFinding:
    """What one gate found."""

    gate: str
    severity: Severity
    count: int
    """How many objects, attributes or pairs of classes."""
    expected: str
    examples: tuple[str, ...]
    """The first of them, sorted."""

    def __str__(self) -> str:
        """One line."""
        shown = ", ".join(self.examples[:3]) + (", …" if self.count > 3 else "")
        return f"{self.severity}: {self.gate}: {self.count} ({shown}); expected {self.expected}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeFrequency:
    """How many objects of a class have an attribute."""

    class_name: str
    attribute: str
    present: int
    absent: int
    unknown: int
    masks: int
    """Objects with a mask of it."""


def check_gates(plan: Plan, recipe: Recipe, classes: ClassMap, attributes: AttributeSchema) -> tuple[GateFinding, ...]:
    """Run every gate over the objects of a plan; nothing is raised, the worst comes first.

    That masks have their photos' sizes, are binary and not empty is seen to before (freeze, the codecs, the filters).
    """
    records = [candidate.record for candidate in plan.candidates.values()]
    found = [
        *_label_gates(records, attributes),
        *_split_gates(plan, records, recipe),
        *_class_gates(attribute_frequencies(plan, classes, attributes)),
        _finding(
            "attribute_vanishes",
            "warning",
            "a pixel of the attribute on the canvas",
            [f"{each.object_id} {each.detail}" for each in plan.vanished],
        ),
        _finding(
            "imagenet_train",
            "warning",
            "photos that no classifier was trained on",
            [each.object_id for each in plan.candidates.values() if IMAGENET_TRAIN in each.flags],
        ),
    ]
    return tuple(sorted((each for each in found if each.count), key=lambda each: (each.severity, each.gate)))


def require_no_errors(findings: Sequence[GateFinding]) -> None:
    """Raise what is an error, all of it at once.

    Raises:
        DataError: with one fault for each gate.
    """
    faults = [
        Fault(
            where=f"gate {each.gate}",
            record=", ".join(each.examples[:3]),
            expected=each.expected,
            got=f"{each.count} that are not so",
            remedy="mend the answers and freeze again",
        )
        for each in findings
        if each.severity == "error"
    ]
    if faults:
        raise DataError(faults)


def attribute_frequencies(plan: Plan, classes: ClassMap, attributes: AttributeSchema) -> list[AttributeFrequency]:
    """Class by attribute, classes without objects left out."""
    members: dict[int, list[ObjectRecord]] = defaultdict(list)
    for candidate in plan.candidates.values():
        members[candidate.label].append(candidate.record)
    return [
        AttributeFrequency(
            class_name=classes.names[label],
            attribute=name,
            present=sum(record.attributes.get(name) is True for record in records),
            absent=sum(record.attributes.get(name) is False for record in records),
            unknown=sum(record.attributes.get(name) is None for record in records),
            masks=sum(name in record.attribute_masks for record in records),
        )
        for label, records in sorted(members.items())
        for name in attributes.names()
    ]


def _label_gates(records: Sequence[ObjectRecord], attributes: AttributeSchema) -> Iterator[GateFinding]:
    """Of a local attribute, present means a mask and absent means none."""
    bare, painted, unasked = [], [], []
    known = set(attributes.names())
    for record in records:
        for name in attributes.names("local"):
            said, has_mask = record.attributes.get(name), name in record.attribute_masks
            bare += [f"{record.object_id} {name}"] if said is True and not has_mask else []
            painted += [f"{record.object_id} {name}"] if said is False and has_mask else []
        named = {*record.attributes, *record.attribute_masks} - known
        unasked += [f"{record.object_id} {name}" for name in sorted(named)]
    yield _finding("present_without_mask", "warning", "a mask of every local attribute that is present", bare)
    yield _finding("mask_without_presence", "error", "no mask of an attribute that is said to be absent", painted)
    if known:
        yield _finding("not_in_schema", "warning", "attributes of the recipe's schema", unasked)


def _split_gates(plan: Plan, records: Sequence[ObjectRecord], recipe: Recipe) -> Iterator[GateFinding]:
    if recipe.splits is None:
        return
    seen: dict[str, set[str]] = defaultdict(set)
    for record in records:
        seen[record.sha256].add(plan.splits[record.object_id])
    twice = [sha256[:32] for sha256, splits in seen.items() if len(splits) > 1]
    yield _finding("photo_in_two_splits", "error", "each photo in one split", twice)
    across = [
        group[0].object_id
        for group in near_duplicate_groups(records, recipe.splits.near_duplicate_bits)
        if len({plan.splits[record.object_id] for record in group}) > 1
    ]
    by_source = recipe.splits.by == "source"
    yield _finding(
        "near_duplicates_in_two_splits", "warning" if by_source else "error", "near-duplicates in one split", across
    )
    empty = sorted(set(recipe.split_names) - set(plan.splits.values()))
    yield _finding("empty_split", "warning", "objects in every split", empty)


def _class_gates(frequencies: Sequence[AttributeFrequency]) -> Iterator[GateFinding]:
    """Every two classes differ in an attribute (RIVAL10's criterion "informative")."""
    typical: dict[str, set[str]] = defaultdict(set)
    for each in frequencies:
        asked = each.present + each.absent
        typical[each.class_name] |= {each.attribute} if asked and each.present > _COMMON_SHARE * asked else set()
    alike = [f"{first}/{second}" for first, second in combinations(typical, 2) if typical[first] == typical[second]]
    yield _finding("classes_alike", "warning", "an attribute that tells every two classes apart", alike)


def _finding(gate: str, severity: Severity, expected: str, items: Sequence[str]) -> GateFinding:
    examples = tuple(sorted(items)[:_EXAMPLES])
    return GateFinding(gate=gate, severity=severity, count=len(items), expected=expected, examples=examples)
