"""Photos that change hands: the rest of somebody who leaves, and a fair share for a newcomer. Nothing begun moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.people.assignment import choose_move
from figureground.annotate.studio.people.holdings import Holdings
from figureground.schemas.store.workspace import Workspace

CHUNK: Final = 200
"""Tasks that one request deletes."""


def photos_of_those_who_left(holdings: Holdings) -> dict[str, list[str]]:
    """Photos that people who left have not answered, by their name."""
    return {
        name: sorted(image_id for image_id in holdings.tasks.get(name, {}) if name in holdings.holders(image_id).open)
        for name in holdings.team.heirs
    }


def photos_for_newcomers(
    holdings: Holdings, image_ids: Iterable[str], newcomers: Set[str], pairs: Set[str]
) -> dict[str, list[str]]:
    """Photos that newcomers should have instead of those who have them, by the name of those.

    Args:
        holdings: Who has what.
        image_ids: Photos without a decision.
        newcomers: Members of the team.
        pairs: Photos that two people get.
    """
    givers: dict[str, list[str]] = {}
    for image_id in image_ids:
        holders, wanted = holdings.holders(image_id), 2 if image_id in pairs else 1
        giver = choose_move(image_id, holdings.team, holders, newcomers=newcomers, wanted=wanted)
        if giver is not None:
            givers.setdefault(giver, []).append(image_id)
    return givers


def take_back(
    workspace: Workspace, client: StudioClient, holdings: Holdings, givers: Mapping[str, Iterable[str]]
) -> dict[str, str]:
    """Delete tasks that nobody has answered, skipped or begun, as the server has them now; the others stay.

    Args:
        workspace: Notes what was taken back.
        client: The server.
        holdings: Who has what.
        givers: Annotator to the photos to take from them.

    Returns:
        image_id to who had it, of the tasks that are gone.
    """
    server = client.connection.server
    taken: dict[str, str] = {}
    for giver, image_ids in givers.items():
        wanted, project = sorted(image_ids), holdings.projects.get(giver)
        if project is None or client.project(project) is None:
            continue
        for start in range(0, len(wanted), CHUNK):
            tasks = {image_id: holdings.tasks[giver][image_id] for image_id in wanted[start : start + CHUNK]}
            gone = client.delete_untouched(project, tasks.values())
            done = {image_id: task for image_id, task in tasks.items() if task in gone}
            workspace.withdraw_studio_tasks(server, project, done)
            taken |= dict.fromkeys(done, giver)
    return taken


def answered_by_those_who_left(
    client: StudioClient, holdings: Holdings, givers: Mapping[str, Iterable[str]]
) -> dict[str, set[str]]:
    """Photos whose answers by people who left are on the server and were not pulled yet, by their names."""
    answered: dict[str, set[str]] = {}
    for giver, image_ids in givers.items():
        project = holdings.projects.get(giver)
        tasks = {holdings.tasks[giver][image_id]: image_id for image_id in image_ids}
        if tasks and project is not None and client.project(project) is not None:
            answered[giver] = {tasks[task] for task in client.answered_tasks(project) & tasks.keys()}
    return answered
