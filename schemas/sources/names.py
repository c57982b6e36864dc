"""Names of photos, and what is called after them: rows of tables, annotations, masks, entries of COCO files.

There is one comparison. Unicode forms (NFC and NFD, which macOS writes) and the widths of spaces (U+202F stands in the
names of its screenshots) look the same and are the same. Capital letters and endings that photos have may differ,
unless several photos fit: then those of exactly that spelling, and then of that ending, are meant. Folders count: the
folders that a name is written with are those around the photo, from the file upwards, as far as both have some; folders
such as ``images``, which are in one of the two trees alone, say nothing. Whatever then fits several photos is a fault
for the reader to tell, never a choice.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Generic, NamedTuple, TypeVar

from figureground.schemas.documents import same_form

PHOTO_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""Endings of files that are read as photos, in lower case."""
SPLITS: Final = frozenset({"train", "val", "validation", "valid", "test"})
"""Names of folders that are splits, not labels."""
_CONTAINERS: Final = frozenset({"images", "image", "imgs", "img", "photos", "pictures", "jpegimages", "data"})
_VALIDATION: Final = {"validation": "val", "valid": "val"}
_SEPARATORS: Final = re.compile(r"[/\\]+")


def name_key(text: str) -> str:
    """What two names have in common that are the same but for capital letters."""
    return text.casefold() if text.isascii() else same_form(same_form(text).casefold())


def photo_name(source: str, uri: str) -> str:
    """``source: uri``, by which people find a photo."""
    return f"{source}: {uri}"


def split_ending(file_name: str, endings: Collection[str] = PHOTO_ENDINGS) -> tuple[str, str]:
    """A file's name without one of some endings, and the ending in lower case; empty where it has none of them."""
    stem, dot, ending = file_name.rpartition(".")
    lower = f".{ending.lower()}"
    return (stem, lower) if dot and stem and lower in endings else (file_name, "")


class _Name(NamedTuple):
    """A written name, taken apart."""

    spelled: tuple[str, ...]
    """Folders that say something, and the file without its ending, in the one form of those that look alike."""
    folders: tuple[str, ...]
    """Keys of its folders, the outermost first."""
    stem: str
    """Key of the file's name without its ending."""
    ending: str

    @property
    def telling(self) -> tuple[str, ...]:
        """Its folders without those that say nothing."""
        return tuple(folder for folder in self.folders if folder not in _CONTAINERS)


def _taken_apart(name: str, endings: Collection[str]) -> _Name:
    *folders, file_name = [part for part in _SEPARATORS.split(name) if part not in ("", ".")] or [""]
    stem, ending = split_ending(file_name, endings)
    telling = (folder for folder in folders if name_key(folder) not in _CONTAINERS)
    spelled = tuple(map(same_form, (*telling, stem)))
    return _Name(spelled, tuple(map(name_key, folders)), name_key(stem), ending)


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Meant(Generic[Item]):
    """What a name means."""

    fits: tuple[Item, ...] = ()
    """All that it fits; exactly one is right."""
    near: tuple[Item, ...] = ()
    """Where it fits none, what has the file's name in other folders."""
    others: tuple[str, ...] = ()
    """Other names that mean the same one as well as it does."""


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Item]):
    """A named thing."""

    item: Item
    name: _Name
    root: str
    """Key of the folder that its path begins in; empty where that says nothing."""


