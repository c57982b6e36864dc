"""Evaluation on Ray: every model on every config is a task of its own; answers are those of ``evaluate``.

The tasks run the same ``evaluate`` as one machine does, each in a folder of its own that holds the predictions made so
far; these are small and travel as bytes. What it computes from them comes last, in a task too, because a GPU that the
command's machine lacks is part of what a prediction is of. The dataset is a Hub id, or a folder that every node has;
models are found on the nodes.
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from figureground.errors import UsageError
from figureground.exports import evaluate as script
from figureground.runtime.engines import EngineChoice
from figureground.runtime.files import replace_file, write_text
from figureground.runtime.pools import open_engine
from figureground.runtime.processes import default_workers

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
_PREDICTIONS: Final = "predictions"


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
    revision: str | None = None,
    configs: Sequence[str] | None = None,
    protocol: str | None = None,
    challenge: Sequence[str] = (),
    eval_results_yaml: Path | None = None,
    out: Path | None = None,
    progress: Progress = lambda *_: None,
    **options: Any,  # noqa: ANN401  of evaluate
) -> list[dict[str, Any]]:
    """Results of every model, in the order of ``models``; ``out`` gets the same files as from ``evaluate``.

    Args:
        repository: Folder that every node has, or Hub id.
        models: As ``evaluate`` takes them; files and modules are those of the nodes.
        choice: Which Ray, and how many GPUs a task gets; with any, models run on ``cuda``.
        revision: As for ``evaluate``.
        configs: As for ``evaluate``.
        protocol: As for ``evaluate``.
        challenge: As for ``evaluate``; the search of a model is one task.
        eval_results_yaml: As for ``evaluate``, of one model.
        out: Folder for predictions and results; a killed run goes on from there.
        progress: Called as predictions are made.
        options: Further arguments of ``evaluate``.

    Raises:
        EvaluationError: what is at fault with the data, the call or a model.
        UsageError: for eval results of a folder.
        ServiceError: if the cluster cannot be reached, or a task was lost again and again.
    """
    opened = script.open_repository(repository, revision)
    if eval_results_yaml is not None and not opened.revision:
        raise UsageError("eval results name a dataset on the Hub: give its id and a revision, not a folder")
    protocol = protocol or script.find_protocol(script.list_configs(opened))
    waves = _waves(opened, configs, protocol)
    told = {**options, "revision": revision, "protocol": protocol, "device": "cuda" if choice.gpus else "cpu"}
    calls = [_Call(repository=repository, model=model, options=told) for model in dict.fromkeys(models)]
    total, done, names = len(calls) * sum(map(len, waves)), 0, dict[str, str]()
    with open_engine(choice, workers=default_workers()) as engine, _folder(out) as folder:
        for wave in waves:
            for made in engine.run(_score, [_with_files(call, part, folder, names) for part in wave for call in calls]):
                _keep(folder, {name: content for name, content in made.files.items() if name.startswith(_PREDICTIONS)})
                names[made.model] = made.name
                done += 1
                progress("predictions", done, total)
        results = {}
        calls = [replace(call, options={**call.options, "challenge": challenge}) for call in calls]
        for made in engine.run(_score, [_with_files(call, configs, folder, names) for call in calls]):
            _keep(folder, made.files)
            results[made.model] = made.result
    if eval_results_yaml is not None:
        write_text(eval_results_yaml, script.format_eval_results(results[models[0]]))
    return [results[model] for model in models]


def _waves(repository: script.Repository, configs: Sequence[str] | None, protocol: str) -> list[list[list[str]]]:
    """Configs of each call, in waves: all protocols but ``imagenet9`` compare with ``original``, which comes first."""
    five = protocol == "imagenet_a" and (configs is None or script.FIVE_CROP in configs)
    asked = None if configs is None else [config for config in configs if config != script.FIVE_CROP]
    names = script.list_configs(repository, asked) + [script.FIVE_CROP] * five
    if protocol == "imagenet9" or "original" not in names:
        return [[[name] for name in names]]
    return [[["original"]], [["original", name] for name in names if name != "original"]]


def _with_files(call: _Call, configs: Sequence[str] | None, folder: Path, names: Mapping[str, str]) -> _Call:
    """A call for some configs, with the predictions of them that are there, of its model as far as that is known."""
    found = [
        path
        for path in (folder / _PREDICTIONS).glob(f"{glob.escape(names.get(call.model, ''))}*.npz")
        if configs is None or path.name.split(".")[-2] in configs
    ]
    files = {f"{_PREDICTIONS}/{path.name}": path.read_bytes() for path in found}
    return replace(call, options={**call.options, "configs": configs}, files=files)


def _score(call: _Call) -> _Made:
    with tempfile.TemporaryDirectory() as own:
        folder = Path(own)
        _keep(folder, call.files)
        result = script.evaluate(call.repository, call.model, out=folder, **call.options)
        told = next(folder.glob("*.json"))
        paths = [path for path in folder.rglob("*") if path.is_file()]
        made = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    new = {name: content for name, content in made.items() if call.files.get(name) != content}
    return _Made(model=call.model, name=told.name.rsplit(".", 2)[0] + ".", result=result, files=new)


def _keep(folder: Path, files: Mapping[str, bytes]) -> None:
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
