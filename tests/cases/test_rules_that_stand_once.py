"""Names, text files, tables, times and sizes: one function reads or spells each, and nothing else of the house does.

The published evaluation, which imports nothing of the house, has its own; ``test_rules_that_stand_twice.py`` holds both
to the same.
"""

from __future__ import annotations

import re

import pytest
from needs import ROOT

STAGES = ("annotate", "build", "exports", "figureground", "schemas")
GENERATED = "exports/evaluate.py"
RULES: dict[str, tuple[str, set[str]]] = {
    "Unicode forms": (r"unicodedata\.normalize", {"schemas/documents.py"}),
    "capital letters of names": (
        r"\.casefold\(\)",
        {
            "schemas/sources/names.py",  # of photos, masks, labels and categories
            "schemas/documents.py",  # of what becomes a file, letters of ASCII
            "annotate/studio/people/team.py",  # of accounts, letters of ASCII
            "exports/evaluation/model_files/imagenet_labels.py",
            "exports/evaluation/model_files/prompts.py",
        },
    ),
    "files that systems write": (r'"thumbs\.db"|"\.ds_store"', {"figureground/runtime/files.py"}),
    "endings": (
        r"\.suffix\b(?!es)(?! ?=[^=])",
        {
            "figureground/runtime/files.py",
            "annotate/imports/mask_files.py",  # spells one, and takes one off
            "annotate/segmenters/checkpoint_sources.py",  # of archives that figureground itself packs
            "annotate/segmenters/detection_models.py",  # of weights whose names are known
            "exports/evaluation/model_files/checkpoints.py",
            "exports/evaluation/model_files/settings.py",
        },
    ),
    "byte order marks": (
        r"utf-8-sig|utf-16|BOM_UTF",
        {"schemas/documents.py", "exports/evaluation/dataset.py", "exports/evaluation/model_files/settings.py"},
    ),
    "tables": (r"csv\.(Dict)?[Rr]eader", {"schemas/tables.py", "schemas/classes.py"}),  # the latter one that is shipped
    "times": (r"fromisoformat|strptime", {"annotate/times.py"}),
    "sizes": (
        r"\}x\{",
        {
            "schemas/rasters/sizes.py",
            "exports/evaluation/values.py",
            "exports/evaluation/results.py",  # of a model's input, to tell models apart
            "annotate/segmenters/embeddings.py",  # a part of a key
        },
    ),
}
"""What of the code tells that a rule is made there, and the files that may."""


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_stands_once(rule: str) -> None:
    pattern, allowed = RULES[rule]
    paths = {
        path.relative_to(ROOT).as_posix()
        for stage in STAGES
        for path in (ROOT / stage).rglob("*.py")
        if not any(parent.is_symlink() for parent in path.parents)
        and any(re.search(pattern, line) for line in path.read_text(encoding="utf-8").splitlines())
    }
    assert paths - {GENERATED} == allowed
