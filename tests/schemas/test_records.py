"""Records as they are stored."""

from __future__ import annotations

import json

from figureground.schemas.records import Prompt


def test_a_prompt_keeps_numbers_that_are_zero() -> None:
    prompt = Prompt(kind="text", text="cat", score=0.0, point_xy_px=(0.0, 0.0))
    assert json.loads(prompt.to_json()) == {"kind": "text", "text": "cat", "score": 0.0, "point": [0.0, 0.0]}
    assert json.loads(Prompt(kind="none").to_json()) == {"kind": "none"}
