"""Evaluation on Ray: every model on every config is a task of its own; answers are those of ``evaluate``.

The tasks run the same ``evaluate`` as one machine does, each in a folder of its own that holds the predictions made so
far; these are small and travel as bytes. What it computes from them comes last, in a task too, because a GPU that the
command's machine lacks is part of what a prediction is of. The dataset is a Hub id, or a folder that every node has;
models are found on the nodes.
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Unpack

from figureground.errors import UsageError
from figureground.exports.evaluation.dataset import Repository, list_configs, open_repository
from figureground.exports.evaluation.jobs import PREDICTIONS, config_of
from figureground.exports.evaluation.options import ScoringOptions
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.registry import find_protocol, named_protocol
from figureground.exports.evaluation.results import format_eval_results
from figureground.exports.evaluation.scoring import evaluate, try_models
from figureground.runtime.engines import EngineChoice
from figureground.runtime.files import replace_file, write_text
from figureground.runtime.pools import open_engine
from figureground.runtime.processes import default_workers

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
_AFTER_PREDICTIONS: Final = frozenset({"challenge"})
"""Options that only the last call needs, which has all predictions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call of ``evaluate``."""

    repository: str
    model: str
    options: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Predictions that it may go on from, by path below its output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What a call made."""

    model: str
    name: str
    """What the files of this model begin with."""
    result: dict[str, Any]
    files: Mapping[str, bytes]
    """New files, by path below the output folder."""


def evaluate_on_ray(
    repository: str,
    models: Sequence[str],
    choice: EngineChoice,
    *,
    eval_results_yaml: Path | None = None,
    out: Path | None = None,
    progress: Progress = lambda *_: None,
    **options: Unpack[ScoringOptions],
) -> list[dict[str, Any]]:
    """Results of every model, in the order of ``models``; ``out`` gets the same files as from ``evaluate``.

    Args:
        repository: Folder that every node has, or Hub id.
        models: As ``evaluate`` takes them; files and modules are those of the nodes.
        choice: Which Ray, and how many GPUs a task gets; with any, models run on ``cuda``, else on ``cpu``.
        eval_results_yaml: As for ``evaluate``, of one model.
        out: Folder for predictions and results; a killed run goes on from there.
        progress: Called as predictions are made.
        options: As for ``evaluate``; the challenge's search of a model is one task.

    Raises:
        EvaluationError: what is at fault with the data, the call or a model.
        UsageError: for eval results of a folder, and for a device other than the one that ``choice`` leads to.
        ServiceError: if the cluster cannot be reached, or a task was lost again and again.
    """
    opened = open_repository(repository, options.get("revision"))
    if eval_results_yaml is not None and not opened.revision:
        raise UsageError("eval results name a dataset on the Hub: give its id and a revision, not a folder")
    asked, configs = options.get("protocol"), options.get("configs")
    protocol = named_protocol(asked) if asked else find_protocol(list_configs(opened))
    waves = _waves(opened, configs, protocol)
    every = {name for wave in waves for part in wave for name in part}
    device = _device(choice, options.get("device", "auto"))
    last: ScoringOptions = {**options, "protocol": protocol.name, "device": device}
    early = {name: value for name, value in last.items() if name not in _AFTER_PREDICTIONS}
    there = repository if opened.revision else str(opened.folder)  # nodes work in folders of their own
    calls = [_Call(repository=there, model=model, options=early) for model in dict.fromkeys(models)]
    total, done, names = len(calls) * sum(map(len, waves)), 0, dict[str, str]()
    with open_engine(choice, workers=default_workers()) as engine, _folder(out) as folder:
        if len(calls) > 1:  # tried on the nodes, whose models they are, before the first is scored
            list(engine.run(_try, calls))
        for wave in waves:
            for made in engine.run(
                _score, [_with_files(call, part, every - {*part}, folder, names) for part in wave for call in calls]
            ):
                _store(folder, {name: content for name, content in made.files.items() if name.startswith(PREDICTIONS)})
                names[made.model] = made.name
                done += 1
                progress("predictions", done, total)
        results = {}
        calls = [replace(call, options=dict(last)) for call in calls]
        for made in engine.run(_score, [_with_files(call, configs, (), folder, names) for call in calls]):
            _store(folder, made.files)
            results[made.model] = made.result
    if eval_results_yaml is not None:
        write_text(eval_results_yaml, format_eval_results(results[models[0]]))
    return [results[model] for model in models]


def _device(choice: EngineChoice, asked: str) -> str:
    """Device of every task; raises UsageError if another is asked for."""
    device = "cuda" if choice.gpus else "cpu"
    if asked not in (device, "auto"):
        raise UsageError(f"on Ray models run on {device} here: give --ray-gpus for GPUs, and no --device")
    return device


def _waves(repository: Repository, configs: Sequence[str] | None, protocol: Protocol) -> list[list[list[str]]]:
    """Configs of each call, in waves: where a protocol compares with ``original``, that comes first."""
    views = [view for view in protocol.views if not configs or view in configs]
    stored = None if not configs else [config for config in configs if config not in views]
    names = [*list_configs(repository, stored), *views]
    if not protocol.compares_with_original or "original" not in names:
        return [[[name] for name in names]]
    return [[["original"]], [["original", name] for name in names if name != "original"]]


def _with_files(
    call: _Call, configs: Sequence[str] | None, others: Collection[str], folder: Path, names: Mapping[str, str]
) -> _Call:
    """A call for some configs, with the predictions that are there but those of ``others``.

    Protocols store more than configs, such as noise on attributes. Files are of the call's model where that is known.
    """
    stored = [
        path
        for path in (folder / PREDICTIONS).glob(f"{glob.escape(names.get(call.model, ''))}*.npz")
        if config_of(path.name) not in others
    ]
    files = {f"{PREDICTIONS}/{path.name}": path.read_bytes() for path in stored}
    return replace(call, options={**call.options, "configs": configs}, files=files)


def _try(call: _Call) -> str:
    try_models(call.repository, [call.model], **call.options)
    return call.model


def _score(call: _Call) -> _Made:
    with tempfile.TemporaryDirectory() as own:
        folder = Path(own)
        _store(folder, call.files)
        result = evaluate(call.repository, call.model, out=folder, **call.options)
        written = next(folder.glob("*.json"))
        paths = [path for path in folder.rglob("*") if path.is_file()]
        made = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    new = {name: content for name, content in made.items() if call.files.get(name) != content}
    return _Made(model=call.model, name=written.name.rsplit(".", 2)[0] + ".", result=result, files=new)


def _store(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_bytes(content)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The output folder, or one that goes."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory() as own:
        yield Path(own)
