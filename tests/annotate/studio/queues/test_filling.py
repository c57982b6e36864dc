"""Embeddings made beforehand: in the order of the queues, once, within the bound; and how long people wait."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shared_cases import run_here

from figureground.annotate.segmenters.embeddings import EmbeddingFolder, RememberingSam
from figureground.annotate.segmenters.interactive import Click, Clicks, InteractiveSam
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.segmenters.sam_decoding import PaddedFrames
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.progress.click_times import ClickClock, read_click_times
from figureground.annotate.studio.queues.filling import fill_embeddings, stored_by_model, waiting_photos
from figureground.annotate.studio.queues.order import note_queue
from figureground.errors import DataError
from figureground.schemas.store.workspace import Workspace

SIZE = 4 * 256 * 64 * 64


class CountingSam(PaddedFrames):
    """A network that says what it encoded, by the grey of the picture."""

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def encode(self, photo_rgb: Photo) -> Any:
        self.encoded.append(int(photo_rgb[0, 0, 0]))
        return (np.full((1, 256, 64, 64), photo_rgb[0, 0, 0], np.float32),)

    def decode(self, embedding: Any, coords: Any, labels: Any, **_: Any) -> tuple[Any, Any]:
        return np.full((1, 3, 256, 256), embedding[0].max(), np.float32), np.ones((1, 3), np.float32)


class Studio:
    """Two queues of photos that are grey 10, 11, ... and 20, 21, ...; of the first one photo is answered."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = StudioHome(root)
        for folder in (self.home.served, self.home.queues):
            folder.mkdir(parents=True)
        for project, begin in ((1, 11), (2, 20)):
            photos = {self.image_id(10 * project + index): 10 * project + index for index in range(3)}
            for image_id, grey in photos.items():
                Image.new("RGB", (8, 8), (grey,) * 3).save(self.home.served / f"{image_id}.png")
            note_queue(self.home.queues, project, photos, begin=begin)

    @staticmethod
    def image_id(grey: int) -> str:
        return f"{grey:032x}"

    def fill(self, network: CountingSam, *, photos_of_room: float = 100) -> Any:
        embeddings = EmbeddingFolder(path=self.root / "embeddings", most_bytes=int(photos_of_room * SIZE))
        remembering = RememberingSam(network, embeddings, "model-1")
        return fill_embeddings(remembering, embeddings, waiting_photos(self.home.queues), self.home)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def test_what_waits_is_encoded_once_the_next_of_each_queue_first(studio: Studio) -> None:
    network = CountingSam()
    report = studio.fill(network)
    assert network.encoded == [11, 20, 12, 21, 22]
    assert (report.made, report.there, report.no_room) == (5, 0, 0)
    report = studio.fill(network)
    assert (report.made, report.there) == (0, 5)
    assert len(network.encoded) == 5


def test_a_full_folder_keeps_what_is_needed_first(studio: Studio) -> None:
    network = CountingSam()
    report = studio.fill(network, photos_of_room=2.5)
    assert network.encoded == [11, 20]
    assert (report.made, report.no_room) == (2, 3)
    ((count, size),) = stored_by_model(studio.root / "embeddings").values()
    assert count == 2
    assert size <= 2.5 * SIZE


def test_a_first_click_does_not_wait_for_the_encoder(studio: Studio) -> None:
    network = CountingSam()
    studio.fill(network)
    before = len(network.encoded)
    embeddings = EmbeddingFolder(path=studio.root / "embeddings")
    sam = InteractiveSam(RememberingSam(network, embeddings, "model-1"))  # a backend that was started anew
    photo = np.full((8, 8, 3), 11, np.uint8)
    assert sam.suggest(studio.image_id(11), lambda: photo, Clicks((Click((4.0, 4.0)),))).mask_hw.all()
    assert len(network.encoded) == before


def test_copies_that_cannot_be_read_are_all_named_and_the_others_made(studio: Studio) -> None:
    (studio.home.served / f"{studio.image_id(11)}.png").unlink()
    (studio.home.served / f"{studio.image_id(21)}.png").write_bytes(b"no picture")
    report = studio.fill(CountingSam())
    assert report.made == 3
    with pytest.raises(DataError) as caught:
        report.raise_if_any()
    assert [fault.record for fault in caught.value.faults] == [studio.image_id(11), studio.image_id(21)]
    assert caught.value.faults[0].remedy.endswith(f"figureground studio push -w {studio.root.parent}")


