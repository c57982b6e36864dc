"""Reports of the protocols imagenet_a and background_check: relations over models, plots, and timm's published file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import rankdata  # type: ignore[import-untyped]  # ships no annotations

from figureground.errors import DataError, UsageError
from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.label_spaces import parse_class_map
from figureground.exports.evaluation.protocols.background_check import summarise_background_check
from figureground.exports.evaluation.protocols.imagenet_a import CroppedFigure, MaskedAnswers, summarise_imagenet_a
from figureground.exports.evaluation.shares import RowAnswers
from figureground.exports.report.background import rank_correlation, relate
from figureground.exports.report.crops import MARGINS, SHOWN, box_slices, crop_accuracies
from figureground.exports.report.groups import group_results
from figureground.exports.report.stored_results import read_results
from figureground.exports.report.timm_table import compare_published, describe_published, read_published

pytest.importorskip("matplotlib")

IMAGES = 120
CLASSES = parse_class_map(
    json.dumps(
        {
            "name": "toy",
            "classes": [
                {"index": index, "name": name, "wnids": [f"n{index}"], "imagenet_indices": [index]}
                for index, name in enumerate(("zebra", "ant", "mug"))
            ],
        }
    )
)
SAMPLING = Sampling(count=100)
GROUND_CONFIGS = {
    "original": 0.0,
    "bg_influence_white": -0.5,
    "bg_influence_blur": -0.3,
    "bg_invariance_black": -0.2,
    "bg_invariance_texture_noise": -0.25,
    "bg_invariance_texture_stripes": -0.15,
    "silhouette": -0.6,
}
CROP_CONFIGS = {
    "original": 0.0,
    "five_crop": 0.02,
    "center_zoom": 0.05,
    "plus": 0.2,
    "plus_m00": 0.12,
    "plus_m10": 0.14,
    "plus_m25": 0.15,
    "plus_m50": 0.08,
    "plus_masked": 0.1,
    "bg_only": -0.3,
}
FORMATS = ("png", "pdf")
PUBLISHED = "model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation,top1_diff\n"


def draw_answers(share: float, seed: int) -> dict[str, Any]:
    """Right on about so many of the images, which are the same in every config."""
    generator = np.random.default_rng(seed)
    right = generator.random(IMAGES) < np.clip(share, 0, 1)
    return {
        "image_id": np.array([f"id{row:03}" for row in range(IMAGES)]),
        "label": np.arange(IMAGES) % 3,
        "right": right,
    }


def write_result(folder: Path, protocol: str, model: str, share: float, **more: Any) -> Path:
    """A result as evaluate writes it, of a model that gets about so much of original right."""
    seed = sum(map(ord, model))
    if protocol == "background_check":
        grounds = {
            config: RowAnswers(**draw_answers(share + lost, seed + number))
            for number, (config, lost) in enumerate(GROUND_CONFIGS.items())
        }
        spaces = {"map3": summarise_background_check(grounds, CLASSES, "map3", SAMPLING)}
    else:
        crops = {
            config: MaskedAnswers(
                **(rows := draw_answers(share + won, seed + number)),
                top5=rows["right"],
                confidence=np.full(IMAGES, 0.5),
            )
            for number, (config, won) in enumerate(CROP_CONFIGS.items())
        }
        figures = {
            name: CroppedFigure(box_share=(row + 1) / 200, instances=1 + row % 2, traits={"flag low_res": row % 5 == 0})
            for row, name in enumerate(crops["plus"].image_id)
        }
        space = more.pop("space", "imagenet_a200")
        spaces = {space: summarise_imagenet_a(crops, figures, CLASSES, space, SAMPLING)}
    result = {
        "model": model,
        "protocol": protocol,
        "split": "test",
        "feed": "canvas",
        "label_spaces": spaces,
        "dataset": {"name": "toy", "fingerprint": "f", "revision": None, "split": "test"},
        "parameters": seed * 20_000,
        "transform": {"size_hw": [224, 224], "crop_pct": 0.875},
        **more,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{protocol}.{model.replace(':', '-')}.json"
    path.write_text(json.dumps(result, sort_keys=True))
    return path


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    for model, share in (("timm:small", 0.4), ("timm:middle", 0.55), ("other", 0.7)):
        for protocol in ("background_check", "imagenet_a"):
            write_result(tmp_path / "scores", protocol, model, share)
    return tmp_path / "scores"


def test_relations_hold_the_accuracies_of_every_model(scores: Path) -> None:
    (group,) = group_results(read_results([scores]), "background_check")
    relations = relate(group)
    assert [(relation.config, relation.measures) for relation in relations] == [
        ("bg_influence_blur", "influence"),
        ("bg_influence_white", "influence"),
        ("bg_invariance_black", "invariance"),
        ("bg_invariance_texture*", "invariance"),
        ("bg_invariance_texture_noise", "invariance"),
        ("bg_invariance_texture_stripes", "invariance"),
    ]
    for relation in relations:
        assert len(relation.points) == 3
        assert relation.undecidable
        for member in group.members:
            (point,) = (candidate for candidate in relation.points if candidate.model == member.model)
            configs = member.summary["configs"]
            assert point.accuracy == configs["original"]["accuracy_macro"]
            assert point.measured == configs[relation.config]["accuracy_macro"]
            assert list(point.measured_ci95 or ()) == configs[relation.config]["ci95"]
            assert point.parameters == member.parameters
    pooled, noise, stripes = (
        next(relation for relation in relations if relation.config.endswith(end)).points[0].measured
        for end in ("texture*", "noise", "stripes")
    )
    assert pooled == pytest.approx((noise + stripes) / 2)


def test_rank_correlation_is_pearsons_of_ranks() -> None:
    first, second = [0.1, 0.5, 0.5, 0.9, 0.2], [0.3, 0.2, 0.8, 0.9, 0.1]
    wanted = np.corrcoef(rankdata(first), rankdata(second))[0, 1]
    assert rank_correlation(first, second) == pytest.approx(wanted)
    assert rank_correlation([1, 2, 3], [10, 20, 25]) == pytest.approx(1)
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 2, 3], [0.5] * 3) is None


def test_enough_models_decide(tmp_path: Path) -> None:
    for number in range(10):
        write_result(tmp_path, "background_check", f"m{number}", 0.3 + 0.05 * number)
    (group,) = group_results(read_results([tmp_path]), "background_check")
    white = next(relation for relation in relate(group) if relation.config == "bg_influence_white")
    assert not white.undecidable
    assert (white.spearman or 0) > 0.8
    assert not any(relation.undecidable for relation in relate(group))


def test_crops_are_told_by_config_margin_and_box(scores: Path) -> None:
    (group,) = group_results(read_results([scores]), "imagenet_a")
    member = group.members[0]
    assert [entry.config for entry in crop_accuracies(member, SHOWN)] == list(SHOWN)
    assert [entry.config for entry in crop_accuracies(member, list(MARGINS))] == list(MARGINS)
    slices = box_slices(member)
    assert set(slices) == {"plus_minus_original", "plus_minus_center_zoom"}
    assert [entry.n for entry in slices["plus_minus_original"]] == [30] * 4
    mean = np.mean([entry.value for entry in slices["plus_minus_original"]])
    assert mean == pytest.approx(member.summary["differences"]["plus_minus_original"]["micro"]["value"])


def test_the_report_is_written_and_the_same_again(scores: Path, tmp_path: Path) -> None:
    from figureground.exports.report.report import write_report

    table = tmp_path / "published.csv"
    table.write_text(PUBLISHED + "small,41.5,58.5,80,20,5.3,224,0.875,bicubic,-30\n")
    written = [write_report([scores], tmp_path / name, published=table, vector="pdf") for name in ("a", "b")]
    assert written[0] == written[1]
    of_tables = [name for name in written[0] if ".accuracies." in name or ".differences." in name]
    for protocol in ("imagenet_a", "background_check"):
        for ending in FORMATS:
            assert [name for name in of_tables if name.startswith(protocol) and name.endswith(f".accuracies.{ending}")]
    assert [name for name in written[0] if name not in of_tables] == [
        "report.txt",
        *("tables.csv", "tables.md", "tables.tex"),
        *(f"imagenet_a.imagenet_a200.{name}.{end}" for name in ("arms", "margins", "box_share") for end in FORMATS),
        *(f"background_check.map3.{name}.{end}" for name in ("influence", "invariance") for end in FORMATS),
        "published.csv",
        "report.json",
        "report.html",
    ]
    for name in written[0]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        if name.endswith(".png"):
            with Image.open(tmp_path / "a" / name) as picture:
                assert np.asarray(picture.convert("L")).std() > 5
    sections = {section["protocol"]: section for section in json.loads((tmp_path / "a" / "report.json").read_text())}
    assert set(sections) == {"imagenet_a", "background_check"}
    assert set(sections["imagenet_a"]["models"]) == {"timm:small", "timm:middle", "other"}
    assert len(sections["background_check"]["relations"]) == 6
    text = (tmp_path / "a" / "report.txt").read_text()
    assert "bg_influence_white: +" in text or "bg_influence_white: -" in text
    assert "(models: 3; undecidable below 10)" in text
    assert "120 of 7500 images" in text


def test_a_model_with_two_results_is_refused(scores: Path) -> None:
    write_result(scores / "more", "imagenet_a", "other", 0.1)
    with pytest.raises(UsageError, match="several results of other on toy"):
        group_results(read_results([scores, scores / "more"]), "imagenet_a")


def test_results_that_do_not_compare_stand_apart(scores: Path) -> None:
    write_result(scores, "imagenet_a", "fed-otherwise", 0.5, feed="reference")
    write_result(scores, "imagenet_a", "head", 0.5, space="masked3")
    groups = group_results(read_results([scores]), "imagenet_a")
    assert {(group.space, group.feed): len(group.members) for group in groups} == {
        ("imagenet_a200", "canvas"): 3,
        ("imagenet_a200", "reference"): 1,
        ("masked3", "canvas"): 1,
    }


# timm's published file


def test_ours_stand_beside_the_published(tmp_path: Path) -> None:
    table = tmp_path / "results-imagenet-a.csv"
    table.write_text(
        PUBLISHED
        + 'huge,88.2,11.8,97,3,"1,014.45",560,1.000,bicubic,-10\n'
        + "small,40.0,60.0,80,20,5.3,224,0.875,bicubic,-30\n"
        + "middle,53.0,47.0,80,20,5.3,288,0.875,bicubic,-30\n"
        + "middle,50.0,50.0,80,20,5.3,256,0.900,bicubic,-30\n"
        + "small,43.0,57.0,80,20,5.3,288,1.000,bicubic,-30\n"
        + "small,42.0,58.0,80,20,5.3,224,0.950,bicubic,-30\n"
    )
    for model, share in (("small", 0.4), ("middle", 0.55), ("unheard", 0.5), ("small=mine", 0.9)):
        write_result(tmp_path / "scores", "imagenet_a", f"timm:{model}", share)
    write_result(tmp_path / "scores", "imagenet_a", "onnx:small", 0.2)
    write_result(tmp_path / "scores", "imagenet_a", "timm:huge", 0.2, space="masked3")
    results = read_results([tmp_path / "scores"])
    rows = {row.model: row for row in compare_published(results, read_published(table))}
    assert set(rows) == {"small", "middle", "unheard", "huge"}  # not those with other weights
    small = rows["small"]
    scored = next(result for result in results if result["model"] == "timm:small")["label_spaces"]["imagenet_a200"]
    ours = 100 * scored["configs"]["original"]["accuracy_micro"]
    assert small.ours == pytest.approx(ours, abs=1e-3)
    assert small.published == 40
    assert small.difference == pytest.approx(ours - 40, abs=1e-3)
    low, high = scored["configs"]["original"]["ci95_micro"]
    assert small.published_in_interval == (100 * low <= 40 <= 100 * high)
    assert (small.fed_alike, small.missing) == (True, "120 of 7500 images")
    middle = rows["middle"]
    assert (middle.fed_alike, middle.published_img_size, middle.published_crop_pct) == (False, 256, 0.9)
    assert rows["unheard"].missing == "not in the published file; 120 of 7500 images"
    assert (rows["unheard"].difference, rows["unheard"].fed_alike) == (None, None)
    assert rows["huge"].missing == "not scored in the label space imagenet_a200"
    text = describe_published(list(rows.values()))
    assert "no: 224 px, 0.875 against 256 px, 0.9" in text


def test_the_csv_has_a_row_a_model(scores: Path, tmp_path: Path) -> None:
    from figureground.exports.report.report import write_report

    table = tmp_path / "published.csv"
    table.write_text(PUBLISHED)
    write_report([scores], tmp_path / "out", published=table)
    with (tmp_path / "out" / "published.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["middle", "small"]
    assert all(row["published"] == "" and "not in the published file" in row["missing"] for row in rows)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (
            "model,top1,top5\na,1,2\n",
            ["expected the columns model, top1, top5, img_size, crop_pct", "got model, top1, top5; take results"],
        ),
        ("", ["got an empty file; take results"]),
        (
            PUBLISHED + "a,one,0,2,0,1,224,0.9,bicubic,0\nb,1\n,1,0,2,0,1,224,0.9,bicubic,0\n",
            ["line 2: expected numbers but for the model, got model 'a', top1 'one'", "line 3", "line 4"],
        ),
        (PUBLISHED + "a,101,0,2,0,1,224,0.9,bicubic,0\na,1,0,2,0,1,224,nan,bicubic,0\n", ["line 2", "line 3"]),
        (
            PUBLISHED + "a,1,0,2,0,1,224,0.9,bicubic,0\n" * 2,
            ["line 3: expected each model, size and crop once, got a, 224 px, 0.9 again"],
        ),
    ],
)
def test_a_faulty_published_file_is_told_whole(tmp_path: Path, text: str, reasons: list[str]) -> None:
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_published(tmp_path / "odd.csv")
    for reason in reasons:
        assert reason in str(caught.value)


def test_a_published_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_published(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="expected UTF-8 text"):
        read_published(tmp_path / "binary.csv")
