"""Models on the human task: the same pictures, the same classes on offer, and answers that are known."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crop_dataset import NAMES, ColourCounter, imagenet_figure, looks_at_figure, looks_at_ground, photos
from human_kits import CONFIGS, SECRET, draw_dataset, draw_many_classes, make
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from figureground.exports.evaluation.adapters import Adapter, feed_adapter
from figureground.exports.evaluation.values import EvaluationError, Images, Logits
from figureground.exports.human.models import answer_kit, answer_task, class_shares, kit_classes, top_wrong_classes
from figureground.exports.human.scoring import ScoreSettings, score_kit
from figureground.schemas.pages.human_tasks import HumanAnswer, HumanKit, HumanTask, write_answers

OUTSIDE = {f"{SECRET}-{number:03}": photo.box[0] > 80 for number, photo in enumerate(photos(3))}
"""Whether the figure of an image lies outside the centre crop of the whole photo."""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> HumanKit:
    folder = tmp_path_factory.mktemp("models")
    return make(folder / "kit", draw_dataset(folder / "drawn", per_class=3), repeat_share=0.1)


def words_of(kit: HumanKit, adapter: Adapter, config: str) -> dict[tuple[str, bool], str]:
    """What a model says of each image, asked its true class or its foil."""
    by_id = {answer.task_id: answer for answer in answer_kit(kit, adapter)}
    return {
        (task.image_id, task.asked == task.label): by_id[task.task_id].said
        for task in kit.tasks
        if task.config == config and task.repeats is None
    }


def test_a_model_that_sees_the_figure_is_right_where_it_is_in_the_picture(kit: HumanKit) -> None:
    """Where it is not, that model gives class red a little more than the others, which are equal."""
    whole, close = (words_of(kit, looks_at_figure(), config) for config in CONFIGS)
    assert all(answer == ("yes" if true else "no") for (_, true), answer in close.items())
    for task in kit.tasks:
        if task.config != CONFIGS[0] or task.repeats is not None:
            continue
        answer = whole[task.image_id, task.asked == task.label]
        if not OUTSIDE[task.image_id]:
            assert answer == ("yes" if task.asked == task.label else "no")
        else:
            assert answer == ("yes" if task.asked == 0 else "no"), "a tie is a no to both"


def test_a_model_that_sees_the_ground_is_right_where_ground_is_left(kit: HumanKit) -> None:
    """The centre crop of a close view leaves none, so there that model only knows red."""
    whole, close = (words_of(kit, looks_at_ground(), config) for config in CONFIGS)
    assert all(answer == ("yes" if true else "no") for (_, true), answer in whole.items())
    for task in kit.tasks:
        if task.config == CONFIGS[1]:
            assert close[task.image_id, task.asked == task.label] == ("yes" if task.asked == 0 else "no")


@pytest.mark.parametrize("outputs", ["1000", "1001"])
def test_imagenet_outputs_of_no_class_do_not_matter_here(kit: HumanKit, outputs: str) -> None:
    """That model's first answer to green is an output of no class; between the two on offer it is right."""
    assert words_of(kit, imagenet_figure(outputs), CONFIGS[1]) == words_of(kit, looks_at_figure(), CONFIGS[1])


def test_scores_of_a_model_are_those_of_its_answers(kit: HumanKit) -> None:
    answers = [
        HumanAnswer(task_id=task.task_id, rater="r1", said="yes" if task.asked == task.label else "no", seconds=1.0)
        for task in kit.tasks
    ]
    write_answers(kit, answers)
    result = score_kit(kit, [looks_at_figure(), looks_at_ground()], ScoreSettings(bootstrap=200))
    figure, ground = result["models"]
    right = {}
    for (image_id, true), answer in words_of(kit, looks_at_figure(), CONFIGS[0]).items():
        right[image_id, true] = answer == ("yes" if true else "no")
    assert figure["configs"][CONFIGS[0]]["accuracy"]["value"] == np.mean(list(right.values()))
    assert 0.5 < np.mean(list(right.values())) < 1
    assert figure["configs"][CONFIGS[1]]["accuracy"]["value"] == 1.0
    assert figure["differences"][0]["value"] == 1 - np.mean(list(right.values()))
    assert ground["configs"][CONFIGS[0]]["accuracy"]["value"] == 1.0
    assert figure["feeding"]["fit"] == "the picture is resized whole"
    assert (figure["device"], figure["precision"]) == ("cpu", "float32")


class Recorder(ColourCounter):
    """Keeps what it is shown."""

    outputs = "logits"  # stated, so that it is shown nothing else first

    def __init__(self, side_px: int = 224) -> None:
        super().__init__("recorder", dict.fromkeys(NAMES, (0, 0, 0)))
        self.input_size_hw = (side_px, side_px)
        self.shown: list[Images] = []

    def logits(self, images: Images, /) -> Logits:
        self.shown += list(images)
        return super().logits(images)


def test_a_model_is_fed_the_very_pictures_that_people_see(kit: HumanKit) -> None:
    recorder = Recorder()
    answer_kit(kit, recorder, batch_size=4)
    pictures = dict.fromkeys(task.picture for task in kit.tasks if task.repeats is None)
    stored = [np.asarray(Image.open(kit.picture_path(picture))) for picture in pictures]
    assert len(recorder.shown) == len(stored) == 18
    assert all(np.array_equal(one, other) for one, other in zip(recorder.shown, stored, strict=True))