class NameIndex(Generic[Item]):
    """Things by their paths, to find what is called after them."""

    def __init__(self, wanted: Iterable[str] | None = None, *, endings: Collection[str] = PHOTO_ENDINGS) -> None:
        """Make an empty index.

        Args:
            wanted: Names that will be looked for, so that no others are kept; None for any.
            endings: Endings that are no part of names.
        """
        self._endings = endings
        self._wanted = None if wanted is None else {_taken_apart(name, endings).stem for name in wanted}
        self._entries: dict[str, list[_Entry[Item]]] = defaultdict(list)

    def add(self, path: str | None, item: Item, *, root: str = "", names: Iterable[str] = ()) -> None:
        """Add a thing.

        Args:
            path: Its path below a root; None if it has none.
            item: What is found under it.
            root: Path of the root; its last folder counts where it is a split.
            names: Further names of the thing, such as an id.
        """
        for name in names:
            if self._wanted is None or name in self._wanted:
                self._entries[name].append(_Entry(item, _Name((name,), (), name, ""), ""))
        if path is None:
            return
        file_name = path.rpartition("/")[2]
        stem = name_key(split_ending(file_name, self._endings)[0])
        if self._wanted is None or stem in self._wanted:
            around = name_key(root.rstrip("/").rpartition("/")[2])
            self._entries[stem].append(_Entry(item, _taken_apart(path, self._endings), around))

    def find(self, name: str) -> Meant[Item]:
        """What one name means; see ``meanings`` for names that compete."""
        return self._meant(_taken_apart(name, self._endings))[0]

    def meanings(self, names: Iterable[str]) -> dict[str, Meant[Item]]:
        """What each of some names means.

        Where several names mean one thing, it is that of the one that is spelled like it, ending and all; where none
        is, or several are, each of the names lists the others.
        """
        meanings: dict[str, Meant[Item]] = {}
        claims: dict[int, dict[str, int]] = defaultdict(dict)
        for name in names:
            meanings[name], closeness = self._meant(_taken_apart(name, self._endings))
            if len(meanings[name].fits) == 1:
                claims[id(meanings[name].fits[0])][name] = closeness
        for rivals in claims.values():
            best = max(rivals.values())
            closest = [name for name, closeness in rivals.items() if closeness == best]
            for name in rivals:
                meant = meanings[name]
                if name not in closest:
                    meanings[name] = Meant(near=meant.fits)
                elif len(closest) > 1:
                    meanings[name] = replace(meant, others=tuple(other for other in closest if other != name))
        return meanings

    def _meant(self, name: _Name) -> tuple[Meant[Item], int]:
        """What a name means, and how closely what it means is spelled like it, 0 to 2."""
        alike = self._entries.get(name.stem, [])
        fits = [entry for entry in alike if _folders_fit(name, entry)]
        if len({entry.root for entry in fits}) == 1:  # below one root a whole path is one
            fits = [entry for entry in fits if entry.name.folders == name.folders] or fits
        fits = [entry for entry in fits if _spelled_alike(name, entry.name)] or fits
        fits = [entry for entry in fits if name.ending == entry.name.ending] or fits
        if not fits:
            return Meant(near=tuple(entry.item for entry in alike)), 0
        closeness = _spelled_alike(name, fits[0].name) + (name.ending == fits[0].name.ending)
        return Meant(tuple({id(entry.item): entry.item for entry in fits}.values())), closeness


def _folders_fit(name: _Name, entry: _Entry[Item]) -> bool:
    """Whether the folders of a name are those around a thing, as far as both have some."""
    written, around = name.telling[::-1], entry.name.telling[::-1]
    if any(first != second for first, second in zip(written, around, strict=False)):
        return False
    if len(written) <= len(around):
        return True
    beyond = written[len(around)]
    splits = {_VALIDATION.get(beyond, beyond), _VALIDATION.get(entry.root, entry.root)}
    return len(splits) == 1 or not splits <= SPLITS


def _spelled_alike(name: _Name, other: _Name) -> bool:
    shared = min(len(name.spelled), len(other.spelled))
    return name.spelled[-shared:] == other.spelled[-shared:]


def same_names(texts: Iterable[str]) -> Mapping[str, list[str]]:
    """Groups of texts that are the same but for capital letters, by their key; texts of a group of one are left out."""
    groups: dict[str, list[str]] = defaultdict(list)
    for text in sorted(set(texts)):
        groups[name_key(text)].append(text)
    return {key: group for key, group in groups.items() if len(group) > 1}
