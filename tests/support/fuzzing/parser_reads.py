"""How callers read the files that strangers pass on, one function a parser."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from parser_samples import PHOTO, SCHEMA
from PIL import Image

from figureground.annotate.imports import rival10
from figureground.annotate.segmenters.embeddings import _read as read_embedding
from figureground.annotate.sheet.reading import read_decisions
from figureground.annotate.studio import accounts, daemons
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.studio.pull import pull_export
from figureground.annotate.studio.queues import order
from figureground.build.planning.plan_files import read_donors, read_plan
from figureground.errors import Faults, FigureGroundError
from figureground.exports.dataset import verify
from figureground.exports.dataset.files import ShardName
from figureground.exports.dataset.folder import DatasetFolder, LocalFiles
from figureground.exports.dataset.lock import read_lock
from figureground.exports.dataset.manifest import parse_manifest
from figureground.exports.dataset.rows import IndexedRows, count_rows, read_rows
from figureground.exports.evaluation import dataset as scored
from figureground.exports.evaluation import jobs
from figureground.exports.evaluation.model_files.settings import read_settings
from figureground.exports.evaluation.repository import shards
from figureground.exports.evaluation.results import format_table
from figureground.exports.evaluation.values import EvaluationError
from figureground.exports.layouts import coco
from figureground.exports.layouts.published_rows import read_row_masks, row_name
from figureground.exports.publishing.plan import _gate_prompt as read_gate_prompt
from figureground.exports.report import imagenet9
from figureground.exports.report.box_sources import compare_box_sources
from figureground.exports.report.groups import group_results
from figureground.exports.report.stored_answers import read_arrays
from figureground.exports.report.stored_results import read_results, reading_results
from figureground.schemas.classes import load_class_map
from figureground.schemas.rasters.coco_masks import decode_polygons
from figureground.schemas.rasters.masks import decode_bitmask, decode_coco_rle, decode_npy
from figureground.schemas.rasters.photos import perceptual_hash, read_photo
from figureground.schemas.rasters.sizes import MOST_PIXELS
from figureground.schemas.sources.coco_files import read_coco
from figureground.schemas.sources.items import SourceItem
from figureground.schemas.sources.label_table import read_label_table
from figureground.schemas.sources.parquet import ParquetSource
from figureground.schemas.sources.tar_files import _open_tar
from figureground.schemas.sources.tar_tree import open_tar_tree
from figureground.schemas.store.releases import read_annotation, read_left_out, read_release
from figureground.schemas.store.workspace import Workspace

Read = Callable[[bytes, Path], object]
"""Parses an input; the folder is empty but for what the target itself wrote there before."""


def file(name: str, read: Callable[[Path], object]) -> Read:
    """A parser that reads a file of this name."""

    def run(data: bytes, folder: Path) -> None:
        path = folder / name
        path.write_bytes(data)
        read(path)

    return run


ITEMS: Final = tuple(SourceItem(uri=uri, label="", source_split="") for uri in ("dog/a.png", "dog/b.jpg", "cat/a.png"))


def parse_labels(path: Path) -> None:
    list(read_label_table(path).label(ITEMS))


def parse_coco(path: Path) -> None:
    for drawn in read_coco(path, Faults()).annotations.values():
        for annotation in drawn:
            with suppress(FigureGroundError):
                if annotation.rle is not None:
                    decode_coco_rle(annotation.rle, size_hw=PHOTO.size_hw)
                elif annotation.polygons:
                    decode_polygons(annotation.polygons, size_hw=PHOTO.size_hw, where="x", record="")


def parse_bitmask(data: bytes, folder: Path) -> None:
    url = (
        data.decode("latin-1")
        if data.startswith(b"data")
        else f"data:image/png;base64,{base64.b64encode(data).decode()}"
    )
    decode_bitmask(url, size_hw=PHOTO.size_hw)


def parse_tar(path: Path) -> None:
    _open_tar.cache_clear()
    tree = open_tar_tree(path)
    for uri, fault in tree.entries():
        if not fault:
            tree.read(uri)


def parse_photo(data: bytes, folder: Path) -> None:
    _, pixels = read_photo(data)
    perceptual_hash(pixels)


def said_pixels(data: bytes) -> int:
    """Pixels of a photo by its header; 0 where it is none, or has more than are read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                pixels = image.width * image.height
    except Exception:  # what Pillow does not open costs nothing
        return 0
    return pixels if pixels <= MOST_PIXELS else 0


def parse_photo_table(path: Path) -> None:
    from figureground.schemas.sources import parquet

    for remembered in (parquet._list_files, parquet._open_file, parquet._image_column):
        remembered.cache_clear()
    source = ParquetSource(name="s", locator=str(path))
    source.passed_over()
    for item in list(source)[:20]:
        with suppress(FigureGroundError):
            source.read(item.uri)


def parse_workspace(data: bytes, folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "workspace.sqlite").write_bytes(data)
    with Workspace.open(folder) as store:
        for read in _READERS:
            with suppress(FigureGroundError):
                read(store)


def everything(records: Iterable[Any]) -> list[Any]:
    return list(records)


