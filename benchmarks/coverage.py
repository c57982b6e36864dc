"""How often the 95 % intervals that are printed hold the truth, and how often stars appear where nothing differs.

Answers are drawn from known distributions and go through the functions that `evaluate` and `human score` print with.
For each design: the share of intervals that hold the truth, among those that are printed; the share of draws for which
one is printed; their mean width; the share of width zero. Then, for tables without any effect, the share of tables with
a star. Everything is seeded: equal arguments print equal tables.

    python benchmarks/coverage.py
    python benchmarks/coverage.py --draws 4000 --markdown coverage.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]  # ships no annotations
from scipy.stats import multivariate_normal, norm  # type: ignore[import-untyped]

from figureground.exports.evaluation.intervals import (
    Sampling,
    bootstrap_interval,
    cluster_estimate,
    crossed_variance,
    mean_estimate,
    paired_difference,
    resampled_rows,
    root_interval,
    share_interval,
)
from figureground.exports.evaluation.protocols.imagenet_a import response_rate_accuracy, rms_calibration_error
from figureground.exports.evaluation.protocols.pigeonhole import (
    COMPONENTS,
    CrossedCells,
    TwoWaySampling,
    estimate_components,
    estimate_share,
)
from figureground.exports.evaluation.protocols.sensitivity import relative_foreground_sensitivity
from figureground.exports.evaluation.tables import Cell, find_stars

Floats = NDArray[np.float64]
Interval = Sequence[float] | None
Draw = Callable[[np.random.Generator], tuple[float, Interval]]
"""The true value and the interval of one drawn experiment."""

RESAMPLES: Final = 500
LEAST: Final = 0.93
LEAST_PAIRS: Final = 0.90
"""Where every class has two images."""
MOST_STARS: Final = 0.06


@dataclass(frozen=True, kw_only=True)
class Design:
    """One kind of experiment."""

    name: str
    draw: Draw
    least: float = LEAST
    slow: bool = False
    """Whether each interval is a bootstrap: fewer are drawn."""


def sizes_like_imagenet_a(divisor: int) -> list[int]:
    """200 class sizes from 3 to 100 images, about as unequal as ImageNet-A's, divided by ``divisor``; at least 1."""
    return [max(1, round((3 + 97 * (index / 199) ** 1.6) / divisor)) for index in range(200)]


def class_means(sizes: Sequence[int], low: float, high: float) -> Draw:
    """Accuracy over class means; the classes' true accuracies run from ``low`` to ``high``."""
    labels, true = np.repeat(np.arange(len(sizes)), sizes), np.linspace(low, high, len(sizes))
    true = true[np.random.default_rng(7).permutation(len(sizes))]

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        return float(true.mean()), share_interval((generator.random(len(labels)) < true[labels]).astype(float), labels)

    return draw


def over_images(n: int, share: float) -> Draw:
    """Accuracy over images."""

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        return share, share_interval((generator.random(n) < share).astype(float), np.zeros(n, np.int64))

    return draw


def _pairs(generator: np.random.Generator, n: int, gap: float, discordant: float) -> tuple[Floats, Floats]:
    drawn = generator.random(n)
    only_first, only_second = drawn < (discordant + gap) / 2, drawn > 1 - (discordant - gap) / 2
    both = generator.random(n) < 0.7
    return (only_first | (both & ~only_second)).astype(float), (only_second | (both & ~only_first)).astype(float)


def paired(sizes: Sequence[int], gap: float, discordant: float, trials: int = 1) -> Draw:
    """A difference of two variants of the same images; with several ``trials`` of each, as of donor draws."""
    labels = np.repeat(np.arange(len(sizes)), sizes)

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        sides = [_pairs(generator, len(labels), gap, discordant) for _ in range(trials)]
        first, second = (np.mean([side[index] for side in sides], axis=0) for index in (0, 1))
        return gap, paired_difference(first, second, labels).ci95

    return draw


def unequal_gaps(sizes: Sequence[int]) -> Draw:
    """A difference that is another one in every class, where sizes go with it: over class means it is 0."""
    labels, gaps = np.repeat(np.arange(len(sizes)), sizes), np.linspace(-0.3, 0.3, len(sizes))

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        base = generator.random(len(labels)) < 0.5
        flips = generator.random(len(labels)) < np.abs(gaps[labels])
        other = np.where(flips, gaps[labels] < 0, base)
        changed = np.where(flips, gaps[labels] > 0, base)
        return float(gaps.mean()), paired_difference(changed.astype(float), other.astype(float), labels).ci95

    return draw


