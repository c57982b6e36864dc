"""The plan: a table with one row per output, made in seconds before any pixel is touched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.build.donors import DonorPool, check_classes
from figureground.build.row_params import crop_of, photo_params
from figureground.build.seeds import derive_seed, hash_order
from figureground.build.selection import Candidate, Refusal, balance_classes, class_counts, select_candidates
from figureground.build.splits import assign_splits
from figureground.build.textures import choose_family
from figureground.build.views import view_matte
from figureground.errors import DataError, Faults
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.files import replace_file
from figureground.schemas.masks import decode_coco_rle
from figureground.schemas.recipes import Photo, Recipe, RuleName, RuleSet, Variant
from figureground.schemas.records import ObjectRecord, PhotoRef, canonical_json


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One output: everything that rendering needs besides the photos and masks themselves."""

    variant: str
    object_id: str
    """Whose figure and label."""
    draw: int
    """0, the number of the repeated donor draw, or that of the instance where each has a row."""
    split: str
    """Split that the row is published under."""
    attribute: str
    """Attribute that the row is about; empty in variants that are about whole photos."""
    label: int
    """Class index of the photo that the row is labelled by."""
    seed: int
    """64-bit seed of the row."""
    ground_id: str
    """Object whose ground is used; empty where it is the row's own."""
    ground_label: int
    """Class index of the donor; -1 without one."""
    texture_id: str
    """Photo that is the texture; empty without one."""
    params: str
    """Canonical JSON: stored→canvas affine, box, strip and flags of figure and ground."""

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What a row is sorted and found by."""
        return self.variant, self.split, self.object_id, self.attribute, self.draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All rows of a build, sorted by key, and what was left out."""

    rows: tuple[PlanRow, ...]
    candidates: dict[str, Candidate]
    """Objects that take part, by object_id."""
    refusals: tuple[Refusal, ...]
    """Objects that do not, sorted by object_id."""
    class_counts: dict[str, int]
    """Objects per class."""
    splits: dict[str, str]
    """Object id to split."""
    vanished: tuple[Refusal, ...]
    """Attributes that have no pixel left on the canvas, and so no rows; their objects take part."""
    textures: dict[str, PhotoRef]
    """Photos that rows take as their texture, by image_id."""

    @property
    def balanced(self) -> bool:
        """Whether every class that has objects has equally many."""
        return len({count for count in self.class_counts.values() if count}) <= 1


def make_plan(
    records: Sequence[ObjectRecord],
    recipe: Recipe,
    classes: ClassMap,
    *,
    attributes: AttributeSchema | None = None,
    textures: Sequence[PhotoRef] = (),
    rules: RuleName = "exact",
    draws: int = 1,
) -> Plan:
    """Plan every row of ``recipe`` over the objects of a release.

    Args:
        records: Objects of the release.
        recipe: The recipe.
        classes: Its class map.
        attributes: Its attribute schema: its local attributes have rows of their own. Without one, all that
            have masks.
        textures: Photos of the source that the recipe takes textures from.
        rules: Which of the recipe's rule sets to follow.
        draws: How many donors each row of a donor variant is given, one row per draw.

    Raises:
        DataError: if nothing is left to plan, a class can have no donor, or there are no textures to draw from.
    """
    rule_set = recipe.rules[rules]
    offered = {texture.image_id: texture for texture in sorted(textures, key=lambda each: each.image_id)}
    if any(variant.texture == "photos" for variant in recipe.variants.values()) and not offered:
        raise DataError.single(
            "workspace", recipe.textures or "", expected="photos of this source, to take textures from", got="none",
            remedy=f"index them: figureground index FOLDER --name {recipe.textures} -w WORKSPACE",
        )  # fmt: skip
    usable, refusals = select_candidates(records, recipe, rule_set, classes)
    if not usable:
        raise DataError.single(
            "release", "", expected="objects that the recipe can use", got=f"{len(refusals)} refused, 0 left",
            remedy=_reasons(refusals),
        )  # fmt: skip
    policies = {variant.donor for variant in recipe.variants.values() if variant.donor}
    faults = Faults()
    check_classes(usable, policies, rule_set.donors, classes, faults)
    faults.raise_if_any()
    kept, splits, dropped = _settle(usable, recipe, rule_set, classes, policies)
    pools = _pools(kept, splits, rule_set, classes)
    vanished: list[Refusal] = []
    parts = {each.object_id: _attributes(each, recipe, rule_set, attributes, vanished) for each in kept}
    rows = [
        _row(recipe, rule_set, name, figure, Turn(splits[figure.object_id], attribute, draw), pools, offered)
        for name, variant in recipe.variants.items()
        for figure in kept
        for attribute in (parts[figure.object_id] if variant.per_attribute else [""])
        for draw in range(draws if variant.donor else _instances(variant, rule_set, figure))
    ]
    return Plan(
        rows=tuple(sorted(rows, key=lambda row: row.key)),
        candidates={candidate.object_id: candidate for candidate in kept},
        refusals=tuple(sorted([*refusals, *dropped], key=lambda refusal: refusal.object_id)),
        class_counts=dict(class_counts(kept, classes)),
        splits=splits,
        vanished=tuple(vanished),
        textures={row.texture_id: offered[row.texture_id] for row in rows if row.texture_id},
    )


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan as Parquet, sorted by key; equal plans, equal bytes."""
    schema = pa.schema(
        [
            ("variant", pa.string()), ("split", pa.string()), ("object_id", pa.string()), ("attribute", pa.string()),
            ("draw", pa.int32()), ("label", pa.int32()),
            ("seed", pa.uint64()), ("ground_id", pa.string()), ("ground_label", pa.int32()),
            ("texture_id", pa.string()), ("params", pa.string()),
        ]
    )  # fmt: skip
    columns = {name: [getattr(row, name) for row in plan.rows] for name in schema.names}
    with replace_file(path) as temporary:
        pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")


def _instances(variant: Variant, rules: RuleSet, figure: Candidate) -> int:
    """Rows of one object: one, or one for each of its instances."""
    window = rules.views[variant.layers[0].view].window
    return len(figure.crops[variant.layers[0].view]) if window is not None and window.take == "each" else 1


def read_plan(path: Path) -> tuple[PlanRow, ...]:
    """Read the rows that ``write_plan`` wrote.

    Raises:
        DataError: if it is no plan.
    """
    try:
        return tuple(PlanRow(**row) for row in pq.read_table(path).to_pylist())
    except (pa.ArrowException, OSError, TypeError) as error:
        raise DataError.single(str(path), "", expected="a plan (Parquet)", got=str(error)) from error


class Turn(NamedTuple):
    """Which of an object's rows in a variant."""

    split: str
    attribute: str
    draw: int
    """Of its donor, or of its instances where each has a row."""


