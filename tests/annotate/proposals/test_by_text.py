"""``propose --prompt text``: from the class's name to instances in the workspace, in the task and in the release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_boxes import draw_tree, index
from drawn_release import draw_photo
from PIL import Image
from shared_cases import run_here

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.proposals import running
from figureground.annotate.proposals.class_texts import ClassTexts
from figureground.annotate.proposals.proposing import ProposalSettings, propose
from figureground.annotate.segmenters import loading
from figureground.annotate.segmenters.loading import ModelChoice, taker_of_texts
from figureground.annotate.verbs import propose as propose_verb
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

pytest.importorskip("transformers")

TEXT = ProposalSettings(prompt_mode="text", texts=ClassTexts())


@pytest.fixture(scope="module")
def sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_hub_models

    return tiny_hub_models.save_sam3_text(tmp_path_factory.mktemp("hub") / "sam3")


@pytest.fixture
def many_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights are sure of nothing, so that here everything counts."""
    monkeypatch.setattr("figureground.annotate.segmenters.hub_models.by_text.LEAST_SCORE", 0.0)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for number, label in enumerate(["disc", "red_panda"]):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        Image.fromarray(draw_photo("disc", number)[0]).save(folder / "0.png")
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "photos"), name="drawn"))
    return tmp_path / "work"


@pytest.mark.usefixtures("many_instances")
def test_instances_go_from_the_name_to_task_and_release(
    work: Path, sam3: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("propose", "-w", work, "--segmenter", "sam3", "--checkpoint", sam3, "--prompt", "text", "--json")
    code, out, _ = run_here(capsys, *options, "--device", "cpu")
    assert code == 0
    assert json.loads(out)["images"] == 2
    with Workspace.open(work) as store:
        proposals = list(store.proposals())
        labels = {image.image_id: image.label for image in store.images()}
        freeze(store, "v1", FreezeOptions(unreviewed=True))
    first = [proposal for proposal in proposals if proposal.rank == 0]
    assert len(first) == 2
    for proposal in first:
        prompt = json.loads(proposal.prompt)
        assert prompt["kind"] == "text"
        assert prompt["text"] == labels[proposal.image_id].replace("_", " ")
        assert prompt["box"]
        assert 0 < prompt["score"] < 1
        assert len(proposal.instances) > 1
        union = np.logical_or.reduce([decode_coco_rle(rle) for rle in proposal.instances])
        assert np.array_equal(union, decode_coco_rle(proposal.rle))
    by_id = {proposal.proposal_id: proposal for proposal in first}
    for frozen in read_release(work / "objects" / "v1.parquet")[1]:
        assert frozen.instances == by_id[frozen.mask_origin].instances
    _, out, _ = run_here(capsys, *options, "--device", "cpu")
    assert json.loads(out)["already_done"] == 2
    _, out, _ = run_here(capsys, *options, "--device", "cpu", "--template", "a {}")
    assert json.loads(out)["already_done"] == 0  # another question


@pytest.mark.usefixtures("many_instances")
def test_each_instance_is_a_region_of_the_task(work: Path, sam3: Path) -> None:
    from figureground.annotate.studio.tasks import TaskSource, make_task

    propose_verb(work, ModelChoice(segmenter="sam3", checkpoint=str(sam3), device="cpu"), settings=TEXT)
    with Workspace.open(work) as store:
        image = next(iter(store.images()))
        proposal = next(one for one in store.proposals(image.image_id) if one.rank == 0)
    source = TaskSource(record=image, proposal=proposal, copy=work, address="", schema="")
    (prediction,) = make_task(source)["predictions"]
    ids = [region["id"] for region in prediction["result"]]
    assert len(ids) == len(proposal.instances) == len(set(ids))
    assert ids[0] == proposal.proposal_id
    assert ids[1] == f"{proposal.proposal_id}.1"


class TestWhoIsAsked:
    def test_a_sam_alone_is_refused_before_anything_is_loaded(
        self, work: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, _, error = run_here(capsys, "propose", "-w", work, "--segmenter", "sam2", "--prompt", "text")
        assert code == 2
        assert "--boxes-by grounding-dino or owlv2" in error

    def test_boxes_by_text_need_a_prompt_that_asks_for_them(self, work: Path) -> None:
        with pytest.raises(UsageError, match="take --prompt text or auto, not center"):
            propose_verb(
                work, ModelChoice(segmenter="sam2", boxes_by="owlv2"), settings=ProposalSettings(prompt_mode="center")
            )

    def test_auto_asks_by_name_where_something_that_takes_texts_is_here(
        self, work: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        choice = ModelChoice(segmenter="sam2")
        assert taker_of_texts(choice) is None  # tests have an empty cache of the Hub
        monkeypatch.setattr(loading, "is_on_this_machine", lambda entry: entry.segmenter != "sam3")
        assert taker_of_texts(choice) == "grounding-dino"
        monkeypatch.setattr(loading, "is_on_this_machine", lambda entry: True)
        assert taker_of_texts(choice) == "grounding-dino"
        assert taker_of_texts(ModelChoice(segmenter="sam3")) == "sam3"

    def test_auto_says_whom_it_asked(self, work: Path, sam3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []

        def load(choice: ModelChoice) -> Any:
            asked.append(choice)
            from figureground.annotate.segmenters.hub_models.by_text import Sam3TextSegmenter

            return Sam3TextSegmenter(sam3, device="cpu"), None

        monkeypatch.setattr(running, "load_models", load)
        report = propose_verb(work, ModelChoice(segmenter="sam3", checkpoint=str(sam3)))
        assert report.boxes_by == "sam3"
        assert (asked[0].by_text, asked[0].boxes_by, asked[0].with_saliency) == ("too", "", False)

    def test_auto_without_a_name_falls_back_to_saliency(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from figureground.annotate.proposals.proposing import ALL_PHOTOS
        from figureground.annotate.proposals.running import _completed

        monkeypatch.setattr(loading, "is_on_this_machine", lambda entry: True)
        (tmp_path / "photos" / "n99999999").mkdir(parents=True)
        Image.fromarray(draw_photo("disc", 0)[0]).save(tmp_path / "photos" / "n99999999" / "0.png")
        with Workspace.create(tmp_path / "work") as store:
            index_source(store, open_source(str(tmp_path / "photos"), name="drawn"))
            choice, settings = _completed(store, ModelChoice(segmenter="sam2"), ProposalSettings(), ALL_PHOTOS)
        assert choice.with_saliency
        assert (choice.by_text, settings.texts) == ("", None)

    def test_annotated_boxes_come_before_names(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loading, "is_on_this_machine", lambda entry: True)
        draw_tree(tmp_path, 2)
        index(tmp_path, tmp_path / "work")
        report = propose_verb(tmp_path / "work", "grabcut")
        assert (report.images, report.boxes_by) == (2, "")


def test_a_photo_whose_class_has_no_name_keeps_the_reason(tmp_path: Path, sam3: Path) -> None:
    from figureground.annotate.segmenters.hub_models.by_text import Sam3TextSegmenter

    (tmp_path / "photos" / "n99999999").mkdir(parents=True)
    Image.fromarray(draw_photo("disc", 0)[0]).save(tmp_path / "photos" / "n99999999" / "0.png")
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "photos"), name="drawn"))
        report = propose(store, Sam3TextSegmenter(sam3, device="cpu"), TEXT)
    assert report.rejected == {"no_class_name": 1}
