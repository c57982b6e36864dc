"""The server as a stranger and as the page meet it: tokens, names, origins, caches, faults."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from plain_dataset import rewrite_rows
from viewed_dataset import Viewed

import figureground
from figureground.exports.viewing.guard import POLICY
from figureground.schemas.rasters.masks import decode_png1
from figureground.schemas.store.workspace import Workspace


@pytest.fixture(scope="module")
def client(shown: figureground.View) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shown.url, timeout=20) as http:
        yield http


def test_without_the_token_nothing_is_answered(shown: figureground.View) -> None:
    root = shown.url.removesuffix(f"{shown.token}/")
    for path in (
        "",
        "rows",
        shown.token[:-1] + "/",
        shown.token,
        f"{shown.token}x/rows",
        "%ff/rows",
        f"/{shown.token}/",
    ):
        for method in ("GET", "POST"):
            answer = httpx.request(method, root + path, json={})
            assert (answer.status_code, shown.token in answer.text) == (403, False), path
    assert len(shown.token) >= 32


def test_other_names_of_the_host_and_other_origins_are_refused(shown: figureground.View, client: httpx.Client) -> None:
    flag = {"image_id": "0" * 32, "state": "needs_second", "person": "Eve"}
    own = shown.url.removesuffix(f"/{shown.token}/")
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert client.get("rows", headers=headers).status_code in (400, 403), headers
        assert client.post("flags", json=flag, headers={"Origin": own, **headers}).status_code in (400, 403), headers
    assert client.post("flags", json=flag).status_code == 403  # browsers always say where a POST comes from
    assert client.get("", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert client.get("rows", headers={"Sec-Fetch-Site": "same-origin", "Origin": own}).status_code == 200


def test_it_listens_on_loopback_alone(shown: figureground.View) -> None:
    assert shown.server.address[0] == "127.0.0.1"


@pytest.mark.parametrize("path", ["", "page.css", "page.js", "rows", "images/0", "nothing", "rows/999", "rows?x=1"])
def test_every_answer_forbids_what_the_page_does_not_need(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


def test_the_page_names_nothing_outside_of_it(client: httpx.Client) -> None:
    for path in ("", "page.css", "page.js", "page.svg"):
        text = client.get(path).text.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert "//" not in text.replace("// ", "").replace("://", ":") or path == "page.js"


def test_pictures_are_the_stored_ones_and_are_asked_for_once(client: httpx.Client, viewed: Viewed) -> None:
    stored = list(figureground.open_dataset(viewed.dataset).rows("mixed"))[2]
    row = 12 + 2
    image = client.get(f"images/{row}")
    assert (image.content, image.headers["content-type"]) == (stored["image"]["bytes"], "image/png")
    again = client.get(f"images/{row}", headers={"If-None-Match": image.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "max-age" in image.headers["cache-control"]
    mask = np.asarray(Image.open(io.BytesIO(client.get(f"masks/{row}").content)).convert("RGBA"))[..., 3] > 0
    assert (mask == decode_png1(stored["object_mask"]["bytes"])).all()
    small = client.get(f"thumbnails/{row}")
    assert Image.open(io.BytesIO(small.content)).size == (32, 32)
    tags = {client.get(f"{kind}/{number}").headers["etag"] for kind in ("images", "thumbnails") for number in (13, 14)}
    assert len(tags) == 4


def test_a_row_says_where_it_comes_from(client: httpx.Client, viewed: Viewed) -> None:
    stored = list(figureground.open_dataset(viewed.dataset).rows("mixed"))[2]
    row = client.get("rows/14", params={"model": 0}).json()
    assert row["provenance"]["pixels_sha256"] == stored["provenance"]["pixels_sha256"]
    assert row["provenance"]["seed"] == str(stored["provenance"]["seed"])  # browsers round numbers so large
    assert json.loads(row["params"]) == json.loads(stored["provenance"]["params"])
    assert row["ground_id"] == stored["ground_id"]
    donor = client.get(f"rows/{row['ground_row']}").json()
    assert (donor["image_id"], donor["config"]) == (stored["ground_id"], "original")
    assert [other["config"] for other in row["siblings"]] == ["original", "mixed", "striped"]
    assert [answer["model"] for answer in row["answers"]] == ["sees colours"]
    assert all("right" in other for other in row["siblings"])
    assert row["decision"]["state"] == "accepted"


def test_what_is_not_there_is_said(client: httpx.Client) -> None:
    assert client.get("rows/36").status_code == 404
    assert client.get("images/-1").status_code == 404
    assert client.get("masks/0", params={"part": "wing"}).status_code == 404
    assert client.get("rows/x").status_code == 422
    answer = client.get("rows", params={"least_area": "much", "colour": "red"})
    assert (answer.status_code, "least_area" in answer.text, "colour" in answer.text) == (422, True, True)
    assert client.get("page.py").status_code == 404
    assert client.get("..%2fgallery.py").status_code == 404


def test_a_release_without_images_shows_its_masks(viewed: Viewed) -> None:
    with figureground.view(viewed.release) as shown, httpx.Client(base_url=shown.url) as http:
        assert not shown.about()["pixels"]
        assert "holds no images" in http.get("").text
        assert http.get("images/0").status_code == http.get("thumbnails/0").status_code == 404
        assert http.get("masks/0").headers["content-type"] == "image/png"
        assert http.get("rows/0").json()["provenance"]["pixels_sha256"]
        answer = http.post("flags", json={}, headers={"Origin": shown.url.removesuffix(f"/{shown.token}/")})
        assert (answer.status_code, "flags need a workspace" in answer.text) == (422, True)


def test_names_of_a_stranger_s_dataset_are_text(viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.release, tmp_path / "<script>alert(1)<"))
    with figureground.view(folder) as shown:
        page = httpx.get(shown.url).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_a_damaged_picture_is_an_answer_and_no_end(viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.dataset, tmp_path / "changed"))

    def damage(rows: list[dict[str, object]]) -> None:
        rows[0]["image"] = {"bytes": b"<svg onload='alert(1)'/>", "path": "x.svg"}
        rows[1]["object_mask"] = {"bytes": None, "path": None}

    rewrite_rows(folder, "data/mixed/test-00000-of-00001.parquet", damage)
    with figureground.view(folder) as shown, httpx.Client(base_url=shown.url) as http:
        for path in ("images/12", "thumbnails/12"):
            answer = http.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
            assert "expected an image" in answer.json()["detail"]
        assert http.get("masks/13").status_code == 404
        assert http.get("rows/12").status_code == http.get("images/14").status_code == 200


def test_many_at_once_get_what_each_asked_for(shown: figureground.View) -> None:
    with httpx.Client(base_url=shown.url, timeout=20) as http:
        alone = [http.get(f"thumbnails/{row}").content for row in range(36)]
    got = dict[int, bytes]()

    def ask(rows: range) -> None:
        with httpx.Client(base_url=shown.url, timeout=20) as http:
            got.update({row: http.get(f"thumbnails/{row}").content for row in rows})

    threads = [threading.Thread(target=ask, args=(range(start, 36, 6),)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[row] for row in range(36)] == alone


def test_a_flag_is_a_decision_and_rows_show_it(shown: figureground.View, client: httpx.Client, viewed: Viewed) -> None:
    own = {"Origin": shown.url.removesuffix(f"/{shown.token}/")}
    image_id = client.get("rows/3").json()["image_id"]
    flag = {"image_id": image_id, "state": "wrong_label", "person": "Ada Lovelace", "note": "a ball"}
    answer = client.post("flags", json=flag, headers=own).json()
    assert answer == {"changed": True, "decision": {"state": "needs_second", "reason": "flagged wrong_label"}}
    rows = client.get("rows", params={"decision": "needs_second"}).json()["rows"]
    assert {row["image_id"] for row in rows} == {image_id}
    assert len(rows) == 3
    with Workspace.open(viewed.workspace) as store:
        decision = store.decision(image_id)
        assert decision is not None
        assert decision.state == "needs_second"
        (stored,) = [annotation for annotation in store.annotations(image_id) if annotation.tool == "view"]
    assert "Ada" not in json.dumps([stored.annotator, stored.note, client.get("rows/3").text])
    assert (
        client.post("flags", json={**flag, "state": "taken_back"}, headers=own).json()["decision"]["state"]
        == "accepted"
    )
    odd = client.post("flags", json={**flag, "state": "accepted"}, headers=own)
    assert (odd.status_code, "state" in odd.json()["detail"]) == (422, True)
