"""Interactive backends that cannot be started, and why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from figureground.annotate.segmenters.loading import ModelChoice
from figureground.annotate.studio.home import StudioHome
from figureground.errors import MissingExtraError, UsageError

pytest.importorskip("fastapi")


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    from figureground.annotate.studio.backend import serve_backend

    with pytest.raises(UsageError, match="anybody could ask"):
        serve_backend(StudioHome(tmp_path), ModelChoice(segmenter="mobile-sam"), host="0.0.0.0")
    with pytest.raises(UsageError, match="grabcut takes no clicks; SAMs do, such as mobile-sam"):
        serve_backend(StudioHome(tmp_path), ModelChoice(segmenter="grabcut"))
    with pytest.raises(UsageError, match="precision bfloat16: mobile-sam computes in float32 alone"):
        serve_backend(StudioHome(tmp_path), ModelChoice(segmenter="mobile-sam", precision="bfloat16"))


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_without_the_extra_it_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "figureground.annotate.studio.backend", raising=False)
    with pytest.raises(MissingExtraError, match=r"figureground\[backend\]"):
        __import__("figureground.annotate.studio.backend")