def clusters(count: int, per_class: int) -> Draw:
    """Accuracy where the dataset's classes are a sample of all classes."""
    labels = np.repeat(np.arange(count), per_class)

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        right = generator.random(len(labels)) < generator.beta(4, 2, count)[labels]
        return 4 / 6, cluster_estimate(right.astype(float), labels, "classes", (0.0, 1.0)).ci95

    return draw


def people(raters: int, images: int, spread: float) -> Draw:
    """Accuracy of people; raters differ by ``spread`` on the logit scale and images by 1, and both are samples."""
    grid = np.random.default_rng(11)
    truth = float(expit(1.0 + spread * grid.standard_normal((1000, 1)) + grid.standard_normal((1, 2000))).mean())

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        logit = 1.0 + spread * generator.standard_normal((1, raters)) + generator.standard_normal((images, 1))
        right = (generator.random(logit.shape) < expit(logit)).astype(float)
        share = float(right.mean())
        return truth, crossed_variance((right - share) / right.size).share_interval(share, images)

    return draw


def sensitivity(sizes: Sequence[int], a_fg: float, a_bg: float) -> Draw:
    """RFS over class means."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    truth = float(relative_foreground_sensitivity(a_fg, a_bg))

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        hard = generator.random(len(labels))
        right = np.stack([hard < a_fg, np.where(generator.random(len(labels)) < 0.5, hard, 1 - hard) < a_bg], axis=1)
        drawn = Sampling(count=RESAMPLES, seed=int(generator.integers(2**31))).bootstrap(right.astype(float), labels)
        rfs = relative_foreground_sensitivity(right[:, 0].mean(), right[:, 1].mean())
        samples = relative_foreground_sensitivity(drawn[:, 0], drawn[:, 1])
        return truth, bootstrap_interval(samples, len(labels)) if np.isfinite(rfs) else None

    return draw


def probability_drop(sizes: Sequence[int]) -> Draw:
    """A mean loss of probability over class means."""
    labels = np.repeat(np.arange(len(sizes)), sizes)

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        lost = generator.beta(1, 6, len(labels)) - generator.beta(1, 12, len(labels))
        return 1 / 7 - 1 / 13, mean_estimate(lost, labels, (-1.0, 1.0)).ci95

    return draw


def _confident(generator: np.random.Generator, n: int, gap: float) -> tuple[Floats, Floats]:
    confidence = generator.beta(4, 2, n)
    return confidence, (generator.random(n) < np.clip(confidence - gap, 0, 1)).astype(float)


def confidence(n: int, gap: float, figure: str) -> Draw:
    """AURRA or the calibration error of a model that is ``gap`` too sure."""
    of_bin = min(100, n // 10)

    def measure(sure: Floats, right: Floats) -> float:
        if figure == "AURRA":
            return response_rate_accuracy(sure, right)
        return rms_calibration_error(sure, right, max(1, len(sure) * of_bin // n))

    truth = measure(*_confident(np.random.default_rng(5), 400_000, gap))

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        sure, right = _confident(generator, n, gap)
        drawn = resampled_rows(n, count=200, seed=int(generator.integers(2**31)))
        samples = np.array([measure(sure[rows], right[rows]) for rows in drawn])
        interval = bootstrap_interval(samples, n) if figure == "AURRA" else None
        return truth, interval or root_interval(measure(sure, right), samples, n)

    return draw


def crossed(figures: int, grounds: int, sds: tuple[float, float, float], middle: float, of: str) -> Draw:
    """Figures that all stand on the same grounds, right where middle + figure + ground + both, normal, is above 0.

    ``sds`` are the standard deviations of these three; ``of`` is ``accuracy`` or a component, whose share of the
    variance is estimated. True values are those of the bivariate normal distribution.
    """
    whole = float(np.square(sds).sum())
    share = float(norm.cdf(middle / whole**0.5))
    spread = share * (1 - share)

    def shared(variance: float) -> float:
        correlated = multivariate_normal(cov=[[1, variance / whole], [variance / whole, 1]])
        return float(correlated.cdf([middle / whole**0.5] * 2)) - share**2

    figure, ground = shared(sds[0] ** 2), shared(sds[1] ** 2)
    parts = {"figure": figure, "ground": ground, "interaction": spread - figure - ground}
    present, weights = np.ones((figures, grounds), np.bool_), np.ones(figures)

    def draw(generator: np.random.Generator) -> tuple[float, Interval]:
        shapes = zip(sds, ((figures, 1), (1, grounds), (figures, grounds)), strict=True)
        latent = sum((sd * generator.standard_normal(shape) for sd, shape in shapes), np.full((1, 1), middle))
        cells = CrossedCells((latent > 0).astype(np.float64), present)
        sampling = TwoWaySampling(RESAMPLES, int(generator.integers(1 << 30)))
        if of == "accuracy":
            return share, estimate_share(cells, weights, sampling)["ci95"]
        return parts[of] / spread, estimate_components(cells, sampling)[of]["share"]["ci95"]

    return draw


def designs() -> Iterator[Design]:
    """All designs, in the order of the table."""
    for n, share in ((8, 0.9), (24, 0.7), (100, 0.98)):
        yield Design(name=f"share over {n} images, {share:.0%}", draw=over_images(n, share), least=0.9)
    for n, gap, discordant in (
        (8, 0.10, 0.10), (8, 0.12, 0.18), (24, 0.10, 0.10), (24, 0.0, 0.20), (100, 0.0, 0.20), (100, 0.0, 0.01),
        (450, 0.25, 0.35),
    ):  # fmt: skip
        name = f"paired difference, {n} images, gap {gap:.0%}, discordant {discordant:.0%}"
        yield Design(name=name, draw=paired([n], gap, discordant))
    for sizes, gap, discordant in (
        ([2] * 20, 0.1, 0.2),
        ([8] * 3, 0.1, 0.2),
        ([8] * 9, 0.0, 0.2),
        ([50] * 9, 0.1, 0.2),
    ):
        name = f"the same over class means, {len(sizes)} x {sizes[0]}, gap {gap:.0%}, discordant {discordant:.0%}"
        yield Design(name=name, draw=paired(sizes, gap, discordant), least=LEAST_PAIRS if sizes[0] == 2 else LEAST)
    yield Design(name="the same, sizes 5 to 61, other gaps by size", draw=unequal_gaps(range(5, 69, 8)))
    yield Design(name="the same, 9 x 8, three draws of each donor", draw=paired([8] * 9, 0.1, 0.2, trials=3))
    for count, size in ((20, 2), (20, 3), (20, 5), (100, 2), (100, 3)):
        name = f"class means, {count} x {size}"
        yield Design(name=name, draw=class_means([size] * count, 0.4, 0.9), least=LEAST_PAIRS if size == 2 else LEAST)
    yield Design(name="class means, ImageNet-A's sizes / 10", draw=class_means(sizes_like_imagenet_a(10), 0.0, 0.6))
    yield Design(name="class means, ImageNet-A's sizes", draw=class_means(sizes_like_imagenet_a(1), 0.0, 0.6))
    yield Design(name="class means, 3 x 8, all 70 %", draw=class_means([8] * 3, 0.7, 0.7))
    yield Design(name="class means, 9 x 8", draw=class_means([8] * 9, 0.4, 0.95))
    yield Design(name="class means, 10 x 10", draw=class_means([10] * 10, 0.4, 0.95))
    yield Design(name="class means, 9 x 50, 97 to 99 %", draw=class_means([50] * 9, 0.97, 0.99))
    yield Design(name="class means, 9 classes of 2 to 30", draw=class_means([3, 5, 8, 12, 20, 4, 9, 30, 2], 0.4, 0.95))
    for count in (5, 9, 20):
        yield Design(name=f"classes as a sample, {count} x 20", draw=clusters(count, 20))
    for raters in (2, 3, 5, 10):
        yield Design(name=f"people, {raters} raters x 36 images", draw=people(raters, 36, 0.5))
    for sizes in ([8], [24], [8] * 9, [45] * 10):
        name = f"RFS, {len(sizes)} x {sizes[0]}"
        yield Design(name=name, draw=sensitivity(sizes, 0.5, 0.75), slow=True)
    for sizes in ([30], [3] * 10, [45] * 10):
        yield Design(name=f"loss of probability, {len(sizes)} x {sizes[0]}", draw=probability_drop(sizes))
    for n in (200, 1000):
        yield Design(name=f"AURRA, {n} images", draw=confidence(n, 0.1, "AURRA"), slow=True)
        yield Design(name=f"RMS calibration error, {n} images", draw=confidence(n, 0.1, "RMS"), slow=True)
    for figures, grounds in ((30, 8), (60, 12), (132, 18)):
        for sd, middle in ((0.5, 1.5), (0.15, 2.0)):
            for of in ("accuracy", *COMPONENTS):
                words = of if of == "accuracy" else f"share of variance, {of}"
                name = f"crossed, {figures} x {grounds}, grounds differ {'much' if sd > 0.3 else 'little'}: {words}"
                draw = crossed(figures, grounds, (1.0, sd, 0.7), middle, of)
                yield Design(name=name, draw=draw, least=LEAST_PAIRS, slow=True)


def cover(design: Design, draws: int, seed: int) -> dict[str, float]:
    """Shares over ``draws`` drawn experiments."""
    generator = np.random.default_rng(seed)
    held = printed = zero = 0
    width = 0.0
    for _ in range(draws):
        truth, interval = design.draw(generator)
        if interval is None:
            continue
        printed += 1
        width += interval[1] - interval[0]
        zero += interval[1] - interval[0] < 1e-9
        held += interval[0] - 1e-12 <= truth <= interval[1] + 1e-12
    return {
        "covered": held / printed if printed else float("nan"),
        "printed": printed / draws,
        "width": width / printed if printed else float("nan"),
        "zero": zero / printed if printed else 0.0,
    }


def false_stars(comparisons: int, sizes: Sequence[int], draws: int, seed: int) -> float:
    """Share of tables of ``comparisons`` differences, none of which is real, that show a star."""
    generator, labels = np.random.default_rng(seed), np.repeat(np.arange(len(sizes)), sizes)
    starred = 0
    for _ in range(draws):
        base = (generator.random(len(labels)) < 0.7).astype(float)
        cells = {}
        for number in range(comparisons):
            again = (generator.random(len(labels)) < 0.7).astype(float)
            other = np.where(generator.random(len(labels)) < 0.5, again, base)
            gap = paired_difference(other, base, labels)
            cells[number] = Cell(gap.value, gap.ci95, gap.p, signed=True)
        starred += bool(find_stars(cells)[0])
    return starred / draws


def main() -> None:
    """Simulate and print, or write with ``--json`` and ``--markdown``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="experiments of each design; a fifth of bootstraps")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn experiments")
    parser.add_argument("--markdown", type=Path, help="file to write the tables to, for the docs")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    lines = ["| design | covered | printed | mean width | width 0 |", "|---|---|---|---|---|"]
    rows = []
    for design in designs():
        result = cover(design, max(1, given.draws // 5) if design.slow else given.draws, given.seed)
        shares = " | ".join(f"{result[name]:.1%}" for name in ("covered", "printed"))
        if not result["printed"]:
            shares = "- | 0.0%"
        width = f"{result['width']:.3f}" if result["printed"] else "-"
        lines.append(f"| {design.name} | {shares} | {width} | {result['zero']:.1%} |")
        rows.append(
            {
                "figure": f"coverage of 95 %: {design.name}",
                "value": result["covered"] if result["printed"] else 1.0,
                "target": f">= {design.least:.2f}",
                "reached": (not result["printed"] or result["covered"] >= design.least) and not result["zero"],
                "detail": f"printed {result['printed']:.0%}, width {width}",
            }
        )
    lines += ["", "| tables without any effect | comparisons | tables with a star |", "|---|---|---|"]
    for sizes in ([30], [100], [8] * 9, [2] * 20):
        for comparisons in (1, 10, 40):
            share = false_stars(comparisons, sizes, max(200, given.draws // (1 if comparisons == 1 else 4)), given.seed)
            name = f"{len(sizes)} x {sizes[0]} images"
            lines.append(f"| {name} | {comparisons} | {share:.1%} |")
            rows.append(
                {
                    "figure": f"tables with a false star: {name}, {comparisons} comparisons",
                    "value": share,
                    "target": f"<= {MOST_STARS:.2f}",
                    "reached": share <= MOST_STARS,
                    "detail": "Holm's correction over the table",
                }
            )
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
