"""One model scored on one dataset."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Unpack

import numpy as np

from figureground.exports.evaluation.adapters import Adapter, adapter_option, feed_adapter
from figureground.exports.evaluation.answers import whole_canvas
from figureground.exports.evaluation.dataset import Repository, list_configs, load_rows, open_repository
from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.jobs import Job, file_stem
from figureground.exports.evaluation.label_spaces import class_order, find_label_space
from figureground.exports.evaluation.model_files.adapter_checks import try_model
from figureground.exports.evaluation.models import load_model, specification_sha256
from figureground.exports.evaluation.options import ScoringOptions, fill_options
from figureground.exports.evaluation.pictures import stored_bytes
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.registry import find_protocol, named_protocol, option_owners
from figureground.exports.evaluation.repository.provenance import read_groups
from figureground.exports.evaluation.repository.shards import layout_sha256
from figureground.exports.evaluation.results import format_eval_results
from figureground.exports.evaluation.values import (
    SCHEMA_VERSION,
    EvaluationError,
    Images,
    Progress,
    json_text,
    require,
    write_whole,
)

_SHOWN: Final = 3  # pictures that a model is tried on, where it cannot answer drawn ones


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
        model_spec: One of ``MODEL_SPECS``, such as ``timm:NAME``, ``hf:NAME`` or ``onnx:FILE``.
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
    values, repository = _open(str(repo), options, to_hub=eval_results_yaml is not None)
    adapter = _open_model(repository, model_spec, values)
    protocol = _choose_protocol(repository, values)
    job = _make_job(repository, adapter, protocol, values, Path(out) if out else None, progress)
    job = job.keyed(specification_sha256=specification_sha256(model_spec))
    summary = protocol.run(job)
    key = {name: part for name, part in job.key.items() if name != "decided_by"}  # its versions are among libraries
    result = {**key, **_describe(job, values), **_class_order(adapter, summary), **summary}
    if out is not None:
        write_whole(
            Path(out, f"{file_stem(_result_key(job, protocol, result))}.json"), (json_text(result) + "\n").encode()
        )
    if eval_results_yaml is not None:
        write_whole(Path(eval_results_yaml), format_eval_results(result).encode())
    return result


def check_models(repo: str | os.PathLike[str], model_specs: Sequence[str], **options: Unpack[ScoringOptions]) -> None:
    """Open and try every model of a command before the first is scored; one alone is tried when it is scored.

    Raises:
        EvaluationError: as ``try_models``.
    """
    if len(model_specs) > 1:
        try_models(repo, model_specs, **options)


def try_models(
    repo: str | os.PathLike[str], model_specs: Sequence[str], **options: Unpack[ScoringOptions]
) -> list[str]:
    """Open models one after the other and let each answer to drawn pictures; returns what results will call them.

    Models are let go again, so that no more than one is in memory.

    Raises:
        EvaluationError: with what is at fault with each of them, or with the dataset or the call.
    """
    values, repository = _open(str(repo), options, to_hub=False)
    protocol = _choose_protocol(repository, values)
    list_configs(repository, _split_configs(protocol, values)[1])
    names, faults = list[str](), list[tuple[str, int]]()
    for spec in model_specs:
        try:
            names.append(_open_model(repository, spec, values).name)
        except Exception as error:
            if not isinstance(getattr(error, "exit_code", None), int):
                raise
            faults.append((str(error), int(error.exit_code)))  # type: ignore[attr-defined]
    if faults:
        raise EvaluationError("\n".join(words for words, _ in faults), max(code for _, code in faults))
    return names


def _open(repo: str, options: Mapping[str, Any], *, to_hub: bool) -> tuple[dict[str, Any], Repository]:
    """Values of all options, and the dataset."""
    values = fill_options([option for option, _ in option_owners().values()], options)
    repository = open_repository(repo, values["revision"])
    named_on_hub = not to_hub or repository.revision
    require(named_on_hub, "eval results name a dataset on the Hub: give its id and a revision, not a folder", 2)
    return values, repository


def _open_model(repository: Repository, spec: str, values: Mapping[str, Any]) -> Adapter:
    """A model as it is fed, after it has answered and its answers are known to be the dataset's classes."""
    asked = {name: values[name] for name in ("device", "precision", "timm_size")}
    adapter = feed_adapter(load_model(spec, classes=repository.classes, **asked), values["feed"])
    named, wanted = adapter_option(adapter, "class_names"), repository.classes.names
    where = adapter_option(adapter, "settings_file") or adapter.name
    fits = named is None or tuple(named) == wanted
    require(fits, f"{where}: class_names: expected the dataset's in their order, {', '.join(wanted)}; got {named}")
    own = partial(_first_pictures, repository, adapter, values["split"])
    outputs = try_model(adapter, own).shape[1]
    try:
        find_label_space(outputs, repository.classes, adapter_option(adapter, "label_space"))
    except EvaluationError as error:
        raise EvaluationError(f"{adapter.name}: {error}") from error
    return adapter


def _first_pictures(repository: Repository, adapter: Adapter, split: str) -> Images:
    """A few of the dataset's pictures as the model is shown them, ``(N, H, W, 3)``."""
    config = list_configs(repository)[0]
    rows = load_rows(repository, config, split, limit=_SHOWN)
    shown = whole_canvas(adapter)
    pairs = zip(rows["image"][:_SHOWN], rows["image_id"][:_SHOWN], strict=True)
    return np.concatenate([shown.crops(stored_bytes(image), f"{config}/{name}") for image, name in pairs])


