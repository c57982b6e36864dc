"""Files on a path or in an object store: what machines that share no disk hand to one another.

A location is a local path, or the URI of an object store as fsspec reads it: ``s3://``, ``gs://``, ``hf://``.
Credentials are those of the machine (environment, role); an address that holds some is refused, because addresses are
shown.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from figureground.errors import FigureGroundError, ServiceError, UsageError
from figureground.runtime.files import replace_file


def local_path(location: str) -> Path | None:
    """The path of a location that is local, ``file://`` or without a scheme; None for an object store."""
    scheme, separator, path = location.partition("://")
    if not separator:
        return Path(location)
    return Path(path) if scheme == "file" else None


def check_location(location: str) -> None:
    """Find out early whether a location can be used at all.

    Raises:
        UsageError: if its kind is not known, its library is not installed, or the address holds credentials.
    """
    if local_path(location) is None:
        _store(location)


def join_location(location: str, *parts: str) -> str:
    """A location below another one; ``parts`` are ``/``-separated names that our own code made."""
    return "/".join([location.rstrip("/"), *parts])


def copy_to(path: Path, location: str) -> None:
    """Copy a file to a location, where it appears whole or not at all; one that is there is replaced.

    An object store shows an object when all of it has come. On a path the copy gets a name of its own first: the same
    file may be on its way from a machine that was taken for lost.

    Raises:
        UsageError: as ``check_location``.
        ServiceError: if the store cannot be reached or refuses it.
    """
    target = local_path(location)
    if target is not None:
        _copy_whole(path, target)
        return
    with _reached(location) as (store, name):
        store.put_file(str(path), name)


def fetch(location: str, path: Path) -> None:
    """Copy a file from a location to a path, where it appears whole or not at all.

    Raises:
        UsageError: as ``check_location``.
        ServiceError: if it is not there or cannot be read.
    """
    origin = local_path(location)
    if origin is not None:
        if not origin.is_file():
            raise ServiceError(f"{location}: no such file; run again to go on")
        _copy_whole(origin, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary, _reached(location) as (store, name):
        store.get_file(name, str(temporary))


def remove(location: str) -> None:
    """Delete the file at a location, if there is one."""
    path = local_path(location)
    if path is not None:
        path.unlink(missing_ok=True)
        return
    with _reached(location) as (store, name):
        if store.isfile(name):
            store.rm_file(name)


def machine_scratch(key: str) -> Path:
    """This machine's own folder for something, made if need be; all processes of a user share it.

    It lies in the folder for temporary files (``TMPDIR``), which others may write to, so it is its owner's only.

    Args:
        key: Letters, digits, dots and dashes.

    Raises:
        UsageError: if somebody else made it.
    """
    user = Path(tempfile.gettempdir(), f"figureground-{os.getuid()}")
    user.mkdir(mode=0o700, exist_ok=True)
    if user.is_symlink() or user.stat().st_uid != os.getuid():
        raise UsageError(f"{user} is not a folder of this user; delete it, or set TMPDIR to another folder")
    folder = user / key
    folder.mkdir(exist_ok=True)
    return folder


def _copy_whole(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.partial")
    try:
        shutil.copyfile(path, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _reached(location: str) -> Iterator[tuple[Any, str]]:
    """The store and the name in it; whatever goes wrong with it is an outside service's failure."""
    store, name = _store(location)
    try:
        yield store, name
    except FigureGroundError:
        raise
    except Exception as error:  # every store has its own
        raise ServiceError(f"{location}: {type(error).__name__}: {error}; run again to go on") from error


def _store(location: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    parts = urlsplit(location)
    if parts.password or parts.username:
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        raise UsageError(f"{shown}: an address holds no credentials; set those of the store in the environment")
    try:
        store, name = url_to_fs(location, skip_instance_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{location}: {error}") from error
    return store, str(name)
