"""Which files a config's rows are in, and whether their bytes are those that the manifest lists."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from figureground.exports.evaluation.values import (
    EvaluationError,
    Table,
    file_fault,
    file_sha256,
    list_names,
    plain_line,
    require,
)

Layout = Mapping[str, Mapping[str, Sequence[str]]]  # config to split to paths of shards below the dataset's folder
LEADERBOARD: Final = "leaderboard"  # key of the manifest, and folder, of the models that were scored
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SHARD: Final = re.compile(
    r"(?:data/)?(?P<config>[^/]+)/(?P<split>[^/]+?)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.parquet"
)


def read_manifest(path: Path) -> dict[str, str] | None:
    """SHA-256 by file, as ``manifest.json`` lists them; None where there is no such list.

    Raises:
        EvaluationError: if the file is no JSON, or lists something else than hashes of files inside the folder.
    """
    if not path.is_file():
        return None
    try:
        listed: Any = json.loads(path.read_text(encoding="utf-8")).get("sha256")
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        remedy = "download the dataset again"
        raise EvaluationError(
            f"{path}: expected the list of the dataset's files: {plain_line(error)}; {remedy}"
        ) from error
    if listed is None:
        return None
    shaped = isinstance(listed, dict) and all(
        isinstance(digest, str) and not name.startswith("/") and ".." not in name.split("/")
        for name, digest in listed.items()
    )
    require(shaped, f"{path}: expected SHA-256 by path below the folder, got something else; download it again")
    return dict(listed)


def data_fingerprint(path: Path) -> str:
    """SHA-256 of a dataset's manifest, as it was before a leaderboard was added: what is scored did not change with it.

    The manifest of a dataset with a leaderboard says which hash its card had without one; scored models lie in
    ``leaderboard/``. ``EvaluationError`` if that part of it is damaged.
    """
    content: Any = json.loads(path.read_text(encoding="utf-8"))
    if LEADERBOARD not in content:
        return file_sha256(path)
    board = content.pop(LEADERBOARD)
    digest = board.get("card") if isinstance(board, dict) else None
    require(isinstance(digest, str), f"{path}: {LEADERBOARD}: expected the SHA-256 of the card without it, got none")
    listed = {name: own for name, own in content["sha256"].items() if not name.startswith(f"{LEADERBOARD}/")}
    plain = {**content, "sha256": {**listed, "README.md": digest}}
    return hashlib.sha256((json.dumps(plain, indent=1, sort_keys=True) + "\n").encode()).hexdigest()


def read_layout(card: Path, names: Iterable[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Which of the files are the rows of which config and split: as the card says, else by their names.

    By their names, shards are ``data/CONFIG/SPLIT-00000-of-00001.parquet``. Of the card only paths inside the dataset
    count, so that none can make a reader fetch anything from elsewhere.

    Raises:
        EvaluationError: if the card cannot be read, or has a config with a name that no dataset of ours has.
    """
    shards = sorted(name for name in names if name.endswith(".parquet"))
    layout: dict[str, dict[str, tuple[str, ...]]] = {}
    for config, split, patterns in _card_patterns(card):
        matched = tuple(name for name in shards if any(fnmatchcase(name, pattern) for pattern in patterns))
        if matched:
            layout.setdefault(config, {})[split] = matched
    for name in shards if not layout else ():
        if named := _SHARD.fullmatch(name):
            splits = layout.setdefault(named["config"], {})
            splits[named["split"]] = (*splits.get(named["split"], ()), name)
    odd = [plain_line(repr(name), 60) for name in layout if not _NAME.fullmatch(name)]
    require(not odd, f"{card}: expected names of configs from A-Z, a-z, 0-9, ., _ and -; got {list_names(odd)}")
    return layout


def _card_patterns(card: Path) -> list[tuple[str, str, list[str]]]:
    """Config, split and patterns of files, as the card's ``configs`` has them; none where it says nothing of them."""
    from huggingface_hub import metadata_load

    if not card.is_file():
        return []
    try:
        read: Any = metadata_load(card) or {}
    except Exception as error:  # what its YAML parser raises
        raise EvaluationError(f"{card}: the head of the card is no YAML: {plain_line(error)}") from error
    patterns = []
    for config in read.get("configs") or () if isinstance(read, dict) else ():
        files = config.get("data_files") if isinstance(config, dict) else None
        for entry in files if isinstance(files, list) else ():
            path = entry.get("path") if isinstance(entry, dict) else None
            paths = path if isinstance(path, list) else [path]
            texts = [text for text in paths if isinstance(text, str)]
            if texts:
                patterns.append((str(config.get("config_name", "default")), str(entry.get("split", "train")), texts))
    return patterns


def layout_sha256(layout: Layout) -> str:
    """SHA-256 of which files the rows of every config are in."""
    return hashlib.sha256(json.dumps(layout, sort_keys=True).encode()).hexdigest()


