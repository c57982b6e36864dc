"""A day of two annotators and their lead, in the stream of a real page: a restart and a deleted project in its middle.

Nothing opens empty that has a mask, nothing is sent twice, nothing waits for ever, and what was submitted is frozen.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import open_chromium
from needs import ROOT
from PIL import Image
from studio_page import StudioPage, log_in
from studio_server import Typed, add_block_proposals, taken

from figureground.annotate.studio.accounts import DOMAIN, accounts
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.annotate.studio.queues.opened import Opened, ServerLog
from figureground.annotate.studio.queues.order import read_queues
from figureground.annotate.studio.server import server_status
from figureground.schemas.rasters.masks import Mask, decode_brush_rle, decode_coco_rle
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]
SIZES_WH = (320, 240), (240, 360), (600, 160), (200, 200), (400, 300), (280, 210)
LATER_WH = (240, 180), (180, 240), (260, 200)
PAIRS, DOUBTS = 4, 3
SCREENSHOTS = Path(os.environ.get("FIGUREGROUND_SCREENSHOTS", ROOT / ".scratch" / "screenshots"))


def draw_photos(folder: Path, sizes_wh: tuple[tuple[int, int], ...]) -> Path:
    """Photos of a yellow ellipse in the middle of a green ground."""
    (folder / "n02279972").mkdir(parents=True)
    for number, (width, height) in enumerate(sizes_wh):
        rows, columns = np.mgrid[:height, :width]
        inside = ((columns / width - 0.5) ** 2 + (rows / height - 0.5) ** 2) <= 1 / 16
        pixels = np.random.Generator(np.random.Philox(width)).integers(0, 30, (height, width, 3), np.uint8)
        pixels += np.where(inside[..., None], (210, 180, 20), (30, 90, 60)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "n02279972" / f"{number}.png")
    return folder


def masks_of(page: StudioPage) -> list[Mask]:
    """What the page would submit as masks, each of them the object's."""
    regions = [region for region in page.regions() if region["type"] == "brushlabels"]
    assert all(region["value"]["brushlabels"] == ["object"] for region in regions)
    sizes = [(region["original_height"], region["original_width"]) for region in regions]
    return [decode_brush_rle(region["value"]["rle"], size_hw=size) for region, size in zip(regions, sizes, strict=True)]


def paint(page: StudioPage, data: Json) -> None:
    """Paint along the upper rim."""
    width, height = data["served_size"]
    page.press("1")
    page.stroke((width * 0.2, height * 0.15), (width * 0.8, height * 0.15))
    page.await_regions(1)


class Day:
    """What was seen and submitted so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = StudioHome.of(root)
        self.seen: list[tuple[str, str]] = []
        """(person, photo) of every first look."""
        self.segmenters: set[str] = set()
        self.submitted: dict[str, list[Mask]] = defaultdict(list)
        """image_id to the masks that may be accepted."""
        self.doubtful: list[str] = []

    def person(self, name: str) -> Connection:
        address = f"{name}@{DOMAIN}"
        return replace(self.home.require_connection(), username=address, password=accounts(self.home)[address])

    def sent(self, data: Json) -> Mask:
        """The machine mask that was sent with a task."""
        with Workspace.open(self.root) as store:
            (proposal,) = (
                proposal
                for proposal in store.proposals(data["image_id"])
                if proposal.proposal_id == data["proposal_id"]
            )
        return decode_coco_rle(proposal.rle)

    def answer(
        self, page: StudioPage, name: str, project: int, count: int, act: Callable[[StudioPage, Json], None]
    ) -> None:
        """Answer so many photos of a project's stream; each opens with its machine mask, and with nothing else."""
        self.open_stream(page, project)
        for number in range(count):
            if number:
                page.await_photo()
            data = page.task_data()
            image_id = data["image_id"]
            self.seen.append((name, image_id))
            self.segmenters.add(data["segmenter"])
            (shown,) = masks_of(page)
            assert (shown == self.sent(data)).all()
            act(page, data)
            (given,) = masks_of(page)
            self.submitted[image_id].append(given)
            assert page.send("Enter") == 201
        # The photo that comes next is loaded, so that the log says nothing of this stream while another is opened.
        if not page.page.evaluate("() => Boolean(window.Htx?.noTask)"):
            page.await_photo()

    def open_stream(self, page: StudioPage, project: int) -> None:
        """Press Label All Tasks; the server's log says which photo is open, before anybody clicks."""
        log = ServerLog(self.home.server_log)
        list(log.opened())
        page.open_next(project)
        opened = [one for one in log.opened(read_queues(self.home.queues)) if one.image_id]
        assert opened[-1:] == [Opened(project=project, image_id=page.task_data()["image_id"])]

    def disagree(self, page: StudioPage, data: Json) -> None:
        """Accept, but for the photos that are to be in doubt: those are painted anew."""
        if data["image_id"] in self.doubtful:
            page.press("Space", "Backspace")
            paint(page, data)


