"""Adapters of one's own, several models in one command, and what their tables say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_dataset import PLAIN, write_onnx
from needs import SHARED, need_shared
from scored_cases import colour_model, draw_dataset, list_files, refused, score, scoring_code, scratch

script = scoring_code()
CASES = SHARED / "cases" / "build"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    with scratch(tmp_path):
        yield


ADAPTERS = {
    "raises": ("ZeroDivisionError: division by zero", 1),
    "raises_in_factory": ("RuntimeError: weights file is corrupt", 1),
    "value_error": ("ValueError: bad value", 1),
    "none": ("it lacks name, input_size_hw, weights_sha256, logits", 1),
    "forgets_return": ("it lacks name", 1),
    "batch1": ("expected logits (3, K), got (1, 1000)", 1),
    "transposed": ("expected logits (3, K), got (1000, 3)", 1),
    "upper_sha": ("weights_sha256: expected 64 hex digits", 1),
    "no_sha": ("weights_sha256: expected 64 hex digits, lower case, got None", 1),
    "int_size": ("input_size_hw: expected height and width", 1),
    "path_interp": ("interpolation: expected one of Pillow's names", 1),
    "outputs_typo": ("outputs: expected logits or probabilities, got 'softmax'", 1),
    "labels_class_names_list": ("class_names: expected the dataset's", 1),
    "needs_arg": ("MODULE:CALLABLE=ARGUMENT", 2),
    "not_callable": ("is no callable, but int", 2),
    "inf": ("expected finite logits", 1),
    "masked_inf": ("expected finite logits", 1),
}
GOOD = ("torch_grad", "torch_plain", "bf16", "aslist", "onehot_probs", "list_size", "slash_name")


@pytest.mark.parametrize("name", [*ADAPTERS, *GOOD])
def test_the_shared_adapters_are_read_or_named(tmp_path: Path, name: str) -> None:
    case = CASES / "20_bad_adapters" / "badadapters.py"
    need_shared(case)
    pytest.importorskip("torch")
    shutil.copy(case, tmp_path)
    tiny = Path(shutil.copytree(CASES / "00_tiny", tmp_path / "00_tiny"))
    if name in GOOD:
        assert score(tiny, f"badadapters:{name}")["n"] == 4
        return
    words, code = ADAPTERS[name]
    assert words in refused(tiny, f"badadapters:{name}", code)


ADAPTER = """
import numpy as np
class A:
    name = "mine"; input_size_hw = (8, 8); weights_sha256 = "0" * 64
    {extra}
    def logits(self, images): return {answer}
def make(): {make}
"""


@pytest.mark.parametrize(
    ("extra", "answer", "make", "words"),
    [
        ("", "np.zeros((len(images), 3))", "raise SystemExit(3)", "SystemExit: 3"),
        ("", "np.zeros((len(images), 3))", "raise MemoryError", "make: MemoryError"),
        ("mean = 0.5", "np.zeros((len(images), 3))", "return A()", "mean: expected three numbers"),
        ("name = 'a\\x1b[2J'", "np.zeros((len(images), 3))", "return A()", "name: expected a plain text"),
        ("label_space = 'in9'", "np.zeros((len(images), 3))", "return A()", "label_space: expected map or head"),
        (
            "libraries = ('no-such-package',)",
            "np.zeros((len(images), 3))",
            "return A()",
            "no-such-package is no installed",
        ),
        ("", "np.array([object()] * len(images))", "return A()", "it fails on images"),
        ("", "'text'", "return A()", "it fails on images"),
        ("", "np.zeros((len(images), 7))", "return A()", "mine: expected 1000 or 1001 ImageNet outputs"),
        ("def run_on(self, device, precision): raise RuntimeError('no room')", "0", "return A()", "no room"),
        ("", "0", "return A(", "importing mine: SyntaxError"),
    ],
    ids=["exit", "memory", "mean", "escape", "space", "library", "objects", "text", "outputs", "device", "syntax"],
)
def test_an_adapter_with_a_fault_is_one_line(tmp_path: Path, extra: str, answer: str, make: str, words: str) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER.format(extra=extra, answer=answer, make=make))
    message = refused(draw_dataset(tmp_path / "set"), "mine:make")
    assert words in message
    assert message.isprintable()


@pytest.mark.parametrize("late", ["absent.onnx", "bad.onnx", "nan.onnx", "outputs.onnx"])
def test_all_models_are_tried_before_the_first_is_scored(
    tmp_path: Path, late: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, good = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "good.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    write_onnx(tmp_path / "nan.onnx", np.full((3, 3), np.nan, np.float32), settings=PLAIN)
    write_onnx(tmp_path / "outputs.onnx", np.ones((3, 7), np.float32), settings=PLAIN)
    words = ["--repo", str(folder), "--model", good, "--model", f"onnx:{late}", "--out", "scores"]
    assert script.main(words) in (1, 2)
    output = capsys.readouterr()
    assert late.removesuffix(".onnx") in output.err
    assert output.out == ""
    assert not list(tmp_path.glob("scores/**/*.npz"))


def test_the_faults_of_all_models_are_told_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = draw_dataset(tmp_path / "set")
    words = [word for name in "abc" for word in ("--model", f"onnx:{name}.onnx")]
    assert script.main(["--repo", str(folder), *words]) == 2
    err = capsys.readouterr().err
    assert all(f"{name}.onnx: no such model" in err for name in "abc")


LATE = """
import numpy as np
class A:
    name = "late"; input_size_hw = (8, 8); weights_sha256 = "1" * 64; shown = 0
    def logits(self, images):
        A.shown += 1
        if A.shown > 2: raise RuntimeError("the GPU fell off")
        return np.zeros((len(images), 3))
