"""manifest.json: which files a dataset repository has, and the SHA-256 of each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from figureground.errors import DataError, Fault
from figureground.exports.dataset.files import BOARD, CARD, LEADERBOARD, MANIFEST, has_hidden_part, is_repository_path
from figureground.runtime.files import file_sha256, write_text

_SCHEMA_VERSION = "1"
BOARD_BEGIN: Final = "<!-- leaderboard: begin -->\n"
BOARD_END: Final = "<!-- leaderboard: end -->\n\n"
"""What the card has around the table of scored models; each line belongs to it."""
_BOARD: Final = re.compile(f"{BOARD_BEGIN}.*?{BOARD_END}", re.DOTALL)
_BOARD_KEY: Final = LEADERBOARD.rstrip("/")


def write_manifest(folder: Path) -> None:
    """Write the SHA-256 of every other file; what is hidden is no part of a repository.

    With a leaderboard it also has the SHA-256 that the card has without it: what is left then is the manifest of the
    data alone, by which results know what they are of (``data_fingerprint`` of the evaluation).
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    sha256 = {name: file_sha256(path) for name, path in names.items() if not has_hidden_part(name)}
    content: dict[str, object] = {"schema": _SCHEMA_VERSION, "sha256": sha256}
    if BOARD in sha256:
        content[_BOARD_KEY] = {"card": _plain_card_sha256(folder)}
    write_text(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n")


def plain_card(text: str) -> str:
    """A card without the table of scored models."""
    return _BOARD.sub("", text)


def _plain_card_sha256(folder: Path) -> str:
    return hashlib.sha256(plain_card((folder / CARD).read_text(encoding="utf-8")).encode()).hexdigest()


def board_faults(folder: Path) -> list[Fault]:
    """A fault where a manifest says something else of the card without its leaderboard than is there."""
    stored = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get(_BOARD_KEY)
    has_board, got = (folder / BOARD).is_file(), stored.get("card") if isinstance(stored, dict) else None
    expected = _plain_card_sha256(folder) if has_board and (folder / CARD).is_file() else None
    if got == expected:
        return []
    wanted = f"the SHA-256 of {CARD} without its leaderboard, {expected}" if expected else f"none without {BOARD}"
    return [
        Fault(where=str(folder / MANIFEST), record=_BOARD_KEY, expected=wanted, got=str(got), remedy="get it again")
    ]


def read_manifest(folder: Path) -> dict[str, str]:
    """Path below the folder to SHA-256.

    Raises:
        DataError: if there is no manifest, or it names what is no path of a repository.
    """
    path = folder / MANIFEST
    try:
        return parse_manifest(path.read_bytes(), where=str(path))
    except OSError as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError.single(str(path), "", expected="the manifest of a dataset repository", got=got) from error


def parse_manifest(data: bytes, *, where: str) -> dict[str, str]:
    """Path to SHA-256, of a manifest's bytes; ``where`` is its name in errors. Raises as ``read_manifest``."""
    try:
        listed = json.loads(data.decode("utf-8"))["sha256"]
        sha256_by_path = {str(name): str(sha256) for name, sha256 in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError.single(where, "", expected="the manifest of a dataset repository", got=got) from error
    strange = [name for name in sha256_by_path if not is_repository_path(name)]
    if strange:
        got = "one that is hidden, leads elsewhere or has strange characters"
        raise DataError(
            Fault(where=where, record=repr(name), expected="a path inside the repository", got=got) for name in strange
        )
    return sha256_by_path


def require_files(folder: Path, manifest: Mapping[str, str], names: Iterable[str]) -> None:
    """Check some files of a repository against its manifest.

    Raises:
        DataError: with every one that is missing, changed or not listed.
    """
    faults = file_faults(folder, manifest, names)
    if faults:
        raise DataError(faults)


def file_faults(folder: Path, manifest: Mapping[str, str], names: Iterable[str]) -> list[Fault]:
    """A fault for each of some files that is missing, changed or not listed."""
    faults = []
    for name in names:
        path, expected = folder / name, manifest.get(name)
        got = file_sha256(path) if path.is_file() else "no such file"
        if got != expected:
            wanted = f"a file with SHA-256 {expected}" if expected else f"a file that {MANIFEST} lists"
            faults.append(Fault(where=str(folder), record=name, expected=wanted, got=got, remedy="get it again"))
    return faults


def unlisted_faults(folder: Path, manifest: Mapping[str, str]) -> list[Fault]:
    """A fault for each file in the folder that the manifest does not list, hidden ones aside."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [
        Fault(where=str(folder), record=name, expected=f"only files that {MANIFEST} lists", got="another one")
        for name in names
        if name not in manifest and name != MANIFEST and not has_hidden_part(name)
    ]
