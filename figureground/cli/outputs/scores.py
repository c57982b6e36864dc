"""Shapes of ``evaluate``, ``report``, ``compare``, ``plan-size`` and ``human score``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from figureground.cli.outputs.printed import ABSENT, Ci95, Figure, Output, printed
from figureground.exports.comparison import contrasts, ranks, sample_size
from figureground.exports.zoo import ModelFailure
from figureground.schemas.pages.human_tasks import KitFacts

Figures = dict[str, Any]
"""Figures by name, as docs/evaluation.md has them: which there are depends on the protocol and on the data."""


class ScoredDataset(Output):
    """The data that a model was scored on."""

    name: str
    revision: str | None
    """On the Hub; null for a folder."""
    manifest_sha256: str
    fingerprint: str
    """Of the data alone, whatever models the dataset carries: results of one fingerprint compare."""
    class_map: str
    split: str
    masks: Figures | None
    """How many masks nobody reviewed, and how many agree with another segmenter's; null where that is not known."""
    groups: dict[str, int] = ABSENT
    """Photos in groups, and groups; absent where photos are in none."""


class Result(Output):
    """One model scored on one dataset; shares are in [0, 1]."""

    schema_: str = Field(alias="schema", description="Version of this shape.")
    protocol: str
    model: str
    dataset: ScoredDataset
    split: str
    feed: str
    fingerprint: str
    layout_sha256: str
    """Of the dataset's files of rows."""
    class_map_sha256: str
    weights_sha256: str
    specification_sha256: str | None
    """Of the file of an adapter of your own; null for other models."""
    input_size_hw: tuple[int, int]
    feeding: Figures
    """How pictures were made into the model's input."""
    model_settings: Figures
    parameters: int | None
    """The model's; null where its adapter does not state them."""
    device: str | None
    precision: str | None
    limit: int | None
    """Most images, those of the smallest ids; null for all."""
    answers: str
    """What the names of its stored answers begin with, in the folder ``predictions`` of ``--out``."""
    libraries: dict[str, str]
    """Package to version."""
    notes: list[str]
    """What a reader must know of the model."""
    bootstrap: int
    """Resamples."""
    seed: int
    cluster: str
    headline: str
    """Which accuracy a table shows first."""
    class_order: str = ABSENT
    """``named`` or ``assumed``; of models with the dataset's own classes."""
    label_space: str = ABSENT
    """Of protocols with one label space, whose figures stand beside it."""
    label_spaces: dict[str, Figures] = ABSENT
    """Label space to its figures, of protocols with several."""
    n: int = ABSENT
    """Images."""
    balanced: bool = ABSENT
    """Whether all classes have as many."""
    undecidable: bool = ABSENT
    """Whether the images are fewer than what anything is decided by."""
    undecidable_below: int = ABSENT
    """That number of images."""
    chance: float = ABSENT
    chance_note: str = ABSENT
    configs: dict[str, Figures] = ABSENT
    """Config to accuracies with intervals."""
    differences: dict[str, Figures] = ABSENT
    """BG-gap and the other differences of ImageNet-9."""
    mask_effects: dict[str, Figures] = ABSENT
    """What masks that are too tight or too wide change."""
    categories: dict[str, Figures] = ABSENT
    """ImageNet-9's five image categories."""
    by_agreement: Figures = ABSENT
    """BG-gap over the rows whose masks agree with another segmenter's."""
    conflict: dict[str, Figures] = ABSENT
    """Label space to who wins where figure and ground disagree."""
    challenge: Figures = ABSENT
    """Of ``--challenge``."""
    exact1000: Figures = ABSENT
    """Accuracy over all 1000 outputs."""
    transform: Figures = ABSENT
    """Of imagenet_a: how whole photos were cut."""
    noise: Figures = ABSENT
    """Of rival10, as the keys below: settings of the noise."""
    masks_from: Figures = ABSENT
    attribute_noise: Figures = ABSENT
    not_scored: dict[str, str] = ABSENT
    """Config to the reason why it was not."""
    rfs_undefined: str = ABSENT
    conditions: list[Figures] = ABSENT
    noise_rounded_to_uint8: bool = ABSENT


