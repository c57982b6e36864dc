"""How a class is asked for: its own name, a template, synonyms; and what has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from figureground.annotate.proposals.class_texts import ClassTexts
from figureground.annotate.proposals.reports import ProposalReport
from figureground.annotate.segmenters.protocol import SegmentationRejected
from figureground.errors import DataError, UsageError


def test_a_wnid_has_imagenets_name_and_another_label_its_own() -> None:
    texts = ClassTexts()
    assert texts.texts("n02123159") == ("tiger cat",)
    assert texts.texts("red_panda") == ("red panda",)


def test_a_class_map_gives_its_own_names() -> None:
    texts = ClassTexts.of(class_map="imagenet9", template="a photo of a {}")
    assert texts.texts("n02085620") == ("a photo of a dog",)


def test_synonyms_are_found_by_label_and_by_name(tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("label,text\nn02123159,tabby\ntiger cat,striped cat\ntiger_cat,tabby\n")
    texts = ClassTexts.of(synonyms=tmp_path / "words.csv")
    assert texts.texts("n02123159") == ("tiger cat", "tabby", "striped cat")
    assert texts.texts("dog") == ("dog",)


def test_synonyms_that_fit_no_photo_are_named(tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("label,text\nn02123159,tabby\ntiger cat,striped cat\nkat,tabby\nDog,puppy\n")
    texts = ClassTexts.of(synonyms=tmp_path / "words.csv")
    assert texts.strange_synonyms(["n02123159", "dog"]) == ["Dog", "kat"]
    report = ProposalReport(strange_synonyms=["Dog", "kat"])
    assert str(report).endswith("\nsynonyms that fit no photo: 2, the first: Dog")


def test_every_faulty_row_of_synonyms_is_named(tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("label,text\n,tabby\ndog,puppy\ncat,\n")
    with pytest.raises(DataError) as caught:
        ClassTexts.of(synonyms=tmp_path / "words.csv")
    assert [fault.record for fault in caught.value.faults] == ["line 2", "line 4"]


@pytest.mark.parametrize("template", ["", "a photo", "{} or {}"])
def test_a_template_has_one_gap(template: str) -> None:
    with pytest.raises(UsageError, match="template"):
        ClassTexts.of(template=template)


@pytest.mark.parametrize("label", ["", "n99999999", "_"])
def test_what_has_no_name_is_a_reason(label: str) -> None:
    with pytest.raises(SegmentationRejected, match="no_class_name"):
        ClassTexts().texts(label)
    assert not ClassTexts().cover(["dog", label])
    assert ClassTexts().cover(["dog", "n02123159"])
