"""Images a second of the noise protocol, beside the model's bare forwards on tensors that lie ready, in one run.

The protocol decodes each image once, makes its noise, adds it at every level to figure and ground and scores every
picture; the bare forwards score as many pictures of the same size, in the same batches. Turns alternate, so that both
see the same machine; medians are compared.

    python benchmarks/noise_protocol.py REPOSITORY --images 12
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from figureground.exports.evaluation.answers import Feeder
from figureground.exports.evaluation.dataset import Repository, load_rows, open_repository
from figureground.exports.evaluation.models import load_model
from figureground.exports.evaluation.protocols.noise import NoiseSettings
from figureground.exports.evaluation.protocols.outcomes import measure

TARGET = 0.9
MODELS = tuple(f"figureground.exports.evaluation.classifiers:efficientnet_lite{size}" for size in range(3))


def time_model(spec: str, repository: Repository, images: int, batch_size: int, turns: int) -> dict[str, Any]:
    """Seconds a picture of both, and their ratio."""
    adapter = load_model(spec)
    feeder = Feeder(adapter=adapter, batch_size=batch_size)
    table = load_rows(
        repository, "original", "test", limit=images, columns=["object_mask", "source_label", "attribute"]
    )
    conditions = NoiseSettings().conditions()
    pictures = len(table) * len(conditions)
    ready = np.random.default_rng(0).random((batch_size, *adapter.input_size_hw, 3), dtype=np.float32)
    adapter.logits(ready)

    def bare() -> None:
        for start in range(0, pictures, batch_size):
            adapter.logits(ready[: min(batch_size, pictures - start)])

    def protocol() -> None:
        measure(feeder, table, repository.classes, "original", conditions=conditions)

    seconds: dict[str, list[float]] = {"bare": [], "protocol": []}
    for _ in range(turns):
        for name, run in (("bare", bare), ("protocol", protocol)):
            start = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - start) / pictures)
    medians = {name: median(values) for name, values in seconds.items()}
    return {
        "model": adapter.name,
        "pictures": pictures,
        "batch_size": batch_size,
        "ms_bare": 1000 * medians["bare"],
        "ms_protocol": 1000 * medians["protocol"],
        "ratio": medians["bare"] / medians["protocol"],
        "target": TARGET,
    }


def main() -> None:
    """Print one line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", help="folder of a dataset with the config original")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--model", action="append", help="as for evaluate; default: the three EfficientNet-Lites")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    repository = open_repository(given.repository)
    rows = []
    print(f"{'model':24} {'pictures':>8} {'bare ms':>8} {'protocol ms':>12} {'ratio':>6}  reach {TARGET}")
    for spec in given.model or MODELS:
        row = time_model(spec, repository, given.images, given.batch_size, given.turns)
        rows.append(row)
        reached = "reached" if row["ratio"] >= TARGET else "not reached"
        figures = f"{row['ms_bare']:8.1f} {row['ms_protocol']:12.1f} {row['ratio']:6.2f}"
        print(f"{row['model']:24} {row['pictures']:8} {figures}  {reached}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
