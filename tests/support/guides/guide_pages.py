"""Pages of the documentation as what one does on them: blocks to type, steps to take in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from checkout import ROOT
from markdown_it import MarkdownIt
from markdown_it.token import Token

Kind = Literal["key", "click", "mouse"]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code of a page."""

    page: str
    """Path in the project."""
    line: int
    """Of its first line of code, from 1."""
    info: str
    """What stands behind the backticks; ``indented`` for a block without any."""
    text: str

    @property
    def language(self) -> str:
        """The first word of ``info``."""
        return self.info.partition(" ")[0]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def calls(self, program: str) -> Iterator[str]:
        """Lines that call a program, continued ones joined, without a prompt or variables in front."""
        for line in self.text.replace("\\\n", " ").splitlines():
            command = re.sub(r"^(\$ )?([A-Z_]+=\S+ )*(\.venv/bin/)?", "", line.strip())
            if command.startswith(f"{program} "):
                yield command


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that somebody does in a browser."""

    kind: Kind
    """``key``: pressed; ``click``: on something of the page; ``mouse``: on the photo."""
    what: str
    """A key as it is written (``Ctrl+Space``), what is clicked on, or what is done on the photo, in small letters."""


@dataclass(slots=True)
class Section:
    """What stands below one heading: blocks, or a numbered list of steps."""

    title: str
    blocks: list[Block] = field(default_factory=list)
    steps: list[list[Action]] = field(default_factory=list)


def sections_of(page: str) -> list[Section]:
    """A page by its headings, in order.

    In a numbered list ``<kbd>`` is a key, bold is something to click on, italics are what the mouse does on the photo.
    """
    parsed = _parse(page)
    sections = [Section("")]
    numbered = 0
    for place, token in enumerate(parsed):
        if token.type == "heading_open":
            sections.append(Section(parsed[place + 1].content))
        elif token.type in ("fence", "code_block"):
            sections[-1].blocks.append(_block(page, token))
        elif token.type in ("ordered_list_open", "ordered_list_close"):
            numbered += token.nesting
        elif token.type == "inline" and numbered:
            sections[-1].steps.append(list(_actions(token.children or [])))
    return sections


def blocks_of(page: str) -> list[Block]:
    """All blocks of a page, fenced and indented."""
    return [block for section in sections_of(page) for block in section.blocks]


def _parse(page: str) -> list[Token]:
    return MarkdownIt("commonmark").parse((ROOT / page).read_text(encoding="utf-8"))


def _block(page: str, token: Token) -> Block:
    assert token.map is not None
    fenced = token.type == "fence"
    return Block(page, token.map[0] + 1 + fenced, token.info.strip() if fenced else "indented", token.content)


def _actions(children: Sequence[Token]) -> Iterator[Action]:
    """What one step says to do, in the order of its words; keys that a plus joins are pressed together."""
    words: list[tuple[str, str]] = [("", "")]
    inside = ""
    for child in children:
        opened = {"strong_open": "click", "em_open": "mouse"}.get(child.type, "")
        if child.type == "html_inline" and child.content in ("<kbd>", "</kbd>"):
            inside = "key" if child.content == "<kbd>" else ""
        elif opened or child.type in ("strong_close", "em_close"):
            inside = opened
        elif child.type in ("text", "softbreak"):
            text = child.content or " "
            words.append((inside, text))
    for place, (kind, text) in enumerate(words):
        if kind == "key":
            if words[place - 1][1].strip() == "+" and words[place - 2][0] == "key":
                continue
            keys = [text]
            while words[place + 1 : place + 2] and words[place + 1][1].strip() == "+":
                place += 2
                keys.append(words[place][1])
            yield Action("key", "+".join(keys))
        elif kind == "click":
            yield Action("click", text)
        elif kind == "mouse":
            yield Action("mouse", text.lower())
