"""Two pulls at once: what a photo's answers decide is decided by all of them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from pulled_exports import MASK, OTHER, A, B, pull
from studio_samples import make_answer, make_export, painted

from figureground.schemas.store.workspace import Workspace


def test_a_pull_decides_by_every_answer_that_is_stored_before_its_own(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    with Workspace.create(root) as store, Workspace.create(elsewhere) as scratch:
        for workspace in (store, scratch):
            workspace.add_images([A, B])
        pull(scratch, make_export(A, [make_answer([painted(OTHER)], number=91, person=4, at="06")]))
        (theirs,) = scratch.annotations()

    def pull_ours() -> None:
        with Workspace.open(root) as own:
            pull(own, make_export(A, [make_answer([painted(MASK)], number=90, person=3)]))

    thread = threading.Thread(target=pull_ours)
    with Workspace.open(root) as store:
        with store.writing():  # the other pull, which is a moment earlier
            thread.start()
            time.sleep(1.0)
            store.add_answer(theirs, None)
        thread.join()
        decision = store.decision(A.image_id)
        assert decision is not None
        assert (decision.state, len(list(store.annotations()))) == ("needs_second", 2)
