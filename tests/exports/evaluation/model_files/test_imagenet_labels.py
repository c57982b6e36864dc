"""Which output is which class: by wnid or index, never by a name that two classes have."""

from __future__ import annotations

import re
from typing import Any

import pytest

from figureground.exports import evaluate as script

timm = pytest.importorskip("timm")
ASK = re.escape('say in a settings file, as NAME=FILE.json, {"label_space": "map"}')


@pytest.fixture(scope="module")
def wnids() -> list[str]:
    return [str(name) for name in timm.data.ImageNetInfo("imagenet-1k").label_names()]


@pytest.fixture(scope="module")
def names() -> list[str]:
    """As the Hub's classifiers have them: all the lemmas of a synset."""
    info = timm.data.ImageNetInfo("imagenet-1k")
    return [str(info.index_to_description(index, detailed=False)) for index in range(1000)]


def read(labels: list[str], **given: Any) -> Any:
    return script.read_labels(labels, None, given, "mine")


def test_wnids_in_any_order_are_imagenet(wnids: list[str]) -> None:
    assert wnids == sorted(wnids)
    turned = wnids[::-1]
    columns = read(turned).columns
    assert [turned[column] for column in columns] == wnids
    many = ["n99999999", *turned, "n00000001"]  # of ImageNet-21k, say
    assert [many[column] for column in read(many).columns] == wnids
    with pytest.raises(script.EvaluationError, match=r"no output for 1 of ImageNet's 1,000 classes: n01440764"):
        read(["n99999999", *wnids[1:]])


def test_imagenets_names_confirm_imagenets_order(names: list[str]) -> None:
    assert names[134] == names[517] == "crane"  # a bird and a machine: of one name, and both in their places
    assert read(names) == (None, "map", None)
    assert read(["background", *names]) == (None, "map", None)
    assert read([name.upper().replace(" ", "_") for name in names]) == (None, "map", None)
    with pytest.raises(script.EvaluationError, match=f"output 0 is labelled 'goldfish.*', ImageNet's class 1: {ASK}"):
        read([names[1], names[0], *names[2:]])
    with pytest.raises(script.EvaluationError, match=f"the first is 'tench.*', no background: {ASK}"):
        read([*names, "background"])
    with pytest.raises(script.EvaluationError, match=f"1000 of its labels are no names of ImageNet's classes: {ASK}"):
        read([f"thing {index}" for index in range(1000)])


def test_torchvisions_categories_are_imagenets_names() -> None:
    models = pytest.importorskip("torchvision.models")
    assert read(list(models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"])) == (None, "map", None)


@pytest.mark.parametrize("outputs", [1000, 1001, 21843])
def test_outputs_without_names_are_asked_about(outputs: int) -> None:
    labels = [f"LABEL_{index}" for index in range(outputs)]
    with pytest.raises(script.EvaluationError, match=f"{outputs} outputs.*{ASK}"):
        read(labels)
    chosen = list(range(outputs))[-1000:]
    assert read(labels, imagenet_outputs=chosen) == (tuple(chosen), "map", None)
    with pytest.raises(script.EvaluationError, match="expected 1000 different outputs"):
        read(labels, imagenet_outputs=[0] * 1000)
    if outputs < 2000:
        assert read(labels, label_space="map") == (None, "map", None)


def test_a_small_head_is_the_datasets_or_says_what_it_is(classes: Any) -> None:
    assert script.read_labels(["blue", "red", "green"], classes, {}, "mine") == ((1, 2, 0), "head", classes.names)
    assert script.read_labels(["Blue", "red", "green"], classes, {}, "mine").class_names == ("Blue", "red", "green")
    assert script.read_labels(["LABEL_0", "LABEL_1", "LABEL_2"], classes, {}, "mine") == (None, None, None)
