"""Who lends the ground: the donor of each row, chosen by hash among those that the rules allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.planning.near_duplicates import hash_distance
from figureground.build.planning.seeds import HashRing
from figureground.errors import Faults, listed
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import DonorRules, Photo


class DonorPool:
    """The objects of one split of a build that may lend their ground, by class."""

    def __init__(
        self, objects: Sequence[MeasuredObject], members: Iterable[int], rules: DonorRules, classes: ClassMap
    ) -> None:
        """Sort the lenders by class.

        Args:
            objects: All objects of the build.
            members: Indices in them of those of this split.
            rules: Who may lend to whom.
            classes: The class map.
        """
        self._rules = rules
        self._objects = objects
        self._class_count = len(classes.classes)
        lenders: dict[int, list[int]] = defaultdict(list)
        for member in members:
            lenders[objects[member].label].append(member)
        self._lenders: Mapping[int, Sequence[int]] = dict(lenders)
        self._filled = list(lenders)
        self._rings = {
            label: HashRing([objects[index].object_id for index in indices]) for label, indices in lenders.items()
        }
        self._classes = HashRing([classes.names[label] for label in self._filled])

    def choose(self, figure: MeasuredObject, policy: Photo, seed: int) -> int | None:
        """Index of the donor of ``figure`` under ``policy``: smallest hash, class first; None if nobody may be."""
        for label in self._class_order(figure, policy, seed):
            lenders = self._lenders.get(label, ())
            for position in self._rings[label].in_order(seed) if lenders else ():
                if self._allowed(figure, self._objects[lenders[position]]):
                    return lenders[position]
        return None

    def has_donor(self, figure: MeasuredObject, policy: Photo) -> bool:
        """Whether ``choose`` would choose a donor, whatever the seed."""
        labels = self._filled if policy == "any_class" else self._class_order(figure, policy, 0)
        lenders = (self._objects[index] for label in labels for index in self._lenders.get(label, ()))
        return any(self._allowed(figure, donor) for donor in lenders)

    def _class_order(self, figure: MeasuredObject, policy: Photo, seed: int) -> Iterable[int]:
        if policy == "same_class":
            return [figure.label]
        if policy == "next_class":
            return [(figure.label + 1) % self._class_count]
        labels = (self._filled[index] for index in self._classes.in_order(seed))
        if policy == "other_class":
            return (label for label in labels if label != figure.label)
        # arXiv 2006.09994, Table 1, "random class": the own class is one of them.
        return labels

    def _allowed(self, figure: MeasuredObject, donor: MeasuredObject) -> bool:
        return why_not_lent(figure, donor, self._rules) is None


def why_not_lent(figure: MeasuredObject, donor: MeasuredObject, rules: DonorRules) -> str | None:
    """Why a photo may not lend its ground to a figure, as a stable code; None where it may.

    Without ``exclude_self`` every photo may lend to itself, as in ImageNet-9's released code, one flagged
    ``class_visible_outside`` too: what is still to be seen there is of the figure's own class.
    """
    if figure.record.image_id == donor.record.image_id:
        return "own_photo" if rules.exclude_self else None
    if "class_visible_outside" in donor.record.flags:
        return "class_visible_outside"
    if rules.near_duplicate_bits is None:
        return None
    if figure.record.group and figure.record.scene == donor.record.scene:
        return "own_group"
    alike = hash_distance(figure.record, donor.record) <= rules.near_duplicate_bits
    return "near_duplicate" if alike else None


def check_classes(
    objects: Iterable[MeasuredObject], policies: set[Photo], rules: DonorRules, classes: ClassMap, faults: Faults
) -> None:
    """Add a fault for every class whose photos could have no donor, whichever photos take part."""
    sizes = dict.fromkeys(range(len(classes.classes)), 0)
    for measured in objects:
        sizes[measured.label] += 1
    for label, needed, count in _needs(sizes, policies, rules):
        faults.add(
            classes.name,
            classes.names[label],
            expected=f"at least {needed} usable photo{'s' if needed > 1 else ''}",
            got=str(count),
            remedy=f"add photos labelled {listed(classes.classes[label].wnids)} (capital letters count), "
            "or use a class map without this class",
        )
    filled = sum(size > 0 for size in sizes.values())
    if "other_class" in policies and filled < 2:
        faults.add(classes.name, "", expected="photos of at least two classes for other_class", got=str(filled))
    if "next_class" in policies and len(sizes) == 1:
        faults.add(classes.name, "", expected="at least two classes for mixed_next", got="one")


def _needs(sizes: dict[int, int], policies: set[Photo], rules: DonorRules) -> Iterator[tuple[int, int, int]]:
    """Class index, photos that it needs and photos that it has, of every class that is too small."""
    for label, size in sizes.items():
        before = (label - 1) % len(sizes)
        lends_to_others = "next_class" in policies and sizes[before] > 0
        needed = 2 if size and "same_class" in policies and rules.exclude_self else int(lends_to_others)
        if size < needed:
            yield label, needed, size
