"""Scores on Ray: the files of one machine, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from colour_dataset import HEAD, PLAIN, write_onnx
from ray_cluster import shared_ray
from typer.testing import CliRunner

from figureground.cli.app import app
from figureground.errors import UsageError
from figureground.exports import evaluate as script
from figureground.exports.evaluation import on_ray
from figureground.exports.evaluation.jobs import answers_file, config_of
from figureground.exports.evaluation.on_ray import evaluate_on_ray
from figureground.runtime.engines import EngineChoice

pytestmark = [pytest.mark.same_on_file, pytest.mark.usefixtures("offline_datasets", "fresh_modules")]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_results_and_predictions_are_those_of_one_machine(repo: Path, tmp_path: Path) -> None:
    shared_ray()
    models = [
        f"onnx:{write_onnx(tmp_path / f'{name}.onnx', HEAD * scale, settings=PLAIN)}"
        for name, scale in (("colour", 1), ("pale", -1))
    ]
    expected = [script.evaluate(str(repo), model, out=tmp_path / "local", bootstrap=40) for model in models]
    words = [word for model in models for word in ("--model", model)]
    command = ["evaluate", str(repo), *words, "-o", str(tmp_path / "ray"), "--bootstrap", "40", "--engine", "ray"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["results"] == json.loads(json.dumps(expected))
    local, ray = files_of(tmp_path / "local"), files_of(tmp_path / "ray")
    assert set(ray) == set(local)
    assert {name for name in local if ray[name] != local[name]} == set()
    (tmp_path / "ray" / sorted(ray)[0]).unlink()
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0, again.output
    assert set(files_of(tmp_path / "ray")) == set(local)


def test_what_cannot_be_scored_is_told_as_by_evaluate(repo: Path, tmp_path: Path) -> None:
    shared_ray()
    choice = EngineChoice(kind="ray")
    with pytest.raises(script.EvaluationError, match=r"gone\.onnx"):
        evaluate_on_ray(str(repo), [f"onnx:{tmp_path}/gone.onnx"], choice)
    with pytest.raises(UsageError, match="a dataset on the Hub"):
        evaluate_on_ray(str(repo), ["onnx:any.onnx"], choice, eval_results_yaml=tmp_path / "results.yaml")


@pytest.mark.parametrize(("gpus", "device"), [(0.0, "cuda"), (1.0, "cpu"), (0.0, "nonsense")])
def test_a_device_that_the_cluster_s_gpus_do_not_lead_to_is_refused(repo: Path, gpus: float, device: str) -> None:
    with pytest.raises(UsageError, match="give --ray-gpus for GPUs, and no --device"):
        evaluate_on_ray(str(repo), ["onnx:any.onnx"], EngineChoice(kind="ray", gpus=gpus), device=device)


def test_a_task_gets_all_answers_of_its_model_but_those_of_other_tasks(tmp_path: Path) -> None:
    configs = ("original", "b", "a.b", "attribute_noise", "challenge-128")
    for name in ("mine.one", "other"):
        for config in configs:
            path = answers_file(tmp_path, f"{name}.{'0123456789abcdef'}", config)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"answers")
    call = on_ray._Call(repository="r", model="m", options={})
    for model, others in (("mine.one.", 1), ("", 2)):
        names = {"m": model}
        sent = on_ray._with_files(call, ["original", "a.b"], {"b"}, tmp_path, names).files
        assert sorted(map(config_of, sent)) == sorted([*{*configs} - {"b"}] * others)
