"""Options of the command line: those that several verbs share, and how a record of options becomes a command's own.

A verb takes few parameters; options that belong together are a frozen dataclass whose fields carry
``Annotated[..., typer.Option(...)]``, and ``flattened`` gives the command one option for each field. What a verb would
ignore in one of its modes it refuses by ``refuse_options``.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from figureground.errors import UsageError
from figureground.runtime.devices import AUTO, Precision

if TYPE_CHECKING:
    from figureground.runtime.engines import EngineChoice

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="Folder of the workspace.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Processes; default: all processors.")]
RevisionOption = Annotated[str | None, typer.Option(help="Tag, branch or commit, for a dataset on the Hub.")]


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Where a network runs and in which numbers; what this machine lacks ends the command before weights are read."""

    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps; auto takes the best there is.")] = AUTO
    precision: Annotated[Precision, typer.Option(help="What a torch model computes in.")] = "float32"


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Where the work of a verb runs."""

    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Where the work runs: processes here, or Ray; the same bytes.")
    ] = "local"
    ray_address: Annotated[
        str, typer.Option(help="Cluster, HOST:PORT, or auto for this machine's; default: a Ray of this machine alone.")
    ] = ""

    def choice(self, **further: Any) -> EngineChoice:  # noqa: ANN401  fields of EngineChoice
        """The engine that the options name.

        Raises:
            UsageError: for options that contradict each other.
        """
        from figureground.runtime.engines import EngineChoice

        return EngineChoice(kind=self.engine, ray_address=self.ray_address, **further)


@dataclass(frozen=True, kw_only=True)
class RenderEngineOptions(EngineOptions):
    """Where images are rendered."""

    ray_staging: Annotated[
        str, typer.Option(help="Folder or URI (s3://, gs://, hf://) that all nodes reach; default: the output folder.")
    ] = ""

    def choice(self, **further: Any) -> EngineChoice:  # noqa: ANN401
        """The engine that the options name, with its staging folder; raises as ``EngineOptions.choice``."""
        return super().choice(staging=self.ray_staging, **further)


@dataclass(frozen=True, kw_only=True)
class ModelEngineOptions(EngineOptions):
    """Where networks run."""

    ray_gpus: Annotated[float, typer.Option(min=0, help="GPUs that Ray keeps for each model.")] = 0.0

    def choice(self, **further: Any) -> EngineChoice:  # noqa: ANN401
        """The engine that the options name, with the GPUs of a model; raises as ``EngineOptions.choice``."""
        return super().choice(gpus=self.ray_gpus, **further)


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(DeviceOptions):
    """Where a network runs that is shown the rows of a dataset, and how these are decoded."""

    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode images; by default one a processor, up to 8.")
    ] = None


def verb(epilog: str) -> Callable[[Callable[..., None]], typer.Typer]:
    """Make a function a program of one command, which ``figureground.cli.verbs`` lists by name.

    Args:
        epilog: Its examples, ``Example: ...`` or ``Examples: ...`` with an empty line between two.
    """

    def make(function: Callable[..., None]) -> typer.Typer:
        program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        program.command(epilog=epilog)(flattened(function))
        return program

    return make


def flattened(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command one parameter for each field of the records that ``function`` takes.

    A parameter whose type is a dataclass is replaced by the dataclass's fields, in their order and with their defaults;
    a field that is a dataclass itself is replaced likewise. When the command is called, the records are made again.

    Raises:
        TypeError: if two parameters or fields have the same name.
    """
    hints = get_type_hints(function, include_extras=True)
    parameters = [
        part
        for parameter in inspect.signature(function).parameters.values()
        for part in _flat(parameter.name, hints[parameter.name], parameter.default)
    ]
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise TypeError(f"{function.__name__}: an option is named twice in {', '.join(names)}")

    @wraps(function)
    def command(**values: Any) -> None:  # noqa: ANN401  of any option
        function(**{name: _gathered(name, hints[name], values) for name in inspect.signature(function).parameters})

    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__  # typer would read the annotations of the inner function
    return command


def refuse_options(context: typer.Context, names: Iterable[str], where: str) -> None:
    """Refuse options that were typed and that a verb does not read in one of its modes.

    A default that is typed is refused too: whoever types it expects something of it.

    Args:
        context: That of the command.
        names: Its parameters that mean nothing there, such as ``fail_on``.
        where: The mode, behind "no effect", such as ``with --fix``.

    Raises:
        UsageError: with all of them.
    """
    spelled = {parameter.name: max(parameter.opts, key=len) for parameter in context.command.params}
    sources = {name: context.get_parameter_source(name) for name in names}
    typed = [spelled[name] for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if typed:
        has, them = ("has", "it") if len(typed) == 1 else ("have", "them")
        raise UsageError(f"{', '.join(typed)} {has} no effect {where}: leave {them} out")


def _is_record(kind: Any) -> bool:  # noqa: ANN401  any type
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _flat(name: str, kind: Any, default: Any) -> Iterator[Parameter]:  # noqa: ANN401  any type, any value
    """The parameters of the command that stand for one parameter of the function, or one field of a record."""
    if not _is_record(kind):
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        return
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        default = Parameter.empty if field.default is dataclasses.MISSING else field.default
        yield from _flat(field.name, hints[field.name], default)


def _gathered(name: str, kind: Any, values: Mapping[str, Any]) -> Any:  # noqa: ANN401  any type, any value
    """The value of one parameter of the function, or of one field of a record, from the values of the options."""
    if not _is_record(kind):
        return values[name]
    hints = get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    return kind(**{field.name: _gathered(field.name, hints[field.name], values) for field in fields})
