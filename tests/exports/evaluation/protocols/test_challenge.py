"""The adversarial challenge: the same figures as an exhaustive search finds, under every rule, killed or not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from colour_dataset import HEAD, PLAIN, imagenet_weights, write_onnx
from huggingface_hub import parse_eval_result_entries
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pasted_dataset import make_rows, mean_answers, photo_id, write_repository
from typer.testing import CliRunner

from figureground.cli.app import app
from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError
from figureground.exports.evaluation.values import EvaluationError as HouseError

pytestmark = pytest.mark.usefixtures("offline_datasets")

RULES: tuple[str, ...] = ("reference", "exact", "targeted")
SUBSETS: list[list[str]] = [list(rules) for count in (1, 2, 3) for rules in itertools.combinations(RULES, count)]
IDS = [row["image_id"] for row in make_rows()["original"]]
LABELS = np.array([row["label"] for row in make_rows()["original"]])


@pytest.fixture(scope="module")
def pasted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(Path(tmp_path_factory.mktemp("pasted")) / "pasted")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Answers the mean colour."""
    return f"onnx:{write_onnx(tmp_path / 'mean.onnx', HEAD, settings=PLAIN)}"


def fools(answers: NDArray[np.int64], labels: NDArray[np.int64], grounds: NDArray[np.int64], rule: str) -> Any:
    """Which grounds fool which figures, ``(F, G)``, said once more in other words."""
    wrong = answers != labels[:, None]
    if rule == "reference":
        return wrong
    elsewhere = wrong & (grounds[None] != labels[:, None])
    return elsewhere if rule == "exact" else elsewhere & (answers == grounds[None])


@st.composite
def searches(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[str], int]:
    """Answers ``(F, G)``, of which the class is the most likely one, labels of both, rules and a batch size."""
    classes, figures, grounds = (draw(st.integers(1, most)) for most in (4, 12, 9))
    drawn = np.random.default_rng(draw(st.integers(0, 2**32)))
    own, under = drawn.integers(0, classes, figures), drawn.integers(0, classes, grounds)
    under[0] = classes - 1
    answers = drawn.integers(-1, classes, (figures, grounds))
    sure = drawn.random((figures, grounds)) < draw(st.floats(0, 1))
    return np.where(sure, own[:, None], answers), own, under, draw(st.sampled_from(SUBSETS)), draw(st.integers(1, 20))


@given(searches())
def test_the_search_finds_what_an_exhaustive_one_finds(case: Any) -> None:
    answers, own, under, rules, size = case
    asked: list[tuple[int, int]] = []
    batches: list[int] = []
    seen: list[int] = []

    def answer(figures: NDArray[np.int64], grounds: NDArray[np.int64]) -> Any:
        asked.extend(zip(figures.tolist(), grounds.tolist(), strict=True))
        batches.append(len(figures))
        return answers[figures, grounds]

    search = script.GroundSearch(under, np.linspace(0, 1, len(under), dtype=np.float64), rules)
    grounds, shown = search.run(own, answer, size, seen.append)
    for place, rule in enumerate(rules):
        expected = fools(answers, own, under, rule)
        fooled = grounds[:, place] >= 0
        assert np.array_equal(fooled, expected.any(axis=1))
        assert expected[fooled, grounds[fooled, place]].all()
    assert len(set(asked)) == len(asked)
    assert max(batches, default=0) <= size
    assert np.array_equal(np.bincount([figure for figure, _ in asked], minlength=len(own)), shown)
    assert search.tries.sum() == len(asked)
    assert seen[-1] == len(own)
    assert seen == sorted(seen)


def test_what_fooled_before_is_tried_first() -> None:
    labels, under = np.zeros(40, np.int64), np.array([1] * 30)
    answers = np.zeros((40, 30), np.int64)
    answers[:, 17] = 1
    search = script.GroundSearch(under, np.zeros(30), ["exact"])
    grounds, shown = search.run(labels, lambda figures, chosen: answers[figures, chosen], 4, lambda _: None)
    assert (grounds == 17).all()
    assert (shown[:4] == 18).all()
    assert (shown[4:] <= 2).all()
    sure_search = script.GroundSearch(under, np.eye(30)[17], ["exact"])  # the model is sure of this ground alone
    _, shown = sure_search.run(labels, lambda figures, chosen: answers[figures, chosen], 4, lambda _: None)
    assert (shown[:4] == 1).all()


