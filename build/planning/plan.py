"""The plan: a table with one row per output, made before any pixel is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.planning.attribute_rows import shown_attributes
from figureground.build.planning.crossing import CrossedSet, describe_crossings
from figureground.build.planning.donors import check_classes
from figureground.build.planning.near_duplicates import NearDuplicates
from figureground.build.planning.plan_rows import NONE, PlanRows
from figureground.build.planning.row_choice import RowChooser
from figureground.build.planning.seeds import HashRing
from figureground.build.planning.selection import Refusal, class_counts, refusal_counts, select_objects
from figureground.build.planning.settlement import settle
from figureground.errors import DataError, Faults, listed, shell_word
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Photo, Recipe, RuleName
from figureground.schemas.records import ObjectRecord, PhotoRef, PlanRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All rows of a build, sorted by key, and what was left out."""

    rows: Sequence[PlanRow]
    """``PlanRows`` where ``make_plan`` made it: spelled out when asked for."""
    objects: dict[str, MeasuredObject]
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
    near_duplicates: NearDuplicates | None = None
    """Near-duplicates among the objects, where the recipe divides them into splits."""
    crossed: tuple[CrossedSet, ...] = ()
    """What became of the crossed grounds of each variant and split, where there are such."""

    def lengths(self) -> list[tuple[tuple[str, str], int]]:
        """Number of rows of each variant and split, in the order of the rows."""
        if isinstance(self.rows, PlanRows):
            return [((group.variant, group.split), len(group)) for group in self.rows.groups if len(group)]
        grouped = groupby(self.rows, key=lambda row: (row.variant, row.split))
        return [(key, sum(1 for _ in rows)) for key, rows in grouped]

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
    photos = _texture_photos(recipe, textures)
    usable, refused = _usable_objects(records, recipe, rules, classes)
    policies = _policies(recipe)
    faults = Faults()
    check_classes(usable, policies, rule_set.donors, classes, faults)
    faults.raise_if_any()
    settled = settle(usable, recipe, rule_set, classes, policies)
    shown, vanished = shown_attributes(settled.objects, recipe, rule_set, attributes)
    chooser = RowChooser(
        recipe=recipe,
        rules=rule_set,
        objects=settled.objects,
        splits=settled.splits,
        pools=settled.pools,
        crossings=settled.crossings,
        textures=photos,
        texture_ring=HashRing([photo.image_id for photo in photos]),
        attributes=shown,
        draws=draws,
    )
    codes = {name: chooser.codes(name) for name in recipe.variants}
    used = dict.fromkeys(index for rows in codes.values() for index in rows["texture_index"].tolist() if index != NONE)
    return Plan(
        rows=PlanRows(list(chooser.groups(codes))),
        objects={figure.object_id: figure for figure in settled.objects},
        refusals=tuple(sorted([*refused, *settled.refusals], key=lambda refusal: refusal.object_id)),
        class_counts=class_counts(settled.objects, classes),
        splits=settled.splits,
        vanished=tuple(vanished),
        textures={photos[index].image_id: photos[index] for index in used},
        near_duplicates=settled.near_duplicates,
        crossed=tuple(describe_crossings(settled.objects, settled.crossings)),
    )


def _policies(recipe: Recipe) -> set[Photo]:
    """Where rows take donors of their own from; crossed grounds are chosen for all rows at once."""
    return {variant.donor for variant in recipe.variants.values() if variant.donor and variant.grounds is None}


def _texture_photos(recipe: Recipe, textures: Sequence[PhotoRef]) -> tuple[PhotoRef, ...]:
    """Photos to take textures from, sorted by image_id.

    Raises:
        DataError: if there are none, and the recipe takes some.
    """
    if any(variant.texture == "photos" for variant in recipe.variants.values()) and not textures:
        raise DataError.single(
            "workspace",
            recipe.textures or "",
            expected="photos of this source, to take textures from",
            got="none",
            remedy=f"index them: figureground index FOLDER -w WORKSPACE --name {shell_word(recipe.textures)}",
        )
    by_id = {texture.image_id: texture for texture in sorted(textures, key=lambda texture: texture.image_id)}
    return tuple(by_id.values())


def _usable_objects(
    records: Sequence[ObjectRecord], recipe: Recipe, rules: RuleName, classes: ClassMap
) -> tuple[list[MeasuredObject], list[Refusal]]:
    """Objects that pass every filter, and the others.

    Raises:
        DataError: if none passes.
    """
    usable, refused = select_objects(records, recipe, recipe.rules[rules], classes)
    if not usable:
        raise DataError.single(
            "release",
            "",
            expected="objects that the recipe can use",
            got=f"{len(refused)} refused, 0 left",
            remedy=refusal_counts(refused) + _ask_for_a_map(refused, classes),
        )
    return usable, refused


def _ask_for_a_map(refused: Sequence[Refusal], classes: ClassMap) -> str:
    """What to give where no class has the objects' labels; empty where all have one."""
    labels = {refusal.label for refusal in refused if refusal.reason == "unmapped_class"}
    if not labels:
        return ""
    whose = f"no class of {classes.name} has the labels {listed(sorted(labels))}"
    return f"; {whose}: give yours with --class-map FILE.csv, of the columns label, class and imagenet_index"
