"""Commands that messages and pages tell people to type: does the program take them?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import typer

from figureground.cli.app import app


def verbs_of(group: Any, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every verb by its name; those of a group by two words."""
    for name, command in getattr(group, "commands", {}).items():
        inner = list(verbs_of(command, f"{prefix}{name} "))
        yield from inner or [(f"{prefix}{name}", command)]


VERBS = dict(verbs_of(typer.main.get_command(app)))


def is_known(line: str) -> bool:
    """Whether the verb of a command line exists and has every option of the line."""
    try:
        words = shlex.split(line, comments=True)[1:]
    except ValueError:  # an apostrophe of the sentence around it
        words = line.split()[1:]
    if not words or words[0].startswith("-"):
        return words == ["--help"]
    verb = VERBS.get(words[0]) or VERBS.get(" ".join(words[:2]))
    if verb is None:
        return False
    taken = {name for parameter in verb.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    return {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)} <= taken


def commands_in(text: str) -> list[str]:
    """The commands of a message: from ``figureground`` and a verb to where its sentence goes on."""
    phrases = re.findall(r"\bfigureground (?=[a-z-]+(?: |$|[,;)]))[^,;()\n]*", text)
    return [command.strip().rstrip(".:") for command in phrases if command.split()[1] not in _PROSE]


_PROSE = {"itself", "has", "is", "needs", "knows", "wrote"}
"""What follows the program's name where a message speaks of it."""


def unknown_commands(text: str) -> list[str]:
    """The commands of a message that the program does not take."""
    return [command for command in commands_in(text) if not is_known(command)]
