"""What a photo costs an annotator: actions and seconds in the real page, and how much of the screen the photo has.

An action is a key (with those that are held), a click or a drag. Each thing is done on a photo of its own, in the
stream (Label All Tasks), the way docs/annotating.md says; ``--procedures before`` does it the way that page said when
SAM's tools wanted a label for each click. Seconds are those of a script that never hesitates: what the page and the
server take. The workspace's server and interactive SAM must run, and the project must have six open photos.

    figureground studio up -w work; figureground studio push -w work --attributes rival10
    python benchmarks/studio/annotation_actions.py -w work --project 1
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.annotate.studio.served import ServedView
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.store.workspace import Workspace

SIZES: Final = ((1440, 900), (1920, 1080))
PAUSE_MS: Final = 150
"""Between two actions: the editor registers keys in its own time."""
_IMAGE: Final = "window.Htx?.annotationStore?.selected?.names?.get('image')"
_SHOWN: Final = f"() => {{ const i = {_IMAGE}; return i && i.naturalWidth > 1 && i.stageWidth > 1; }}"
_SPOT: Final = f"""([x, y]) => {{ const i = {_IMAGE}, box = i.stageRef.content.getBoundingClientRect();
  const p = i.stageRef.getAbsoluteTransform().point(
    {{x: x / i.naturalWidth * i.stageWidth, y: y / i.naturalHeight * i.stageHeight}});
  return [box.x + p.x, box.y + p.y]; }}"""
_SHARE: Final = f"""() => {{ const i = {_IMAGE}, box = i.containerRef.getBoundingClientRect();
  const width = Math.min(i.stageWidth * i.zoomScale, box.width, innerWidth - box.x);
  const height = Math.min(i.stageHeight * i.zoomScale, box.height, innerHeight - box.y);
  return [width * height / (innerWidth * innerHeight), i.naturalWidth, i.naturalHeight]; }}"""
_STATE: Final = """() => JSON.stringify(window.Htx.annotationStore.selected.regionStore.regions
  .map(r => [r.id, r.touches?.length, r.rle?.length]))"""

Point = tuple[float, float]


@dataclass(slots=True)
class Hand:
    """The annotator's: acts on a page, and counts."""

    page: Any
    """Playwright's."""
    actions: int = 0
    seconds: dict[str, tuple[int, float]] = field(default_factory=dict)

    def key(self, *names: str) -> None:
        """Press keys one after the other."""
        for name in names:
            self.page.keyboard.press(name)
            self._done()

    def click(self, target: Point | str) -> None:
        """Click on a pixel of the photo, or on what a selector names."""
        if isinstance(target, str):
            self.page.locator(target).last.click()
        else:
            self.page.mouse.click(*self.page.evaluate(_SPOT, target))
        self._done()

    def hover(self, selector: str) -> None:
        """Hold the mouse over something."""
        self.page.locator(selector).first.hover()
        self._done()

    def drag(self, start: Point, end: Point) -> None:
        """Paint a stroke."""
        self.page.mouse.move(*self.page.evaluate(_SPOT, start))
        self.page.mouse.down()
        self.page.mouse.move(*self.page.evaluate(_SPOT, end), steps=8)
        self.page.mouse.up()
        self._done()

    def _done(self) -> None:
        self.actions += 1
        self.page.wait_for_timeout(PAUSE_MS)

    @contextmanager
    def measured(self, what: str) -> Iterator[None]:
        """Count and time what is done inside the block."""
        self.actions, began = 0, time.perf_counter()
        yield
        self.seconds[what] = (self.actions, time.perf_counter() - began)

    @contextmanager
    def changes(self) -> Iterator[None]:
        """Wait until the masks are others than before the block."""
        before = self.page.evaluate(_STATE)
        yield
        self.page.wait_for_function(f"before => ({_STATE})() !== before", arg=before, polling=100)

    @contextmanager
    def suggestion(self) -> Iterator[None]:
        """Wait for SAM's answer to what is done inside the block."""
        with self.page.expect_response(lambda answer: "interactive-annotating" in answer.url) as asked:
            yield
        errors = asked.value.json().get("errors")
        if errors:
            raise SystemExit(f"the interactive SAM does not answer: {errors}")
        self.page.wait_for_function("() => window.Htx.annotationStore.selected.suggestions.size === 1")


@dataclass(frozen=True, slots=True)
class Procedures:
    """How each thing is done, up to the moment when the mask is right."""

    accept: str
    add: Callable[[Hand, Point, Point], None]
    erase: Callable[[Hand, Point, Point], None]
    prompt: Callable[[Hand, Point], None]
    """Delete the mask and click; what SAM makes of it is then ticked, or clicked at again."""
    click_again: Callable[[Hand, Point], None]


TICK: Final = "[data-testid=bottombar-accept-suggestions-button]"


def _add_now(hand: Hand, start: Point, end: Point) -> None:
    hand.key("Space")
    hand.drag(start, end)


def _erase_now(hand: Hand, start: Point, end: Point) -> None:
    hand.key("Space", "e")
    hand.drag(start, end)


def _prompt_now(hand: Hand, inside: Point) -> None:
    hand.key("Space", "Backspace", "k")
    with hand.suggestion():
        hand.click(inside)


def _click_again_now(hand: Hand, inside: Point) -> None:
    with hand.suggestion():
        hand.click(inside)