def accept(page: StudioPage, data: Json) -> None:
    """The mask is right."""


def click(page: StudioPage, data: Json) -> None:
    """Let SAM make the mask anew, from a click into the ellipse."""
    width, height = data["served_size"]
    page.switch_sam_on()
    page.press("Space", "Backspace", "k")
    with page.suggestion():
        page.click((width * 0.5, height * 0.5))
    page.accept()
    (given,) = masks_of(page)
    assert given[height // 2, width // 2]
    assert not given[5, 5]
    page.press("b")


def look(page: StudioPage, day: Day, outcome: str) -> None:
    """One second look: nothing is painted before anything is done, and nothing is sent without a choice."""
    data = page.task_data()
    image_id = data["image_id"]
    assert image_id in day.doubtful
    assert page.regions() == []
    pictures = page.page.locator(".fg-answers img").all()
    assert len(pictures) == 2
    assert all(picture.evaluate("picture => picture.naturalWidth") > 1 for picture in pictures)
    boxes = [picture.bounding_box() for picture in pictures]
    photo = page.page.locator("canvas").first.bounding_box()
    assert photo["width"] * photo["height"] > 3 * max(box["width"] * box["height"] for box in boxes)
    submit_is_refused(page)
    page.screenshot(SCREENSHOTS / f"second-look-{outcome}.png")
    if outcome == "paint":
        paint(page, data)
        page.page.keyboard.press("Shift+P")
        page.page.wait_for_selector('input[type=radio][name="painted"]:checked')
        day.submitted[image_id] = masks_of(page)
    elif outcome != "skip":
        page.page.keyboard.press(f"Shift+{outcome}")
        page.page.wait_for_selector(f'input[type=radio][name="{outcome}"]:checked')
        with Workspace.open(day.root) as store:
            answers = {(answer.annotation_id, answer.updated_at): answer for answer in store.annotations(image_id)}
        taken = answers[tuple(data["answer_ids"][outcome])]
        day.submitted[image_id] = [decode_coco_rle(taken.masks["object"])]
    assert page.send("Control+Space" if outcome == "skip" else "Enter") == 201


def submit_is_refused(page: StudioPage) -> None:
    """The page asks for a choice, and sends nothing."""
    before = len(page.requests)
    page.page.click('button:has-text("Submit")')
    page.page.get_by_text("Say which answer is right").wait_for()
    assert not [url for url in page.requests[before:] if "/annotations" in url]
    page.page.get_by_role("button", name="OK").click()
    page.page.locator(".ant-modal-wrap").last.wait_for(state="hidden")


def photos_of(client: StudioClient, project: int) -> set[str]:
    """Photos of a project, each there once."""
    images = [image_id for image_id, _ in client.task_images(project)]
    assert len(set(images)) == len(images)
    return set(images)


def catalogue(root: Path, typed: Typed, name: str, sizes_wh: tuple[tuple[int, int], ...]) -> None:
    """Take up new photos."""
    assert typed("index", str(draw_photos(root.parent / name, sizes_wh)))[0] == 0


def push(typed: Typed, *words: str) -> Any:
    """Push, and be told no fault."""
    code, report, talk = typed("studio", "push", *words)
    assert code == 0, talk
    return report


@pytest.mark.timeout(900)
def test_a_day_in_the_stream(own_root: Path, typed: Typed) -> None:
    root = own_root
    day = Day(root)
    catalogue(root, typed, "morning", SIZES_WH)
    with Workspace.open(root) as store:
        add_block_proposals(store)
    _, before, _ = typed("studio", "up")
    report = push(typed, "--annotator", "ada", "--annotator", "ben", "--overlap", str(PAIRS))
    projects = report["projects"]
    client = StudioClient(day.home.require_connection())
    piles = {name: photos_of(client, project) for name, project in projects.items()}
    pairs = piles["ada"] & piles["ben"]
    assert len(pairs) == PAIRS
    day.doubtful = sorted(pairs)[:DOUBTS]

    with open_chromium() as browser:
        ada, ben = (log_in(browser, day.person(name)) for name in ("ada", "ben"))
        day.answer(ada, "ada", projects["ada"], 2, accept)
        day.answer(ben, "ben", projects["ben"], 2, day.disagree)
        assert typed("studio", "pull")[0] == 0

        catalogue(root, typed, "noon", LATER_WH)
        with Workspace.open(root) as store:
            add_block_proposals(store, "other", until=0.75)
        more = push(typed, "--segmenter", "other")
        assert (sum(more["sent"].values()), more["projects"], more["notices"]) == (len(LATER_WH), projects, [])
        piles = {name: photos_of(client, project) for name, project in projects.items()}

        assert typed("studio", "down")[0] == 0
        assert server_status(day.home).state == "stopped"
        with taken(before["backend"]):  # SAM has to move, and follows into every project
            code, after, _ = typed("studio", "up")
        assert (code, after["url"]) == (0, before["url"])
        assert after["backend"] != before["backend"]

        day.answer(ada, "ada", projects["ada"], 1, click)
        ada_left = len(piles["ada"]) - 3
        day.answer(ada, "ada", projects["ada"], ada_left, accept)
        ada.await_end()

        ben_left = lose_project(day, typed, projects["ben"], piles["ben"])
        projects = push(typed, "--segmenter", "other")["projects"]
        assert photos_of(client, projects["ben"]) == ben_left
        assert {backend["url"] for backend in client._get("/api/ml/", {"project": projects["ben"]})} == {
            after["backend"]
        }
        day.answer(ben, "ben", projects["ben"], len(ben_left), day.disagree)
        ben.await_end()
        settle(day, typed, log_in(browser, client.connection))

    assert day.segmenters == {"block", "other"}
    assert max(Counter(day.seen).values()) == 1
    people = Counter(image_id for _, image_id in day.seen)
    assert {image_id for image_id, count in people.items() if count == 2} == pairs
    assert len(people) == len(SIZES_WH) + len(LATER_WH)
    check_end(day, typed)


def lose_project(day: Day, typed: Typed, project: int, pile: set[str]) -> set[str]:
    """Somebody deletes a project by hand; pull says so once. Returns the photos that were not answered there."""
    StudioClient(day.home.require_connection())._request("DELETE", f"/api/projects/{project}/")
    code, report, talk = typed("studio", "pull")
    assert (code, [fault["record"] for fault in report["faults"]]) == (1, [f"project {project}"])
    assert "deleted in Label Studio" in talk
    assert sum(report["answers"].values()) > 0
    assert typed("studio", "pull")[0] == 0
    left = pile - {image_id for name, image_id in day.seen if name == "ben"}
    assert left
    return left


def settle(day: Day, typed: Typed, page: StudioPage) -> None:
    """The lead, who gave none of the answers, settles what is in doubt; what is skipped comes again."""
    assert typed("studio", "pull")[0] == 0
    sent = push(typed, "--second-look")
    assert (sent["sent"], push(typed, "--second-look")["waiting"]) == (DOUBTS, DOUBTS)
    day.open_stream(page, sent["project"])
    for number, outcome in enumerate(("skip", "B", "paint")):
        if number:
            page.await_photo()
        look(page, day, outcome)
    page.await_end()
    assert typed("studio", "pull")[1]["decisions"] == {"accepted": 2}
    assert push(typed, "--second-look")["sent"] == 1
    day.open_stream(page, sent["project"])
    look(page, day, "A")
    page.await_end()
    assert typed("studio", "pull")[1]["decisions"] == {"accepted": 1}


def check_end(day: Day, typed: Typed) -> None:
    """Nothing waits, everything is decided, and the release has what was submitted."""
    assert sum(push(typed, "--segmenter", "other")["sent"].values()) == 0
    _, state, _ = typed("studio", "status")
    assert not any(state["waiting"].values()), state["waiting"]
    assert not any(project["unpulled"] or project["begun"] for project in state["projects"])
    assert state["decisions"] == {"accepted": len(day.submitted)}
    (command,) = state["next_commands"]
    assert "freeze" in command
    assert typed("freeze", "--version", "v1")[0] == 0
    _, objects = read_release(day.root / "objects" / "v1.parquet")
    assert {record.image_id for record in objects} == set(day.submitted)
    for record in objects:
        mask = decode_coco_rle(record.mask)
        assert any((mask == given).all() for given in day.submitted[record.image_id])
