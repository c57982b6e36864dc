"""Scored models that a dataset carries, on a double of the Hub with the real clients."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from drawn_release import draw_release
from hub_client import VARIANTS, Client, build_toy
from hub_double import HubDouble
from hub_store import folder_hashes
from huggingface_hub import parse_eval_result_entries

import figureground

FIGURE, GROUND = "crop_dataset:looks_at_figure", "crop_dataset:looks_at_ground"
STORY = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
import figureground
from figureground.errors import DataError
from figureground.exports.leaderboard.staging import staged_release
toy, other, one, two, strange, limited, fetched = sys.argv[2:]

def publish(folder, *results, **more):
    done = figureground.publish(folder, "me/toy", results=results, workers=1, **more)
    return {"tag": done.plan.tag, "commits": done.plan.commits, "files": [file.path for file in done.plan.files]}

def refusal(*results):
    try:
        return publish(toy, *results)
    except DataError as error:
        return str(error)

answers = {"planned": publish(toy, one, dry_run=True)}
answers["refused"] = refusal(one, strange, limited)
answers["first"] = publish(toy, one)
answers["again"] = publish(toy)
answers["second"] = publish(toy, two)
answers["once more"] = publish(toy, two)
answers["scored"] = figureground.evaluate("me/toy", "crop_dataset:looks_at_ground", revision=answers["second"]["tag"],
                                          out=fetched, bootstrap=50)["dataset"]
answers["rescored"] = publish(toy, fetched)
answers["verified"] = figureground.verify("me/toy", revision=answers["rescored"]["tag"], workers=1).files
try:
    with staged_release(Path(toy), [], "me/toy") as staged:
        raise figureground.UsageError(f"{staged.folder}: refused")
except figureground.UsageError as error:
    answers["where"] = str(error)
answers["other"] = publish(other)
print(json.dumps(answers))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What the calls answered, the Hub after it, and the folder that was published."""

    answers: dict[str, Any]
    hub: HubDouble
    toy: Path
    before: dict[str, str]

    def files(self, tag: str) -> dict[str, bytes]:
        tree = self.hub.repos["me/toy"].find(tag).tree
        return {path: blob.data for path, blob in tree.items() if not path.startswith(".")}

    def board(self, tag: str) -> dict[str, Any]:
        board: dict[str, Any] = json.loads(self.files(tag)["leaderboard/leaderboard.json"])
        return board


def models_of(board: dict[str, Any]) -> list[str]:
    return sorted(row["model"] for row in board["tables"][0]["rows"])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = Path(tmp_path_factory.mktemp("boards"))
    drawn = draw_release(root / "drawn", per_class=9)
    toy = build_toy(drawn, root / "first" / "toy")
    other = build_toy(drawn, root / "second" / "toy", version="2", variants={"original": VARIANTS["original"]})
    for name, folder, model, limit in (
        ("one", toy, FIGURE, None),
        ("two", toy, GROUND, None),
        ("strange", other, GROUND, None),
        ("limited", toy, GROUND, 5),
    ):
        figureground.evaluate(folder, model, out=root / name, bootstrap=50, limit=limit)
    before = folder_hashes(toy)
    with HubDouble() as hub:
        folders = [toy, other, *(root / name for name in ("one", "two", "strange", "limited", "fetched"))]
        done = Client(hub, root / "home").python("-c", STORY, json.dumps(sys.path), *map(str, folders))
        yield Story(answers=json.loads(done.stdout.splitlines()[-1]), hub=hub, toy=toy, before=before)


def test_a_model_joins_those_that_are_there_and_nobody_s_folder_changes(story: Story) -> None:
    assert [story.answers[name]["tag"] for name in ("first", "second", "rescored")] == ["v1", "v1-board2", "v1-board3"]
    assert models_of(story.board("v1")) == ["looks-at-figure"]
    assert models_of(story.board("v1-board2")) == ["looks-at-figure", "looks-at-ground"]
    assert [story.board(tag)["edition"] for tag in ("v1", "v1-board2", "v1-board3")] == [1, 2, 3]
    assert folder_hashes(story.toy) == story.before
    data = {path for path in story.before if path not in ("README.md", "manifest.json")}
    for tag in ("v1", "v1-board3"):
        stored = story.hub.repos["me/toy"].find(tag).tree
        assert {path: stored[path].sha256 for path in data} == {path: story.before[path] for path in data}
    assert story.hub.violations == []


