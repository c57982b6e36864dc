"""Coverage: what became of a release's objects, class by class, and whose grounds the rows show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from figureground.build.planning.plan import Plan
from figureground.schemas.classes import ClassMap
from figureground.schemas.store.releases import LeftOut


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCoverage:
    """One class of a build."""

    class_name: str
    photos: int
    """Catalogued photos when the release was frozen."""
    in_release: int
    """Those of which the release holds an object."""
    kept: int
    """Objects that the build has rows of."""
    share: float | None
    """``kept`` ÷ ``photos``; None where there were none."""
    left_out: str
    """Reasons with their counts, sorted; ``report/refused.csv`` names what the build itself refused."""


def class_coverage(plan: Plan, classes: ClassMap, left_out: LeftOut) -> Iterator[ClassCoverage]:
    """Every class in the order of its index, then the labels that are in no class.

    Args:
        plan: The plan.
        classes: Its class map.
        left_out: What the release itself leaves out, as ``read_left_out`` gives it.
    """
    refused, missing = ({name: Counter[str]() for name in classes.names} for _ in range(2))
    for refusal in plan.refusals:
        refused.setdefault(_class_of(refusal.label, classes), Counter())[refusal.reason] += 1
    for label, reasons in left_out.items():
        missing.setdefault(_class_of(label, classes), Counter()).update(reasons)
    for name in dict.fromkeys([*refused, *missing]):
        taken, gone, absent = plan.class_counts.get(name, 0), refused.get(name, Counter()), missing.get(name, Counter())
        photos = taken + gone.total() + absent.total()
        yield ClassCoverage(
            class_name=name,
            photos=photos,
            in_release=taken + gone.total(),
            kept=taken,
            share=round(taken / photos, 4) if photos else None,
            left_out=" ".join(f"{reason}:{count}" for reason, count in sorted((gone + absent).items())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DonorUse:
    """Whose grounds the rows of one variant show."""

    variant: str
    rows: int
    """Rows that have a donor."""
    own_class: int
    """Those whose donor is of the figure's class."""
    donors: int
    """Different donors."""
    most_rows: int
    """Rows of the donor that lends to the most."""


def donor_use(rows: Iterable[tuple[str, str, str]], labels: Mapping[str, int]) -> list[DonorUse]:
    """Use of donors by variant, sorted.

    Args:
        rows: Variant, object id and the donor's object id of every row; those without a donor have an empty one.
        labels: Class index by object id.
    """
    lent: dict[str, Counter[str]] = defaultdict(Counter)
    own = Counter[str]()
    for variant, object_id, ground_id in rows:
        if ground_id:
            lent[variant][ground_id] += 1
            own[variant] += labels[object_id] == labels[ground_id]
    return [
        DonorUse(
            variant=variant,
            rows=counts.total(),
            own_class=own[variant],
            donors=len(counts),
            most_rows=max(counts.values()),
        )
        for variant, counts in sorted(lent.items())
    ]


def _class_of(label: str, classes: ClassMap) -> str:
    index = classes.index_of_label.get(label)
    return label if index is None else classes.names[index]
