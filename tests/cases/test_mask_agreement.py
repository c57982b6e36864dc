"""Machine masks: where another segmenter's agree, what rows and results say of them, and datasets of before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_release import draw_photo
from imported_masks import MACHINE, build_toy, draw_photos, import_as_masks, index_photos, person_answer
from plain_dataset import rewrite_table, update_manifest
from scored_cases import colour_model
from shared_cases import run_here

from figureground.annotate.decisions import decide
from figureground.exports.evaluation.answers import Predictions
from figureground.exports.evaluation.protocols.imagenet9 import gap_by_agreement
from figureground.exports.evaluation.results import format_eval_results
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.releases import read_annotation, read_release
from figureground.schemas.store.workspace import Workspace

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
    still: dict[str, int | None] = dict.fromkeys(uris, 0)
    propose_drawn(work, still, "sam")
    propose_drawn(work, still | SHIFTS, "saliency")
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


# The state of masks in rows and results


def rows_of(folder: Path, config: str) -> list[dict[str, Any]]:
    (shard,) = (folder / "data" / config).glob("*.parquet")
    rows: list[dict[str, Any]] = pq.read_table(shard).to_pylist()
    return rows


@pytest.fixture
def mixed_states(proposed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A dataset with masks of every kind: bars imported as a machine's, ring1 a person's, the others proposals."""
    for kind in ("disc", "ring"):
        for path in (tmp_path / "masks" / kind).iterdir():
            path.unlink()
    assert run_here(capsys, *import_as_masks(tmp_path, proposed), *MACHINE)[0] == 0
    with Workspace.open(proposed) as store:
        (image,) = (image for image in store.images() if image.uri == "ring/ring1.png")
        answer = person_answer(image.image_id, {"object": encode_coco_rle(draw_photo("ring", 101)[1])})
        store.add_answer(answer, decide(image.image_id, [answer]))
    return build_toy(tmp_path, proposed, capsys, "--unreviewed", "--segmenter", "sam")


def test_rows_say_who_made_their_mask(mixed_states: Path) -> None:
    records = {record.image_id: record for record in read_release(mixed_states / "objects.parquet")[1]}
    assert {record.state for record in records.values()} == {"accepted", "machine_import", "unreviewed"}
    for config in ("original", "mixed_same", "mixed_rand"):
        rows = rows_of(mixed_states, config)
        assert len(rows) == len(records)
        for row in rows:
            record = records[row["image_id"]]
            assert row["provenance"]["mask_state"] == record.state
            assert row["provenance"]["mask_agreement"] == record.agreement_iou
            assert (record.agreement_iou is not None) == (record.state == "unreviewed" and record.label != "ring") or (
                record.label == "ring"
            )