class Evaluation(Output):
    """Results by model, in the order in which they were asked for."""

    results: list[Result]
    failures: list[ModelFailure] = ABSENT
    """Models of ``--models`` that could not be scored."""


class Files(Output):
    """What was written."""

    folder: str
    files: list[str]
    """Below the folder."""


class Comparison(Output):
    """Models that were scored alike, compared."""

    schema_version: str
    protocol: str
    space: str
    """Label space."""
    dataset: str
    fingerprint: str
    split: str
    feed: str
    settings: str
    """What the protocol's options came to, in words, where that is not the usual; empty where it is."""
    alpha: float
    """Chance of any finding where no two models differ."""
    rounds: int
    """Rounds of flipped signs behind the p-values."""
    seed: int
    undecidable_below: int
    """Images below which nothing is decided."""
    contrasts: list[contrasts.ModelContrast]
    ranks: list[ranks.ModelRank]


class Compared(Files):
    """What was written, and what it says."""

    comparisons: list[Comparison]


Pilot = printed(
    sample_size.Pilot,
    detectable=Annotated[float, Field(description="The smallest difference that as many images show.")],
)
PlannedSize = printed(sample_size.PlannedSize, rows=Annotated[int, Field(description="Rows to score.")])
SizePlan = printed(
    sample_size.PlannedTest, "How many images show a difference.", pilots=list[Pilot], sizes=list[PlannedSize]
)


class HumanDifference(Output):
    """Accuracy on one config minus that on the first."""

    minuend: str
    subtrahend: str
    value: float | None
    ci95: Ci95
    p: float | None
    n_images: int
    undecidable: bool


class HumanConfig(Output):
    """Answers about one config; ``hit_rate``, ``false_alarm_rate`` and ``d_prime`` of verification alone."""

    n_answers: int
    accuracy: Figure
    accuracy_of_decided: Figure = ABSENT
    """Of people: answers of absent left out."""
    absent: Figure = ABSENT
    """Of people: share of questions about the true class that were answered with absent."""
    hit_rate: Figure = ABSENT
    false_alarm_rate: Figure = ABSENT
    d_prime: Figure = ABSENT
    alpha: Figure = ABSENT
    """Of people: Krippendorff's."""
    median_seconds: float | None = ABSENT
    """Of people."""
    over_limit: float | None = ABSENT
    """Of people: share of answers over the time limit."""


class Rater(Output):
    """One rater."""

    rater: str
    n_answers: int
    n_repeats: int
    repeats_alike: float | None
    """Share of repeated questions that got the same answer again."""
    attentive: bool | None
    """Whether that is the threshold or more; null without repeats."""
    median_seconds: float | None
    accuracy: float | None
    accuracy_of_decided: float | None
    absent: float | None
    hit_rate: float | None = ABSENT
    false_alarm_rate: float | None = ABSENT
    d_prime: float | None = ABSENT


class Humans(Output):
    """People's answers."""

    raters: list[Rater]
    threshold: float
    inattentive: list[str]
    """Raters below the threshold."""
    excluded: list[str]
    """Those of them that do not count."""
    n_raters: int
    configs: dict[str, HumanConfig]
    differences: list[HumanDifference]


class HumanModel(Output):
    """A model's answers to the same questions."""

    model: str
    weights_sha256: str
    device: str | None
    precision: str | None
    feed: str
    feeding: Figures
    configs: dict[str, HumanConfig]
    differences: list[HumanDifference]
    class_order: str = ABSENT


class _KitOfScores(KitFacts):
    """The kit that was answered."""

    kit_id: str


class HumanScores(Output):
    """People and models on the same questions."""

    schema_version: str
    kit: _KitOfScores
    n_images: int
    n_per_class: dict[str, int]
    chance: float
    bootstrap: int
    seed: int
    humans: Humans
    models: list[HumanModel]
    files: list[str]
    """Below ``--out``."""
