"""Filters choose the rows that a plain loop over them chooses, and count what a further choice would leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from viewed_dataset import Viewed

from figureground.errors import UsageError
from figureground.exports.viewing.filters import MOST_ROWS, PageRequest, RowFilter
from figureground.exports.viewing.gallery import Gallery, open_gallery
from figureground.exports.viewing.requests import parse_request


@pytest.fixture(scope="module")
def gallery(viewed: Viewed) -> Gallery:
    return open_gallery(viewed.dataset, results=[viewed.scores])


@pytest.fixture(scope="module")
def rows(gallery: Gallery) -> list[dict[str, Any]]:
    """Every row, with the model's answer and its photo's donor."""
    shown = gallery.answer(RowFilter(model=0), PageRequest(limit=MOST_ROWS))["rows"]
    donors = gallery.columns.ground_id
    return [{**row, "ground_id": donors.name(row["row"])} for row in shown]


Row = dict[str, Any]
PASSES: dict[str, Callable[[Row, Any], bool]] = {
    "config": lambda row, names: row["config"] in names,
    "label": lambda row, names: row["label"] in names,
    "ground": lambda row, ground: {
        "-": row["ground"] == "",
        "=": row["ground"] == row["label"],
        "!": row["ground"] not in ("", row["label"]),
    }.get(ground, row["ground"] == ground),
    "least_area": lambda row, area: row["area"] >= area,
    "most_area": lambda row, area: row["area"] <= area,
    "text": lambda row, text: row["image_id"].startswith(text) or row["ground_id"].startswith(text),
    "outcome": lambda row, outcome: row["right"] == (outcome == "right"),
    "answer": lambda row, answer: row["answer"] == answer,
}


def draw_filter(generator: np.random.Generator, rows: list[Row]) -> dict[str, Any]:
    """Some criteria, each of a value that a row has."""
    values: dict[str, Callable[[Row], Any]] = {
        "config": lambda row: [row["config"]],
        "label": lambda row: [row["label"], "bar"],
        "ground": lambda row: row["ground"] or str(generator.choice(["-", "=", "!"])),
        "least_area": lambda row: row["area"],
        "most_area": lambda row: row["area"],
        "text": lambda row: row["image_id"][: generator.integers(1, 4)],
        "outcome": lambda _: str(generator.choice(["right", "wrong"])),
        "answer": lambda row: row["answer"],
    }
    names = generator.choice(list(values), size=generator.integers(1, 4), replace=False)
    return {str(name): values[name](rows[generator.integers(len(rows))]) for name in names}


def test_a_filter_chooses_what_a_loop_chooses(gallery: Gallery, rows: list[Row]) -> None:
    generator, chosen = np.random.default_rng(5), Counter[bool]()
    for _ in range(300):
        asked = draw_filter(generator, rows)
        passing = [row for row in rows if all(PASSES[name](row, value) for name, value in asked.items())]
        # Areas are shown rounded: what lies within the rounding of an end is no test of it.
        near = [
            row
            for row in rows
            if any(abs(row["area"] - asked.get(end, -9)) < 0.01 for end in ("least_area", "most_area"))
        ]
        answer = gallery.answer(RowFilter(model=0, **asked), PageRequest(limit=MOST_ROWS))
        got = {row["row"] for row in answer["rows"]}
        unsure = {row["row"] for row in near}
        assert got - unsure == {row["row"] for row in passing} - unsure, asked
        chosen[bool(got)] += 1
    assert min(chosen.values()) > 30


def test_counts_say_what_another_choice_of_the_same_criterion_would_leave(gallery: Gallery, rows: list[Row]) -> None:
    asked = RowFilter(model=0, config=("mixed",), label=("disc",), outcome="wrong")
    counts = gallery.answer(asked, PageRequest())["counts"]
    for config in ("original", "mixed", "striped"):
        own = [row for row in rows if (row["config"], row["label"], row["right"]) == (config, "disc", False)]
        assert counts["config"].get(config, 0) == len(own)
    right = [row for row in rows if (row["config"], row["label"]) == ("mixed", "disc")]
    assert counts["outcome"] == {
        "right": sum(row["right"] for row in right),
        "wrong": sum(not row["right"] for row in right),
    }


@pytest.mark.parametrize("order", ["area", "-area", "confidence", "-confidence"])
def test_orders(gallery: Gallery, order: str) -> None:
    answer = gallery.answer(RowFilter(model=0), PageRequest.model_validate({"order": order, "limit": MOST_ROWS}))
    values = [row[order.lstrip("-")] for row in answer["rows"]]
    assert values == sorted(values, reverse=order.startswith("-"))
    assert len(set(values)) > 5


def test_pages_follow_each_other(gallery: Gallery) -> None:
    whole = gallery.answer(RowFilter(), PageRequest(limit=MOST_ROWS))["rows"]
    parts = [gallery.answer(RowFilter(), PageRequest(offset=start, limit=10))["rows"] for start in range(0, 40, 10)]
    assert [row for part in parts for row in part] == whole


def test_photos_come_with_all_their_rows(gallery: Gallery) -> None:
    asked, page = RowFilter(config=("mixed",), label=("ring",)), PageRequest(arrange="photos", limit=3)
    answer = gallery.answer(asked, page)
    assert (answer["total"], answer["photo_total"], len(answer["photos"])) == (4, 4, 3)
    for photo in answer["photos"]:
        assert [(row["config"], row["passes"]) for row in photo["rows"]] == [
            ("original", False),
            ("mixed", True),
            ("striped", False),
        ]
        assert {row["image_id"] for row in photo["rows"]} == {photo["image_id"]}


def test_names_that_the_dataset_has_not_match_nothing(gallery: Gallery) -> None:
    for asked in (
        {"config": ["other"]},
        {"model": 7},
        {"attribute": "wings"},
        {"ground": "cat"},
        {"answer": "x", "model": 0},
    ):
        assert gallery.answer(RowFilter.model_validate(asked), PageRequest())["total"] == 0, asked


def test_an_address_is_a_filter() -> None:
    pairs = [("config", "a"), ("config", "b"), ("text", ""), ("least_area", "2.5"), ("model", "1"), ("limit", "7")]
    asked, page = parse_request(pairs)
    assert asked == RowFilter(config=("a", "b"), least_area=2.5, model=1)
    assert page == PageRequest(limit=7)
    with pytest.raises(UsageError, match=r"(?s)least_area.*wings"):
        parse_request([("least_area", "nan"), ("wings", "2")])
    with pytest.raises(UsageError, match="limit"):
        parse_request([("limit", "100000")])
