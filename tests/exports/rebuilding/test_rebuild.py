"""Rebuilding a release from photos to the same bytes, and verifying what was released."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from drawn_release import CLASS_MAP, DrawnRelease, draw_release
from PIL import Image
from typer.testing import CliRunner

from figureground.annotate.catalogue import index_source
from figureground.build.recipes.loading import load_recipe
from figureground.cli.app import app
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.building import build_dataset, make_repository
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.exports.dataset.verify import verify_repository
from figureground.exports.rebuilding import rebuild as rebuilding
from figureground.exports.rebuilding.rebuild import rebuild_dataset
from figureground.runtime import folders
from figureground.runtime.files import file_sha256
from figureground.schemas.rasters.sketches import sketch, sketch_distance
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.releases import name_digest
from figureground.schemas.store.workspace import Workspace

VARIANTS = {
    "original": {"view": "native", "ground": "source"},
    "plus": {"view": "crop", "ground": "source"},
    "mixed": {"ground": {"tile": "strip", "of": "next_class"}, "matte": "mask", "figure": "source"},
    "textured": {"ground": {"texture": "photos"}, "matte": "mask", "figure": "source"},
    "part_grey": {"ground": "source", "matte": "attribute", "figure": {"fill": "grey"}},
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    root = Path(tmp_path_factory.mktemp("drawn"))
    release = draw_release(root, per_class=2, part="left")
    for number in range(3):
        path = root / "wallpapers" / "any" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 260), (10 * number, 5, 200)).save(path)
    with Workspace.open(release.workspace) as store:
        index_source(store, open_source(str(root / "wallpapers"), name="wallpapers"))
    return release


@pytest.fixture(scope="module")
def built(drawn: DrawnRelease, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same build without and with its pixels."""
    folder = Path(tmp_path_factory.mktemp("built"))
    (folder / "toy.json").write_text(CLASS_MAP)
    recipe = load_recipe("imagenet_a_plus").model_dump(mode="json")
    views = recipe["rules"]["exact"]["views"] | {"imagenet": {}}
    recipe |= {"name": "toy", "class_map": "toy.json", "variants": VARIANTS, "textures": "wallpapers"}
    recipe["rules"]["exact"] |= {"views": views}
    (folder / "toy.yaml").write_text(yaml.safe_dump(recipe))
    for name, pixels in (("boxes", False), ("pixels", True)):
        request = prepare_request(
            str(folder / "toy.yaml"), drawn.workspace, options=BuildOptions(pixels=pixels), machines=Machines(workers=1)
        )
        build_dataset(request, folder / name)
    return folder / "boxes", folder / "pixels"


def sources(*folders: Path) -> list[Any]:
    return [open_source(str(folder), name=f"source{number}") for number, folder in enumerate(folders)]


def bytes_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_a_release_without_pixels_is_rebuilt_bit_for_bit(
    built: tuple[Path, Path], drawn: DrawnRelease, tmp_path: Path
) -> None:
    photos = shutil.copytree(drawn.photos, tmp_path / "mine")
    report = rebuild_dataset(built[0], sources(photos, drawn.photos.parent / "wallpapers"), tmp_path / "out", workers=2)
    assert (report.rows, report.missing, report.drifted) == (report.rows_of_release, (), ())
    made, direct = bytes_of(tmp_path / "out"), bytes_of(built[1])
    assert set(made) - set(direct) == {"report/rebuild.json"}
    assert {name for name in direct if made[name] != direct[name]} == {"manifest.json"}
    assert verify_repository(tmp_path / "out").images == report.rows


