"""Write docs/cli.md from the command line itself; with ``--check``, fail where the page differs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from figureground.cli.app import app

PAGE = Path(__file__).with_name("cli.md")
HEAD = "<!-- Written by `make docs` from figureground/cli: edit that, not this. -->\n\n# The command line"


def main() -> int:
    """Write the page, or compare it; returns the exit code."""
    page = render_page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8", newline="\n")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print("docs/cli.md is not what figureground --help says; run: make docs", file=sys.stderr)
    return 1


def render_page() -> str:
    """The whole page."""
    program = typer.main.get_command(app)
    verbs = dict(_verbs(program))
    table = ["| verb | does |", "|---|---|"]
    for name, verb in verbs.items():
        table.append(f"| [`{name}`](#figureground-{name.replace(' ', '-')}) | {_cell(_sentence(verb))} |")
    blocks = [HEAD, program.help or "", "\n".join(table), program.epilog or ""]
    for name, verb in verbs.items():
        blocks += _verb_blocks(name, verb)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _verbs(group: typer.core.TyperCommand, prefix: str = "") -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Every verb with its name; those of a group as ``group verb``."""
    for name, command in getattr(group, "commands", {}).items():
        inner = list(_verbs(command, f"{prefix}{name} "))
        yield from inner or [(f"{prefix}{name}", command)]


def _verb_blocks(name: str, verb: typer.core.TyperCommand) -> Iterator[str]:
    """One verb's section: what it does, how it is called, its arguments and options."""
    context = typer.Context(verb, info_name=f"figureground {name}")
    yield f"## figureground {name}"
    yield verb.help or ""
    lines = [" ".join([f"figureground {name}", *verb.collect_usage_pieces(context)]), *_examples(verb)]
    yield "\n".join(["```", *lines, "```"])
    records = [record for parameter in verb.get_params(context) if (record := parameter.get_help_record(context))]
    yield "\n".join(["| argument or option | meaning |", "|---|---|", *(_row(*record) for record in records)])


def _examples(verb: typer.core.TyperCommand) -> list[str]:
    """The command lines of an epilog that reads ``Example: ...`` or ``Examples: ...``."""
    _, colon, text = (verb.epilog or "").partition(":")
    return [line.strip() for line in text.splitlines() if line.strip()] if colon else []


def _row(names: str, meaning: str) -> str:
    names = names.replace(" range>", ">")  # the range itself stands in the meaning
    return f"| `{_cell(names)}` | {_cell(meaning)} |"


def _cell(text: str) -> str:
    """``text`` on one line, its bars escaped, as a table's cell wants it."""
    return " ".join(text.split()).replace("|", r"\|")


def _sentence(verb: typer.core.TyperCommand) -> str:
    """The first sentence of a verb's help."""
    return (verb.help or "").split(". ")[0].rstrip(".") + "."


if __name__ == "__main__":
    sys.exit(main())
