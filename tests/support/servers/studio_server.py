"""One real Label Studio for all tests of a run, whichever worker asks for it first."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from costs import require_marker
from needs import SHARED, need, need_shared
from PIL import Image

from figureground.annotate.studio.backend_daemon import stop_backend
from figureground.annotate.studio.environment import server_environment
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.annotate.studio.server import start_server, stop_server
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.workspace import Workspace

DATABASE = "label_studio.sqlite3"
"""The name of Label Studio's database in the server's folder, and of its copy in the run's."""


class Typed(Protocol):
    """Runs a command in this process; gives its exit code, its result, and what it says."""

    def __call__(self, *words: str) -> tuple[int, Any, str]: ...


def shared_server() -> tuple[Path, Connection]:
    """The workspace that owns the run's server, and the way to it; started on first use, stopped by conftest."""
    require_marker("label_studio")
    need_server()
    root = Path(os.environ["FIGUREGROUND_TEST_STUDIO"])
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = start_server(StudioHome.of(root))
        if not (root / DATABASE).exists():
            copy_database(StudioHome.of(root).data / DATABASE, root / DATABASE)
        return root, connection


def start_own_server(home: StudioHome) -> Connection:
    """Start a server for one test, on the database that the run's server had when it came up: migrated, and empty."""
    prepare_own_server(home)
    return start_server(home)


def prepare_own_server(home: StudioHome) -> None:
    """Lay a migrated and empty database where a server for one test will look for its own, with secrets of its own.

    Migrating one anew takes half a minute of a processor. Its name and its projects' mark are its own.
    """
    root, connection = shared_server()
    home.save_connection(replace(connection, server=secrets.token_hex(8), key=secrets.token_hex(8)))
    home.data.mkdir(parents=True)
    copy_database(root / DATABASE, home.data / DATABASE)


@contextmanager
def taken(address: str) -> Iterator[None]:
    """Somebody else listens at an address of this machine."""
    with socket.socket() as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", int(address.rsplit(":", 1)[1])))
        port.listen()
        yield


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that may be in use; the copy appears whole."""
    partial = target.with_suffix(".partial")
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(partial)) as written:
        read.backup(written)
    partial.replace(target)


def stop_shared_server(root: Path) -> None:
    """Stop it and its interactive SAM, if they were started."""
    if StudioHome.of(root).connection() is not None:
        stop_backend(StudioHome.of(root))
        stop_server(StudioHome.of(root))


def need_server() -> None:
    """Skip where Label Studio would have to be downloaded first, unless all is required."""
    try:
        import label_studio_sdk  # noqa: F401
    except ImportError:
        need(False, "label-studio-sdk is not installed")
    asked = bool(os.environ.get("FIGUREGROUND_REQUIRE_ALL"))
    need(asked or server_is_installed(), "Label Studio is not installed; figureground studio up does it")


def server_is_installed() -> bool:
    """Whether a server can start without a download."""

    class Missing(Exception):
        pass

    def refuse(_: str) -> None:
        raise Missing

    try:
        server_environment(refuse)
    except Missing:
        return False
    return True


def real_photos(folder: Path, count: int) -> Path:
    """A folder of real photos in folders of their labels."""
    need_shared(SHARED)
    photos = sorted((SHARED / "photos_in9").glob("*/*"))
    for path in photos[:: max(1, len(photos) // count)][:count]:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def drawn_photos(folder: Path, count: int, *, size_wh: tuple[int, int] = (64, 48)) -> Path:
    """Small drawn photos, no two alike."""
    target = folder / "n02279972"
    target.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.Generator(np.random.Philox(number)).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
        Image.fromarray(pixels).save(target / f"{number:04d}.png")
    return folder


def add_block_proposals(store: Workspace, segmenter: str = "block", *, until: float = 0.5) -> None:
    """A proposal for every photo: a block from a quarter of its sides to a share of them, the less sure the later."""
    for number, image in enumerate(store.images()):
        mask = np.zeros(image.size_hw, dtype=np.bool_)
        mask[image.height // 4 : int(image.height * until), image.width // 4 : int(image.width * until)] = True
        run_id = content_id(segmenter, image.image_id)
        run = ProposalRun(
            run_id=run_id, image_id=image.image_id, segmenter=segmenter, prompt_mode="auto", reason="", seconds=0.0
        )
        proposal = ProposalRecord(
            proposal_id=content_id(run_id, "0"),
            run_id=run_id,
            image_id=image.image_id,
            rle=encode_coco_rle(mask),
            score=1.0 - number / 1000,
            stability=0.9,
            rank=0,
            prompt="{}",
            segmenter=segmenter,
            checkpoint_sha256="",
        )
        store.add_run(run, [proposal])
