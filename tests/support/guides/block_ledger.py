"""What becomes of every block of code in the pages: typed by a test, parsed by the program itself, or only shown."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import typer
import yaml
from guide_pages import Block
from known_commands import VERBS
from typist import GPU, TYPED

Fate = Literal["run", "parsed", "exempt"]

TYPED_PAGES: Final = {
    "docs/tutorials/first_dataset.md": "tests/test_tutorials.py",
    "docs/tutorials/first_score.md": "tests/test_tutorials.py",
    "docs/tutorials/first_mask.md": "tests/guides/test_first_mask.py",
    "docs/howto/cluster.md": "tests/guides/test_howto_cluster.py",
    "docs/howto/gpu.md": "tests/guides/test_howto.py",
    "docs/howto/imagenet.md": "tests/guides/test_howto.py",
    "docs/howto/own_attributes.md": "tests/guides/test_howto.py",
    "docs/howto/own_classes.md": "tests/guides/test_howto.py",
    "docs/howto/own_textures.md": "tests/guides/test_howto.py",
    "docs/howto/publish.md": "tests/guides/test_howto_publish.py",
    "docs/howto/team.md": "tests/guides/test_howto_team.py",
}
"""Pages whose ``sh`` blocks a test types, and which; no other page has any."""
PYTHON_PAGES: Final = {"docs/python.md": "tests/test_python_page.py"}
"""Pages whose Python is one program that a test runs."""
GENERATED: Final = {"docs/cli.md": "written from the program", "docs/door.md": "signatures, written from the program"}

SHOWN: Final = {
    "text": "what is printed, what a folder holds, or what only the reader can know, such as a token",
    "{toctree}": "the order of the site",
}
"""Languages of blocks that nobody types, and why."""
OTHERS: Final = {
    ".": "the shell's",
    "check-jsonschema": "a program of others, one of many that read a schema; tests read each with jsonschema",
    "make": "targets are compared with the Makefile (tests/test_docs.py)",
    "pip": "an installation; check_wheel.py and check_ranges.py install",
    "python": "somebody else's script, or one that lies in a dataset on the Hub",
    "ray": "starts machines of a cloud",
    "uv": "reads from huggingface.co",
}
"""Programs that a block may call beside ours, and why they are not called here."""


class Call(NamedTuple):
    """One call of the program, as click reads it."""

    verb: str
    values: dict[str, Any]
    """Parameter to value, as typed words are converted; those that were not given have their defaults."""
    arguments: list[str]
    """Paths and names that stand without an option, and the workspace."""
    written: list[str]
    """Paths that it writes: ``--out``, ``--page``, and what the shell writes its output to."""


REFUSED: Final[type[Exception]] = typer.BadParameter.__bases__[0]
"""What click raises for words that it does not take; some releases of typer bring a click of their own."""


def fate_of(block: Block) -> tuple[Fate, str]:
    """What becomes of a block, and by what or why.

    Raises:
        AssertionError: if nothing does: it calls what the program does not have, or belongs to no kind.
    """
    if block.language in SHOWN:
        return "exempt", SHOWN[block.language]
    if block.page in GENERATED:
        return "exempt", GENERATED[block.page]
    if block.language == TYPED:
        assert block.page in TYPED_PAGES, f"{block}: no test types the blocks of this page; leave the language out"
        if block.info != TYPED:
            assert block.info == GPU, f"{block}: {block.info}"
        return "run", TYPED_PAGES[block.page]
    if block.language == "python":
        compile(block.text, str(block), "exec")
        return ("run", PYTHON_PAGES[block.page]) if block.page in PYTHON_PAGES else ("parsed", "compiled")
    if block.language == "yaml":
        assert isinstance(yaml.safe_load(block.text), dict | list), f"{block}: no YAML of lists and keys"
        return "parsed", "read as YAML"
    if block.language == "json":
        json.loads(block.text)
        return "parsed", "read as JSON"
    if block.info == "indented" and not list(block.calls("figureground")):
        return "exempt", "a drawing or an output"
    assert block.info in ("", "indented"), f"{block}: nothing is known of the language {block.info!r}"
    for words in commands(block.text):
        if words[0] != "figureground":
            assert words[0] in OTHERS, f"{block}: {words[0]}: neither a command nor shown as text"
    assert commands(block.text), f"{block}: no command; output is of the language text"
    list(calls(block))
    return "parsed", "by the program's own command line"


def commands(text: str) -> list[list[str]]:
    """Simple commands of lines of the shell, their words without what follows a redirection."""
    parts: list[list[str]] = []
    lines = text.replace("\\\n", " ").splitlines()
    heredoc = ""
    for line in lines:
        if heredoc:
            heredoc = "" if line == heredoc else heredoc
            continue
        splitter = shlex.shlex(line, posix=True, punctuation_chars=True)
        splitter.whitespace_split = True
        words = list(splitter)
        if "<<" in words:
            heredoc = words[words.index("<<") + 1]
        part: list[str] = []
        for word in [*words, ";"]:
            if word in ("&&", "||", "|", ";"):
                while part and "=" in part[0]:  # a variable of this command
                    part = part[1:]
                parts += [part] if part else []
                part = []
            else:
                part.append(word)
    return parts


def calls(block: Block) -> Iterator[Call]:
    """Calls of the program in a block, read by its own command line.

    Raises:
        AssertionError: if there is no such verb, or it does not take these words.
    """
    for words in commands(block.text):
        if words[0] == "figureground":
            yield read_call(str(block), words[1:])


def read_call(where: str, words: list[str]) -> Call:
    """Read the words of one call."""
    if words[:1] and words[0].startswith("-"):
        assert words in (["--help"], ["--install-completion"]), f"{where}: {words}"
        return Call("", {}, [], [])
    target = words.index(">") if ">" in words else len(words)
    command = words[:target]
    name = next((name for name in (" ".join(command[:2]), command[0]) if name in VERBS), "")
    assert name, f"{where}: there is no verb {' '.join(command[:2])!r}"
    verb = VERBS[name]
    try:
        context = verb.make_context(name, command[len(name.split()) :])
    except REFUSED as error:
        raise AssertionError(f"{where}: figureground {' '.join(command)}: {error}") from error
    values = context.params
    arguments = [parameter.name for parameter in verb.params if parameter.param_type_name == "argument"]
    named = [values[word] for word in (*arguments, "workspace") if word and values.get(word) is not None]
    written = [str(values[word]) for word in ("out", "page") if values.get(word)] + words[target + 1 :]
    flat = [str(item) for value in named for item in (value if isinstance(value, list | tuple) else [value])]
    return Call(name, values, flat, written)