@pytest.mark.parametrize(
    ("ground", "answer", "expected"),
    [
        (1, 0, []),  # right
        (1, 1, ["reference", "exact", "targeted"]),  # the ground's class
        (1, 2, ["reference", "exact"]),  # a third class
        (1, -1, ["reference", "exact"]),  # outside the map
        (0, 2, ["reference"]),  # on a ground of its own class
        (0, 0, []),
    ],
)
def test_rules_by_hand(ground: int, answer: int, expected: Sequence[str]) -> None:
    search = script.GroundSearch(np.array([ground, 2]), np.ones(2), RULES)
    (grounds,), _ = search.run(np.array([0]), lambda _, chosen: np.where(chosen == 0, answer, 0), 1, lambda _: None)
    assert [rule for rule, index in zip(RULES, grounds, strict=True) if index >= 0] == expected


def expected_counts() -> dict[str, int]:
    answers = mean_answers()
    return {rule: int(fools(answers, LABELS, LABELS, rule).any(axis=1).sum()) for rule in RULES}


def test_counts_are_those_of_the_pixels(pasted: Path, model: str, tmp_path: Path) -> None:
    assert expected_counts() == {"reference": 12, "exact": 11, "targeted": 8}
    result = script.evaluate(str(pasted), model, challenge=RULES, bootstrap=50, out=tmp_path / "scores")
    rules = result["challenge"]["rules"]
    assert {rule: summary["vulnerable"] for rule, summary in rules.items()} == expected_counts()
    right = np.diag(mean_answers()) == LABELS
    for rule, summary in rules.items():
        fooled = fools(mean_answers(), LABELS, LABELS, rule).any(axis=1)
        assert summary["n"] == 15
        assert summary["value"] == pytest.approx(fooled.mean())
        assert summary["ci95"][0] < summary["value"] < summary["ci95"][1]
        assert summary["per_class"]["blue"] == {"n": 5, "vulnerable": int(fooled[LABELS == 2].sum())}
        assert summary["right_on_original"] == {"n": int(right.sum()), "vulnerable": int((fooled & right).sum())}
        assert summary["value_macro"] == pytest.approx(np.mean([fooled[label == LABELS].mean() for label in range(3)]))
    text = script.format_table([result])
    (line,) = (line for line in text.splitlines() if line.startswith("vulnerable figures, exact"))
    assert line.endswith("11/15")
    (stored,) = (tmp_path / "scores" / "predictions").glob("*challenge-0.npz")
    with np.load(stored, allow_pickle=False) as arrays:
        for name, grounds in zip(arrays["image_id"], arrays["ground_id"], strict=True):
            for rule, ground in zip(RULES, grounds, strict=True):
                allowed = fools(mean_answers(), LABELS, LABELS, rule)[IDS.index(name)]
                assert allowed[IDS.index(ground)] if ground else not allowed.any()


def test_one_rule_or_several_and_any_batch_size_agree(pasted: Path, model: str) -> None:
    for rules, size in ((["targeted"], 1), (["exact"], 7), (["exact", "reference"], 64)):
        result = script.evaluate(
            str(pasted), model, challenge=rules, batch_size=size, configs=["original"], bootstrap=20
        )
        counts = {rule: summary["vulnerable"] for rule, summary in result["challenge"]["rules"].items()}
        assert counts == {rule: expected_counts()[rule] for rule in rules}
        assert list(result["configs"]) == ["original"]


def test_answers_outside_the_map_fool(pasted: Path, tmp_path: Path) -> None:
    outside = write_onnx(tmp_path / "outside.onnx", imagenet_weights(1000), settings=PLAIN)  # blue is no class there
    rules = script.evaluate(str(pasted), f"onnx:{outside}", challenge=RULES, bootstrap=20)["challenge"]["rules"]
    answers = np.where(mean_answers() == 2, -1, mean_answers())
    for rule in RULES:
        assert rules[rule]["vulnerable"] == int(fools(answers, LABELS, LABELS, rule).any(axis=1).sum())
    assert rules["reference"]["per_class"]["blue"] == {"n": 5, "vulnerable": 5}


