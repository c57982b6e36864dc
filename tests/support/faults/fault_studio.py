"""Verbs that talk to Label Studio: one server for all trials, each of which has projects of its own there.

A trial's workspace takes the server for its own: its folder lies below what the server may serve, and holds a copy of
what says where the server runs. What the server then holds is read from its database, where nothing is hidden.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from fault_inputs import Inputs
from fault_verbs import Verb, words
from platformdirs import user_cache_dir
from studio_server import DATABASE, add_block_proposals, copy_database, drawn_photos, shared_server

from figureground.annotate.human.push import push_kit
from figureground.annotate.segmenters.checkpoints import CACHE_VARIABLE, cache_folder
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.daemons import PLACE
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.annotate.studio.pull import pull
from figureground.annotate.studio.push import PushSettings, push
from figureground.annotate.studio.server import start_server, stop_server
from figureground.annotate.studio.tasks import mask_region
from figureground.annotate.verbs import index
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.pages.human_tasks import ANSWERS_FILE, read_kit
from figureground.schemas.store.workspace import Workspace

PHOTOS: Final = 60
"""That are pushed: a batch, and a part of one."""
ANSWERED: Final = 12
NONE: Final = load_attribute_schema("none")
_ADMINISTRATOR: Final = "maintainer@"


@dataclass(slots=True)
class Studio:
    """The server of all trials."""

    root: Path
    """The workspace whose own it is."""
    connection: Connection
    client: StudioClient
    newest: int = 0
    """The last project that was there before the trial."""
    before: tuple[int, ...] = ()
    """How much there was of those projects."""

    @classmethod
    def shared(cls) -> Studio:
        """The run's server."""
        root, connection = shared_server()
        return cls(root, connection, StudioClient(connection))

    @property
    def home(self) -> StudioHome:
        return StudioHome.of(self.root)

    @property
    def trials(self) -> Path:
        """Where the folders of trials lie, so that the server may serve what is in them."""
        return self.home.documents / "trials"

    def _rows(self, query: str, *values: Any) -> list[Any]:
        """What the server's database answers."""
        with closing(sqlite3.connect(self.home.data / DATABASE, timeout=60)) as database:
            return database.execute(query, values).fetchall()

    def connect(self, workspace: Path, *, key: bool = True) -> StudioHome:
        """Let a workspace take the server for its own, with a mark of its own for its projects if ``key``."""
        home = StudioHome.of(workspace)
        own = replace(self.connection, key=secrets.token_hex(8)) if key else self.connection
        home.save_connection(own)
        home.served.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.home.root / "server.json", home.root / "server.json")
        return home

    def begin(self, folder: Path, *, key: bool = True) -> None:
        """Make a trial's folder ready: no account of an annotator is there, no project of its own."""
        self.connect(folder / "work", key=key)
        self.newest = self._rows("SELECT coalesce(max(id), 0) FROM project")[0][0]
        self.before = self._counts()
        for user in self.client.users():
            if not user.email.startswith(_ADMINISTRATOR):
                self.client._request("DELETE", f"/api/users/{user.id}/")

    # What trials begin from

    def draw_photos(self, folder: Path) -> None:
        """A workspace of drawn photos with a machine mask each."""
        index(drawn_photos(folder.with_name("toy photos"), PHOTOS), folder, name="toys", workers=1)
        with Workspace.open(folder) as store:
            add_block_proposals(store)

    def draw_answered(self, toys: Path, folder: Path) -> None:
        """Photos that were pushed, and answered on the server."""
        work = self.trials / "pushed"
        shutil.copytree(toys, work)
        home = self.connect(work, key=False)
        with Workspace.open(work) as store:
            push(store, self.client, PushSettings(schema=NONE, limit=ANSWERED))
            (project,) = store.studio_projects(self.connection.server)
        mask = np.eye(48, 64, dtype=np.bool_)
        for number, (_, task) in enumerate(sorted(self.client.task_images(project))):
            flags = (
                [
                    {
                        "id": "flags",
                        "type": "choices",
                        "from_name": "flags",
                        "to_name": "image",
                        "value": {"choices": ["needs_second"]},
                    }
                ]
                if number % 2
                else []
            )
            result = [mask_region(mask, region_id="painted", label="object"), *flags]
            self.client._request("POST", f"/api/tasks/{task}/annotations/", json={"result": result, "lead_time": 1.0})
        shutil.rmtree(home.documents)
        shutil.move(work, folder)

    def draw_doubts(self, inputs: Inputs, folder: Path) -> None:
        """The same after a pull: half of the photos are in doubt."""
        shutil.copytree(inputs.part("pushed"), folder)
        with Workspace.open(folder) as store:
            pull(store, self.client)

    def draw_raters(self, inputs: Inputs, folder: Path) -> None:
        """A kit that was pushed for one rater and answered, and the workspace that pushed it."""
        work = self.trials / "asked"
        shutil.copytree(inputs.part("kit"), work / "kit")
        (work / "kit" / ANSWERS_FILE).unlink()
        Workspace.create(work / "work").close()
        home = self.connect(work / "work", key=False)
        kit = read_kit(work / "kit")
        projects = push_kit(kit, self.client, home, ["ada"]).projects["ada"]
        for project in projects:
            for page in self.client.changed_tasks(project, None):
                for task in page:
                    value = {"choices": [task["data"]["options"][0]["value"]]}
                    result = [{"id": "a", "type": "choices", "from_name": "answer", "to_name": "image", "value": value}]
                    self.client._request("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": result})
        shutil.rmtree(home.documents)
        shutil.move(work, folder)

    # What is there after a trial

    def facts(self, folder: Path) -> dict[str, Any]:
        """All that the server holds of a trial, and what the workspace notes of it."""
        facts: dict[str, Any] = {"server: nothing is added to other projects": self._counts() == self.before}
        titles = dict(self._rows("SELECT id, title FROM project WHERE id > ?", self.newest))
        for number, title in sorted(titles.items()):
            name = f"server: project {title}"
            while name in facts:
                name += ", again"
            facts[name] = self._project(number, folder)
        facts["server: accounts"] = self._accounts(folder)
        facts["what the workspace notes"] = self._noted(folder, titles)
        return facts

    def _counts(self) -> tuple[int, ...]:
        """How much there is of the projects that were there before a trial."""
        tables = ("project", "task", "prediction", "task_completion", "io_storages_localfilesimportstorage")
        columns = {"project": "id"}
        queries = [f"SELECT count(*) FROM {table} WHERE {columns.get(table, 'project_id')} <= ?" for table in tables]
        return tuple(self._rows(query, self.newest)[0][0] for query in queries)

    def _project(self, number: int, folder: Path) -> list[Any]:
        """Page, storages and tasks with their predictions, in the order in which they are shown."""
        page = self._rows(
            "SELECT label_config, model_version, sampling, show_skip_button FROM project WHERE id = ?", number
        )
        paths = self._rows(
            "SELECT s.path FROM io_storages_localfilesimportstorage l JOIN io_storages_localfilesmixin s "
            "ON s.id = l.localfilesmixin_ptr_id WHERE l.project_id = ?",
            number,
        )
        predictions: dict[int, list[Any]] = defaultdict(list)
        for task, *prediction in self._rows(
            "SELECT task_id, result, score, model_version FROM prediction WHERE project_id = ? ORDER BY result", number
        ):
            predictions[task].append(prediction)
        tasks = self._rows("SELECT id, data FROM task WHERE project_id = ? ORDER BY id", number)
        shown = [(data, predictions.pop(task, [])) for task, data in tasks]
        return [page, [str(Path(path).relative_to(folder.resolve())) for (path,) in paths], shown, dict(predictions)]

    def _accounts(self, folder: Path) -> list[tuple[str, bool]]:
        """Addresses, and whether the password that the workspace keeps lets them in."""
        path = folder / "work" / "studio" / "accounts.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        users = self._rows("SELECT email, password FROM htx_user ORDER BY email")
        return [(email, _lets_in(known.get(email, ""), stored)) for email, stored in users]

    def _noted(self, folder: Path, titles: Mapping[int, str]) -> list[Any]:
        """Projects, tasks and queues of the workspace, by what they are on the server; None for a task it has not."""
        on_server = {
            task: (titles.get(project, f"project {project}"), json.loads(data).get("image_id", ""))
            for task, project, data in self._rows("SELECT id, project_id, data FROM task")
        }
        noted: list[Any] = []
        database_path = folder / "work" / "workspace.sqlite"
        with closing(sqlite3.connect(database_path)) as database:
            projects = database.execute("SELECT DISTINCT project, title FROM studio_projects").fetchall()
            noted += sorted((title, titles.get(number, "of before")) for number, title in projects)
            tasks = database.execute("SELECT image_id, task FROM studio_tasks").fetchall()
            noted += sorted((image_id, on_server.get(task)) for image_id, task in tasks)
        for path in sorted((folder / "work" / "studio" / "queues").glob("*.json")):
            queue = json.loads(path.read_text())["photos"]
            shown = [on_server.get(task) for _, task in sorted(queue.items(), key=lambda entry: entry[1])]
            noted.append((titles.get(int(path.stem), "of before"), shown))
        return noted


