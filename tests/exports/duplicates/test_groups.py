"""Near-duplicates of photos that were copied as people do, by hash and by embedding; and what is kept together."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_release import draw_photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from shared_cases import run_here
from skimage import data

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.freezing.scenes import joined_groups
from figureground.annotate.verbs import SourceReading, index
from figureground.build.planning.near_duplicates import NearDuplicates
from figureground.errors import DataError, UsageError
from figureground.exports.duplicates.groups import Search, find_duplicates
from figureground.schemas.records import LINKED
from figureground.schemas.store.releases import blind_name, read_release
from figureground.schemas.store.workspace import Workspace

LITE0 = "figureground.exports.evaluation.classifiers:efficientnet_lite0"


def encoded(photo: Image.Image, **options: object) -> bytes:
    data = io.BytesIO()
    photo.save(data, "JPEG", **options)
    return data.getvalue()


def cropped(photo: Image.Image, share: float) -> Image.Image:
    width, height = photo.size
    left, top = (round(side * (1 - share) / 2) for side in (width, height))
    return photo.crop((left, top, width - left, height - top))


COPIES: dict[str, tuple[Callable[[Image.Image], bytes], bool]] = {
    "reencoded": (lambda photo: encoded(photo, quality=30), True),
    "resized": (lambda photo: encoded(photo.resize((photo.width // 2, photo.height // 2)), quality=90), True),
    "flipped": (lambda photo: encoded(ImageOps.mirror(photo), quality=95), False),
    "cropped": (lambda photo: encoded(cropped(photo, 0.8), quality=95), False),
}
"""Copy to how it is made, and whether its hash is near that of the photo; its embedding always is."""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of four photos that scikit-image ships, one of them in copies, and of a texture."""
    root = tmp_path_factory.mktemp("copied")
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        photo = Image.fromarray(getattr(data, name)()[..., :3])
        (root / "photos" / name).mkdir(parents=True)
        photo.save(root / "photos" / name / "photo.png")
        if name == "chelsea":
            for copy, (make, _) in COPIES.items():
                (root / "photos" / name / f"{copy}.jpg").write_bytes(make(photo))
    (root / "photos" / "rocket" / "again.png").write_bytes((root / "photos" / "rocket" / "photo.png").read_bytes())
    (root / "textures").mkdir()
    with Image.open(root / "photos" / "coffee" / "photo.png") as photo:
        (root / "textures" / "same.png").write_bytes(encoded(photo))
    index(root / "photos", root / "work", workers=1)
    index(root / "textures", root / "work", workers=1, reading=SourceReading(kind="textures"))
    return root / "work"


def files(workspace: Path, search: Search) -> list[set[str]]:
    report = find_duplicates([workspace], search)
    return [{photo.file.removeprefix("photos: ") for photo in group.photos} for group in report.groups]


def test_hashes_find_what_they_can_and_no_more(copied: Path) -> None:
    near = {f"chelsea/{copy}.jpg" for copy, (_, by_hash) in COPIES.items() if by_hash}
    assert files(copied, Search()) == [{"chelsea/photo.png", *near}]
    report = find_duplicates([copied], Search())
    assert report.places == {str(copied): 8}  # a texture is no photo
    assert [next(iter(report.copies.values()))] == [("photos: rocket/photo.png (the bytes of rocket/again.png)",)]


def test_an_embedding_finds_flipped_and_cropped_ones_too(copied: Path) -> None:
    assert files(copied, Search(embedder=LITE0)) == [{"chelsea/photo.png", *(f"chelsea/{copy}.jpg" for copy in COPIES)}]


def test_what_an_embedder_finds_is_frozen_as_a_group(
    copied: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("duplicates", copied, "--embedder", LITE0, "--device", "cpu", "--keep-together", "--json")
    code, printed, error = run_here(capsys, *words)
    assert code == 0, error
    report = json.loads(printed)
    assert report["stored"] == 8
    assert report["embedder"].endswith("cosine of at least 0.9")
    with Workspace.open(copied) as store:
        release = freeze(store, "v1", FreezeOptions(unmasked=True))
        assert len(store.links()) == 8
    records = read_release(release.path)[1]
    alike = [record for record in records if record.label == "chelsea"]
    assert {record.group for record in alike} == {f"{LINKED}{min(record.image_id for record in alike)}"}
    assert not any(record.group for record in records if record.label != "chelsea")
    assert [len(group) for group in NearDuplicates.among(records, 0).groups(records) if len(group) > 1] == [5]
    hidden = {blind_name(record).group for record in alike}
    assert len(hidden) == 1
    assert not any(record.image_id in group for group in hidden for record in alike)
    # A later search replaces what an earlier one found.
    assert run_here(capsys, *words, "--min-cosine", "1")[0] == 0
    with Workspace.open(copied) as store:
        assert store.links() == []


def linked_workspace(root: Path) -> tuple[Workspace, list[str]]:
    for number in range(6):
        path = root / f"photos{number % 2}" / "disc" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_photo("disc", number)[0][:64, :64]).save(path)
    for name in ("photos0", "photos1"):
        index(root / name, root / "work", workers=1)
    store = Workspace.open(root / "work")
    return store, [image.image_id for image in sorted(store.images(), key=lambda image: image.uri)]


