"""The page on clusters, typed to the letter; the cluster is a Ray of this machine, of two processors."""

from __future__ import annotations

from pathlib import Path

import pytest
from ray_cluster import shared_ray
from typist import Typist

pytestmark = [pytest.mark.whole_path, pytest.mark.timeout(900)]


def test_a_cluster_makes_the_same_bytes(first_dataset: Path) -> None:
    shared_ray()
    import ray

    environment = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    assert list(Typist(first_dataset, "howto_cluster", environment).page("docs/howto/cluster.md"))
