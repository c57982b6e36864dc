"""Gates: what must hold of objects, attributes and splits before a dataset is built, checked together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

from figureground.build.planning.near_duplicates import NearDuplicates
from figureground.build.planning.plan import Plan
from figureground.build.planning.plan_rows import PlanRows
from figureground.build.planning.selection import IMAGENET_TRAIN
from figureground.errors import DataError, Fault
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ObjectRecord
from figureground.schemas.sources.names import photo_name

Severity = Literal["error", "warning"]

ACROSS_SPLITS: Final = "near_duplicates_in_two_splits"
_REMEDIES: Final = {
    ACROSS_SPLITS: (
        "divide by the recipe's seed (--split-by seed), forget one of each two and freeze again, or say why they may "
        "(--waive-near-duplicates REASON)"
    )
}
"""Gate to what may be done about its errors, where that is not about answers."""
_EXAMPLES: Final = 20
_COMMON_SHARE: Final = 0.5
"""A class has an attribute, for telling classes apart, where more than this share of its objects do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFinding:
    """Objects, attributes or classes that fail one gate."""

    gate: str
    severity: Severity
    count: int
    """Number of objects, attributes or pairs of classes that fail."""
    expected: str
    """What would have been right, in words."""
    examples: tuple[str, ...]
    """The first 20 of them, sorted."""

    def __str__(self) -> str:
        """One line."""
        shown = ", ".join(self.examples[:3]) + (", …" if self.count > 3 else "")
        return f"{self.severity}: {self.gate}: {self.count} ({shown}); expected {self.expected}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeFrequency:
    """Number of objects of a class that have an attribute, lack it, and of which it is not known."""

    class_name: str
    attribute: str
    present: int
    absent: int
    unknown: int
    masks: int
    """Objects with a mask of it."""


def check_gates(plan: Plan, recipe: Recipe, classes: ClassMap, attributes: AttributeSchema) -> tuple[GateFinding, ...]:
    """Run every gate over the objects of a plan; nothing is raised, errors come first.

    Masks are not looked at again: freeze, the codecs and the filters see to it that they have the sizes of their
    photos, are binary and are not empty.
    """
    records = [figure.record for figure in plan.objects.values()]
    findings = [
        *_label_gates(records, attributes),
        *_split_gates(plan, records, recipe),
        *_class_gates(attribute_frequencies(plan, classes, attributes)),
        *_supply_gates(plan, recipe, classes),
        _finding(
            "attribute_vanishes",
            "warning",
            "a pixel of the attribute on the canvas",
            [f"{refusal.object_id} {refusal.detail}" for refusal in plan.vanished],
        ),
        _finding(
            "imagenet_train",
            "warning",
            "photos that no classifier was trained on",
            [figure.object_id for figure in plan.objects.values() if IMAGENET_TRAIN in figure.flags],
        ),
    ]
    failed = [finding for finding in findings if finding.count]
    return tuple(sorted(failed, key=lambda finding: (finding.severity, finding.gate)))


def require_no_errors(findings: Sequence[GateFinding]) -> None:
    """Raise what is an error, all of it at once.

    Raises:
        DataError: with a fault for each example of each gate.
    """
    faults = [
        Fault(
            where=f"gate {finding.gate}",
            record=example,
            expected=finding.expected,
            got="otherwise" if finding.count == 1 else f"otherwise, one of {finding.count}",
            remedy=_REMEDIES.get(finding.gate, "mend the answers and freeze again"),
        )
        for finding in findings
        if finding.severity == "error"
        for example in finding.examples
    ]
    if faults:
        raise DataError(faults)


