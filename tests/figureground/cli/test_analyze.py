"""``figureground analyze``: help with examples, JSON on stdout, files in a folder, one line where something lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from figureground.cli import analyze as analyze_cli
from figureground.cli.app import main
from figureground.errors import MissingExtraError

VERBS = ("saliency", "worst", "spuriosity", "features", "probe", "heads")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from figure_dataset import write_figures

    return write_figures(tmp_path_factory.mktemp("analyze") / "figures")


def run(*arguments: str | Path) -> str:
    pytest.importorskip("captum")
    done = CliRunner().invoke(analyze_cli.analyze, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb: str) -> None:
    done = CliRunner().invoke(analyze_cli.analyze, [verb, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert f"figureground analyze {verb}" in done.stdout
    assert "Example" in done.stdout


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; from figureground.cli.analyze import analyze;"
        "analyze(['saliency', '--help'], standalone_mode=False);"
        "print(sorted({'torch', 'captum', 'matplotlib', 'sklearn', 'datasets', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("package", "name"), [("captum", "captum"), ("sklearn", "scikit-learn")])
def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, name: str) -> None:
    monkeypatch.setattr(analyze_cli, "find_spec", lambda wanted: None if wanted == package else object())
    arguments = [str(tmp_path), "--model", "timm:resnet18", "-o", str(tmp_path / "out")]
    for verb in VERBS:
        done = CliRunner().invoke(analyze_cli.analyze, [verb, *arguments])
        assert isinstance(done.exception, MissingExtraError)
        assert str(done.exception) == f"{name} is not installed; install it with: pip install 'figureground[analyses]'"


@pytest.mark.parametrize("verb", VERBS)
def test_a_device_that_is_not_there_is_one_line(
    figures: Path, tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("captum")
    model = ["--model", "figure_models:half_lazy", "--device", "cuda:99"]
    with pytest.raises(SystemExit) as stop:
        main(["analyze", verb, str(figures), *model, "-o", str(tmp_path / "out")])
    assert stop.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]  # datasets may have shown its progress before
    assert last.startswith("error: device cuda:99: this machine has none; it has cpu")
    assert not (tmp_path / "out").exists()


def test_saliency_as_json_and_as_text(figures: Path, tmp_path: Path) -> None:
    common = ("saliency", figures, "--model", "figure_models:looks_at_figure", "--bootstrap", "50", "--shown", "1")
    printed = json.loads(run(*common, "-o", tmp_path / "one", "--json"))
    assert printed["models"][0]["by_true_class"]["mean"]["iou"]["value"] > 0.9
    families = tmp_path / "families.yaml"
    families.write_text("models:\n  - {model: looks-at-figure, family: careful}\n", encoding="utf-8")
    further = ("--limit", "3", "--method", "gradient", "--seed", "3", "--families", families)
    text = run(*common, "-o", tmp_path / "two", *further)
    assert "3 of 3 images" in text
    stored = json.loads((tmp_path / "two" / "saliency.json").read_text(encoding="utf-8"))
    assert (stored["dataset"]["limit"], stored["seed"]) == (3, 3)
    assert (stored["models"][0]["device"], stored["models"][0]["precision"]) == ("cpu", "float32")
    assert stored["models"][0]["saliency"]["method"] == "gradient"
    assert list(stored["comparison"]["families"]) == [stored["models"][0]["family"]] == ["careful"]
    assert stored["models"][0]["saliency"]["layer"] is None


def test_worst_features_and_spuriosity(figures: Path, tmp_path: Path) -> None:
    model = ("--model", "figure_models:half_lazy")
    assert "worst.json" in run("worst", figures, *model, "-o", tmp_path / "worst", "-k", "2", "--by", "true")
    features = run("features", figures, *model, "-o", tmp_path / "features", "-k", "4", "--json")
    printed = json.loads(features, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert printed["regions"]["entire-object"]["best_units"][0]["correlation"] is None
    assert printed["regions"]["knob"]["best_units"][0]["unit"] == 4
    text = run("spuriosity", figures, *model, "-o", tmp_path / "ranks", "-k", "3", "--split", "train")
    assert "red: spurious units [3]" in text
    assert "green: no spurious feature" in text


def test_probe_then_saliency_of_the_head(figures: Path, tmp_path: Path) -> None:
    head = tmp_path / "heads" / "lazy.safetensors"
    arguments = ("--model", "figure_models:half_lazy", "--epochs", "12", "--learning-rate", "0.5")
    printed = json.loads(run("probe", figures, *arguments, "-o", head, "--json"))
    assert printed["epochs"] == 12
    assert printed["validation_accuracy"][printed["chosen_epoch"] - 1] == 1.0
    spec = f"figureground.exports.analyses.probe:head={head}::figure_models:half_lazy"
    text = run("saliency", figures, "--model", spec, "-o", tmp_path / "out", "--bootstrap", "50", "--shown", "0")
    assert "half-lazy+head:lazy (12 of 12 images)" in text


def test_heads_prints_the_table_and_takes_names_parted_by_commas(tmp_path: Path) -> None:
    from ground_dataset import write_grounds

    grounds = write_grounds(tmp_path / "grounds")
    arguments = ("heads", grounds, "--model", "figure_models:six_colours", "--epochs", "3", "--bootstrap", "50")
    text = run(*arguments, "-o", tmp_path / "one", "--train", "mixed_rand, original", "--test", "mixed_rand,mixed_same")
    assert text.startswith((tmp_path / "one" / "heads.txt").read_text(encoding="utf-8"))
    assert "trained on" in text
    assert text.splitlines()[-1].endswith(
        "mixed_rand.safetensors, original.safetensors, heads.json, heads.txt, heads.png"
    )
    printed = json.loads(run(*arguments, "-o", tmp_path / "two", "--json", "--seed", "3"))
    assert printed == json.loads((tmp_path / "two" / "heads.json").read_text(encoding="utf-8"))
    assert (printed["train"], printed["training"]["seed"], printed["training"]["epochs"]) == (
        ["original", "mixed_rand"],
        3,
        3,
    )
