"""Which annotation in a folder of Pascal-VOC XML is a photo's, and what it says of the photo."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from figureground.errors import DataError
from figureground.runtime.files import file_ending, is_hidden
from figureground.schemas.sources.items import AMBIGUOUS, SourceItem
from figureground.schemas.sources.names import NameIndex, split_ending
from figureground.schemas.sources.voc import read_voc

_ENDINGS: Final = frozenset({".xml"})
_WNID: Final = re.compile(r"n\d{8}")


def with_boxes(items: Iterable[SourceItem], folder: Path | None, *, need_label: str = "") -> Iterator[SourceItem]:
    """Photos with the boxes of their XML files.

    A photo without an XML file has no boxes; a faulty file is the photo's fault, and so is a file that may be several
    photos', or one photo that may have several. See ``names`` for what counts as called alike.

    Args:
        items: The photos.
        folder: Where the XML files lie; None for nowhere.
        need_label: Where a label is looked for, if a photo without one gets it from its XML or is a fault; empty where
            photos keep the label that they have.
    """
    photos = list(items)
    files = _files_of(photos, folder) if folder is not None else {}
    owners: dict[str, list[str]] = defaultdict(list)
    for uri, paths in files.items():
        for path in paths:
            owners[path].append(uri)
    for item in photos:
        paths = files.get(item.uri, ())
        shared = sorted({uri for path in paths for uri in owners[path]} - {item.uri})
        if item.fault:
            yield item
        elif len(paths) > 1:
            fault = f"expected one annotation of the photo, got {', '.join(sorted(paths))}"
            yield item.changed(fault=fault, reason=AMBIGUOUS)
        elif shared:
            fault = f"expected an annotation of one photo, got {paths[0]}, which is called like {', '.join(shared)} too"
            yield item.changed(fault=fault, reason=AMBIGUOUS)
        elif folder is None or not paths:
            lacking = need_label and not item.label
            fault = _no_label(need_label, "got neither a table nor an annotation of it")
            yield item.changed(fault=fault) if lacking else item
        else:
            yield _with_annotation(item, folder, paths[0], need_label)


def _files_of(photos: Sequence[SourceItem], folder: Path) -> dict[str, Sequence[str]]:
    """Paths of XML files below a folder that may be a photo's, by the photo's uri.

    They lie at the photo's own path, or at one with fewer of the folders around it.
    """
    index: NameIndex[str] = NameIndex(endings=_ENDINGS)
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        below = os.path.relpath(root, folder)
        for name in sorted(names):
            if file_ending(name) == ".xml" and not is_hidden(name):
                path = name if below == "." else f"{below}/{name}"
                index.add(path, path)
    files: dict[str, Sequence[str]] = {}
    for item in photos:
        stem, _ = split_ending(item.uri)
        fits = index.find(stem).fits
        parts = stem.split("/")
        if not fits and len(parts) > 2:
            fits = index.find(f"{parts[0]}/{parts[-1]}").fits  # val sorted into folders of labels, its annotations not
        if fits:
            files[item.uri] = fits
    return files


def _with_annotation(item: SourceItem, folder: Path, xml: str, need_label: str) -> SourceItem:
    try:
        annotation = read_voc(folder / xml, where=xml)
    except DataError as error:
        return item.changed(fault="; ".join(str(fault) for fault in error.faults))
    boxed = item.changed(boxes_xyxy_px=annotation.boxes_xyxy_px, annotated_hw=annotation.size_hw)
    if item.label or not need_label:
        return boxed
    # Some released annotations name a breed in words; that is no label.
    wnids = sorted({name for name in annotation.names if _WNID.fullmatch(name)})
    if len(wnids) != 1:
        return boxed.changed(fault=_no_label(need_label, f"got {', '.join(wnids) or 'no wnid'} in {xml}"))
    return boxed.changed(label=wnids[0])


def _no_label(need_label: str, got: str) -> str:
    return f"expected one label in a folder's name, {need_label} or the annotation, {got}"
