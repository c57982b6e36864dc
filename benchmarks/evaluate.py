"""Images a second over all variants of a dataset, beside the model's bare forwards on tensors that lie ready.

Scoring reads the stored rows, decodes, resizes, normalises, answers and judges; the bare forwards run the network alone
on as many normalised images of the same size, in the same batches. Turns alternate, config by config, so that both
see the same machine; sums are compared. The ratio of CPU seconds, which stands beside, also counts decoding that hides
behind the forwards, and hardly heeds what else the machine does. The dataset is built beforehand, from the photos of
benchmarks/photo_sets.py.

    python benchmarks/evaluate.py [--repository FOLDER] [--images 64]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.append(str(Path(__file__).parent))  # python -P leaves it out

from photo_sets import make_release, request_of

from figureground.exports.dataset.building import build_dataset
from figureground.exports.evaluation.adapters import normalise
from figureground.exports.evaluation.answers import Feeder, predict
from figureground.exports.evaluation.dataset import Repository, list_configs, load_rows, open_repository
from figureground.exports.evaluation.models import load_model

TARGET: Final = 0.9
LEAST_MS: Final = 15.0
"""A faster model is no target: what an image costs besides does not depend on the model."""
MODELS: Final = ("figureground.exports.evaluation.classifiers:efficientnet_lite0",)
OBJECTS: Final = 200
"""Photos of the dataset that is built where none is given: all classes are among so many."""


def bare_forward(adapter: Any, size: int) -> Callable[[int], None]:  # noqa: ANN401  an adapter of a torch network
    """What runs the network on the first N of ``size`` normalised images, in the memory order that scoring feeds."""
    import torch

    images = np.random.default_rng(0).integers(0, 256, (size, *adapter.input_size_hw, 3), np.uint8)
    ready = torch.from_numpy(normalise(images, adapter.mean, adapter.std)).permute(0, 3, 1, 2)

    def run(count: int) -> None:
        with torch.inference_mode():
            adapter.network(ready[:count])

    return run


def time_model(spec: str, repository: Repository, images: int, batch_size: int, turns: int) -> dict[str, Any]:
    """Seconds of both over all configs, a row of figures."""
    adapter: Any = load_model(spec)
    forward = bare_forward(adapter, batch_size)
    forward(batch_size)
    tables = {config: load_rows(repository, config, "test", limit=images) for config in list_configs(repository)}

    def bare(config: str) -> None:
        for start in range(0, len(tables[config]), batch_size):
            forward(min(batch_size, len(tables[config]) - start))

    def score(config: str) -> None:
        predict(Feeder(adapter=adapter, batch_size=batch_size), tables[config], repository.classes, config)

    seconds, cpu = {bare: 0.0, score: 0.0}, {bare: 0.0, score: 0.0}
    for config in [*tables] * turns:
        for run in seconds:
            start, start_cpu = time.perf_counter(), time.process_time()
            run(config)
            seconds[run] += time.perf_counter() - start
            cpu[run] += time.process_time() - start_cpu
    scored = turns * sum(map(len, tables.values()))
    ratio, bare_ms = seconds[bare] / seconds[score], 1000 * seconds[bare] / scored
    return {
        "figure": f"{adapter.name}: images a second of scoring / of the bare forward",
        "value": ratio,
        "target": f">= {TARGET}" if bare_ms >= LEAST_MS else "",
        "reached": ratio >= TARGET if bare_ms >= LEAST_MS else None,
        "detail": f"{len(tables)} configs, {scored} images, batches of {batch_size}; bare {bare_ms:.1f} ms an image, "
        f"scoring {1000 * seconds[score] / scored:.1f} ms; ratio of CPU seconds {cpu[bare] / cpu[score]:.3f}; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
    }


def main() -> None:
    """Print one line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, help="folder of a dataset; one is built where none is given")
    parser.add_argument("--images", type=int, default=64, help="of each config")
    parser.add_argument("--batch-size", type=int, default=8, help="small: few images make many batches, as datasets do")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--model", action="append", help="with a torch network, as for evaluate")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.repository
        if folder is None:
            folder = Path(scratch, "in9")
            make_release(Path(scratch), OBJECTS)
            build_dataset(request_of(Path(scratch), workers=1), folder)
        repository = open_repository(str(folder))
        rows = []
        for spec in given.model or MODELS:
            rows.append(time_model(spec, repository, given.images, given.batch_size, given.turns))
            print(f"{rows[-1]['figure']}: {rows[-1]['value']:.3f} (target {rows[-1]['target'] or 'none'}): ", end="")
            print(rows[-1]["detail"], flush=True)
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
