"""The report as one page: its tables and plots in a single HTML file, which any browser shows without a network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from figureground.errors import printable
from figureground.runtime.files import write_text

REPORT_PAGE: Final = "report.html"

_HEAD: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>figureground report</title>
<style>
body { margin: 0 auto; max-width: 1500px; padding: 16px; font: 15px/1.45 system-ui, sans-serif; color: #1b1b1b; }
pre { overflow-x: auto; padding: 10px; background: #f5f5f3; font: 13px/1.4 ui-monospace, monospace; }
figure { margin: 24px 0; } figcaption { font-weight: 600; } img { max-width: 100%; }
</style>
</head>
<body>
<h1>Report</h1>
"""


def write_page(folder: Path, texts: Sequence[str], names: Sequence[str]) -> None:
    """Write ``report.html``; the same tables and plots make the same bytes.

    Args:
        folder: Where the report is.
        texts: Its tables and remarks, in the order in which they are read.
        names: Files of the report there: PNGs are shown, others named.
    """
    parts = [_HEAD, *(f"<pre>{escape(printable(text, keep=_LAYOUT))}</pre>\n" for text in texts)]
    for name in names:
        if name.endswith(".png"):
            data = base64.b64encode((folder / name).read_bytes()).decode()
            caption = escape(name.removesuffix(".png"))
            parts.append(f"<figure><figcaption>{caption}</figcaption>\n")
            parts.append(f'<img alt="{caption}" src="data:image/png;base64,{data}"></figure>\n')
    others = [name for name in names if not name.endswith(".png")]
    parts.append(f"<p>Beside this page: {escape(', '.join(others))}.</p>\n</body>\n</html>\n")
    write_text(folder / REPORT_PAGE, "".join(parts))


_LAYOUT: Final = "\n\t"
"""Control characters that lay out a table."""
