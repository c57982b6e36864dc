"""Who lends the ground: the donor of each row, chosen by hash among those that the rules allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from figureground.build.seeds import hash_order
from figureground.build.selection import Candidate
from figureground.errors import Faults
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import DonorRules, Photo


class DonorPool:
    """The objects of one build that may lend their ground, by class."""

    def __init__(self, candidates: Iterable[Candidate], rules: DonorRules, classes: ClassMap) -> None:
        self._rules = rules
        self._classes = classes
        self._by_class: dict[int, list[Candidate]] = defaultdict(list)
        self._phash: dict[str, int] = {}
        for candidate in candidates:
            self._by_class[candidate.label].append(candidate)
            self._phash[candidate.object_id] = int(candidate.record.phash, 16)

    def choose(self, figure: Candidate, policy: Photo, seed: int) -> Candidate | None:
        """The donor of ``figure`` under ``policy``: smallest hash, class first; None if nobody may be."""
        for label in self._class_order(figure, policy, seed):
            ordered = sorted(self._by_class[label], key=lambda donor: hash_order(seed, donor.object_id))
            chosen = next((donor for donor in ordered if self._allowed(figure, donor)), None)
            if chosen is not None:
                return chosen
        return None

    def has_donor(self, figure: Candidate, policy: Photo) -> bool:
        """Whether ``choose`` would find a donor, whatever the seed."""
        labels = self._class_order(figure, policy, 0)
        return any(self._allowed(figure, donor) for label in labels for donor in self._by_class[label])

    def _class_order(self, figure: Candidate, policy: Photo, seed: int) -> Sequence[int]:
        if policy == "same_class":
            return [figure.label]
        if policy == "next_class":
            return [(figure.label + 1) % len(self._classes.classes)]
        # arXiv 2006.09994, Table 1, "random class": the own class is one of them.
        filled = [label for label, members in self._by_class.items() if members]
        return sorted(filled, key=lambda label: hash_order(seed, self._classes.names[label]))

    def _allowed(self, figure: Candidate, donor: Candidate) -> bool:
        if figure.record.image_id == donor.record.image_id:
            return not self._rules.exclude_self
        if "class_visible_outside" in donor.record.flags:
            return False
        bits = self._rules.near_duplicate_bits
        if bits is None:
            return True
        distance = (self._phash[figure.object_id] ^ self._phash[donor.object_id]).bit_count()
        return distance > bits


def check_classes(
    candidates: Iterable[Candidate], policies: set[Photo], rules: DonorRules, classes: ClassMap, faults: Faults
) -> None:
    """Note every class whose photos could have no donor at all, which no choice of photos can mend."""
    sizes = dict.fromkeys(range(len(classes.classes)), 0)
    for candidate in candidates:
        sizes[candidate.label] += 1
    for label, needed, count in _needs(sizes, policies, rules):
        faults.add(
            classes.name, classes.names[label],
            expected=f"at least {needed} usable photo{'s' if needed > 1 else ''}", got=str(count),
            remedy="add photos of this class, or use a class map without it",
        )  # fmt: skip
    if "next_class" in policies and len(sizes) == 1:
        faults.add(classes.name, "", expected="at least two classes for mixed_next", got="one")


def _needs(sizes: dict[int, int], policies: set[Photo], rules: DonorRules) -> Iterator[tuple[int, int, int]]:
    """(class, photos needed, photos there) of every class that is too small."""
    for label, size in sizes.items():
        before = (label - 1) % len(sizes)
        lends_to_others = "next_class" in policies and sizes[before] > 0
        needed = 2 if size and "same_class" in policies and rules.exclude_self else int(lends_to_others)
        if size < needed:
            yield label, needed, size
