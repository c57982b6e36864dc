"""What a killed command left is deleted, and what another one is making is not."""

from __future__ import annotations

import fcntl
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from figureground.errors import UsageError
from figureground.exports.evaluation.values import write_whole
from figureground.runtime import folders
from figureground.runtime.files import replace_file
from figureground.runtime.folders import MARK, unfinished_folder
from figureground.runtime.leftovers import abandoned_partials, clear_partials, partial_file

HOLDER = """
import sys, time
from pathlib import Path
from figureground.exports.evaluation.values import write_whole
from figureground.errors import UsageError
from figureground.runtime import folders
from figureground.runtime.files import replace_file

with replace_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    sys.stdin.read()
"""


def held(path: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another command in the middle of making a file."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, path.with_name(process.stdout.readline().strip())


def test_a_file_of_a_killed_command_is_replaced_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "v1.parquet"
    mine = tmp_path / ".v1.parquet.mine.partial"
    mine.write_text("precious")
    process, half = held(path)
    assert abandoned_partials(tmp_path) == []
    with replace_file(path) as other:
        assert other != half
        other.write_text("whole")
    clear_partials(tmp_path)
    assert half.read_text() == "half"
    process.kill()
    process.communicate()
    assert abandoned_partials(tmp_path) == [half]
    with replace_file(path) as again:
        assert again == half
        again.write_text("newer")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [mine.name, "v1.parquet"]
    assert (path.read_text(), mine.read_text()) == ("newer", "precious")


def test_a_folder_of_ours_is_cleared_of_all_of_them(tmp_path: Path) -> None:
    process, half = held(tmp_path / "v1.parquet")
    process.kill()
    process.communicate()
    (tmp_path / ".notes.fg.partial").touch()
    clear_partials(tmp_path)
    clear_partials(tmp_path / "absent")
    assert not half.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == [".notes.fg.partial"]


def test_files_have_the_rights_that_are_asked_for(tmp_path: Path) -> None:
    planted = tmp_path / ".secret.fg0.partial"
    planted.touch(mode=0o666)
    with planted.open() as of_another, partial_file(tmp_path / "secret", mode=0o600) as temporary:
        temporary.write_text("token")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        assert of_another.read() == ""


def test_many_make_one_file_at_once(tmp_path: Path) -> None:
    def make(number: int) -> None:
        with replace_file(tmp_path / "v1") as temporary:
            temporary.write_bytes(b"%d" % number * 9999)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(100, 600)))
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]
    content = (tmp_path / "v1").read_bytes()
    assert content == content[:3] * 9999


@pytest.mark.parametrize(
    ("name", "clear"),
    [
        (".v1.fg0.partial", clear_partials),
        (".v1.4242.partial", lambda folder: write_whole(folder / "v1", b"")),  # the published evaluation's own
    ],
)
def test_a_leftover_is_deleted_under_its_lock(
    name: str, clear: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its maker could lock it in between, and miss it when it is whole."""
    (tmp_path / name).touch()
    locked = list[bool]()
    unlink = Path.unlink

    def delete(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == name:
            with path.open() as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked.append(True)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", delete)
    clear(tmp_path)
    assert locked == [True]
    assert not (tmp_path / name).exists()


def test_what_another_command_has_put_in_its_place_stays(tmp_path: Path) -> None:
    with partial_file(tmp_path / "v1") as temporary:
        temporary.replace(tmp_path / "v1")
        temporary.write_text("another command's")
    assert temporary.read_text() == "another command's"


def test_a_link_is_nobodys_leftover(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / ".v1.fg0.partial").symlink_to(tmp_path / "theirs")
    with replace_file(tmp_path / "v1") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "theirs").read_text() == "precious"


@pytest.mark.parametrize("inside", [[], [MARK]])
def test_a_folder_that_was_hardly_made_is_cleared(inside: list[str], tmp_path: Path) -> None:
    """Killed between making it and giving it its name."""
    leftover, theirs = tmp_path / ".out.partial.abcd1234", tmp_path / ".out.partial.notes"
    for folder in (leftover, theirs):
        folder.mkdir()
    for name in inside:
        (leftover / name).touch()
    (theirs / "thesis.txt").touch()
    with unfinished_folder(tmp_path / "out", "key", "build", keeps=True):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [theirs.name, "out"]


def test_a_worker_that_was_lost_leaves_nothing_in_the_finished_folder(tmp_path: Path) -> None:
    with unfinished_folder(tmp_path / "out", "key", "build", keeps=True) as partial:
        (partial / "data").mkdir()
        (partial / "data" / ".shard.parquet.0f.partial").touch()
    assert list((tmp_path / "out" / "data").iterdir()) == []


def test_a_folder_that_another_command_finishes_meanwhile_comes_to_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to an empty one under its unfinished name, which nobody would take for ours."""
    out, check = tmp_path / "out", folders._require_ours

    def finish(out: Path, partial: Path) -> None:
        check(out, partial)
        partial.rename(out)

    monkeypatch.setattr(folders, "_require_ours", finish)
    with pytest.raises(UsageError, match="out exists"), unfinished_folder(out, "key", "build", keeps=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_unfinished_folder_is_given_up_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its files are deleted, the next command makes it anew."""
    delete, out = shutil.rmtree, tmp_path / "out"

    def begin(path: Path, *, ignore_errors: bool = False) -> None:
        if (path / "ours").exists():
            (path / "ours").unlink()
            with unfinished_folder(out, "other", "build", keeps=False) as partial:
                (partial / "theirs").touch()
        delete(path, ignore_errors=ignore_errors)

    def fail() -> None:
        with unfinished_folder(out, "key", "build", keeps=False) as partial:
            (partial / "ours").touch()
            raise OSError("full")

    monkeypatch.setattr(shutil, "rmtree", begin)
    with pytest.raises(OSError, match="full"):
        fail()
    assert [path.name for path in out.iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
