"""Sphinx: the Markdown pages of the project as a site; `make site` writes it to .scratch/site."""

from __future__ import annotations

import figureground

project = "figureground"
author = "the authors of figureground"
project_copyright = "the authors of figureground, Apache-2.0"
release = version = figureground.__version__

extensions = ["myst_parser"]
root_doc = "docs/index"
# The root of the project is the source, so that a link between two pages is the same here and where one reads them raw.
include_patterns = ["*.md", "docs/*.md", "docs/adr/*.md", "docs/howto/*.md", "docs/tutorials/*.md"]
exclude_patterns = [".venv", ".scratch", "demo-run"]
html_theme = "furo"
html_title = "figureground"
html_extra_path = ["site"]  # a page at the root that leads to docs/index.html
html_copy_source = False
html_show_sourcelink = False

myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["myst.header"]  # pages written from the program begin their headings where they belong
