"""The report's page: tables and plots in one file, nothing loaded, nothing of a name taken for HTML."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from PIL import Image

from figureground.exports.report.page import write_page


def test_a_page_holds_its_tables_and_plots_and_loads_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), "red").save(tmp_path / "imagenet9.trends.png")
    write_page(tmp_path, ["a  b\n1  2", "<script>x</script>\x1b[2J"], ["report.txt", "imagenet9.trends.png"])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<pre>a  b\n1  2</pre>" in text
    assert "<script" not in text
    assert "\x1b" not in text
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert base64.b64decode(picture) == (tmp_path / "imagenet9.trends.png").read_bytes()
    assert "<figcaption>imagenet9.trends</figcaption>" in text
    assert "Beside this page: report.txt." in text
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
