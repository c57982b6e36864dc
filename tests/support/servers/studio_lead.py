"""What a lead and annotators do over the network, for tests on the run's server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from studio_server import add_block_proposals, drawn_photos, shared_server

from figureground.annotate.catalogue import index_source
from figureground.annotate.studio.accounts import ensure_account
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.people.team import TeamChange
from figureground.annotate.studio.push import PushReport, PushSettings, push
from figureground.annotate.studio.server import connect_server
from figureground.annotate.studio.tasks import mask_region
from figureground.schemas.attributes import AttributeSchema, load_attribute_schema
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]
NONE = load_attribute_schema("none")


@contextmanager
def drawn_store(folder: Path, count: int = 6) -> Iterator[Workspace]:
    """A workspace of drawn photos with a machine mask each."""
    with Workspace.create(folder / "work") as workspace:
        index_source(workspace, open_source(str(drawn_photos(folder / "photos", count))), workers=1)
        add_block_proposals(workspace)
        yield workspace


def strangers_client(store: Workspace) -> StudioClient:
    """The run's server, as one that somebody else runs: by address and token."""
    _, connection = shared_server()
    return StudioClient(connect_server(StudioHome.of(store.root), connection.url, connection.token))


def tasks_of(client: StudioClient, project: int) -> list[Json]:
    """Tasks of a project with their answers."""
    return [task for page in client.changed_tasks(project, None) for task in page]


def answer(client: StudioClient, task: Json, result: list[Json] | None = None, **fields: Any) -> int:
    """Submit as a person would, by default the machine mask untouched."""
    if result is None:
        mask = np.zeros((48, 64), dtype=np.bool_)
        mask[12:24, 16:32] = True
        result = [mask_region(mask, region_id=task["data"]["proposal_id"], label="object")]
    made = client._request(
        "POST", f"/api/tasks/{task['id']}/annotations/", json={"result": result, "lead_time": 4.5, **fields}
    )
    return int(made["id"])


def begin(client: StudioClient, project: int, task: Json) -> None:
    """Begin a task and leave it as a draft."""
    draft = {"result": [], "lead_time": 1}
    client._request("POST", f"/api/tasks/{task['id']}/drafts", params={"project": project}, json=draft)


def send(
    store: Workspace,
    client: StudioClient,
    schema: AttributeSchema = NONE,
    *,
    limit: int | None = None,
    destructive: bool = False,
    segmenter: str | None = None,
    **people: Any,
) -> PushReport:
    """Push."""
    settings = PushSettings(
        schema=schema, people=TeamChange(**people), limit=limit, destructive=destructive, segmenter=segmenter
    )
    return push(store, client, settings)


def second_user(client: StudioClient) -> int:
    """Another account of the run's server."""
    root, connection = shared_server()
    ensure_account(StudioClient(connection), StudioHome.of(root), "second")
    return next(user.id for user in client.users() if user.email.startswith("second@"))
