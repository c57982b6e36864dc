"""Somebody who types the blocks of a page into a shell, and keeps what was typed and printed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from guide_pages import blocks_of
from needs import ROOT

from figureground.annotate.segmenters.checkpoints import cache_folder

TRANSCRIPTS = ROOT / ".scratch" / "transcripts"
TYPED = "sh"
"""Language of the blocks that are typed; whatever else a page shows is a fragment, or what is printed."""
GPU = f"{TYPED} gpu"
"""What stands behind the backticks of a block that only a machine with a GPU can run."""


class Typist:
    """Types blocks, each in the folder where the last one ended."""

    def __init__(self, folder: Path, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = dict(environment or {})
        self._transcript = TRANSCRIPTS / f"{name}.txt"
        self._transcript.parent.mkdir(parents=True, exist_ok=True)
        self._transcript.write_text("", encoding="utf-8")

    def note(self, text: str) -> None:
        """Add to the transcript."""
        with self._transcript.open("a", encoding="utf-8") as transcript:
            transcript.write(text)

    def type(self, text: str) -> str:
        """Type lines into a shell that ends with the first one that fails; returns what they printed."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        caches = {"PATH": path, "FIGUREGROUND_CACHE": str(cache_folder())}
        done = subprocess.run(
            ["sh", "-e", "-c", text],
            cwd=self.folder,
            env={**os.environ, **caches, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        entry = f"$ {text.rstrip()}\n{done.stdout}{done.stderr}"
        self.note(f"{entry}\n")
        assert done.returncode == 0, entry
        return done.stdout

    def page(self, page: str) -> Iterator[tuple[str, str]]:
        """Type all that a page says to type; each block, and what it printed.

        A block for a GPU is left to machines that have one. What a page shows as printed, in a block of the language
        ``text`` below one that was typed, is the end of what that one printed.
        """
        printed = ""
        for block in blocks_of(page):
            if block.info == GPU and not _has_gpu():
                self.note(f"(left out, for there is no GPU: {block})\n\n")
            elif block.language == TYPED:
                printed = self.type(block.text)
                yield block.text, printed
            elif block.language == "text" and printed:
                assert printed.endswith(block.text), f"{block} shows\n{block.text}and this was printed:\n{printed}"


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
