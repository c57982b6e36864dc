"""Attributes that are added after photos were decided, on a real server: the mask stays, the answers meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_lead import Json, answer, drawn_store, send, strangers_client, tasks_of
from studio_samples import make_schema, ticked

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.people.new_attributes import part_of, push_new_attributes
from figureground.annotate.studio.people.team import EVERYBODY
from figureground.annotate.studio.projects import pushed_schema
from figureground.annotate.studio.pull import pull
from figureground.annotate.studio.tasks import mask_region
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.records import Annotation
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

OLD = make_schema(local=["wing"], ticked=["wet"])
NEW = make_schema(local=["wing", "tail"], ticked=["wet", "tall"], version="2")
WING = np.eye(48, 64, dtype=np.bool_)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace of three drawn photos with a machine mask each."""
    with drawn_store(tmp_path, 3) as workspace:
        yield workspace


@pytest.fixture
def client(store: Workspace) -> StudioClient:
    """The run's server, as one that somebody else runs."""
    return strangers_client(store)


def accepted(store: Workspace, image_id: str) -> Annotation:
    decision = store.decision(image_id)
    assert decision is not None
    assert decision.state == "accepted"
    return [given for given in store.annotations(image_id) if given.annotation_id == decision.annotation_id][-1]


def shown(client: StudioClient, task: Json) -> list[Any]:
    (prediction,) = client._get("/api/predictions/", {"task": task["id"]})
    return list(prediction["result"])


def test_an_added_attribute_is_asked_of_decided_photos(store: Workspace, client: StudioClient) -> None:
    project = send(store, client, OLD).projects[EVERYBODY]
    tasks = tasks_of(client, project)
    mask = np.zeros((48, 64), dtype=np.bool_)
    mask[12:30, 16:32] = True
    painted = mask_region(mask, region_id="mine", label="object")
    flag = ticked("flags", "class_visible_outside")
    for task in tasks[:2]:
        answer(
            client, task, [painted, mask_region(WING, region_id="w", label="wing"), ticked("attributes", "wet"), flag]
        )
    assert pull(store, client).decisions == {"accepted": 2}
    before = {task["data"]["image_id"]: accepted(store, task["data"]["image_id"]) for task in tasks[:2]}

    with pytest.raises(UsageError, match="animals@1 has no attribute tail"):
        push_new_attributes(store, client, OLD, ["tail"])
    report = push_new_attributes(store, client, NEW, [NEW.label])
    assert (dict(report.sent), report.faults) == ({EVERYBODY: 2}, [])
    assert sum(push_new_attributes(store, client, NEW, [NEW.label]).sent.values()) == 0
    asked = push_new_attributes(store, client, NEW, ["tail", "tall"])
    (part,) = asked.projects.values()
    assert part != report.projects[EVERYBODY]
    page = str((client.project(part) or {})["label_config"])
    assert ('value="tail"' in page, 'value="wing"' in page) == (True, False)
    assert pushed_schema(store, client) == OLD  # a part is no schema to go on with

    unchanged, changed = tasks_of(client, part)
    regions = shown(client, unchanged)
    assert [region["type"] for region in regions] == ["brushlabels", "choices"]
    assert (
        client._get("/api/predictions/", {"project": part})[0]["model_version"]
        == (client.project(part) or {})["model_version"]
    )
    tail = mask_region(~WING, region_id="t", label="tail")
    answer(client, unchanged, [*regions, tail, ticked("attributes", "tall")])
    smaller = mask.copy()
    smaller[12:14] = False
    touched = {**mask_region(smaller, region_id="r", label="object"), "origin": "prediction-changed"}
    answer(client, changed, [touched])
    assert pull(store, client).decisions == {"accepted": 2}

    was, now = before[unchanged["data"]["image_id"]], accepted(store, unchanged["data"]["image_id"])
    assert (now.masks["object"], now.masks["wing"]) == (was.masks["object"], was.masks["wing"])
    np.testing.assert_array_equal(decode_coco_rle(now.masks["tail"]), ~WING)
    assert {name: now.attributes[name] for name in ("wing", "wet", "tail", "tall")} == dict.fromkeys(
        ("wing", "wet", "tail", "tall"), True
    )
    assert (now.flags, now.edit_iou, now.attribute_schema) == (was.flags, was.edit_iou, "animals@2")
    other = accepted(store, changed["data"]["image_id"])
    np.testing.assert_array_equal(decode_coco_rle(other.masks["object"]), smaller)
    assert (other.attributes["wing"], other.attributes["tall"], other.changed_px) == (True, False, None)
    assert sum(push_new_attributes(store, client, NEW, ["tail", "tall"]).sent.values()) == 0

    _, frozen = read_release(freeze(store, "v1", FreezeOptions()).path)
    assert sorted(bool(record.attributes["tall"]) for record in frozen) == [False, True]


def test_a_mask_that_was_mended_since_is_asked_again(store: Workspace, client: StudioClient) -> None:
    project = send(store, client, OLD, limit=1).projects[EVERYBODY]
    (task,) = tasks_of(client, project)
    number = answer(client, task)
    pull(store, client)
    asked = push_new_attributes(store, client, NEW, ["tall"]).projects[EVERYBODY]
    (question,) = tasks_of(client, asked)
    answer(client, question, shown(client, question))
    pull(store, client)
    assert accepted(store, task["data"]["image_id"]).attributes["tall"] is False
    client._request(
        "PATCH", f"/api/annotations/{number}/", json={"result": [mask_region(WING, region_id="r", label="object")]}
    )
    pull(store, client)
    assert "tall" not in accepted(store, task["data"]["image_id"]).attributes
    assert sum(push_new_attributes(store, client, NEW, ["tall"]).sent.values()) == 1
    assert sum(push_new_attributes(store, client, NEW, ["tall"]).sent.values()) == 0
    newest = max(tasks_of(client, asked), key=lambda candidate: int(candidate["id"]))
    answer(client, newest, shown(client, newest))
    pull(store, client)
    now = accepted(store, task["data"]["image_id"])
    np.testing.assert_array_equal(decode_coco_rle(now.masks["object"]), WING)
    assert now.attributes["tall"] is False


def test_a_part_of_a_schema_keeps_its_order_and_its_name() -> None:
    part = part_of(NEW, ["tall", "wing"])
    assert (part.label, part.names()) == ("animals@2", ("wing", "tall"))
    assert part_of(NEW, ["animals@2"]) == NEW