def _add_before(hand: Hand, start: Point, end: Point) -> None:
    hand.key("1")
    hand.drag(start, end)


def _erase_before(hand: Hand, start: Point, end: Point) -> None:
    hand.key("v")
    hand.click(start)
    hand.key("e")
    hand.drag(start, end)


def _prompt_before(hand: Hand, inside: Point) -> None:
    hand.key("v")
    hand.click(inside)
    hand.key("Backspace")
    if not hand.page.locator("[class*=tool_smart]").count():  # switched on once, and remembered
        hand.click("text=Auto-Annotation")
    hand.hover("[class*=tool_smart]")
    hand.click("[aria-label=key-point-tool]")
    hand.page.mouse.move(700, 860)
    hand.key("Alt+1")
    with hand.suggestion():
        hand.click(inside)


def _click_again_before(hand: Hand, inside: Point) -> None:
    hand.key("Alt+1")
    with hand.suggestion():
        hand.click(inside)


PROCEDURES: Final = {
    "now": Procedures("Enter", _add_now, _erase_now, _prompt_now, _click_again_now),
    "before": Procedures("Control+Enter", _add_before, _erase_before, _prompt_before, _click_again_before),
}


class Stream:
    """The queue of a project, in a browser of its own."""

    def __init__(self, page: Any, root: Path, connection: Connection, project: int) -> None:  # noqa: ANN401
        self.page, self.root = page, root
        self.address = f"{connection.url}/projects/{project}/data?labeling=1"
        self.images = {task: image for image, task in StudioClient(connection).task_images(project)}

    def open(self) -> tuple[Point, Point]:
        """Show the next photo; returns two pixels of its machine mask that lie apart, away from the rim."""
        self.page.goto(self.address)
        self.await_photo()
        import cv2

        task = int(self.page.evaluate("() => window.Htx.task.id"))
        with Workspace.open(self.root) as store:
            image = store.image(self.images[task])
            if image is None:
                raise SystemExit(f"task {task} shows a photo of another workspace")
            best = next(proposal for proposal in store.proposals(image.image_id) if proposal.rank == 0)
        mask = ServedView.of(image).to_served(decode_coco_rle(best.rle))
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        reach = float(depth.max()) / 2
        return (float(column) - reach, float(row)), (float(column) + reach, float(row))

    def await_photo(self) -> None:
        """Wait until the photo and its mask are drawn."""
        self.page.wait_for_selector("canvas")
        self.page.wait_for_function(_SHOWN)
        self.page.wait_for_timeout(1500)

    def submit(self, key: str) -> None:
        """Submit, and wait until the next photo is there."""
        task = self.page.evaluate("() => window.Htx.task.id")
        with self.page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
            self.page.keyboard.press(key)
        self.page.wait_for_function("task => window.Htx?.task?.id && window.Htx.task.id !== task", arg=task)
        self.page.wait_for_function(_SHOWN)


def live_the_day(stream: Stream, procedures: Procedures, *, switch_on: bool) -> dict[str, tuple[int, float]]:
    """Do each thing on a photo of its own; returns actions and seconds."""
    hand = Hand(stream.page)
    stream.open()
    if switch_on:
        stream.page.evaluate("() => localStorage.setItem('autoAnnotation', 'true')")
        stream.open()
    with hand.measured("accept an untouched mask, next photo shown"):
        stream.submit(procedures.accept)
        hand.actions = 1
    left, right = stream.open()
    with hand.measured("add to a mask"), hand.changes():
        procedures.add(hand, left, (right[0] + 60, right[1]))
    stream.submit(procedures.accept)
    left, right = stream.open()
    with hand.measured("take away from a mask"), hand.changes():
        procedures.erase(hand, left, right)
    stream.submit(procedures.accept)
    left, right = stream.open()
    with hand.measured("replace a mask by SAM, one click"), hand.changes():
        procedures.prompt(hand, left)
        hand.click(TICK)
    stream.submit(procedures.accept)
    left, right = stream.open()
    procedures.prompt(hand, left)
    with hand.measured("each further click"):
        procedures.click_again(hand, right)
    return hand.seconds


def main() -> None:
    """Do it, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("--project", type=int, required=True, help="number of the project, as in its address")
    parser.add_argument("--procedures", choices=PROCEDURES, default="now")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    connection = StudioHome.of(given.workspace).require_connection()
    shares: dict[str, float] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": SIZES[0][0], "height": SIZES[0][1]})
        page.set_default_timeout(60_000)
        page.goto(f"{connection.url}/user/login/")
        page.fill("input[name=email]", connection.username)
        page.fill("input[name=password]", connection.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "login" not in url)
        stream = Stream(page, given.workspace, connection, given.project)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            stream.open()
            share, photo_width, photo_height = page.evaluate(_SHARE)
            shares[f"{width}x{height}, photo of {photo_width}x{photo_height}"] = share
        page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
        measured = live_the_day(stream, PROCEDURES[given.procedures], switch_on=given.procedures == "now")
        browser.close()
    print("| what | actions | seconds |\n|---|---|---|")
    for what, (actions, seconds) in measured.items():
        print(f"| {what} | {actions} | {seconds:.1f} |")
    print("\n| window | photo's share of the screen |\n|---|---|")
    for window, share in shares.items():
        print(f"| {window} | {share:.0%} |")
    if given.json:
        given.json.write_text(json.dumps({"actions": measured, "shares": shares}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
