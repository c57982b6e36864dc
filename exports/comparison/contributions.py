"""What every image adds to a figure of a model, from the answers that ``evaluate --out`` stored.

A figure is the mean over strata of the mean contribution in each, so that a difference of two models is the same mean
of the differences of their contributions. Accuracies and their differences are such means; RFS is linearised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, UsageError
from figureground.exports.evaluation.protocols.imagenet9 import DIFFERENCES
from figureground.exports.evaluation.shares import ImageShares, RowAnswers, average_rows, mean_of_class_means
from figureground.exports.evaluation.values import EvaluationError, Floats, Ints
from figureground.exports.report.noise import NoiseResult, noise_result
from figureground.exports.report.stored_answers import answers_path, read_arrays

_WHOLE: Final = (0.0, 1.0)
_DIFFERENCE: Final = (-1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """One figure of one model: I images."""

    image_id: NDArray[np.str_]
    """``(I,)``, ascending."""
    stratum: Ints
    """``(I,)``: the class, or 0 for all where images count alike."""
    value: Floats
    """``(I,)``; the figure is the mean over strata of the mean value in each."""
    bounds: tuple[float, float]
    """Of the figure."""
    share: bool
    """Whether values are shares of right answers, so that differences of two models are paired shares."""
    drawn: tuple[Floats, ...] = ()
    """Where images have several draws, a value's parts by draw, ``(I, D)`` each: they vary independently."""

    def cut(self, rows: Ints) -> Contributions:
        """Those of some images."""
        drawn = tuple(part[rows] for part in self.drawn)
        own = {name: getattr(self, name)[rows] for name in ("image_id", "stratum", "value")}
        return replace(self, **own, drawn=drawn)

    @property
    def figure(self) -> float:
        """The figure."""
        return float(mean_of_class_means(self.value, self.stratum))


def figure_contributions(result: Mapping[str, Any], space: str) -> dict[str, Contributions]:
    """Every figure of a result in one label space, by name.

    Args:
        result: As ``read_results`` gives it.
        space: Label space, such as ``map9``; for the protocol imagenet9 that of the result.

    Raises:
        UsageError: if its answers were not stored.
        DataError: if stored answers are damaged.
    """
    if result["protocol"] == "rival10":
        return dict(_noise_figures(noise_result(result, space)))
    nine = result["protocol"] == "imagenet9"
    summary = result if nine else result["label_spaces"][space]
    # A config with a star pools others, and has no answers of its own.
    configs = [config for config in summary["configs"] if not config.endswith("*")]
    figures = {config: _read_config(result, config, "" if nine else space) for config in configs}
    pairs = dict(DIFFERENCES) if nine else {f"{config} - original": (config, "original") for config in configs}
    for name, (one, two) in pairs.items():
        if one != two and one in figures and two in figures:
            figures[name] = _difference(figures[one], figures[two])
    return figures


def _read_config(result: Mapping[str, Any], config: str, space: str) -> Contributions:
    """Accuracy on one config; ``space`` is empty for the protocol imagenet9."""
    path = answers_path(result, config)
    if not path.is_file():
        raise UsageError(f"{result['model']}: its answers on {config} are not there ({path}); score it with --out")
    names = ("image_id", "label", f"{space}.right") if space else ("image_id", "label", "mapped", "draw")
    image_id, label, answer, *draw = read_arrays(path, names).values()
    if image_id.dtype.kind != "U" or label.dtype.kind not in "iu" or {image_id.ndim, label.ndim, answer.ndim} != {1}:
        got = ", ".join(f"{array.dtype}{array.shape}" for array in (image_id, label, answer))
        raise DataError.single(str(path), "", expected="answers of evaluate", got=got, remedy="run evaluate again")
    rows = RowAnswers(image_id=image_id, label=label.astype(np.int64), right=answer if space else answer == label)
    try:
        shares = average_rows(config, rows)
    except EvaluationError as error:
        raise DataError.single(str(path), "label", expected="one label an image", got=str(error)) from error
    return Contributions(
        image_id=shares.image_id,
        stratum=shares.strata("images" if result.get("headline") == "accuracy_micro" else "classes"),
        value=shares.value,
        bounds=_WHOLE,
        share=True,
        drawn=_by_draw(rows, shares, draw[0]) if draw else (),
    )


def _by_draw(rows: RowAnswers, shares: ImageShares, draw: Ints) -> tuple[Floats, ...]:
    """Right answers ``(I, D)`` where every image has as many draws, and more than one."""
    draws = int(shares.rows[0])
    if draws < 2 or bool((shares.rows != draws).any()):
        return ()
    order = np.lexsort((draw, rows.image_id))
    return (rows.right[order].reshape(-1, draws).astype(np.float64),)


def _difference(first: Contributions, second: Contributions) -> Contributions:
    """Over the images that both have."""
    ids, one, two = np.intersect1d(first.image_id, second.image_id, assume_unique=True, return_indices=True)
    return Contributions(
        image_id=ids,
        stratum=first.stratum[one],
        value=first.value[one] - second.value[two],
        bounds=_DIFFERENCE,
        share=False,
        drawn=(*(part[one] for part in first.drawn), *(-part[two] for part in second.drawn)),
    )


def _noise_figures(result: NoiseResult) -> Iterator[tuple[str, Contributions]]:
    """Accuracy without noise, and of every kind of noise the accuracies and RFS over all levels, linearised."""
    outcomes = result.outcomes
    if outcomes is None:
        raise UsageError(f"{result.model}: its answers were not kept; score it with --out")
    order = np.argsort(outcomes.image_id)
    ids, labels = outcomes.image_id[order], outcomes.label[order]

    def share(columns: list[int]) -> Contributions:
        values = outcomes.right[order][:, columns].mean(axis=(1, 2))
        return Contributions(image_id=ids, stratum=labels, value=values, bounds=_WHOLE, share=True)

    clean = [index for index, condition in enumerate(result.conditions) if condition.kind == "clean"]
    if clean:
        yield "original", share(clean)
    for kind in result.summary["noise"].get("0", {}):
        regions = {region: share(result.columns(kind, region)) for region in ("figure", "ground")}
        for region, contributions in regions.items():
            yield f"{kind} on {region}", contributions
        if sensitivity := linearised_rfs(regions["figure"], regions["ground"]):
            yield f"RFS {kind}", sensitivity


def linearised_rfs(figure: Contributions, ground: Contributions) -> Contributions | None:
    """RFS = (g - f) / (2 min(ā, 1 - ā)), ā = (f + g) / 2, by the delta method; None where ā is 0 or 1.

    With m = min(f + g, 2 - f - g) and s = ±1 the sign of its slope, RFS = (g - f) / m has the derivatives
    -(1 + s RFS) / m by f and (1 - s RFS) / m by g, so that image i adds RFS - (1 + s RFS) (f_i - f) / m +
    (1 - s RFS) (g_i - g) / m (Moayeri et al., CVPR 2022, for RFS).

    Args:
        figure: Shares of right answers under noise on the figure.
        ground: Those under noise on the ground, of the same images.
    """
    f, g = figure.figure, ground.figure
    least = min(f + g, 2 - f - g)
    if least < 1e-9:
        return None
    rfs, sign = (g - f) / least, 1.0 if f + g <= 1 else -1.0
    value = rfs - (1 + sign * rfs) * (figure.value - f) / least + (1 - sign * rfs) * (ground.value - g) / least
    return Contributions(image_id=figure.image_id, stratum=figure.stratum, value=value, bounds=_DIFFERENCE, share=False)
