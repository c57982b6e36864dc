"""Files that ask for more time or memory than they hold are refused by their headers, before room is made."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parser_samples import photos
from pulled_exports import GOOD, MASK, A, B, faults_of, state_of
from studio_samples import make_answer, make_export, painted

from figureground.annotate.human.questions import read_foils
from figureground.annotate.segmenters.embeddings import _read as read_embedding
from figureground.errors import DataError
from figureground.exports.dataset.folder import DatasetFolder, LocalFiles
from figureground.exports.evaluation import jobs
from figureground.exports.evaluation.dataset import count_masks
from figureground.exports.evaluation.label_spaces import parse_class_map
from figureground.exports.evaluation.model_files.settings import read_settings
from figureground.exports.evaluation.values import EvaluationError
from figureground.exports.publishing.plan import _gate_prompt
from figureground.exports.report.report import write_report
from figureground.exports.report.stored_answers import read_arrays
from figureground.exports.report.stored_results import reading_results
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.arrays import read_array
from figureground.schemas.rasters.masks import decode_npy
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.sources.parquet import ParquetSource
from figureground.schemas.sources.tar_files import open_tar
from figureground.schemas.store.workspace import Workspace

# Archives


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    """A tar header of a member of any kind and size."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def attributes(count: int) -> bytes:
    """Attributes of all members that follow."""
    records = [f"k{number:04}=v\n".encode() for number in range(count)]
    body = b"".join(b"%d %s" % (len(record) + 3, record) for record in records)
    return header(b"g", len(body)) + body.ljust(-(-len(body) // 512) * 512, b"\0")


ARCHIVES: Final[dict[str, tuple[bytes, str]]] = {
    "a name of 2 GiB": (header(b"L", 2 << 30), "a header of more than 65536 bytes"),
    "attributes of 3 GiB": (header(b"x", 3 << 30), "a header of more than 65536 bytes"),
    "a number of 60,000 digits": (header(b"x", 60_000) + b"1" * 60_416, "a number of more than a thousand digits"),
    "a name of -512 bytes": (header(b"L", -512), "header"),
    "300 attributes of all": (attributes(300) + header(b"0", 0), "more than 100 attributes of all its members"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_headers_of_an_archive_are_short(case: str, tmp_path: Path) -> None:
    data, words = ARCHIVES[case]
    with (path := tmp_path / "a.tar").open("wb") as file:
        file.write(data)
        file.truncate(max(len(data) + 1024, 3 << 30 if "GiB" in case else 0))  # sparse: no disk is filled
    began = time.process_time()
    with pytest.raises(DataError, match=words):
        open_tar(path)
    assert time.process_time() - began < 1


def test_long_names_and_attributes_of_real_archives_are_read(tmp_path: Path) -> None:
    for number, form in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        with tarfile.open(tmp_path / f"{number}.tar", "w", format=form, pax_headers={"comment": "x" * 900}) as archive:
            name = "/".join(["d" * 200] * 15 + ["ä.png"])
            archive.addfile(tarfile.TarInfo(name))
        assert list(open_tar(tmp_path / f"{number}.tar").members) == [name]


# Arrays


def npy(head: str, body: bytes = b"") -> bytes:
    """A file of NumPy's with any header."""
    text = head.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def described(descr: str, shape: str) -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


HEADS: Final[dict[str, bytes]] = {
    "10 GB of truths": npy(described("'|b1'", "(100000, 100000)"), b"\0"),
    "a shape below 0": npy(described("'|b1'", "(-1, 3)"), b"\0"),
    "a number beyond 64 bits": npy(described("'<f8'", f"({9 * 10**30}, 1)")),
    "text of 0.8 GB": npy(described("'<U200000000'", "(1,)")),
    "nothing, very often": npy(described("'|V0'", "(100000, 100000)")),
    "dates": npy(described("'<M8[s]'", "(1, 1)"), bytes(8)),
    "structures": npy(described("[('a', '<i4')]", "(1, 1)"), bytes(4)),
    "objects": npy(described("'|O'", "(1, 1)"), bytes(8)),
    "complex numbers": npy(described("'<c16'", "(1, 1)"), bytes(16)),
    "brackets": npy("(" * 9000),
    "braces": npy("{" * 300),
    "no text": b"\x93NUMPY\x01\x00\x04\x00\xff\xff\xff\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("case", HEADS)
def test_an_array_is_no_larger_than_its_file(case: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a \.npy file without pickle") as raised:
        read_array(HEADS[case], where="a.npy")
    assert case != "10 GB of truths" or "shape (100000, 100000) of bool in 1 bytes" in str(raised.value)
    assert case != "text of 0.8 GB" or "dtype <U200000000" in str(raised.value)
    with pytest.raises(DataError):
        decode_npy(HEADS[case])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("label.npy", HEADS[case])
    if case not in ("dates", "structures", "complex numbers"):
        with pytest.raises(DataError, match="answers of evaluate"):
            read_arrays(tmp_path / "a.npz", ["label"])
    assert jobs.read_predictions(tmp_path / "a.npz", "k") is None
    with zipfile.ZipFile(tmp_path / "e.npz", "w") as archive:
        archive.writestr("arr_0.npy", HEADS[case])
    assert read_embedding(tmp_path / "e.npz", [(1, 1)]) is None


def test_stored_answers_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = io.BytesIO()
    np.savez_compressed(zeros, key=np.array("k"), label=np.zeros(4_000_000))
    (path := tmp_path / "a.npz").write_bytes(zeros.getvalue())
    assert len(zeros.getvalue()) < 100_000
    stored = jobs.read_predictions(path, "k")
    assert stored is not None
    assert stored["label"].shape == (4_000_000,)
    monkeypatch.setattr(jobs, "MOST_ARRAY_BYTES", 1_000_000)
    assert jobs.read_predictions(path, "k") is None
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("label", b"no array")
    with pytest.raises(DataError, match="answers of evaluate"):
        read_arrays(path, ["label"])


def test_a_pipe_among_the_files_of_a_dataset_is_no_file(tmp_path: Path) -> None:
    name = "data/original/test-00000-of-00001.parquet"
    (tmp_path / name).parent.mkdir(parents=True)
    os.mkfifo(tmp_path / name)
    dataset = DatasetFolder(name="d", manifest={name: ""}, files=LocalFiles(tmp_path))
    with pytest.raises(DataError, match="expected a file, got a pipe"):
        list(dataset.rows("original"))


def test_a_column_whose_name_is_no_text_is_a_fault_of_its_file(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"image": [b"x"], "label": ["a"], "zebra": [1]}), tmp_path / "p.parquet", store_schema=False
    )
    data = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(data.replace(b"zebra", b"zeb\xff\xff"))
    (item,) = ParquetSource(name="s", locator=str(tmp_path / "p.parquet"))
    assert "expected a Parquet file" in item.fault


@pytest.mark.parametrize("number", range(len(photos())))
def test_large_photos_are_converted_in_strips_to_the_same_pixels(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decode_photo(photos()[number])
    monkeypatch.setattr("figureground.schemas.rasters.photos._MOST_WHOLE_PIXELS", 100)
    monkeypatch.setattr("figureground.schemas.rasters.photos._STRIP_PIXELS", 70)
    np.testing.assert_array_equal(decode_photo(photos()[number]), whole)


# Numbers and nesting in JSON

CLASSES: Final = [{"index": 0, "name": "a", "wnids": ["a"], "imagenet_indices": [0]}]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 2000,
        json.dumps({"classes": [{**CLASSES[0], "index": float("inf")}]}),
        json.dumps({"classes": [{**CLASSES[0], "wnids": 3}]}),
        json.dumps({"classes": CLASSES, "unmapped_value": -(10**400)}),
        json.dumps({"classes": "abc"}),
        "null",
    ],
)
def test_a_class_map_of_anything_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(EvaluationError, match=r"class_map\.json: expected") as raised:
        parse_class_map(text)
    assert len(str(raised.value)) < 600


def test_numbers_beyond_float64_are_no_settings(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"scale": 10**400, "mean": [10**400, 0, 0]}))
    with pytest.raises(EvaluationError, match="scale: expected a number above 0"):
        read_settings(tmp_path / "m.onnx", ("scale", "mean"))


def test_a_lock_of_endless_counts_is_an_error_of_ours() -> None:
    lock = json.loads('{"objects": 1e999, "unreviewed": 0, "states": {}}')
    with pytest.raises(EvaluationError, match="expected the numbers of the dataset's masks"):
        count_masks(lock, where="d")


@pytest.mark.parametrize(
    ("states", "agreement"),
    [
        ("{}", '{"min_iou": NaN, "objects": 4, "agreeing": 2}'),
        ("{}", '{"min_iou": 1.5, "objects": 4, "agreeing": 2}'),
        ("{}", '{"min_iou": 0.75, "objects": 4, "agreeing": 5}'),
        ('{"proposal": -3}', '{"min_iou": 0.75, "objects": 4, "agreeing": 2}'),
    ],
)
def test_a_lock_of_impossible_numbers_is_an_error_before_anything_is_scored(states: str, agreement: str) -> None:
    text = f'{{"objects": 4, "unreviewed": 4, "states": {states}, "agreement": {agreement}}}'
    with pytest.raises(EvaluationError, match=r"d/recipe\.lock\.json: expected the numbers of the dataset's masks"):
        count_masks(json.loads(text), where="d")


def test_a_large_document_is_refused_by_its_size(tmp_path: Path) -> None:
    from figureground.schemas.documents import MOST_YAML_BYTES, read_document

    (tmp_path / "c.yaml").write_bytes(b"#" * (MOST_YAML_BYTES + 1))
    with pytest.raises(DataError, match=f"at most {MOST_YAML_BYTES} bytes"):
        read_document(tmp_path / "c.yaml", ClassMap)


def test_a_project_of_more_than_64_bits_keeps_out_no_other_answer(tmp_path: Path) -> None:
    huge = {**make_export(A, [make_answer([painted(MASK)])]), "project": 1 << 70}
    with Workspace.create(tmp_path) as store:
        store.add_images([A, B])
        (fault,), report = faults_of(store, huge, GOOD)
        assert "project" in fault
        assert (report.answers, state_of(store, B), state_of(store, A)) == ({"submitted": 1}, "accepted", "")
        with pytest.raises(DataError, match="expected whole numbers of 64 bits"):
            store.add_studio_tasks("s", 1 << 70, {A.image_id: 1})
        with pytest.raises(DataError, match="text without lone surrogates"):
            store.add_rejections([("s", "\ud800", "truncated", "")])


# Tables, cards and results


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"image_id,foil\na,ring,more\n,\n", "foils.csv"),
        ("image_id,foil\nä,ring\n".encode("latin-1"), "expected UTF-8 text"),
        (b'image_id,foil\na,"' + b"x" * 200_000 + b'"\n', "expected a CSV file"),
        (b"", "an empty file"),
    ],
)
def test_foils_are_read_as_other_tables_are(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "foils.csv").write_bytes(content)
    classes = ClassMap.model_validate({"classes": CLASSES})
    with pytest.raises(DataError, match=words):
        read_foils(tmp_path / "foils.csv", {"a": 0}, classes)


