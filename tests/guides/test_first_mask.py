"""The annotators' tutorial, done to the letter: its steps in a real browser, on a real Label Studio, with real SAM."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import open_chromium
from guide_pages import Section, sections_of
from mask_lesson import STROKES, MaskLesson
from needs import ROOT
from studio_page import log_in
from studio_server import prepare_own_server
from typist import TYPED, Typist

from figureground.annotate.studio.accounts import DOMAIN, accounts
from figureground.annotate.studio.backend_daemon import stop_backend
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.server import stop_server
from figureground.demo.practice import PHOTOS
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, mask_iou
from figureground.schemas.records import Annotation
from figureground.schemas.store.workspace import Workspace

PAGE = "docs/tutorials/first_mask.md"
SCREENSHOTS = Path(os.environ.get("FIGUREGROUND_SCREENSHOTS", ROOT / ".scratch" / "screenshots")) / "first_mask"


class Practice:
    """The workspace that the page makes, and what was typed in front of it."""

    def __init__(self, folder: Path) -> None:
        self.typist = Typist(folder, "first_mask")
        self.root = folder / "practice"
        self.sections = {section.title: section for section in sections_of(PAGE)}
        self.photos: dict[str, str] = {}
        """image_id by name."""

    def section(self, title: str) -> Section:
        (section,) = [section for name, section in self.sections.items() if name.startswith(title)]
        return section

    def type(self, title: str) -> str:
        """Type the block of a section; what it makes gets a database at once, which need not be migrated."""
        (block,) = [block for block in self.section(title).blocks if block.language == TYPED]
        printed = ""
        for line in block.text.splitlines():
            printed += self.typist.type(line)
            if self.root.is_dir() and not (self.root / "studio").is_dir():
                prepare_own_server(StudioHome.of(self.root))
        return printed

    @contextmanager
    def desk(self, name: str, address: str) -> Iterator[MaskLesson]:
        """A browser in which somebody is logged in and has opened the address that they were given."""
        home = StudioHome.of(self.root)
        login = f"{name}@{DOMAIN}"
        person = replace(home.require_connection(), username=login, password=accounts(home)[login])
        with open_chromium() as browser:
            page = log_in(browser, person)
            page.page.goto(address)
            yield MaskLesson(page, self.typist.note)

    def answer(self, photo: str) -> Annotation:
        """The one answer to a photo."""
        with Workspace.open(self.root) as store:
            (stored,) = [one for one in store.annotations(self.photos[photo]) if one.state != "draft"]
        return stored


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    """The page followed from its first line to its last."""
    practice = Practice(tmp_path_factory.mktemp("practice"))
    try:
        printed = practice.type("For whoever leads")
        with Workspace.open(practice.root) as store:
            practice.photos = {Path(image.uri).stem: image.image_id for image in store.images()}
        (address,) = re.findall(r"nora: (\S+)", printed)
        with practice.desk("nora", address) as nora:
            first_looks(practice, nora)
        *_, look = re.findall(r"http\S+/projects/\S+", practice.type("A second look"))
        with practice.desk("omar", look) as omar:
            second_look(practice, omar)
        practice.type("What became of it")
        yield practice
    finally:
        if (practice.root / "studio").is_dir():
            stop_backend(StudioHome.of(practice.root))
            stop_server(StudioHome.of(practice.root))


def first_looks(practice: Practice, nora: MaskLesson) -> None:
    """The seven photos, each while the page shows the one that its section is about."""
    nora.do(practice.section("Log in"))
    for number, photo in enumerate(PHOTOS, 1):
        section = practice.section(f"Photo {number}:")
        assert nora.shown() == practice.photos[photo.name], section.title
        if number == 2:
            nora.page.screenshot(SCREENSHOTS / "page.png")
        nora.submit(section, before={"green tick": SCREENSHOTS / "sam.png"})
    nora.page.await_end()


def second_look(practice: Practice, omar: MaskLesson) -> None:
    """One photo, which nora has said to be something else."""
    look = practice.section("A second look")
    omar.do(Section(look.title, steps=look.steps[:1]))
    assert omar.shown() == practice.photos["6-pear"]
    omar.submit(Section(look.title, steps=look.steps[1:]))
    omar.page.await_end()


def object_of(answer: Annotation) -> Mask:
    return decode_coco_rle(answer.masks["object"])


def photo(name: str) -> Any:
    (drawn,) = [photo for photo in PHOTOS if photo.name == name]
    return drawn


def covered(mask: Mask, stroke: str) -> float:
    """How much of the way of a stroke a mask covers."""
    points = np.array(STROKES[stroke])
    way = np.concatenate([np.linspace(start, end, 50) for start, end in pairwise(points)]).astype(int)
    return float(mask[way[:, 1], way[:, 0]].mean())


def test_a_mask_that_is_right_comes_back_as_it_was(practice: Practice) -> None:
    answer = practice.answer("1-ball")
    assert (answer.changed_px, answer.state) == (0, "submitted")
    assert (object_of(answer) == photo("1-ball").machine_mask()).all()


def test_what_was_painted_belongs_to_the_mask(practice: Practice) -> None:
    mask = object_of(practice.answer("2-mug"))
    assert covered(mask, "paint along the handle") > 0.95
    assert mask[photo("2-mug").machine_mask()].all()


def test_what_was_wiped_does_not(practice: Practice) -> None:
    mask, drawn = object_of(practice.answer("3-boat")), photo("3-boat")
    assert covered(mask, "wipe over the reflection") < 0.05
    assert mask_iou(mask, drawn.truth()) > mask_iou(drawn.machine_mask(), drawn.truth())
    assert mask_iou(mask, drawn.truth()) > 0.9


def test_sam_makes_another_mask_from_clicks(practice: Practice) -> None:
    assert mask_iou(object_of(practice.answer("4-apple")), photo("4-apple").truth()) > 0.8


def test_parts_and_ticks_are_kept(practice: Practice) -> None:
    answer = practice.answer("5-striped-mug")
    assert (object_of(answer) == photo("5-striped-mug").machine_mask()).all()
    assert covered(decode_coco_rle(answer.masks["handle"]), "paint along the handle") > 0.95
    assert answer.attributes == {"handle": True, "striped": True}


def test_what_was_skipped_is_with_somebody_else(practice: Practice) -> None:
    assert practice.answer("7-fog").state == "skipped"


def test_the_second_look_settles_it(practice: Practice) -> None:
    with Workspace.open(practice.root) as store:
        states = {name: store.decisions().get(image_id) for name, image_id in practice.photos.items()}
    outcomes = {name: decision.state if decision else None for name, decision in states.items()}
    accepted = {photo.name: "accepted" for photo in PHOTOS[:5]}
    assert outcomes == {**accepted, "6-pear": "wrong_label", "7-fog": None}
