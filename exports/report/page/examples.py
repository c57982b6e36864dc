"""Photos on the report's page: what each model got wrong most confidently, and models beside each other."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.exports.evaluation.dataset import Repository, load_rows
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.pictures import decode_mask, open_image, stored_bytes
from figureground.exports.report.stored_answers import StoredAnswer, read_answers
from figureground.schemas.pages.inline_pictures import mask_url

MOST_WRONG: Final = 6
"""Rows of each model and variant."""
MOST_COMPARED: Final = 6
"""Photos on which models are set side by side."""
_PLAIN: Final = "original"
_MIXED: Final = ("mixed_rand", "mixed_next", "bg_invariance")
"""Beginnings of the names of variants with another ground, of which the first that there is is shown."""
_SIDE_PX: Final = 168
_QUALITY: Final = 88
_MASK_COLOUR: Final = "#D55E00"
_Answers = dict[str, dict[str, Mapping[str, StoredAnswer]]]
"""Config to model to image_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A row of the dataset, small enough for a page."""

    config: str
    image_id: str
    truth: str
    picture: str
    """JPEG as a data URI."""
    mask: str
    """PNG of the same size as a data URI, clear outside the figure; empty where the row has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one model answered to a row."""

    model: str
    text: str
    """The class and its probability."""
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongAnswers:
    """The rows of one variant that a model got wrong with the highest probability, the highest first."""

    model: str
    config: str
    wrong: int
    """Images that it got wrong at all."""
    images: int
    rows: tuple[tuple[ShownRow, Answer], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPhoto:
    """One photo on several variants, with all models' answers to each."""

    image_id: str
    rows: tuple[tuple[ShownRow, tuple[Answer, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What a page shows of one group of results."""

    dataset: str
    wrong: tuple[WrongAnswers, ...]
    compared: tuple[ComparedPhoto, ...]


def choose_wrong(answers: Mapping[str, StoredAnswer], most: int = MOST_WRONG) -> list[str]:
    """Images answered wrong, by image_id: those with the highest probability first, ties by id."""
    wrong = [name for name, answer in answers.items() if not answer.right]
    return sorted(wrong, key=lambda name: (-answers[name].probability, name))[:most]


def choose_compared(answers: Sequence[Mapping[str, StoredAnswer]], most: int = MOST_COMPARED) -> list[str]:
    """Images on which models differ most: about half of them are right; ties by id, and none that all agree on."""
    ids = set(answers[0]).intersection(*answers[1:]) if len(answers) > 1 else set[str]()
    right = {name: sum(own[name].right for own in answers) for name in ids}
    mixed = [name for name, count in right.items() if 0 < count < len(answers)]
    return sorted(mixed, key=lambda name: (abs(2 * right[name] - len(answers)), name))[:most]


def collect_examples(members: Sequence[Mapping[str, Any]], opened: Repository) -> Examples | None:
    """Examples of a group of results with stored answers, from the dataset that was scored; None where there are none.

    Args:
        members: Results of the protocol imagenet9 or background_check, in one label space.
        opened: The dataset.
    """
    configs = _configs(members, opened)
    read: _Answers = {
        config: {member["model"]: own for member in members if (own := read_answers(member, config)) is not None}
        for config in configs
    }
    wrong = {(config, model): choose_wrong(own) for config, models in read.items() for model, own in models.items()}
    compared = choose_compared(list(read[configs[-1]].values())) if configs and read[configs[-1]] else []
    wanted = {
        config: {name for (own, _), names in wrong.items() if own == config for name in names} | set(compared)
        for config in configs
    }
    rows = {config: _load(opened, members[0]["split"], config, ids) for config, ids in wanted.items() if ids}
    if not rows:
        return None
    return Examples(
        dataset=members[0]["dataset"]["name"],
        wrong=tuple(
            _wrong_answers(model, config, names, read[config][model], rows[config], opened.classes)
            for (config, model), names in wrong.items()
            if names
        ),
        compared=tuple(_compared_photo(name, read, rows, opened.classes) for name in compared),
    )


def _wrong_answers(
    model: str,
    config: str,
    names: Sequence[str],
    answers: Mapping[str, StoredAnswer],
    rows: Mapping[str, ShownRow],
    classes: ClassMap,
) -> WrongAnswers:
    return WrongAnswers(
        model=model,
        config=config,
        wrong=sum(not answer.right for answer in answers.values()),
        images=len(answers),
        rows=tuple((rows[name], _answer(model, answers[name], classes)) for name in names),
    )


def _compared_photo(
    name: str, read: _Answers, rows: Mapping[str, Mapping[str, ShownRow]], classes: ClassMap
) -> ComparedPhoto:
    shown = [
        (rows[config][name], tuple(_answer(model, own[name], classes) for model, own in models.items() if name in own))
        for config, models in read.items()
        if name in rows.get(config, {})
    ]
    return ComparedPhoto(image_id=name, rows=tuple(shown))


def _configs(members: Sequence[Mapping[str, Any]], opened: Repository) -> list[str]:
    """Variants that are shown: the photos, and the first with another ground, of those that there are."""
    scored = [config for config in opened.layout if any(config in _scored(member) for member in members)]
    mixed = [config for start in _MIXED for config in sorted(scored) if config.startswith(start)]
    return [config for config in (_PLAIN, *mixed[:1]) if config in scored]


def _scored(member: Mapping[str, Any]) -> set[str]:
    spaces = member["label_spaces"].values() if "label_spaces" in member else [member]
    return {config for summary in spaces for config in summary["configs"]}


def _answer(model: str, answer: StoredAnswer, classes: ClassMap) -> Answer:
    return Answer(model=model, text=answer.words(classes), right=answer.right)


def _load(opened: Repository, split: str, config: str, ids: Collection[str]) -> dict[str, ShownRow]:
    """Rows of some images by image_id, the first draw of each."""
    table = load_rows(opened, config, split, columns=["draw"], optional=["object_mask"], ids=ids)
    shown = {}
    for row in table:
        if row["draw"] == 0:
            name = row["image_id"]
            record = f"{config}/{name}"
            mask = stored_bytes(row.get("object_mask"))
            shown[name] = ShownRow(
                config=config,
                image_id=name,
                truth=opened.classes.names[row["label"]],
                picture=_picture_uri(stored_bytes(row["image"]), record),
                mask=mask_url(_small_mask(mask, record), _MASK_COLOUR) if mask else "",
            )
    return shown


def _picture_uri(stored: bytes | None, record: str) -> str:
    image = open_image(stored, record)
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _small_mask(stored: bytes, record: str) -> NDArray[np.bool_]:
    """``(h, w)`` bool, the figure."""
    mask = Image.fromarray(decode_mask(stored, record)).convert("P")
    mask.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.NEAREST)
    return np.asarray(mask) > 0