_READERS: Final[Sequence[Callable[[Workspace], object]]] = (
    lambda store: store.sources(),
    lambda store: everything(store.images()),
    lambda store: everything(store.rejections()),
    lambda store: store.groups(),
    lambda store: everything(store.runs()),
    lambda store: everything(store.proposals()),
    lambda store: everything(store.first_ranked()),
    lambda store: everything(store.annotations()),
    lambda store: store.decisions(),
    lambda store: store.studio_projects("s"),
    lambda store: store.studio_tasks("s", 1),
    lambda store: store.withdrawn_studio_tasks("s", 1),
    lambda store: store.studio_team("s"),
    lambda store: store.studio_pairs("s"),
    lambda store: store.studio_honeypots("s"),
    lambda store: everything(store.studio_answers("s")),
    lambda store: store.studio_cursor("s", 1),
    lambda store: store.pushed_schemas(),
)


def parse_export(path: Path) -> None:
    """The answers of an export, read into a workspace that knows the photo."""
    with Workspace.create(path.parent / "w") as store:
        store.add_images([PHOTO])
        try:
            pull_export(store, path, schema=SCHEMA)
        finally:
            store._db.execute("DELETE FROM annotations")
            store._db.execute("DELETE FROM decisions")
            store._db.commit()


def parse_sheet(path: Path) -> None:
    with Workspace.create(path.parent / "w") as store:
        store.add_images([PHOTO])
        read_decisions(store, [path])


def parse_shard(path: Path) -> None:
    with suppress(FigureGroundError):
        for row in read_rows(path, coco._COLUMNS):
            with suppress(FigureGroundError):
                read_row_masks(row, row_name(row))
    with suppress(FigureGroundError):
        IndexedRows([path], ["image", "object_mask", "attribute_masks", "box", "provenance"])[0]
    with suppress(FigureGroundError):
        count_rows(path)
    verify.check_shard(verify.StoredShard(ShardName("original", "test", 0, 1), path))


def parse_release(path: Path) -> None:
    read_release(path)
    with suppress(FigureGroundError):
        read_left_out(path)
    read_annotation(path)


def parse_plan(path: Path) -> None:
    read_plan(path)
    list(read_donors(path))


def parse_lock(path: Path) -> None:
    with suppress(FigureGroundError):
        read_lock(path).to_json()
    scored.count_masks(scored._read_lock(path), where="d")


def parse_manifests(data: bytes, folder: Path) -> None:
    with suppress(FigureGroundError):
        parse_manifest(data, where="manifest.json")
    (folder / "manifest.json").write_bytes(data)
    listed = shards.read_manifest(folder / "manifest.json")
    shards.read_layout(folder / "README.md", listed or ())


def parse_changelog(data: bytes, folder: Path) -> None:
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "changelog.json").write_bytes(data)
    DatasetFolder(name="d", manifest={"report/changelog.json": ""}, files=LocalFiles(folder)).changelog()


def parse_card(path: Path) -> None:
    names = ["data/original/test-00000-of-00001.parquet", "data/mixed/test-00000-of-00001.parquet"]
    with suppress(EvaluationError):
        shards.read_layout(path, names)
    read_gate_prompt(path)


def parse_class_map(path: Path) -> None:
    with suppress(FigureGroundError):
        load_class_map(str(path))
    scored._read_class_map(path)


def parse_settings(path: Path) -> None:
    known = (
        "input_size",
        "mean",
        "std",
        "layout",
        "outputs",
        "crop_pct",
        "label_space",
        "class_names",
        "interpolation",
    )
    read_settings(path.with_suffix(".onnx"), (*known, "scale", "parameters", "checkpoint"))


def parse_result_sections(path: Path) -> None:
    read = read_results([path])
    format_table(read)
    with reading_results([path]):
        for protocol in ("imagenet_a", "background_check"):
            group_results(read, protocol)
        for members in imagenet9.group_models(read):
            imagenet9.describe_imagenet9(imagenet9.imagenet9_section(members))
        compare_box_sources(read)


def parse_answers(path: Path) -> None:
    jobs.read_predictions(path, "k")
    read_embedding(path, [(2,)])
    read_arrays(path, ("image_id", "mapped", "probability", "label"))


def parse_npy(data: bytes, folder: Path) -> None:
    path = folder / "a_attr_labels.npy"
    path.write_bytes(data)
    with suppress(FigureGroundError):
        decode_npy(data)
    rival10._read_labels(path, SCHEMA)


def parse_secrets(data: bytes, folder: Path) -> None:
    home = StudioHome(folder)
    for name in ("connection", "pseudonyms", "accounts", "server"):
        (folder / f"{name}.json").write_bytes(data)
    (folder / "7.json").write_bytes(data)
    for read in (
        home.connection,
        lambda: Pseudonyms(home, "s"),
        lambda: accounts.accounts(home),
        lambda: daemons.Daemon(folder, "server").port,
        lambda: order._read(folder / "7.json"),
    ):
        with suppress(FigureGroundError):
            read()


def toy_classes(path: Path) -> Any:
    from drawn_release import CLASS_MAP

    beside = path.with_name("classes.json")
    if not beside.is_file():
        beside.write_text(CLASS_MAP)
    return load_class_map(str(beside))
