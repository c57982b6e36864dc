"""Who made the imported masks, and whose the photos are: it reaches release, lock, card and the publishing plan."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pytest
from drawn_release import CLASS_MAP
from imported_masks import MACHINE, ORIGIN, PEOPLE, build_toy, draw_photos, import_as_masks, index_photos, person_answer
from rival10_tree import draw_tree
from shared_cases import run_here

from figureground.annotate.agreement.overlaps import compare_answers, photo_agreements
from figureground.annotate.imports.answers import ImportedAnswer, ImportOrigin, ImportReport, store_answer
from figureground.annotate.studio.people.honeypots import known_photos
from figureground.errors import UsageError
from figureground.exports.publishing.plan import HubState, PublishRequest, describe_plan, make_publish_plan, read_local
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace
from figureground.schemas.terms import RESTRICTED_KINDS, UNSTATED


def import_as_coco(root: Path, work: Path) -> tuple[object, ...]:
    images, annotations = [], []
    with Workspace.open(work) as store:
        for number, image in enumerate(store.images(), start=1):
            x, y = image.width // 4, image.height // 4
            images.append({"id": number, "file_name": image.uri, "width": image.width, "height": image.height})
            runs = np.zeros(image.size_hw, dtype=bool)
            runs[y : 3 * y, x : 3 * x] = True
            flat = runs.T.ravel()
            edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
            counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": 1 + ("disc", "ring", "bar").index(image.label),
                    "segmentation": {"size": list(image.size_hw), "counts": counts},
                    "bbox": [x, y, 2 * x, 2 * y],
                    "area": 4 * x * y,
                    "iscrowd": 1,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(("disc", "ring", "bar"), start=1)]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (root / "instances.json").write_text(text)
    return ("import", "coco", root / "instances.json", "-w", work)


# The origin of imported masks


@pytest.mark.parametrize("verb", [import_as_masks, import_as_coco])
@pytest.mark.parametrize("options", [MACHINE, PEOPLE])
def test_an_origin_is_told_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: Any, options: tuple[str, ...]
) -> None:
    draw_photos(tmp_path)
    work = index_photos(tmp_path, capsys)
    code, _, error = run_here(capsys, *verb(tmp_path, work), *options)
    assert code == 0, error
    machine, text = "--machine" in options, options[-1]
    out = build_toy(tmp_path, work, capsys)
    _, records = read_release(work / "objects" / "v1.parquet")
    assert {record.origin for record in records} == {text}
    assert {record.state for record in records} == {"machine_import" if machine else "accepted"}
    _, published = read_release(out / "objects.parquet")
    assert {(record.origin, record.state) for record in published} == {
        (text, "machine_import" if machine else "accepted")
    }
    lock, card = json.loads((out / "recipe.lock.json").read_text()), (out / "README.md").read_text()
    assert lock["origins"] == [{"text": text, "machine": machine, "objects": lock["objects"]}]
    assert lock["unreviewed"] == (lock["objects"] if machine else 0)
    assert "accepted from a person's answer" not in card
    assert "expert-generated" not in card
    assert ("machine-generated" in card, "- found" in card) == (machine, not machine)
    cell = text.replace("|", "\\|").replace("<b>", "&lt;b&gt;").replace("</b>", "&lt;/b&gt;")
    assert f"| {cell} | {'a machine, unreviewed' if machine else 'people'} | {lock['objects']} |" in card
    assert ("no person has" in card) == machine
    assert ("answers of" in card.partition("## Masks")[2]) == (not machine)
    assert ("No mask here is a person's" in card) == machine
    croissant = json.loads((out / "croissant.json").read_text())
    assert any(text in line for line in croissant["rai:dataAnnotationProtocol"])
    assert croissant.get("rai:machineAnnotationTools", []) == ([text] if machine else [])
    assert not mlcroissant.Dataset(jsonld=out / "croissant.json").metadata.ctx.issues.errors
    assert run_here(capsys, "verify", out, "--workers", "1")[0] == 0


def test_every_import_verb_asks_whether_a_machine_made_the_masks(capsys: pytest.CaptureFixture[str]) -> None:
    from figureground.cli.imports import import_masks

    names = [str(command.name or command.callback.__name__) for command in import_masks.registered_commands]  # type: ignore[union-attr]
    assert {"masks", "rival10", "coco"} <= set(names)
    for name in names:
        assert "--machine" in run_here(capsys, "import", name, "--help")[1], name


def test_a_machines_import_never_outvotes_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_photos(tmp_path)
    work = index_photos(tmp_path, capsys)
    with Workspace.open(work) as store:
        image = next(iter(store.images()))
        drawn = np.zeros(image.size_hw, dtype=np.bool_)
        drawn[:20, :20] = True
        other = np.zeros(image.size_hw, dtype=np.bool_)
        other[50:, 50:] = True

        def put(mask: Any, origin: ImportOrigin) -> None:
            answer = ImportedAnswer(image=image, masks={"object": mask}, attributes={})
            store_answer(store, answer, origin, ImportReport())

        people = ImportOrigin(text="us", tool="t")
        put(other, ImportOrigin(text="SAM", tool="t", machine=True))
        machine = store.decision(image.image_id)
        assert machine is not None
        assert machine.state == "accepted"
        assert known_photos(store, {}) == []
        put(drawn, people)
        decision = store.decision(image.image_id)
        assert decision is not None
        (person,) = (answer for answer in store.annotations() if not answer.machine)
        assert (decision.state, decision.annotation_id) == ("accepted", person.annotation_id)
        put(~other, ImportOrigin(text="another net", tool="t", machine=True))
        assert store.decision(image.image_id) == decision
        assert known_photos(store, {}) == [image.image_id]
        assert compare_answers(image.image_id, list(store.annotations())) is None
        assert list(photo_agreements(store)) == []


def test_masks_that_turn_out_to_be_a_machines_are_imported_again_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_photos(tmp_path)
    work = index_photos(tmp_path, capsys)
    words = import_as_masks(tmp_path, work)
    assert "speaks of a machine" in run_here(capsys, *words, "--origin", ORIGIN)[1]
    assert "6 answers replace older ones" in run_here(capsys, *words, *MACHINE)[1]
    assert run_here(capsys, "freeze", "-w", work, "--version", "v1")[0] == 0
    assert {record.state for record in read_release(work / "objects" / "v1.parquet")[1]} == {"machine_import"}
    assert "0 answers stored, 6 there before" in run_here(capsys, *words, *MACHINE)[1]


def test_origins_of_earlier_workspaces_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_photos(tmp_path)
    work = index_photos(tmp_path, capsys)
    assert run_here(capsys, *import_as_masks(tmp_path, work), *PEOPLE)[0] == 0
    with Workspace.open(work) as store:
        image_id = next(iter(store.images())).image_id
        store.add_answer(person_answer(image_id, {}), None)
    database = sqlite3.connect(work / DATABASE_NAME)
    database.execute("UPDATE annotations SET note = note || char(10) || 'resized' WHERE tool LIKE 'import:%'")
    for column in ("origin", "machine"):
        database.execute(f"ALTER TABLE annotations DROP COLUMN {column}")
    database.execute("ALTER TABLE proposals DROP COLUMN instances")
    for table in ("photo_groups", "photo_links", "link_searches", "rim_leaks", "rim_scorings", "proposal_ranks"):
        database.execute(f"DROP TABLE {table}")
    database.execute("DROP TABLE rejections")
    key = "PRIMARY KEY (source, uri)"
    columns = ", ".join(f"{name} TEXT NOT NULL" for name in ("source", "uri", "reason", "detail"))
    database.execute(f"CREATE TABLE rejections ({columns}, {key}) STRICT")
    database.execute("PRAGMA user_version = 4")
    database.commit()
    database.close()
    with Workspace.open(work) as store:
        assert {(answer.tool, answer.origin, answer.machine) for answer in store.annotations()} == {
            ("import:masks", PEOPLE[-1], False),
            ("brush", "", False),
        }


# Terms


@pytest.mark.parametrize(
    ("terms", "label", "reason"),
    [
        ((), "disc", UNSTATED),
        (("--licence", "Unknown"), "disc", UNSTATED),
        (("--licence", "CC BY 4.0"), "disc", ""),
        (("--unrestricted",), "disc", ""),
        (("--licence", "CC BY 4.0"), "n01440764", RESTRICTED_KINDS["ilsvrc"]),
        (("--licence", "CC BY 4.0"), "n01440764_disc.png", RESTRICTED_KINDS["ilsvrc"]),
        (("--licence", "CC BY 4.0", "--unrestricted"), "n01440764", ""),
    ],
)
def test_terms_stand_in_the_plan_and_unknown_ones_refuse_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], terms: tuple[str, ...], label: str, reason: str
) -> None:
    draw_photos(tmp_path)
    if label.endswith(".png"):
        (tmp_path / "photos" / "disc" / "disc0.png").rename(tmp_path / "photos" / "disc" / label)
        (tmp_path / "masks" / "disc" / "disc0.png").rename(tmp_path / "masks" / "disc" / label)
    else:
        for folder in ("photos", "masks"):
            (tmp_path / folder / "disc").rename(tmp_path / folder / label)
    work = index_photos(tmp_path, capsys, *terms)
    assert run_here(capsys, *import_as_masks(tmp_path, work), *PEOPLE)[0] == 0
    out = build_toy(tmp_path, work, capsys, classes=CLASS_MAP.replace('["disc"]', '["disc", "n01440764"]'))
    lock = json.loads((out / "recipe.lock.json").read_text())
    assert lock["sources"]["drawn"]["restricted"] == reason
    card = (out / "README.md").read_text()
    assert ("extra_gated_prompt" in card) == bool(reason)
    release = read_local(out)
    refused = PublishRequest(repo_id="me/toy")
    request = PublishRequest(repo_id="me/toy", may_redistribute=bool(reason))
    if reason:
        with pytest.raises(UsageError, match="may not be passed on") as error:
            make_publish_plan(release, refused, "v1", HubState(exists=False))
        assert reason in str(error.value)
        assert ("--unrestricted" in str(error.value)) == (reason == UNSTATED)
    text = describe_plan(make_publish_plan(release, request, "v1", HubState(exists=False)))
    licence = terms[1] if "--licence" in terms else "no licence stated"
    photos = lock["sources"]["drawn"]["photos"]
    restricted = f"; not to be passed on: {reason}" if reason else ""
    assert f"terms of photos of drawn ({photos}): {licence}{restricted}" in set(text.splitlines())
    assert "terms of masks, attributes, parameters: no licence stated" in text
    assert text.startswith("me/toy (new): public or private as your settings on the Hub say, gated: no\n  new     ")
    plan = make_publish_plan(release, request, "v1", HubState(exists=False))
    assert describe_plan(plan, listed=False) == re.sub(r"\n  new .*", "", text)  # the sums, once the files were seen


@pytest.mark.parametrize("machine", [True, False])
def test_rival10s_masks_have_their_origin_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], machine: bool
) -> None:
    tree, work = draw_tree(tmp_path), tmp_path / "work"
    assert run_here(capsys, "index", tree, "-w", work, "--kind", "rival10", "--workers", "1")[0] == 0
    words = ("import", "rival10", tree, "-w", work)
    code, _, error = run_here(capsys, *words, *(("--machine",) if machine else ()))
    assert code == 0, error
    with Workspace.open(work) as store:
        assert {(answer.origin, answer.machine) for answer in store.annotations()} == {
            ("RIVAL10, dataset authors", machine)
        }