def test_a_rebuild_that_was_killed_just_before_its_end_goes_on(
    built: tuple[Path, Path], drawn: DrawnRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the release's own objects lie in place of those that the rebuild wrote."""
    calls = []

    def killed(out: Path) -> None:
        calls.append(out)
        if len(calls) == 2:
            raise KeyboardInterrupt

    photos = sources(drawn.photos, drawn.photos.parent / "wallpapers")
    monkeypatch.setattr(folders, "require_absent", killed)
    with pytest.raises(KeyboardInterrupt):
        rebuild_dataset(built[0], photos, tmp_path / "out", workers=1)
    assert (tmp_path / "out.partial" / "report" / "rebuild.json").is_file()
    monkeypatch.undo()
    rebuild_dataset(built[0], photos, tmp_path / "out", workers=1)
    assert file_sha256(tmp_path / "out" / "objects.parquet") == file_sha256(built[0] / "objects.parquet")
    assert verify_repository(tmp_path / "out").images > 0


@pytest.mark.parametrize("layout", ["in folders", "in one folder", "in a tar archive"])
def test_photos_are_found_in_other_places_under_other_names(
    layout: str, built: tuple[Path, Path], drawn: DrawnRelease, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    for number, path in enumerate(sorted(drawn.photos.rglob("*.png"))):
        copy = mine / (f"class{number % 2}" if layout == "in folders" else "") / f"renamed{number}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (mine / "gone.png").symlink_to("nowhere.png")
    if layout == "in a tar archive":
        with tarfile.open(tmp_path / "mine.tar", "w") as archive:
            archive.add(mine, "mine")
        mine = tmp_path / "mine.tar"
    report = rebuild_dataset(built[0], sources(mine, drawn.photos.parent / "wallpapers"), tmp_path / "out")
    assert report.rows == report.rows_of_release
    assert name_digest("a/n01440764_10026_n01440764.JPEG") == name_digest("n01440764/n01440764_10026.JPEG")


def test_only_photos_that_are_needed_are_read(built: tuple[Path, Path], drawn: DrawnRelease, tmp_path: Path) -> None:
    photos = shutil.copytree(drawn.photos, tmp_path / "mine")
    for number in range(20):
        shutil.copy(next(photos.rglob("*.png")), photos / "disc" / f"another{number}.png")
    untextured = tmp_path / "release"
    shutil.copytree(built[0], untextured)
    keep = pq.read_table(untextured / "report" / "plan.parquet").to_pylist()
    rows = [row for row in keep if not row["texture_id"]]
    _rewrite(untextured, "report/plan.parquet", rows)
    report = rebuild_dataset(untextured, sources(photos), tmp_path / "out")
    assert report.photos_read == 6
    assert report.rows == len(rows)


def _rewrite(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Replace a table, and let the manifest know."""
    schema = pq.read_schema(folder / name)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = file_sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_changed_byte_and_a_missing_photo_are_named_and_the_rest_is_built(
    built: tuple[Path, Path], drawn: DrawnRelease, tmp_path: Path
) -> None:
    photos = shutil.copytree(drawn.photos, tmp_path / "mine")
    changed, missing = photos / "disc" / "disc0.png", photos / "bar" / "bar1.png"
    names = {path: file_sha256(path)[:32] for path in (changed, missing)}
    data = bytearray(changed.read_bytes())
    data[-20] ^= 1
    changed.write_bytes(bytes(data))
    missing.unlink()
    arguments = ["rebuild", str(built[0]), "--source", str(photos), "--source", str(drawn.photos.parent / "wallpapers")]
    done = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "out"), "--json"])
    assert isinstance(done.exception, DataError)
    faults = {fault.record: fault.got for fault in done.exception.faults}
    assert faults == {names[changed]: f"{file_sha256(changed)} in source0: disc/disc0.png", names[missing]: "none"}
    report = json.loads((tmp_path / "out" / "report" / "rebuild.json").read_text())
    assert report["rows"] == report["rows_of_release"] - sum(photo["rows"] for photo in report["missing"])
    made = {row["image_id"] for row in pq.read_table(tmp_path / "out" / "data" / "plus").to_pylist()}
    assert len(made) == 4
    assert not made & set(names.values())
    donors = pq.read_table(tmp_path / "out" / "data" / "mixed", columns=["ground_id"])["ground_id"].to_pylist()
    assert not set(donors) & set(names.values())


def test_pixels_that_drift_are_named_and_only_kept_where_asked(
    built: tuple[Path, Path], drawn: DrawnRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another library is played by a lock that names other versions, and hashes of other pixels."""
    release = shutil.copytree(built[0], tmp_path / "release")
    (shard,) = (release / "data" / "plus").glob("*.parquet")
    rows = pq.read_table(shard).to_pylist()
    provenance = rows[0]["provenance"]
    darker = bytes(
        [*(level - 3 for level in bytes.fromhex(provenance["sketch"])[:1]), *bytes.fromhex(provenance["sketch"])[1:]]
    )
    provenance |= {"pixels_sha256": "0" * 64, "sketch": darker.hex()}
    _rewrite(release, shard.relative_to(release).as_posix(), rows)
    lock = json.loads((release / "recipe.lock.json").read_text())
    lock["packages"]["pillow"] = "1.0"
    (release / "recipe.lock.json").write_text(json.dumps(lock))
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["sha256"]["recipe.lock.json"] = file_sha256(release / "recipe.lock.json")
    (release / "manifest.json").write_text(json.dumps(manifest))
    places = sources(drawn.photos, drawn.photos.parent / "wallpapers")
    for tolerance in (None, 2):
        with pytest.raises(DataError, match=r"pillow 1\.0 there") as error:
            rebuild_dataset(release, places, tmp_path / "out", tolerance=tolerance)
        (fault,) = error.value.faults
        assert (fault.where, fault.record) == ("plus", f"{provenance['object_id']}  0")
        assert "--tolerance 3" in fault.remedy
        assert not (tmp_path / "out").exists()
    monkeypatch.setattr(rebuilding, "make_repository", _must_not_render_again(make_repository))
    report = rebuild_dataset(release, places, tmp_path / "out", tolerance=3)
    assert [(row.variant, row.row, row.levels) for row in report.drifted] == [
        ("plus", f"{provenance['object_id']}  0", 3)
    ]
    assert report.environment_differs[0].startswith("pillow 1.0 there")


def test_a_sketch_forgives_rounding_and_no_other_picture() -> None:
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (12, 9, 3), np.uint8)
    image = np.asarray(Image.fromarray(small).resize((224, 200), Image.Resampling.BICUBIC))
    rounded = np.clip(image.astype(int) + rng.integers(-1, 2, image.shape), 0, 255).astype(np.uint8)
    assert sketch_distance(sketch(image), sketch(rounded)) <= 1
    assert sketch_distance(sketch(image), sketch(np.ascontiguousarray(image[:, ::-1]))) > 20
    assert sketch_distance(sketch(image), sketch(np.roll(image, 12, axis=1))) > 5
    quarter = np.zeros((16, 16, 3), np.uint8)
    quarter[:2, :2] = 255
    assert sketch(quarter) == "ff" + "00" * 63
    for text in ("", "ff", "no digits"):
        with pytest.raises(ValueError, match=r"a sketch has|hexadecimal"):
            sketch_distance(text, text)


def _must_not_render_again(make: Callable[..., int]) -> Callable[..., int]:
    """Shards of the refused run are taken up again."""

    def checked(*arguments: Any, **options: Any) -> int:
        partial = arguments[1].with_name(f"{arguments[1].name}.partial")
        assert list((partial / "data").rglob("*.parquet"))
        return make(*arguments, **options)

    return checked


def test_nothing_to_build_from_is_said(built: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "mine" / "disc").mkdir(parents=True)
    Image.new("RGB", (10, 10)).save(tmp_path / "mine" / "disc" / "other.png")
    with pytest.raises(UsageError, match="not all photos of any row are in source0"):
        rebuild_dataset(built[0], sources(tmp_path / "mine"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _swap_rows(folder: Path) -> None:
    (shard,) = (folder / "data" / "original").glob("*.parquet")
    rows = pq.read_table(shard).to_pylist()
    rows[0]["image"], rows[1]["image"] = rows[1]["image"], rows[0]["image"]
    _rewrite(folder, shard.relative_to(folder).as_posix(), rows)


def _drop_row(folder: Path) -> None:
    (shard,) = (folder / "data" / "original").glob("*.parquet")
    _rewrite(folder, shard.relative_to(folder).as_posix(), pq.read_table(shard).to_pylist()[1:])


def _list_outside(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["../../etc/passwd"] = "0"
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda folder: _cut(folder / "README.md"), "README.md: expected a file with SHA-256", id="changed"
        ),
        pytest.param(lambda folder: (folder / "recipe.yaml").unlink(), "recipe.yaml: .* got no such file", id="gone"),
        pytest.param(lambda folder: (folder / "new.txt").write_text("x"), "new.txt: expected only files", id="new"),
        pytest.param(lambda folder: (folder / "manifest.json").unlink(), "the manifest of a dataset", id="no manifest"),
        pytest.param(_list_outside, "expected a path inside the repository", id="path outside"),
        pytest.param(_swap_rows, "expected pixels with SHA-256", id="images exchanged"),
        pytest.param(_drop_row, "expected a row that the plan has, got none", id="row dropped"),
    ],
)
def test_damage_is_found(damage: Callable[[Path], Any], message: str, built: tuple[Path, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(built[1], tmp_path / "copy")
    assert verify_repository(folder).rows == verify_repository(built[0]).rows
    damage(folder)
    with pytest.raises(DataError, match=message):
        verify_repository(folder, workers=1)


def test_a_damaged_release_is_not_rebuilt(built: tuple[Path, Path], drawn: DrawnRelease, tmp_path: Path) -> None:
    folder = shutil.copytree(built[0], tmp_path / "copy")
    _cut(folder / "objects.parquet")
    with pytest.raises(DataError, match=r"objects\.parquet: expected a file with SHA-256"):
        rebuild_dataset(folder, sources(drawn.photos), tmp_path / "out")
