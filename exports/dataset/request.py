"""From a recipe's name and a workspace to a dataset: what ``figureground build`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from figureground.build.recipes.loading import load_recipe, shipped_recipes
from figureground.errors import DataError, UsageError, listed, shell_word
from figureground.exports.dataset.building import BuildReport, build_dataset
from figureground.exports.dataset.files import CONTACT_SHEET
from figureground.exports.dataset.inputs import BuildRequest, Design, FrozenObjects, History, Machines, PhotoPlaces
from figureground.runtime.files import file_ending, file_sha256, files_in
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import Attribute, AttributeSchema, load_attribute_schema
from figureground.schemas.classes import load_class_map
from figureground.schemas.documents import check_split_name, check_unlike
from figureground.schemas.recipes import Balance, Recipe, RuleName, RuleSet, SplitBy, Splits, Variant
from figureground.schemas.records import ObjectRecord, PhotoRef
from figureground.schemas.store.releases import read_annotation, read_left_out, read_release
from figureground.schemas.store.workspace import Workspace

_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How a recipe is used; what is None stays as the recipe says."""

    rules: RuleName = "exact"
    """Rule set of the recipe."""
    per_class: str | None = None
    """Objects of each class: a number, ``smallest`` or ``all``."""
    variants: Sequence[str] | None = None
    """Names of the recipe's variants that are built, and no others."""
    splits: Mapping[str, float] | None = None
    """Split to share of the photos of every source class, chosen by the recipe's seed; shares add up to 1."""
    split_by: SplitBy | None = None
    """Whether photos are divided by the recipe's seed or as their source divides them."""
    waive_near_duplicates: str | None = None
    """Why near-duplicates may stand in two splits, for the card; without a reason they stop a build."""
    draws: int = 1
    """Donors of each row of a donor variant."""
    pixels: bool | None = None
    """Whether rows hold their images."""
    licence: str | None = None
    """Licence of masks, attributes and parameters."""
    class_map: str | None = None
    """A shipped class map's name, or a .json or .csv file."""
    attributes: str | None = None
    """A shipped attribute schema's name, or a .yaml file."""
    max_box_share: float | None = None
    """Largest share of the canvas that the object's box may cover, up to 1, which refuses none."""


def build(
    recipe: Recipe | str | Path,
    workspace: str | Path,
    out: str | Path,
    *,
    release: str | None = None,
    options: BuildOptions | None = None,
    earlier: Path | None = None,
    machines: Machines | None = None,
    progress: Progress = lambda *_: None,
) -> BuildReport:
    """Build a dataset repository; killed and called again, it goes on where it was.

    Args:
        recipe: A recipe, a shipped recipe's name, or a YAML file.
        workspace: Folder of the workspace, which knows where the photos lie.
        out: Folder to make; may hold this very build already.
        release: Frozen version; None where there is only one.
        options: How the recipe is used; None to use it as it is, under the rules ``exact``.
        earlier: Dataset repository that the new one is the next version of.
        machines: Where the work runs; None for all processors of this machine.
        progress: Called with (stage, done, total).

    Returns:
        Rows, objects and splits, and what was left out with the reason.

    Raises:
        UsageError: for anything that does not exist, or an ``out`` that holds something else.
        DataError: with every fault in the recipe, the class map, the release or the photos.

    Example:
        >>> figureground.build("imagenet9", "work", "in9", release="v1").rows
        150
    """
    request = prepare_request(
        recipe, Path(workspace), release=release, options=options, earlier=earlier, machines=machines
    )
    return build_dataset(request, Path(out), progress=progress)


def describe_recipes() -> dict[str, str]:
    """Shipped recipes by name, with what each is."""
    return {name: load_recipe(name).description for name in shipped_recipes()}


def prepare_request(
    recipe: Recipe | str | Path,
    workspace: Path,
    *,
    release: str | None = None,
    options: BuildOptions | None = None,
    earlier: Path | None = None,
    machines: Machines | None = None,
) -> BuildRequest:
    """Gather what a build reads. Arguments and errors are those of ``build``."""
    options = options or BuildOptions()
    named = "RECIPE" if isinstance(recipe, Recipe) else shell_word(recipe)
    recipe = _adapt(recipe if isinstance(recipe, Recipe) else load_recipe(str(recipe)), options)
    attributes = load_attribute_schema(recipe.attributes)
    objects = _read_objects(_release_path(workspace, release, named), attributes)
    return BuildRequest(
        design=Design(
            recipe=recipe,
            classes=load_class_map(recipe.class_map),
            attributes=attributes,
            rules=options.rules,
            draws=options.draws,
        ),
        release=objects,
        photos=_read_places(workspace, recipe),
        history=History(earlier=earlier),
        machines=machines or Machines(),
    )


