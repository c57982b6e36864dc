"""Where pages load pictures from, and which projects are a kit's: under names that give nothing away."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from typing import Final

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.runtime.files import replace_file
from figureground.schemas.pages.human_tasks import HumanKit
from figureground.schemas.records import content_id

_UPLOADS: Final = 0
"""Stands for rater and round of the project that takes pictures on a server of somebody else."""
_UPLOADS_PAGE: Final = '<View><Image name="image" value="$image"/></View>'
"""Label Studio takes files for pages of one value only."""


class ServedPictures:
    """A kit's pictures on a server: a server of ours reads them from this disk, another gets each of them sent once.

    Args:
        kit: Whose pictures.
        client: The server.
        home: The studio of the workspace.
    """

    def __init__(self, kit: HumanKit, client: StudioClient, home: StudioHome) -> None:
        self._kit, self._client, self._documents = kit, client, home.documents
        self.folder = home.documents / "human" / kit.kit_id
        """On a server of ours: copies that it may serve."""

    def open_to(self, project: int) -> None:
        """Let a project's pages show the pictures."""
        if self._client.connection.ours:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._client.serve_folder(project, self.folder)

    def address(self, picture: str) -> str:
        """What a page loads a picture by; it is copied or sent if it is not there."""
        source = self._kit.picture_path(picture)
        if not self._client.connection.ours:
            if picture not in self._sent:
                self._sent[picture] = self._client.upload(self._uploads, source)
            return self._sent[picture]
        copy = self.folder / source.name
        if not copy.is_file():
            with replace_file(copy) as temporary:
                shutil.copyfile(source, temporary)
        return f"/data/local-files/?d={copy.relative_to(self._documents).as_posix()}"

    @cached_property
    def _uploads(self) -> int:
        project = find_project(self._kit, self._client, _UPLOADS, _UPLOADS)
        if project is None:
            mark = project_mark(self._kit, self._client, _UPLOADS, _UPLOADS)
            project = self._client.create_project("pictures (no tasks)", _UPLOADS_PAGE, mark)
        return project

    @cached_property
    def _sent(self) -> dict[str, str]:
        """Addresses by picture; the server puts eight digits and a dash before a file's name."""
        return {Path(address).stem.partition("-")[2]: address for address in self._client.uploaded(self._uploads)}


def find_project(kit: HumanKit, client: StudioClient, number: int, turn: int) -> int | None:
    """The project of a rater and round, if the server has it: the first, which was filled."""
    return min(client.projects_described(project_mark(kit, client, number, turn)), default=None)


def project_mark(kit: HumanKit, client: StudioClient, number: int, turn: int) -> str:
    """The description by which a project is recognised; it gives nothing away to people who read it."""
    return f"figureground {content_id(client.connection.key, kit.kit_id, f'r{number}', str(turn))}"