def test_the_command_says_what_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = tmp_path / "work"
    Workspace.create(work).close()
    code, out, _ = run_here(capsys, "studio", "embeddings", "-w", work)
    assert (code, out.strip()) == (0, "no embeddings are kept yet")
    embeddings = EmbeddingFolder(path=work / "studio" / "embeddings")
    RememberingSam(CountingSam(), embeddings, "mobile-sam-1").encode(np.zeros((8, 8, 3), np.uint8))
    code, out, _ = run_here(capsys, "studio", "embeddings", "-w", work, "--json")
    assert code == 0
    assert json.loads(out)["models"]["mobile-sam-1"]["photos"] == 1


def test_a_forgotten_photo_leaves_no_embedding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work, studio = tmp_path / "work", tmp_path / "work" / "studio"
    photos = []
    for grey in (10, 20):
        path = tmp_path / "photos" / "disc" / f"{grey}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 60), (grey,) * 3).save(path)
        photos.append(np.full((60, 60, 3), grey, np.uint8))
    assert run_here(capsys, "index", tmp_path / "photos", "-w", work)[0] == 0
    embeddings = EmbeddingFolder(path=studio / "embeddings")
    remembering = RememberingSam(CountingSam(), embeddings, "model-1")
    with Workspace.open(work) as store:
        images = {image.uri: image.image_id for image in store.images()}
    served = StudioHome.of(work).served
    served.mkdir(parents=True)
    for photo, uri in zip(photos, sorted(images), strict=True):
        Image.fromarray(photo).save(served / f"{images[uri]}.png")
        remembering.encode(photo)
    assert run_here(capsys, "forget", images["disc/10.png"], "-w", work)[0] == 0
    assert not remembering.has(photos[0])
    assert remembering.has(photos[1])


class TestWaits:
    def test_first_and_next_masks_are_told_apart(self, tmp_path: Path) -> None:
        clock = ClickClock(tmp_path / "times.json")
        for image_id, seconds in [("a", 2.0), ("a", 0.2), ("b", 1.0), ("a", 0.4), ("c", 4.0)]:
            clock.note(image_id, seconds)
        times = read_click_times(tmp_path / "times.json")
        assert (times.first_seconds, times.first_count) == (2.0, 3)
        assert times.next_seconds == pytest.approx(0.3)
        assert times.next_count == 2
        assert str(times) == "first mask of a photo 2.00 s (median of 3), next ones 0.30 s (of 2)"

    def test_the_newest_count_and_a_damaged_file_is_begun_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "times.json"
        path.write_text('{\n{"kind": "next", "seconds": 0.5}\n{"kind": "first", "sec')
        assert (read_click_times(path).first_count, read_click_times(path).next_count) == (0, 1)
        clock = ClickClock(path)
        for number in range(260):
            clock.note(f"photo {number}", float(number))
        assert read_click_times(path).first_count == 200
        assert read_click_times(path).first_seconds == pytest.approx(159.5)
        assert read_click_times(path).next_count == 1

    def test_a_wait_is_appended_and_a_file_that_grew_is_cut(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("figureground.annotate.studio.progress.click_times.MOST_LINES", 250)
        path = tmp_path / "studio" / "times.jsonl"
        clock = ClickClock(path)
        sizes: list[int] = []
        clock.note("a", 9.0)
        for number in range(300):
            before, file = path.read_bytes(), path.stat().st_ino
            clock.note("a", float(number))
            if len(sizes) < 200:
                assert path.stat().st_ino == file  # the same file, and not one written anew
                assert path.read_bytes().startswith(before)
            sizes.append(len(path.read_bytes().splitlines()))
        assert max(sizes) <= 250
        assert min(sizes[230:]) < 250
        times = read_click_times(path)
        assert (times.first_seconds, times.next_count) == (9.0, 200)
        assert times.next_seconds == pytest.approx(199.5)
        assert read_click_times(tmp_path / "none").first_count == 0

    def test_what_cannot_be_noted_costs_no_mask(self, tmp_path: Path) -> None:
        (tmp_path / "studio").write_text("a file where the folder should be")
        ClickClock(tmp_path / "studio" / "times.jsonl").note("a", 1.0)
        assert (tmp_path / "studio").is_file()
