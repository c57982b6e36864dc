"""Files handed over by a path or an object store: whole or not at all, and failures that name the location."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from figureground.errors import ServiceError, UsageError
from figureground.runtime.storage import (
    check_location,
    copy_to,
    fetch,
    join_location,
    local_path,
    machine_scratch,
    remove,
)


@pytest.fixture(params=["path", "file://", "memory://"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "memory://":
        yield "memory://staging"
        fsspec.filesystem("memory").store.clear()
    else:
        yield f"{request.param.removeprefix('path')}{tmp_path}/staging"


def test_a_file_goes_there_and_back(location: str, tmp_path: Path) -> None:
    origin, target = join_location(location, "a+b.parquet"), tmp_path / "deep" / "down" / "b.parquet"
    for content in (b"first" * 1000, b"second"):
        (tmp_path / "a.parquet").write_bytes(content)
        copy_to(tmp_path / "a.parquet", origin)
        fetch(origin, target)
        assert target.read_bytes() == content
    remove(origin)
    remove(origin)
    target.unlink()
    with pytest.raises(ServiceError, match=r"a\+b\.parquet"):
        fetch(origin, target)
    assert not target.exists()
    assert not list(target.parent.iterdir())


def test_what_is_a_path() -> None:
    assert local_path("/a/b") == local_path("file:///a/b") == Path("/a/b")
    assert local_path("s3://a/b") is None


def test_places_are_checked_early() -> None:
    check_location("/anywhere")
    check_location("memory://anywhere")
    with pytest.raises(UsageError, match="nothing"):
        check_location("nothing://bucket")
    with pytest.raises(UsageError, match="memory://bucket/x: an address holds no credentials") as raised:
        check_location("memory://me:secret@bucket/x")
    assert "secret" not in str(raised.value)


def test_scratch_is_its_owners_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = machine_scratch("key")
    assert folder.is_dir()
    assert machine_scratch("key") == folder
    assert folder.parent.stat().st_mode & 0o077 == 0
    folder.rmdir()
    folder.parent.rmdir()
    folder.parent.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UsageError, match=f"figureground-{os.getuid()} is not a folder of this user"):
        machine_scratch("key")
