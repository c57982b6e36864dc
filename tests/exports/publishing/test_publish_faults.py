"""Publishing while the Hub fails, others commit and the process is killed: main shows whole releases or nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn_release import draw_release
from hub_client import Client, build_toy, relist
from hub_double import SECRET, SIGNATURE, STRANGER, HubDouble
from hub_store import LFS_ENDINGS, Blob, folder_hashes

PUBLISH = ("publish", "--repo-id", "me/toy", "--workers", "1")
NOW = {"Retry-After": "0"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(tmp_path_factory.mktemp("toy"))
    return build_toy(draw_release(root / "drawn", per_class=2), root / "toy")


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with HubDouble() as double:
        yield double


@pytest.fixture
def client(hub: HubDouble, tmp_path: Path) -> Client:
    return Client(hub, tmp_path / "home")


def large(folder: Path) -> dict[str, int]:
    """SHA-256 to size of the files that the Hub keeps as large ones."""
    hashes = folder_hashes(folder)
    return {sha256: (folder / path).stat().st_size for path, sha256 in hashes.items() if path.endswith(LFS_ENDINGS)}


def uploads(hub: HubDouble, start: int = 0) -> list[tuple[str, int]]:
    """SHA-256 and bytes of every upload, in order."""
    puts = [request for request in hub.log[start:] if request.method == "PUT" and request.path.startswith("/lfs/")]
    return [(request.path.partition("?")[0].rpartition("/")[2], request.received) for request in puts]


def on_main(hub: HubDouble) -> dict[str, str]:
    tree = hub.repos["me/toy"].main.tree
    return {path: blob.sha256 for path, blob in tree.items() if not path.startswith(".")}


def titles(hub: HubDouble) -> list[str]:
    """Of the commits to main, oldest first."""
    repo, history, oid = hub.repos["me/toy"], list[str](), hub.repos["me/toy"].main.oid
    while oid:
        history.insert(0, repo.commits[oid].title)
        oid = repo.commits[oid].parent
    return history[1:]


def test_whatever_fails_is_asked_again_and_main_never_shows_a_part(hub: HubDouble, client: Client, toy: Path) -> None:
    hub.allow("me/toy", toy)
    name = "/datasets/me/toy"
    troubles = [
        hub.fail("GET", f"/api{name}$", 503, headers=NOW),
        hub.fail("POST", "/api/repos/create", 502, headers=NOW),
        hub.fail("POST", "/preupload/", 429, headers={"RateLimit": '"api";r=0;t=0'}),
        hub.fail("POST", "/objects/batch", 500),
        hub.fail("PUT", "/lfs/", drop=True),
        hub.fail("PUT", "/lfs/", lose=True, after=1),
        hub.fail("POST", "/commit/main[?]create_pr=1", 429, headers=NOW),
        hub.fail("POST", "/commit/main[?]create_pr=1", lose=True),
        hub.fail("POST", "/commit/main$", before=lambda: hub.repos["me/toy"].put({"NOTES.md": b"by somebody else"})),
        hub.fail("POST", "/commit/main$", 503, headers=NOW),
        hub.fail("POST", "/commit/main$", lose=True),
        hub.fail("POST", "/tag/", lose=True),
        hub.fail("POST", "/paths-info/v1", drop=True),
        hub.fail("POST", "/discussions/1/status", 409, headers=NOW),
    ]
    done = client.figureground(*PUBLISH, toy)
    assert [trouble.times for trouble in troubles] == [0] * len(troubles)
    assert hub.violations == []
    assert on_main(hub) == {**folder_hashes(toy), "NOTES.md": Blob(b"by somebody else", False).sha256}
    assert titles(hub) == ["by hand", "Release v1"]
    assert [item.status for item in hub.asked("POST", "/commit/main$")] == [412, 503, 0]
    assert [item.status for item in hub.asked("POST", "/tag/")] == [0]
    assert [item["status"] for item in hub.repos["me/toy"].pull_requests.values()] == ["closed"]
    assert hub.repos["me/toy"].refs["refs/tags/v1"] == hub.repos["me/toy"].main.oid
    for words in ("the Hub answered 503", "answered 412", "answered 429", "cannot be reached", "attempt 2 of 8"):
        assert words in done.stderr
    assert {sha256 for sha256, _ in uploads(hub)} == large(toy).keys()


def kill(process: list[subprocess.Popen[str]]) -> Callable[[], None]:
    """Kill the process that will stand in the list, with all that it started."""
    return lambda: os.killpg(process[-1].pid, signal.SIGKILL)


def test_a_killed_run_goes_on_where_it_was_and_sends_nothing_twice(
    hub: HubDouble, client: Client, toy: Path, tmp_path: Path
) -> None:
    toy = shutil.copytree(toy, tmp_path / "toy")
    for number in range(40):  # more than are on their way at once
        (toy / "report" / f"{number:02}.png").write_bytes(b"\x89PNG" + bytes([number]) * 64)
    hub.allow("me/toy", relist(toy))
    runs: list[subprocess.Popen[str]] = []

    def killed() -> int:
        """Run until killed; returns where the log of the run begins."""
        start = len(hub.log)
        runs.append(client.start("-m", "figureground", *PUBLISH, str(toy)))
        _, err = runs[-1].communicate(timeout=240)
        assert runs[-1].returncode == -signal.SIGKILL, err
        hub.settle()
        return start

    hub.fail("PUT", "/lfs/", before=kill(runs), after=2)
    killed()
    repo = hub.repos["me/toy"]
    there = set(repo.objects)
    assert 0 < len(there) < 40  # of those on their way when the run is killed, some arrive
    assert (on_main(hub), repo.pull_requests) == ({}, {})

    hub.fail("POST", "/commit/main[?]create_pr=1", before=kill(runs))
    start = killed()
    assert sorted(uploads(hub, start)) == sorted(item for item in large(toy).items() if item[0] not in there)
    assert (on_main(hub), len(repo.pull_requests)) == ({}, 1)

    hub.fail("POST", "/commit/main$", before=kill(runs))
    start = killed()
    assert uploads(hub, start) == []
    assert on_main(hub) == folder_hashes(toy)
    assert "refs/tags/v1" not in repo.refs

    start = len(hub.log)
    client.figureground(*PUBLISH, toy)
    assert uploads(hub, start) == []
    assert titles(hub) == ["Release v1"]
    assert repo.refs["refs/tags/v1"] == repo.main.oid
    assert [item["status"] for item in repo.pull_requests.values()] == ["closed"]
    assert hub.violations == []


def _edit_main(hub: HubDouble) -> Callable[[], Any]:
    return lambda: hub.repos["me/toy"].put({"README.md": b"mine"})


def _edit_stage(hub: HubDouble) -> Callable[[], Any]:
    def edit() -> None:
        repo = hub.repos["me/toy"]
        commit = repo.find("refs/pr/1")
        repo.commits[commit.oid].tree["recipe.yaml"] = Blob(b"name: another", False)  # type: ignore[index]

    return edit


@pytest.mark.parametrize(
    ("method", "pattern", "change", "message", "left"),
    [
        pytest.param(
            "GET",
            "/resolve/.*README.md",
            _edit_main,
            r"me/toy@main: README\.md: expected .* got changed by somebody while this was published",
            {"README.md"},
            id="main edited while the release was loaded back",
        ),
        pytest.param(
            "POST",
            "/paths-info/",
            _edit_stage,
            r"me/toy@[0-9a-f]{40}: recipe\.yaml: expected a file with SHA-256 [0-9a-f]{64}, got [0-9a-f]{40}; run",
            set(),
            id="the stage does not hold what was sent",
        ),
    ],
)
def test_what_is_not_as_it_was_left_is_not_released(
    method: str,
    pattern: str,
    change: Callable[[HubDouble], Any],
    message: str,
    left: set[str],
    hub: HubDouble,
    client: Client,
    toy: Path,
) -> None:
    hub.fail(method, pattern, before=change(hub))
    stderr = client.figureground(*PUBLISH, toy, code=1).stderr
    assert re.search(message, stderr), stderr
    assert set(on_main(hub)) == left
    assert [title for title in titles(hub) if title.startswith("Release")] == []
    assert "refs/tags/v1" not in hub.repos["me/toy"].refs


def test_what_cannot_succeed_is_said_at_once(hub: HubDouble, toy: Path, tmp_path: Path) -> None:
    owner, stranger = Client(hub, tmp_path / "home"), Client(hub, tmp_path / "strange", STRANGER)
    damaged = shutil.copytree(toy, tmp_path / "damaged")
    (damaged / "recipe.yaml").write_text("name: another")
    assert "recipe.yaml: expected a file with SHA-256" in owner.figureground(*PUBLISH, damaged, code=1).stderr
    assert hub.log == []

    nobody = Client(hub, tmp_path / "nobody", None)
    assert "nobody is logged in to the Hub" in nobody.figureground(*PUBLISH, toy, code=2).stderr
    stderr = stranger.figureground(*PUBLISH, toy, code=2).stderr
    assert "the Hub answered 403: You don't have the rights to create a dataset; this login may not do that" in stderr
    assert (len(hub.asked("POST", "/api/repos/create")), hub.repos) == (1, {})

    hub.fail("POST", "/commit/main[?]create_pr=1", 429, headers={"RateLimit": '"api";r=0;t=3000'}, times=9)
    stderr = owner.figureground(*PUBLISH, toy, code=3).stderr
    assert "ServiceError: me/toy: the Hub answered 429: injected; run again to go on" in stderr
    assert len(hub.asked("POST", "/commit/", status=429)) == 1
    hub._troubles.clear()

    message = f"no {SECRET} at http://store/x?{SIGNATURE}"  # what a server says may be anything
    hub.fail("POST", "/commit/main[?]create_pr=1", 400, headers={"X-Error-Message": message})
    stderr = owner.figureground(*PUBLISH, toy, code=3).stderr
    assert "the Hub answered 400: no *** at http://store/x injected; mend that, then run again" in stderr
    hub.repos["me/toy"].objects.clear()
    hub.fail("PUT", "/lfs/", 403, times=99)
    assert "me/toy: the Hub answered 403" in owner.figureground(*PUBLISH, toy, code=2).stderr
    assert on_main(hub) == {}