def test_the_full_arm_is_fed_through_the_models_own_transform(kit: HumanKit, tmp_path: Path) -> None:
    full = make(tmp_path / "full", kit.folder.parent / "drawn", arm="full", configs=CONFIGS[:1])
    recorder = feed_adapter(Recorder(), "reference")
    answer_kit(full, recorder)
    photo = photos(3)[0].draw()
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    resized = Image.fromarray(photo).resize((768, 256), Image.Resampling.BILINEAR).crop((272, 16, 496, 240))
    assert any(np.array_equal(np.asarray(resized), shown) for shown in recorder.shown)  # type: ignore[attr-defined]
    write_answers(full, [HumanAnswer(task_id=task.task_id, rater="r1", said="no") for task in full.tasks])
    (model,) = score_kit(full, [looks_at_figure()], ScoreSettings(bootstrap=50))["models"]
    assert model["feeding"]["fit"] == "the model's own resize and centre crop"


def task_of(asked: int | None, offered: tuple[int, ...], label: int = 0) -> HumanTask:
    return HumanTask(
        task_id="0" * 16,
        picture="1" * 16,
        config="original",
        image_id="x",
        draw=0,
        attribute=None,
        label=label,
        asked=asked,
        offered=offered,
        repeats=None,
    )


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_the_rule_of_verification_is_p_true_above_p_foil(shares: list[float]) -> None:
    given_shares = np.array(shares)
    right = [task.is_right(answer_task(task, given_shares)) for task in (task_of(0, (0, 2)), task_of(2, (0, 2)))]
    if shares[0] > shares[2]:
        assert right == [True, True]
    elif shares[0] < shares[2]:
        assert right == [False, False]
    else:
        assert right == [False, True]


def test_the_rule_of_choice_is_the_largest_on_offer() -> None:
    shares = np.array([0.1, 0.5, 0.2, 0.2])
    assert answer_task(task_of(None, (3, 0, 2)), shares).chosen == 3
    assert answer_task(task_of(None, (2, 3, 0)), shares).chosen == 2
    assert answer_task(task_of(None, (0, 1, 2, 3)), shares).chosen == 1


class Fixed:
    """Answers the same to everything."""

    name, input_size_hw, weights_sha256, interpolation = "fixed", (8, 8), "0" * 64, "nearest"

    def __init__(self, logits: Any, **extra: Any) -> None:
        self._logits = np.asarray(logits, dtype=np.float32)
        vars(self).update(extra)

    def logits(self, images: Images, /) -> Logits:
        return np.tile(self._logits, (len(images), 1))


def test_a_class_has_the_sum_of_its_outputs(tmp_path: Path) -> None:
    from colour_dataset import CLASS_MAP
    from crop_dataset import crop_configs, write_repository

    dataset = write_repository(tmp_path / "drawn", crop_configs(photos(1)), class_map=CLASS_MAP)
    classes = kit_classes(make(tmp_path / "kit", dataset, configs=("original",)))
    logits = np.full(1000, -50.0)
    logits[[0, 1, 2, 999]] = np.log([0.3, 0.3, 0.4, 5.0])  # red has outputs 0 and 1, green has 2
    model = Fixed(logits)
    shares = class_shares(model, model.logits(np.zeros((1, 8, 8, 3), np.uint8)), classes)
    assert shares[0] == pytest.approx([0.1, 0.4 / 6, 0], abs=1e-6)
    head = Fixed([0.2, 0.3, 0.5], outputs="probabilities")
    assert class_shares(head, head.logits(np.zeros((1, 8, 8, 3), np.uint8)), classes)[0] == pytest.approx(
        [0.2, 0.3, 0.5]
    )


def test_foils_of_a_model_are_its_top_wrong_classes(kit: HumanKit, tmp_path: Path) -> None:
    dataset = kit.folder.parent / "drawn"
    model = Fixed([3.0, 2.0, 1.0], label_space="head")

    def choose(pictures: Mapping[str, Path], labels: Mapping[str, int]) -> Mapping[str, int]:
        assert {path.name for path in pictures.values()} <= {f"{task.picture}.png" for task in kit.tasks}
        return top_wrong_classes(model, kit_classes(kit), pictures, labels, "model")

    made = make(tmp_path / "kit", dataset, foil_chooser=choose, foils_by="fixed 0000", repeat_share=0.1)
    assert {task.offered for task in made.tasks} == {(0, 1), (1, 0), (2, 0)}
    assert made.facts.foils == "fixed 0000"


def test_models_that_cannot_answer_are_refused(kit: HumanKit, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"answers in \('a', 'b', 'c'\)"):
        answer_kit(kit, Fixed([1, 2, 3], class_names=("a", "b", "c")))
    with pytest.raises(EvaluationError, match="got 7 outputs"):
        answer_kit(kit, Fixed(np.arange(7)))
    with pytest.raises(EvaluationError, match="finite logits"):
        answer_kit(kit, Fixed([1, np.nan, 3]))
    dataset = draw_many_classes(tmp_path / "drawn", {0: 1, 1: 1})
    text = (dataset / "class_map.json").read_text()
    (dataset / "class_map.json").write_text(text.replace('"imagenet_indices": [1]', '"imagenet_indices": []'))
    lacking = make(tmp_path / "kit", dataset, configs=("original",))
    with pytest.raises(EvaluationError, match="gives no ImageNet output to thing_1"):
        answer_kit(lacking, Fixed(np.zeros(1000)))
