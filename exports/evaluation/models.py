"""Models by their specifications: those of libraries, ONNX files and callables."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from figureground.exports.evaluation.adapters import Adapter
from figureground.exports.evaluation.devices import check_precision, resolve_device
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.model_files.adapter_checks import check_adapter
from figureground.exports.evaluation.model_files.chat_models import open_chat
from figureground.exports.evaluation.model_files.hf_models import open_hf
from figureground.exports.evaluation.model_files.onnx_models import OnnxAdapter
from figureground.exports.evaluation.model_files.open_clip_models import OpenClipAdapter
from figureground.exports.evaluation.model_files.timm_models import TimmAdapter
from figureground.exports.evaluation.model_files.torchvision_models import TorchvisionAdapter
from figureground.exports.evaluation.values import EvaluationError, file_sha256, plain_line, require

MODEL_SPECS: Final = (
    "timm:NAME[=FILE], torchvision:NAME/WEIGHTS, hf:NAME, open_clip:NAME/TAG, chat:NAME, onnx:FILE or "
    "MODULE:CALLABLE[=ARGUMENT]"
)
_LIBRARIES: Final[Mapping[str, Callable[[str, ClassMap | None], Adapter]]] = {  # kinds that transformers has, and like
    "hf": open_hf,
    "open_clip": OpenClipAdapter,
    "torchvision": lambda rest, _: TorchvisionAdapter(rest),
    "chat": open_chat,
}


@typing.runtime_checkable
class Movable(typing.Protocol):
    """An adapter that can be told where to run."""

    def run_on(self, device: str, precision: str, /) -> None:
        """Move the model to a device of ``resolve_device``, and compute in ``precision``."""


def load_model(
    spec: str,
    *,
    device: str = "auto",
    precision: str = "float32",
    timm_size: str = "test",
    classes: ClassMap | None = None,
) -> Adapter:
    """Make the adapter that a specification names, on a device, in a precision.

    ``spec`` is one of ``MODEL_SPECS``; ``device`` is as ``resolve_device`` takes it. An adapter without ``run_on``
    chooses its own device, so it takes ``auto`` and ``cpu`` only. ``timm_size`` is the size and crop of timm's models:
    ``test`` or ``train``. ``classes`` are those of the dataset, which models that are asked with words need.
    ``EvaluationError`` names what is at fault.
    """
    kind, _, rest = spec.partition(":")
    require(rest, f"model {spec!r}: expected {MODEL_SPECS}", 2)
    if kind == "onnx":
        require(precision == "float32", f"model {spec!r}: an ONNX file has a precision of its own", 2)
        return OnnxAdapter(Path(rest), device=device)
    if device != "auto":
        resolve_device(device)  # what is not there is said before any weights are read
    adapter: Adapter
    if kind == "timm":
        name, _, checkpoint = rest.partition("=")
        adapter = TimmAdapter(name, Path(checkpoint) if checkpoint else None, size=timm_size)
    elif kind in _LIBRARIES:
        adapter = _LIBRARIES[kind](rest, classes)
    else:
        adapter = _call_factory(spec)
    if isinstance(adapter, Movable):
        resolved = resolve_device(device)
        check_precision(resolved, precision)
        _move(adapter, spec, resolved, precision)
    else:
        chosen = device in ("auto", "cpu") and precision == "float32"
        require(chosen, f"model {spec!r} has no run_on(device, precision): it chooses its own; leave them out", 2)
    return adapter


def _move(adapter: Movable, spec: str, device: str, precision: str) -> None:
    try:
        adapter.run_on(device, precision)
    except Exception as error:  # of a user's own adapter, or a device without room
        if hasattr(error, "exit_code"):
            raise
        raise EvaluationError(f"model {spec!r}: cannot run on {device}: {_words(error)}") from error


def _call_factory(spec: str) -> Adapter:
    target, equals, argument = spec.partition("=")
    module, _, attribute = target.rpartition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last, so that nothing here hides an installed package
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise EvaluationError(f"model {spec!r}: {plain_line(error)}", 2) from error
    except (Exception, SystemExit) as error:  # whatever the user's module does when it is imported
        raise _own_fault(error, f"model {spec!r}: importing {module}") from error
    require(callable(factory), f"model {spec!r}: {attribute} is no callable, but {type(factory).__name__}", 2)
    given = (argument,) if equals else ()
    try:
        inspect.signature(factory).bind(*given)
    except TypeError as error:
        got = f"{len(given)} given; {plain_line(error)}"
        raise EvaluationError(f"model {spec!r}: give an argument as MODULE:CALLABLE=ARGUMENT: {got}", 2) from error
    except ValueError:
        pass  # a callable that does not tell what it takes
    try:
        adapter: Adapter = factory(*given)
    except (Exception, SystemExit) as error:
        raise _own_fault(error, f"model {spec!r}: {attribute}") from error
    check_adapter(adapter, spec)
    return adapter


def _own_fault(error: BaseException, where: str) -> BaseException:
    """An error of a user's code as ours, unless it brings an exit code."""
    if isinstance(getattr(error, "exit_code", None), int):
        return error
    return EvaluationError(f"{where}: {_words(error)}")


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {plain_line(error)}" if str(error) else type(error).__name__


def specification_sha256(spec: str) -> str | None:
    """SHA-256 of what decides a callable's answers besides its weights; None for models of files.

    That is the source of its module, its name and its argument.
    """
    if spec.partition(":")[0] in ("timm", "onnx", *_LIBRARIES):
        return None
    target, _, argument = spec.partition("=")
    module, _, attribute = target.rpartition(":")
    source = Path(getattr(sys.modules.get(module), "__file__", None) or "")
    own = file_sha256(source) if source.is_file() else ""
    return hashlib.sha256("\0".join((own, attribute, argument)).encode()).hexdigest()
