"""A lead's day on a real Label Studio: what was changed or deleted there is mended and told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_lead import Json, answer, drawn_store, send, strangers_client, tasks_of
from studio_samples import make_schema
from studio_server import add_block_proposals

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.people.team import EVERYBODY
from figureground.annotate.studio.projects import MODEL_VERSION
from figureground.annotate.studio.pull import pull
from figureground.annotate.studio.tasks import mask_region
from figureground.schemas.pages.labeling import labeling_configuration
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace of three drawn photos with a machine mask each."""
    with drawn_store(tmp_path, 3) as workspace:
        yield workspace


@pytest.fixture
def client(store: Workspace) -> StudioClient:
    """The run's server, as one that somebody else runs."""
    return strangers_client(store)


def command(store: Workspace, *words: str) -> tuple[int, str, str]:
    """Run a studio command; returns its exit code and what it printed."""
    words = ("-m", "figureground", "studio", *words, "-w", str(store.root))
    done = subprocess.run([sys.executable, "-P", *words], capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


def make_old(client: StudioClient, project: int) -> None:
    """Leave a project as it was when each segmenter was a version: every second photo opened empty in the stream."""
    predictions = client._get("/api/predictions/", {"project": project})
    for number, prediction in enumerate(predictions):
        change = {"model_version": f"segmenter-{number % 2}"}
        client._request("PATCH", f"/api/predictions/{prediction['id']}/", json=change)
    client._request("PATCH", f"/api/projects/{project}/", json={"model_version": "segmenter-0"})


def test_masks_of_an_older_version_are_mended(store: Workspace, client: StudioClient) -> None:
    project = send(store, client, limit=2).projects[EVERYBODY]
    make_old(client, project)
    add_block_proposals(store, "other")
    report = send(store, client, segmenter="other")
    assert (sum(report.sent.values()), len(report.notices)) == (1, 1)
    assert "2 tasks would have opened without their mask; mended" in report.notices[0]
    assert (client.project(project) or {})["model_version"] == MODEL_VERSION
    predictions = client._get("/api/predictions/", {"project": project})
    assert [prediction["model_version"] for prediction in predictions] == [MODEL_VERSION] * 3
    assert {task["data"]["segmenter"] for task in tasks_of(client, project)} == {"block", "other"}
    assert send(store, client, segmenter="other").notices == []


def test_a_backend_that_was_connected_first_hides_no_mask(store: Workspace, client: StudioClient) -> None:
    """Label Studio gives a project the version of whatever comes first."""
    project = send(store, client, limit=1).projects[EVERYBODY]
    client._request("PATCH", f"/api/projects/{project}/", json={"show_collab_predictions": False})
    assert (client.project(project) or {})["model_version"] == ""
    send(store, client)
    state = client.project(project) or {}
    assert (state["model_version"], state["show_collab_predictions"]) == (MODEL_VERSION, True)


def test_a_page_that_was_changed_by_hand_is_restored_and_told(store: Workspace, client: StudioClient) -> None:
    schema = make_schema(local=["wing"])
    project = send(store, client, schema, limit=1).projects[EVERYBODY]
    ours = labeling_configuration(schema)
    assert send(store, client, schema, limit=1).notices == []
    client.set_config(project, ours.replace("wing", "leg"))
    report = send(store, client, schema)
    assert (sum(report.sent.values()), len(report.notices)) == (2, 1)
    assert "had been changed; it is restored" in report.notices[0]
    assert "leg" not in str((client.project(project) or {})["label_config"])


def test_a_push_makes_a_deleted_project_anew_and_says_so(store: Workspace, client: StudioClient) -> None:
    project = send(store, client).projects[EVERYBODY]
    client._request("DELETE", f"/api/projects/{project}/")
    report = send(store, client)
    assert sum(report.sent.values()) == 3
    assert any(f"(project {project}) was deleted in Label Studio; it is made anew" in line for line in report.notices)
    assert pull(store, client).faults == []


def test_faults_do_not_swallow_the_report(store: Workspace, client: StudioClient) -> None:
    lost = next(iter(store.images()))
    photo = store.root.parent / "photos" / lost.uri
    away = photo.with_suffix(".away")
    photo.rename(away)
    code, printed, complained = command(store, "push")
    assert code == 1
    assert "sent: everybody 2" in printed
    assert f"{client.connection.url}/projects/" in printed
    assert f"{lost.source}: {lost.uri}" in complained
    away.rename(photo)
    code, printed, _ = command(store, "push", "--json")
    assert (code, json.loads(printed)["sent"]) == (0, {"": 1})
    (project,) = json.loads(printed)["projects"].values()
    one, two, three = tasks_of(client, project)
    wrong: Json = {**mask_region(np.ones((40, 64), dtype=np.bool_), region_id="r", label="object")}
    answer(client, one, [{**wrong, "original_height": 48}])
    answer(client, two)
    code, printed, complained = command(store, "pull", "--json")
    report: Any = json.loads(printed)
    assert (code, report["answers"], report["decisions"]) == (1, {"submitted": 1}, {"accepted": 1})
    (fault,) = report["faults"]
    image = store.image(one["data"]["image_id"])
    assert image is not None
    for text in (fault["record"], complained):
        assert f"{image.source}: {image.uri}" in text
        assert f"{client.connection.url}/projects/{project}/data?task={one['id']}" in text
        assert image.image_id not in text
    answer(client, three)
    code, printed, _ = command(store, "pull")
    assert code == 1
    assert "new answers: submitted 1" in printed
