"""The report's page: tables and charts in one file, nothing loaded, nothing of a name taken for HTML; as files, too."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from figureground.exports.evaluation.results import ResultTable
from figureground.exports.evaluation.tables import RULE, Cell
from figureground.exports.report.page.captions import CAPTIONS
from figureground.exports.report.page.document import MOST_LETTERS, MOST_OPEN, Contents, write_page
from figureground.exports.report.page.examples import Answer, Examples, ShownRow, WrongAnswers
from figureground.exports.report.pictures import Picture
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
    1 / 9,
)
ROW = ShownRow(config="original", image_id="<i>0</i>", truth="<dog>", picture="data:image/jpeg;base64,", mask="")
WRONG = WrongAnswers(
    model="<m>",
    config="original",
    wrong=1,
    images=2,
    rows=((ROW, Answer(model="<m>", text="<cat> 0.90", right=False)),),
)


def test_a_page_holds_its_tables_and_plots_and_loads_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), "red").save(tmp_path / "imagenet9.trends.png")
    texts = ["fits\na  b\n1  2", "<script>x</script>\x1b[2J"]
    pictures = [Picture(name="imagenet9.trends.png", kind="trends", photos=False, of="<all>")]
    write_page(tmp_path, Contents(tables=[TABLE], texts=texts, pictures=pictures, names=["report.txt"]))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<th scope="row">x - y</th><td>+10.0 [2.0, 20.0]</td><td>+10.0 [2.0, 20.0] *</td>' in text
    assert text.count("<tbody>") == 2
    assert '<th scope="col">&lt;b&gt;</th>' in text
    assert ">a  b\n1  2</pre>" in text
    assert "<script" not in text
    assert "script-src" not in text
    assert "\x1b" not in text
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert base64.b64decode(picture) == (tmp_path / "imagenet9.trends.png").read_bytes()
    assert 'alt="Measures against accuracy: &lt;all&gt;"' in text
    assert "Beside this page: report.txt." in text
    assert re.findall(r'(?:src|href)="(?!data:|#)', text) == []
    anchors = set(re.findall(r'href="#([^"]+)"', text))
    assert anchors <= set(re.findall(r' id="([^"]+)"', text))
    assert {"scores", "charts", "texts", "table-1", "chart-trends", "text-1", "text-2"} <= anchors


def test_the_page_offers_the_tables_of_other_programs(tmp_path: Path) -> None:
    write_page(tmp_path, Contents(tables=[TABLE]))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    offered = dict(re.findall(r'<a download="([^"]+)" href="data:[^,]+;base64,([^"]+)">', text))
    assert {name: base64.b64decode(data).decode() for name, data in offered.items()} == table_files([TABLE])
    assert '<pre tabindex="0" aria-label="tables.md">**toy (test, 9 images)**' in text


def test_only_the_page_s_own_script_may_run(tmp_path: Path) -> None:
    write_page(tmp_path, Contents(examples=[Examples(dataset="<d>", wrong=(WRONG,), compared=())]))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (digest,) = re.findall(r"script-src 'sha256-([^']+)'", text)
    assert base64.b64decode(digest) == hashlib.sha256(script.encode()).digest()
    assert "default-src 'none'" in text
    for name in ("<d>", "<m>", "<dog>", "<cat>", "<i>0"):
        assert name not in text


def test_many_pictures_of_one_kind_are_folded_away(tmp_path: Path) -> None:
    pictures = []
    for number in range(MOST_OPEN + 2):
        Image.new("RGB", (3, 2), "red").save(tmp_path / f"{number}.png")
        pictures.append(Picture(name=f"{number}.png", kind="classes", photos=False, of=f"m{number}"))
    write_page(tmp_path, Contents(pictures=pictures))
    before, folded = (tmp_path / "report.html").read_text(encoding="utf-8").split("<details>")
    assert before.count("<figure>") == MOST_OPEN
    assert folded.count("<figure>") == 2
    assert "2 more of accuracy by class and variant" in folded


def test_a_page_of_many_models_can_be_opened(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    pictures = []
    for number in range(30):
        for kind, photos in (("conflict_table", False), ("categories", True)):
            name = f"{kind}.{number}.png"
            Image.fromarray(generator.integers(0, 255, (300, 500, 3), np.uint8)).save(tmp_path / name)
            pictures.append(Picture(name=name, kind=kind, photos=photos, of=f"m{number}"))
    write_page(tmp_path, Contents(pictures=pictures))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(text) < 2 * MOST_LETTERS + 20_000
    shown = re.findall(r'src="data:image/(png|jpeg);', text)
    assert shown.count("png") == 4  # of 600 kB each
    assert 4 < shown.count("jpeg") < 30
    assert "conflict_table.29.png" in text.split("would make too large:")[1]


def test_every_caption_says_what_a_picture_does_not_say() -> None:
    for kind, caption in CAPTIONS.items():
        assert all(text.endswith(".") for text in (caption.says, caption.limits)), kind
        assert not caption.title.endswith(".")


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
