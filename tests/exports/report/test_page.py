"""The report's page: tables and plots in one file, nothing loaded, nothing of a name taken for HTML; as files, too."""

from __future__ import annotations

import base64
import csv
import io
import re
from pathlib import Path

from PIL import Image

from figureground.exports.evaluation.results import ResultTable
from figureground.exports.evaluation.tables import RULE, Cell
from figureground.exports.report.page.document import write_page
from figureground.exports.report.table_files import table_files

GAP = Cell(0.1, (0.02, 0.2), 0.01, signed=True)
TABLE = ResultTable(
    "toy (test, 9 images)",
    ["a_1", "<b>"],
    {
        "-one": [RULE, RULE],
        "original (n 9)": [Cell(0.5, (0.3, 0.7)), Cell(None)],
        "-two": [RULE, RULE],
        "x - y": [GAP, GAP],
    },
    {("x - y", 1)},
    "percent [95 % interval]; * differs",
)


def test_a_page_holds_its_tables_and_plots_and_loads_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), "red").save(tmp_path / "imagenet9.trends.png")
    texts = ["fits\na  b\n1  2", "<script>x</script>\x1b[2J"]
    write_page(tmp_path, [TABLE], texts, ["report.txt", "imagenet9.trends.png"])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<th scope="row">x - y</th><td>+10.0 [2.0, 20.0]</td><td>+10.0 [2.0, 20.0] *</td>' in text
    assert text.count("<tbody>") == 2
    assert '<th scope="col">&lt;b&gt;</th>' in text
    assert '<pre tabindex="0">a  b\n1  2</pre>' in text
    assert "<script" not in text
    assert "\x1b" not in text
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert base64.b64decode(picture) == (tmp_path / "imagenet9.trends.png").read_bytes()
    assert "<figcaption>imagenet9.trends</figcaption>" in text
    assert "Beside this page: report.txt." in text
    assert re.findall(r'(?:src|href)="(?!data:|#)', text) == []
    anchors = re.findall(r'href="#([^"]+)"', text)
    assert sorted(anchors) == sorted(re.findall(r' id="([^"]+)"', text))


def test_tables_as_files_of_other_programs() -> None:
    files = table_files([TABLE])
    first, _, gap, starred = csv.DictReader(io.StringIO(files["tables.csv"]))
    assert (first["figure"], first["model"], first["value"], first["low"]) == ("original (n 9)", "a_1", "0.5", "0.3")
    assert (gap["star"], starred["star"], starred["p"]) == ("False", "True", "0.01")
    assert "| x - y | +10.0 [2.0, 20.0] | +10.0 [2.0, 20.0] * |" in files["tables.md"]
    latex = files["tables.tex"]
    assert r" & a\_1 & <b> \\" in latex
    assert latex.count(r"\midrule") == 2
    assert r"percent [95 \% interval]" in latex