def _lets_in(password: str, stored: str) -> bool:
    """Whether a password is that of Django's hash."""
    scheme, _, rest = stored.partition("$")
    if scheme != "pbkdf2_sha256" or not password:
        return False
    rounds, salt, digest = rest.split("$")
    computed = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), int(rounds))
    return base64.b64encode(computed).decode() == digest


# A server for one trial


def _own_server(inputs: Inputs, folder: Path) -> None:
    """Make ready what a server of the trial's own starts on; nothing of it is migrated."""
    workspace = folder / "work"
    home = StudioHome.of(workspace)
    fresh = replace(inputs.server.connection, server=secrets.token_hex(8), key=secrets.token_hex(8))
    home.save_connection(fresh)
    home.data.mkdir(parents=True)
    copy_database(inputs.server.root / DATABASE, home.data / DATABASE)


def _running_server(inputs: Inputs, folder: Path) -> None:
    _own_server(inputs, folder)
    start_server(StudioHome.of(folder / "work"))


def _server_facts(_: Inputs, folder: Path) -> dict[str, Any]:
    """How many servers run on the trial's database, and whether the one that is known answers."""
    import psutil

    home = StudioHome.of(folder / "work")
    place = f"{home.root}/server;"
    alive = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(PLACE, "").startswith(place) and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
        except psutil.Error:
            continue
    heads = [process for process in alive if process.ppid() not in {other.pid for other in alive}]
    facts: dict[str, Any] = {"servers": len(heads)}
    if heads:
        answers = StudioClient(home.require_connection(), patient=False).whoami().email
        known = json.loads((home.root / "server.json").read_text())["pid"]
        facts["the server that is known"] = (answers, known in [process.pid for process in heads])
    return facts