def attribute_frequencies(plan: Plan, classes: ClassMap, attributes: AttributeSchema) -> list[AttributeFrequency]:
    """Frequency of every attribute in every class that has objects, by class index and the schema's order."""
    members: dict[int, list[ObjectRecord]] = defaultdict(list)
    for figure in plan.objects.values():
        members[figure.label].append(figure.record)
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
    """An object has a mask of a local attribute if the attribute is present, and none if it is absent."""
    bare, painted, unasked = [], [], []
    known = set(attributes.names())
    for record in records:
        for name in attributes.names("local"):
            present, has_mask = record.attributes.get(name), name in record.attribute_masks
            bare += [f"{record.object_id} {name}"] if present is True and not has_mask else []
            painted += [f"{record.object_id} {name}"] if present is False and has_mask else []
        named = {*record.attributes, *record.attribute_masks} - known
        unasked += [f"{record.object_id} {name}" for name in sorted(named)]
    yield _finding("present_without_mask", "warning", "a mask of every local attribute that is present", bare)
    yield _finding("mask_without_presence", "error", "no mask of an attribute that is absent", painted)
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
    duplicates = plan.near_duplicates or NearDuplicates.among(records, recipe.splits.near_duplicate_bits)
    across = [
        f"{_place(link.one, plan)} and {_place(link.other, plan)}, {link.spell_reason()}"
        for group in duplicates.groups(records)
        if (link := duplicates.crossing(group, plan.splits)) is not None
    ]
    waiver = recipe.splits.waive_near_duplicates
    together = "near-duplicates, and photos of one group, in one split"
    yield _finding(
        ACROSS_SPLITS,
        "warning" if waiver else "error",
        f"{together} (waived: {waiver})" if waiver else together,
        across,
    )
    empty = sorted(set(recipe.split_names) - set(plan.splits.values()))
    yield _finding("empty_split", "warning", "objects in every split", empty)


def _place(record: ObjectRecord, plan: Plan) -> str:
    """``ID (SPLIT, SOURCE: FILE)``."""
    return f"{record.object_id} ({plan.splits[record.object_id]}, {photo_name(record.source, record.uri)})"


def _class_gates(frequencies: Sequence[AttributeFrequency]) -> Iterator[GateFinding]:
    """Every two classes differ in an attribute (RIVAL10's criterion "informative")."""
    typical: dict[str, set[str]] = defaultdict(set)
    for frequency in frequencies:
        asked = frequency.present + frequency.absent
        common = asked and frequency.present > _COMMON_SHARE * asked
        typical[frequency.class_name] |= {frequency.attribute} if common else set()
    alike = [f"{first}/{second}" for first, second in combinations(typical, 2) if typical[first] == typical[second]]
    yield _finding("classes_alike", "warning", "an attribute that tells every two classes apart", alike)


def _supply_gates(plan: Plan, recipe: Recipe, classes: ClassMap) -> Iterator[GateFinding]:
    """Whether there is as much as was asked for, and whether ImageNet's classifiers can be right about every class."""
    per_class = recipe.balance.per_class
    if isinstance(per_class, int):
        short = [f"{name} {count}" for name, count in plan.class_counts.items() if 0 < count < per_class]
        yield _finding("fewer_than_asked", "warning", f"{per_class} objects of every class", short)
    if isinstance(plan.rows, PlanRows):
        repeated = {f"{group.variant} {group.split}": group.repeated_donors() for group in plan.rows.groups}
        again = [f"{name} {count} rows" for name, count in repeated.items() if count]
        yield _finding("donors_repeat", "warning", "as many donors of each figure as draws", again)
    if recipe.source_splits is not None:
        known = {figure.record.source_split for figure in plan.objects.values()}
        absent = sorted(set(recipe.source_splits) - known)
        yield _finding("empty_source_split", "warning", "objects in every source split that the recipe takes", absent)
    mute = [entry.name for entry in classes.classes if not entry.imagenet_indices and plan.class_counts[entry.name]]
    yield _finding(
        "class_without_output",
        "warning",
        "imagenet_indices of every class in the class map; a classifier of ImageNet's 1000 is never right about others",
        mute,
    )


def _finding(gate: str, severity: Severity, expected: str, items: Sequence[str]) -> GateFinding:
    examples = tuple(sorted(items)[:_EXAMPLES])
    return GateFinding(gate=gate, severity=severity, count=len(items), expected=expected, examples=examples)
