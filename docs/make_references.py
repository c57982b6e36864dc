"""Write the references of docs/ from the code; with ``--check``, fail where one differs.

These are door.md, recipe_fields.md, columns.md, json.md and the schemas in json/.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import typer

import figureground
from figureground.build.recipes.loading import load_recipe, shipped_recipes
from figureground.cli.app import app
from figureground.cli.outputs.printed import field_texts, json_schema
from figureground.cli.outputs.registry import OUTPUTS
from figureground.schemas import recipe_views, recipes
from figureground.schemas.classes import load_class_map
from figureground.schemas.features import COLUMNS, dataset_features

DOCS = Path(__file__).parent
_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
_SECTION = re.compile(r"^(Args|Returns|Raises|Example|Attributes):$")
_ARGUMENT = re.compile(r"^    (\*{0,2}[\w, ]+): (.*)$")


def main() -> int:
    """Write the pages, or compare them; returns the exit code."""
    schemas = {verb: json_schema(shape) for verb, shape in OUTPUTS.items()}
    pages = {"door.md": door_page(), "recipe_fields.md": recipe_page(), "json.md": json_page(schemas)}
    pages["columns.md"] = columns_page()
    pages |= {_schema_file(verb): json.dumps(schema, indent=1) + "\n" for verb, schema in schemas.items()}
    stale = [f"json/{path.name}" for path in (DOCS / "json").glob("*") if f"json/{path.name}" not in pages]
    for name, text in pages.items():
        path = DOCS / name
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"docs/{', docs/'.join(stale)}: not what the code says; run: make docs", file=sys.stderr)
    return 1 if stale else 0


def door_page() -> str:
    """Every name of ``import figureground``: functions with their signatures, then records, then errors."""
    named = {name: getattr(figureground, name) for name in figureground.__all__}
    kinds = {
        "Functions": [name for name, value in named.items() if inspect.isfunction(value)],
        "Errors": [name for name, value in named.items() if inspect.isclass(value) and issubclass(value, Exception)],
    }
    rest = [name for name in named if not any(name in names for names in kinds.values())]
    blocks = [
        "<!-- Written by `make docs` from the docstrings: edit those, not this. -->",
        "# The Python door",
        "All names of `import figureground`. [From Python](python.md) walks the whole path with them.",
    ]
    for title, names in (("Functions", kinds["Functions"]), ("Records", rest), ("Errors", kinds["Errors"])):
        blocks.append(f"## {title}")
        for name in names:
            blocks += [f"### figureground.{name}", *_described(name, named[name])]
    return "\n\n".join(blocks) + "\n"


def _described(name: str, value: object) -> Iterator[str]:
    if inspect.isfunction(value):
        yield f"```python\n{_signature(name, value)}\n```"
    if not isinstance(value, (type, ModuleType)) and not inspect.isfunction(value):
        yield from _alias(name)
        return
    yield from _markdown(inspect.getdoc(value) or "")
    if isinstance(value, type) and dataclasses.is_dataclass(value):
        yield _fields_table(value)


def _alias(name: str) -> Iterator[str]:
    """What a name of a type stands for, and the docstring below it; the type's own would be Python's manual."""
    home = next(module for module, names in figureground._HOMES.items() if name in names)
    for statement, after in itertools.pairwise(ast.parse(inspect.getsource(import_module(home))).body):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            yield f"```python\n{ast.unparse(statement)}\n```"
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                yield _prose(inspect.cleandoc(str(after.value.value)))


def _fields_table(record: type) -> str:
    """The fields of a dataclass, in their order; names of choices are spelled out."""
    texts, known = field_texts(record), vars(sys.modules[record.__module__])

    def spelled(match: re.Match[str]) -> str:
        value = known.get(match[0])
        return " | ".join(map(repr, get_args(value))) if get_origin(value) is Literal else match[0]

    rows = ["| field | type | default | means |", "|---|---|---|---|"]
    for field in (field for field in dataclasses.fields(record) if not field.name.startswith("_")):
        kind = re.sub(r"\w+", spelled, str(field.type))
        cells = (f"`{field.name}`", f"`{kind}`", _record_default(field), _prose(texts.get(field.name, "")))
        rows.append(" | ".join(["", *map(_cell, cells), ""]).strip())
    return "\n".join(rows)


def _record_default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{getattr(field.default_factory, '__name__', '...')}()`"
    return "" if field.default is dataclasses.MISSING else f"`{_default(field.default)}`"


def _signature(name: str, function: object) -> str:
    """A call with a parameter a line; defaults that are records are said by their class."""
    lines = list[str]()
    keywords = False
    for parameter in inspect.signature(function).parameters.values():  # type: ignore[arg-type]
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            keywords = True
            lines.append("    *,")
        default = "" if parameter.default is parameter.empty else f" = {_default(parameter.default)}"
        stars = _STARS.get(parameter.kind.name, "")
        lines.append(f"    {stars}{parameter.name}: {parameter.annotation}{default},")
    returned = inspect.signature(function).return_annotation  # type: ignore[arg-type]
    return "\n".join([f"{name}(", *lines, f") -> {returned}"])


def _default(value: object) -> str:
    if callable(value):
        return "..."
    text = repr(value)
    return text if len(text) <= 40 and " object at " not in text else f"{type(value).__name__}()"


def _markdown(docstring: str) -> Iterator[str]:
    """A docstring's paragraphs; arguments, errors and what is returned as lists, examples as code."""
    for paragraph in docstring.split("\n\n"):
        lines = paragraph.splitlines()
        if not _SECTION.match(lines[0]):
            code = lines[0].startswith((" ", ">>>")) or "──" in paragraph
            yield f"```text\n{paragraph}\n```" if code else _prose(paragraph)
            continue
        title = lines[0].rstrip(":")
        body = "\n".join(line[4:] for line in lines[1:])
        if title == "Example":
            yield f"**{title}**"
            yield f"```python\n{body.strip('`')}\n```"
        elif any(map(_ARGUMENT.match, lines[1:])):
            yield f"**{title}**"
            yield "\n".join(_items(lines[1:]))
        else:
            yield f"**{title}** {_prose(body)}"


