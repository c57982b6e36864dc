"""The machine mask that stands for a photo: a ranking's choice, a named segmenter's, or the only one's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rival_masks import RULE, block, proposal, store_masks
from shared_cases import run_here
from sheet_samples import add_mask, by_name, make_workspace

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.proposals.best import best_proposals
from figureground.annotate.proposals.ranking import rank_photos
from figureground.annotate.sheet.making import SheetRequest, make_sheet
from figureground.annotate.studio.push import photos_to_send
from figureground.annotate.studio.tasks import uncertainty
from figureground.errors import UsageError
from figureground.schemas.store.releases import read_annotation, read_release
from figureground.schemas.store.workspace import Workspace

NAMES = ("saliency", "grabcut", "sam")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    """Photos 0 to 2 have masks of three segmenters that differ more and more, ranked; photo 3 has ``drawn``'s."""
    with make_workspace(tmp_path, 4) as workspace:
        workspace._db.execute("DELETE FROM proposal_runs")
        workspace._db.commit()
        names = by_name(workspace)
        add_mask(workspace, names["3"], score=0.4)
        runs: dict[str, list[str]] = {}
        for number in range(3):
            image = workspace.image(names[str(number)])
            assert image is not None
            height, width = image.size_hw
            masks = [
                proposal("saliency", block(2, 2, width // 2, height - 2, image.size_hw), image_id=image.image_id),
                proposal("grabcut", block(2, 2, width // 2, height - 3, image.size_hw), image_id=image.image_id),
                proposal(
                    "sam", block(2 + 4 * number, 2, width // 2, height - 2, image.size_hw), image_id=image.image_id
                ),
            ]
            runs |= store_masks(workspace, masks)
        rank_photos(workspace, runs, segmenters=NAMES, rule=RULE)
        yield workspace


def makers(store: Workspace, segmenter: str | None) -> dict[str, str]:
    names = {image_id: name for name, image_id in by_name(store).items()}
    return {names[one.image_id]: one.segmenter for one in best_proposals(store, segmenter)}


def test_a_ranking_chooses_where_nobody_is_named(store: Workspace) -> None:
    chosen = makers(store, None)
    assert set(chosen) == {"0", "1", "2", "3"}
    assert chosen["3"] == "drawn"
    assert set(chosen.values()) <= {*NAMES, "drawn"}
    ids = [one.image_id for one in best_proposals(store, None)]
    assert ids == sorted(ids)


def test_who_is_named_is_taken_whatever_the_ranking_says(store: Workspace) -> None:
    assert makers(store, "grabcut") == dict.fromkeys("012", "grabcut")
    assert all(one.probability is None for one in best_proposals(store, "grabcut"))


def test_masks_of_several_that_nothing_ranked_are_never_left_to_order(store: Workspace) -> None:
    add_mask(store, by_name(store)["3"], score=0.5, segmenter="other")
    with pytest.raises(UsageError, match="drawn:box, other:box"):
        list(best_proposals(store, None))


def test_the_doubtful_come_first_unless_the_sure_are_asked_for(store: Workspace) -> None:
    proposals = {one.image_id: one for one in best_proposals(store, None)}
    names = {image_id: name for name, image_id in by_name(store).items()}
    doubtful = [names[photo.image_id] for photo in photos_to_send(store, proposals)]
    assert doubtful.index("2") < doubtful.index("1") < doubtful.index("0")
    assert doubtful == [names[one.image_id] for one in sorted(proposals.values(), key=lambda one: -uncertainty(one))]
    sure = [names[photo.image_id] for photo in photos_to_send(store, proposals, "sure")]
    assert sure == doubtful[::-1]
    first = proposals[by_name(store)["0"]]
    assert first.probability is not None
    assert uncertainty(first) == pytest.approx(1 - first.probability)


def test_a_sheet_shows_what_the_ranking_chose_and_says_so(store: Workspace, tmp_path: Path) -> None:
    report = make_sheet(store, tmp_path / "sheet")
    page = report.pages[0].read_text()
    chosen = [one for one in best_proposals(store, None) if one.probability is not None]
    assert len(chosen) == 3
    assert all(one.proposal_id in page for one in chosen)
    assert "masks chosen by toy@3" in str(report)
    photos = report.to_dict()["chosen_by"]["photos"]
    assert sum(photos.values()) == 3
    named = make_sheet(store, tmp_path / "named", SheetRequest(segmenter="drawn"))
    assert "chosen by" not in str(named)
    assert "chosen_by" not in named.to_dict()


def test_a_release_of_unreviewed_masks_follows_the_ranking_and_says_so(
    store: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = run_here(capsys, "freeze", "-w", store.root, "--version", "v1", "--unreviewed")
    assert code == 0, error
    assert "masks chosen by toy@3: " in out
    path = store.root / "objects" / "v1.parquet"
    _, records = read_release(path)
    assert {one.mask_origin for one in records} == {one.proposal_id for one in best_proposals(store, None)}
    ranking = read_annotation(path)["proposals_ranked"]
    assert ranking["rules"] == ["toy@3"]
    assert sum(ranking["photos"].values()) == 3
    code, out, _ = run_here(capsys, "freeze", "-w", store.root, "--version", "v2", "--unreviewed", "--json")
    assert json.loads(out)["chosen_by"] == ranking
    report = freeze(store, "v3", FreezeOptions(unreviewed=True, segmenter="grabcut"))
    assert report.choice is None
    assert "proposals_ranked" not in read_annotation(report.path)
    assert "chosen_by" not in report.to_dict()


def test_agreement_with_a_named_segmenter_is_not_asked_of_its_own_masks(store: Workspace) -> None:
    report = freeze(store, "v1", FreezeOptions(unreviewed=True, segmenter="grabcut", agree="saliency"))
    assert (report.states["unreviewed"], report.choice) == (3, None)
    with pytest.raises(UsageError, match="several segmenters"):
        freeze(store, "v2", FreezeOptions(unreviewed=True, agree="saliency"))


def test_a_ranked_mask_agrees_as_far_as_the_first_choices_of_others_do(store: Workspace) -> None:
    report = freeze(store, "v1", FreezeOptions(unreviewed=True))
    _, records = read_release(report.path)
    known = [one.agreement_iou for one in records if one.segmenter != "drawn"]
    assert np.all([iou is not None and 0 < iou < 1 for iou in known])
