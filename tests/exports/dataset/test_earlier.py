"""The next version of a dataset: only rows that changed are rendered, its changes are told, its shards are the same."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from drawn_release import CLASS_MAP, DrawnRelease, draw_photo, draw_release
from PIL import Image
from typer.testing import CliRunner

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.build.painting.render import Rendered, render_row
from figureground.build.recipes.loading import load_recipe
from figureground.cli.app import app
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.building import BuildReport, build_dataset
from figureground.exports.dataset.changes import compare_versions
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.exports.rebuilding.rebuild import rebuild_dataset
from figureground.runtime.files import file_sha256
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Annotation, Decision, ImageRecord, PlanRow
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

CONFIGS = ("original", "only_fg", "mixed_rand", "part_grey")
VARIANTS: dict[str, dict[str, Any]] = {
    "original": {"ground": "source"},
    "only_fg": {"ground": {"fill": "black"}, "matte": "mask", "figure": "source"},
    "mixed_rand": {"ground": {"tile": "strip", "of": "any_class"}, "matte": "mask", "figure": "source"},
    "part_grey": {"ground": "source", "matte": "attribute", "figure": {"fill": "grey"}},
}


def answer(image: ImageRecord, mask: Mask, name: str) -> Annotation:
    left = mask & (np.arange(mask.shape[1]) < np.median(np.nonzero(mask)[1]))
    return Annotation(
        annotation_id=f"{name}-{image.image_id}",
        updated_at="2026-01-02T00:00:00Z",
        image_id=image.image_id,
        masks={"object": encode_coco_rle(mask), "left": encode_coco_rle(left)},
        attributes={"round": image.label != "bar", "left": True},
        flags=(),
        annotator="p2",
        seconds=1.0,
        tool="drawn",
        proposal_id="",
        edit_iou=None,
    )


def accept(store: Workspace, given: Iterable[Annotation]) -> None:
    for annotation in given:
        store.add_answer(annotation, None)
        store.decide(
            Decision(image_id=annotation.image_id, state="accepted", reason="", annotation_id=annotation.annotation_id)
        )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    """``v1``; ``v2`` with the masks of two photos grown; ``v3`` with two photos more."""
    release = draw_release(Path(tmp_path_factory.mktemp("drawn")), per_class=6, part="left")
    with Workspace.open(release.workspace) as store:
        old = {known.image_id: known for known in store.annotations()}
        for image in [image for image in store.images() if image.uri in ("disc/disc1.png", "bar/bar4.png")]:
            mask = decode_coco_rle(old[image.image_id].masks["object"])
            grown = cv2.dilate(mask.view(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
            accept(store, [answer(image, grown, "corrected")])
        freeze(store, "v2", FreezeOptions())
        for kind in ("disc", "bar"):
            photo, mask = draw_photo(kind, 999)
            Image.fromarray(photo).save(release.photos / kind / "more.png")
        index_source(store, open_source(str(release.photos), name="drawn"))
        for image in [image for image in store.images() if image.uri.endswith("more.png")]:
            accept(store, [answer(image, draw_photo(image.label, 999)[1], "more")])
        freeze(store, "v3", FreezeOptions())
    return release


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("recipe"))
    (folder / "toy.json").write_text(CLASS_MAP)
    words = load_recipe("imagenet9").model_dump(mode="json")
    words |= {
        "name": "toy",
        "version": "1",
        "class_map": "toy.json",
        "variants": {k: {**v, "view": "imagenet"} for k, v in VARIANTS.items()},
    }
    words["balance"] = {"per_class": "all"}
    (folder / "toy.yaml").write_text(yaml.safe_dump(words))
    return folder / "toy.yaml"


@pytest.fixture(scope="module")
def first(drawn: DrawnRelease, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("first")) / "v1"
    build_dataset(prepare_request(str(recipe), drawn.workspace, release="v1", machines=Machines(workers=1)), folder)
    return folder


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(variant, object) of every row that is rendered."""
    seen: list[tuple[str, str]] = []

    def watched(row: PlanRow, *rest: Any) -> Rendered:
        seen.append((row.variant, row.object_id))
        return render_row(row, *rest)

    monkeypatch.setattr("figureground.exports.dataset.shards.render_row", watched)
    return seen


def shards_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in folder.rglob("*.parquet")
        if "data" in path.parts
    }


def rows_of(folder: Path, config: str) -> list[dict[str, Any]]:
    return [row for path in sorted((folder / "data" / config).glob("*")) for row in pq.read_table(path).to_pylist()]


