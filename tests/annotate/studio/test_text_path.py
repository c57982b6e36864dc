"""From a class's name to rows: SAM 3 proposes by text and answers a click in a real page, and its mask is published."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from shared_cases import run_here
from studio_page import Point, StudioPage, studio_page
from studio_server import need_server, start_own_server

from figureground.annotate.studio.backend_daemon import stop_backend
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.served import ServedView, served_path
from figureground.annotate.studio.server import stop_server
from figureground.schemas.rasters.masks import Mask, decode_brush_rle, decode_coco_rle, tight_box
from figureground.schemas.records import ImageRecord, ProposalRecord
from figureground.schemas.store.workspace import Workspace

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LABELS = ("red_panda", "tabby_cat")
SIZES_HW: Final = ((160, 240), (243, 321))
"""The panda's photo lies on its side, by its EXIF; the cat's has odd sides."""
CLASSES = [{"index": index, "name": name, "wnids": [name]} for index, name in enumerate(LABELS)]
RECIPE = {
    "name": "as_stored",
    "version": "1",
    "seed": 1,
    "class_map": "mine.json",
    "balance": {"per_class": "all"},
    "rules": {"exact": {"views": {"native": {"resize": "none", "crop": None}}, "filters": {}}},
    "variants": {"only_fg": {"view": "native", "ground": {"fill": "black"}, "matte": "mask", "figure": "source"}},
}


def write_inputs(folder: Path) -> None:
    """Photos of drawn noise, a recipe whose canvas is the stored photo, and its classes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, (label, size_hw, name) in enumerate(zip(LABELS, SIZES_HW, ("a.jpg", "b.png"), strict=True)):
        coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        photo = Image.fromarray(coarse).resize((size_hw[1], size_hw[0]), Image.Resampling.BICUBIC)
        (folder / "photos" / label).mkdir(parents=True)
        photo.save(folder / "photos" / label / name, exif=exif if name == "a.jpg" else None, quality=95)
    (folder / "mine.json").write_text(json.dumps({"name": "mine", "unmapped_value": -1, "classes": CLASSES}))
    (folder / "mine.yaml").write_text(json.dumps(RECIPE))


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A workspace with a Label Studio of its own, as ``studio up`` finds it, and what ``write_inputs`` writes."""
    need_server()
    write_inputs(tmp_path)
    Workspace.create(tmp_path / "work").close()
    home = StudioHome.of(tmp_path / "work")
    try:
        start_own_server(home)
        yield tmp_path / "work"
    finally:
        stop_backend(home)
        stop_server(home)


@pytest.fixture(scope="module")
def sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_hub_models

    return tiny_hub_models.save_sam3(tmp_path_factory.mktemp("hub") / "sam3")


class Library:
    """transformers' own tracker, as its documentation calls it."""

    def __init__(self, folder: Path, copy: Path) -> None:
        self.model = transformers.Sam3TrackerModel.from_pretrained(folder).eval()
        self.processor = transformers.Sam3TrackerProcessor.from_pretrained(folder)
        self.picture = np.array(Image.open(copy))

    def best_mask(self, point: Point) -> Mask | None:
        """Of the three masks of a click, the one with the highest score among those that hold it; None if none does."""
        prompt = {"input_points": [[[list(point)]]], "input_labels": [[[1]]]}
        inputs = self.processor(images=self.picture, **prompt, return_tensors="pt")
        with torch.inference_mode():
            answer = self.model(**{name: value for name, value in inputs.items() if name != "original_sizes"})
        masks = self.processor.post_process_masks(answer.pred_masks, inputs["original_sizes"])[0][0].numpy()
        holding = np.flatnonzero(masks[:, int(point[1]), int(point[0])])
        scores = answer.iou_scores[0, 0].numpy()[holding]
        return np.asarray(masks[holding[scores.argmax()]], np.bool_) if holding.size else None

    def spot(self) -> Point:
        """Where a mouse that is half a pixel off still lies in some mask: random weights have ragged ones."""
        height, width = self.picture.shape[:2]
        nearby = [(x, y) for x in (-0.6, 0.0, 0.6) for y in (-0.6, 0.0, 0.6)]
        for y, x in np.ndindex(height // 24 - 1, width // 24 - 1):
            point = (24 * x + 24.0, 24 * y + 24.0)
            if all(self.best_mask((point[0] + dx, point[1] + dy)) is not None for dx, dy in nearby):
                return point
        raise AssertionError


def first_proposals(work: Path) -> dict[str, tuple[ImageRecord, ProposalRecord]]:
    """Label to its photo and the proposal that is sent."""
    with Workspace.open(work) as store:
        return {
            image.label: (image, proposal)
            for image in store.images()
            for proposal in store.proposals(image.image_id)
            if proposal.rank == 0
        }


def masks_shown(page: StudioPage) -> list[Mask]:
    """What the page would submit."""
    return [
        decode_brush_rle(region["value"]["rle"], size_hw=(region["original_height"], region["original_width"]))
        for region in page.regions()
        if region["type"] == "brushlabels"
    ]


def check_proposal(record: ImageRecord, proposal: ProposalRecord) -> None:
    """Text, score and box stand in it; its box is that of its mask."""
    prompt = json.loads(proposal.prompt)
    assert (prompt["kind"], prompt["text"]) == ("text", record.label.replace("_", " "))
    assert tuple(prompt["box"]) == tight_box(decode_coco_rle(proposal.rle))
    assert 0.3 < prompt["score"] < 1
    assert proposal.score == pytest.approx(prompt["score"])
    assert proposal.segmenter == "sam3"


def click_anew(page: StudioPage, view: ServedView, library: Library) -> Mask:
    """Delete what was proposed, click, and accept; returns the mask, which is the library's for the very click."""
    asked: list[Any] = []
    page.page.on("request", lambda request: asked.append(request) if "interactive-annotating" in request.url else None)
    page.switch_sam_on()
    page.press("Space", "Backspace", "k")
    while masks_shown(page):  # one region for each instance
        page.select_region()
        page.press("Backspace")
    height, width = view.served_hw
    spot = library.spot()
    with page.suggestion():
        page.click(spot)
    page.accept()
    (shown,) = masks_shown(page)
    (prompt,) = asked[-1].post_data_json["context"]["result"]
    clicked = prompt["value"]["x"] * width / 100, prompt["value"]["y"] * height / 100
    assert clicked == pytest.approx(spot, abs=1)
    expected = library.best_mask(clicked)
    assert expected is not None
    assert np.count_nonzero(shown != expected) <= 3  # of 38 400: where a logit is nought but for rounding
    page.press("b")
    return shown


@pytest.mark.timeout(600)
def test_a_name_a_click_and_the_rows(work: Path, sam3: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = partial(run_here, capsys)
    model, place = ("--segmenter", "sam3", "--checkpoint", sam3, "--device", "cpu"), ("-w", work, "--json")

    def done(*words: object) -> Any:
        code, out, talk = run(*words, *place)
        assert code == 0, talk
        return json.loads(out)

    done("index", work.parent / "photos")
    assert done("propose", *model, "--prompt", "text")["images"] == 2
    proposals = first_proposals(work)
    for record, proposal in proposals.values():
        check_proposal(record, proposal)
    assert done("studio", "up", *model)["backend"]
    report = done("studio", "push")
    assert report["sent"] == {"": 2}
    home, submitted = StudioHome.of(work), {}
    with studio_page(home.require_connection()) as page:
        page.open_next(report["projects"][""])
        for number in range(2):
            if number:
                page.await_photo()
            label = page.task_data()["label"]
            record, proposal = proposals[label]
            view = ServedView.of(record)
            sent = [view.to_served(decode_coco_rle(rle)) for rle in proposal.instances or (proposal.rle,)]
            assert all(np.array_equal(*pair) for pair in zip(masks_shown(page), sent, strict=True))
            if label == "red_panda":
                assert record.exif_orientation == 6
                copy = served_path(home.served, record.image_id)
                assert copy
                submitted[label] = view.to_stored(click_anew(page, view, Library(sam3, copy)))
            else:
                submitted[label] = decode_coco_rle(proposal.rle)
            assert page.send("Enter") == 201
        page.await_end()
    assert done("studio", "pull")["decisions"] == {"accepted": 2}
    done("freeze", "--version", "v1")
    code, _, talk = run("build", work.parent / "mine.yaml", *place, "-o", work.parent / "out", "--workers", "1")
    assert code == 0, talk
    check_rows(work, submitted)


def check_rows(work: Path, submitted: dict[str, Mask]) -> None:
    """The dataset has each mask pixel by pixel, and shows its photo there and black elsewhere."""
    (path,) = (work.parent / "out" / "data" / "only_fg").glob("*.parquet")
    rows = {row["source_label"]: row for row in pq.read_table(path).to_pylist()}
    assert set(rows) == set(submitted)
    for label, mask in submitted.items():
        published = np.asarray(Image.open(io.BytesIO(rows[label]["object_mask"]["bytes"]))).astype(bool)
        np.testing.assert_array_equal(published, mask)
        (photo,) = (work.parent / "photos" / label).iterdir()
        stored = np.asarray(Image.open(photo))
        image = np.asarray(Image.open(io.BytesIO(rows[label]["image"]["bytes"])))
        np.testing.assert_array_equal(image, np.where(mask[..., None], stored, 0))