def test_a_card_in_another_encoding_asks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"---\nextra_gated_prompt: \xff\n---\n")
    assert _gate_prompt(tmp_path / "README.md") == ""


SUMMARY: Final[dict[str, Any]] = {"n": 1, "balanced": True, "chance": 0.5, "configs": {}, "slices": {}}
RESULT: Final[dict[str, Any]] = {
    "protocol": "background_check",
    "model": "m",
    "dataset": {"name": "d", "revision": None, "split": "test", "fingerprint": "f"},
    "split": "test",
    "feed": "canvas",
    "label_spaces": {"map3": SUMMARY},
}


@pytest.mark.parametrize(
    "change",
    [
        lambda result: {**result, "label_spaces": {"map3": 7}},
        lambda result: {**result, "label_spaces": [1]},
        lambda result: {**result, "label_spaces": {"map3": {**SUMMARY, "configs": {"original": 3}}}},
        lambda result: {**result, "protocol": "imagenet9", "label_space": ["x"]},
        lambda result: {**result, "protocol": "rival10"},
        lambda result: {**result, "protocol": "imagenet_a", "label_spaces": {"1000": {**SUMMARY, "configs": "x"}}},
        lambda result: {**result, "dataset": 5},
    ],
)
def test_results_of_another_shape_are_a_fault_of_their_file(
    change: Callable[[dict[str, Any]], Any], tmp_path: Path
) -> None:
    (tmp_path / "r.json").write_text(json.dumps(change(RESULT)))
    with pytest.raises(DataError, match=r"r\.json: expected (a result|results) of evaluate"):
        write_report([tmp_path / "r.json"], tmp_path / "out")


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ZeroDivisionError("x"), RecursionError()])
def test_what_a_part_of_another_kind_raises_names_the_files(error: Exception) -> None:
    with (
        pytest.raises(DataError, match=r"r\.json: expected results of evaluate, got"),
        reading_results([Path("r.json")]),
    ):
        raise error
