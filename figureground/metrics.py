"""The metrics as plain functions of arrays: what each of the published figures is computed by.

``figureground.metrics.background_gap(same, rand, labels)`` and so on; each says its shapes, units and source.
"""

from figureground.exports.evaluation.intervals import (
    bootstrap_class_means,
    bootstrap_interval,
    cluster_estimate,
    holm,
    mean_estimate,
    paired_difference,
    share_interval,
    tango_interval,
    wilson_interval,
)
from figureground.exports.evaluation.protocols.imagenet9 import background_gap, image_categories
from figureground.exports.evaluation.protocols.imagenet_a import response_rate_accuracy, rms_calibration_error
from figureground.exports.evaluation.protocols.sensitivity import instance_rfs, relative_foreground_sensitivity
from figureground.exports.evaluation.shares import accuracy_macro, accuracy_micro, accuracy_per_class, sd_between_draws

__all__ = [
    "accuracy_macro",
    "accuracy_micro",
    "accuracy_per_class",
    "background_gap",
    "bootstrap_class_means",
    "bootstrap_interval",
    "cluster_estimate",
    "holm",
    "image_categories",
    "instance_rfs",
    "mean_estimate",
    "paired_difference",
    "relative_foreground_sensitivity",
    "response_rate_accuracy",
    "rms_calibration_error",
    "sd_between_draws",
    "share_interval",
    "tango_interval",
    "wilson_interval",
]
