"""Leak-corrected background accuracy: the curve of ``no_fg`` over the dilation of its hole, less the outline's share.

A hole where a figure was leaves three things: the ground, the hole's outline, and the rim of the figure that its mask
missed. The outline alone is shown by ``silhouette``, black on white, dilated as far as the hole. With a(r) the accuracy
at a dilation of r canvas pixels and s(r) that on the outline of the same hole, the corrected accuracy is

    g(r) = a(r) - s(r).

If a model is right wherever the outline alone suffices or what else is left suffices, the share of images on which the
latter suffices is at least g(r), whatever the two have in common (the lower bound of Fréchet, Fundamenta Mathematicae
25, 1935), and (a - s) / (1 - s) if they are independent (Abbott, Journal of Economic Entomology 18, 1925).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.exports.evaluation.intervals import Z, paired_difference, share_interval
from figureground.exports.evaluation.shares import ImageShares, mean_of_class_means
from figureground.exports.evaluation.values import Floats, Ints
from figureground.exports.report.stored_answers import read_shares

HOLE: Final = "no_fg"
OUTLINE: Final = "silhouette"
_GROWN: Final = re.compile(r"(?P<base>.+)_d(?P<grow_px>[1-9]\d*)")
_NORMALS: Final = 20_000
"""Draws behind a simultaneous quantile, which is then known to about 0.02."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """A figure with its intervals."""

    value: float
    ci95: tuple[float, float]
    """Of this figure by itself."""
    band95: tuple[float, float] | None = None
    """Of all figures of its table together; None where it is in none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One dilation of the hole; shares in [0, 1]."""

    grow_px: int
    """Canvas pixels."""
    accuracy: Bounded
    """Class-mean accuracy on the photo with the hole."""
    outline: Bounded
    """Class-mean accuracy on the outline alone."""
    outline_px: int
    """Dilation of that outline: the hole's, or 0 where the dataset has no other."""
    corrected: Bounded
    """The first less the second, in [-1, 1], over the same images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoleAnswers:
    """What a model answered to I images under J dilations."""

    model: str
    image_id: NDArray[np.str_]
    """``(I,)``, ascending."""
    label: Ints
    """``(I,)``."""
    grow_px: tuple[int, ...]
    """J dilations, ascending."""
    holes: Floats
    """``(I, J)`` shares of right answers."""
    outlines: Floats
    """``(I, J)``, of the outline that belongs to each."""
    outline_px: tuple[int, ...]
    """J dilations of the outlines."""

    @property
    def corrected(self) -> Floats:
        """What each image adds to the corrected accuracies, ``(I, J)`` in [-1, 1]."""
        return self.holes - self.outlines


def read_hole_answers(result: Mapping[str, Any]) -> HoleAnswers | None:
    """Answers of a result to holes and outlines, as ``evaluate --out`` stored them.

    Args:
        result: As ``read_results`` gives it, of the protocol imagenet9.

    Returns:
        The answers; None where fewer than three dilations, or no outline, were scored, or answers were not stored.

    Raises:
        DataError: if configs hold other images.
    """
    holes, outlines = (_grown_configs(result["configs"], base) for base in (HOLE, OUTLINE))
    if len(holes) < 3 or 0 not in outlines:
        return None
    outline_px = tuple(grow_px if grow_px in outlines else 0 for grow_px in holes)
    names = [*holes.values(), *(outlines[grow_px] for grow_px in outline_px)]
    read = [read_shares(result, name) for name in names]
    columns = [shares for shares in read if shares is not None]
    if len(columns) < len(names):
        return None
    _require_paired(result, names, columns)
    values = np.stack([shares.value for shares in columns], axis=1)
    return HoleAnswers(
        model=result["model"],
        image_id=columns[0].image_id,
        label=columns[0].label,
        grow_px=tuple(holes),
        holes=values[:, : len(holes)],
        outlines=values[:, len(holes) :],
        outline_px=outline_px,
    )


def _grown_configs(configs: Mapping[str, Any], base: str) -> dict[int, str]:
    """Dilation to the config that has it, ascending."""
    grown = {
        int(match["grow_px"]): name for name in configs if (match := _GROWN.fullmatch(name)) and match["base"] == base
    }
    return dict(sorted({**grown, **({0: base} if base in configs else {})}.items()))


def _require_paired(result: Mapping[str, Any], names: Sequence[str], columns: Sequence[ImageShares]) -> None:
    first = columns[0]
    for name, shares in zip(names, columns, strict=True):
        if not np.array_equal(shares.image_id, first.image_id) or not np.array_equal(shares.label, first.label):
            raise DataError.single(
                f"{result['folder']}/{result['stem']}.json",
                name,
                expected=f"the images and labels of {names[0]}",
                got="others",
                remedy="run evaluate again on all configs",
            )


def measure_curve(answers: HoleAnswers) -> tuple[CurvePoint, ...]:
    """Every dilation with its intervals; bands hold for the corrected accuracies of all dilations together."""
    corrected, strata = answers.corrected, answers.label
    factor = simultaneous_quantile(corrected, strata) / Z
    points = []
    for index, grow_px in enumerate(answers.grow_px):
        hole, outline = answers.holes[:, index], answers.outlines[:, index]
        difference = paired_difference(hole, outline, strata)
        points.append(
            CurvePoint(
                grow_px=grow_px,
                accuracy=_share(hole, strata),
                outline=_share(outline, strata),
                outline_px=answers.outline_px[index],
                corrected=bounded(difference.value, difference.ci95 or [-1.0, 1.0], factor, (-1.0, 1.0)),
            )
        )
    return tuple(points)


def _share(values: Floats, strata: Ints) -> Bounded:
    low, high = share_interval(values, strata)
    return Bounded(value=float(mean_of_class_means(values, strata)), ci95=(low, high))


def bounded(value: float, ci95: Sequence[float], factor: float, bounds: tuple[float, float]) -> Bounded:
    """A figure whose simultaneous interval is as many times as wide, on either side, as its own."""
    low, high = (value + factor * (end - value) for end in ci95)
    return Bounded(value=value, ci95=(ci95[0], ci95[1]), band95=(max(bounds[0], low), min(bounds[1], high)))


def simultaneous_quantile(values: Floats, strata: Ints) -> float:
    """What the largest of J studentised errors stays under with 95 %, at least that of one.

    Errors are taken for normal, with the correlations of the estimates (the plug-in sup-t band of Montiel Olea and
    Plagborg-Møller, Journal of Applied Econometrics 34(1), 2019). Columns in which no image differs have no error.

    Args:
        values: ``(I, J)``, what each image adds to J means over strata of means in each.
        strata: ``(I,)``.
    """
    _, own, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(own, weights=column) / sizes for column in values.T], axis=1)
    parts = (values - means[own]) / sizes[own][:, None]
    if sizes.max() == 1:  # classes of one image: all are one stratum
        parts = values - values.mean(axis=0)
    products = parts.T @ parts
    spread = np.sqrt(np.diag(products))
    live = spread > 1e-12
    if not live.any():
        return Z
    correlation = products[np.ix_(live, live)] / np.outer(spread[live], spread[live])
    weights, axes = np.linalg.eigh(correlation)
    normals = np.random.Generator(np.random.PCG64(0)).standard_normal((_NORMALS, len(weights)))
    errors = normals @ (axes * np.sqrt(np.maximum(weights, 0.0))).T
    return max(Z, float(np.quantile(np.abs(errors).max(axis=1), 0.95)))