class Fragile:
    """The mean colour, until the call at which it breaks."""

    name, weights_sha256, input_size_hw, any_size = "fragile", "0" * 64, (224, 224), True

    def __init__(self, breaks_at: int | None = None) -> None:
        self.calls, self.breaks_at = 0, breaks_at

    def logits(self, images: script.Images) -> script.Logits:
        self.calls += 1
        if self.calls == self.breaks_at:
            raise RuntimeError("power cut")
        shown: script.Logits = images.mean(axis=(1, 2), dtype=np.float32)
        return shown


def test_a_cut_search_goes_on_and_ends_the_same(pasted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "CHALLENGE_PART", 4)

    def run(fragile: Fragile, out: str) -> str:
        monkeypatch.setattr(script, "load_model", lambda *_, **__: fragile)
        result = script.evaluate(
            str(pasted),
            "fragile",
            challenge=["exact"],
            configs=["original"],
            batch_size=2,
            bootstrap=20,
            out=tmp_path / out,
        )
        return json.dumps(result, sort_keys=True)

    whole = Fragile()
    fresh = run(whole, "whole")
    cut = Fragile(breaks_at=whole.calls - 2)
    with pytest.raises(EvaluationError, match="power cut"):
        run(cut, "cut")
    assert len(list((tmp_path / "cut" / "predictions").glob("*challenge-*.npz"))) == 3
    rest = Fragile()
    assert run(rest, "cut") == fresh
    assert 0 < rest.calls < whole.calls / 2
    again = Fragile()
    assert run(again, "cut") == fresh
    assert again.calls == 1  # the trial
    for path in (tmp_path / "cut").rglob("*.npz"):
        assert path.read_bytes() == (tmp_path / "whole" / path.relative_to(tmp_path / "cut")).read_bytes()


def test_progress_counts_figures(pasted: Path, model: str) -> None:
    seen: list[tuple[str, int, int]] = []
    script.evaluate(str(pasted), model, challenge=["exact"], bootstrap=20, progress=lambda *step: seen.append(step))
    steps = [step for step in seen if step[0] == "challenge"]
    assert steps[-1] == ("challenge", 15, 15)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_what_cannot_be_challenged_says_why(pasted: Path, model: str, tmp_path: Path) -> None:
    bare = write_repository(tmp_path / "bare", {"original": make_rows()["original"]})
    rows = make_rows()
    rows["only_bg_t"] = [row for row in rows["only_bg_t"] if row["image_id"] != photo_id(1, 2)]
    unpaired = write_repository(tmp_path / "unpaired", rows)
    rows = make_rows()
    rows["original"][3]["object_mask"]["bytes"] = rows["original"][3]["image"]["bytes"][:40]
    torn = write_repository(tmp_path / "torn", rows)
    faulty: list[tuple[Path, dict[str, Any], str, int]] = [
        (pasted, {"challenge": ["hard"]}, "--challenge: expected reference, exact, targeted; got hard", 2),
        (
            pasted,
            {"challenge": ["exact"], "protocol": "background_check"},
            "--challenge is for imagenet9, not for background_check",
            2,
        ),
        (bare, {"challenge": ["exact"]}, "has no config only_bg_t", 2),
        (unpaired, {"challenge": ["exact"], "configs": ["original"]}, r"only_bg_t: .*1 missing", 1),
        (torn, {"challenge": ["exact"]}, f"{rows['original'][3]['image_id']}: the object mask cannot be decoded", 1),
    ]
    for folder, call, reason, code in faulty:
        with pytest.raises(EvaluationError, match=reason) as caught:
            script.evaluate(str(folder), model, bootstrap=20, **call)
        assert caught.value.exit_code == code


def test_a_ground_of_another_size_is_named(model: str, tmp_path: Path) -> None:
    from colour_dataset import png

    rows = make_rows()
    rows["only_bg_t"][2]["image"]["bytes"] = png("red", (16, 20))
    folder = write_repository(tmp_path / "uneven", rows)
    with pytest.raises(
        EvaluationError, match=rf"challenge/.* on {IDS[2]}: expected one size, got an image of 224x224 "
    ):
        script.evaluate(str(folder), model, challenge=["reference"], bootstrap=20)


