"""Files that appear whole, and of which one that must not change is placed once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from figureground.errors import UsageError
from figureground.runtime.files import replace_file


def place(path: Path, text: str, *, before: str | None = None) -> None:
    """Make a file that must not change; ``before`` is what another command makes of it in the meantime."""
    with replace_file(path, keep_equal=True) as temporary:
        temporary.write_text(text)
        if before is not None:
            path.write_text(before)


def refuse_links(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_must_not_change_is_placed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    path = tmp_path / "v1.parquet"
    place(path, "one")
    place(path, "one")
    with pytest.raises(UsageError, match=r"v1\.parquet exists, .* and never changes; choose another version$"):
        place(path, "two")
    assert path.read_text() == "one"
    assert [item.name for item in tmp_path.iterdir()] == ["v1.parquet"]


def test_one_that_another_command_placed_a_moment_ago_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v1.parquet"
    monkeypatch.setattr(Path, "exists", lambda *_, **__: False)  # as it was a moment ago
    with pytest.raises(UsageError, match="holds something else"):
        place(path, "two", before="one")
    assert path.read_text() == "one"


def test_other_failures_are_no_lack_of_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match="No space left"):
        place(tmp_path / "v1.parquet", "one")
    assert not list(tmp_path.iterdir())