def _adapt(recipe: Recipe, options: BuildOptions) -> Recipe:
    """The recipe with what the options change."""
    if options.rules not in recipe.rules:
        raise UsageError(f"{recipe.name} has no rules {options.rules!r}; it has {', '.join(sorted(recipe.rules))}")
    if options.draws < 1:
        raise UsageError(f"--draws {options.draws}: give a number above 0")
    changes: dict[str, object] = {
        name: value
        for name in ("pixels", "licence", "class_map", "attributes")
        if (value := getattr(options, name)) is not None
    }
    if options.max_box_share is not None:
        changes["rules"] = _limit_boxes(recipe, options.rules, options.max_box_share)
    if options.per_class is not None:
        changes["balance"] = _balance(recipe, options.per_class)
    if options.variants is not None:
        changes["variants"] = _choose_variants(recipe, options.variants)
    if options.splits is not None:
        changes["splits"] = _make_splits(options.splits)
        recipe = recipe.model_copy(update={"splits": changes["splits"]})
    division = {
        key: value
        for key, value in (("by", options.split_by), ("waive_near_duplicates", options.waive_near_duplicates))
        if value is not None
    }
    if division:
        if recipe.splits is None:
            raise UsageError(f"{recipe.name} puts all photos into {recipe.split}: there is nothing to divide")
        reason = options.waive_near_duplicates
        if reason is not None and not 0 < len(reason.strip()) <= _LONGEST_REASON:
            raise UsageError(f"--waive-near-duplicates: give a reason of at most {_LONGEST_REASON} characters")
        changes["splits"] = recipe.splits.model_copy(update=division)
    return recipe.model_copy(update=changes)


def _limit_boxes(recipe: Recipe, rules: RuleName, share: float) -> dict[RuleName, RuleSet]:
    """The recipe's rules with another largest share of the canvas that a box may cover."""
    if not 0 < share <= 1:
        raise UsageError(f"--max-box-share {share:g}: give a share above 0, up to 1")
    rule_set = recipe.rules[rules]
    filters = rule_set.filters.model_copy(update={"max_box_share": share})
    return {**recipe.rules, rules: rule_set.model_copy(update={"filters": filters})}


def _choose_variants(recipe: Recipe, names: Sequence[str]) -> dict[str, Variant]:
    """The variants of these names, in the recipe's order.

    Raises:
        UsageError: with every name that is no variant's, and every one that needs another which is left out.
    """
    faults = [f"no variant {name!r}" for name in dict.fromkeys(names) if name not in recipe.variants]
    chosen = {name: variant for name, variant in recipe.variants.items() if name in names}
    faults += [
        f"{name} takes the donors of {variant.donors_from}, which is left out"
        for name, variant in chosen.items()
        if variant.donors_from is not None and variant.donors_from not in chosen
    ]
    if faults or not chosen:
        raise UsageError(
            f"--variants: {'; '.join(faults) or 'no name'}; {recipe.name} has {', '.join(recipe.variants)}"
        )
    return chosen


def parse_splits(text: str) -> dict[str, float]:
    """Split to share from ``train=0.7,validation=0.1,test=0.2``.

    Raises:
        UsageError: with every part that is no name and number, or is named twice.
    """
    shares: dict[str, float] = {}
    faults = []
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        try:
            share = float(number)
        except ValueError:
            faults.append(f"{part.strip()!r} is not NAME=SHARE")
            continue
        if name in shares:
            faults.append(f"{name} is named twice")
        shares[name] = share
    if faults:
        raise UsageError(f"--splits: {'; '.join(faults)}; give for example train=0.7,validation=0.1,test=0.2")
    return shares


def _make_splits(shares: Mapping[str, float]) -> Splits:
    """Seeded splits of these shares.

    Raises:
        UsageError: with every name that cannot be a split's, and every share that is not above 0, or their sum.
    """
    faults = []
    for name in shares:
        try:
            check_split_name(name)
        except ValueError as error:
            faults.append(f"{name!r} cannot be a split's name: expected {error}")
    try:
        check_unlike(shares)
    except ValueError as error:
        faults.append(f"expected {error}")
    faults += [f"{name}={share:g} is no share above 0, up to 1" for name, share in shares.items() if not 0 < share <= 1]
    if not faults and abs(sum(shares.values()) - 1) > 1e-9:
        faults.append(f"shares add up to {sum(shares.values()):g}, not to 1")
    if faults:
        raise UsageError(f"--splits: {'; '.join(faults)}; give for example train=0.7,validation=0.1,test=0.2")
    return Splits(shares=dict(shares))


def _balance(recipe: Recipe, per_class: str) -> Balance:
    if per_class in {"smallest", "all"}:
        return recipe.balance.model_copy(update={"per_class": per_class})
    if per_class.isdecimal() and int(per_class) > 0:
        return recipe.balance.model_copy(update={"per_class": int(per_class)})
    raise UsageError(f"--per-class {per_class!r}: give a number above 0, smallest or all")