def _choose_protocol(repository: Repository, values: Mapping[str, Any]) -> Protocol:
    asked = values["protocol"]
    protocol = named_protocol(asked) if asked else find_protocol(list_configs(repository))
    _require_own_options(protocol, values)
    return protocol


def _require_own_options(protocol: Protocol, values: Mapping[str, Any]) -> None:
    """Refuse options of other protocols that were changed, for they would have no effect."""
    for name, (option, owners) in option_owners().items():
        foreign = owners and protocol.name not in owners
        require(
            not foreign or values[name] == option.default,
            f"{option.flag} is for {' and '.join(owners)}, not for {protocol.name}",
            2,
        )


def _split_configs(protocol: Protocol, values: Mapping[str, Any]) -> tuple[list[str], list[str] | None]:
    """Of the configs asked for the protocol's own views, and those that the dataset holds; None for all of these."""
    configs = values["configs"]
    views = [view for view in protocol.views if not configs or view in configs]
    return views, [config for config in configs if config not in views] if configs else None


def _make_job(
    repository: Repository,
    adapter: Adapter,
    protocol: Protocol,
    values: Mapping[str, Any],
    out: Path | None,
    progress: Progress | None,
) -> Job:
    views, stored = _split_configs(protocol, values)
    feeding = ("interpolation", "mean", "std", "outputs", *protocol.feeding)
    cluster = values["cluster"] if "cluster" in {option.name for option in protocol.options} else "image"
    asked = list_configs(repository, stored)
    groups = _read_groups(repository, asked[0], values["split"]) if repository.grouped and asked else None
    return Job(
        repository=repository,
        adapter=adapter,
        configs=[*asked, *views],
        views=views,
        split=values["split"],
        limit=values["limit"],
        batch_size=values["batch_size"],
        workers=values["workers"],
        out=out,
        sampling=Sampling(count=values["bootstrap"], seed=values["seed"], cluster=cluster, groups=groups),
        options={option.name: values[option.name] for option in protocol.options},
        key={
            "schema": SCHEMA_VERSION,
            "fingerprint": repository.fingerprint,
            "layout_sha256": layout_sha256(repository.layout),
            "class_map_sha256": repository.class_map_sha256,
            "protocol": protocol.name,
            "model": adapter.name,
            "weights_sha256": adapter.weights_sha256,
            "input_size_hw": tuple(adapter.input_size_hw),
            "feeding": {name: adapter_option(adapter, name) for name in feeding},
            "model_settings": {
                name: adapter_option(adapter, name) for name in ("settings", "label_space", "class_names")
            },
            "decided_by": _versions({"numpy", "pillow", *adapter_option(adapter, "libraries")}),
            "split": values["split"],
            "feed": values["feed"],
            "limit": values["limit"],
            "device": adapter_option(adapter, "device"),
            "precision": adapter_option(adapter, "precision"),
        },
        progress=progress,
    )


def _read_groups(repository: Repository, config: str, split: str) -> dict[str, str]:
    """Group by image_id, as the rows of a config have it; all configs have the same photos."""
    repository.check(config, split)
    return read_groups(repository.shards(config, split).values())


def _result_key(job: Job, protocol: Protocol, result: Mapping[str, Any]) -> dict[str, Any]:
    """What a result's file is named by: what decides the answers, and all that was asked of them.

    Answers have names of their own, so that results that ask other things of the same answers share them.
    """
    named = {name: result[name] for name in protocol.settings} if protocol.settings else dict(job.options)
    asked = {name: result[name] for name in ("bootstrap", "seed", "cluster")}
    return {**job.key, "configs": sorted(job.configs), "options": named, **asked}


def _describe(job: Job, values: Mapping[str, Any]) -> dict[str, Any]:
    """What results are of, besides what decides the predictions."""
    repository = job.repository
    libraries = {"datasets", "numpy", "pillow", "scipy", *adapter_option(job.adapter, "libraries")}
    dataset = {name: getattr(repository, name) for name in ("name", "revision", "manifest_sha256", "fingerprint")}
    about = {"class_map": repository.classes.name, "split": job.split, "masks": repository.masks}
    if groups := job.sampling.groups:
        about["groups"] = {"groups": len(set(groups.values())), "images": len(groups)}
    return {
        "dataset": {**dataset, **about},
        "answers": file_stem(job.key),
        "libraries": _versions(libraries),
        "notes": list(adapter_option(job.adapter, "notes")),
        "parameters": adapter_option(job.adapter, "parameters"),
        "bootstrap": values["bootstrap"],
        "seed": values["seed"],
        "cluster": job.sampling.cluster,
    }


def _class_order(adapter: Adapter, summary: Mapping[str, Any]) -> dict[str, str]:
    """Whether a head says its classes, or they are assumed to be in the dataset's order; empty for other models."""
    named = adapter_option(adapter, "class_names")
    spaces = summary.get("label_spaces") or [summary.get("label_space")]
    order = next(filter(None, (class_order(str(space), named) for space in spaces)), None)
    return {"class_order": order} if order else {}


def _versions(packages: Collection[str]) -> dict[str, str]:
    """Installed versions by package; one that an adapter names and that is not installed is a fault of the adapter."""
    versions = {}
    for name in sorted(packages):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise EvaluationError(f"libraries of the model: {name} is no installed package") from error
    return versions
