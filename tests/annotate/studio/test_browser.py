"""A day of annotation: real photos, real SAM, a real server, a real browser; every vote comes back as it was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import ROOT
from studio_page import StudioPage, studio_page
from studio_server import real_photos, shared_server

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import Connection
from figureground.annotate.studio.served import ServedView
from figureground.demo.photos import write_demo_photos
from figureground.schemas.rasters.masks import Mask, decode_brush_rle, decode_coco_rle, mask_iou
from figureground.schemas.records import Annotation
from figureground.schemas.store.workspace import Workspace

SCREENSHOTS = Path(os.environ.get("FIGUREGROUND_SCREENSHOTS", ROOT / ".scratch" / "screenshots"))
BRUSH_PX = 30
"""No stroke of the brush is wider, in pixels of any of the photos."""


def run(root: Path, *words: str) -> Any:
    command = [sys.executable, "-P", "-m", "figureground", *words, "-w", str(root), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def studio() -> tuple[Path, Connection, int]:
    """The server with 20 real photos, their proposals, and the interactive SAM: workspace, connection, project."""
    root, connection = shared_server()
    photos = real_photos(root / "photos", 20)
    write_demo_photos(root / "demo")
    (photos / "tabby").mkdir()
    (root / "demo" / "photos" / "living" / "chelsea.png").rename(photos / "tabby" / "chelsea.png")
    run(root, "index", str(photos))
    run(root, "propose", "--segmenter", "mobile-sam", "--prompt", "auto", "--threads", "2")
    assert run(root, "studio", "up")["backend"]
    report = run(root, "studio", "push", "--attributes", "rival10")
    assert report["sent"] == {"": 21}
    return root, connection, report["projects"][""]


class Desk:
    """What the tests look up beside the page."""

    def __init__(self, root: Path, connection: Connection, project: int) -> None:
        self.root = root
        self.images = {task: image for image, task in StudioClient(connection).task_images(project)}
        self.tasks = sorted(self.images)
        self.used: set[int] = set()

    def view(self, task: int) -> ServedView:
        with Workspace.open(self.root) as store:
            image = store.image(self.images[task])
        assert image is not None
        return ServedView.of(image)

    def proposal(self, task: int) -> Mask:
        with Workspace.open(self.root) as store:
            best = next(proposal for proposal in store.proposals(self.images[task]) if proposal.rank == 0)
        return decode_coco_rle(best.rle)

    def sent(self, task: int) -> Mask:
        return self.view(task).to_served(self.proposal(task))

    def answer(self, task: int) -> Annotation:
        with Workspace.open(self.root) as store:
            (answer,) = [stored for stored in store.annotations(self.images[task]) if stored.state != "draft"]
        return answer

    def task_with_room(self, *, inside: bool) -> tuple[int, tuple[float, float], tuple[float, float]]:
        """A task, and a stroke of 40 pixels with room on all sides that lies in its mask, or outside of it."""
        room = np.ones((2 * BRUSH_PX + 1, 2 * BRUSH_PX + 41), dtype=np.uint8)
        import cv2

        for task in self.tasks:
            free = self.sent(task) == inside
            spots = cv2.erode(free.astype(np.uint8), room, borderType=cv2.BORDER_CONSTANT, borderValue=0)
            rows, columns = np.nonzero(spots)
            if rows.size and task not in self.used:
                self.used.add(task)
                y, x = float(rows[rows.size // 2]), float(columns[rows.size // 2])
                return task, (x - 20, y), (x + 20, y)
        raise AssertionError("no photo has room for a stroke")

    def task_with_margin(self) -> int:
        """A task whose mask keeps off the picture's rim, where no box can be begun."""
        for task in self.tasks:
            sent = self.sent(task)
            height, width = sent.shape
            inner = sent[height // 20 : -(height // 20), width // 20 : -(width // 20)]
            if task not in self.used and sent.any() and inner.sum() == sent.sum():
                self.used.add(task)
                return task
        raise AssertionError("every mask touches the rim")

    def fresh_task(self) -> int:
        task = next(task for task in self.tasks if task not in self.used)
        self.used.add(task)
        return task


def served_object(page: StudioPage, size_hw: tuple[int, int]) -> Mask:
    """The object mask as the page is about to submit it."""
    (region,) = [drawn for drawn in page.regions() if drawn["value"].get("brushlabels") == ["object"]]
    return decode_brush_rle(region["value"]["rle"], size_hw=size_hw)


@pytest.mark.timeout(1200)
def test_a_day_of_annotation(studio: tuple[Path, Connection, int]) -> None:
    root, connection, project = studio
    desk = Desk(root, connection, project)
    look_at_the_page(desk, connection, project)
    painted_task, *painted = desk.task_with_room(inside=False)
    erased_task, *erased = desk.task_with_room(inside=True)
    boxed_task = desk.task_with_margin()
    kept_task, ticked_task, clicked_task = (desk.fresh_task() for _ in range(3))
    submitted: dict[int, Mask] = {}

    with studio_page(connection) as page:
        page.open_task(project, kept_task)
        page.screenshot(SCREENSHOTS / "untouched.png")
        assert page.submit() == 201

        for task, tool, stroke in ((painted_task, "brush-tool", painted), (erased_task, "eraser", erased)):
            page.open_task(project, task)
            page.select_region()
            page.choose_tool(tool)
            page.stroke(*stroke)
            page.screenshot(SCREENSHOTS / f"{tool}.png")
            submitted[task] = served_object(page, desk.view(task).served_hw)
            assert page.submit() == 201

        page.open_task(project, ticked_task)
        for name in ("hairy", "wet", "class_visible_outside"):
            page.tick(name)
        page.screenshot(SCREENSHOTS / "ticked.png")
        assert page.submit() == 201

        click_with_sam(page, desk, project, clicked_task, submitted)
        box_with_sam(page, desk, project, boxed_task, submitted)

        skipped_task = page.open_next(project)
        page.screenshot(SCREENSHOTS / "stream.png")
        assert page.skip() == 201
        outside = {url.split("/")[2] for url in page.requests if url.startswith("http")}
        assert outside == {connection.url.removeprefix("http://")}

    report = run(root, "studio", "pull")
    report["answers"].pop("draft", None)  # the page may have saved what was left open
    assert report["answers"] == {"submitted": 6, "skipped": 1}
    assert report["decisions"] == {"accepted": 6}

    unchanged = desk.answer(kept_task)
    assert (unchanged.tool, unchanged.edit_iou, unchanged.changed_px) == ("prediction", 1.0, 0)
    assert (decode_coco_rle(unchanged.masks["object"]) == desk.proposal(kept_task)).all()
    assert unchanged.seconds > 0
    check_stroke(desk, painted_task, submitted[painted_task], painted, adds=True)
    check_stroke(desk, erased_task, submitted[erased_task], erased, adds=False)
    ticked = desk.answer(ticked_task)
    assert {name for name, value in ticked.attributes.items() if value} == {"hairy", "wet"}
    assert ticked.flags == ("class_visible_outside",)
    assert desk.answer(skipped_task).state == "skipped"
    with Workspace.open(root) as store:
        assert store.decision(desk.images[skipped_task]) is None
    for task in (clicked_task, boxed_task):
        assert (decode_coco_rle(desk.answer(task).masks["object"]) == desk.view(task).to_stored(submitted[task])).all()
    assert run(root, "studio", "pull")["answers"] == {}


def look_at_the_page(desk: Desk, connection: Connection, project: int) -> None:
    """All that is asked is seen without scrolling; the pictures of the page for annotators are made on the way."""
    with Workspace.open(desk.root) as store:
        cat = next(image.image_id for image in store.images() if image.label == "tabby")
    task = next(task for task, image in desk.images.items() if image == cat)
    desk.used.add(task)
    for width, height in ((1920, 1080), (1440, 900)):
        with studio_page(connection, width=width, height=height) as page:
            page.open_task(project, task)
            for asked in ("hairy", "patterned", "class_visible_outside", "needs_second"):
                box = page.page.locator(f'input[type=checkbox][name="{asked}"]').bounding_box()
                assert box
                assert box["y"] + box["height"] < height
            page.screenshot(SCREENSHOTS / f"page-{width}.png", without_list=True)
            if width == 1440:
                page.delete_region()
                page.choose_smart_tool("key-point-tool", "Alt+1")
                with page.suggestion():
                    page.click((225, 150))
                page.screenshot(SCREENSHOTS / "page-sam.png", without_list=True)


def check_stroke(desk: Desk, task: int, shown: Mask, stroke: list[tuple[float, float]], *, adds: bool) -> None:
    """Exactly what was painted changed: on the stroke all, beyond the brush nothing, in the other direction nothing."""
    answer, before, view = desk.answer(task), desk.proposal(task), desk.view(task)
    after = decode_coco_rle(answer.masks["object"])
    assert answer.tool == "prediction-changed"
    assert (view.to_served(after) == shown).all() or not view.is_stored
    changed = after != before
    assert answer.changed_px == np.count_nonzero(changed) > 0
    assert (after[changed] == adds).all()
    served = view.to_served(changed) if not view.is_stored else changed
    (x0, y), (x1, _) = stroke
    rows, columns = np.nonzero(served)
    assert rows.min() >= y - BRUSH_PX and rows.max() <= y + BRUSH_PX  # noqa: PT018
    assert columns.min() >= x0 - BRUSH_PX and columns.max() <= x1 + BRUSH_PX  # noqa: PT018
    assert served[int(y), int(x0) + 2 : int(x1) - 2].all()


def click_with_sam(page: StudioPage, desk: Desk, project: int, task: int, submitted: dict[int, Mask]) -> None:
    """A positive and a negative point; the mask that is seen is accepted."""
    sent = desk.sent(task)
    rows, columns = np.nonzero(sent)
    inside = float(columns[rows.size // 2]), float(rows[rows.size // 2])
    rows, columns = np.nonzero(~sent)
    beside = float(columns[rows.size // 2]), float(rows[rows.size // 2])
    page.open_task(project, task)
    page.delete_region()
    assert page.regions() == []
    page.choose_smart_tool("key-point-tool", "Alt+1")
    before = page.picture()
    with page.suggestion():
        page.click(inside)
    assert page.picture() != before
    page.screenshot(SCREENSHOTS / "sam-point.png")
    page.page.keyboard.press("Alt+1")
    with page.suggestion():
        page.click(beside, modifier="Alt")
    page.screenshot(SCREENSHOTS / "sam-negative-point.png")
    page.accept()
    shown = submitted[task] = served_object(page, desk.view(task).served_hw)
    assert shown[int(inside[1]), int(inside[0])]
    assert not shown[int(beside[1]), int(beside[0])]
    assert [region["type"] for region in page.regions()] == ["brushlabels"]
    assert page.submit() == 201


def box_with_sam(page: StudioPage, desk: Desk, project: int, task: int, submitted: dict[int, Mask]) -> None:
    """A box around what the proposal found gives nearly that again."""
    sent = desk.sent(task)
    rows, columns = np.nonzero(sent)
    page.open_task(project, task)
    page.delete_region()
    page.choose_smart_tool("rectangle-tool", "Alt+Shift+1")
    with page.suggestion():
        page.stroke((float(columns.min()), float(rows.min())), (float(columns.max()), float(rows.max())))
    page.screenshot(SCREENSHOTS / "sam-box.png")
    page.accept()
    submitted[task] = served_object(page, desk.view(task).served_hw)
    assert mask_iou(submitted[task], sent) > 0.6
    assert page.submit() == 201
