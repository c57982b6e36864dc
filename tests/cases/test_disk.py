"""Disks that are full, paths that are none, folders of others: one line with the path, and nothing is lost."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import SHARED, need_shared
from plain_dataset import Plain, build_plain, make_plain, write_recipe

from figureground.cli.app import main
from figureground.errors import DataError, FigureGroundError, ServiceError, UsageError
from figureground.exports.verbs import export, rebuild
from figureground.runtime.failures import failure_of, naming
from figureground.runtime.files import file_sha256, replace_file, write_text
from figureground.runtime.folders import MADE, MARK, unfinished_folder
from figureground.schemas.store.workspace import Workspace

CASES = SHARED / "cases"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and what is said of a command in this process; never a traceback."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return int(ended.value.code or 0), message


def makers(plain: Plain, out: Path) -> dict[str, Callable[[], object]]:
    """Everything that makes a folder ``out``."""
    return {
        "build": lambda: build_plain(plain, out),
        "rebuild": lambda: rebuild(plain.dataset, plain.drawn.photos, out, workers=1),
        "coco": lambda: export(plain.pictures, "coco", out),
        "imagenet9": lambda: export(plain.pictures, "imagenet9", out),
    }


MAKERS = ("build", "rebuild", "coco", "imagenet9")


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("theirs", ["folder", "empty folder", "file", "link", "link to nowhere", "linked mark"])
def test_what_a_user_calls_partial_stays(maker: str, theirs: str, plain: Plain, tmp_path: Path) -> None:
    partial, elsewhere = tmp_path / "out.partial", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("precious")
    (elsewhere / "mark").write_text("export")
    if theirs in ("folder", "empty folder", "linked mark"):
        partial.mkdir()
    if theirs == "folder":
        (partial / "thesis.txt").write_text("precious")
    elif theirs == "linked mark":
        (partial / MARK).symlink_to(elsewhere / "mark")
    elif theirs == "file":
        partial.write_text("precious")
    elif theirs.startswith("link"):
        partial.symlink_to(elsewhere if theirs == "link" else tmp_path / "nowhere")
    before = sorted((path, path.is_symlink(), path.is_dir()) for path in tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"out\.partial is no unfinished work of figureground"):
        makers(plain, tmp_path / "out")[maker]()
    assert sorted((path, path.is_symlink(), path.is_dir()) for path in tmp_path.rglob("*")) == before
    assert (elsewhere / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("maker", MAKERS)
def test_nothing_is_made_where_something_is(maker: str, plain: Plain, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        makers(plain, tmp_path / "out")[maker]()
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="exists"):
        makers(plain, tmp_path / "out")[maker]()
    assert not (tmp_path / "nowhere").exists()


def test_work_of_other_options_is_kept_and_asked_about(plain: Plain, tmp_path: Path) -> None:
    out, partial = tmp_path / "out", tmp_path / "out.partial"

    def die(stage: str, done: int, _: int) -> None:
        if stage == "rows" and done:
            raise KeyboardInterrupt

    from figureground.exports.dataset.building import build_dataset
    from figureground.exports.dataset.inputs import Machines
    from figureground.exports.dataset.request import prepare_request

    request = prepare_request(str(plain.recipe), plain.drawn.workspace, machines=Machines(workers=1))
    with pytest.raises(KeyboardInterrupt):
        build_dataset(request, out, progress=die)
    made = {path: file_sha256(path) for path in partial.rglob("*.parquet")}
    assert made
    other = write_recipe(tmp_path / "other", {"seed": 8})
    with pytest.raises(UsageError, match="holds unfinished work of other options or inputs than this build"):
        build_plain(plain, out, other)
    with pytest.raises(UsageError, match="than this export"):
        export(plain.pictures, "coco", out)
    assert {path: file_sha256(path) for path in partial.rglob("*.parquet")} == made
    times = {path.relative_to(partial): path.stat().st_mtime_ns for path in made}
    assert not build_dataset(request, out).reused
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times  # not rendered again
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    assert file_sha256(out / "manifest.json") == file_sha256(plain.pictures / "manifest.json")


def test_an_export_that_was_killed_is_made_anew(plain: Plain, tmp_path: Path) -> None:
    partial = tmp_path / "out.partial"
    (partial / "images").mkdir(parents=True)
    (partial / "images" / "stale.png").write_text("stale")
    (partial / MARK).write_text("export")
    export(plain.pictures, "coco", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("stale.png"))


@pytest.mark.parametrize("maker", MAKERS)
def test_what_was_finished_before_its_command_was_killed_is_told_as_done(
    maker: str, plain: Plain, tmp_path: Path
) -> None:
    made = makers(plain, tmp_path / "out")[maker]
    first = made()
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    (tmp_path / "out" / MARK).write_text("it was killed before it took its mark away")
    again = made()
    if maker == "build":
        assert getattr(again, "reused", False)
    else:
        assert again == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == files
    (tmp_path / "moved").mkdir()
    (tmp_path / "out").rename(tmp_path / "moved" / "out")
    elsewhere = makers(plain, tmp_path / "moved" / "out")[maker]
    elsewhere()
    if maker in ("coco", "imagenet9"):  # nothing else of it tells that it is whole
        next(path for path in (tmp_path / "moved" / "out").rglob("*.*") if path.name != MADE).unlink()
        with pytest.raises(UsageError, match="exists"):
            elsewhere()
        with pytest.raises(UsageError, match="exists"):
            export(plain.dataset, maker, tmp_path / "moved" / "out")  # type: ignore[arg-type]


NO_PATHS = {
    "a file for a folder": ("afile", 2),
    "below a file": ("afile/x", 2),
    "below /proc": ("/proc/x", 2),
    "a name too long": ("x" * 300, 2),
}


@pytest.mark.parametrize("case", NO_PATHS)
@pytest.mark.parametrize("verb", ["build", "rebuild", "export", "index", "recipe build"])
def test_a_path_that_is_none_is_one_line_with_its_name(
    verb: str,
    case: str,
    plain: Plain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afile").write_text("precious")
    path, code = NO_PATHS[case]
    arguments: dict[str, list[object]] = {
        "build": ["build", plain.recipe, "-w", plain.drawn.workspace, "-o", path, "--workers", 1],
        "rebuild": ["rebuild", plain.dataset, "--source", plain.drawn.photos, "-o", path, "--workers", 1],
        "export": ["export", plain.pictures, "--layout", "coco", "-o", path],
        "index": ["index", plain.drawn.photos, "-w", path, "--workers", 1],
        "recipe build": ["build", f"{path}.yaml", "-w", plain.drawn.workspace, "-o", "out"],
    }
    got, message = run(capsys, *arguments[verb])
    assert (got, len(message.splitlines())) == (code, 1), message
    assert path.partition("/x")[0][:200] in message
    assert (tmp_path / "afile").read_text() == "precious"


def limited(*arguments: object, cwd: Path, most_bytes: int) -> subprocess.CompletedProcess[str]:
    """A command that may write no file of more bytes; the same as a full disk, and needs no rights."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    command = [sys.executable, "-P", "-m", "figureground", *map(str, arguments)]
    # What measures coverage would write a file of its own, and meet the limit too.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # Python 3.11 writes as much of a .pyc as it can, and reads it later
    return subprocess.run(
        command, cwd=cwd, env=environment, preexec_fn=limit, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("verb", ["build", "export", "rebuild", "index"])
def test_a_disk_that_is_full_is_one_line_and_the_command_goes_on_later(verb: str, plain: Plain, tmp_path: Path) -> None:
    most = {"build": 60_000, "rebuild": 20_000, "export": 2_000, "index": 30_000}[verb]
    arguments: dict[str, list[object]] = {
        "build": ["build", plain.recipe, "-w", plain.drawn.workspace, "-o", "out", "--workers", 2],
        "rebuild": ["rebuild", plain.dataset, "--source", plain.drawn.photos, "-o", "out", "--workers", 1],
        "export": ["export", plain.pictures, "--layout", "coco", "-o", "out"],
        "index": ["index", plain.drawn.photos, "-w", "work", "--workers", 1],
    }
    done = limited(*arguments[verb], cwd=tmp_path, most_bytes=most)
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ServiceError: ")
    assert ("work" if verb == "index" else "out.partial") in line
    assert line.endswith("run again")
    assert not (tmp_path / "out").exists()
    again = limited(*arguments[verb], cwd=tmp_path, most_bytes=resource.RLIM_INFINITY)
    assert again.returncode == 0, again.stderr


def test_stdout_that_is_full_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-P", "-m", "figureground", "build", "--list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


SYSTEM = {
    "ENOSPC": (OSError(errno.ENOSPC, "No space left on device", "a/b"), ServiceError),
    "EDQUOT": (OSError(errno.EDQUOT, "Disk quota exceeded", "a/b"), ServiceError),
    "EFBIG": (OSError(errno.EFBIG, "File too large", "a/b"), ServiceError),
    "EIO": (OSError(errno.EIO, "Input/output error", "a/b"), ServiceError),
    "EMFILE": (OSError(errno.EMFILE, "Too many open files", "a/b"), ServiceError),
    "EROFS": (OSError(errno.EROFS, "Read-only file system", "a/b"), UsageError),
    "EACCES": (PermissionError(errno.EACCES, "Permission denied", "a/b"), UsageError),
    "ENOENT": (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"), UsageError),
    "ENOTDIR": (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), UsageError),
    "EISDIR": (IsADirectoryError(errno.EISDIR, "Is a directory", "a/b"), UsageError),
    "ELOOP": (OSError(errno.ELOOP, "Too many levels of symbolic links", "a/b"), UsageError),
    "two paths": (OSError(errno.ENOTEMPTY, "Directory not empty", "x", None, "a/b"), UsageError),
    "bytes": (OSError(errno.ENOSPC, "No space left on device", b"a/b"), ServiceError),
}


@pytest.mark.parametrize("case", SYSTEM)
def test_what_the_system_says_is_told_with_path_and_remedy(case: str) -> None:
    error, kind = SYSTEM[case]
    failure = failure_of(error)
    assert type(failure) is kind
    assert str(failure).startswith("a/b: ")
    assert "; " in str(failure)
    assert len(str(failure).splitlines()) == 1


SQLITE = {
    "database or disk is full": (ServiceError, 3),
    "database is locked": (ServiceError, 3),
    "disk I/O error": (ServiceError, 3),
    "attempt to write a readonly database": (UsageError, 2),
    "unable to open database file": (UsageError, 2),
    "database disk image is malformed": (DataError, 1),
    "no such table: images": (DataError, 1),
    "Could not decode to UTF-8 column 'label' with text 'x'": (DataError, 1),
}


@pytest.mark.parametrize("text", SQLITE)
def test_what_sqlite_says_is_told_with_path_and_remedy(text: str, tmp_path: Path) -> None:
    kind, code = SQLITE[text]
    with pytest.raises(FigureGroundError) as raised, Workspace.create(tmp_path):
        raise sqlite3.OperationalError(text)
    assert (type(raised.value), raised.value.exit_code) == (kind, code)
    assert str(tmp_path / "workspace.sqlite") in str(raised.value)


@pytest.mark.parametrize(
    "damage", ["UPDATE images SET boxes = '{'", "UPDATE images SET flags = '1'", "DROP TABLE images"]
)
def test_a_damaged_workspace_is_named(
    damage: str, plain: Plain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(plain.drawn.workspace, tmp_path / "work")
    with sqlite3.connect(tmp_path / "work" / "workspace.sqlite") as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(damage)
    code, message = run(capsys, "build", plain.recipe, "-w", tmp_path / "work", "-o", tmp_path / "out")
    assert (code, "workspace.sqlite" in message) == (1, True), message


def test_bytes_that_are_no_text_in_a_workspace_are_named(
    plain: Plain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(plain.drawn.workspace, tmp_path / "work")
    with sqlite3.connect(tmp_path / "work" / "workspace.sqlite") as database:
        database.execute("UPDATE images SET uri = CAST(X'ff' AS TEXT)")
    code, message = run(capsys, "build", plain.recipe, "-w", tmp_path / "work", "-o", tmp_path / "out")
    assert (code, "workspace.sqlite" in message) == (1, True), message


def test_a_write_without_a_path_gets_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as raised, naming(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError, match="No space left") as raised, replace_file(tmp_path / "b"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(tmp_path / "b")
    (tmp_path / "afile").touch()
    with pytest.raises(NotADirectoryError):
        write_text(tmp_path / "afile" / "c", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["afile"]


def test_rights_of_a_made_folder_are_the_user_s(tmp_path: Path) -> None:
    with unfinished_folder(tmp_path / "out", "key", "build", keeps=True):
        pass
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("path", ["afile", "afile/work", "/proc/work"])
def test_shared_case_of_workspaces_that_are_none(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES / "annotate" / "17_raw_traceback_for_workspace"
    need_shared(case)
    shutil.copytree(case, tmp_path / "case")
    monkeypatch.chdir(tmp_path / "case")
    code, message = run(capsys, "index", "photos", "-w", path)
    assert (code, len(message.splitlines())) == (2, 1)
    assert message.startswith(f"error: UsageError: {path}: ")


@pytest.mark.parametrize("case", ["15_partial_folder_deleted", "16_disk_full"])
def test_shared_cases_of_folders(case: str, plain: Plain, tmp_path: Path) -> None:
    script = CASES / "build" / case / "run.sh"
    need_shared(script)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "figureground"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m figureground "$@" --workers 1\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    command = ["sh", str(script), str(plain.recipe), str(plain.drawn.workspace)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    if case.startswith("15"):
        assert (tmp_path / "x.partial" / "mine.txt").read_text() == "precious\n"
        assert "is no unfinished work of figureground" in done.stderr
    else:
        assert done.returncode in (0, 3)  # 100 blocks may do for a dataset as small as this one