def test_only_rows_that_use_a_changed_mask_are_rendered(
    drawn: DrawnRelease, recipe: Path, first: Path, rendered: list[tuple[str, str]], tmp_path: Path
) -> None:
    request = prepare_request(str(recipe), drawn.workspace, release="v2", machines=Machines(workers=1))
    build_dataset(request, tmp_path / "plain")
    all_rows = len(rendered)
    rendered.clear()
    again = prepare_request(str(recipe), drawn.workspace, release="v2", earlier=first, machines=Machines(workers=1))
    report = build_dataset(again, tmp_path / "next")
    assert shards_of(tmp_path / "next") == shards_of(tmp_path / "plain") != shards_of(first)
    with Workspace.open(drawn.workspace) as store:
        changed = {image.image_id for image in store.images() if image.uri in ("disc/disc1.png", "bar/bar4.png")}
    using = [
        row
        for config in CONFIGS
        for row in rows_of(tmp_path / "next", config)
        if changed & {row["image_id"], row["ground_id"]}
    ]
    assert 2 * len(CONFIGS) <= len(using) < all_rows / 2
    assert sorted(rendered) == sorted((row["variant"], row["provenance"]["object_id"]) for row in using)
    assert (report.copied, report.rows) == (all_rows - len(using), all_rows)


def test_a_licence_that_the_earlier_version_had_is_missed(drawn: DrawnRelease, recipe: Path, tmp_path: Path) -> None:
    def build(name: str, earlier: Path | None, licence: str | None) -> BuildReport:
        options = BuildOptions(licence=licence, variants=["original"], pixels=False)
        request = prepare_request(
            str(recipe), drawn.workspace, release="v1", earlier=earlier, options=options, machines=Machines(workers=1)
        )
        return build_dataset(request, tmp_path / name)

    build("first", None, "CC BY 4.0")
    (line,) = [line for line in build("next", tmp_path / "first", "").warnings if "licence" in line]
    assert line == (
        f"warning: licence: {tmp_path}/first had 'CC BY 4.0', and this version has none; to keep it, "
        "build it again into another folder with --licence 'CC BY 4.0'"
    )
    assert not any("licence" in line for line in build("kept", tmp_path / "first", "MIT").warnings)
    assert not any("licence" in line for line in build("alone", None, "").warnings)


def test_rows_move_where_photos_are_added(
    drawn: DrawnRelease, recipe: Path, first: Path, rendered: list[tuple[str, str]], tmp_path: Path
) -> None:
    request = prepare_request(str(recipe), drawn.workspace, release="v3", earlier=first, machines=Machines(workers=1))
    build_dataset(request, tmp_path / "next")
    there = len(rendered)
    build_dataset(
        prepare_request(str(recipe), drawn.workspace, release="v3", machines=Machines(workers=1)), tmp_path / "plain"
    )
    assert shards_of(tmp_path / "next") == shards_of(tmp_path / "plain")
    assert 0 < there < (len(rendered) - there) / 2


def test_a_variant_of_other_words_is_rendered_and_its_neighbours_are_not(
    drawn: DrawnRelease, recipe: Path, first: Path, rendered: list[tuple[str, str]], tmp_path: Path
) -> None:
    words = yaml.safe_load(recipe.read_text())
    words["variants"]["only_fg"]["ground"] = {"fill": "white"}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(words))
    shutil.copy(recipe.with_name("toy.json"), tmp_path)
    request = prepare_request(
        str(tmp_path / "toy.yaml"), drawn.workspace, release="v1", earlier=first, machines=Machines(workers=1)
    )
    build_dataset(request, tmp_path / "next")
    assert {variant for variant, _ in rendered} == {"only_fg"}
    changes = compare_versions(first, tmp_path / "next")
    assert changes.rows["only_fg"].repainted == {"other": 18}
    assert any(line.startswith("variants.only_fg.layers") for line in changes.recipe)