def _settle(
    usable: list[Candidate], recipe: Recipe, rules: RuleSet, classes: ClassMap, policies: set[Photo]
) -> tuple[list[Candidate], dict[str, str], list[Refusal]]:
    """Balance, divide, and refuse whoever is left without a donor, until all hold: a refusal may cost others theirs."""
    stranded: list[Refusal] = []
    while usable:
        kept, unbalanced = balance_classes(usable, recipe.balance, seed=recipe.seed)
        splits = assign_splits([candidate.record for candidate in kept], recipe)
        pools = _pools(kept, splits, rules, classes)
        lonely = {
            candidate.object_id: policy
            for candidate in kept
            for policy in sorted(policies)
            if not pools[splits[candidate.object_id]].has_donor(candidate, policy)
        }
        if not lonely:
            return kept, splits, [*stranded, *unbalanced]
        stranded += [
            Refusal(object_id=each.object_id, label=each.record.label, reason="no_donor", detail=lonely[each.object_id])
            for each in usable
            if each.object_id in lonely
        ]
        usable = [each for each in usable if each.object_id not in lonely]
    raise DataError.single(
        "release", "", expected="photos that can lend each other a ground", got="none left", remedy=_reasons(stranded)
    )


def _pools(
    candidates: Sequence[Candidate], splits: Mapping[str, str], rules: RuleSet, classes: ClassMap
) -> dict[str, DonorPool]:
    """Donors of each split: no pixel of a training photo reaches the test split."""
    members: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        members[splits[candidate.object_id]].append(candidate)
    return {split: DonorPool(found, rules.donors, classes) for split, found in members.items()}


def _attributes(
    figure: Candidate, recipe: Recipe, rules: RuleSet, schema: AttributeSchema | None, vanished: list[Refusal]
) -> list[str]:
    """Local attributes that leave a pixel on every canvas on which the recipe paints them."""
    views = {layer.view for variant in recipe.variants.values() if variant.per_attribute for layer in variant.layers}
    local = schema.names("local") if schema and schema.attributes else tuple(figure.record.attribute_masks)
    found = []
    for name in sorted(set(local) & set(figure.record.attribute_masks)) if views else []:
        rle = figure.record.attribute_masks[name]
        mask = decode_coco_rle(rle, size_hw=figure.record.size_hw, record=figure.object_id)
        frames = {view: crop.frame if (crop := crop_of(figure, view, 0)) else None for view in views}
        if all(view_matte(mask, rules.views[view], frame).any() for view, frame in frames.items()):
            found.append(name)
        else:
            label = figure.record.label
            vanished.append(Refusal(object_id=figure.object_id, label=label, reason="attribute_vanishes", detail=name))
    return found


def _row(
    recipe: Recipe, rules: RuleSet, name: str, figure: Candidate, turn: Turn, pools: Mapping[str, DonorPool],
    textures: Mapping[str, PhotoRef],
) -> PlanRow:  # fmt: skip
    variant = recipe.variants[name]
    stream = f"{name}/{turn.attribute}" if turn.attribute else name
    seed = derive_seed(recipe.seed, stream, figure.object_id, turn.draw)
    donor = pools[turn.split].choose(figure, variant.donor, seed) if variant.donor else None
    params: dict[str, Any] = {"figure": photo_params(rules, variant, figure, turn.draw, of_self=True)}
    if donor is not None:
        params["ground"] = photo_params(rules, variant, donor, turn.draw, of_self=False)
    texture_id = ""
    if variant.texture == "photos":
        texture_id = min(textures, key=lambda image_id: hash_order(seed, image_id))
        params["texture"] = {"image_id": texture_id, "sha256": textures[texture_id].sha256}
    elif variant.texture is not None:
        params["texture"] = {"family": choose_family(variant.texture, seed)}
    if turn.attribute:
        params["attribute"] = turn.attribute
    if donor is not None and variant.swaps_attribute:
        params |= {"pos_id": figure.record.image_id, "pos_label": figure.label, "neg_id": donor.record.image_id}
        params |= {"neg_label": donor.label, "changed_attrs": [turn.attribute]}
    labelled = donor if donor is not None and variant.labels == "donor" else figure
    return PlanRow(
        variant=name,
        object_id=figure.object_id,
        draw=turn.draw,
        split=turn.split,
        attribute=turn.attribute,
        label=labelled.label,
        seed=seed,
        ground_id=donor.object_id if donor else "",
        ground_label=donor.label if donor else -1,
        texture_id=texture_id,
        params=canonical_json(params),
    )


def _reasons(refusals: Sequence[Refusal]) -> str:
    counts: dict[str, int] = {}
    for refusal in refusals:
        counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
    return "reasons: " + ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
