"""Write docs/door.md and docs/recipe_fields.md from the code; with ``--check``, fail where a page differs."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import figureground
from figureground.schemas import recipe_views, recipes

DOCS = Path(__file__).parent
_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
_SECTION = re.compile(r"^(Args|Returns|Raises|Example|Attributes):$")
_ARGUMENT = re.compile(r"^    (\*{0,2}[\w, ]+): (.*)$")


def main() -> int:
    """Write the pages, or compare them; returns the exit code."""
    pages = {"door.md": door_page(), "recipe_fields.md": recipe_page()}
    stale = list[str]()
    for name, text in pages.items():
        path = DOCS / name
        if "--check" not in sys.argv[1:]:
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
    yield from _markdown(inspect.getdoc(value) or "")


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