def check_shards(record: str, paths: Mapping[str, Path], listed: Mapping[str, str] | None) -> str:
    """Check the files of a config's rows, and give the SHA-256 of them all.

    Args:
        record: What to call the dataset in errors.
        paths: Where the files lie, by their path in the dataset.
        listed: SHA-256 that the manifest lists by that path; None for a dataset without such a list.

    Raises:
        EvaluationError: with every file that is not there, is a pointer in place of a file, or has other bytes.
    """
    faults, digests = list[str](), dict[str, str]()
    for name, path in paths.items():
        if not path.is_file():
            faults.append(f"{name}: no such file; download it again")
        elif fault := file_fault(path):
            faults.append(f"{name}: {fault}")
        else:
            digests[name] = _stored_sha256(path)
            if listed is not None and name not in listed:
                faults.append(f"{name}: manifest.json does not list it; remove it, or download the dataset again")
            elif listed is not None and listed[name] != digests[name]:
                got = f"expected the bytes that manifest.json lists, got others (SHA-256 {digests[name][:8]}…)"
                faults.append(f"{name}: {got}; download it again")
    faults += _missing_parts(paths)
    require(not faults, f"{record}: {'; '.join(faults[:8])}{_more(faults)}")
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _more(faults: Sequence[str]) -> str:
    return f"; and {len(faults) - 8} more of this kind" if len(faults) > 8 else ""


def _missing_parts(names: Iterable[str]) -> list[str]:
    """Parts of a split that a shard's name speaks of and that are not there."""
    present: dict[tuple[str, int], set[int]] = {}
    for name in names:
        if named := _SHARD.fullmatch(name):
            stem = name[: -len("-00000-of-00000.parquet")]
            present.setdefault((stem, int(named["parts"])), set()).add(int(named["part"]))
    return [
        f"{stem}-{part:05d}-of-{parts:05d}.parquet: no such file; download it again"
        for (stem, parts), numbers in present.items()
        for part in sorted(set(range(min(parts, 100_000))) - numbers)
    ]


def _stored_sha256(path: Path) -> str:
    """SHA-256 of a file, computed once as long as it does not change."""
    status = path.stat()
    return _sha256_of(path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@functools.lru_cache(maxsize=65_536)
def _sha256_of(path: Path, stamp: tuple[int, ...]) -> str:  # the stamp tells a changed file
    return file_sha256(path)


def read_table(record: str, paths: Mapping[str, Path], split: str, digest: str) -> Table:
    """All rows of some shards as a ``datasets.Dataset``, memory-mapped from a cache folder that ``digest`` names.

    Args:
        record: What to call the config in errors.
        paths: Where the shards lie, by their path in the dataset. They are no patterns, whatever they are called.
        split: What ``datasets`` is to call the split.
        digest: SHA-256 of the shards' bytes.

    Raises:
        EvaluationError: if a shard is no table or damaged (exit code 1), or the cache cannot be written (3).
    """
    import datasets
    import datasets.config
    from datasets.data_files import DataFilesDict, DataFilesList

    for name, path in paths.items():
        unread = "datasets reads a path with :: as one inside an archive; rename the folder"
        require("::" not in str(path.absolute()), f"{path.absolute()}: {unread}", 2)
        _require_table(record, name, path)
    files: Any = DataFilesDict({split: DataFilesList([str(path.absolute()) for path in paths.values()], [])})
    cache = Path(datasets.config.HF_DATASETS_CACHE, digest[:16])
    try:
        return datasets.Dataset.from_parquet(files, split=datasets.NamedSplit(split), cache_dir=str(cache))
    except Exception as error:  # datasets wraps whatever went wrong
        cause = _root_cause(error)
        if isinstance(cause, OSError) and cause.errno is not None:
            reason = f"the cache of datasets, {cache}, cannot be written ({cause.strerror})"
            raise EvaluationError(f"{record}: {reason}; set HF_DATASETS_CACHE to a folder with room", 3) from error
        damaged = [name for name, path in paths.items() if not _reads_whole(path)] or list(paths)
        reason = f"cannot be read ({type(cause).__name__}: {plain_line(cause, 160)})"
        raise EvaluationError(f"{record}: {list_names(damaged)} {reason}; download it again") from error


def _root_cause(error: BaseException) -> BaseException:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return cause


def _require_table(record: str, name: str, path: Path) -> None:
    import pyarrow.parquet as pq

    try:
        pq.read_schema(path)
    except Exception as error:  # pyarrow raises its own errors and OSError alike
        reason = f"expected a table (Parquet), got something else ({plain_line(error, 120)})"
        raise EvaluationError(f"{record}: {name}: {reason}; download it again") from error


def _reads_whole(path: Path) -> bool:
    """Whether every row group of a table can be read."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=64):
                batch.validate(full=True)
    except Exception:
        return False
    return True
