"""The catalogue: every photo once, no bad one fatal, nothing lost to a kill, contradictions said aloud."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from needs import SHARED, need_shared
from photo_samples import FLAGGED, REJECTED, draw_pixels, encode, with_orientation

import figureground
from figureground.annotate.catalogue import Rejection, index_source, measure, measure_all
from figureground.errors import DataError, ServiceError, UsageError
from figureground.schemas.rasters.photos import decode_photo, perceptual_hash
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.opening import PhotoSource, SourceItem, open_source
from figureground.schemas.store.workspace import Workspace

BOX = "<object><name>dog</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Every odd file that there is, and a rotated photo."""
    root = tmp_path / "photos"
    for folder, table in (("good", FLAGGED), ("bad", REJECTED)):
        (root / folder).mkdir(parents=True)
        for number, make in enumerate(make for make, _ in table.values()):
            (root / folder / f"{number:02}.jpg").write_bytes(make())
    (root / "good" / "rotated.jpg").write_bytes(with_orientation(6, "JPEG")[0])
    (root / "good" / "notes.txt").write_text("x")
    return root


def put(root: Path, uri: str, seed: int) -> None:
    """A photo of its own."""
    (root / uri).parent.mkdir(parents=True, exist_ok=True)
    (root / uri).write_bytes(encode(draw_pixels(seed), "PNG"))


