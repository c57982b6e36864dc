"""The page of ``figureground --help``, as ``typer.rich_utils`` would print it.

That module imports a parser of Markdown and one of source code, which take longer than all the rest of the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup


def print_listing(group: TyperGroup, context: Any, verbs: Sequence[tuple[str, str, str]]) -> None:  # noqa: ANN401
    """Print usage, help, options, verbs and epilog of a group.

    Args:
        group: The group.
        context: Its context, which is of a private class.
        verbs: Name, summary and panel of each; those of one panel stand together.
    """
    console = Console(highlight=False)
    usage = Text(group.get_usage(context), style="bold")
    usage.highlight_words(["Usage: "], style="yellow")
    console.print(Padding(usage, 1))
    console.print(Padding(Text(group.help or ""), (0, 1, 1, 1)))
    options = _table()
    for parameter in group.get_params(context):
        names, kind = Text(",".join(parameter.opts), style="bold cyan"), Text("<bool>", style="bold yellow")
        options.add_row(names, "", "", "", kind, Columns([Text(getattr(parameter, "help", ""))]))
    console.print(Panel(options, border_style="dim", title="Options", title_align="left"))
    width = max(len(name) for name, _, _ in verbs)
    for panel, members in groupby(verbs, key=lambda verb: verb[2]):
        table = _table()
        table.add_column(style="bold cyan", no_wrap=True, width=width)
        table.add_column(ratio=10)
        for name, summary, _ in members:
            table.add_row(Text(name), Text(summary))
        console.print(Panel(table, border_style="dim", title=panel, title_align="left"))
    console.print(Padding(Text(group.epilog or ""), 1))


def _table() -> Table:
    """A table without lines, as wide as its panel."""
    return Table(show_header=False, expand=True, box=None, pad_edge=False, padding=(0, 1))
