"""A server of its own for tests that stop it, and commands as the lead types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studio_server import Typed, need_server, start_own_server

from figureground.annotate.studio.backend_daemon import stop_backend
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.server import stop_server
from figureground.cli.app import main
from figureground.schemas.store.workspace import Workspace


@pytest.fixture(scope="session")
def own_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with a server of its own, which may be stopped; empty for whoever comes first."""
    need_server()
    folder = tmp_path_factory.mktemp("own") / "work"
    Workspace.create(folder).close()
    home = StudioHome.of(folder)
    start_own_server(home)
    try:
        yield folder
    finally:
        stop_backend(home)
        stop_server(home)


@pytest.fixture
def typed(own_root: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types a command for the workspace of ``own_root``."""

    def run(*words: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([*words, "-w", str(own_root), "--json"])
        printed = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, json.loads(printed.out or "{}"), printed.err

    return run
