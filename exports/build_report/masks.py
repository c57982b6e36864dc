"""How a release's masks came about, as tables: agreement of people, findings of lint, the policy it was frozen by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from figureground.exports.build_report.tables import FactTable
from figureground.exports.dataset.card import figure_text
from figureground.exports.dataset.locked.parts import LockedPolicy


def agreement_tables(annotation: Mapping[str, Any]) -> Iterator[FactTable]:
    """Agreement of people who answered the same photos, and of two segmenters; nothing where nobody compared them.

    Args:
        annotation: ``annotation`` of the lock, as ``summarise_annotation`` makes it.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: for a lock whose numbers are none.
    """
    if (compared := annotation.get("proposals_agree")) is not None:
        left_out = sorted(compared["left_out"].items())
        note = (
            f"Taken: masks with which the first choice of {compared['with']} agrees at {compared['min_iou']:g} or more."
        )
        yield FactTable.of("Photos left out because two segmenters disagree", ["reason", "photos"], left_out, note=note)
    if not (agreement := annotation.get("agreement")):
        return
    note = (
        f"{agreement['photos']:,} photos were answered by several people independently: {agreement['pairs']:,} pairs."
    )
    masks = agreement.get("masks")
    if masks is None:  # a lock of earlier days has the mean alone
        rows = [("object", f"{agreement['mean_iou']:.3f}", f"{agreement['least_iou']:.3f}")]
        yield FactTable.of("Agreement on masks", ["mask", "mean IoU", "least IoU"], rows, note=note)
    elif masks:
        measures = ("iou", "boundary_iou", "dice")
        rows = [
            (
                name,
                own["iou"]["photos"],
                *(figure_text(own[measure]) for measure in measures),
                f"{own['least_iou']:.3f}",
            )
            for name, own in masks.items()
        ]
        head = ["mask", "photos", "IoU", "boundary IoU", "Dice", "least IoU"]
        yield FactTable.of("Agreement on masks, with 95 % intervals", head, rows, note=note)
    if attributes := agreement.get("attributes"):
        rows = [
            (name, own["equal"]["photos"], *(figure_text(own[measure]) for measure in ("equal", "kappa", "alpha")))
            for name, own in attributes.items()
        ]
        head = ["attribute", "photos", "equal", "Cohen's kappa", "Krippendorff's alpha"]
        yield FactTable.of("Agreement on attributes, with 95 % intervals", head, rows)


def lint_tables(annotation: Mapping[str, Any]) -> Iterator[FactTable]:
    """Findings of lint by rule; nothing where it was not run. Takes and raises what ``agreement_tables`` does."""
    if not (lint := annotation.get("lint")):
        return
    rows = [
        (name, own["severity"], own["checked"], own["findings"], own["waived"]) for name, own in lint["rules"].items()
    ]
    note = (
        f"{lint['objects']:,} masks were checked: {lint['findings']:,} findings stand, {lint['waived']:,} were waived."
    )
    head = ["rule", "severity", "masks checked", "findings", "waived"]
    yield FactTable.of("Lint: what rules found of the masks", head, rows, note=note)


def policy_table(policy: LockedPolicy) -> FactTable:
    """What the release had to be before it was frozen."""
    coverage = policy.coverage
    note = f"{coverage['objects']} of {coverage['photos']} photos passed."
    return FactTable.of(
        f"Policy of the release: {policy.name}", ["it asks for"], [(line,) for line in policy.asks], note=note
    )
