"""The rules by name: how grave what they find is, what they ask for, and what they need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from figureground.annotate.lint import class_rules, mask_rules, photo_rules
from figureground.annotate.lint.class_rules import ObjectFacts, Observed
from figureground.annotate.lint.findings import Observation
from figureground.annotate.lint.looks import Look
from figureground.annotate.lint.settings import LintSettings, Severity
from figureground.errors import UsageError, listed

Need = Literal["mask", "photo", "answer"]
"""What a rule looks at besides the catalogue: masks alone, the photo's pixels, or the answer in a workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule."""

    name: str
    severity: Severity
    """Of its findings, where settings do not say otherwise."""
    asks: str
    """What would be right, for people."""
    need: Need = "mask"
    check: Callable[[Look], Iterator[Observation]] | None = None
    """Looks at one object; None for a rule of whole classes."""
    compare: Callable[[Sequence[ObjectFacts], LintSettings], Observed] | None = None
    """Looks at all objects; None for a rule of single ones."""

    @property
    def summary(self) -> str:
        """First line of what its function says."""
        return str((self.check or self.compare).__doc__).partition("\n")[0]


_ALL: Final = (
    Rule(name="no_mask", severity="error", asks="an object mask", check=mask_rules.no_mask),
    Rule(name="size_mismatch", severity="error", asks="a mask of the photo's size", check=mask_rules.size_mismatch),
    Rule(
        name="exif_turned",
        severity="error",
        asks="a mask in stored pixels",
        need="photo",
        check=photo_rules.exif_turned,
    ),
    Rule(
        name="photo_unreadable",
        severity="error",
        asks="the catalogued photo",
        need="photo",
        check=photo_rules.photo_unreadable,
    ),
    Rule(name="empty", severity="error", asks="a mask with pixels", check=mask_rules.empty),
    Rule(name="inverted", severity="error", asks="a mask of the figure", check=mask_rules.inverted),
    Rule(
        name="gone_in_crop", severity="error", asks="a figure that is left on the canvas", check=mask_rules.gone_in_crop
    ),
    Rule(name="full_frame", severity="warning", asks="a mask that leaves some ground", check=mask_rules.full_frame),
    Rule(name="islands", severity="warning", asks="no specks of mask", check=mask_rules.islands),
    Rule(name="pinholes", severity="warning", asks="no specks of ground in the mask", check=mask_rules.pinholes),
    Rule(name="thin_lines", severity="warning", asks="no line one pixel wide", check=mask_rules.thin_lines),
    Rule(
        name="attribute_outside",
        severity="warning",
        asks="a part inside its object",
        check=mask_rules.attribute_outside,
    ),
    Rule(
        name="attribute_without_mask",
        severity="warning",
        asks="a mask of every part that is there",
        compare=class_rules.attribute_without_mask,
    ),
    Rule(
        name="cut_by_crop", severity="warning", asks="a figure in the middle of the photo", check=mask_rules.cut_by_crop
    ),
    Rule(
        name="rim_shows_ground",
        severity="warning",
        asks="a rim of the figure's colour",
        need="photo",
        check=photo_rules.rim_shows_ground,
    ),
    Rule(
        name="ring_shows_figure",
        severity="warning",
        asks="a ring of the ground's colour",
        need="photo",
        check=photo_rules.ring_shows_figure,
    ),
    Rule(
        name="second_object",
        severity="warning",
        asks="all objects of the label in the mask",
        check=photo_rules.second_object,
    ),
    Rule(name="hurried", severity="warning", asks="time to look", need="answer", check=photo_rules.hurried),
    Rule(name="size_outlier", severity="note", asks="a size like its class's", compare=class_rules.size_outlier),
    Rule(
        name="touches_borders", severity="note", asks="a figure with ground around it", check=mask_rules.touches_borders
    ),
)

RULES: Final = {rule.name: rule for rule in _ALL}
"""By name, the gravest first."""


def chosen_rules(settings: LintSettings, names: Collection[str] = ()) -> dict[str, Severity]:
    """The rules that are run, each with the severity of its findings.

    Args:
        settings: May skip rules and change severities.
        names: Rules to run, whatever the settings skip; empty for all that these do not.

    Raises:
        UsageError: for names that are no rule's.
    """
    if unknown := sorted({*names, *settings.rules} - set(RULES)):
        raise UsageError(f"no rule of lint is called {listed(unknown)}; there are {', '.join(RULES)}")
    chosen: dict[str, Severity] = {}
    for name, rule in RULES.items():
        own = settings.rules.get(name, rule.severity)
        if (names and name in names) or (not names and own != "skip"):
            chosen[name] = rule.severity if own == "skip" else own
    return chosen
