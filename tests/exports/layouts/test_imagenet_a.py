"""ImageNet-A's layout: the original reader's label is the dataset's, pixels are the dataset's, no name gets out."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from imagenet_a_tree import DrawnPhoto, draw_photos
from PIL import Image
from typer.testing import CliRunner

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.imports.answers import ImportedAnswer, ImportOrigin, ImportReport, store_answer
from figureground.build.recipes.loading import load_recipe
from figureground.cli.app import app
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.exports.layouts.imagenet_a import export_imagenet_a
from figureground.runtime.folders import MADE
from figureground.schemas.classes import load_class_map
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

WNIDS = [entry.wnids[0] for entry in load_class_map("imagenet_a").classes]
CONFIGS = ("original", "plus")


def drawn() -> list[DrawnPhoto]:
    """Two photos of each class, none of them large."""
    chosen: dict[str, list[DrawnPhoto]] = {}
    for photo in draw_photos():
        if photo.mask_hw.size < 10**6:
            chosen.setdefault(photo.uri[:9], []).append(photo)
    return [photo for photos in chosen.values() for photo in photos[:2]]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(tmp_path_factory.mktemp("plus"))
    origin = ImportOrigin(text="drawn", annotator="drawn", tool="import:masks")
    photos = {photo.image_id: photo for photo in drawn()}
    for photo in photos.values():
        path = root / "imagenet-a" / photo.uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.data)
    with Workspace.create(root / "work") as store:
        index_source(store, open_source(str(root / "imagenet-a")))
        for image in store.images():
            answer = ImportedAnswer(image=image, masks={"object": photos[image.image_id].mask_hw}, attributes={})
            store_answer(store, answer, origin, ImportReport())
        freeze(store, "v1", FreezeOptions())
    recipe = load_recipe("imagenet_a_plus")
    few = {name: variant for name, variant in recipe.variants.items() if name in CONFIGS}
    request = prepare_request(
        "imagenet_a_plus", root / "work", options=BuildOptions(pixels=True), machines=Machines(workers=1)
    )
    smaller = request.design.recipe.model_copy(update={"variants": few})
    build_dataset(replace(request, design=replace(request.design, recipe=smaller)), root / "repo")
    return root / "repo"


def rows_of(repo: Path, config: str) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for row in pq.read_table(repo / "data" / config).to_pylist()}


def changed(repo: Path, folder: Path, **columns: Any) -> Path:
    """The dataset's first shard of ``original`` with a column's first value, or all of it, replaced or dropped."""
    table = pq.read_table(next((repo / "data" / "original").glob("*.parquet")))
    for name, value in columns.items():
        index = table.schema.get_field_index(name)
        if value is None:
            table = table.remove_column(index)
        else:
            values = [value, *table.column(name).to_pylist()[1:]]
            table = table.set_column(index, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    (folder / "repo" / "data" / "original").mkdir(parents=True)
    pq.write_table(table, folder / "repo" / "data" / "original" / "test-00000-of-00001.parquet")
    write_manifest(folder / "repo")
    return folder / "repo"


@pytest.mark.parametrize("config", CONFIGS)
def test_the_original_reader_gets_the_dataset_s_labels_and_pixels(repo: Path, tmp_path: Path, config: str) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    report = export_imagenet_a(repo, tmp_path / "out", config=config)
    rows = rows_of(repo, config)
    assert (report.images, report.config) == (len(rows), config) == (16, config)
    tree = tmp_path / "out" / "imagenet-a"
    folder = datasets.ImageFolder(root=tree, allow_empty=True)
    assert folder.classes == WNIDS
    assert len(folder) == len(rows)
    for path, label in folder.samples:
        row = rows[Path(path).stem]
        assert label == row["label"] == WNIDS.index(row["source_label"])
        with Image.open(io.BytesIO(row["image"]["bytes"])) as expected:
            assert np.array_equal(np.asarray(folder.loader(path)), np.asarray(expected))


def test_a_class_without_images_is_loud_and_never_shifts_labels(repo: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    report = export_imagenet_a(repo, tmp_path / "out")
    assert len(report.empty_classes) == 192
    assert set(report.empty_classes).isdisjoint({photo.uri[:9] for photo in drawn()})
    with pytest.raises(FileNotFoundError, match=report.empty_classes[0]):
        datasets.ImageFolder(root=tmp_path / "out" / "imagenet-a")


def test_no_name_of_the_photos_gets_out(repo: Path, tmp_path: Path) -> None:
    export_imagenet_a(repo, tmp_path / "out")
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files.pop(0).name == MADE
    assert sorted(path.stem for path in files) == sorted(photo.image_id for photo in drawn())
    stems = [Path(photo.uri).stem for photo in drawn()]
    for path in files:
        content = path.read_bytes()
        assert not [stem for stem in stems if stem.encode() in content]


def test_the_same_dataset_gives_the_same_bytes(repo: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_imagenet_a(repo, tmp_path / name, config="plus")
    for path in (tmp_path / "one").rglob("*"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert twin.is_dir() if path.is_dir() else path.read_bytes() == twin.read_bytes()


def test_rows_of_one_photo_do_not_write_over_each_other(repo: Path, tmp_path: Path) -> None:
    source = changed(repo, tmp_path)
    path = next((source / "data" / "original").glob("*.parquet"))
    table = pq.read_table(path)
    again = table.set_column(table.schema.get_field_index("draw"), "draw", pa.array([1] * len(table), pa.int32()))
    pq.write_table(pa.concat_tables([table, again.cast(table.schema)]), path)
    assert export_imagenet_a(source, tmp_path / "out").images == 32


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"source_label": "n01440764"}, "expected one of ImageNet-A's 200 wnids, got n01440764"),
        ({"source_label": "../n01498041"}, "got a name that could be a path"),
        ({"image_id": "../../escaped"}, "got a name that could be a path"),
        ({"image": {"bytes": b"\xff\xd8\xff\xe0", "path": "x.png"}}, "expected a PNG"),
    ],
)
def test_faulty_rows_are_named_and_nothing_is_written(
    repo: Path, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        export_imagenet_a(changed(repo, tmp_path, **columns), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repo"]


def test_every_fault_is_told_at_once(repo: Path, tmp_path: Path) -> None:
    source = changed(repo, tmp_path, source_label="n01440764")
    path = next((source / "data" / "original").glob("*.parquet"))
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table]), path)
    with pytest.raises(DataError) as caught:
        export_imagenet_a(source, tmp_path / "out")
    assert len(caught.value.faults) == 17  # the first row twice of no class, fifteen rows of a name that is taken


def test_what_cannot_be_exported_says_why(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="there exists"):
        export_imagenet_a(repo, tmp_path / "there")
    with pytest.raises(UsageError, match=r"no dataset with a config 'mixed'; configs: original, plus"):
        export_imagenet_a(repo, tmp_path / "out", config="mixed")
    with pytest.raises(UsageError, match="no dataset with a config"):
        export_imagenet_a(repo, tmp_path / "out", config="../data/plus")
    with pytest.raises(UsageError, match=r"no dataset: it has no manifest\.json"):
        export_imagenet_a(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="build it with --pixels"):
        export_imagenet_a(changed(repo, tmp_path, image=None), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_tells_of_empty_classes(repo: Path, tmp_path: Path) -> None:
    arguments = ["export", str(repo), "--layout", "imagenet-a", "--config", "plus", "-o"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out")], catch_exceptions=False)
    assert "16 images of plus" in done.stdout
    assert "allow_empty=True" in done.stdout
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "json"), "--json"], catch_exceptions=False)
    report = json.loads(done.stdout)
    assert (report["images"], report["config"], len(report["empty_classes"])) == (16, "plus", 192)
