"""Talking to a Label Studio server: the SDK where its models keep what we need, plain HTTP where they drop it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Literal

from figureground.annotate.studio.home import Connection
from figureground.annotate.studio.requests import FleetingError, of_label_studio, status_error, token_auth
from figureground.errors import MissingExtraError, ServiceError

PAGE: Final = 50
"""Tasks a page: a page of four masks each is half a megabyte."""
TIMEOUT_SECONDS: Final = 120.0
_AGREEING: Final = timedelta(seconds=2)
"""How far a second that a server tells may lie behind ours where the clocks agree: the rest of it, and the way here."""
_READ_ATTEMPTS: Final = 4

TaskState = Literal["answered", "skipped", "begun"]
"""A task has a submitted answer, or only ones that were skipped; or somebody has a draft of one."""

_FIELDS: Final = (
    "id",
    "data",
    "project",
    "updated_at",
    "annotations",
    "drafts",
    "result",
    "completed_by",
    "updated_by",
    "created_at",
    "lead_time",
    "was_cancelled",
)
"""Fields of a task and, in the second line, of its answers: the server drops those of both that are not named. All
fields would hold every mask three times."""

Json = dict[str, Any]


_UNTOUCHED: Final[list[Json]] = [
    {"filter": "filter:tasks:total_annotations", "operator": "equal", "type": "Number", "value": 0},
    {"filter": "filter:tasks:cancelled_annotations", "operator": "equal", "type": "Number", "value": 0},
    {"filter": "filter:tasks:draft_exists", "operator": "equal", "type": "Boolean", "value": False},
]
"""Tasks that nobody has answered, skipped or begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioUser:
    """An account on a server."""

    id: int
    email: str