def _read_objects(path: Path, attributes: AttributeSchema) -> FrozenObjects:
    """A release, its attributes under the names that the recipe has for them."""
    version, records = read_release(path)
    renamed = [attribute for attribute in attributes.attributes if attribute.was]
    if renamed:
        records = tuple(_rename(record, renamed) for record in records)
    return FrozenObjects(
        version=version,
        sha256=file_sha256(path),
        records=records,
        left_out=read_left_out(path),
        annotation=read_annotation(path),
    )


def _rename(record: ObjectRecord, renamed: Sequence[Attribute]) -> ObjectRecord:
    """The object with what it has under an attribute's old name under the new one, where that is not answered."""
    values, masks = dict(record.attributes), dict(record.attribute_masks)
    for attribute in renamed:
        old, new = attribute.was or "", attribute.name
        if old not in record.attributes and old not in record.attribute_masks:
            continue
        value, mask = values.pop(old, None), masks.pop(old, None)
        if values.get(new) is None:
            values[new] = value
            if mask is not None:
                masks[new] = mask
    return replace(record, attributes=values, attribute_masks=masks)


def _read_places(workspace: Path, recipe: Recipe) -> PhotoPlaces:
    with Workspace.open(workspace) as store:
        textures = tuple(
            PhotoRef(image_id=image.image_id, source=image.source, uri=image.uri, sha256=image.sha256)
            for image in store.images()
            if recipe.textures and image.source == recipe.textures
        )
        return PhotoPlaces(sources=store.sources(), textures=textures)


def _release_path(workspace: Path, release: str | None, recipe: str) -> Path:
    """The file of a release; ``recipe`` is what its command names."""
    folder = workspace / "objects"
    if release is not None:
        return Path(release) if file_ending(release) == ".parquet" else folder / f"{release}.parquet"
    paths = files_in(folder, ".parquet")
    if len(paths) == 1:
        return paths[0]
    if not paths:
        remedy = f"figureground freeze -w {shell_word(workspace)} --version v1"
        raise DataError.single(str(folder), "", expected="a release", got="none", remedy=remedy)
    newest = max(paths, key=lambda path: (path.stat().st_mtime, path.name)).stem
    raise UsageError(
        f"several releases: {listed([path.stem for path in paths])}; choose one, such as the newest: "
        f"figureground build {recipe} -w {shell_word(workspace)} --release {shell_word(newest)} -o DATASET"
    )


def require_recipe(name: str | None) -> str:
    """The recipe's name; where there is none, the error lists the shipped ones."""
    if name is None:
        shipped = ", ".join(shipped_recipes())
        raise UsageError(f"no recipe: give one of {shipped}, or a .yaml file; what each is: figureground build --list")
    return name


def require_folder(out: Path | None) -> Path:
    """The output folder, which has no default: a dataset is not to land where nobody looked."""
    if out is None:
        raise UsageError("no output folder: give one with -o")
    return out


_HINTS: Final = {
    "box_too_large": "--max-box-share takes objects with larger boxes; report/refused.csv has each one's share",
    "balance": "their class has more than the others; --per-class all takes every object",
}
"""Reason why objects were left out to what would take them."""


def describe_report(report: BuildReport) -> str:
    """Text of a build's report."""
    filled = {name: count for name, count in report.class_counts.items() if count}
    classes = ", ".join(f"{name} {count}" for name, count in filled.items())
    if empty := [name for name, count in report.class_counts.items() if not count]:
        classes += f"; without any: {listed(empty)}"
    refused = ", ".join(f"{reason} {count}" for reason, count in report.refused.items()) or "none"
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    sheet = report.folder / CONTACT_SHEET
    kind = f"not balanced ({report.unbalanced})" if report.unbalanced else "balanced"
    lines = [
        f"{report.folder}: {report.rows} rows of {report.objects} objects, {kind}"
        + (" (built before, unchanged)" if report.reused else ""),
        *(
            [f"{report.copied} rows copied, {report.rows - report.copied} rendered; diff tells which changed"]
            if report.copied
            else []
        ),
        f"classes: {classes}",
        *([f"splits: {splits}"] if len(report.splits) > 1 else []),
        f"left out: {refused}",
        *map(str, report.crossed),
        *(f"{reason}: {hint}" for reason, hint in _HINTS.items() if report.refused.get(reason, 0)),
        *_unmapped(report),
        *report.warnings,
        f"look at {sheet}" if sheet.exists() else "rows hold no images, only what they are made of; --pixels adds them",
        f"all of it on one page: figureground report {shell_word(report.folder)}",
    ]
    return "\n".join(lines)


def _unmapped(report: BuildReport) -> Iterator[str]:
    """Labels of photos that are in no class, with what each was perhaps to be in the class map."""
    if not report.unmapped:
        return
    labels = [
        f"{label or '(no label)'} {count}"
        + (f" (did you mean {like}, which no photo has?)" if (like := report.misspelt.get(label)) else "")
        for label, count in report.unmapped.items()
    ]
    yield f"unmapped_class: no class of the class map has the labels {listed(labels)}; --class-map takes another map"
