"""Types, errors and files that every module of the evaluation speaks in."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION: Final = "3"
REFERENCE_SIZE_HW: Final = (224, 224)  # in9_eval.py resizes nothing: its images are 224 pixels wide and high
_LFS_MARK: Final = b"version https://git-lfs"  # what a file begins with whose content was not fetched
EMPTY: Final = "nothing to score: expected at least one image, got none"
_SECRET_NAMES: Final = re.compile(
    r"(TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY|ACCOUNT_KEY|CONNECTION_STRING)$"
)  # of variables
_SIGNED: Final = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*(?:Signature|X-Amz-|Policy|sig)=[^\s'\"]*")
_LOGIN: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'\"]*:)[^\s/@'\"]+@")
_MOST_TRIES: Final = 1000  # to write a file that other runs take for a leftover
_WRITES: Final = itertools.count()  # of this process: threads that write at once have names of their own
Progress = Callable[[str, int, int], None]  # called with (config, rows done, rows in all)
Table = Any  # datasets.Dataset, which ships no annotations
Bools = NDArray[np.bool_]  # of I images and D donor draws of each, (I, D); D is 1 in most configs
Ints = NDArray[np.int64]  # labels (I,) are class indices
Floats = NDArray[np.float64]
Images = NDArray[np.uint8]  # (N, H, W, 3), RGB, 0 to 255
Logits = NDArray[np.float32]  # (N, K)
Answers = Mapping[str, NDArray[Any]]  # of a model on one config, by name, as they are stored


class EvaluationError(Exception):
    """The data (exit code 1), the call (2) or a download (3) is at fault."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(masked(printable(message)))
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type[EvaluationError], tuple[str, int]]:
        """The exit code survives the way out of a worker process."""
        return EvaluationError, (str(self), self.exit_code)

    def show(self) -> None:
        """Print the message on stderr."""
        print(f"error: {self}", file=sys.stderr)


def masked(text: str) -> str:
    """A text with ``***`` in place of this machine's secrets: a server may repeat in its answer what it was sent."""
    try:
        login = sys.modules["huggingface_hub"].get_token()
    except (KeyError, AttributeError, ImportError, OSError):  # not loaded, not whole yet, or not readable
        login = None
    named = (value for name, value in os.environ.items() if _SECRET_NAMES.search(name))
    spelled = {spelling for secret in (*named, login or "") if len(secret) >= 8 for spelling in spellings(secret)}
    for spelling in sorted(spelled, key=len, reverse=True):
        text = text.replace(spelling, "***")
    return _LOGIN.sub(r"\1***@", _SIGNED.sub(r"\1", text))


def spellings(secret: str) -> set[str]:
    """A secret as it is, as an address has it, as JSON has it, and as a part of base64, wherever it begins there."""
    data = secret.encode("utf-8", "surrogatepass")
    spelled = {secret, quote(data, safe=""), json.dumps(secret)[1:-1]}
    for before in range(3):  # bytes before it in a group of three; what is mixed with others is left out
        coded = base64.b64encode(bytes(before) + data).decode("ascii")
        whole = coded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        spelled |= {whole, whole.replace("+", "-").replace("/", "_")}
    return {spelling for spelling in spelled if len(spelling) >= 8}


def printable(text: str) -> str:
    """A text without characters that do something to a terminal; lines stay lines."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def plain_line(text: object, most: int = 300) -> str:
    """What others say, as one line: spaces for line breaks, no addresses in memory, cut to ``most`` characters."""
    line = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(masked(printable(str(text))).split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def spell_size(size_hw: Sequence[int]) -> str:
    """A size of pixels in words: ``640x480 (width x height)`` for a height of 480."""
    return f"{size_hw[1]}x{size_hw[0]} (width x height)"


def require(condition: object, message: str, exit_code: int = 1) -> None:
    """Raise ``EvaluationError`` with ``message`` unless the condition holds."""
    if not condition:
        raise EvaluationError(message, exit_code)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_fault(path: Path) -> str:
    """Why a file is not what its name says, by its first bytes, in words; empty where these tell nothing."""
    with path.open("rb") as file:
        head = file.read(len(_LFS_MARK))
    if head == _LFS_MARK:
        return "a pointer of Git LFS, not the file itself: run git lfs pull"
    return "" if head else "the file is empty: copy or download it again"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, and make its folder.

    What killed runs left half-written in the folder is deleted; a file that another run is writing is locked by it.

    Raises:
        EvaluationError: if it cannot be written: exit code 2 where the path cannot be, 3 where the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(".*.*.partial"):
            if re.fullmatch(r"\..+\.\d+\.partial", leftover.name):
                _delete_abandoned(leftover)
        if not any(_write_partial(path, content) for _ in range(_MOST_TRIES)):
            raise OSError(errno.EAGAIN, "other runs take its half-written files away")
    except OSError as error:
        remedy = "free some room or choose another folder; a run goes on from what it has"
        code = 2 if isinstance(error, (FileExistsError, NotADirectoryError, IsADirectoryError)) else 3
        raise EvaluationError(f"{path}: cannot be written ({error.strerror}); {remedy}", code) from error


def _write_partial(path: Path, content: bytes) -> bool:
    """Write a file under a hidden name of this call's own, and give it its name.

    False if another run took it for a leftover between its making and its lock, or has a file of that name.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(_WRITES)}.partial")
    try:
        file = temporary.open("xb")
    except FileExistsError:
        return False
    with file:
        try:
            _lock(file.fileno(), wait=True)
            if not _lies_at(file.fileno(), temporary):
                return False
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        finally:  # a signal may end the run here, too
            with contextlib.suppress(OSError):
                if _lies_at(file.fileno(), temporary):
                    temporary.unlink()
    return True


def _lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file for this process; False where another one has it, or nobody can tell."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _lies_at(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of its name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _delete_abandoned(path: Path) -> None:
    """Delete a file that nobody writes any more, under its lock: no writer can come between."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if _lock(file.fileno()) and _lies_at(file.fileno(), path):
            path.unlink()


def arrays_of(record: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401  a dataclass of arrays
    """Arrays of a slotted dataclass by field."""
    return {name: getattr(record, name) for name in record.__slots__}


def json_text(value: Any) -> str:  # noqa: ANN401  any JSON value
    """A value as JSON with sorted keys; ``ValueError`` if it holds NaN or infinity."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)


def list_names(items: Collection[str] | NDArray[np.str_], most: int = 8) -> str:
    """Names for a message, sorted, and how many more there are beyond ``most``."""
    return ", ".join(sorted(items)[:most]) + (f" … and {len(items) - most} more" if len(items) > most else "")
