"""The report of a build: ``report.html``, beside the dataset and never in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import UsageError
from figureground.exports.build_report.facts import read_facts
from figureground.exports.build_report.page import BuildPage
from figureground.exports.build_report.row_packs import MOST_ROWS, pack_rows
from figureground.exports.build_report.shown import DonorPair, ShownPhoto, choose_pairs, choose_photos
from figureground.exports.build_report.thumbnails import Thumbnail, read_thumbnails
from figureground.exports.dataset.files import MANIFEST
from figureground.exports.dataset.opening import find_repo_id, open_dataset
from figureground.exports.viewing.columns import RowColumns, read_columns
from figureground.exports.viewing.gallery import fingerprint_of
from figureground.runtime.files import write_text
from figureground.runtime.hub import is_repo_id
from figureground.runtime.progress import Progress

REPORT_PAGE: Final = "report.html"
MOST_CHARACTERS: Final = 19_000_000
"""Of pictures and masks on a page, so that one of 30,000 rows stays below 30 MB."""


def is_build(path: Path, revision: str | None = None) -> bool:
    """Whether a path is that of a dataset, and of no results: a folder, or with a revision an id of the Hub."""
    return (path / MANIFEST).is_file() or (revision is not None and not path.exists() and is_repo_id(str(path)))


def write_build_report(
    repository: str | Path,
    out: Path | None = None,
    *,
    revision: str | None = None,
    progress: Progress = lambda *_: None,
) -> Path:
    """Write the page of a build; the same dataset makes the same bytes.

    Args:
        repository: Folder of a dataset repository, or OWNER/NAME on the Hub, whose shards are fetched.
        out: Folder for ``report.html``; None for ``NAME-report`` beside the dataset, or here for one on the Hub.
        revision: Tag, branch or commit on the Hub; needed there, and for nothing else.
        progress: Called with (stage, done, total).

    Returns:
        The page.

    Raises:
        UsageError: if there is no such dataset, or ``out`` lies in it.
        ServiceError: if the Hub cannot be reached.
        DataError: with every file and shard that is damaged.
    """
    dataset = open_dataset(repository, revision)
    folder = _out_folder(repository, out, revision)
    columns = read_columns(dataset, progress)
    facts = read_facts(dataset, columns, fingerprint_of(repository, dataset))
    photos = choose_photos(columns)
    pairs = choose_pairs(columns, photos)
    thumbnails = read_thumbnails(dataset, columns, {*_rows_of(photos), *_rows_of_pairs(pairs)}, progress)
    photos = _fitting(photos, pairs, thumbnails)
    packs = pack_rows(dataset, columns, _listed(columns, photos, pairs), progress)
    page = BuildPage(facts=facts, columns=columns, photos=photos, pairs=pairs, thumbnails=thumbnails, packs=packs)
    text = page.render()
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / REPORT_PAGE, text)
    return folder / REPORT_PAGE


def _out_folder(repository: str | Path, out: Path | None, revision: str | None) -> Path:
    """Folder of the page. Raises ``UsageError`` for one whose files the manifest of the dataset would have to list."""
    if find_repo_id(str(repository), revision) is not None:
        return out or Path(f"{Path(repository).name}-report")
    folder = Path(repository)
    named = folder if folder.name not in ("", "..") else folder.resolve()
    chosen = out or named.with_name(f"{named.name}-report")
    if chosen.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{chosen} lies in the dataset, whose {MANIFEST} lists every file: give another --out")
    return chosen


def _rows_of(photos: Iterable[ShownPhoto]) -> list[int]:
    return [row for photo in photos for row in photo.rows]


def _rows_of_pairs(pairs: Iterable[DonorPair]) -> list[int]:
    return [row for pair in pairs for row in (pair.row, pair.figure, pair.ground) if row is not None]


def _fitting(
    photos: Sequence[ShownPhoto], pairs: Sequence[DonorPair], thumbnails: dict[int, Thumbnail]
) -> list[ShownPhoto]:
    """The first photos whose pictures fit on the page beside those of the pairs; one is always there."""
    left = MOST_CHARACTERS - sum(thumbnails[row].size for row in _rows_of_pairs(pairs))
    chosen = list[ShownPhoto]()
    for photo in photos:
        left -= sum(thumbnails[row].size for row in photo.rows)
        if chosen and left < 0:
            break
        chosen.append(photo)
    return chosen


def _listed(columns: RowColumns, photos: Sequence[ShownPhoto], pairs: Sequence[DonorPair]) -> NDArray[np.int64]:
    """Numbers of the rows that the page looks up: all, or of too many those of the photos that it shows."""
    if columns.rows <= MOST_ROWS:
        return np.arange(columns.rows, dtype=np.int64)
    codes = {name: code for code, name in enumerate(columns.image.names)}
    shown = [row for photo in photos for row in columns.rows_of_image(codes[photo.image_id])]
    return np.unique(np.array([*shown, *_rows_of_pairs(pairs)], dtype=np.int64))
