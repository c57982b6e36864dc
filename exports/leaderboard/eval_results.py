"""A leaderboard in the Hub's own words: entries for models' repositories, and the description of the benchmark.

The Hub keeps scores in the repository of a model, ``.eval_results/*.yaml``, and gathers those of a dataset that it has
allow-listed as a benchmark by its ``eval.yaml`` (hub-docs, docs/hub/eval-results.md, marked as work in progress). A
dataset's card has no place for scores: ``model-index`` is a part of models' cards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import yaml
from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries

from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.evaluation.results import format_eval_results

FRAMEWORK: Final = "figureground"
"""Not in the Hub's list of evaluation frameworks, which it maintains itself."""


def model_entries(result: Mapping[str, Any], repo_id: str, revision: str | None) -> str:
    """YAML for ``.eval_results/`` in a model's repository; raises ``ValueError`` for what the Hub's client refuses.

    Args:
        result: Of ``evaluate``.
        repo_id: The dataset on the Hub.
        revision: Its commit or tag.
    """
    data = {**result["dataset"], "name": repo_id, "revision": revision}
    entries = parse_eval_result_entries(yaml.safe_load(format_eval_results({**result, "dataset": data})))
    for entry in entries:
        entry.source_url = f"https://huggingface.co/datasets/{repo_id}"
        entry.source_name = "leaderboard of the dataset"
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def benchmark_description(dataset: DatasetFolder, entries: Collection[str]) -> str:
    """``eval.yaml``, as it would stand in the root of a dataset that the Hub takes for a benchmark.

    Args:
        dataset: The dataset.
        entries: YAML of models, as ``model_entries`` makes it: every task that one of them has is listed.
    """
    recipe = dataset.recipe
    stored = [entry for text in entries for entry in parse_eval_result_entries(yaml.safe_load(text))]
    tasks = []
    for task_id in dict.fromkeys(entry.task_id for entry in stored):
        config = task_id.rpartition(".")[2]
        of = {"config": config, "split": recipe.split_names[-1]} if config in dataset.configs else {}
        tasks.append({"id": task_id, **of})
    content = {
        "name": recipe.name,
        "description": recipe.description,
        "evaluation_framework": FRAMEWORK,
        "tasks": tasks,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