@of_label_studio
class StudioClient:
    """One server, as one user.

    Args:
        connection: Address and token.
        patient: Whether reads are tried again when the server does not answer.

    Raises:
        MissingExtraError: without the extra ``label-studio``.
    """

    def __init__(self, connection: Connection, *, patient: bool = True) -> None:
        try:
            import httpx
            from label_studio_sdk import LabelStudio
        except ImportError as error:
            raise MissingExtraError("label-studio-sdk", "label-studio") from error
        self.connection = connection
        self._attempts = _READ_ATTEMPTS if patient else 1
        self._sdk: Any = LabelStudio(  # type: ignore[no-untyped-call]
            base_url=connection.url, api_key=connection.token, timeout=TIMEOUT_SECONDS
        )
        self._http = httpx.Client(
            base_url=connection.url, auth=token_auth(connection), timeout=TIMEOUT_SECONDS, follow_redirects=False
        )

    def whoami(self) -> StudioUser:
        """The user that the token belongs to."""
        user = self._get("/api/current-user/whoami")
        return StudioUser(id=int(user["id"]), email=str(user.get("email") or user.get("username")))

    def users(self) -> list[StudioUser]:
        """Every account of the server."""
        return [StudioUser(id=int(user["id"]), email=str(user["email"])) for user in self._get("/api/users/")]

    def invitation(self) -> str:
        """Path of the page where whoever has the link may sign up."""
        return str(self._get("/api/invite")["invite_url"])

    def version(self) -> str:
        """Version of the server."""
        return str(self._get("/api/version").get("release", "unknown"))

    def clock(self) -> datetime:
        """The server's time: ours, which is finer, where the two agree, since servers tell whole seconds."""
        with self._service("asking for the time"):
            answer = self._http.get("/health")
        date, ours = answer.headers.get("date"), datetime.now(UTC)
        theirs = parsedate_to_datetime(date) if date else ours
        return ours if theirs <= ours < theirs + _AGREEING else theirs

    # Projects

    def task_address(self, project: int, task: object) -> str:
        """Where a browser shows a task."""
        return f"{self.project_address(project)}?task={task}"

    def project_address(self, project: int) -> str:
        """Where a browser shows a project."""
        return f"{self.connection.url}/projects/{project}/data"

    def create_project(
        self,
        title: str,
        config: str,
        description: str,
        *,
        instruction: str = "",
        strict: bool = False,
        model_version: str = "",
    ) -> int:
        """Make a project; returns its id.

        Args:
            title: What people read.
            config: XML of its page.
            description: What it is found by again.
            instruction: HTML, behind a button of the page.
            strict: People read the instruction first, and can neither skip a task nor submit nothing.
            model_version: The version of the predictions that people begin from; empty for that of the first import.
        """
        with self._service("making a project"):
            made = self._sdk.projects.create(
                title=title,
                label_config=config,
                description=description,
                sampling="Sequential sampling",
                expert_instruction=instruction,
                show_instruction=strict,
                show_skip_button=not strict,
                enable_empty_annotation=not strict,
                show_collab_predictions=True,
                **({"model_version": model_version} if model_version else {}),
            )
        return int(made.id)

    def show_predictions(self, project: int, version: str) -> int:
        """Let people begin from all predictions of a project; returns how many were given ``version`` for that.

        In the stream of tasks, Label Studio shows those predictions alone whose version is the project's own
        (``Task.get_predictions_for_prelabeling``), which it took from the first import, or from an interactive
        backend.
        """
        versions = self._get(f"/api/projects/{project}/model-versions/")
        mended = 0
        if set(versions) - {version}:
            for prediction in self._get("/api/predictions/", {"project": project}):
                if prediction["model_version"] != version and prediction["result"]:
                    self._request("PATCH", f"/api/predictions/{prediction['id']}/", json={"model_version": version})
                    mended += 1
        state = self.project(project) or {}
        # The server refuses a version that no prediction has; left empty, the next import sets it.
        wanted = version if versions else state.get("model_version") or ""
        if (state.get("model_version") or "") != wanted or not state.get("show_collab_predictions"):
            change = {"model_version": wanted, "show_collab_predictions": True}
            self._request("PATCH", f"/api/projects/{project}/", json=change)
        return mended

    def set_config(self, project: int, config: str, *, instruction: str = "") -> None:
        """Give a project another page, and other instructions (HTML) if there are any."""
        fields = {"label_config": config, **({"expert_instruction": instruction} if instruction else {})}
        with self._service(f"changing project {project}"):
            self._sdk.projects.update(id=project, **fields)

    def project(self, project: int) -> Json | None:
        """A project's own fields, or None if the server has none of that id."""
        state = self._request("GET", f"/api/projects/{project}/", missing_is_fine=True)
        return None if state is None else dict(state)

    def projects_described(self, description: str) -> list[int]:
        """Projects with exactly this description, newest first."""
        with self._service("listing projects"):
            return sorted(
                (int(project.id) for project in self._sdk.projects.list() if project.description == description),
                reverse=True,
            )

    def serve_folder(self, project: int, folder: Path) -> None:
        """Let a project's tasks show files below a folder of the server's own disk."""
        with self._service(f"connecting a folder to project {project}"):
            known = [storage.path for storage in self._sdk.import_storage.local.list(project=project)]
            if str(folder) not in known:
                self._sdk.import_storage.local.create(
                    project=project, path=str(folder), use_blob_urls=True, title="served copies"
                )

    def connect_backend(self, project: int, url: str) -> None:
        """Point a project's smart tools at an interactive backend; a backend that moved replaces the old one.

        Having stored the backend, the server also wants to call it at every change of a task (a webhook), and answers
        403 because such calls may not stay on this machine. We want no such calls, and leave that protection on.

        Raises:
            ServiceError: if the server does not reach the backend.
        """
        for backend in self._backends(project):
            if backend["url"] != url:
                self._request("DELETE", f"/api/ml/{backend['id']}")
        if not self._backends(project):
            made = {"project": project, "url": url, "title": "figureground SAM", "is_interactive": True, "timeout": 100}
            self._request("POST", "/api/ml/", refusal_is_fine=True, json=made)
        if not any(backend["state"] == "CO" for backend in self._backends(project)):
            raise ServiceError(f"{self.connection.url} cannot reach the interactive SAM at {url}; is it running?")

    def _backends(self, project: int) -> list[Json]:
        return list(self._get("/api/ml/", {"project": project}))

    # Tasks

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Add tasks with their predictions; returns their ids in order. Not retried: it is not idempotent."""
        # The SDK's model of the answer knows no task ids.
        sent = self._request(
            "POST", f"/api/projects/{project}/import", params={"return_task_ids": "true"}, json=list(tasks)
        )
        return [int(task) for task in sent["task_ids"]]

    def delete_project(self, project: int) -> None:
        """Delete a project with all that is in it; that it is gone already is no fault."""
        self._request("DELETE", f"/api/projects/{project}/", missing_is_fine=True)

    def delete_task(self, task: int) -> None:
        """Delete a task with all that was answered to it; that it is gone already is no fault."""
        self._request("DELETE", f"/api/tasks/{task}/", missing_is_fine=True)

    def upload(self, project: int, path: Path) -> str:
        """Copy a file to a server that does not see this disk; returns the address that a task shows it by."""
        with path.open("rb") as file:
            sent = self._request(
                "POST",
                f"/api/projects/{project}/import",
                params={"commit_to_project": "false"},
                files={"file": (path.name, file)},
            )
        stored = self._get(f"/api/import/file-upload/{sent['file_upload_ids'][0]}")
        return f"/data/{str(stored['file']).lstrip('/')}"

    def uploaded(self, project: int) -> list[str]:
        """Addresses of all files that were copied to a project."""
        uploads = self._get(f"/api/projects/{project}/file-uploads", {"all": "true"})
        return [f"/data/{str(upload['file']).lstrip('/')}" for upload in uploads]

    def task_images(self, project: int) -> list[tuple[str, int]]:
        """(image_id, task) of every task of a project, as the server has them now."""
        pages = self._pages({"project": project, "fields": "task_only", "include": "id,data"}, page_size=500)
        return [(str(task["data"].get("image_id", "")), int(task["id"])) for page in pages for task in page]

    def untouched_tasks(self, project: int, tasks: Iterable[int]) -> set[int]:
        """Those of some tasks that nobody has answered, skipped or begun, as the server has them now."""
        pages = self._filtered(project, _UNTOUCHED, include="id", page_size=500)
        return {int(task["id"]) for page in pages for task in page} & set(tasks)

    def answered_tasks(self, project: int) -> set[int]:
        """Tasks of a project that somebody has submitted an answer to."""
        answered = {"filter": "filter:tasks:total_annotations", "operator": "greater", "type": "Number", "value": 0}
        return {
            int(task["id"])
            for page in self._filtered(project, [answered], include="id", page_size=500)
            for task in page
        }

    def delete_untouched(self, project: int, tasks: Iterable[int]) -> set[int]:
        """Delete those of some tasks that nobody has answered, skipped or begun; returns the ones that are gone.

        The server judges that itself in the request that deletes.
        """
        asked = sorted(self.untouched_tasks(project, tasks))
        if not asked:
            return set()
        selection: Json = {"filters": {"conjunction": "and", "items": _UNTOUCHED}}
        selection["selectedItems"] = {"all": False, "included": asked}
        params = {"id": "delete_tasks", "project": project}
        self._request("POST", "/api/dm/actions/", params=params, json=selection)
        return set(asked) - {task for _, task in self.task_images(project)}

    def changed_tasks(self, project: int, since: str | None) -> Iterator[list[Json]]:
        """Pages of tasks with all their submitted and skipped answers, those changed after ``since`` only."""
        # The server knows this one spelling of a time; with +00:00 it fails.
        changed = {"filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime", "value": since}
        return self._filtered(project, [changed] if since else [])

    def drafted_tasks(self, project: int) -> Iterator[list[Json]]:
        """Pages of tasks that somebody has begun and not submitted; a draft does not count as a change of its task.

        The server shows the drafts themselves to their owner alone.
        """
        drafted = {"filter": "filter:tasks:draft_exists", "operator": "equal", "type": "Boolean", "value": True}
        return self._filtered(project, [drafted])

    def count_tasks(self, project: int, state: TaskState) -> int:
        """Number of a project's tasks in a state."""
        number = {"type": "Number", "value": 0}
        conditions: dict[TaskState, list[Json]] = {
            "answered": [{"filter": "filter:tasks:total_annotations", "operator": "greater", **number}],
            "skipped": [
                {"filter": "filter:tasks:total_annotations", "operator": "equal", **number},
                {"filter": "filter:tasks:cancelled_annotations", "operator": "greater", **number},
            ],
            "begun": [{"filter": "filter:tasks:draft_exists", "operator": "equal", "type": "Boolean", "value": True}],
        }
        query = {"filters": {"conjunction": "and", "items": conditions[state]}}
        answer = self._get(
            "/api/tasks/", {"project": project, "page_size": 1, "include": "id", "query": json.dumps(query)}
        )
        return int(answer["total"])

    def _filtered(
        self, project: int, items: Sequence[Json], *, include: str = ",".join(_FIELDS), page_size: int | None = None
    ) -> Iterator[list[Json]]:
        query: Json = {"project": project, "fields": "all", "include": include}
        if items:
            query["query"] = json.dumps({"filters": {"conjunction": "and", "items": list(items)}})
        return self._pages(query, page_size=page_size or PAGE)

    def _pages(self, query: Json, *, page_size: int) -> Iterator[list[Json]]:
        done = 0
        for number in range(1, 1_000_000):
            answer = self._get("/api/tasks/", {**query, "page": number, "page_size": page_size})
            tasks = list(answer["tasks"])
            if tasks:
                yield tasks
            done += len(tasks)
            if not tasks or done >= int(answer["total"]):
                return

    # Plumbing

    def _get(self, path: str, params: Json | None = None) -> Any:  # noqa: ANN401  whatever the route answers
        import stamina

        for attempt in stamina.retry_context(on=FleetingError, attempts=self._attempts, wait_initial=0.5, wait_max=5.0):
            with attempt:
                return self._request("GET", path, params=params)
        raise AssertionError("stamina raises what the last attempt raised")

    def _request(
        self,
        method: str,
        path: str,
        *,
        missing_is_fine: bool = False,
        refusal_is_fine: bool = False,
        **rest: Any,  # noqa: ANN401  httpx's own options
    ) -> Any:  # noqa: ANN401
        import httpx

        try:
            answer = self._http.request(method, path, **rest)
        except httpx.HTTPError as error:
            raise FleetingError(f"{self.connection.url} does not answer ({type(error).__name__}); run again") from error
        if (answer.status_code == 404 and missing_is_fine) or (answer.status_code == 403 and refusal_is_fine):
            return None
        if answer.status_code >= 300:  # redirects too: no route of Label Studio's is moved
            raise status_error(self.connection.url, answer.status_code, f"{method} {path}", answer.text)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise ServiceError(f"{self.connection.url}{path} is no Label Studio: it answered no JSON") from error

    @contextmanager
    def _service(self, what: str) -> Iterator[None]:
        """The SDK's errors as ours."""
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except ApiError as error:
            raise status_error(self.connection.url, error.status_code or 0, what, str(error.body)) from error
        except httpx.HTTPError as error:
            raise ServiceError(f"{self.connection.url} stopped answering while {what}; run again") from error