def score(folder: Path, root: Path, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    model = colour_model(root / "colours.onnx")
    code, out, error = run_here(capsys, "evaluate", folder, "--model", model, "--bootstrap", "20", *words)
    assert code == 0, error
    return out


def test_results_show_the_gap_where_masks_agree(
    mixed_states: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = read_release(mixed_states / "objects.parquet")[1]
    ious = [record.agreement_iou for record in records if record.agreement_iou is not None]
    agreeing, unreviewed = sum(iou >= 0.75 for iou in ious), sum(record.state != "accepted" for record in records)
    assert 0 < agreeing < len(ious)
    (result,) = json.loads(score(mixed_states, tmp_path, capsys, "--json"))["results"]
    (summary,) = result.get("label_spaces", {"": result}).values()
    by = summary["by_agreement"]
    assert (by["min_iou"], by["compared"], by["agreeing"], by["bg_gap"]["n"]) == (0.75, len(ious), agreeing, agreeing)
    text = score(mixed_states, tmp_path, capsys)
    assert f"bg_gap, masks agree (IoU >= 0.75, n {agreeing})" in text
    assert f"{unreviewed} of {len(records)} masks are a machine's that nobody reviewed" in text
    assert f"{agreeing} of {len(ious)} agree with another segmenter's (IoU 0.75 or more)" in text
    published = format_eval_results(result)
    assert "bg_gap_masks_agree" in published
    assert f"{agreeing} of {len(ious)} agree with another" in published


def predictions(right: list[int]) -> Predictions:
    labels = np.arange(len(right)) % 2
    mapped = np.where(np.array(right, dtype=np.bool_), labels, -1)
    return Predictions(
        image_id=np.array([f"{row:03d}" for row in range(len(right))])[::-1],
        draw=np.zeros(len(right), dtype=np.int64),
        label=labels[::-1],
        predicted=mapped[::-1],
        mapped=mapped[::-1],
        restricted=mapped[::-1],
        exact=np.full(len(right), -1),
        probability=np.ones(len(right)),
        label_space=np.array("head"),
    )


def test_the_gap_by_agreement_is_that_of_those_images_alone() -> None:
    """Of twelve images the first four agree: there both configs are right; elsewhere only mixed_same is."""
    given = {"mixed_same": predictions([1] * 12), "mixed_rand": predictions([1, 1, 1, 0] + [0] * 8)}
    ious = {f"{row:03d}": 0.75 if row < 4 else 0.7499 for row in range(10)}
    gap = gap_by_agreement(given, ious, 0.75)
    assert (gap["compared"], gap["agreeing"], gap["bg_gap"]["n"]) == (10, 4, 4)
    assert gap["bg_gap"]["value"] == pytest.approx(0.25)
    assert gap_by_agreement(given, {}, 0.75) == {
        "min_iou": 0.75,
        "compared": 0,
        "agreeing": 0,
        "bg_gap": {"value": None, "reason": "no masks agree"},
    }


def as_before(folder: Path) -> None:
    """Make a dataset one of earlier days: rows, release and lock without what was added since."""
    added = {"mask_state", "mask_agreement"}

    def rows_before(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index("provenance")
        own = table.column(index).combine_chunks()
        fields = [field for field in own.type if field.name not in added]
        arrays = [own.field(field.name) for field in fields]
        return table.set_column(
            index, pa.field("provenance", pa.struct(fields)), pa.StructArray.from_arrays(arrays, fields=fields)
        )

    for shard in sorted((folder / "data").rglob("*.parquet")):
        rewrite_table(folder, shard.relative_to(folder).as_posix(), rows_before)

    def release_before(table: pa.Table) -> pa.Table:
        metadata = {**table.schema.metadata, b"figureground.schema": b"1"}
        return table.drop_columns(["origin", "agreement_iou", "group"]).replace_schema_metadata(metadata)

    rewrite_table(folder, "objects.parquet", release_before)
    lock = json.loads((folder / "recipe.lock.json").read_text())
    for name in ("row_layout", "origins", "agreement"):
        lock.pop(name, None)
    for source in lock["sources"].values():
        source.pop("said")
    (folder / "recipe.lock.json").write_text(json.dumps(lock))
    update_manifest(folder, "recipe.lock.json")


def test_datasets_of_earlier_days_are_read(
    mixed_states: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(mixed_states, old)
    as_before(old)
    assert "mask_state" not in rows_of(old, "original")[0]["provenance"]
    assert run_here(capsys, "verify", old, "--workers", "1")[0] == 0
    assert "nothing changed" in run_here(capsys, "diff", old, mixed_states)[1]
    again = tmp_path / "again"
    code, _, error = run_here(capsys, "rebuild", old, "--source", tmp_path / "photos", "-o", again, "--workers", "1")
    assert code == 0, error
    hashes = [[row["provenance"]["pixels_sha256"] for row in rows_of(folder, "mixed_rand")] for folder in (old, again)]
    assert hashes[0] == hashes[1]
    assert "masks agree" not in score(old, tmp_path, capsys)
    build = ("build", tmp_path / "toy.yaml", "-w", tmp_path / "work")
    words = ("--pixels", "--per-class", "all", "--variants", "original,mixed_same,mixed_rand", "--workers", "1")
    code, _, error = run_here(capsys, *build, "-o", old, *words)
    assert (code, "row layout" in error) == (2, True)
    code, text, error = run_here(capsys, *build, "-o", tmp_path / "next", "--earlier", old, *words)
    assert code == 0, error
    assert "rows copied, 0 rendered" in text
    assert {row["provenance"]["mask_state"] for row in rows_of(tmp_path / "next", "original")} == {
        "accepted",
        "machine_import",
        "unreviewed",
    }
