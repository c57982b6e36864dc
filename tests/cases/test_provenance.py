"""Who made the masks, whose photos they are, and how far machines agree: it reaches release, lock, card and results."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pytest
import yaml
from drawn_release import CLASS_MAP, draw_photo
from PIL import Image
from shared_cases import run_here

from figureground.annotate.imports.answers import ImportedAnswer, ImportOrigin, ImportReport, store_answer
from figureground.build.recipes.loading import load_recipe
from figureground.errors import UsageError
from figureground.exports.publishing.plan import HubState, PublishRequest, describe_plan, make_publish_plan, read_local
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import Annotation, ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.releases import read_annotation, read_release
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace
from figureground.schemas.terms import RESTRICTED_KINDS, UNSTATED

ORIGIN = "U2-Net masks | of <b>ours</b>"
MACHINE = ("--machine", "--origin", ORIGIN)
PEOPLE = ("--origin", "drawn by our lab")


def draw_photos(root: Path, per_class: int = 2) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Photos and a folder of their masks; returns the masks by the photo's path."""
    masks = {}
    for number, kind in enumerate(("disc", "ring", "bar")):
        for index in range(per_class):
            photo, mask = draw_photo(kind, 100 * number + index)
            for folder, pixels in (("photos", photo), ("masks", mask)):
                path = root / folder / kind / f"{kind}{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
            masks[f"{kind}/{kind}{index}.png"] = mask
    return masks


def index_photos(root: Path, capsys: pytest.CaptureFixture[str], *terms: str) -> Path:
    work = root / "work"
    words = ("index", root / "photos", "-w", work, "--name", "drawn", *terms, "--workers", "1")
    assert run_here(capsys, *words)[0] == 0
    return work


def import_as_masks(root: Path, work: Path) -> tuple[object, ...]:
    return ("import", "masks", root / "masks", "-w", work)


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


