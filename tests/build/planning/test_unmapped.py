"""Labels that no class has, as a build tells them."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_dataset import Plain, build_plain, make_plain

from figureground.exports.dataset.request import describe_report


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


def test_labels_that_are_in_no_class_are_named_with_what_they_were_perhaps_to_be(plain: Plain, tmp_path: Path) -> None:
    classes = tmp_path / "some.csv"
    classes.write_text("label,class,imagenet_index\ndisc,disc,1\nrings,hoop,2\nbar,bar,3\n")
    report = build_plain(plain, tmp_path / "out", class_map=str(classes), variants=["original"], pixels=False)
    text = describe_report(report)
    assert "; without any: hoop\n" in text
    count = report.refused["unmapped_class"]
    assert f"the labels ring {count} (did you mean rings, which no photo has?); --class-map" in text
    assert (report.unmapped, report.misspelt) == ({"ring": count}, {"ring": "rings"})
    classes.write_text("label,class,imagenet_index\ndisc,disc,1\nn00000001,hoop,2\nbar,bar,3\n")
    other = describe_report(
        build_plain(plain, tmp_path / "b", class_map=str(classes), variants=["original"], pixels=False)
    )
    assert f"no class of the class map has the labels ring {count}; --class-map" in other
    assert "unmapped_class:" not in describe_report(build_plain(plain, tmp_path / "c", pixels=False))