def test_named_groups_are_joined_by_links_across_sources_and_kept_without(tmp_path: Path) -> None:
    store, ids = linked_workspace(tmp_path)
    with store:
        store.add_groups({ids[0]: "film", ids[2]: "film", ids[1]: "film", ids[3]: "film"})  # of two sources
        named = store.groups()
        assert joined_groups(store) == named
        store.add_links("by eye", [(ids[5], ids[4], 1.0)])
        assert joined_groups(store) == {**named, **dict.fromkeys(ids[4:], LINKED + min(ids[4:]))}
        store.add_links("by eye", [(ids[2], ids[4], 1.0), (ids[4], ids[2], 1.0)])
        joined = joined_groups(store)
        both = [ids[0], ids[2], ids[4]]
        assert joined == {**named, **dict.fromkeys(both, LINKED + min(both))}
        store.add_links("by eye", [(ids[0], ids[2], 1.0)])
        assert joined_groups(store) == named
        store.add_links("by eye", [(ids[0], ids[1], 1.0)])
        assert set(joined_groups(store).values()) == {LINKED + min(ids[:4])}
        store.forget(ids[0])
        assert store.links() == []
        records = freeze(store, "v1", FreezeOptions(unmasked=True)).path
    assert {record.scene for record in read_release(records)[1]} == {("photos0", "film"), ("photos1", "film"), None}


def test_a_group_of_links_is_of_no_one_source(tmp_path: Path) -> None:
    store, ids = linked_workspace(tmp_path)
    with store:
        store.add_links("by eye", [(ids[0], ids[1], 1.0)])
        records = read_release(freeze(store, "v1", FreezeOptions(unmasked=True)).path)[1]
    groups = NearDuplicates.among(records, 0).groups(records)
    assert sorted(len({record.source for record in group}) for group in groups) == [1, 1, 1, 1, 2]


def test_a_table_cannot_name_what_a_search_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, _ = linked_workspace(tmp_path)
    store.close()
    (tmp_path / "groups.csv").write_text("file,group\n0.png,linked:x\n", encoding="utf-8")
    words = ("index", tmp_path / "photos0", "-w", tmp_path / "work", "--groups", tmp_path / "groups.csv")
    code, _, error = run_here(capsys, *words)
    assert (code, "does not begin with linked: or sha256:, got linked:x" in error) == (1, True)


@pytest.mark.parametrize(
    ("search", "match"),
    [
        pytest.param(Search(bits=64), "--bits 64", id="bits"),
        pytest.param(Search(min_cosine=2), "--min-cosine 2", id="cosine"),
        pytest.param(Search(keep_together=True), "what an --embedder finds", id="nothing to store"),
    ],
)
def test_options_that_mean_nothing_are_refused(search: Search, match: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=match):
        find_duplicates([tmp_path], search)


def test_what_is_no_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no workspace, no release"):
        find_duplicates([tmp_path], Search())


def test_an_embedder_says_whose_photos_it_cannot_see_and_which_are_gone(copied: Path, tmp_path: Path) -> None:
    with Workspace.open(copied) as store:
        path = freeze(store, "alone", FreezeOptions(unmasked=True)).path
    moved = tmp_path / "alone.parquet"
    moved.write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match=r"nobody here knows where those of .*alone\.parquet lie"):
        find_duplicates([moved], Search(embedder=LITE0))
    store, _ = linked_workspace(tmp_path)
    store.close()
    for number in (0, 2):
        (tmp_path / "photos0" / "disc" / f"{number}.png").unlink()
    with pytest.raises(DataError) as caught:
        find_duplicates([tmp_path / "work"], Search(embedder=LITE0))
    assert len(caught.value.faults) == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 63), min_size=1, max_size=12), st.integers(0, 3))
def test_the_groups_of_a_report_are_those_of_a_build(hashes: list[int], bits: int) -> None:
    from strategies import object_record

    from figureground.exports.duplicates.groups import _grouped, _hash_links
    from figureground.exports.duplicates.places import _placed

    records = sorted(
        (object_record(str(number), "a", phash=f"{value * 37:016x}") for number, value in enumerate(hashes)),
        key=lambda record: record.object_id,
    )
    photos = [_placed("x", record, "") for record in records]
    groups = {
        frozenset(photo.image_id for photo in group.photos) for group in _grouped(photos, _hash_links(photos, bits))
    }
    built = NearDuplicates.among(records, bits).groups(records)
    assert groups == {frozenset(record.image_id for record in group) for group in built if len(group) > 1}


def test_features_are_compared_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from figureground.exports.duplicates import embedding

    monkeypatch.setattr(embedding, "_BLOCK", 3)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(11, 4)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    cosines = features @ features.T
    expected = {(i, j) for i in range(11) for j in range(i + 1, 11) if cosines[i, j] >= 0.5}
    assert {(one, other) for one, other, _ in embedding.near_features(features, 0.5)} == expected
    assert expected