def write_recipe(root: Path, classes: str = CLASS_MAP) -> Path:
    (root / "toy.json").write_text(classes)
    recipe = load_recipe("imagenet9").model_copy(update={"class_map": "toy.json", "name": "toy"})
    (root / "toy.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
    return root / "toy.yaml"


def build_toy(
    root: Path, work: Path, capsys: pytest.CaptureFixture[str], *freeze: object, classes: str = CLASS_MAP
) -> Path:
    assert run_here(capsys, "freeze", "-w", work, "--version", "v1", *freeze)[0] == 0
    words = ("--pixels", "--per-class", "all", "--variants", "original,mixed_same,mixed_rand", "--workers", "1")
    assert run_here(capsys, "build", write_recipe(root, classes), "-w", work, "-o", root / "out", *words)[0] == 0
    return root / "out"


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


def person_answer(image_id: str, masks: Any) -> Annotation:
    return Annotation(
        annotation_id=content_id("by hand", image_id),
        updated_at="2020-01-01T00:00:00Z",
        image_id=image_id,
        masks=masks,
        attributes={},
        flags=(),
        annotator="anna",
        seconds=1.0,
        tool="brush",
        proposal_id="",
        edit_iou=None,
    )


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
        put(drawn, people)
        decision = store.decision(image.image_id)
        assert decision is not None
        (person,) = (answer for answer in store.annotations() if not answer.machine)
        assert (decision.state, decision.annotation_id) == ("accepted", person.annotation_id)
        put(~other, ImportOrigin(text="another net", tool="t", machine=True))
        assert store.decision(image.image_id) == decision


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
    assert (
        f"terms of photos of drawn ({photos}): {licence}" + (f"; not to be passed on: {reason}" * bool(reason)) in text
    )
    assert "terms of masks, attributes, parameters: no licence stated" in text


# Machine masks that another segmenter's agree with


def propose_drawn(work: Path, shifts: dict[str, int | None], segmenter: str, prompt: str = "auto") -> None:
    """First choices of a segmenter: the drawn masks, moved to the right by so many pixels; None for no mask."""
    with Workspace.open(work) as store:
        images = {image.uri: image for image in store.images()}
        for uri, shift in shifts.items():
            image = images[uri]
            number = ("disc", "ring", "bar").index(image.label)
            _, mask = draw_photo(image.label, 100 * number + int(uri[-5]))
            run_id = content_id(image.image_id, segmenter, prompt)
            proposals = []
            if shift is not None:
                rle = encode_coco_rle(np.roll(mask, shift, axis=1))
                proposal = ProposalRecord(
                    proposal_id=content_id(run_id, "0"),
                    run_id=run_id,
                    image_id=image.image_id,
                    rle=rle,
                    score=1.0,
                    stability=1.0,
                    rank=0,
                    prompt="{}",
                    segmenter=segmenter,
                    checkpoint_sha256="",
                )
                proposals.append(proposal)
            run = ProposalRun(
                run_id=run_id,
                image_id=image.image_id,
                segmenter=segmenter,
                prompt_mode=prompt,
                reason="" if proposals else "no_candidates",
                seconds=0.0,
            )
            store.add_run(run, proposals)


def iou_of_shift(uri: str, shift: int) -> float:
    label = uri.partition("/")[0]
    _, mask = draw_photo(label, 100 * ("disc", "ring", "bar").index(label) + int(uri[-5]))
    moved = np.roll(mask, shift, axis=1)
    return float((mask & moved).sum() / (mask | moved).sum())


SHIFTS: dict[str, int | None] = {"disc/disc0.png": 0, "disc/disc1.png": 2, "disc/disc2.png": 60, "ring/ring0.png": None}


@pytest.fixture
def proposed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A workspace in which ``sam`` proposed the drawn masks and ``saliency`` moved ones, or none."""
    uris = list(draw_photos(tmp_path, per_class=3))
    work = index_photos(tmp_path, capsys, "--licence", "CC0")
    propose_drawn(work, dict.fromkeys(uris, 0), "sam")
    propose_drawn(work, dict.fromkeys(uris, 0) | SHIFTS, "saliency")
    return work


@pytest.mark.parametrize("segmenter", [(), ("--segmenter", "sam")])
@pytest.mark.parametrize("iou", [(), ("--min-iou", "0.999")])
def test_masks_are_taken_where_another_segmenters_agree(
    proposed: Path, capsys: pytest.CaptureFixture[str], segmenter: tuple[str, ...], iou: tuple[str, ...]
) -> None:
    words = ("freeze", "-w", proposed, "--version", "v1", "--unreviewed", *segmenter, "--agree", "saliency", *iou)
    code, out, error = run_here(capsys, *words)
    assert code == 0, error
    disagree = 2 if iou else 1
    assert f"masks_disagree {disagree}, no_second_mask 1" in out
    path = proposed / "objects" / "v1.parquet"
    _, records = read_release(path)
    assert len(records) == 9 - disagree - 1
    assert {record.segmenter for record in records} == {"sam"}
    for record in records:
        assert record.agreement_iou == pytest.approx(iou_of_shift(record.uri, SHIFTS.get(record.uri) or 0))
    assert read_annotation(path)["proposals_agree"] == {
        "with": "saliency",
        "min_iou": float(iou[1]) if iou else 0.75,
        "left_out": {"masks_disagree": disagree, "no_second_mask": 1},
    }
    listed = path.with_suffix(".left_out.csv").read_text().splitlines()
    assert sorted(line.split(",", 1)[1] for line in listed[1:]) == [
        *["disc,masks_disagree"] * disagree,
        "ring,no_second_mask",
    ]


def test_without_a_rule_the_agreement_is_written_down_only(proposed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("freeze", "-w", proposed, "--version", "v1", "--unreviewed", "--segmenter", "sam")
    assert run_here(capsys, *words)[0] == 0
    path = proposed / "objects" / "v1.parquet"
    ious = {record.uri: record.agreement_iou for record in read_release(path)[1]}
    assert len(ious) == 9
    assert ious["ring/ring0.png"] is None
    assert ious["disc/disc2.png"] == pytest.approx(iou_of_shift("disc/disc2.png", 60))
    assert "proposals_agree" not in read_annotation(path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--agree", "saliency"), "give --unreviewed with it"),
        (("--unreviewed", "--segmenter", "sam", "--agree", "sam"), "names the segmenter of the masks themselves"),
        (("--unreviewed", "--segmenter", "sam", "--agree", "sam:auto"), "names the segmenter of the masks themselves"),
        (("--unreviewed", "--agree", "grabcut"), "made no proposals here; segmenters that did: saliency, sam"),
        (("--unreviewed", "--segmenter", "sam", "--min-iou", "0.5"), "name the other one with --agree"),
        (("--unreviewed", "--agree", "saliency", "--min-iou", "75"), "less than or equal to 1"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(
    proposed: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    code, _, error = run_here(capsys, "freeze", "-w", proposed, "--version", "v1", *options)
    assert (code, words in " ".join(error.replace("│", " ").split())) == (2, True), error
    assert not (proposed / "objects" / "v1.parquet").exists()


def test_a_card_says_what_agrees(proposed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = build_toy(tmp_path, proposed, capsys, "--unreviewed", "--agree", "saliency", "--min-iou", "0.1")
    card, lock = (out / "README.md").read_text(), json.loads((out / "recipe.lock.json").read_text())
    ious = [record.agreement_iou for record in read_release(out / "objects.parquet")[1]]
    agreeing = sum(iou is not None and iou >= 0.75 for iou in ious)
    assert lock["agreement"] == {"min_iou": 0.75, "objects": len(ious), "agreeing": agreeing}
    text = " ".join(card.split())
    assert f"{agreeing} of {len(ious)} machine masks agree with another segmenter's (IoU of 0.75 or more)" in text
    assert "the first choice of saliency agrees with them at an IoU of 0.1 or more: 1 photos were left out" in text
