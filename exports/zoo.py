"""Many models scored by one command: those of a models file, one after the other, whatever happens to some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Unpack

from figureground.errors import UsageError
from figureground.exports.analyses.families import ListedModel, ModelsFile
from figureground.exports.evaluation.options import ScoringOptions
from figureground.exports.evaluation.scoring import evaluate, try_models
from figureground.exports.evaluation.values import EvaluationError, plain_line
from figureground.runtime.engines import EngineChoice
from figureground.runtime.failures import failure_of, write_traceback
from figureground.schemas.documents import read_document

Progress = Callable[[str, int, int], None]
"""Called with (config, done, total)."""
_AGAIN: Final = 3  # exit code of what may go well next time


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFailure:
    """A model of the file that could not be scored."""

    model: str
    """As the file lists it."""
    exit_code: int
    """1: it or the data is at fault, 2: what the file says of it, 3: something outside failed, so run again."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooReport:
    """What became of the models of a file."""

    results: tuple[dict[str, Any], ...]
    """Results of ``evaluate``, in the order of the file."""
    failures: tuple[ModelFailure, ...]

    def raise_if_any(self) -> None:
        """Raise ``EvaluationError`` with every failure; exit code 3 where running again may help, else 1."""
        if self.failures:
            total = len(self.results) + len(self.failures)
            lines = [f"  {failure.model}: {failure.reason}" for failure in self.failures]
            code = _AGAIN if any(failure.exit_code == _AGAIN for failure in self.failures) else 1
            raise EvaluationError("\n".join([f"{len(lines)} of {total} models were not scored:", *lines]), code)


def evaluate_zoo(
    repository: str,
    models: Path,
    *,
    choice: EngineChoice | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    notice: Callable[[str], None] = lambda _: None,
    **options: Unpack[ScoringOptions],
) -> ZooReport:
    """Score every model of a models file; one that fails stops no other.

    All are opened and tried first, so that what is wrong with one is known before the first hour. With ``out`` a run
    that was killed goes on: what was scored is not scored again.

    Args:
        repository: Folder of a dataset repository, or its id on the Hub.
        models: Models file, as ``report`` takes it; ``spec`` of a model says how it is loaded, by default its name.
        choice: Engine; with Ray models are found on its nodes, and are tried when they are scored.
        out: Folder for predictions and results.
        progress: Called with the config, rows done, and rows in all.
        notice: Gets a line about each model that fails, and each that is done.
        options: As for ``evaluate``.

    Raises:
        UsageError: if there is no such file.
        DataError: with every fault of the file.
        EvaluationError: if the dataset or the call is at fault, so that no model could be scored.
    """
    listed = read_document(models, ModelsFile).models
    try_models(repository, [], **options)
    on_ray = choice is not None and choice.kind == "ray"
    failures: dict[str, ModelFailure] = {}
    results: dict[str, dict[str, Any]] = {}

    def attempt(entry: ListedModel, run: Callable[[], Any]) -> Any:  # noqa: ANN401  what it gives
        try:
            return run()
        except Exception as error:
            failures[entry.model] = _failure(entry, error)
            notice(f"{entry.model}: {failures[entry.model].reason}")
            return None

    for entry in listed if not on_ray else ():
        attempt(entry, partial(_try, repository, entry, options))
    for number, entry in enumerate(listed, 1):
        if entry.model in failures:
            continue
        if choice is not None and on_ray:
            score = partial(_score_on_ray, repository, entry, choice, out, progress, options)
        else:
            score = partial(evaluate, repository, entry.spec, out=out, progress=progress, **options)
        result = attempt(entry, partial(_named_as_listed, entry, score))
        if result is not None:
            results[entry.model] = result
            notice(f"{number} of {len(listed)}: {entry.model} is done")
    return ZooReport(results=tuple(results.values()), failures=tuple(failures.values()))


def _try(repository: str, entry: ListedModel, options: ScoringOptions) -> None:
    """Open a model, and see that results will call it by the name by which they are joined with the file."""
    (name,) = try_models(repository, [entry.spec], **options)
    _require_name(entry, name)


def _named_as_listed(entry: ListedModel, score: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A result under the name that the file has; on Ray models are not opened before they are scored."""
    result = score()
    _require_name(entry, result["model"])
    return result


def _require_name(entry: ListedModel, name: str) -> None:
    if name != entry.model:
        raise UsageError(f"results will call it {name!r}: list it as {{model: {name!r}, spec: {entry.spec!r}, …}}")


def _score_on_ray(
    repository: str,
    entry: ListedModel,
    choice: EngineChoice,
    out: Path | None,
    progress: Progress | None,
    options: ScoringOptions,
) -> dict[str, Any]:
    from figureground.exports.evaluation.on_ray import evaluate_on_ray

    shown = progress or (lambda *_: None)
    return evaluate_on_ray(repository, [entry.spec], choice, out=out, progress=shown, **options)[0]


def _failure(entry: ListedModel, error: Exception) -> ModelFailure:
    known = failure_of(error) or error
    code = getattr(known, "exit_code", None)
    if isinstance(code, int):
        return ModelFailure(model=entry.model, exit_code=code, reason=str(known))
    reason = f"{type(error).__name__}: {plain_line(error)} (unforeseen; where it arose: {write_traceback(error)})"
    return ModelFailure(model=entry.model, exit_code=1, reason=reason)
