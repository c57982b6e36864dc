"""SECURITY.md names a test for each promise, and the test is there."""

from __future__ import annotations

import re

from needs import ROOT

PAGE = ROOT / "SECURITY.md"


def test_every_promise_names_a_test_that_exists() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("| promise | test |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) > 20
    for line in table:
        promise, named = [cell.strip() for cell in line.strip("|").split("|")]
        path, _, test = named.strip("`").partition("::")
        assert re.search(rf"def {test}\(", (ROOT / path).read_text(encoding="utf-8")), promise
