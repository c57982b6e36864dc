"""A day of annotation: real photos, real SAM, a real server, a real browser; every vote comes back as it was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import ROOT
from studio_page import Point, StudioPage, studio_page
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

Stroke = tuple[Point, Point]


def run(root: Path, *words: str) -> Any:
    command = [sys.executable, "-P", "-m", "figureground", *words, "-w", str(root), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def studio() -> tuple[Path, Connection, int]:
    """The server with 13 real photos, their proposals, and the interactive SAM: workspace, connection, project."""
    root, connection = shared_server()
    photos = real_photos(root / "photos", 12)
    write_demo_photos(root / "demo")
    (photos / "tabby").mkdir()
    (root / "demo" / "photos" / "living" / "chelsea.png").rename(photos / "tabby" / "chelsea.png")
    run(root, "index", str(photos))
    run(root, "propose", "--segmenter", "mobile-sam", "--prompt", "auto", "--threads", "2")
    assert run(root, "studio", "up")["backend"]
    report = run(root, "studio", "push", "--attributes", "rival10")
    assert report["sent"] == {"": 13}
    return root, connection, report["projects"][""]


class Desk:
    """What the tests look up beside the page."""

    def __init__(self, root: Path, connection: Connection, project: int) -> None:
        self.root = root
        self.images = {task: image for image, task in StudioClient(connection).task_images(project)}

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

    def stroke(self, task: int, *, inside: bool) -> Stroke | None:
        """A stroke of 40 pixels, with room on all sides, in a task's mask or outside of it; None without room."""
        import cv2

        room = np.ones((2 * BRUSH_PX + 1, 2 * BRUSH_PX + 41), dtype=np.uint8)
        free = (self.sent(task) == inside).astype(np.uint8)
        rows, columns = np.nonzero(cv2.erode(free, room, borderType=cv2.BORDER_CONSTANT, borderValue=0))
        if not rows.size:
            return None
        y, x = float(rows[rows.size // 2]), float(columns[rows.size // 2])
        return (x - 20, y), (x + 20, y)

    def spot(self, task: int, *, inside: bool) -> Point | None:
        """A pixel well inside or outside of a task's mask; None if there is none."""
        stroke = self.stroke(task, inside=inside)
        return None if stroke is None else stroke[0]

    def box(self, task: int) -> Stroke | None:
        """The box of a task's mask; None where it touches the picture's rim, where no box can be begun."""
        sent = self.sent(task)
        height, width = sent.shape
        rows, columns = np.nonzero(sent)
        inner = sent[height // 20 : -(height // 20), width // 20 : -(width // 20)]
        if not rows.size or inner.sum() < sent.sum():
            return None
        return (float(columns.min()), float(rows.min())), (float(columns.max()), float(rows.max()))

    def is_cat(self, task: int) -> bool:
        with Workspace.open(self.root) as store:
            image = store.image(self.images[task])
        return image is not None and image.label == "tabby"


def served_object(page: StudioPage, size_hw: tuple[int, int]) -> Mask:
    """The object mask as the page is about to submit it."""
    (region,) = [drawn for drawn in page.regions() if drawn["value"].get("brushlabels") == ["object"]]
    return decode_brush_rle(region["value"]["rle"], size_hw=size_hw)


class Day:
    """One pass through the stream: each chore is done on the first photo that allows it, all others are accepted.

    A chore returns whether the photo allows it; it leaves the page as it is to be submitted, by the keys of
    docs/annotating.md alone.
    """

    def __init__(self, page: StudioPage, desk: Desk, project: int) -> None:
        self.page, self.desk, self.project = page, desk, project
        self.done: dict[str, int] = {}
        self.submitted: dict[int, Mask] = {}
        self.strokes: dict[int, Stroke] = {}
        self.chores: list[tuple[str, Callable[[int], bool]]] = [
            ("portrayed", self.portray),
            ("added", self.add),
            ("erased", self.erase),
            ("clicked", self.click),
            ("boxed", self.draw_box),
            ("ticked", self.tick),
            ("parts", self.paint_parts),
            ("left", self.leave_a_suggestion),
        ]

    def live(self) -> None:
        """Answer every photo of the stream but one, which is skipped."""
        task = self.page.open_next(self.project)
        self.page.switch_sam_on()
        for number in range(1, len(self.desk.images) + 1):
            place = self.page.page.locator(".lsf-current-task__task-count").inner_text()
            assert place == f"{number} of {len(self.desk.images)}"
            for name, chore in self.chores:
                if name not in self.done and chore(task):
                    self.done[name] = task
                    break
            else:
                self.done.setdefault("accepted" if "accepted" not in self.done else "skipped", task)
            key = "Control+Space" if self.done.get("skipped") == task else "Enter"
            assert self.page.send(key) == 201
            if number < len(self.desk.images):
                task = self.page.await_photo()
        assert set(self.done) == {name for name, _ in self.chores} | {"accepted", "skipped"}

    def keep(self, task: int) -> bool:
        self.submitted[task] = served_object(self.page, self.desk.view(task).served_hw)
        return True

    def add(self, task: int) -> bool:
        stroke = self.desk.stroke(task, inside=False)
        if stroke is None:
            return False
        assert self.page.tool()[0] == "BrushTool"
        self.strokes[task] = stroke
        self.page.press("Space")
        self.page.stroke(*stroke)
        return self.keep(task)

    def erase(self, task: int) -> bool:
        stroke = self.desk.stroke(task, inside=True)
        if stroke is None:
            return False
        self.strokes[task] = stroke
        self.page.press("Space", "e")
        self.page.stroke(*stroke)
        self.page.press("b")
        return self.keep(task)

    def tick(self, _: int) -> bool:
        for name in ("hairy", "wet", "class_visible_outside"):
            self.page.tick(name)
        self.page.press("p")
        assert self.page.page.locator('input[name="no_other_parts"]').is_checked()
        return True

    def paint_parts(self, task: int) -> bool:
        """Parts are shown over the object, the newest on top."""
        stroke = self.desk.stroke(task, inside=True)
        if stroke is None:
            return False
        for number, key in enumerate(("2", "0"), 2):
            self.page.press(key)
            self.page.stroke(*stroke)
            self.page.await_regions(number)
            self.page.press("u")
        heights = self.page.page.evaluate(
            "() => [...document.querySelectorAll('.fg-photo canvas[style*=\"opacity: 0.6\"]')]"
            ".filter((_, place) => place % 2 === 0).map(canvas => Number(getComputedStyle(canvas).zIndex))"
        )
        ids = self.page.page.evaluate(
            "() => window.Htx.annotationStore.selected.names.get('image').stageRef.getLayers()"
            ".map(layer => layer.id()).filter(id => id && !id.endsWith('_labels'))"
        )
        newest_first = [region["id"] for region in reversed(self.page.regions()) if region["type"] == "brushlabels"]
        assert [one for _, one in sorted(zip(heights, ids, strict=True), reverse=True)] == newest_first
        self.page.screenshot(SCREENSHOTS / "parts.png")
        return True

    def replace(self, task: int) -> bool:
        """Delete the mask; the point tool makes prompts that need no label."""
        self.page.press("Space", "Backspace")
        assert self.page.regions() == []
        return task in self.desk.images

    def click(self, task: int) -> bool:
        """Clicks add up, those for "not this" too; the mask that is seen is accepted."""
        inside, beside = self.desk.spot(task, inside=True), self.desk.spot(task, inside=False)
        if inside is None or beside is None or not self.replace(task):
            return False
        self.page.press("k")
        assert self.page.tool() == ("KeyPointTool-dynamic", "sam_point")
        for spot, key in ((inside, ""), (beside, "m")):
            if key:
                self.page.press(key)
                assert self.page.tool() == ("KeyPointTool-dynamic", "sam_not")
            with self.page.suggestion():
                self.page.click(spot)
        self.page.press("k")
        assert self.page.page.locator(".fg-waiting").is_visible()
        self.page.screenshot(SCREENSHOTS / "sam-points.png")
        self.page.accept()
        assert not self.page.page.locator(".fg-waiting").is_visible()
        assert [region["type"] for region in self.page.regions()] == ["brushlabels"]
        self.keep(task)
        shown = self.submitted[task]
        assert shown[int(inside[1]), int(inside[0])]
        assert not shown[int(beside[1]), int(beside[0])]
        self.page.press("b")
        return True

    def draw_box(self, task: int) -> bool:
        """A box around what the proposal found gives nearly that again."""
        box = self.desk.box(task)
        if box is None or not self.replace(task):
            return False
        self.page.press("r")
        assert self.page.tool() == ("RectangleTool-dynamic", "sam_box")
        with self.page.suggestion():
            self.page.stroke(*box)
        self.page.accept()
        self.keep(task)
        assert mask_iou(self.submitted[task], self.desk.sent(task)) > 0.6
        self.page.press("b")
        return True

    def leave_a_suggestion(self, task: int) -> bool:
        """What is not ticked is lost; the click that stays behind does no harm. The mask is as it was sent."""
        beside = self.desk.spot(task, inside=False)
        if beside is None:
            return False
        self.page.press("k")
        with self.page.suggestion():
            self.page.click(beside)
        assert sorted(region["type"] for region in self.page.regions()) == ["brushlabels", "keypoint"]
        self.page.press("b")
        return True

    def portray(self, task: int) -> bool:
        """The pictures for docs/annotating.md; all that is asked is seen without scrolling, beside a large photo."""
        if not self.desk.is_cat(task):
            return False
        for width, height in ((1920, 1080), (1440, 900)):
            self.page.page.set_viewport_size({"width": width, "height": height})
            assert self.page.open_next(self.project) == task
            assert self.page.share() >= 0.45
            for asked in ("no_other_parts", "hairy", "patterned", "class_visible_outside", "needs_second"):
                box = self.page.page.locator(f'input[type=checkbox][name="{asked}"]').bounding_box()
                assert box
                assert box["y"] + box["height"] < height - 160
            assert self.page.page.locator("text=another one of its kind lies outside the mask").is_visible()
            self.page.screenshot(SCREENSHOTS / f"page-{width}.png")
        self.page.page.click("button:has-text('Instructions')")
        instructions = self.page.page.locator("text=If it is right, press Enter.")
        instructions.wait_for()
        self.page.screenshot(SCREENSHOTS / "instructions.png")
        self.page.page.keyboard.press("Escape")
        instructions.wait_for(state="hidden")
        self.page.look_aside()
        self.replace(task)
        self.page.press("k")
        for spot in ((225.0, 150.0), (300.0, 240.0)):
            with self.page.suggestion():
                self.page.click(spot)
        with self.page.suggestion():
            self.page.click((30.0, 30.0), modifier="Alt")
        self.page.screenshot(SCREENSHOTS / "page-sam.png")
        self.page.accept()
        self.page.press("b")
        return True


@pytest.mark.timeout(1200)
def test_a_day_of_annotation(studio: tuple[Path, Connection, int]) -> None:
    root, connection, project = studio
    desk = Desk(root, connection, project)
    with studio_page(connection) as page:
        day = Day(page, desk, project)
        day.live()
        outside = {url.split("/")[2] for url in page.requests if url.startswith("http")}
        assert outside == {connection.url.removeprefix("http://")}

    report = run(root, "studio", "pull")
    report["answers"].pop("draft", None)  # the page may have saved what was left open
    assert report["answers"] == {"submitted": 12, "skipped": 1}
    assert report["decisions"] == {"accepted": 12}
    for name in ("accepted", "left", "ticked"):
        unchanged = desk.answer(day.done[name])
        assert (unchanged.tool, unchanged.edit_iou, unchanged.changed_px) == ("prediction", 1.0, 0)
        assert (decode_coco_rle(unchanged.masks["object"]) == desk.proposal(day.done[name])).all()
        assert unchanged.seconds > 0
    check_stroke(desk, day, "added", adds=True)
    check_stroke(desk, day, "erased", adds=False)
    ticked = desk.answer(day.done["ticked"])
    assert {name for name, value in ticked.attributes.items() if value} == {"hairy", "wet"}
    assert ticked.flags == ("class_visible_outside",)
    assert set(desk.answer(day.done["parts"]).masks) == {"object", "long-snout", "tail"}
    assert desk.answer(day.done["skipped"]).state == "skipped"
    with Workspace.open(root) as store:
        assert store.decision(desk.images[day.done["skipped"]]) is None
    for name in ("clicked", "boxed"):
        task = day.done[name]
        shown = desk.view(task).to_stored(day.submitted[task])
        assert (decode_coco_rle(desk.answer(task).masks["object"]) == shown).all()
    assert run(root, "studio", "pull")["answers"] == {}


def check_stroke(desk: Desk, day: Day, name: str, *, adds: bool) -> None:
    """Exactly what was painted changed: on the stroke all, beyond the brush nothing, in the other direction nothing."""
    task = day.done[name]
    answer, before, view = desk.answer(task), desk.proposal(task), desk.view(task)
    after = decode_coco_rle(answer.masks["object"])
    assert answer.tool == "prediction-changed"
    assert answer.instances == ()
    assert (view.to_served(after) == day.submitted[task]).all() or not view.is_stored
    changed = after != before
    assert answer.changed_px == np.count_nonzero(changed) > 0
    assert (after[changed] == adds).all()
    served = view.to_served(changed) if not view.is_stored else changed
    (x0, y), (x1, _) = day.strokes[task]
    rows, columns = np.nonzero(served)
    assert rows.min() >= y - BRUSH_PX and rows.max() <= y + BRUSH_PX  # noqa: PT018
    assert columns.min() >= x0 - BRUSH_PX and columns.max() <= x1 + BRUSH_PX  # noqa: PT018
    assert served[int(y), int(x0) + 2 : int(x1) - 2].all()