def _stop(_: Inputs, folder: Path) -> None:
    stop_server(StudioHome.of(folder / "work"))


def _cache(_: Inputs, __: Path) -> dict[str, str]:
    """Where Label Studio and weights are installed, which no trial installs anew."""
    return {"XDG_CACHE_HOME": str(Path(user_cache_dir("figureground")).parent), CACHE_VARIABLE: str(cache_folder())}


# The verbs


def _with_server(*called: str, begin: tuple[str, ...], key: bool = True, quick: bool = False, **more: Any) -> Verb:
    """A verb that talks to the server of all trials."""
    return Verb(
        words=words(*called),
        begin=begin,
        kind="studio",
        quick=quick,
        prepare=lambda inputs, folder: inputs.server.begin(folder, key=key),
        facts=lambda inputs, folder: inputs.server.facts(folder),
        **more,
    )


STUDIO_VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        "studio push": _with_server("studio", "push", "-w", "work", begin=("toys=work",), quick=True),
        "studio push, two people": _with_server(
            "studio",
            "push",
            "-w",
            "work",
            "--annotator",
            "ada",
            "--annotator",
            "ben",
            "--overlap",
            "6",
            "--limit",
            "20",
            begin=("toys=work",),
        ),
        "studio push, second looks": _with_server(
            "studio", "push", "-w", "work", "--second-look", begin=("doubted=work",)
        ),
        "studio pull": _with_server("studio", "pull", "-w", "work", begin=("pushed=work",), key=False, quick=True),
        "studio status": _with_server("studio", "status", "-w", "work", begin=("pushed=work",), key=False),
        "human push": _with_server(
            "human", "push", "kit", "-w", "work", "--rater", "ada", begin=("toys=work", "kit"), every=2
        ),
        "human pull": _with_server(
            "human", "pull", "kit", "-w", "work", begin=("asked raters/work=work", "asked raters/kit=kit"), key=False
        ),
        "studio up": Verb(
            words=words("studio", "up", "-w", "work", "--no-sam"),
            begin=("toys=work",),
            kind="studio",
            starved=False,
            prepare=_own_server,
            facts=_server_facts,
            finish=_stop,
            changes=_cache,
            every=4,
        ),
        "studio down": Verb(
            words=words("studio", "down", "-w", "work"),
            begin=("toys=work",),
            kind="studio",
            starved=False,
            prepare=_running_server,
            facts=_server_facts,
            finish=_stop,
            changes=_cache,
            every=4,
        ),
        "studio embeddings": Verb(
            words=words("studio", "embeddings", "-w", "work", "--fill"),
            begin=("pushed=work",),
            kind="studio",
            prepare=lambda _, folder: _leave_queue(folder),
            changes=_cache,
            every=3,
        ),
    }
)
"""As ``fault_verbs.VERBS``, for those that need Label Studio."""


def _leave_queue(folder: Path) -> None:
    """Copies of three photos, and a queue in which they wait."""
    home = StudioHome.of(folder / "work")
    (queue,) = home.queues.glob("*.json")
    stored = json.loads(queue.read_text())
    stored["photos"] = dict(sorted(stored["photos"].items())[:3])
    queue.write_text(json.dumps(stored))
    home.served.mkdir(parents=True)
    with Workspace.open(folder / "work") as store:
        for image_id in stored["photos"]:
            image = store.image(image_id)
            assert image is not None
            shutil.copyfile(Path(store.sources()[image.source].locator) / image.uri, home.served / f"{image_id}.png")
