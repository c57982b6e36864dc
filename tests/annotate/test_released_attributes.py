"""Which attributes an accepted photo has in a release: from which answer each comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answered_photos import accept, add_answer, add_photo, band
from studio_samples import make_schema, note_project

from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.released_attributes import gather_attributes
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import Annotation
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

FIRST = make_schema(local=["horns"], ticked=["wet"])
SECOND = make_schema(local=["antlers", "tail"], ticked=["wet", "young"], was={"antlers": "horns"}, version="2")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        note_project(workspace, FIRST, since="2026-01-01T00:00:00+00:00")
        note_project(workspace, SECOND, since="2026-01-05T00:00:00+00:00")
        yield workspace


class Photo:
    """One photo, whose answers are gathered."""

    def __init__(self, store: Workspace) -> None:
        self._store = store
        self._image_id = add_photo(store, "a")

    def answer(
        self, who: str, attributes: dict[str, bool | None], *parts: str, day: int = 1, **more: Any
    ) -> Annotation:
        masks = {"object": band(5), **{part: band(day) for part in parts}}
        version = "1" if day < 5 else "2"
        return add_answer(
            self._store,
            self._image_id,
            who,
            masks,
            day=day,
            attributes=attributes,
            attribute_schema=f"animals@{version}",
            **more,
        )

    def gathered(self, accepted: Annotation) -> tuple[dict[str, bool | None], dict[str, int]]:
        """Values, and the day of the answer that each mask is from."""
        history = AttributeHistory.of(self._store)
        own = gather_attributes(accepted, list(self._store.annotations(self._image_id)), history)
        days = {encode_coco_rle(band(day)): day for day in range(1, 10)}
        return own.values, {name: days[mask] for name, mask in own.masks.items()}


@pytest.fixture
def photo(store: Workspace) -> Photo:
    return Photo(store)


OPEN: dict[str, bool | None] = dict.fromkeys(("antlers", "tail", "wet", "young"))


def test_what_a_later_version_asks_is_open_for_older_answers(photo: Photo) -> None:
    accepted = photo.answer("p1", {"horns": True, "wet": False}, "horns")
    assert photo.gathered(accepted) == ({**OPEN, "antlers": True, "wet": False}, {"antlers": 1})


def test_an_answer_to_new_questions_adds_its_attributes_and_leaves_the_rest(photo: Photo) -> None:
    accepted = photo.answer("p1", {"horns": True, "wet": False}, "horns")
    later = {"antlers": None, "tail": True, "wet": None, "young": True}
    photo.answer("p2", later, "tail", day=6)
    values, masks = photo.gathered(accepted)
    assert values == {"antlers": True, "tail": True, "wet": False, "young": True}
    assert masks == {"antlers": 1, "tail": 6}


def test_a_newer_answer_under_a_newer_version_overrules(photo: Photo) -> None:
    accepted = photo.answer("p1", {"horns": True, "wet": False}, "horns")
    photo.answer("p2", {"antlers": False, "tail": False, "wet": True, "young": False}, day=6)
    assert photo.gathered(accepted) == ({"antlers": False, "tail": False, "wet": True, "young": False}, {})


def test_a_later_answer_under_the_same_version_only_fills_in(photo: Photo) -> None:
    photo.answer("p1", {"horns": True, "wet": True}, "horns", day=1)
    accepted = photo.answer("p2", {"horns": None, "wet": False}, day=2, purpose="second_look")
    photo.answer("p3", {"horns": True, "wet": True}, "horns", day=3)
    photo.answer("p4", {"horns": None, "wet": True}, day=4)
    values, masks = photo.gathered(accepted)
    assert values == {**OPEN, "antlers": True, "wet": False}
    assert masks == {"antlers": 3}  # of the others the newest that says something


def test_what_others_contradict_each_other_about_stays_open(photo: Photo) -> None:
    accepted = photo.answer("p1", {"horns": None, "wet": False}, "horns", day=2, visibility={"horns": "unsure"})
    assert photo.gathered(accepted) == ({**OPEN, "wet": False}, {"antlers": 2})
    photo.answer("p2", {"horns": True, "wet": False}, "horns", day=1)
    assert photo.gathered(accepted) == ({**OPEN, "antlers": True, "wet": False}, {"antlers": 1})
    photo.answer("p3", {"horns": False, "wet": False}, day=3)
    assert photo.gathered(accepted) == ({**OPEN, "wet": False}, {"antlers": 2})


def test_an_absent_part_has_no_mask(photo: Photo) -> None:
    accepted = photo.answer("p1", {"horns": None, "wet": False}, "horns", visibility={"horns": "unsure"})
    photo.answer("p2", {"horns": False, "wet": False}, day=3)
    assert photo.gathered(accepted) == ({**OPEN, "antlers": False, "wet": False}, {})


@pytest.mark.parametrize(
    "more", [{"flags": ("wrong_label",)}, {"state": "draft"}, {"state": "skipped"}, {"purpose": "honeypot"}]
)
def test_doubts_drafts_skips_and_honeypots_fill_nothing_in(photo: Photo, more: dict[str, Any]) -> None:
    accepted = photo.answer("p1", {"horns": None, "wet": False})
    photo.answer("p2", {"horns": True, "wet": True}, "horns", day=2, **more)
    assert photo.gathered(accepted) == ({**OPEN, "wet": False}, {})


def test_a_release_has_every_attribute_of_the_newest_version(store: Workspace, photo: Photo) -> None:
    accept(store, photo.answer("p1", {"horns": True, "wet": False}, "horns"))
    renamed, alone = add_photo(store, "b"), add_photo(store, "c")
    accept(
        store,
        add_answer(
            store,
            renamed,
            "p1",
            {"object": band(3)},
            day=6,
            attribute_schema="animals@2",
            attributes={"antlers": False, "tail": None, "wet": True, "young": True},
        ),
    )
    accept(store, add_answer(store, alone, "p1", {"object": band(3)}))
    records = {record.uri: record for record in read_release(freeze(store, "v1", FreezeOptions()).path)[1]}
    assert records["a"].attributes == {"antlers": True, "tail": None, "wet": False, "young": None}
    assert records["a"].attribute_masks == {"antlers": encode_coco_rle(band(1))}
    assert records["b"].attributes == {"antlers": False, "tail": None, "wet": True, "young": True}
    assert records["c"].attributes == {}
