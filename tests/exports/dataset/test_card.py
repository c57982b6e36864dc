"""The card: its whole text against a golden file, and what ``datasets`` must find in its YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml
from drawn_release import CLASS_MAP, lock_of
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from figureground.build.planning.coverage import DonorUse
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError
from figureground.exports.dataset.card import SplitSize, mask_sources, render_card
from figureground.schemas.classes import ClassMap
from figureground.schemas.features import dataset_features

TWELVE = {"test": SplitSize(size=1000, rows=12)}


class Markdown(SingleFileSnapshotExtension):
    """Golden cards are readable files of their own."""

    _write_mode = WriteMode.TEXT
    file_extension = "md"


def card(changelog: Sequence[Mapping[str, object]] = (), **changes: object) -> str:
    recipe = load_recipe("imagenet9")
    features = dataset_features(ClassMap.model_validate_json(CLASS_MAP), ["round"])
    lock = lock_of(**{"recipe": "imagenet9@2", **changes})
    sizes = dict.fromkeys(recipe.variants, TWELVE)
    return render_card(recipe, lock, features=features, sizes=sizes, changelog=changelog)


def test_card_is_the_golden_one(snapshot: SnapshotAssertion) -> None:
    assert card() == snapshot(extension_class=Markdown)


def flat(text: str) -> str:
    """The text without line breaks and marks of quotation."""
    return " ".join(text.replace("\n>", "\n").split())


def test_a_selection_of_small_objects_is_called_one() -> None:
    sentence = "24.5 % of the objects (45 of 184) are left out because their box covers more than 90 % of the canvas"
    refused = {"box_too_large": 45, "mask_too_small": 6}
    text = flat(card(refused=refused, refused_total=51, objects_in_release=184))
    assert sentence in text
    assert (
        "51 of 184 objects of the release (27.7 %) were left out (box_too_large 45, 24.5 %; mask_too_small 6, 3.3 %)"
        in text
    )
    few = card(refused={"box_too_large": 9}, refused_total=9, objects_in_release=184)
    assert "selection of small objects" not in few


def test_machine_masks_are_said_to_carry_part_of_every_gap() -> None:
    text = flat(card())
    assert "they carry a part of every gap between configs that cut by them" in text
    costly = ("mixed_self", "mixed_same_m4", "mixed_same_p4", "mixed_rand_m4", "mixed_rand_p4")
    *others, last = (f"`{name}`" for name in costly)
    assert f"How much shows in {', '.join(others)} and {last}, beside the configs" in text
    assert "part of every gap" not in card(unreviewed=0, states={"accepted": 12}, segmenters=[])


def front_matter(text: str) -> Mapping[str, Any]:
    front: Mapping[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return front


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ({"sheet": 9, "lint+sheet": 3}, ["machine-generated"]),
        ({"prediction": 12}, ["machine-generated"]),
        ({"manual": 9, "sheet": 3}, ["machine-generated", "expert-generated"]),
        ({"manual+prediction": 12}, ["expert-generated"]),
        ({"unknown": 12}, ["expert-generated"]),
        ({}, ["expert-generated"]),
    ],
)
def test_a_machines_mask_that_nobody_touched_is_no_experts(tools: Mapping[str, int], words: Sequence[str]) -> None:
    text = card(unreviewed=0, states={"accepted": 12}, annotation={"answers": 12, "annotators": 1, "tools": tools})
    assert front_matter(text)["annotations_creators"] == words


@pytest.mark.parametrize(
    ("photos", "others", "masks", "licence"),
    [
        ("CC BY 4.0", "cc-by-4.0", "CC BY 4.0", "cc-by-4.0"),
        ("CC0", "CC0 1.0", "cc0-1.0", "cc0-1.0"),
        ("CC BY 4.0", "CC BY 4.0", "CC BY-SA 4.0", "other"),
        ("CC BY 4.0", "CC BY-NC 4.0", "CC BY 4.0", "other"),
        ("ours", "ours", "ours", "other"),
        ("", "", "", "other"),
    ],
)
def test_a_licence_that_all_parts_share_is_the_datasets(photos: str, others: str, masks: str, licence: str) -> None:
    recipe = load_recipe("imagenet9").model_copy(update={"licence": masks})
    terms = {name: {"photos": 6, "licence": own, "restricted": ""} for name, own in (("a", photos), ("b", others))}
    lock = lock_of(sources=terms)
    features = dataset_features(ClassMap.model_validate_json(CLASS_MAP), [])
    front = front_matter(render_card(recipe, lock, features=features, sizes=dict.fromkeys(recipe.variants, TWELVE)))
    assert front["license"] == licence
    assert ("license_name" in front) == (licence == "other")


def test_no_more_than_one_line_is_empty() -> None:
    for text in (card(), card(unreviewed=0, states={"accepted": 12}, segmenters=[])):
        assert "\n\n\n" not in text


def test_donors_are_counted() -> None:
    recipe = load_recipe("imagenet9")
    use = DonorUse(variant="mixed_rand", rows=8, own_class=7, donors=5, most_rows=3)
    features = dataset_features(ClassMap.model_validate_json(CLASS_MAP), [])
    text = render_card(recipe, lock_of(), features=features, sizes=dict.fromkeys(recipe.variants, TWELVE), donors=[use])
    assert "| `mixed_rand` | 8 | 87.5 % | 5 | 3 |" in text


def test_a_card_of_splits_and_attributes_is_the_golden_one(snapshot: SnapshotAssertion) -> None:
    recipe = load_recipe("rival10")
    features = dataset_features(ClassMap.model_validate_json(CLASS_MAP), ["round"])
    sizes = {name: dict.fromkeys(recipe.split_names, SplitSize(size=1000, rows=4)) for name in recipe.variants}
    splits = {"train": 8, "validation": 2, "test": 2}
    lock = lock_of(splits=splits, imagenet_train=7, attribute_schema="rival10", recipe="rival10@2")
    assert render_card(recipe, lock, features=features, sizes=sizes) == snapshot(extension_class=Markdown)


@pytest.mark.parametrize("name", ["imagenet_a_plus", "background_check"])
def test_cards_of_crops_and_textures_are_the_golden_ones(name: str, snapshot: SnapshotAssertion) -> None:
    recipe = load_recipe(name)
    features = dataset_features(ClassMap.model_validate_json(CLASS_MAP), [], pixels=recipe.pixels)
    sizes = dict.fromkeys(recipe.variants, TWELVE)
    textures = {"source": "wallpapers", "photos": 9, "sha256": "0"}
    lock = lock_of(recipe=f"{name}@2", **({"textures": textures} if recipe.pixels else {}))
    text = render_card(recipe, lock, features=features, sizes=sizes)
    assert text == snapshot(extension_class=Markdown)
    assert ("image (lossless PNG)" in text.replace("`", "")) == recipe.pixels


def _estimate(value: float | None, ci95: list[float] | None, *, photos: int) -> dict[str, Any]:
    reason = {} if ci95 or value is None else {"no_ci95": "too few to say"}
    return {"value": value, "ci95": ci95, "photos": photos, **reason}


def _compared(value: float, ci95: list[float] | None, *, photos: int) -> dict[str, Any]:
    return {name: _estimate(value, ci95, photos=photos) for name in ("iou", "dice", "boundary_iou")}


def test_a_release_of_an_earlier_day_still_has_its_agreement_on_the_card() -> None:
    earlier = {"photos": 7, "pairs": 9, "mean_iou": 0.95125, "least_iou": 0.81, "equal_attributes": 0.975}
    annotation = {"answers": 9, "annotators": 2, "tools": {"manual": 9}}
    text = flat(card(annotation={**annotation, "agreement": earlier}))
    assert "7 photos of the release were answered by several people independently (9 pairs): mean IoU 0.951" in text
    assert "97.5 % of their attributes are equal" in text
    assert "agreement is not known" in flat(card(annotation=annotation))


def test_masks_that_are_nobody_s_alone_are_called_so() -> None:
    agreed = {"method": "staple", "objects": 9, "people": {"3": 7, "4": 2}, "without": {"flagged": 1}}
    text = flat(card(unreviewed=0, states={"accepted": 3, "consensus": 9}, annotation={"consensus": agreed}))
    assert "| accepted from a person's answer | 3 | | consensus of several people's answers | 9 |" in text
    assert "9 masks of the release are nobody's alone but what the answers of three or more people add up to" in text
    assert "by staple (3 people: 7, 4 people: 2)" in text
    assert "(`accepted` by people, `consensus` of several people, `machine_import`, `unreviewed` or `unmasked`)" in text
    assert "onsensus" not in card()


def test_what_lint_found_and_what_was_waived_is_on_the_card() -> None:
    counts = {"severity": "warning", "checked": 9, "findings": 0, "waived": 0}
    rules = {
        "inverted": {**counts, "severity": "error", "waived": 1},
        "islands": {**counts, "findings": 3},
        "hurried": {**counts, "checked": 4},
        "empty": counts,
        "pin|holes": counts,
    }
    summary = {"objects": 9, "findings": 3, "waived": 1, "rules": rules}
    text = card(annotation={"lint": summary})
    assert "9 masks were checked by the rules of `figureground lint`: 3 findings stand, 1 were" in flat(text)
    assert (
        "| inverted | error | 9 | 0 | 1 |\n| islands | warning | 9 | 3 | 0 |\n| hurried | warning | 4 | 0 | 0 |" in text
    )
    assert "Found nothing: empty, pin\\|holes." in flat(text)
    assert "usual ones" not in text
    changed = card(annotation={"lint": {**summary, "settings": {"island_px": 4, "hurried_seconds": 1.5}}})
    assert "Thresholds other than the usual ones: island_px 4, hurried_seconds 1.5." in flat(changed)
    assert "Quality control" not in card(annotation={"answers": 9, "annotators": 2, "tools": {"manual": 9}})


def test_a_card_of_people_s_masks_and_of_a_second_version_is_the_golden_one(snapshot: SnapshotAssertion) -> None:
    annotation = {
        "answers": 21,
        "annotators": 3,
        "tools": {"manual": 6, "prediction-changed": 15},
        "seconds_median": 34.5,
        "began_from_proposals": {"answers": 15, "mean_iou": 0.9412},
        "second_looks": 2,
        "attribute_schemas": ["rival10@1"],
        "checkpoints": {"mobile-sam": "6dbb90"},
        "agreement": {
            "photos": 7,
            "pairs": 9,
            "masks": {
                "object": {**_compared(0.9512, [0.9, 0.98], photos=7), "pairs": 9, "least_iou": 0.8123},
                "te|eth": {**_compared(0.5, None, photos=1), "pairs": 1, "least_iou": 0.5},
            },
            "attributes": {
                "wet": {
                    "equal": _estimate(0.975, [0.8, 1.0], photos=6),
                    "kappa": _estimate(None, None, photos=6),
                    "alpha": _estimate(0.75, None, photos=6),
                }
            },
            "equal_attributes": _estimate(0.975, [0.8, 1.0], photos=6),
        },
    }
    terms = {"photos": 12, "licence": "<b>mine</b> | all\nof it", "restricted": "its maintainer said so"}
    changes = [
        {"version": "imagenet9@2 of v2", "follows": "imagenet9@2 of v1", "changes": ["objects changed: 2 (mask 2)"]},
        {"version": "imagenet9@2 of v3", "follows": "imagenet9@2 of v2", "changes": ["nothing changed"]},
    ]
    text = card(changelog=changes, unreviewed=0, annotation=annotation, sources={"shapes": terms})
    assert text == snapshot(extension_class=Markdown)
    assert "| &lt;b&gt;mine&lt;/b&gt; \\| all of it; **not to be passed on**: its maintainer said so |" in text
    assert "By asking for access" in yaml.safe_load(text.split("---\n")[1])["extra_gated_prompt"]
    assert text.index("### imagenet9@2 of v3") < text.index("### imagenet9@2 of v2")


POLICY = {
    "name": "ours@3",
    "sha256": "ab" * 32,
    "text": "name: ours\nversion: '3'\n# <b>no</b> | markup\n````\nstates: {take: [accepted]}\n",
    "asks": ["masks that are accepted", "of each mask of a person at least 2 voters"],
    "votes": {"2": 8, "3": 1},
    "people": {"p1": {"painted": 5, "accepted": 4}, "p2": {"painted": 4, "accepted": 6}},
    "voters_masks": {"objects": 9, "mean": 0.9412, "least": 0.9012},
    "voters_attributes": {"objects": 4, "mean": 0.875, "least": 0.5},
    "left_out": {"too_few_votes": 3},
    "coverage": {"objects": 9, "photos": 14, "least_label": "ri|ng", "least_objects": 2, "least_photos": 5},
}


def test_a_card_of_a_policy_and_of_groups_is_the_golden_one(snapshot: SnapshotAssertion) -> None:
    size = {"photos": 4, "groups": 4, "effective": 4.0}
    groups = {
        "bits": 8,
        "photos": 12,
        "groups": 9,
        "effective": 7.2,
        "classes": {"disc": size, "ring": {"photos": 5, "groups": 3, "effective": 2.3}, "bar": size},
    }
    text = card(unreviewed=0, annotation={"policy": POLICY}, effective_n=groups)
    assert text == snapshot(extension_class=Markdown)
    assert "| ring | 5 | 3 | 2.3 |" in text
    assert "    # <b>no</b> | markup" in text
    alone = {**groups, "groups": 12, "effective": 12.0}
    assert "No two photos are near-duplicates" in card(effective_n=alone)


def test_croissant_names_the_policy() -> None:
    lines = mask_sources(lock_of(annotation={"policy": POLICY})).lines
    assert lines[-1] == (
        f"review policy ours@3 (SHA-256 {'ab' * 32}): masks that are accepted; "
        "of each mask of a person at least 2 voters"
    )


@pytest.mark.parametrize("policy", [5, {}, {**POLICY, "votes": ["2"]}, {**POLICY, "asks": None}])
def test_a_stranger_s_policy_that_is_none_is_a_fault_of_the_lock(policy: Any) -> None:
    with pytest.raises(DataError, match=r"recipe\.lock\.json"):
        card(annotation={"policy": policy})


def test_reviewed_balanced_and_complete_cards_claim_nothing_else() -> None:
    text = card(unreviewed=0, balanced=True, refused_total=0, refused={})
    assert "Machine masks" not in text
    assert "not balanced" not in text
    assert "0 of 14 objects of the release (0.0 %) were left out;" in text


def test_reference_cards_do_not_warn_of_exact_rules() -> None:
    assert "are not those of the published tables" in card()
    assert "are not those of the published tables" not in card(rules="reference")


def test_features_and_configs_come_from_one_source() -> None:
    front = yaml.safe_load(card().split("---\n")[1])
    names = [entry["config_name"] for entry in front["configs"]]
    assert sorted(names) == sorted(entry["config_name"] for entry in front["dataset_info"])
    assert [entry["config_name"] for entry in front["configs"] if entry.get("default")] == ["original"]
    label = next(item for item in front["dataset_info"][0]["features"] if item["name"] == "label")
    assert list(label["dtype"]["class_label"]["names"].values()) == ["disc", "ring", "bar"]