def test_the_command_shows_the_challenge(pasted: Path, model: str) -> None:
    arguments = ["evaluate", str(pasted), "--model", model, "--challenge", "reference,targeted", "--bootstrap", "20"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.startswith("vulnerable")]
    assert [line.split("] ")[1] for line in lines] == ["undecidable 12/15", "undecidable 8/15"]


def on_the_hub(result: dict[str, Any], name: str = "org/pasted") -> dict[str, Any]:
    return {**result, "dataset": {**result["dataset"], "name": name, "revision": "c0ffee"}}


PROTOCOL_CALLS: dict[str, dict[str, Any]] = {
    "imagenet9": {"challenge": RULES},
    "background_check": {},
    "imagenet_a": {"configs": ["original", "mixed_rand"]},
    "rival10": {"noise": script.NoiseSettings(levels={"sigma": (0.2,)}), "limit": 6},
}


@pytest.mark.parametrize("protocol", PROTOCOL_CALLS)
def test_eval_results_are_what_the_hub_reads(pasted: Path, model: str, protocol: str) -> None:
    result = script.evaluate(str(pasted), model, protocol=protocol, bootstrap=20, **PROTOCOL_CALLS[protocol])
    text = script.format_eval_results(on_the_hub(result))
    entries = parse_eval_result_entries(yaml.safe_load(text))
    assert {(entry.dataset_id, entry.dataset_revision) for entry in entries} == {("org/pasted", "c0ffee")}
    values = {entry.task_id: entry for entry in entries}
    assert len(values) == len(entries)
    (space,) = result.get("label_spaces", {"head": result})
    prefix = f"{space}." if "label_spaces" in result else ""
    summary = result.get("label_spaces", {space: result})[space]
    clean = summary["clean"] if protocol == "rival10" else summary["configs"]["original"]
    kind, ci95 = ("micro", "ci95_micro") if protocol == "imagenet_a" else ("macro", "ci95")
    original = values[f"{prefix}original"]
    assert original.value == pytest.approx(100 * clean[f"accuracy_{kind}"], abs=1e-4)
    low, high = (100 * bound for bound in clean[ci95])
    for part in (f"[{low:.2f}, {high:.2f}]", f"protocol {protocol}", f"label space {space}", "feed canvas"):
        assert part in (original.notes or "")
    if protocol == "imagenet9":
        assert values["vulnerable_targeted"].value == pytest.approx(100 * 8 / 15, abs=1e-4)
        assert values["bg_gap"].value == pytest.approx(100 * result["differences"]["bg_gap"]["value"], abs=1e-4)
        assert "original_minus_mixed_self" in values
    if protocol == "rival10":
        assert f"{prefix}rfs_sigma" in values or summary["noise"]["0"]["sigma"]["pooled"]["rfs"]["value"] is None


def test_eval_results_never_become_other_yaml(pasted: Path, model: str) -> None:
    result = script.evaluate(str(pasted), model, configs=["original"], bootstrap=20)
    hostile = 'org/x"\n- value: 100 # {[*&!|>%@`'
    (entry,) = yaml.safe_load(script.format_eval_results(on_the_hub(result, hostile)))
    assert entry["dataset"]["id"] == hostile


def test_eval_results_are_written_for_one_model_on_the_hub(
    pasted: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["evaluate", str(pasted), "--model", model, "--eval-results-yaml", str(tmp_path / "pasted.yaml")]
    with pytest.raises(HouseError, match="give its id and a revision, not a folder"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    given = ["--repo", str(pasted), *arguments[2:]]
    assert script.main([*given, "--model", model]) == script.main(given) == 2
    assert not (tmp_path / "pasted.yaml").exists()
    here = script.open_repository(str(pasted))
    fields = {name: getattr(here, name) for name in here.__slots__}
    there = script.Repository(**{**fields, "name": "org/pasted", "revision": "c0ffee"})
    monkeypatch.setattr(script, "open_repository", lambda *_: there)
    assert script.main([*given, "--bootstrap", "20"]) == 0
    entries = parse_eval_result_entries(yaml.safe_load((tmp_path / "pasted.yaml").read_text()))
    assert {"original", "bg_gap"} <= {entry.task_id for entry in entries}
