"""Shapes of ``analyze``."""

from __future__ import annotations

from figureground.cli.outputs.printed import Figure, Output
from figureground.cli.outputs.scores import Figures, Files
from figureground.exports.analyses.probe import HeadRecord
from figureground.exports.analyses.probe_training import TrainingSettings
from figureground.exports.analyses.spurious import RankedImage

Probe = HeadRecord


class _Data(Output):
    """The dataset that rows are of."""

    name: str
    revision: str | None
    """On the Hub; null for a folder."""
    manifest_sha256: str
    fingerprint: str
    class_map: str
    classes: list[str]


class AnalysedData(_Data):
    """The rows that were analysed."""

    config: str
    split: str
    limit: int | None
    """Most images, those of the smallest ids; null for all."""


class Feeding(Output):
    """How canvases were fed."""

    input_size_hw: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    fit: str
    """How a canvas becomes the input, in words."""


class Network(Output):
    """Weights, run where, in what, and fed how."""

    model: str
    weights_sha256: str
    device: str
    precision: str
    feeding: Feeding


class _Analysis(Output):
    """The head of every result."""

    schema_version: str
    analysis: str
    """Name of the analysis."""
    dataset: AnalysedData
    libraries: dict[str, str]
    """Package to version."""
    files: list[str]
    """That were written beside the JSON, below ``--out``."""


class _OfOneNetwork(_Analysis, Network):
    """The head of a result about one network's penultimate units."""

    layer: str
    """Whose maps are read."""
    layer_grid_hw: tuple[int, int] | None
    head: str
    """Layer that reads the units."""
    frame: str
    """Where maps and masks are compared, in words."""
    activation_is_mean_of_map: bool
    n_units: int
    definition: str
    k: int
    n: int
    """Images."""


class Maps(Output):
    """How saliency maps were made."""

    method: str
    definition: str
    target: str
    """Whose output is explained: of the predicted or of the true class."""
    layer: str | None
    layer_grid_hw: tuple[int, int] | None
    frame: str


class ClassAlignment(Output):
    """Of one class."""

    n: int
    metrics: dict[str, Figure]


class Alignment(Output):
    """Means by class."""

    n: int
    """Images that could be measured."""
    n_outside_classes: int
    """Images whose answer is none of the classes."""
    classes: dict[str, ClassAlignment]
    mean: dict[str, Figure]
    """Over classes; empty where nothing could be measured."""


class BlobAlignment(Output):
    """The same of a blob in the centre of every image, which no model can be worse than by looking."""

    definition: str
    n: int
    n_measured: int
    by_true_class: Alignment


class Tested(Figure):
    """A figure with p of the hypothesis that it is 0."""

    p: float | None


class BeyondNull(Output):
    """One metric under the masks, and under masks that are displaced."""

    value: float | None
    null: float | None
    """Mean under displaced masks."""
    best: float | None
    """What a perfect map has."""
    beyond_null: Tested
    """value - null."""
    skill: Tested
    """(value - null) / (best - null)."""


class AreaNulls(Output):
    """Of the images whose figures have such an area."""

    area: tuple[float, float]
    """Least and greatest share of the canvas."""
    n: int
    undecidable: bool
    metrics: dict[str, BeyondNull]


class Nulls(Output):
    """Metrics beyond what displaced masks give."""

    definition: str
    n: int
    metrics: dict[str, BeyondNull]
    by_area: list[AreaNulls]


class SaliencyOfModel(Network):
    """One network."""

    family: str
    saliency: Maps
    label_space: str
    class_order: str | None
    n: int
    n_skipped: dict[str, int]
    """Reason to images that could not be measured."""
    n_measured: int
    accuracy_micro: float
    by_true_class: Alignment
    by_predicted_class: Alignment
    beyond_null: Nulls


class PooledFamily(Output):
    """Models of one family, pooled."""

    models: list[str]
    metrics: dict[str, Figure]


class BeyondFirst(Output):
    """What a model has beyond the first one, on the same images."""

    first: str
    metrics: dict[str, Figure]


