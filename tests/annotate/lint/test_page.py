"""The page of findings: the very masks, in one file that loads nothing."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from lint_samples import FIGURES, accept_masks, make_photos, with_squares
from PIL import Image

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.lint.checking import LintOptions, lint_release, lint_workspace
from figureground.schemas.store.workspace import Workspace

SPECKS = with_squares(FIGURES["plain"], [(5, 5)], 3, True)
PICTURE = re.compile(r'<img class="(\w+)" alt="[^"]*" src="data:image/png;base64,([^"]+)"')


@pytest.fixture
def work(tmp_path: Path) -> Path:
    workspace = make_photos(tmp_path)
    accept_masks(workspace, {"plain": {"object": SPECKS}, "mirrored": {"object": ~FIGURES["mirrored"]}})
    return workspace


def test_a_page_shows_photo_mask_and_what_is_wrong(work: Path, tmp_path: Path) -> None:
    page = tmp_path / "found.html"
    with Workspace.open(work) as store:
        lint_workspace(store, LintOptions(page=page, rules=("islands",)))
        first = page.read_bytes()
        lint_workspace(store, LintOptions(page=page, rules=("islands",)))
    assert page.read_bytes() == first
    text = page.read_text()
    shown = {
        name: np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))[..., 3] == 255
        for name, data in PICTURE.findall(text)
    }
    assert np.array_equal(shown["mask"], SPECKS)
    assert np.array_equal(shown["marked"], SPECKS & ~FIGURES["plain"])
    assert text.count('alt="the photo"') == 1
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text) == []
    assert "{{" not in text


def test_waived_findings_say_who_and_why_and_names_are_no_markup(work: Path, tmp_path: Path) -> None:
    page = tmp_path / "found.html"
    with Workspace.open(work) as store:
        (image,) = [image for image in store.images() if image.uri == "dog/plain.png"]
        (work / "lint_waivers.yaml").write_text(
            f"waivers: [{{rule: islands, object: {image.image_id}, who: Ada, why: <b>fleas</b>}}]"
        )
        lint_workspace(store, LintOptions(page=page))
    text = page.read_text()
    assert "waived by Ada: &lt;b&gt;fleas&lt;/b&gt;" in text
    assert '<h2 id="inverted">inverted (1)</h2>' in text
    assert text.index('id="inverted"') < text.index('id="islands"')


def test_without_photos_the_masks_are_shown_alone(work: Path, tmp_path: Path) -> None:
    page, release = tmp_path / "found.html", tmp_path / "v1.parquet"
    with Workspace.open(work) as store:
        release.write_bytes(freeze(store, "v1", FreezeOptions()).path.read_bytes())
    lint_release(release, None, LintOptions(page=page))
    text = page.read_text()
    assert 'alt="the photo"' not in text
    assert text.count('alt="its mask"') == 3
