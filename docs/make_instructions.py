"""Write schemas/pages/annotating.html, which Label Studio shows, from docs/annotating.md; ``--check`` compares them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from markdown_it import MarkdownIt

SOURCE = Path(__file__).with_name("annotating.md")
TARGET = Path(__file__).parents[1] / "schemas" / "pages" / "annotating.html"
_PICTURE = re.compile(r"^!\[.*\n|^\*The cat is .*\n", re.MULTILINE)


def main() -> int:
    """Write the instructions, or compare them; returns the exit code."""
    html = render_instructions(SOURCE.read_text(encoding="utf-8"))
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(html, encoding="utf-8", newline="\n")
        return 0
    if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == html:
        return 0
    print("schemas/pages/annotating.html is not what docs/annotating.md says; run: make docs", file=sys.stderr)
    return 1


def render_instructions(markdown: str) -> str:
    """HTML without pictures, which stand in front of the reader anyway."""
    return str(MarkdownIt("commonmark").enable("table").render(_PICTURE.sub("", markdown)))


if __name__ == "__main__":
    sys.exit(main())
