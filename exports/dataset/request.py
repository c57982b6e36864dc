"""What the build command needs between its words and ``build_dataset``."""

from __future__ import annotations

from pathlib import Path

from figureground.build.recipes.loading import load_recipe, shipped_recipes
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.building import BuildReport, BuildRequest, build_dataset
from figureground.runtime.engines import EngineChoice
from figureground.runtime.files import file_sha256
from figureground.runtime.processes import default_workers
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.classes import load_class_map
from figureground.schemas.recipes import Balance, Recipe, RuleName, SplitBy
from figureground.schemas.records import PhotoRef
from figureground.schemas.store.releases import read_annotation, read_left_out, read_release
from figureground.schemas.store.workspace import Workspace

__all__ = ["build_dataset", "describe_recipes", "describe_report", "prepare_request", "require_folder"]


def describe_recipes() -> dict[str, str]:
    """Shipped recipes by name, with what each is."""
    return {name: load_recipe(name).description for name in shipped_recipes()}


def prepare_request(
    recipe_name: str | None,
    workspace: Path,
    *,
    release: str | None = None,
    rules: RuleName = "exact",
    per_class: str | None = None,
    split_by: SplitBy | None = None,
    draws: int = 1,
    pixels: bool | None = None,
    licence: str | None = None,
    earlier: Path | None = None,
    workers: int | None = None,
    engine: EngineChoice | None = None,
) -> BuildRequest:
    """Gather what a build reads.

    Args:
        recipe_name: A shipped recipe's name or a YAML file.
        workspace: Folder of the workspace, which knows where the photos lie.
        release: Frozen version; None where there is only one.
        rules: Rule set of the recipe.
        per_class: Overrides the recipe's balance: a number, ``smallest`` or ``all``.
        split_by: Overrides how the recipe divides photos.
        draws: Donors for each row of a donor variant.
        pixels: Overrides whether rows hold their images.
        licence: Overrides the recipe's licence of masks, attributes and parameters.
        earlier: Dataset repository that the new one is the next version of.
        workers: Processes; None for all processors.
        engine: Where the work runs; None for this machine's processes.

    Raises:
        UsageError: for anything that does not exist.
        DataError: for faults in the recipe, the class map or the release.
    """
    if recipe_name is None:
        raise UsageError(f"no recipe: give one of {', '.join(shipped_recipes())}, or a .yaml file")
    recipe = load_recipe(recipe_name)
    if rules not in recipe.rules:
        raise UsageError(f"{recipe.name} has no rules {rules!r}; it has {', '.join(sorted(recipe.rules))}")
    if per_class is not None:
        recipe = recipe.model_copy(update={"balance": _balance(recipe, per_class)})
    if split_by is not None:
        if recipe.splits is None:
            raise UsageError(f"{recipe.name} puts all photos into {recipe.split}: there is nothing to divide")
        recipe = recipe.model_copy(update={"splits": recipe.splits.model_copy(update={"by": split_by})})
    if pixels is not None:
        recipe = recipe.model_copy(update={"pixels": pixels})
    if licence is not None:
        recipe = recipe.model_copy(update={"licence": licence})
    path = _release_path(workspace, release)
    version, records = read_release(path)
    with Workspace.open(workspace) as store:
        sources = store.sources()
        textures = tuple(
            PhotoRef(image_id=image.image_id, source=image.source, uri=image.uri, sha256=image.sha256)
            for image in store.images()
            if recipe.textures and image.source == recipe.textures
        )
    return BuildRequest(
        recipe=recipe,
        classes=load_class_map(recipe.class_map),
        attributes=load_attribute_schema(recipe.attributes),
        records=records,
        release_version=version,
        release_sha256=file_sha256(path),
        left_out=read_left_out(path),
        annotation=read_annotation(path),
        earlier=earlier,
        sources=sources,
        textures=textures,
        rules=rules,
        draws=draws,
        workers=workers or default_workers(),
        engine=engine or EngineChoice(),
    )


def require_folder(out: Path | None) -> Path:
    """The output folder, which has no default: a dataset is not to land where nobody looked."""
    if out is None:
        raise UsageError("no output folder: give one with -o")
    return out


def describe_report(report: BuildReport) -> str:
    """Text of a build's report."""
    filled = {name: count for name, count in report.class_counts.items() if count}
    classes = ", ".join(f"{name} {count}" for name, count in filled.items())
    if empty := len(report.class_counts) - len(filled):
        classes += f"; {empty} without any"
    refused = ", ".join(f"{reason} {count}" for reason, count in report.refused.items()) or "none"
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    sheet = report.folder / "report" / "contact_sheet.png"
    kind = "balanced" if report.balanced else "not balanced"
    lines = [
        f"{report.folder}: {report.rows} rows of {report.objects} objects, {kind}"
        + (" (built before, unchanged)" if report.reused else ""),
        *([f"{report.copied} rows copied, {report.rows - report.copied} rendered"] if report.copied else []),
        f"classes: {classes}",
        *([f"splits: {splits}"] if len(report.splits) > 1 else []),
        f"left out: {refused}",
        *report.warnings,
        f"look at {sheet}" if sheet.exists() else "rows hold no images, only what they are made of; --pixels adds them",
    ]
    return "\n".join(lines)


def _balance(recipe: Recipe, per_class: str) -> Balance:
    if per_class in {"smallest", "all"}:
        return recipe.balance.model_copy(update={"per_class": per_class})
    if per_class.isdecimal() and int(per_class) > 0:
        return recipe.balance.model_copy(update={"per_class": int(per_class)})
    raise UsageError(f"--per-class {per_class!r}: give a number above 0, smallest or all")


def _release_path(workspace: Path, release: str | None) -> Path:
    folder = workspace / "objects"
    if release is not None:
        return Path(release) if release.endswith(".parquet") else folder / f"{release}.parquet"
    found = sorted(folder.glob("*.parquet"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError.single(
            str(folder), "", expected="a release", got="none", remedy="figureground freeze --version v1"
        )
    raise UsageError(f"several releases; choose one with --release: {', '.join(path.stem for path in found)}")
