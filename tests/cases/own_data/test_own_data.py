"""Data of one's own comes in at the first try: runs of some photos, textures that stay out of everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn_boxes import draw_tree, index
from photo_samples import draw_pixels, encode
from shared_cases import run_here

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.photo_states import list_photos, photos_to_annotate
from figureground.annotate.proposals.proposing import ProposalScope, ProposalSettings, propose
from figureground.annotate.segmenters.grabcut import GrabCutSegmenter
from figureground.annotate.studio.push import photos_to_send
from figureground.errors import DataError, UsageError
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

BOX = ProposalSettings(prompt_mode="box")
"""Photos without an annotated box get no mask from it, at once: enough to see which photos were worked on."""


def put(root: Path, *uris: str, first: int = 0) -> Path:
    for number, uri in enumerate(uris, start=first):
        (root / uri).parent.mkdir(parents=True, exist_ok=True)
        (root / uri).write_bytes(encode(draw_pixels(number), "PNG"))
    return root


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A workspace of four photos of ``dogs``, two of ``cats`` and two of ``grounds``, which are textures."""
    folder = tmp_path / "work"
    put(tmp_path / "dogs", *(f"dog/{number}.png" for number in range(4)))
    put(tmp_path / "cats", "cat/0.png", "cat/1.png", first=10)
    put(tmp_path / "grounds", "a.png", "b.png", first=20)
    with Workspace.create(folder) as store:
        for name, kind in (("dogs", None), ("cats", None), ("grounds", "textures")):
            report = index_source(store, open_source(str(tmp_path / name), kind=kind))
            assert report.added > 0
    return folder


def worked_on(store: Workspace) -> list[str]:
    """Sources of the photos that a segmenter has tried."""
    sources = {image.image_id: image.source for image in store.images()}
    return sorted(sources[run.image_id] for run in store.runs())


# propose --source, --limit


def test_a_run_takes_the_named_sources_and_leaves_the_rest_for_later(work: Path) -> None:
    with Workspace.open(work) as store:
        report = propose(store, GrabCutSegmenter(), BOX, scope=ProposalScope(sources=("cats",)))
        assert (report.images, report.left, worked_on(store)) == (2, 0, ["cats", "cats"])
        report = propose(store, GrabCutSegmenter(), BOX, scope=ProposalScope(sources=("cats", "dogs"), limit=3))
        assert (report.images, report.already_done, report.left) == (3, 2, 1)
        report = propose(store, GrabCutSegmenter(), BOX)
        assert (report.images, report.already_done, report.left) == (1, 5, 0)
        assert worked_on(store) == ["cats"] * 2 + ["dogs"] * 4


def test_progress_ends_where_the_limit_does(work: Path) -> None:
    shown = list[tuple[str, int, int]]()
    with Workspace.open(work) as store:
        scope = ProposalScope(limit=2)
        for _ in range(2):
            propose(store, GrabCutSegmenter(), BOX, scope=scope, progress=lambda *step: shown.append(step))
    assert shown == [("propose", 1, 2), ("propose", 2, 2), ("propose", 3, 4), ("propose", 4, 4)]


def test_a_limit_takes_the_same_photos_as_no_limit_first(work: Path) -> None:
    with Workspace.open(work) as store:
        propose(store, GrabCutSegmenter(), BOX, scope=ProposalScope(limit=2))
        first = sorted(run.image_id for run in store.runs())
        assert first == [image.image_id for image in photos_to_annotate(store)][:2]


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (ProposalScope(sources=("cats", "birds")), "no source is called 'birds'; there are cats, dogs, grounds"),
        (ProposalScope(limit=0), "1 photo or more, got 0"),
        (ProposalScope(limit=-1), "1 photo or more, got -1"),
    ],
)
def test_a_scope_that_cannot_be_is_refused_and_nothing_is_done(work: Path, scope: ProposalScope, message: str) -> None:
    with Workspace.open(work) as store:
        with pytest.raises(UsageError, match=message):
            propose(store, GrabCutSegmenter(), BOX, scope=scope)
        assert worked_on(store) == []


def test_the_command_says_what_it_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_tree(tmp_path, 3)
    index(tmp_path, tmp_path / "work")
    words = ("propose", "-w", tmp_path / "work", "--segmenter", "grabcut", "--prompt", "box", "--source", "drawn")
    code, out, err = run_here(capsys, *words, "--limit", "2")
    assert (code, out.splitlines()[0]) == (0, "2 masks for 2 photos, 0 done before, 1 left for later runs"), out + err
    code, out, _ = run_here(capsys, *words, "--json")
    assert (code, json.loads(out)["already_done"], json.loads(out)["left"]) == (0, 2, 0)
    code, _, err = run_here(capsys, *words, "--source", "birds")
    assert (code, "birds" in err) == (2, True)


# Textures are nobody's work


@pytest.mark.parametrize("options", [FreezeOptions(unmasked=True), FreezeOptions(unmasked=True, unreviewed=True)])
def test_a_release_of_unmasked_photos_holds_no_textures(work: Path, options: FreezeOptions) -> None:
    with Workspace.open(work) as store:
        report = freeze(store, "v1", options)
        assert (report.states, report.left_out) == ({"unmasked": 6}, {"texture": 2})
        textures = {photo.image_id for photo in list_photos(store, state="texture")}
    rows = report.path.with_suffix(".left_out.csv").read_text().splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == textures
    assert all(row.endswith(",texture") for row in rows)


def test_a_release_of_nothing_says_which_photos_are_textures(work: Path) -> None:
    with Workspace.open(work) as store, pytest.raises(DataError, match="texture 2, undecided 6"):
        freeze(store, "v1", FreezeOptions())


def test_nobody_is_asked_about_textures(work: Path) -> None:
    with Workspace.open(work) as store:
        assert sorted(photo.source for photo in photos_to_send(store, {})) == ["cats"] * 2 + ["dogs"] * 4


def test_a_workspace_of_textures_alone_has_nothing_to_send(tmp_path: Path) -> None:
    put(tmp_path / "grounds", "a.png")
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "grounds"), kind="textures"))
        with pytest.raises(UsageError, match="holds no photos"):
            photos_to_send(store, {})
