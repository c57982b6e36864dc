"""The people whom every photo was sent to, as the workspace knows it, and for whose answers a photo waits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from figureground.annotate.decisions import answer_makers
from figureground.annotate.studio.people.assignment import Holders
from figureground.annotate.studio.people.team import remembered_team
from figureground.annotate.studio.projects import newest_projects
from figureground.schemas.records import Annotation, AnswerState, StudioTeam
from figureground.schemas.store.workspace import Workspace


@dataclass(slots=True, kw_only=True)
class Holdings:
    """Which photos everybody was sent for a first look, and what became of them."""

    team: StudioTeam
    """Nobody, where nothing was ever sent."""
    pairs: set[str] = field(default_factory=set)
    """Photos that two people are asked about."""
    projects: Mapping[str, int] = field(default_factory=dict)
    """Annotator to the project that they answer in now, also of those who left."""
    tasks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Annotator to the tasks of that project by image_id, honeypots left out."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Every project of first looks, also those deleted, and whose it is."""
    honeypots: set[tuple[int, str]] = field(default_factory=set)
    """(project, image_id) of every honeypot."""
    left: Mapping[str, set[str]] = field(default_factory=dict)
    """image_id to those from whom it was taken back."""
    states: dict[str, dict[tuple[int, str], AnswerState]] = field(default_factory=dict)
    """image_id to the state of each answer, by project and annotation_id."""

    @classmethod
    def of(cls, workspace: Workspace, server: str, projects: Mapping[str, int] | None = None) -> Holdings:
        """What a workspace knows of a server.

        Args:
            workspace: Where it is noted.
            server: The server.
            projects: Projects that annotators answer in now, where those are not the newest ones.
        """
        honeypots = workspace.studio_honeypots(server)
        projects = {**newest_projects(workspace, server, "first_look"), **(projects or {})}
        every = workspace.studio_projects(server, deleted=True)
        names = {project: notes[-1].annotator for project, notes in every.items() if notes[-1].purpose == "first_look"}
        left: dict[str, set[str]] = defaultdict(set)
        for project, name in names.items():
            for image_id in workspace.withdrawn_studio_tasks(server, project):
                left[image_id].add(name)
        holdings = cls(
            team=remembered_team(workspace, server) or StudioTeam(annotators=()),
            pairs=workspace.studio_pairs(server),
            projects=projects,
            tasks={
                name: {
                    image_id: task
                    for image_id, task in workspace.studio_tasks(server, project).items()
                    if (project, image_id) not in honeypots
                }
                for name, project in projects.items()
            },
            names=names,
            honeypots=honeypots,
            left=left,
        )
        for project, image_id, annotation_id, state in workspace.studio_answers(server):
            holdings.note(project, image_id, annotation_id, state)
        return holdings

    def note(self, project: int, image_id: str, annotation_id: str, state: AnswerState) -> None:
        """Take notice of an answer; a later state of it counts."""
        if project in self.names and (project, image_id) not in self.honeypots and state != "draft":
            self.states.setdefault(image_id, {})[project, annotation_id] = state

    def holders(self, image_id: str) -> Holders:
        """The people whom a photo was sent to."""
        states = self.states.get(image_id, {}).items()
        answered = {self.names[project] for (project, _), state in states if state == "submitted"}
        skipped = {self.names[project] for (project, _), state in states if state == "skipped"} - answered
        have = {name for name, tasks in self.tasks.items() if image_id in tasks}
        left = set(self.left.get(image_id, ()))
        return Holders(open=have - answered - skipped, answered=answered, skipped=skipped, left=left)

    def sent(self) -> set[str]:
        """Every photo that somebody has or has answered."""
        return {image_id for tasks in self.tasks.values() for image_id in tasks} | set(self.states)

    def awaited(self, image_id: str, answers: Iterable[Annotation]) -> int:
        """Number of first looks at a photo that are still to come: of those who have it, and of the second of two.

        Nobody waits for those who left, nor for a second person where all others skipped the photo.

        Args:
            image_id: The photo.
            answers: All answers to it: those that an older figureground pulled were not noted by project.
        """
        holders, team = self.holders(image_id), set(self.team.annotators)
        first = [answer for answer in answers if answer.purpose == "first_look" and answer.state != "draft"]
        makers = answer_makers(first)
        people = len(set(makers))
        known = len(holders.answered | holders.skipped)
        waiting = max(0, len(holders.open & team) - max(0, people - known))
        submitted = {maker for maker, answer in zip(makers, first, strict=True) if answer.state == "submitted"}
        wanted = 2 if image_id in self.pairs else 1
        missing = wanted - max(len(holders.answered), len(submitted))
        return max(waiting, min(missing, waiting + len(team - holders.asked)))
