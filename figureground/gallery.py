"""Looking at a dataset in a browser of this machine: ``figureground.view`` and the verb of that name."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figureground.runtime.progress import Progress

if TYPE_CHECKING:
    from types import TracebackType

    from figureground.exports.viewing.gallery import Decisions, Gallery
    from figureground.runtime.serving import LocalServer

Json = dict[str, Any]


@dataclass(slots=True)
class View:
    """A dataset that a server of this machine shows; use it as a context manager, or call ``close``."""

    gallery: Gallery
    token: str
    """Random; whoever has it may look, and flag photos where there is a workspace."""
    server: LocalServer
    _thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Address of the page, with the token."""
        host, port = self.server.address
        return f"http://{host}:{port}/{self.token}/"

    def about(self) -> Json:
        """Address and counts, JSON-ready."""
        about = self.gallery.about()
        return {
            "url": self.url,
            "token": self.token,
            "dataset": about["name"],
            "workspace": about["workspace"],
            **{name: about[name] for name in ("rows", "photos", "pixels", "configs", "splits", "models")},
        }

    def serve(self) -> None:
        """Serve in this thread until the process is asked to stop."""
        self.server.run()

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self.server.run, name="figureground view", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; the address answers no more."""
        self.server.stop()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> View:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def view(
    repository: str | Path,
    *,
    revision: str | None = None,
    results: Sequence[str | Path] | str | Path = (),
    workspace: str | Path | None = None,
    port: int = 0,
    progress: Progress = lambda *_: None,
) -> View:
    """Browse a dataset in a browser of this machine: filter its rows, set variants side by side, flag photos.

    Args:
        repository: Folder of a dataset repository, or OWNER/NAME on the Hub, whose shards are fetched.
        revision: Tag, branch or commit on the Hub; needed there, and for nothing else.
        results: Result files of ``evaluate`` with ``out`` on this dataset, or folders of them; one or several.
        workspace: Folder of the workspace that flags go to; None for none.
        port: Port of this machine to listen on, 0 for a free one.
        progress: Called with (stage, done, total).

    Returns:
        What is served, in a thread of its own, until it is closed; its ``url`` is the page.

    Raises:
        UsageError: if there is no such dataset or workspace, the results are of another dataset, or the port is taken.
        ServiceError: if the Hub cannot be reached.
        DataError: with every shard that is damaged.

    Example:
        >>> with figureground.view("in9") as shown:
        ...     print(shown.url)
    """
    started = start_view(
        repository,
        revision=revision,
        results=[Path(path) for path in ([results] if isinstance(results, str | Path) else results)],
        workspace=None if workspace is None else Path(workspace),
        port=port,
        progress=progress,
    )
    started.start()
    return started


def start_view(
    repository: str | Path,
    *,
    revision: str | None,
    results: Sequence[Path],
    workspace: Path | None,
    port: int,
    progress: Progress,
) -> View:
    """The same as ``view``, with a server that listens and is not served yet."""
    from figureground.exports.viewing.gallery import open_gallery
    from figureground.exports.viewing.guard import new_token
    from figureground.exports.viewing.server import create_app
    from figureground.runtime.serving import LocalServer, listen_locally

    decisions = None if workspace is None else _decisions(workspace)
    listening = listen_locally(port)
    try:
        gallery = open_gallery(repository, revision=revision, results=results, decisions=decisions, progress=progress)
    except BaseException:
        listening.close()
        raise
    token = new_token()
    return View(gallery, token, LocalServer(create_app(gallery, token), listening))


def _decisions(workspace: Path) -> Decisions:
    """A workspace as a gallery sees it. Raises ``UsageError`` if there is none."""
    from figureground.annotate.decisions import DOUBTS
    from figureground.exports.viewing.gallery import Decisions
    from figureground.schemas.store.workspace import Workspace

    with Workspace.open(workspace):
        pass
    return Decisions(
        name=workspace.resolve().name, read=partial(_read, workspace), flag=partial(_flag, workspace), flags=DOUBTS
    )


def _read(workspace: Path) -> Mapping[str, tuple[str, str]]:
    from figureground.schemas.store.workspace import Workspace

    with Workspace.open(workspace) as store:
        return {decision.image_id: (decision.state, decision.reason) for decision in store.newest_decisions()}


def _flag(workspace: Path, posted: Json) -> Json:
    """Store a flag. Raises ``UsageError`` for what is none."""
    from pydantic import ValidationError

    from figureground.annotate.flagging import Flag, flag_photo
    from figureground.errors import UsageError
    from figureground.schemas.store.workspace import Workspace

    try:
        flag = Flag.model_validate(posted)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:10]]
        raise UsageError("; ".join(faults)) from error
    with Workspace.open(workspace) as store:
        return {"changed": flag_photo(store, flag).changed}