class SaliencyComparison(Output):
    """Models on the images that every one could be measured on."""

    n_common: int
    families: dict[str, PooledFamily]
    beyond_first: dict[str, BeyondFirst]


class Saliency(_Analysis):
    """How far saliency lies on the figure."""

    bootstrap: int
    seed: int
    displacements: int
    """Of each mask."""
    masks_px: list[int]
    """By how much masks were grown, or shrunken below 0."""
    definitions: dict[str, str]
    centre_blob: BlobAlignment
    models: list[SaliencyOfModel]
    comparison: SaliencyComparison


class WorstOfModel(Network):
    """One network's lists."""

    saliency: Maps
    label_space: str
    class_order: str | None
    n: int
    n_skipped: int
    images: list[RankedImage]


class Worst(_Analysis):
    """Images on which models look least, and most, at the figure."""

    k: int
    grouping: str
    definitions: dict[str, str]
    models: list[WorstOfModel]


class CrossedData(_Data):
    """The rows that heads were trained and tested on."""

    train_split: str
    validation_split: str
    test_split: str
    limit: int | None


class Backbone(Network):
    """The frozen network."""

    spec: str
    batch_size: int


class Sizes(Output):
    """How many images there are."""

    n: int
    balanced: bool
    n_per_class: dict[str, int]


class TrainedHead(Output):
    """The head that was trained on one config."""

    file: str
    sha256: str
    chosen_epoch: int
    validation_accuracy: float
    train: Sizes
    validation: Sizes
    cells: dict[str, Figures]
    """Config that it was tested on to its accuracies, with intervals."""
    bg_gap: Figures | None
    """Null where mixed_same or mixed_rand was not tested."""


class Heads(Output):
    """Heads trained on some configs and tested on all."""

    schema_version: str
    analysis: str
    dataset: CrossedData
    backbone: Backbone
    training: TrainingSettings
    bootstrap: int
    train: list[str]
    test: list[str]
    libraries: dict[str, str]
    heads: dict[str, TrainedHead]
    tested: dict[str, Sizes]
    differences: dict[str, dict[str, Figures]]
    """Training config to tested config: its head's accuracy less that of the head of original."""


class UnitOfRegion(Output):
    """How like a region one unit's map is."""

    unit: int
    mean_iou: float | None
    mean_iou_where_present: float | None
    n_with_mask: int
    """Top images of the unit that have the region."""
    rate_top: float | None
    """Their share."""
    correlation: float | None


class Region(Output):
    """The object, or an attribute."""

    rate_all: float | None
    """Share of all images that have it."""
    best_units: list[UnitOfRegion]


class Features(_OfOneNetwork):
    """Where units are active, beside the masks of attributes."""

    n_units_compared: int
    n_units_skipped: int
    regions: dict[str, Region]


class CandidateUnit(Output):
    """A unit that weighs in a class's output."""

    unit: int
    importance: float
    precision: float | None
    """Share of its map inside the mask; null where it was not measured, as the next four."""
    reachable_precision: float | None
    relative_precision: float | None
    null_precision: float | None
    skill: float | None
    n_measured: int
    spurious: bool


class ClassUnits(Output):
    """Units of one class."""

    candidates: list[CandidateUnit]
    spurious_units: list[int]


class Spuriosity(_OfOneNetwork):
    """Images ranked by the spurious features that they show."""

    top_n: int
    n_skipped: dict[str, int]
    classes: dict[str, ClassUnits]
    without_spurious_features: list[str]
    """Classes."""
    displacements: int
    beyond_null: Nulls


class ConflictOfModel(Output):
    """One model in one label space."""

    model: str
    dataset: str
    fingerprint: str
    split: str
    feed: str
    protocol: str
    space: str
    classes: list[str]
    least: int
    """Images below which a group is pooled, or marked."""
    configs: dict[str, Figures]
    differences: dict[str, Figures]


class Conflict(Files):
    """Whether figure or ground wins where their classes differ."""

    schema_version: str
    definitions: dict[str, str]
    undecidable_below: int
    models: list[ConflictOfModel]
