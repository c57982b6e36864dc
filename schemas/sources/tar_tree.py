"""A tar archive as the folder that it would unpack to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from figureground.runtime.files import file_ending, is_hidden
from figureground.schemas.sources.tar_files import TarFiles, open_tar

TAR_SUFFIX: Final = ".tar"


@dataclass(frozen=True, slots=True)
class TarTree:
    """The files of an archive, by their paths below one folder of it."""

    files: TarFiles
    top: str
    """The folder that is no part of paths, with ``/``; empty for none."""

    def entries(self) -> Iterator[tuple[str, str]]:
        """Path, and what is wrong with it or nothing, sorted by path in the archive."""
        for name, fault in sorted({**dict.fromkeys(self.files.members, ""), **self.files.faults}.items()):
            if not fault and not name.startswith(self.top) and not any(map(is_hidden, name.split("/"))):
                yield name, f"expected a file below {self.top}, got one beside it"
            else:
                yield name.removeprefix(self.top), fault

    def read(self, uri: str) -> bytes:
        """Bytes of one file. Raises ``DataError`` if there is none of this path."""
        return self.files.read(self.top + uri)


def is_tar(path: Path) -> bool:
    """Whether a locator is an archive's."""
    return file_ending(path) == TAR_SUFFIX and not path.is_dir()


def open_tar_tree(path: Path) -> TarTree:
    """An archive without the one folder that all its files are in folders of, if there is one.

    Raises:
        DataError: if the archive is damaged or cannot be read.
    """
    files = open_tar(path)
    return TarTree(files, _common_folder(files))


@lru_cache(maxsize=4)
def _common_folder(files: TarFiles) -> str:
    names = [name for name in files.members if not any(map(is_hidden, name.split("/")))]
    tops = {name.partition("/")[0] for name in names}
    (top,) = tops if len(tops) == 1 else ("",)
    nested = all(name.count("/") > 1 for name in names)
    return f"{top}/" if top and nested else ""
