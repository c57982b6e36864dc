"""When a project got its page is told by the server's clock, as the times of its answers are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from studio_samples import make_schema

from figureground.annotate.studio.answer_json import read_time
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.projects import ProjectOwner, ProjectRequest, open_project, pushed_schema
from figureground.annotate.studio.pull import _note_of
from figureground.schemas.store.workspace import Workspace


class ShiftedServer:
    """As much of a server as opening a project asks for, whose clock differs from ours."""

    def __init__(self, shift: timedelta) -> None:
        self.shift = shift
        self.connection = SimpleNamespace(server="far", key="far", ours=False)
        self.pages: dict[int, str] = {}

    def clock(self) -> datetime:
        return (datetime.now(UTC) + self.shift).replace(microsecond=0)

    def projects_described(self, mark: str) -> list[int]:
        del mark
        return []

    def create_project(self, title: str, page: str, *_: object, **__: object) -> int:
        del title
        self.pages[7] = page
        return 7

    def project(self, number: int) -> dict[str, Any]:
        return {"label_config": self.pages[number], "task_number": 0}

    def set_config(self, number: int, page: str, **_: object) -> None:
        self.pages[number] = page

    def show_predictions(self, *_: object) -> int:
        return 0


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_answers_are_read_by_the_page_that_they_were_given_on(tmp_path: Path, hours: int) -> None:
    server: Any = ShiftedServer(timedelta(hours=hours))
    first, second = make_schema(ticked=["wet"]), make_schema(version="2", ticked=["wet", "tall"])
    with Workspace.create(tmp_path) as store:
        owner = ProjectOwner(workspace=store, client=server, home=StudioHome.of(tmp_path))
        assert open_project(owner, ProjectRequest(schema=first)) == 7
        server.shift += timedelta(minutes=10)
        between = server.clock() - timedelta(minutes=5)
        assert open_project(owner, ProjectRequest(schema=second)) == 7
        notes = store.studio_projects("far")[7]
        given = [_note_of(read_time(time.isoformat()), notes) for time in (between, server.clock())]
        assert pushed_schema(store, server) == second
    assert [note.attribute_schema for note in given] == [schema.model_dump_json() for schema in (first, second)]