def write_voc(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    path.write_text(f"<annotation>{size}{BOX}</annotation>")


def measured(source: PhotoSource, workers: int = 1) -> list[ImageRecord | Rejection]:
    return list(measure_all(source, list(source), workers))


def test_a_record_says_what_the_stored_bytes_are(tmp_path: Path) -> None:
    data, stored = with_orientation(6, "JPEG")
    (tmp_path / "p/train/dog").mkdir(parents=True)
    (tmp_path / "p/train/dog/a.jpg").write_bytes(data)
    write_voc(tmp_path / "boxes/train/dog/a.xml", width=60, height=40)
    digest = hashlib.sha256(data).hexdigest()
    assert measured(open_source(str(tmp_path / "p"), boxes=tmp_path / "boxes")) == [
        ImageRecord(
            image_id=digest[:32],
            source="p",
            uri="train/dog/a.jpg",
            sha256=digest,
            width=60,
            height=40,
            exif_orientation=6,
            label="dog",
            source_split="train",
            boxes_xyxy_px=((1, 2, 10, 9),),
            phash=perceptual_hash(stored),
            flags=(),
        )
    ]


def test_no_bad_photo_is_fatal_and_each_has_its_reason(photos: Path) -> None:
    results = measured(open_source(str(photos)))
    rejected = {result.uri: result.reason for result in results if isinstance(result, Rejection)}
    assert rejected == {f"bad/{number:02}.jpg": reason for number, (_, reason) in enumerate(REJECTED.values())}
    assert len(results) == len(REJECTED) + len(FLAGGED) + 1


def test_boxes_drawn_on_another_size_are_a_rejection(tmp_path: Path) -> None:
    put(tmp_path / "p", "dog/a.png", 1)
    write_voc(tmp_path / "boxes/dog/a.xml", width=40, height=60)
    (result,) = measured(open_source(str(tmp_path / "p"), boxes=tmp_path / "boxes"))
    assert isinstance(result, Rejection)
    assert (result.source, result.uri, result.reason) == ("p", "dog/a.png", "size_mismatch")
    assert result.detail.endswith("the photo's 60x40 (width x height), got boxes drawn on 40x60")


def test_links_out_of_the_source_are_rejected(tmp_path: Path) -> None:
    put(tmp_path, "secret/a.png", 1)
    put(tmp_path, "p/dog/b.png", 2)
    (tmp_path / "p/dog/link.png").symlink_to(tmp_path / "secret/a.png")
    record, rejection = measured(open_source(str(tmp_path / "p")))
    assert isinstance(record, ImageRecord)
    assert isinstance(rejection, Rejection)
    assert (rejection.uri, rejection.reason) == ("dog/link.png", "source_fault")
    assert "got one that leaves it" in rejection.detail


def test_known_photos_are_passed_over_and_progress_counts_them_as_done(tmp_path: Path) -> None:
    for number in (0, 3):
        put(tmp_path / "p", f"dog/{number}.png", number)
    source = open_source(str(tmp_path / "p"))
    calls: list[tuple[str, int, int]] = []
    with Workspace.create(tmp_path / "ws") as store:
        index_source(store, source)
        for number in (1, 2, 4):
            put(tmp_path / "p", f"dog/{number}.png", number)
        report = index_source(store, source, progress=lambda *call: calls.append(call))
        assert sorted(image.uri for image in store.images()) == [f"dog/{number}.png" for number in range(5)]
    assert (report.added, report.already_there) == (3, 2)
    assert calls == [("index", 5, 5)]


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_records_in_the_same_order(photos: Path) -> None:
    for number in range(200):  # more than the workers are handed ahead
        put(photos, f"many/{number:03}.png", number)
    source = open_source(str(photos))
    assert measured(source, workers=2) == measured(source)


class _Unreachable:
    """A source on a disk that fails."""

    name, kind, locator = "gone", "folder", "/gone"
    options: dict[str, str] = {}  # noqa: RUF012  a protocol's property

    def __iter__(self) -> object:
        yield SourceItem(uri="a.jpg", label="dog", source_split="")

    def read(self, uri: str) -> bytes:
        raise OSError(5, "Input/output error", uri)


def test_a_source_out_of_reach_condemns_no_photo() -> None:
    item = SourceItem(uri="a.jpg", label="dog", source_split="")
    with pytest.raises(ServiceError, match="run again to go on"):
        measure(_Unreachable(), item)  # type: ignore[arg-type]


# Into the workspace


def test_a_report_counts_everything_and_a_second_run_adds_nothing(photos: Path, tmp_path: Path) -> None:
    put(photos, "good/twin.png", 77)
    shutil.copy(photos / "good/twin.png", photos / "good/twin2.png")
    source = open_source(str(photos))
    good = len(FLAGGED) + 2
    calls: list[tuple[str, int, int]] = []
    with Workspace.create(tmp_path / "ws") as store:
        report = index_source(store, source, progress=lambda *call: calls.append(call))
        first = list(store.images())
        assert (report.added, report.already_there, report.duplicates) == (good, 0, 1)
        assert report.rejected == dict(sorted(Counter(reason for _, reason in REJECTED.values()).items()))
        flags = Counter(flag for _, flags in FLAGGED.values() for flag in flags)
        assert report.flags == flags + Counter(exif_rotated=1)
        assert report.passed_over == {".txt": 1}
        assert not report.faults
        again = index_source(store, source)
        assert list(store.images()) == first
    assert calls[-1] == ("index", *(good + 1 + len(REJECTED),) * 2)
    assert (again.added, again.already_there, again.duplicates) == (0, good + 1, 0)
    assert again.rejections == report.rejections
    assert len(first) == good


@pytest.mark.parametrize(
    ("licence", "restricted", "terms"),
    [
        (None, None, "licence: none stated, so publish will refuse these pixels"),
        ("CC BY 4.0", None, "licence: CC BY 4.0"),
        ("CC BY 4.0", True, "licence: CC BY 4.0; not to be passed on: its maintainer said so"),
        (None, False, "licence: none stated"),
    ],
)
def test_the_report_says_under_which_terms(
    tmp_path: Path, licence: str | None, restricted: bool | None, terms: str
) -> None:
    put(tmp_path / "p", "dog/a.png", 1)
    figureground.index(str(tmp_path / "p"), tmp_path / "ws")
    again = figureground.index(str(tmp_path / "p"), tmp_path / "ws", licence=licence, restricted=restricted)
    line = str(again).splitlines()[1].strip()
    assert line.startswith(terms)
    assert ("refuse" in line) == (licence is None and restricted is None)
    assert again.to_dict()["terms"] == line.removeprefix("licence: ")


def test_the_report_reads_well_and_goes_to_json(tmp_path: Path) -> None:
    put(tmp_path / "p", "dog/a.png", 1)
    (tmp_path / "p/dog/b.jpg").write_bytes(b"")
    with Workspace.create(tmp_path / "ws") as store:
        report = index_source(store, open_source(str(tmp_path / "p")))
    assert str(report) == (
        "p: 1 photos added, 0 known before, 0 duplicates, 1 rejected; unusual but usable: none; "
        "passed over: none\n  dog/b.jpg: zero_byte (the file is empty)"
    )
    assert report.to_dict() == {
        "source": "p",
        "added": 1,
        "already_there": 0,
        "duplicates": 0,
        "rejected": {"zero_byte": 1},
        "rejections": [{"source": "p", "uri": "dog/b.jpg", "reason": "zero_byte", "detail": "the file is empty"}],
        "flags": {},
        "grouped": 0,
        "groups": 0,
        "passed_over": {},
        "terms": "",
        "warnings": [],
        "faults": [],
    }


def test_a_rejected_photo_that_became_a_duplicate_is_one_from_then_on(tmp_path: Path) -> None:
    put(tmp_path / "p", "dog/a.png", 1)
    (tmp_path / "p/dog/b.png").write_bytes(b"")
    with Workspace.create(tmp_path / "ws") as store:
        index_source(store, open_source(str(tmp_path / "p")))
        shutil.copy(tmp_path / "p/dog/a.png", tmp_path / "p/dog/b.png")
        reports = [index_source(store, open_source(str(tmp_path / "p"))) for _ in range(3)]
    assert [(report.duplicates, report.already_there) for report in reports] == [(1, 1), (0, 2), (0, 2)]


def test_a_mended_photo_is_taken_on_the_next_run(tmp_path: Path) -> None:
    put(tmp_path / "p", "dog/a.png", 1)
    (tmp_path / "p/dog/b.png").write_bytes(b"")
    source = open_source(str(tmp_path / "p"))
    with Workspace.create(tmp_path / "ws") as store:
        index_source(store, source)
        put(tmp_path / "p", "dog/b.png", 2)
        report = index_source(store, source)
        assert (report.added, report.already_there, report.rejections) == (1, 1, [])
        assert sorted(image.uri for image in store.images()) == ["dog/a.png", "dog/b.png"]


def test_equal_bytes_under_two_labels_are_a_fault_until_a_person_decides(tmp_path: Path) -> None:
    put(tmp_path / "p", "cat/a.png", 1)
    put(tmp_path / "p", "dog/a.png", 1)
    source = open_source(str(tmp_path / "p"))
    with Workspace.create(tmp_path / "ws") as store:
        report = index_source(store, source)
        (first,) = store.images()
        assert (first.uri, first.label) == ("cat/a.png", "cat")
        assert [(rejection.uri, rejection.reason) for rejection in report.rejections] == [
            ("dog/a.png", "label_conflict")
        ]
        with pytest.raises(DataError) as caught:
            report.faults.raise_if_any()
        (fault,) = caught.value.faults
        assert "cat/a.png" in fault.expected
        assert (fault.where, fault.record, fault.got) == ("p", "dog/a.png", "the label dog")
        assert first.image_id in fault.remedy
        assert report.to_dict()["faults"] == [str(fault)]
        assert index_source(store, source).faults.collected == [fault]  # a run that was killed hides none
        (tmp_path / "p/dog/a.png").unlink()
        assert not index_source(store, source).faults.collected


def test_equal_bytes_in_two_sources_name_the_other_source(tmp_path: Path) -> None:
    put(tmp_path / "one", "cat/a.png", 1)
    put(tmp_path / "two", "dog/a.png", 1)
    with Workspace.create(tmp_path / "ws") as store:
        index_source(store, open_source(str(tmp_path / "one")))
        (fault,) = index_source(store, open_source(str(tmp_path / "two"))).faults
    assert fault.where == "two"
    assert "one: cat/a.png" in fault.expected


def test_a_moved_source_keeps_its_name_and_another_one_may_not_take_it(tmp_path: Path) -> None:
    put(tmp_path / "a/photos", "dog/a.png", 1)
    put(tmp_path / "b/photos", "dog/a.png", 2)
    shutil.copytree(tmp_path / "a/photos", tmp_path / "c/photos")
    put(tmp_path / "c/photos", "dog/new.png", 3)
    with Workspace.create(tmp_path / "ws") as store:
        index_source(store, open_source(str(tmp_path / "a/photos")))
        with pytest.raises(UsageError, match="a name of its own with --name"):
            index_source(store, open_source(str(tmp_path / "b/photos")))
        assert store.sources()["photos"].locator == str(tmp_path / "a/photos")
        report = index_source(store, open_source(str(tmp_path / "c/photos")))
        assert (report.added, report.already_there) == (1, 1)
        assert store.sources()["photos"].locator == str(tmp_path / "c/photos")


SCRIPT = """
import sys
from pathlib import Path
from figureground.annotate.catalogue import index_source
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

if __name__ == "__main__":
    with Workspace.create(Path(sys.argv[2])) as store:
        show = lambda stage, done, total: print(done, flush=True)
        print(index_source(store, open_source(sys.argv[1]), workers=int(sys.argv[3]), progress=show).added)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_loses_one_batch_at_most_and_leaves_no_process(tmp_path: Path, workers: int) -> None:
    count = 700
    for number in range(count):
        put(tmp_path / "p", f"dog/{number:04}.png", number)
    (tmp_path / "run.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "p"), str(tmp_path / "ws"), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    if process.stdout is None:
        pytest.fail("no pipe")
    stored = int(process.stdout.readline())  # the first batch is in
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert _ends(process.pid), "workers outlive a killed run"
    process.stdout.close()
    with Workspace.open(tmp_path / "ws") as store:
        assert stored <= len(list(store.images())) < count
        before = len(list(store.images()))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[-1]) == count - before
    with Workspace.open(tmp_path / "ws") as store:
        assert len(list(store.images())) == count


def _ends(session: int) -> bool:
    """Whether every process of a session ends within seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(session, signal.SIGKILL)
    return False


@pytest.mark.slow
def test_the_real_photos_are_catalogued_once_each(tmp_path: Path) -> None:
    root = SHARED / "photos_in9"
    need_shared(root)
    with Workspace.create(tmp_path) as store:
        report = index_source(store, open_source(str(root)), workers=2)
        records = list(store.images())
    assert (report.added, report.rejections, len(records)) == (186, [], 186)
    for record in records[:20]:
        data = (root / record.uri).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record.sha256
        assert decode_photo(data).shape == (record.height, record.width, 3)
