"""Every block of code in the pages is typed by a test, read by the program itself, or shown for a reason."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
from block_ledger import TYPED_PAGES, Call, calls, commands, fate_of, read_call
from checkout import ROOT, is_checkout, project_files
from guide_pages import Block, blocks_of
from needs import need
from typist import TRANSCRIPTS, TYPED

GIVEN = {
    "photos of the reader's": "PHOTOS photos photos/ val2017/ dtd/images ILSVRC ILSVRC/ imagenet-a.tar imagenet-a/"
    " RIVAL10 RIVAL10/",
    "masks and decisions of the reader's": "masks instances_val2017.json decisions-*.json",
    "workspaces": "work again",
    "releases": "work/objects/v1.parquet work/objects/v2.parquet",
    "datasets, called by their recipes": "in9 in9-v2 in9-train rival check plus a-plus crossed butterflies mine",
    "datasets of the Hub": "me/in9 me/mine me/plus ORG/in9",
    "recipes of one's own": "imagenet9_splits.yaml",
    "what ships": "imagenet9 imagenet9_leak imagenet_a_plus background_check crossed rival10 double_checked",
}
"""Names that pages take for granted, as whoever begins in the middle has them; all others are made on the page."""


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    """Those of all pages."""
    need(is_checkout(), "this is no git checkout")
    return [block for name in project_files() if name.endswith(".md") for block in blocks_of(name)]


def test_every_block_is_run_parsed_or_exempt(blocks: list[Block]) -> None:
    fates: dict[str, list[str]] = defaultdict(list)
    wrong = []
    for block in blocks:
        try:
            fate, why = fate_of(block)
        except (AssertionError, ValueError, SyntaxError) as error:
            wrong.append(f"{block}: {error}")
        else:
            fates[fate].append(f"  {block}: {why}\n")
    TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
    counted = [f"{fate}: {len(lines)} blocks\n{''.join(lines)}" for fate, lines in sorted(fates.items())]
    (TRANSCRIPTS / "blocks.txt").write_text("\n".join(counted), encoding="utf-8")
    assert wrong == []
    assert len(fates["run"]) > 50


def test_pages_that_are_typed_are_those_of_the_tutorials_and_how_tos() -> None:
    """Each is named with the module that types it, and that module names the page."""
    pages = {
        path.relative_to(ROOT).as_posix()
        for name in ("tutorials", "howto")
        for path in (ROOT / "docs" / name).glob("*.md")
    }
    assert set(TYPED_PAGES) == pages
    silent = [
        page for page, test in TYPED_PAGES.items() if Path(page).stem not in (ROOT / test).read_text(encoding="utf-8")
    ]
    assert silent == []


def test_a_name_is_spelled_as_where_it_was_made(blocks: list[Block]) -> None:
    """A path or name that a command reads was written further up on the page, or is one that pages take for granted."""
    given = {name for names in GIVEN.values() for name in names.split()}
    unknown, used = [], set[str]()
    for page in sorted({block.page for block in blocks} - {"docs/cli.md", "docs/door.md"}):
        made: set[str] = set()
        for block in (block for block in blocks if block.page == page):
            made |= made_by_shell(block)
            for call in calls(block) if is_typed_or_read(block) else []:
                read = [name for name in call.arguments if name not in made and name.split("/")[0] not in made]
                unknown += [f"{block}: {name}" for name in read if name not in given]
                used |= set(read)
                made |= {*call.written, *released(call)}
    assert unknown == []
    assert given - used == set(), "no page takes these for granted any more"


def is_typed_or_read(block: Block) -> bool:
    return block.language == TYPED or block.info in ("", "indented")


def made_by_shell(block: Block) -> set[str]:
    """Files and folders that other commands of a block make: with cat, mkdir, sed, python."""
    if not is_typed_or_read(block):
        return set()
    made = {words[words.index(">") + 1] for words in commands(block.text) if ">" in words[:-1]}
    made |= {word for words in commands(block.text) if words[0] in ("mkdir", "python") for word in words[1:]}
    return made | set(re.findall(r"Path\('(\w+)'\)", block.text))


def released(call: Call) -> set[str]:
    """Names that a call gives: of a workspace that it makes."""
    return {str(call.values["workspace"])} if call.verb == "index" else set()


@pytest.mark.parametrize(
    "words",
    [
        "bild imagenet9",
        "freeze -w work",
        "build imagenet9 -w work -o x --per-clas all",
        "evaluate in9 --batch-size two",
    ],
)
def test_the_command_line_refuses_what_is_not_its_own(words: str) -> None:
    with pytest.raises(AssertionError):
        read_call("page", words.split())
