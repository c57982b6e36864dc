"""A build whose rows are decided and checked, before any pixel is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from figureground.build.planning.gates import GateFinding, check_gates, require_no_errors
from figureground.build.planning.plan import Plan, make_plan
from figureground.exports.dataset.earlier import describe_earlier
from figureground.exports.dataset.inputs import BuildRequest
from figureground.exports.dataset.lock import RecipeLock, lock_inputs, make_lock
from figureground.schemas.records import canonical_json


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBuild:
    """What was asked for, and what follows from it."""

    request: BuildRequest
    plan: Plan
    findings: Sequence[GateFinding]
    """Findings of the gates, none of them an error."""
    lock: RecipeLock

    def key(self) -> str:
        """SHA-256 of all that decides the rows: what an interrupted run left serves the same build only."""
        inputs = self.lock.inputs or lock_inputs(self.request.design, self.plan.rows)
        return hashlib.sha256(canonical_json([self.lock.to_dict(), inputs.model_dump()]).encode()).hexdigest()


def plan_build(request: BuildRequest) -> PlannedBuild:
    """Plan the rows of a dataset, check them, and say what they are made of and by.

    Raises:
        UsageError: if the earlier version is no dataset.
        DataError: if nothing is left to plan, a gate finds an error, or the earlier version is damaged.
    """
    design = request.design
    plan = make_plan(
        request.release.records,
        design.recipe,
        design.classes,
        attributes=design.attributes,
        textures=request.photos.textures,
        rules=design.rules,
        draws=design.draws,
    )
    findings = check_gates(plan, design.recipe, design.classes, design.attributes)
    require_no_errors(findings)
    earlier = request.history.earlier
    lock = make_lock(request, plan, follows=describe_earlier(earlier) if earlier is not None else None)
    return PlannedBuild(request=request, plan=plan, findings=findings, lock=lock)
