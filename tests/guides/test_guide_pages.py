"""What a page says to do is read as a person would read it."""

from __future__ import annotations

from pathlib import Path

from block_ledger import commands
from guide_pages import Action, blocks_of, sections_of

PAGE = """\
# A page

**Bold** words and <kbd>Esc</kbd> of the text are not done.

## Steps

1. Press <kbd>Ctrl</kbd> + <kbd>Space</kbd>, then
   <kbd>E</kbd>: *Wipe over it*.
2. Click on **Label All Tasks**. Nothing `else` is done.

```sh
cat > a.csv <<'END'
figureground is no command here
END
figureground build x -o y > log && diff -r y z  # and this is no command
```

    an indented block
"""


def test_steps_are_read_in_the_order_of_their_words(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    before, page, steps = sections_of(str(tmp_path / "page.md"))
    assert (before.steps, page.steps, steps.title) == ([], [], "Steps")
    assert steps.steps == [
        [Action("key", "Ctrl+Space"), Action("key", "E"), Action("mouse", "wipe over it")],
        [Action("click", "Label All Tasks")],
    ]


def test_blocks_are_known_by_their_place_and_language(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    typed, indented = blocks_of(str(tmp_path / "page.md"))
    assert (typed.info, typed.line, PAGE.splitlines()[typed.line - 1]) == ("sh", 12, "cat > a.csv <<'END'")
    assert (indented.info, indented.text) == ("indented", "an indented block\n")
    assert commands(typed.text) == [
        ["cat", ">", "a.csv", "<<", "END"],
        ["figureground", "build", "x", "-o", "y", ">", "log"],
        ["diff", "-r", "y", "z"],
    ]
