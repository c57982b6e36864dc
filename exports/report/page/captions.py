"""What each kind of picture says, and what it does not say."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Caption:
    """Words for all pictures of one kind."""

    title: str
    says: str
    limits: str
    """What it does not say."""
    figures: str = "the tables"
    """Where the same is in numbers."""


_JSON: Final = "report.json"
_RESULTS: Final = "the files of results"

CAPTIONS: Final[Mapping[str, Caption]] = MappingProxyType(
    {
        "accuracies": Caption(
            "Accuracy by variant",
            "Dots are accuracies of the table in percent, lines their 95 % intervals; dotted is chance, where a model "
            "that sees nothing scores that. Hollow: too few images to decide by, or no interval.",
            "Whether two variants differ: they are of the same photos, and differences have their own intervals.",
        ),
        "differences": Caption(
            "Differences, with their intervals",
            "Each line is the 95 % interval of a difference of the table, in points. Filled dots with a star differ "
            "from 0 after correction over the whole table; hollow ones may or may not. Crosses are undecidable: of too "
            "few images, or without an interval.",
            "That a hollow dot or a cross is no difference: its interval holds all that fit these photos. Each has a "
            "part that the masks cost.",
        ),
        "classes": Caption(
            "Accuracy by class and variant",
            "A cell is the accuracy of one model on one class under one variant; n is the images of the class.",
            "How sure a cell is: with a dozen images in a class its 95 % interval is about 50 points wide at one half.",
            _RESULTS,
        ),
        "trends": Caption(
            "Measures against accuracy",
            "A point a model, with 95 % intervals over images; the line is the least squares fit over models.",
            "That accuracy causes it: models that share an architecture or training are not independent.",
            _JSON,
        ),
        "fooled": Caption(
            "Vulnerable figures by class",
            "The share of a class's figures that some ground makes the model answer wrong, with 95 % intervals.",
            "How often a ground fools: one that does is enough, so more grounds make more figures vulnerable.",
            _JSON,
        ),
        "conflict_bias": Caption(
            "Figure against ground, where they disagree",
            "Of answers that are the figure's or the ground's class, how many are the figure's; how far the ground "
            "draws answers beyond chance; the worst group.",
            "What the model looks at: answers outside both classes are in neither share.",
        ),
        "conflict_table": Caption(
            "Answers by class of figure and of ground",
            "How often either class is answered, for every pair of classes; below each share its number of images.",
            "Which single pair is the worst: most cells are of few images, and those that are hatched of too few.",
            _RESULTS,
        ),
        "categories": Caption(
            "Photos of the five categories",
            "Two photos of each category, the smallest ids, as every variant shows them, with answer and probability.",
            "How large the categories are: that is in the table. These photos were not chosen for being typical.",
        ),
        "leak": Caption(
            "What is left where the figure is cut out",
            "Accuracy on the photo with a hole, on the hole's outline alone, and the first less the second, over the "
            "growth of the hole.",
            "That the rest is ground alone: shadows and reflections of the figure lie in it.",
            "the text below",
        ),
        "arms": Caption(
            "Crops beside what they are compared with",
            "Top-1 accuracy over images, with 95 % intervals.",
            "What the crop does for single photos: the configs may be of other photos; differences are in the table.",
        ),
        "margins": Caption(
            "Accuracy by margin around the box",
            "A line a model, with 95 % intervals; dotted is the whole photo.",
            "Where the best margin is: neighbouring margins hold the same photos and differ little.",
        ),
        "box_share": Caption(
            "Gains by size of the object",
            "The gain of a crop among photos whose box covers about as much, with 95 % intervals.",
            "That size causes the gain: small objects are of other classes than large ones.",
            _JSON,
        ),
        "influence": Caption(
            "Accuracy against background influence",
            "A point a model: accuracy on photos against accuracy once their figure is painted over.",
            "That what is left is ground: outlines give figures away; see silhouette and box_fill.",
        ),
        "invariance": Caption(
            "Accuracy against background invariance",
            "A point a model: accuracy on photos against accuracy once their ground is replaced.",
            "What natural grounds would do: a constant or a texture is unlike all that models were trained on.",
        ),
        "whitened": Caption(
            "Photos beside the same without their figure",
            "Photos that were answered right, with answer and probability, and the same with a white figure.",
            "How often that happens: the counts are in the titles of the rows, the rates in the table.",
        ),
        "components": Caption(
            "Whose the variance of answers is",
            "Shares of figure, ground and interaction, with 95 % intervals over figures and grounds.",
            "Which grounds do it; estimates under 0 are noise around a share near 0.",
        ),
        "attacks": Caption(
            "Figures that grounds fool",
            "Solid: figures that one of m grounds fools; dashed: that the worst of m does, chosen on other figures.",
            "What more grounds than these would do.",
        ),
        "pairs": Caption(
            "Fooled, by class of figure and of ground",
            "The share of a class's figures that grounds of another class fool, averaged over the grounds.",
            "How sure a cell is: intervals are in the results.",
            _RESULTS,
        ),
        "grounds": Caption(
            "The grounds that fool most",
            "The grounds with the highest rates, and figures that they fooled.",
            "Their true rates: these were chosen for being the highest, which makes them look worse than they are.",
            "the text below",
        ),
        "scatter": Caption(
            "Noise on the figure against noise on the ground",
            "A point a model: class-mean accuracy, mean over the levels of noise.",
            "How much of it is place: large figures get more noise; see RFS and its null.",
        ),
        "levels": Caption(
            "Accuracy and RFS by level of noise",
            "A line a family; areas are 95 % intervals of RFS over images.",
            "What RFS a model that is blind to place has; see the null.",
            _JSON,
        ),
        "nulls": Caption(
            "RFS and its null",
            "RFS, RFS of the same masks displaced, their difference and the skill, with 95 % intervals.",
            "Which part of the figure counts.",
        ),
        "irfs": Caption(
            "RFS of single images, by class",
            "Densities over images and levels, a line a model.",
            "Intervals: a density of few images has bumps that mean nothing.",
            _RESULTS,
        ),
        "ablations": Caption(
            "Accuracy under ablations",
            "Class-mean accuracies with 95 % intervals; dashed is chance, where a model that sees nothing scores that.",
            "What a control of the same area costs, where it is not among the bars.",
        ),
        "attributes": Caption(
            "What greying an attribute costs",
            "The drop of the true class's probability, and the same less that of a random part of its area.",
            "That the attribute is what counts: parts that lie beside it go with it.",
        ),
        "gaps": Caption(
            "Photos that noise on the ground hurts most",
            "The photos of each class with the largest loss, with the true class's probability under both noises.",
            "That this is typical: they are the extremes.",
            _JSON,
        ),
    }
)
