"""Options: records become options of a command, one for each field, and are made again when it is called."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

import figureground.cli
from figureground.cli.app import app
from figureground.cli.options import (
    EngineOptions,
    ModelEngineOptions,
    NetworkOptions,
    RenderEngineOptions,
    flattened,
    verb,
)
from figureground.errors import UsageError
from figureground.runtime.devices import Precision
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: Annotated[int, typer.Option(min=0, help="Metres.")] = 3


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: Annotated[str, typer.Option(help="Name of the lake.")]
    inner: Inner
    fish: Annotated[list[str] | None, typer.Option(help="What swims in it.")] = None


calls: list[tuple[str, Outer, bool]] = []


@verb("Example: lake Wannsee --name north")
def lake(*, place: str, outer: Outer, frozen: bool = False) -> None:
    """Describe a lake."""
    calls.append((place, outer, frozen))


def test_a_record_is_one_option_a_field_and_is_made_again() -> None:
    calls.clear()
    words = ["Wannsee", "--name", "north", "--depth", "9", "--fish", "pike", "--fish", "eel", "--frozen"]
    done = CliRunner().invoke(lake, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert calls == [("Wannsee", Outer(name="north", inner=Inner(depth=9), fish=["pike", "eel"]), True)]


def test_defaults_are_those_of_the_record() -> None:
    calls.clear()
    assert CliRunner().invoke(lake, ["Wannsee", "--name", "north"]).exit_code == 0
    assert calls == [("Wannsee", Outer(name="north", inner=Inner()), False)]


@pytest.mark.parametrize("words", [["Wannsee"], ["Wannsee", "--name", "north", "--depth", "-1"]])
def test_a_field_without_a_default_is_required_and_bounds_hold(words: list[str]) -> None:
    assert CliRunner().invoke(lake, words).exit_code == 2


def test_the_help_shows_the_fields_in_their_order() -> None:
    text = CliRunner().invoke(lake, ["--help"], env={"COLUMNS": "120"}).output
    order = [text.index(words) for words in ("Describe a lake", "--name", "--depth", "--fish", "--frozen", "Example")]
    assert order == sorted(order)
    assert all(words in text for words in ("Name of the lake.", "Metres.", "[default: 3]", "[required]"))


def test_two_options_of_one_name_are_refused() -> None:
    def twice(depth: int, inner: Inner) -> None: ...

    with pytest.raises(TypeError, match="named twice"):
        flattened(twice)


def test_engines_are_chosen_by_their_options() -> None:
    assert EngineOptions().choice().kind == "local"
    ray = ModelEngineOptions(engine="ray", ray_gpus=0.5).choice()
    assert (ray.kind, ray.gpus, ray.staging) == ("ray", 0.5, "")
    staged = RenderEngineOptions(engine="ray", ray_address="auto", ray_staging="/shared/staging").choice()
    assert (staged.ray_address, staged.staging) == ("auto", "/shared/staging")
    with pytest.raises(UsageError, match="--engine ray"):
        RenderEngineOptions(ray_staging="/shared/staging").choice()


@pytest.mark.parametrize("words", [["propose"], ["studio", "up"], ["studio", "backend"]])
@pytest.mark.parametrize(
    ("network", "message"),
    [
        pytest.param(["--device", "cuda:99"], "device cuda:99: this machine has none", id="no such device"),
        pytest.param(["--device", "tpu"], "expected auto, cpu, cuda, cuda:N or mps", id="no device"),
        pytest.param(["--device", "cpu", "--precision", "float16"], "no arithmetic for it", id="float16"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(
    tmp_path: Path, words: list[str], network: list[str], message: str
) -> None:
    Workspace.create(tmp_path).close()
    done = CliRunner().invoke(app, [*words, "-w", str(tmp_path), *network, "--segmenter", "sam"])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_no_function_of_the_command_line_takes_more_than_eight_parameters() -> None:
    """As written; ``flattened`` gives a command its options. ``evaluate`` waits for the table of its options."""
    long = []
    for module in iter_modules(figureground.cli.__path__, "figureground.cli."):
        source = inspect.getsource(import_module(module.name))
        for name, count in _parameter_counts(source):
            if count > 8:
                long.append(f"{module.name}.{name}: {count}")
    assert long == []


def _parameter_counts(source: str) -> list[tuple[str, int]]:
    return [
        (node.name, sum(part.arg != "self" for part in (*node.args.args, *node.args.kwonlyargs)))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    ]


def test_networks_run_where_those_of_evaluate_do() -> None:
    from figureground.exports.evaluation.options import COMMON

    table = {option.name: option for option in COMMON}
    for field in fields(NetworkOptions):
        option = table[field.name]
        (described,) = get_type_hints(NetworkOptions, include_extras=True)[field.name].__metadata__
        assert (field.default, described.help, described.min) == (option.default, option.help, option.least)
    assert get_args(Precision) == table["precision"].choices