def test_publishing_the_same_again_changes_nothing_and_keeps_the_models(story: Story) -> None:
    assert (story.answers["again"]["commits"], story.answers["again"]["tag"]) == (0, "v1")
    assert (story.answers["once more"]["commits"], story.answers["once more"]["tag"]) == (0, "v1-board2")


def test_a_dry_run_names_the_files_and_a_refusal_all_results_that_do_not_fit(story: Story) -> None:
    planned = story.answers["planned"]["files"]
    assert {"leaderboard/leaderboard.json", "leaderboard/eval.yaml"} <= set(planned)
    refused = story.answers["refused"]
    assert "2 faults in the data" in refused
    assert "expected a result of" in refused
    assert f"fingerprint {story.before['manifest.json']}" in refused
    assert "got one of toy, fingerprint" in refused
    assert "expected all images, got the first 5 (--limit)" in refused


def test_a_result_of_the_hub_s_dataset_is_of_the_same_data_and_replaces_the_older(story: Story) -> None:
    assert story.answers["scored"]["fingerprint"] == story.before["manifest.json"]
    assert story.answers["scored"]["manifest_sha256"] != story.before["manifest.json"]
    assert models_of(story.board("v1-board3")) == ["looks-at-figure", "looks-at-ground"]
    files = story.files("v1-board3")
    results = [json.loads(files[path]) for path in files if "/results/" in path and path.endswith(".json")]
    revisions = {result["model"]: result["dataset"]["revision"] for result in results}
    assert len(results) == 2
    assert revisions["looks-at-figure"] is None
    assert revisions["looks-at-ground"] == story.answers["scored"]["revision"]


def test_the_card_has_the_table_and_verify_knows_every_file(story: Story) -> None:
    files = story.files("v1-board3")
    card = files["README.md"].decode()
    assert card.count("## Leaderboard") == 1
    assert "| looks-at-figure | 27 | 100.0 [" in card
    manifest = json.loads(files["manifest.json"])
    assert story.answers["verified"] == len(manifest["sha256"]) == len(files) - 1
    plain = card.partition("<!-- leaderboard: begin -->\n")
    assert plain[0] + plain[2].partition("<!-- leaderboard: end -->\n\n")[2] == (story.toy / "README.md").read_text()


def test_models_have_entries_in_the_hub_s_format(story: Story) -> None:
    files = story.files("v1-board3")
    tasks = {task["id"]: task for task in yaml.safe_load(files["leaderboard/eval.yaml"])["tasks"]}
    entries = [name for name in files if name.startswith("leaderboard/eval_results/")]
    assert len(entries) == 2
    for name in entries:
        for entry in parse_eval_result_entries(yaml.safe_load(files[name])):
            assert entry.dataset_id == "me/toy"
            assert entry.task_id in tasks
            assert entry.source_url == "https://huggingface.co/datasets/me/toy"
            assert "95 % interval" in (entry.notes or "")
    assert {task["config"] for task in tasks.values() if "config" in task} == {"original", "plus"}


def test_a_refusal_names_the_folder_that_was_given(story: Story) -> None:
    assert story.answers["where"] == f"{story.toy}: refused"


def test_a_version_of_other_data_begins_without_models(story: Story) -> None:
    assert story.answers["other"]["tag"] == "v2"
    assert not [path for path in story.files("v2") if path.startswith("leaderboard/")]


def test_the_board_s_folder_is_what_compare_reads(story: Story, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for path, data in story.files("v1-board2").items():
        target = tmp_path / "toy" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    from figureground.exports.comparison.compare import compare_results

    (compared, *_) = compare_results([tmp_path / "toy" / "leaderboard" / "results"], rounds=999)
    board = story.board("v1-board2")["tables"][0]
    for rank in compared.ranks:
        (row,) = [row for row in board["rows"] if row["model"] == rank.model]
        if rank.figure in row["cells"]:
            assert row["cells"][rank.figure]["rank"] == rank.rank
            assert row["cells"][rank.figure]["value"] == pytest.approx(rank.value)
    figureground.verify(tmp_path / "toy", workers=1)
    shutil.rmtree(tmp_path / "toy" / "leaderboard" / "eval_results")
    with pytest.raises(figureground.DataError, match="eval_results"):
        figureground.verify(tmp_path / "toy", workers=1)
