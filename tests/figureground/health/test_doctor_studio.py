"""The doctor beside a real Label Studio: a token that it does not know is named, with the way to connect again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from known_commands import unknown_commands
from studio_server import need_server, shared_server

from figureground.annotate.studio.home import StudioHome
from figureground.health.servers import look_at_studio


@pytest.mark.parametrize("known", [True, False])
def test_a_token_that_the_server_does_not_know(known: bool, tmp_path: Path) -> None:
    need_server()
    _, connection = shared_server()
    home = StudioHome.of(tmp_path / "work")
    theirs = dataclasses.replace(connection, password="", token=connection.token if known else "0" * 40)
    home.root.mkdir(parents=True)
    home.save_connection(theirs)
    assert not theirs.ours
    finding = {one.name: one for one in look_at_studio(home)}["Label Studio"]
    assert finding.state == ("good" if known else "broken")
    if not known:
        assert finding.detail == f"refuses the token at {connection.url}"
        assert finding.remedy.endswith(f"figureground studio up -w {tmp_path / 'work'} --url {connection.url}")
        assert unknown_commands(finding.remedy) == []