def _items(lines: list[str]) -> Iterator[str]:
    item = ""
    for line in lines:
        argument = _ARGUMENT.match(line)
        if argument:
            if item:
                yield item
            item = f"- `{argument[1]}`: {_prose(argument[2])}"
        else:
            item += " " + _prose(line.strip())
    yield item


def _prose(text: str) -> str:
    """Text whose code, between two backticks in a docstring, is between one in Markdown."""
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def _schema_file(verb: str) -> str:
    return f"json/{verb.replace(' ', '-')}.schema.json"


JSON_PAGE = """# What --json prints

With `--json` a verb prints one JSON object on a line of stdout; messages, progress and faults stay on stderr, and exit
codes are the same. The tables say which keys it has. Each verb's schema (JSON Schema, draft 2020-12) says what is
inside of them too, and forbids keys that it does not name: a test holds every verb to it. A key that may be absent is
marked with *; null is said where it may stand. Later versions may add keys; what is there keeps its name and meaning,
or [the changelog](../CHANGELOG.md) says so.

    figureground photos -w work --json > photos.json
    check-jsonschema --schemafile photos.schema.json photos.json"""


def json_page(schemas: Mapping[str, dict[str, Any]]) -> str:
    """The keys that every verb prints, with a link to its schema."""
    helps = dict(_helps(typer.main.get_command(app)))
    blocks = ["<!-- Written by `make docs` from figureground/cli/outputs: edit that, not this. -->", JSON_PAGE]
    for verb, schema in schemas.items():
        blocks += [f"## figureground {verb}", f"{helps[verb]} ([schema]({_schema_file(verb)}))"]
        for shape in schema.get("anyOf", [schema]):
            resolved = _resolved(shape, schema)
            if "properties" in resolved:
                blocks += [resolved.get("description", ""), _keys_table(resolved)]
            else:
                blocks.append("With `--list`, or without a name: text by name.")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _helps(group: Any, prefix: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  typer's private class
    """Every verb with the first paragraph of its help."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _helps(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", " ".join((command.help or "").split("\n\n")[0].split())


def _resolved(shape: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A shape in place of a reference to it."""
    name = shape.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else shape


def _keys_table(shape: Mapping[str, Any]) -> str:
    rows = ["| key | is | means |", "|---|---|---|"]
    for name, about in shape["properties"].items():
        absent = "" if name in shape.get("required", ()) else " *"
        cells = (f"`{name}`{absent}", _kind(about), about.get("description", ""))
        rows.append(" | ".join(["", *map(_cell, cells), ""]).strip())
    return "\n".join(rows)


def _kind(about: Mapping[str, Any]) -> str:
    """A type of JSON in words."""
    if "anyOf" in about:
        return " or ".join(map(_kind, about["anyOf"]))
    if "enum" in about:
        return " or ".join(f"`{value}`" for value in about["enum"])
    kind = about.get("type", "object" if "$ref" in about else "anything")
    if kind == "array":
        inner = about.get("items") or next(iter(about.get("prefixItems", ())), {})
        return f"array of {_kinds(inner)}"
    values = about.get("additionalProperties")
    if kind == "object" and isinstance(values, Mapping):
        return f"object of {_kinds(values)} by name"
    return str(kind)


def _kinds(about: Mapping[str, Any]) -> str:
    """The same of several."""
    first, space, rest = _kind(about).partition(" ")
    return f"{first}s{space}{rest}" if first != "anything" else first


COLUMNS_PAGE = """# Columns of a dataset

All configs of a dataset have the same columns, so that one reader serves all; a column that says nothing in a config is
null there. `datasets.load_dataset` gives them as these features; the Parquet files have the same names. Types are
those of `datasets`. The list of attributes is the recipe's; here it is one called `round`."""

CONFIGS_PAGE = """## Which config fills what

Of the shipped recipes: configs whose rows have a donor fill `ground_id`, `ground_label` and `provenance.ground_sha256`;
configs with a row for each attribute fill `attribute`. In all others these are null."""


def columns_page() -> str:
    """Every column by its dotted name, and which config of the shipped recipes fills those that may be null."""
    kinds = dict(_flat(dataset_features(load_class_map("imagenet9"), ["round"], grouped=True)))
    rows = ["| column | type | holds | unit, range, order | null where |", "|---|---|---|---|---|"]
    for name, column in COLUMNS.items():
        cells = (f"`{name}`", f"`{kinds[name]}`", column.means, column.unit, column.null or "never")
        rows.append(" | ".join(["", *map(_cell, cells), ""]).strip())
    configs = ["| recipe | config | donor | a row for |", "|---|---|---|---|"]
    for recipe in map(load_recipe, shipped_recipes()):
        for config, variant in recipe.variants.items():
            donor = f"`{variant.donor}`" if variant.donor else "none"
            one = "each attribute" if variant.per_attribute else "each ground" if variant.grounds else "each photo"
            configs.append(f"| {recipe.name} | `{config}` | {donor} | {one} |")
    blocks = [
        "<!-- Written by `make docs` from schemas/features.py and the recipes: edit those, not this. -->",
        COLUMNS_PAGE,
        "\n".join(rows),
        CONFIGS_PAGE,
        "\n".join(configs),
    ]
    return "\n\n".join(blocks) + "\n"


def _flat(features: Any, prefix: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  features of datasets
    """Dotted name to type of every column that is no struct; ``attributes`` is one column, whatever is in it."""
    for name, feature in features.items():
        inner = getattr(feature, "feature", None)
        if isinstance(feature, dict) and name != "attributes":
            yield from _flat(feature, f"{prefix}{name}.")
        elif isinstance(inner, dict):
            yield f"{prefix}{name}", "List of structs"
            yield from _flat(inner, f"{prefix}{name}[].")
        else:
            yield f"{prefix}{name}", _feature_kind(feature)


def _feature_kind(feature: Any) -> str:  # noqa: ANN401  as above
    if isinstance(feature, dict):
        return "struct of bool by attribute"
    kind = type(feature).__name__
    if kind == "List":
        return f"List of {feature.length} {feature.feature.dtype}" if feature.length > 0 else "List"
    return str(feature.dtype) if kind == "Value" else kind


def recipe_page() -> str:
    """Every field of a recipe's YAML, by the record that it belongs to; the recipe itself first."""
    blocks = [
        "<!-- Written by `make docs` from schemas/recipes.py: edit that, not this. -->",
        "# Fields of a recipe",
        "What may stand in a recipe's YAML ([building](building.md) says how one writes one). A field without a "
        "default has to be there.",
    ]
    records = [*reversed(list(_records(recipes))), *reversed(list(_records(recipe_views)))]
    for name, node in records:
        blocks += [f"## {name}", _prose(ast.get_docstring(node) or "").replace("\n", " "), _table(node)]
    return "\n\n".join(blocks) + "\n"


def _records(module: object) -> Iterator[tuple[str, ast.ClassDef]]:
    for node in ast.parse(inspect.getsource(module)).body:  # type: ignore[arg-type]
        if isinstance(node, ast.ClassDef):
            yield node.name, node


def _table(record: ast.ClassDef) -> str:
    rows = ["| field | is | default | means |", "|---|---|---|---|"]
    following = [*record.body[1:], None]
    for statement, after in zip(record.body, following, strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = inspect.cleandoc(str(after.value.value))
        cells = [f"`{statement.target.id}`", f"`{ast.unparse(statement.annotation)}`", _field_default(statement.value)]
        rows.append(" | ".join(["", *(_cell(cell) for cell in cells), _cell(_prose(text)), ""]).strip())
    return "\n".join(rows)


def _field_default(value: ast.expr | None) -> str:
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field":
        named = {keyword.arg: ast.unparse(keyword.value) for keyword in value.keywords}
        default = named.get("default", named.get("default_factory", ""))
        return f"`{default}`" if default else ""
    return f"`{ast.unparse(value)}`" if value is not None else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