@pytest.mark.parametrize(("key", "value"), [("packages", {"pillow": "1.0"}), ("rules", "reference")])
def test_nothing_is_copied_from_other_software_or_rules(
    key: str,
    value: object,
    drawn: DrawnRelease,
    recipe: Path,
    first: Path,
    rendered: list[tuple[str, str]],
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    shutil.copytree(first, other)
    lock = json.loads((other / "recipe.lock.json").read_text())
    (other / "recipe.lock.json").write_text(json.dumps({**lock, key: value}))
    resign(other, "recipe.lock.json")
    request = prepare_request(str(recipe), drawn.workspace, release="v1", earlier=other, machines=Machines(workers=1))
    report = build_dataset(request, tmp_path / "next")
    assert (report.copied, len(rendered)) == (0, report.rows)


def resign(folder: Path, name: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = file_sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_damaged_or_missing_earlier_version_is_refused(
    drawn: DrawnRelease, recipe: Path, first: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no dataset repository to go on from"):
        build_dataset(prepare_request(str(recipe), drawn.workspace, release="v2", earlier=tmp_path), tmp_path / "next")
    damaged = tmp_path / "damaged"
    shutil.copytree(first, damaged)
    shard = damaged / "data" / "mixed_rand" / "test-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-9] + b"123456789")
    request = prepare_request(str(recipe), drawn.workspace, release="v2", earlier=damaged, machines=Machines(workers=1))
    with pytest.raises(DataError) as error:
        build_dataset(request, tmp_path / "next")
    assert [fault.record for fault in error.value.faults] == ["data/mixed_rand/test-00000-of-00001.parquet"]
    assert not (tmp_path / "next").exists()


def test_the_card_tells_the_changes_of_every_version_and_a_rebuild_keeps_them(
    drawn: DrawnRelease, recipe: Path, first: Path, tmp_path: Path
) -> None:
    for version, earlier in (("v2", first), ("v3", tmp_path / "v2")):
        request = prepare_request(
            str(recipe), drawn.workspace, release=version, earlier=earlier, machines=Machines(workers=1)
        )
        build_dataset(request, tmp_path / version)
    changelog = json.loads((tmp_path / "v3" / "report" / "changelog.json").read_text())
    assert [(entry["version"], entry["follows"]) for entry in changelog] == [
        ("toy@1 of v2", "toy@1 of v1"),
        ("toy@1 of v3", "toy@1 of v2"),
    ]
    assert "objects changed: 2 (attribute_masks 2, mask 2)" in changelog[0]["changes"]
    assert "objects added: 2" in changelog[1]["changes"]
    lock = json.loads((tmp_path / "v3" / "recipe.lock.json").read_text())
    assert lock["follows"]["manifest_sha256"] == file_sha256(tmp_path / "v2" / "manifest.json")
    card = (tmp_path / "v3" / "README.md").read_text()
    assert card.index("### toy@1 of v3, after toy@1 of v2") < card.index("### toy@1 of v2, after toy@1 of v1")
    rebuild_dataset(tmp_path / "v3", [open_source(str(drawn.photos), name="mine")], tmp_path / "rebuilt")
    for name in ("README.md", "report/changelog.json", "recipe.lock.json", "croissant.json"):
        assert (tmp_path / "rebuilt" / name).read_bytes() == (tmp_path / "v3" / name).read_bytes()


def test_diff_tells_what_changed_and_why_rows_did(
    drawn: DrawnRelease, recipe: Path, first: Path, tmp_path: Path
) -> None:
    build_dataset(
        prepare_request(str(recipe), drawn.workspace, release="v2", machines=Machines(workers=1)), tmp_path / "v2"
    )
    done = CliRunner().invoke(app, ["diff", str(first), str(tmp_path / "v2"), "--json"], catch_exceptions=False)
    changes = json.loads(done.stdout)
    assert {change["label"]: change["what"] for change in changes["objects"]} == {
        "disc": ["mask", "attribute_masks"],
        "bar": ["mask", "attribute_masks"],
    }
    assert all(0.5 < change["iou"] < 1 for change in changes["objects"])
    assert changes["rows"]["only_fg"] == {"same": 16, "added": 0, "removed": 0, "repainted": {"figure": 2}}
    assert changes["rows"]["original"] == {"same": 18, "added": 0, "removed": 0, "repainted": {}}  # shows no mask
    mixed = changes["rows"]["mixed_rand"]["repainted"]
    assert (mixed["figure"], set(mixed) <= {"figure", "ground"}) == (2, True)
    releases = [str(drawn.workspace / "objects" / f"{name}.parquet") for name in ("v2", "v3")]
    text = CliRunner().invoke(app, ["diff", *releases], catch_exceptions=False).stdout
    assert text.splitlines() == ["v2 → v3", "  objects added: 2"]
    same = CliRunner().invoke(app, ["diff", str(first), str(first)], catch_exceptions=False).stdout
    assert same.splitlines()[1:] == ["  nothing changed"]
    assert CliRunner().invoke(app, ["diff", str(first), releases[0]]).exit_code != 0


def test_croissant_is_valid_and_reads_the_rows(first: Path) -> None:
    described = mlcroissant.Dataset(jsonld=first / "croissant.json")
    assert not described.metadata.ctx.issues.errors
    assert {record_set.uuid for record_set in described.metadata.record_sets} == {"classes", *CONFIGS}
    rows = list(described.records("mixed_rand"))
    stored = rows_of(first, "mixed_rand")
    assert [row["mixed_rand/image_id"].decode() for row in rows] == [row["image_id"] for row in stored]
    for row, expected in zip(rows, stored, strict=True):
        assert np.array_equal(
            np.asarray(row["mixed_rand/image"]), np.asarray(Image.open(io.BytesIO(expected["image"]["bytes"])))
        )
    names = {row["classes/index"]: str(row["classes/name"]) for row in described.records("classes")}
    assert names == {0: "disc", 1: "ring", 2: "bar"}
    hashes = {item.uuid: getattr(item, "sha256", None) for item in described.metadata.distribution}
    files = {name: sha256 for name, sha256 in hashes.items() if sha256}
    assert files == shards_of(first)