def make(): return A()
"""


def test_what_is_done_is_printed_though_a_later_model_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, good = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "good.onnx")
    (tmp_path / "mine.py").write_text(LATE)
    words = ["--repo", str(folder), "--model", good, "--model", "mine:make", "--json"]
    assert script.main(words) == 1
    output = capsys.readouterr()
    assert [result["model"] for result in json.loads(output.out)["results"]] == ["onnx:good"]
    assert "the GPU fell off" in output.err


def test_an_unforeseen_error_is_one_line_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, good = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "good.onnx")
    (folder / "class_map.json").unlink()
    (folder / "class_map.json").mkdir()  # nothing foresees a folder of that name
    (folder / "manifest.json").unlink()
    code = script.main(["--repo", str(folder), "--model", good, "--bootstrap", "20"])
    assert code in (1, 2)
    assert script.show_unforeseen(RuntimeError("two\nlines\x1b[2J")) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: RuntimeError: two lines")
    assert line.isprintable()
    path = Path(line.rpartition(" ")[2].rstrip(")"))
    assert "RuntimeError" in path.read_text()
    path.unlink()


@pytest.mark.parametrize(
    ("share", "signed", "text"),
    [
        (-0.0004, True, "+0.0"),
        (-0.0, True, "+0.0"),
        (-0.0004, False, "0.0"),
        (-0.0006, True, "-0.1"),
        (0.5, False, "50.0"),
    ],
)
def test_what_rounds_to_nothing_has_no_minus(share: float, signed: bool, text: str) -> None:
    assert script.percent(share, signed=signed) == text
    assert "-0.0" not in script.Cell(share, (-0.0001, 0.0), signed=signed).text()


def test_classes_of_other_sizes_have_both_means_in_the_table(tmp_path: Path) -> None:
    from scored_cases import change_rows, score

    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "m.onnx")
    assert "over images" not in script.format_table([score(folder, model)])
    change_rows(folder, lambda rows: rows.pop())
    assert "original, over images" in script.format_table([score(list_files(folder), model)])


@pytest.mark.parametrize(("unreviewed", "warned"), [(2, True), (0, False)])
def test_masks_that_nobody_reviewed_stand_in_results_and_tables(tmp_path: Path, unreviewed: int, warned: bool) -> None:
    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "m.onnx")
    states = {"accepted": 6 - unreviewed, "unreviewed": unreviewed}
    lock = {"objects": 6, "unreviewed": unreviewed, "states": states}
    (folder / "recipe.lock.json").write_text(json.dumps(lock))
    result = score(list_files(folder), model)
    assert result["dataset"]["masks"] == lock
    words = "2 of 6 masks are a machine's that nobody reviewed"
    assert (words in script.format_table([result])) is warned
    assert (words in script.format_eval_results(result)) is warned


def shapes(value: Any) -> Iterator[Any]:
    """The same value with one part of it missing, or of another kind, to any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {other: part for other, part in value.items() if other != name}
            for changed in [None, 7, "text", [], {}, *shapes(inner)]:
                yield {**value, name: changed}


def test_results_of_another_shape_are_reported_or_named(tmp_path: Path) -> None:
    """Whatever is missing or foreign in them, to any depth: never a fault of Python's."""
    from figureground.errors import DataError
    from figureground.exports.report.report import write_report

    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "m.onnx")
    result = json.loads(script.json_text(score(folder, model)))
    damaged: list[Any] = list(
        shapes({name: result[name] for name in ("dataset", "model", "protocol", "split", "feed")})
    )
    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / "one.json"
    messages = list[str]()
    for part in [[], 3, "text", {"results": 3}, {"results": [3]}, {}, *damaged]:
        path.write_text(json.dumps(part if not isinstance(part, dict) or "results" in part else {**result, **part}))
        if isinstance(part, dict) and "results" not in part and len(part) < 5:
            path.write_text(json.dumps({name: value for name, value in result.items() if name in part or name == "n"}))
        try:
            write_report([path], tmp_path / "report")
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert all("one.json" in words and "run evaluate again" in words for words in messages)
    path.write_text("[" * 5000)
    with pytest.raises(DataError, match="RecursionError"):
        write_report([path], tmp_path / "report")


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"text"])
def test_damaged_answers_are_named_by_the_report(tmp_path: Path, damage: bytes) -> None:
    from figureground.errors import DataError
    from figureground.exports.report.stored_answers import read_answers

    folder, model = draw_dataset(tmp_path / "set"), colour_model(tmp_path / "m.onnx")
    score(folder, model, out=tmp_path / "scores")
    (path,) = (tmp_path / "scores").rglob("*.npz")
    stem = path.name.removesuffix(".original.npz")
    assert len(read_answers({"folder": str(tmp_path / "scores"), "stem": stem}, "original") or ()) == 6
    path.write_bytes(damage)
    with pytest.raises(DataError, match="run evaluate again with the same --out"):
        read_answers({"folder": str(tmp_path / "scores"), "stem": stem}, "original")
