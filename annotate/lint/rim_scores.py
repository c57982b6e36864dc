"""How much of each figure its mask leaves at the rim: by colour, and by models' answers to rows without the figure."""

from __future__ import annotations

from collections.abc import Mapping

from figureground.annotate.lint.linting import LintRequest, lint
from figureground.annotate.lint.settings import LintSettings
from figureground.annotate.lint.subjects import WorkspaceSubjects, accepted_origins, proposal_origins
from figureground.errors import UsageError, shell_word
from figureground.runtime.processes import default_workers
from figureground.runtime.progress import Progress
from figureground.schemas.store.rim_leaks import RimLeak
from figureground.schemas.store.workspace import Workspace

_RULE = "ring_shows_figure"
_LEAST = 1e-9
"""Threshold from which the rule tells its value: of every mask around which figure can be told from ground."""


def score_rims(
    workspace: Workspace,
    answers: Mapping[str, float],
    *,
    segmenter: str | None = None,
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> list[RimLeak]:
    """Score every accepted mask, and the best machine mask of every photo that nobody decided on; the worst first.

    By colour a score is the leak of the ring around the mask (``measure_rim``). It is the score wherever colours can be
    told apart, since it finds masks that are too tight far more surely than answers do (docs/lint.md); the answers are
    where they cannot.

    Args:
        workspace: Where masks and photos are; nothing is written.
        answers: What models' answers say of photos, by image_id in [0, 1]; empty without models.
        segmenter: Whose machine masks; needed where several segmenters made some.
        workers: Processes; None for all processors.
        progress: Called with ("lint", objects done, objects in all).

    Raises:
        UsageError: if there is no mask, several segmenters made proposals and none is named, or answers are of no photo
            of the workspace.
    """
    origins = proposal_origins(workspace, segmenter) | accepted_origins(workspace)
    subjects = WorkspaceSubjects(workspace, origins)
    if not len(subjects):
        propose = f"figureground propose -w {shell_word(workspace.root)}"
        raise UsageError(f"{workspace.root} holds no mask to score; make some with: {propose}")
    if answers and not answers.keys() & origins.keys():
        raise UsageError(f"the results are of none of the photos of {workspace.root}: give those of a dataset from it")
    request = LintRequest(
        settings=LintSettings(ring_leak=_LEAST), rules=(_RULE,), waivers=(), workers=workers or default_workers()
    )
    report = lint(subjects, request, sources=workspace.sources(), progress=progress)
    colour: dict[str, float] = {}
    for finding in report.findings:
        colour[finding.image_id] = max(finding.value, colour.get(finding.image_id, 0.0))
    scored = [
        RimLeak(
            image_id=image_id,
            origin=origins[image_id],
            score=colour.get(image_id, answers.get(image_id, 0.0)),
            colour=colour.get(image_id),
            answers=answers.get(image_id),
        )
        for image_id in origins
        if image_id in colour or image_id in answers
    ]
    return sorted(scored, key=lambda leak: (-leak.score, leak.image_id))
