"""One command for many models: some fail, the others are scored, a killed run goes on, and report knows the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from colour_dataset import HEAD, PLAIN, shares, write_adapter, write_dataset, write_onnx
from scored_cases import scratch

from figureground.cli.app import main
from figureground.errors import DataError, UsageError
from figureground.exports.evaluation import on_ray
from figureground.exports.report.report import write_report
from figureground.exports.zoo import evaluate_zoo
from figureground.runtime.engines import EngineChoice

SETTINGS: dict[str, Any] = {"bootstrap": 20}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    with scratch(tmp_path):
        write_dataset(tmp_path / "colours")
        for name, sign in (("right", 1), ("wrong", -1)):
            write_onnx(tmp_path / f"{name}.onnx", (HEAD * sign).astype("float32"), settings=PLAIN)
        yield


def write_models(*models: dict[str, Any]) -> Path:
    path = Path("models.yaml")
    path.write_text(yaml.safe_dump({"models": list(models)}))
    return path


def listed(name: str, **more: Any) -> dict[str, Any]:
    return {"model": name, "spec": f"{name}.onnx" if "onnx" not in name else name + ".onnx", "family": "onnx", **more}


def test_models_that_fail_stop_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    write_adapter(Path(), "late", answer="images.mean(axis=(1, 2)) if len(images) == 3 else 1 / 0")
    models = write_models(
        {"model": "onnx:none", "family": "a"},
        {"model": "late", "spec": "late:make", "family": "b"},
        listed("onnx:right"),
        {"model": "onnx:other", "spec": "onnx:wrong.onnx", "family": "c"},
        listed("onnx:wrong"),
    )
    notices = list[str]()
    report = evaluate_zoo("colours", models, out=Path("scores"), notice=notices.append, **SETTINGS)
    assert [result["model"] for result in report.results] == ["onnx:right", "onnx:wrong"]
    assert shares(report.results[0])["original"] == pytest.approx(5 / 6)
    reasons = {failure.model: (failure.exit_code, failure.reason) for failure in report.failures}
    assert list(reasons) == ["onnx:none", "onnx:other", "late"]  # the last was known when it was scored
    assert reasons["onnx:none"] == (2, "none: no such model")
    assert "results will call it 'onnx:wrong'" in reasons["onnx:other"][1]
    assert "late: original/id0: it fails on images (6, 16, 16, 3): ZeroDivisionError" in reasons["late"][1]
    assert notices[0] == "onnx:none: none: no such model"
    assert notices[-1] == "5 of 5: onnx:wrong is done"
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "colours", "--models", "models.yaml", "-o", "scores", "--bootstrap", "20", "--json"])
    assert stop.value.code == 1
    printed = capsys.readouterr()
    assert [result["model"] for result in json.loads(printed.out)["results"]] == ["onnx:right", "onnx:wrong"]
    assert "3 of 5 models were not scored" in " ".join(printed.err.split())


def test_something_outside_that_failed_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    (Path() / "off.py").write_text(
        "from figureground.errors import ServiceError\ndef make():\n    raise ServiceError('the store is closed')\n"
    )
    write_models({"model": "off", "spec": "off:make", "family": "a"}, listed("onnx:right"), listed("onnx:none"))
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "colours", "--models", "models.yaml", "--bootstrap", "20"])
    assert stop.value.code == 3
    printed = capsys.readouterr()
    assert "onnx:right" in printed.out
    assert "off: the store is closed" in " ".join(printed.err.split())


def test_a_zoo_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    write_adapter(Path(), "counting")
    models = write_models({"model": "counting", "spec": "counting:make", "family": "a"}, listed("onnx:right"))
    first = evaluate_zoo("colours", models, out=Path("scores"), **SETTINGS)
    calls = Path("calls.log").read_text().splitlines()
    again = evaluate_zoo("colours", models, out=Path("scores"), **SETTINGS)
    tried = Path("calls.log").read_text().splitlines()[len(calls) :]
    assert tried == ["3", "3"]  # drawn pictures: when all are opened, and when it is scored
    assert json.dumps(again.results) == json.dumps(first.results)


def test_what_no_model_could_survive_ends_the_command(tmp_path: Path) -> None:
    models = write_models(listed("onnx:right"))
    with pytest.raises(Exception, match="has no config nope"):
        evaluate_zoo("colours", models, configs=["nope"], **SETTINGS)
    with pytest.raises(Exception, match="neither a folder nor a Hub id"):
        evaluate_zoo("nothing here", models, **SETTINGS)
    with pytest.raises(UsageError, match="cannot be read"):
        evaluate_zoo("colours", Path("none.yaml"), **SETTINGS)
    Path("models.yaml").write_text("models: [{model: a, clan: x}]")
    with pytest.raises(DataError, match="clan"):
        evaluate_zoo("colours", models, **SETTINGS)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "which models"),
        (["--model", "onnx:right.onnx", "--models", "models.yaml"], "which models"),
        (["--models", "models.yaml", "--eval-results-yaml", "r.yaml"], "eval results are of one model"),
    ],
)
def test_models_are_named_in_one_way(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_models(listed("onnx:right"))
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "colours", *words])
    assert stop.value.code == 2
    assert reason in " ".join(capsys.readouterr().err.split())


def test_the_report_takes_families_and_sizes_from_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    models = write_models(listed("onnx:right", parameters=9), listed("onnx:wrong"))
    evaluate_zoo("colours", models, out=Path("scores"), **SETTINGS)
    with_file, without = Path("with"), Path("without")
    for out, given in ((with_file, models), (without, None)):
        assert "imagenet9.trends.png" in write_report([Path("scores")], out, models=given)
    assert (with_file / "imagenet9.trends.png").read_bytes() != (without / "imagenet9.trends.png").read_bytes()


def test_on_ray_too_a_result_bears_the_name_that_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "evaluate_on_ray", lambda _, specs, *__, **___: [{"model": f"onnx:{specs[0]}"}])
    models = write_models(
        {"model": "mine", "spec": "wrong", "family": "a"}, {"model": "onnx:right", "spec": "right", "family": "a"}
    )
    report = evaluate_zoo("colours", models, choice=EngineChoice(kind="ray"), **SETTINGS)
    assert report.results == ({"model": "onnx:right"},)
    (failure,) = report.failures
    assert (failure.model, failure.exit_code) == ("mine", 2)
    assert "results will call it 'onnx:wrong'" in failure.reason
