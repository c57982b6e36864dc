"""One model scored on one dataset."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from figureground.exports.evaluation.adapters import Adapter, adapter_option, feed_adapter
from figureground.exports.evaluation.dataset import Repository, list_configs, open_repository
from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.jobs import Job, file_stem
from figureground.exports.evaluation.models import load_model
from figureground.exports.evaluation.options import ScoringOptions, fill_options
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.registry import find_protocol, named_protocol, option_owners
from figureground.exports.evaluation.results import format_eval_results
from figureground.exports.evaluation.values import SCHEMA_VERSION, Progress, json_text, list_names, require, write_whole


def evaluate(
    repo: str | os.PathLike[str],
    model_spec: str,
    *,
    out: str | os.PathLike[str] | None = None,
    eval_results_yaml: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **options: Unpack[ScoringOptions],
) -> dict[str, Any]:
    """Score one model on a dataset.

    Args:
        repo: Folder of a dataset repository, or its id ``OWNER/NAME`` on the Hub; that needs ``revision``.
        model_spec: ``timm:NAME``, ``timm:NAME=FILE``, ``onnx:FILE`` or ``MODULE:CALLABLE[=ARGUMENT]``.
        out: Folder for predictions and results, from which a killed run goes on.
        eval_results_yaml: File for the Hub's eval results, of a dataset on the Hub.
        progress: Called with the config, rows done, and rows in all.
        options: Those of ``COMMON`` and of the protocol, such as ``limit=100``, ``device="cuda"``,
            ``challenge=["exact"]``.

    Returns:
        JSON-ready results: what was scored, with what, and every figure with its interval; shares are in [0, 1].

    Raises:
        EvaluationError: what is at fault with the data (exit code 1), the call (2) or a download (3).

    Example:
        ``evaluate("in9", "timm:resnet50.a1_in1k", limit=100)["configs"]["original"]["accuracy_macro"]``
    """
    values = fill_options([option for option, _ in option_owners().values()], options)
    repository = open_repository(str(repo), values["revision"])
    named_on_hub = eval_results_yaml is None or repository.revision
    require(named_on_hub, "eval results name a dataset on the Hub: give its id and a revision, not a folder", 2)
    model = load_model(model_spec, device=values["device"], precision=values["precision"])
    adapter = feed_adapter(model, values["feed"])
    named = adapter_option(adapter, "class_names")
    own = named is None or tuple(named) == repository.classes.names
    require(own, f"{adapter.name}: answers in {named}, not in the dataset's {list_names(repository.classes.names)}")
    asked = values["protocol"]
    protocol = named_protocol(asked) if asked else find_protocol(list_configs(repository))
    _require_own_options(protocol, values)
    job = _make_job(repository, adapter, protocol, values, Path(out) if out else None, progress)
    summary = protocol.run(job)
    result = {**job.key, **_describe(job, values), **summary}
    if out is not None:
        write_whole(Path(out, f"{file_stem(job.key)}.json"), (json_text(result) + "\n").encode())
    if eval_results_yaml is not None:
        write_whole(Path(eval_results_yaml), format_eval_results(result).encode())
    return result


def _require_own_options(protocol: Protocol, values: Mapping[str, Any]) -> None:
    """Refuse options of other protocols that were changed, for they would have no effect."""
    for name, (option, owners) in option_owners().items():
        foreign = owners and protocol.name not in owners
        require(
            not foreign or values[name] == option.default,
            f"{option.flag} is for {' and '.join(owners)}, not for {protocol.name}",
            2,
        )


def _make_job(
    repository: Repository,
    adapter: Adapter,
    protocol: Protocol,
    values: Mapping[str, Any],
    out: Path | None,
    progress: Progress | None,
) -> Job:
    configs = values["configs"]
    views = [view for view in protocol.views if not configs or view in configs]
    stored = [config for config in configs if config not in views] if configs else None
    feeding = ("interpolation", "mean", "std", "outputs", *protocol.feeding)
    cluster = values["cluster"] if "cluster" in {option.name for option in protocol.options} else "image"
    return Job(
        repository=repository,
        adapter=adapter,
        configs=[*list_configs(repository, stored), *views],
        views=views,
        split=values["split"],
        limit=values["limit"],
        batch_size=values["batch_size"],
        workers=values["workers"],
        out=out,
        sampling=Sampling(count=values["bootstrap"], seed=values["seed"], cluster=cluster),
        options={option.name: values[option.name] for option in protocol.options},
        key={
            "schema": SCHEMA_VERSION,
            "fingerprint": repository.fingerprint,
            "protocol": protocol.name,
            "model": adapter.name,
            "weights_sha256": adapter.weights_sha256,
            "input_size_hw": tuple(adapter.input_size_hw),
            "feeding": {name: adapter_option(adapter, name) for name in feeding},
            "split": values["split"],
            "feed": values["feed"],
            "limit": values["limit"],
            "device": adapter_option(adapter, "device"),
            "precision": adapter_option(adapter, "precision"),
        },
        progress=progress,
    )


def _describe(job: Job, values: Mapping[str, Any]) -> dict[str, Any]:
    """What results are of, besides what decides the predictions."""
    repository = job.repository
    libraries = {"datasets", "numpy", "pillow", "scipy", *adapter_option(job.adapter, "libraries")}
    dataset = {name: getattr(repository, name) for name in ("name", "revision", "manifest_sha256", "fingerprint")}
    return {
        "dataset": {**dataset, "class_map": repository.classes.name, "split": job.split},
        "libraries": {name: importlib.metadata.version(name) for name in sorted(libraries)},
        "parameters": adapter_option(job.adapter, "parameters"),
        "bootstrap": values["bootstrap"],
        "seed": values["seed"],
        "cluster": job.sampling.cluster,
    }
