"""A limit below one photo is refused, as it is elsewhere; it once meant all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studio_samples import make_schema

from figureground.annotate.studio.push import PushSettings
from figureground.annotate.studio.second_look import push_second_look
from figureground.errors import UsageError
from figureground.schemas.store.workspace import Workspace


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(tmp_path: Path, limit: int) -> None:
    server: Any = None
    with pytest.raises(UsageError, match=f"a limit is 1 photo or more, got {limit}"):
        PushSettings(schema=make_schema(), limit=limit)
    with Workspace.create(tmp_path) as store, pytest.raises(UsageError, match="a limit is 1 photo or more"):
        push_second_look(store, server, make_schema(), limit=limit)
