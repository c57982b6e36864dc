"""The choice of an engine: what makes no sense is refused early, and what cannot be reached is named."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from ray_cluster import end_shared_ray, need_ray

from figureground.errors import MissingExtraError, ServiceError, UsageError
from figureground.runtime.engines import EngineChoice, ray_session


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ray_address": "head:6379"}, "--engine ray"),
        ({"gpus": 1.0}, "--engine ray"),
        ({"kind": "ray", "ray_address": "ray://head:10001"}, "run the command on a machine of the cluster"),
        ({"kind": "ray", "ray_address": "head"}, "HOST:PORT or auto, got 'head'"),
        ({"kind": "ray", "staging": "/shared"}, "with --ray-address"),
        ({"kind": "ray", "ray_address": "auto", "staging": "nothing://bucket"}, "nothing"),
        ({"kind": "ray", "ray_address": "auto", "staging": "s3://me:secret@bucket"}, "holds no credentials"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        EngineChoice(**options)
    assert "secret" not in str(raised.value)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="ray"), ray_session(EngineChoice(kind="ray"), workers=1):
        pass


def test_a_cluster_that_is_not_there_is_named() -> None:
    need_ray()
    end_shared_ray()
    choice = EngineChoice(kind="ray", ray_address="127.0.0.1:1")
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:1"), ray_session(choice, workers=1):
        pass


def test_gpus_that_no_machine_has_are_refused() -> None:
    need_ray()
    end_shared_ray()
    choice = EngineChoice(kind="ray", gpus=64.0)
    with pytest.raises(UsageError, match="a processor and 64 GPU"), ray_session(choice, workers=1):
        pass
