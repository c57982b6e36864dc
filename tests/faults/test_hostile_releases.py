"""Datasets of strangers, one file of each a little wrong: whatever reads them ends well or in an error of ours."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from format_edits import mutated
from plain_dataset import Plain, make_plain, update_manifest

from figureground.errors import FigureGroundError
from figureground.exports.dataset.changes import compare_versions
from figureground.exports.dataset.verify import verify_repository
from figureground.exports.evaluation.dataset import load_rows, open_repository
from figureground.exports.evaluation.values import EvaluationError
from figureground.exports.verbs import export, rebuild

SHARD: Final = "data/original/test-00000-of-00001.parquet"
TEXTS: Final = ("recipe.lock.json", "recipe.yaml", "class_map.json", "report/refused.csv", "README.md", "manifest.json")
PARTS: Final = (SHARD, SHARD, "objects.parquet", "report/plan.parquet", *TEXTS)
CHANGES: Final = 30
"""Of which each verb reads a share."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


def scored(folder: Path) -> None:
    load_rows(open_repository(str(folder)), "original", "test")


VERBS: Final[dict[str, tuple[int, Callable[[Path, Plain, Path], Any]]]] = {
    "verify": (1, lambda dataset, plain, out: verify_repository(dataset)),
    "coco": (2, lambda dataset, plain, out: export(dataset, "coco", out)),
    "imagenet9": (3, lambda dataset, plain, out: export(dataset, "imagenet9", out)),
    "imagenet-a": (3, lambda dataset, plain, out: export(dataset, "imagenet-a", out)),
    "rival10": (3, lambda dataset, plain, out: export(dataset, "rival10", out)),
    "diff": (1, lambda dataset, plain, out: compare_versions(plain.pictures, dataset)),
    "evaluate": (3, lambda dataset, plain, out: scored(dataset)),
    "rebuild": (4, lambda dataset, plain, out: rebuild(dataset, plain.drawn.photos, out, workers=1)),
}
"""Verb to one in how many changes it is run on, and how."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, CHANGES, 10))
def test_a_changed_release_is_read_or_refused(seed: int, plain: Plain, tmp_path: Path) -> None:
    ended = 0
    for number in range(seed, seed + 10):
        rng = random.Random(number)
        name = PARTS[number % len(PARTS)]
        dataset = tmp_path / f"d{number}"
        shutil.copytree(plain.pictures, dataset)
        data = (dataset / name).read_bytes()
        (dataset / name).write_bytes(mutated(data, [data], rng, Path(name).suffix))
        if name != "manifest.json":
            update_manifest(dataset, name)
        for verb, (every, run) in VERBS.items():
            if (number + number // len(PARTS)) % every:
                continue
            before = set(tmp_path.iterdir())
            if (words := error_of(run, dataset, plain, tmp_path / "out")) is not None:
                ended += 1
                assert len(words) < 60_000, (verb, name)
                assert not (tmp_path / "out").exists(), (verb, name)
            for path in tmp_path.glob("out*"):  # what is kept for a second try lies beside it
                shutil.rmtree(path)
            assert set(tmp_path.iterdir()) == before, (verb, name)
    assert ended >= 10


def error_of(run: Callable[[Path, Plain, Path], Any], dataset: Path, plain: Plain, out: Path) -> str | None:
    """What a verb says of a dataset; None where it takes it."""
    try:
        run(dataset, plain, out)
    except (FigureGroundError, EvaluationError) as error:
        return str(error)
    return None
