"""Runs commands for ``fault_runner``, each in a fork of this process, so that a kill hits work and not imports.

One JSON object a line comes in for each command; one with its process's id goes out when it has begun, and one with its
exit code, negative for a signal, when it has ended.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

MODULES = (
    "annotate.agreement.report_text",
    "annotate.freezing.policy",
    "annotate.imports.coco_annotations",
    "annotate.imports.rival10",
    "annotate.lint.checking",
    "annotate.lint.fixing",
    "annotate.verbs",
    "annotate.imports.mask_folder",
    "annotate.sheet.making",
    "annotate.sheet.reading",
    "annotate.segmenters.grabcut",
    "annotate.human.kit",
    "annotate.photo_states",
    "annotate.studio.served",
    "exports.verbs",
    "exports.dataset.building",
    "exports.dataset.changes",
    "exports.dataset.request",
    "exports.dataset.verify",
    "exports.layouts.coco",
    "exports.layouts.imagenet9",
    "exports.layouts.rival10",
    "exports.publishing.hub_releases",
    "exports.rebuilding.rebuild",
    "exports.evaluation.scoring",
    "exports.evaluation.on_ray",
    "exports.comparison.compare",
    "exports.comparison.sample_size",
    "exports.duplicates.groups",
    "exports.human.scoring",
    "exports.report.agreement_plots",
    "exports.report.report",
    "health.status",
    "cli.app",
)
"""What the commands import, below ``figureground``; nothing of it starts a thread."""

FURTHER = {
    "networks": (
        "exports.analyses.feature_report",
        "exports.analyses.heads.crossing",
        "exports.analyses.heads.drawing",
        "exports.analyses.probe_training",
        "exports.analyses.spuriosity",
        "exports.analyses.spurious",
    ),
    "studio": (
        "annotate.human.pull",
        "annotate.human.push",
        "annotate.studio.backend_daemon",
        "annotate.studio.progress.overview",
        "annotate.studio.pull",
        "annotate.studio.push",
        "annotate.studio.second_look",
    ),
    "hub": ("exports.publishing.publish",),
}
"""The same for the verbs of a kind, which the program's arguments name."""
LIBRARIES = {
    "studio": ("label_studio_sdk.label_interface.interface",),
    "networks": ("captum.attr", "figure_models", "sklearn.metrics", "torch._dynamo", "torch.onnx"),
}


def main() -> None:
    """Import, then fork a process for each line."""
    verbs = importlib.import_module("figureground.cli.verbs").VERBS
    homes = {verb.home.partition(":")[0] for verb in verbs.values()}
    own = [*MODULES, *(name for kind in sys.argv[1:] for name in FURTHER.get(kind, ()))]
    libraries = ["datasets.load", "pandas", *(name for kind in sys.argv[1:] for name in LIBRARIES.get(kind, ()))]
    for name in (*(f"figureground.{name}" for name in own), *sorted(homes), *libraries):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else each fork goes through, and so copies, all of this when it ends
    print(json.dumps({"threads": threading.active_count()}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(order)
            return
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def run(order: dict[str, Any]) -> None:
    """Run one command in this process, as a program of its own session; it ends as the interpreter ends."""
    os.setsid()
    os.chdir(order["cwd"])
    paths = (os.devnull, order["out"], order["err"])
    for number, path in enumerate(paths):
        with Path(path).open("ab+") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(order["environment"])
    for name, most in order["limits"].items():
        resource.setrlimit(getattr(resource, name), (most, most))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):  # a caller may ignore them
        signal.signal(number, signal.SIG_DFL)
    from figureground.cli.app import main as figureground

    figureground(order["words"])


if __name__ == "__main__":
    main()
