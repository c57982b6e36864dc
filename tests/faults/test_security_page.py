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


def test_files_that_may_hold_secrets_are_those_that_the_page_names() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## Where secrets lie")[2].partition("##")[0]
    assert set(re.findall(r"studio/(\w+\.json)", text)) == {"connection.json", "accounts.json", "pseudonyms.json"}
    searched = (ROOT / "tests" / "faults" / "test_no_secret_stays.py").read_text(encoding="utf-8")
    assert '("connection.json", "accounts.json", "label_studio.sqlite3", "label_studio.sqlite3-wal")' in searched
