"""Push: a project for each rater and round; what a project has already is not sent again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from figureground.annotate.human.page import instructions, page_configuration, task_json
from figureground.annotate.human.served import ServedPictures, find_project, project_mark
from figureground.annotate.human.sessions import session
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome, changing_secret, write_secret
from figureground.annotate.studio.projects import delete_doubled_tasks, delete_empty_doubles
from figureground.errors import DataError, UsageError
from figureground.runtime.progress import Progress
from figureground.schemas.pages.human_tasks import HumanKit
from figureground.schemas.records import NAME_PATTERN

BATCH: Final = 100
"""Tasks a request; they hold no pictures."""
_LONGEST_TITLE: Final = 50
"""Of Label Studio's project titles."""


@dataclass(slots=True, kw_only=True)
class HumanPushReport:
    """What one call of ``push_kit`` did."""

    sent: int = 0
    already_there: int = 0
    projects: dict[str, list[int]] = field(default_factory=dict)
    """Rater to their projects, one a round, in the order in which they are worked on."""


def push_kit(
    kit: HumanKit,
    client: StudioClient,
    home: StudioHome,
    raters: Sequence[str],
    *,
    progress: Progress = lambda *_: None,
) -> HumanPushReport:
    """Send every rater's sessions.

    What the server has counts, so a push that was killed goes on where it stopped. Raters who are named later come
    after those who were named before.

    Raises:
        UsageError: for raters that are not names.
        ServiceError: if the server fails; run again to resume.
    """
    known = add_raters(home, kit, raters)
    rounds = range(1, len(kit.facts.configs) + 1)
    report, pictures = HumanPushReport(), ServedPictures(kit, client, home)
    total = sum(len(session(kit, known.index(name) + 1, turn)) for name in raters for turn in rounds)
    done = 0
    for name in raters:
        for turn in rounds:
            number = known.index(name) + 1
            project = _open_project(kit, client, pictures, name, number, turn)
            report.projects.setdefault(name, []).append(project)
            there = {task_id for task_id, _ in _tasks(client, project)}
            tasks = session(kit, number, turn)
            waiting = [task for task in tasks if task.task_id not in there]
            report.already_there += len(tasks) - len(waiting)
            done += len(tasks) - len(waiting)
            for start in range(0, len(waiting), BATCH):
                part = waiting[start : start + BATCH]
                addresses = {task.picture: pictures.address(task.picture) for task in part}
                client.import_tasks(project, [task_json(task, kit, addresses[task.picture]) for task in part])
                report.sent += len(part)
                done += len(part)
                progress("push", done, total)
            if waiting:  # what a killed command had sent may have come in meanwhile
                _tasks(client, project)
    return report


def _tasks(client: StudioClient, project: int) -> list[tuple[str, int]]:
    """Questions of a project and their tasks; of a question that is there twice one is left."""
    return delete_doubled_tasks(client, project, client.task_images(project))


def _open_project(
    kit: HumanKit, client: StudioClient, pictures: ServedPictures, name: str, number: int, turn: int
) -> int:
    project = find_project(kit, client, number, turn)
    if project is None:
        title = f"{name[: _LONGEST_TITLE - 12]} - session {turn}"
        mark = project_mark(kit, client, number, turn)
        page = page_configuration(kit.facts.arm)
        project = client.create_project(title, page, mark, instruction=instructions(kit), strict=True)
        delete_empty_doubles(client, mark, {project})
    pictures.open_to(project)
    return project


def raters_of(home: StudioHome, kit: HumanKit) -> list[str]:
    """Names of a kit's raters: the first is ``r1``. They stay in the workspace, readable by its owner alone."""
    return _read_raters(home).get(kit.kit_id, [])


def add_raters(home: StudioHome, kit: HumanKit, names: Sequence[str]) -> list[str]:
    """Note raters behind those who are noted; returns all."""
    strange = [name for name in names if not NAME_PATTERN.fullmatch(name)]
    if strange or not names or len(set(names)) < len(names):
        raise UsageError("name raters with --rater, once each, with letters, digits, dots, dashes and underscores")
    with changing_secret(_raters_file(home)):
        everybody = _read_raters(home)
        known = everybody.setdefault(kit.kit_id, [])
        new = [name for name in names if name not in known]
        if new:
            known += new
            write_secret(_raters_file(home), json.dumps(everybody, indent=1, sort_keys=True))
    return known


def _raters_file(home: StudioHome) -> Path:
    return home.root / "raters.json"


def _read_raters(home: StudioHome) -> dict[str, list[str]]:
    path = _raters_file(home)
    try:
        return TypeAdapter(dict[str, list[str]]).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError.single(
            str(path),
            "",
            expected="raters by kit",
            got="damaged JSON",
            remedy="restore it from a backup: without it, nobody knows which rater is whose project",
        ) from error
