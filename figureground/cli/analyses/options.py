"""Options of ``figureground analyze`` that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from figureground.cli.options import NetworkOptions
from figureground.errors import UsageError

if TYPE_CHECKING:
    from figureground.exports.analyses.attribution import SaliencySettings
    from figureground.exports.analyses.nulls.displaced import NullSettings
    from figureground.exports.analyses.probe_training import TrainingSettings

Repo = Annotated[str, typer.Argument(help="Folder of a dataset repository, or its id on the Hub.")]
Models = Annotated[
    list[str], typer.Option("--model", help="timm:NAME, timm:NAME=FILE or MODULE:CALLABLE[=ARGUMENT]; may be repeated.")
]
Model = Annotated[str, typer.Option("--model", help="timm:NAME, timm:NAME=FILE or MODULE:CALLABLE[=ARGUMENT].")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for JSON, CSV and plots.")]
Layer = Annotated[str | None, typer.Option(help="Module of the network; default: the last one with places.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images a pass.")]


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """Which rows of a dataset are analysed."""

    config: Annotated[str, typer.Option(help="Configuration of the dataset.")] = "original"
    split: Annotated[str, typer.Option(help="Split to analyse.")] = "test"
    revision: Annotated[str | None, typer.Option(help="Revision on the Hub.")] = None


@dataclass(frozen=True, kw_only=True)
class AttributionOptions:
    """How saliency is computed."""

    method: Annotated[
        Literal["gradcam", "gradient", "integrated_gradients"], typer.Option(help="How saliency is computed.")
    ] = "gradcam"
    layer: Layer = None
    target: Annotated[Literal["predicted", "true"], typer.Option(help="The output that is explained.")] = "predicted"

    def settings(self, batch_size: int) -> SaliencySettings:
        """The settings of the analyses, for passes of ``batch_size`` images."""
        from figureground.exports.analyses.attribution import SaliencySettings

        return SaliencySettings(method=self.method, layer=self.layer, target=self.target, batch_size=batch_size)


@dataclass(frozen=True, kw_only=True)
class SaliencyReportOptions:
    """What is shown of the saliency of many images."""

    shown: Annotated[int, typer.Option(min=0, help="Images of each class on the montage.")] = 4
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples behind the intervals.")] = 10_000
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0
    families: Annotated[
        Path | None, typer.Option(help="YAML that lists models with family, as report takes it; default: by name.")
    ] = None

    displacements: Annotated[
        int, typer.Option(min=0, help="Places that each mask is moved to, for what metrics have beyond them; 0: none.")
    ] = 8
    mask_grow: Annotated[
        str, typer.Option(help="Pixels to dilate masks by, or erode where negative, for that null: 0,4,-4.")
    ] = "0"
    null_format: Annotated[Literal["png", "svg", "pdf"], typer.Option(help="Of the pictures of that null.")] = "png"

    def nulls(self) -> NullSettings:
        """How the null is made; ``UsageError`` for masks that are no numbers."""
        from figureground.exports.analyses.nulls.displaced import NullSettings

        try:
            grow_px = tuple(int(part) for part in self.mask_grow.split(","))
        except ValueError as error:
            raise UsageError(f"--mask-grow: expected whole numbers with commas, got {self.mask_grow!r}") from error
        return NullSettings(displacements=self.displacements, grow_px=grow_px)


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Which images are listed."""

    k: Annotated[int, typer.Option("-k", min=1, help="Images of each list.")] = 5
    by: Annotated[Literal["predicted", "true"], typer.Option(help="The class whose list an image is in.")] = "predicted"


@dataclass(frozen=True, kw_only=True)
class UnitOptions:
    """Which units of a network are looked at, and how many images of each."""

    top_n: Annotated[int, typer.Option(min=1, help="Important units of each class that are looked at.")] = 5
    k: Annotated[int, typer.Option("-k", min=1, help="Top images of each unit.")] = 10
    shown: Annotated[int, typer.Option(min=1, help="Images of each end on the figure.")] = 5
    layer: Layer = None


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """Which images the network sees, how many at once where gradients are taken, and where it runs."""

    limit: Annotated[int | None, typer.Option(min=1, help="Only the images with the smallest ids.")] = None
    batch_size: BatchSize = 16
    network: NetworkOptions


@dataclass(frozen=True, kw_only=True)
class ForwardFeedOptions(FeedOptions):
    """Which images the network sees, how many at once where no gradient is taken, and where it runs."""

    batch_size: BatchSize = 32


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Splits that a linear head is fitted to and chosen on, and how it is fitted."""

    train_split: Annotated[str, typer.Option(help="Split to fit to.")] = "train"
    validation_split: Annotated[str, typer.Option(help="Split to choose the epoch by.")] = "validation"
    revision: Annotated[str | None, typer.Option(help="Revision on the Hub.")] = None
    preset: Annotated[
        Literal["figureground", "paper"], typer.Option(help="Learning rate and epochs: ours, or those of RIVAL10.")
    ] = "figureground"
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the preset's.")] = None
    learning_rate: Annotated[float | None, typer.Option(min=0, help="In place of the preset's.")] = None
    seed: Annotated[int, typer.Option(help="Of first weights and order, and of resamples if there are any.")] = 0

    def settings(self) -> TrainingSettings:
        """How heads are fitted."""
        from figureground.exports.analyses.probe_training import choose_settings

        return choose_settings(self.preset, epochs=self.epochs, learning_rate=self.learning_rate, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(FitOptions):
    """What a linear head is fitted to, and how."""

    config: Annotated[str, typer.Option(help="Configuration to train on, such as one without backgrounds.")] = (
        "original"
    )


@dataclass(frozen=True, kw_only=True)
class HeadsOptions(FitOptions):
    """What linear heads are fitted to and tested on, and how."""

    train: Annotated[
        str | None,
        typer.Option(help="Configs to train on, parted by commas; default: original and mixed_rand where present."),
    ] = None
    test: Annotated[
        str | None, typer.Option(help="Configs to test on, parted by commas; default: all with the test split.")
    ] = None
    test_split: Annotated[str, typer.Option(help="Split to test on.")] = "test"
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples behind the intervals.")] = 10_000
