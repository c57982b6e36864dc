"""Photos of one video, burst or photographer: no donor comes from a figure's own group, and none is split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drawn_release import CLASS_MAP, draw_release
from photo_samples import draw_pixels, encode
from shared_cases import run_here
from strategies import object_record

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.build.planning.near_duplicates import NearDuplicates
from figureground.build.planning.plan import make_plan
from figureground.build.planning.splits import assign_splits
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError
from figureground.exports.dataset.folder import DatasetFolder
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Balance, RuleName
from figureground.schemas.records import ObjectRecord
from figureground.schemas.store.releases import blind_name, read_release, write_release
from figureground.schemas.store.workspace import Workspace


def put(root: Path, *uris: str) -> Path:
    for number, uri in enumerate(uris):
        (root / uri).parent.mkdir(parents=True, exist_ok=True)
        (root / uri).write_bytes(encode(draw_pixels(number), "PNG"))
    return root


def groups_of(work: Path) -> dict[str, str]:
    with Workspace.open(work) as store:
        groups = store.groups()
        return {image.uri: groups.get(image.image_id, "") for image in store.images()}


# Where groups come from

TABLES = {
    "a table of groups": ("--groups", "file,group\ndog/0.png,v1\ndog/1.png,v1\ncat/0.png,\n"),
    "names without endings": ("--groups", "id,group\ndog/0,v1\ndog/1,v1\n"),
    "a column of the labels": (
        "--labels",
        "file,label,group\ndog/0.png,dog,v1\ndog/1.png,dog,v1\ncat/0.png,cat,\ncat/1.png,cat,\n",
    ),
}


@pytest.mark.parametrize("form", TABLES)
def test_photos_get_the_groups_of_a_table(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = put(tmp_path / "photos", "dog/0.png", "dog/1.png", "cat/0.png", "cat/1.png")
    option, text = TABLES[form]
    (tmp_path / "t.csv").write_text(text)
    words = ("index", root, "-w", tmp_path / "work", option, tmp_path / "t.csv")
    code, out, _ = run_here(capsys, *words, "--json")
    report = json.loads(out)
    assert (code, report["grouped"], report["groups"], report["passed_over"]) == (0, 2, 1, {})
    assert groups_of(tmp_path / "work") == {"dog/0.png": "v1", "dog/1.png": "v1", "cat/0.png": "", "cat/1.png": ""}
    code, out, _ = run_here(capsys, *words)
    assert "2 of its photos are in 1 groups" in out


def test_a_later_index_gives_groups_to_photos_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, work = put(tmp_path / "photos", "dog/0.png", "dog/1.png"), tmp_path / "work"
    assert run_here(capsys, "index", root, "-w", work)[0] == 0
    assert set(groups_of(work).values()) == {""}
    for text, expected in (("dog/0.png,a\ndog/1.png,a", ["a", "a"]), ("dog/0.png,b", ["b", ""])):
        (tmp_path / "t.csv").write_text(f"file,group\n{text}\n")
        assert run_here(capsys, "index", root, "-w", work, "--groups", tmp_path / "t.csv")[0] == 0
        assert [groups_of(work)[uri] for uri in ("dog/0.png", "dog/1.png")] == expected
    assert run_here(capsys, "index", root, "-w", work)[0] == 0  # a run without the table takes nothing away
    assert groups_of(work)["dog/0.png"] == "b"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("dog/9.png,v2", "'dog/9.png', which fits none"),
        ("0.png,v2", "expected one photo for '0.png'"),
        ("dog/0.png,v2", "expected one group in t.csv"),
        (",v2", "expected the name of a photo"),
        ("dog/1.png,v2,more", "expected 2 cells"),
        (f"dog/1.png,{'x' * 201}", "at most 200 characters"),
    ],
)
def test_a_row_that_cannot_be_meant_is_a_fault(
    tmp_path: Path, row: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put(tmp_path / "photos", "dog/0.png", "cat/0.png", "dog/1.png", "dog/2.png")
    (tmp_path / "t.csv").write_text(f"file,group\ndog/0.png,v1\ndog/2.png,v1\n{row}\n")
    code, out, err = run_here(capsys, "index", root, "-w", tmp_path / "work", "--groups", tmp_path / "t.csv")
    assert (code, words in err) == (1, True), err
    assert "4 photos added" in out
    assert groups_of(tmp_path / "work")["dog/2.png"] == "v1"
    assert groups_of(tmp_path / "work")["dog/1.png"] == ""


def test_two_groups_of_one_photo_in_a_table_of_labels_are_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put(tmp_path / "photos", "0.png", "1.png")
    (tmp_path / "t.csv").write_text("file,label,group\n0.png,dog,a\n0.png,dog,b\n1.png,dog,a\n")
    code, _, err = run_here(capsys, "index", root, "-w", tmp_path / "work", "--labels", tmp_path / "t.csv")
    assert (code, "expected one group in t.csv" in err) == (1, True), err
    assert groups_of(tmp_path / "work") == {"0.png": "", "1.png": "a"}


@pytest.mark.parametrize("text", ["file\ndog/0.png\n", "group\nv1\n", ""])
def test_a_table_without_its_columns_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = put(tmp_path / "photos", "dog/0.png")
    (tmp_path / "t.csv").write_text(text)
    code, _, err = run_here(capsys, "index", root, "-w", tmp_path / "work", "--groups", tmp_path / "t.csv")
    assert (code, "the columns" in err) == (1, True), err


def test_textures_take_no_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = put(tmp_path / "grounds", "a.png")
    (tmp_path / "t.csv").write_text("file,group\na.png,v1\n")
    words = ("index", root, "-w", tmp_path / "work", "--kind", "textures", "--groups", tmp_path / "t.csv")
    assert run_here(capsys, *words)[0] == 2
    assert run_here(capsys, "index", root, "-w", tmp_path / "work", "--groups", tmp_path / "none.csv")[0] == 2


# In releases


def test_a_release_holds_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, work = put(tmp_path / "photos", "dog/0.png", "dog/1.png"), tmp_path / "work"
    run_here(capsys, "index", root, "-w", work)
    with Workspace.open(work) as store:
        plain = freeze(store, "plain", FreezeOptions(unmasked=True)).path
    (tmp_path / "t.csv").write_text("file,group\ndog/0.png,v1\n")
    run_here(capsys, "index", root, "-w", work, "--groups", tmp_path / "t.csv")
    with Workspace.open(work) as store:
        grouped = freeze(store, "grouped", FreezeOptions(unmasked=True)).path
    assert {record.uri: record.group for record in read_release(grouped)[1]} == {"dog/0.png": "v1", "dog/1.png": ""}
    assert {record.group for record in read_release(plain)[1]} == {""}
    write_release(tmp_path / "again.parquet", read_release(grouped)[1], version="grouped")
    assert read_release(tmp_path / "again.parquet") == read_release(grouped)


def test_a_published_release_does_not_tell_who_took_the_photos() -> None:
    one, two, other = (
        blind_name(object_record(name, "a", group=group)) for name, group in (("1", "Ada"), ("2", "Ada"), ("3", "Ben"))
    )
    assert one.group == two.group != other.group
    assert "Ada" not in one.group
    assert blind_name(object_record("4", "a")).group == ""


# In plans

IMAGENET9 = load_recipe("imagenet9").model_copy(update={"balance": Balance(per_class="all")})
RIVAL10 = load_recipe("rival10")
ABC = ClassMap.model_validate(
    {"name": "toy", "classes": [{"index": index, "name": name, "wnids": [name]} for index, name in enumerate("abc")]}
)
GROUPS = [f"video{number % 4}" for number in range(12)]


def photos(*, grouped: bool = True, **changes: Any) -> list[ObjectRecord]:
    """Twelve photos of each class; those with one number, whatever their class, are of the videos of ``GROUPS``."""
    return [
        object_record(f"{label}{number}", label, **{"group": group if grouped else "", **changes})
        for label in "abc"
        for number, group in enumerate(GROUPS)
    ]


def scenes(records: list[ObjectRecord], rules: RuleName = "exact") -> list[bool]:
    """Of every row with a donor of another photo: whether figure and donor are of one group."""
    group_of = {record.object_id: record.scene for record in records}
    rows = make_plan(records, IMAGENET9, ABC, rules=rules).rows
    mixed = {"mixed_same", "mixed_rand", "mixed_next"}
    return [group_of[row.object_id] == group_of[row.ground_id] for row in rows if row.variant in mixed]


def test_no_donor_is_of_the_figures_own_group() -> None:
    without = [record.object_id for record in photos(grouped=False)]
    rows = make_plan(photos(grouped=False), IMAGENET9, ABC).rows
    group_of = dict(zip(without, GROUPS * 3, strict=True))
    assert any(
        group_of[row.object_id] == group_of[row.ground_id]
        for row in rows
        if row.variant in {"mixed_same", "mixed_next"}
    )  # by chance a quarter is
    same_group = scenes(photos())
    assert len(same_group) == 36 * 3
    assert not any(same_group)


def test_reference_rules_know_no_groups_as_they_know_no_near_duplicates() -> None:
    assert any(scenes(photos(), "reference"))
    assert make_plan(photos(), IMAGENET9, ABC, rules="reference").rows == (
        make_plan(photos(grouped=False), IMAGENET9, ABC, rules="reference").rows
    )


def test_groups_of_one_name_in_two_sources_are_two() -> None:
    pair = [object_record(name, "a", group="v", source=name) for name in ("one", "two")]
    made = make_plan([*pair, *photos()[12:]], IMAGENET9, ABC)
    rows = [row for row in made.rows if row.variant == "mixed_same" and row.object_id == pair[0].object_id]
    assert [row.ground_id for row in rows] == [pair[1].object_id]


def test_who_has_only_photos_of_the_own_group_leaves_with_a_reason() -> None:
    lonely = [object_record(f"x{number}", "a", group="only") for number in range(3)]
    with pytest.raises(DataError, match="no_donor"):
        make_plan([*lonely, *photos()[12:]], IMAGENET9, ABC)
    made = make_plan([*lonely, object_record("other", "a"), *photos()[12:]], IMAGENET9, ABC)
    assert not made.refusals


def test_a_plan_without_groups_is_that_of_before() -> None:
    assert make_plan(photos(group=""), IMAGENET9, ABC).rows == make_plan(photos(grouped=False), IMAGENET9, ABC).rows


def test_a_group_is_in_one_split_and_links_near_duplicates() -> None:
    records = [object_record(f"{label}{n}", label, group=f"video{n // 3}") for label in "ab" for n in range(30)]
    splits = assign_splits(records, RIVAL10)
    for group in {record.group for record in records}:
        assert len({splits[record.object_id] for record in records if record.group == group}) == 1
    assert set(splits.values()) == {"train", "validation", "test"}
    twins = [
        object_record("one", "a", phash="00000000000000ff", group="x"),
        object_record("two", "a", phash="00000000000001ff"),  # one bit from the first
        object_record("three", "b", group="x"),
        object_record("four", "b", group="x", source="another"),
    ]
    groups = NearDuplicates.among(twins, 8).groups(twins)
    assert sorted(sorted(record.uri for record in group) for group in groups) == [
        ["a/one.png", "a/two.png", "b/three.png"],
        ["b/four.png"],
    ]


def test_a_dataset_of_grouped_photos_is_built_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = draw_release(tmp_path / "drawn")
    kinds = ("disc", "ring", "bar")
    rows = [f"{kind}/{kind}{number}.png,Ada{number % 2}" for kind in kinds for number in range(4)]
    (tmp_path / "groups.csv").write_text("\n".join(["file,group", *rows]))
    (tmp_path / "toy.json").write_text(CLASS_MAP)
    work, out = drawn.workspace, tmp_path / "out"
    words = ("index", drawn.photos, "-w", work, "--name", "drawn", "--groups", tmp_path / "groups.csv")
    assert run_here(capsys, *words)[0] == 0
    assert run_here(capsys, "freeze", "-w", work, "--version", "v2")[0] == 0
    options = ("--class-map", tmp_path / "toy.json", "--variants", "original,mixed_same", "--workers", "1")
    code, _, err = run_here(capsys, "build", "imagenet9", "-w", work, "--release", "v2", "-o", out, *options)
    assert code == 0, err
    assert run_here(capsys, "verify", out, "--workers", "1")[0] == 0
    dataset = DatasetFolder.open(out)
    group_of = {record.object_id: record.group for record in dataset.objects()[1]}
    assert len(set(group_of.values())) == 2
    assert not any("Ada" in group for group in group_of.values())
    mixed = [row for row in dataset.plan_rows() if row.variant == "mixed_same"]
    assert len(mixed) == 12
    assert all(group_of[row.object_id] != group_of[row.ground_id] for row in mixed)
