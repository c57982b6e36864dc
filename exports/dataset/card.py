"""The dataset card: what a reader sees first, and the YAML by which ``datasets`` finds the configs."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jinja2
import yaml

from figureground.build.planning.coverage import DonorUse
from figureground.errors import DataError, printable
from figureground.exports.dataset.croissant import MaskSources
from figureground.exports.dataset.files import LOCK
from figureground.exports.dataset.lock import RecipeLock
from figureground.schemas.recipe_views import View
from figureground.schemas.recipes import Layer, Move, Recipe
from figureground.schemas.records import SHEET_TOOL
from figureground.schemas.terms import hub_licence

if TYPE_CHECKING:
    from datasets import Features
    from huggingface_hub import DatasetCardData


class SplitSize(NamedTuple):
    """How large one split of a config is."""

    size: int
    """Bytes of all its shards."""
    rows: int


ConfigSizes = Mapping[str, Mapping[str, SplitSize]]
"""Config to split to its size, in the order in which they are shown."""


def render_card(
    recipe: Recipe,
    lock: RecipeLock,
    *,
    features: Features,
    sizes: ConfigSizes,
    donors: Sequence[DonorUse] = (),
    changelog: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Text of README.md: YAML front matter with ``configs`` and ``dataset_info``, then the filled template.

    Args:
        recipe: The recipe.
        lock: What the dataset was made of and by.
        features: Features of every config.
        sizes: Every config and split that has rows.
        donors: Use of donors by each config that has some.
        changelog: What each version changed, oldest first.

    Raises:
        DataError: for a lock whose numbers are none; one of a release that somebody passed on may have such.
    """
    views = recipe.rules[lock.rules].views
    used = {layer.view for name in sizes for layer in recipe.variants[name].layers}
    facts = {
        "recipe": recipe,
        "lock": lock.to_dict(),
        "configs": [config_cells(recipe, name, own) for name, own in sizes.items()],
        "views": {name: _describe_view(view) for name, view in views.items() if name in used},
        "shown": "mixed_rand" if "mixed_rand" in sizes else _default_config(sizes),
        "split": recipe.split_names[-1],
        "tag": f"v{lock.recipe_version}",
        "windowed": any(views[name].window for name in used),
        "artefacts": list(_artefacts(recipe, sizes)),
        "donors": donors,
        "crossed": {name: own for name in sizes if (own := recipe.variants[name].grounds) is not None},
        "mask_cost": [name for name in sizes if name == "mixed_self" or recipe.variants[name].donors_from],
        "too_large": _too_large(recipe, lock),
        "changelog": list(reversed(changelog)),
        "masks": masks_by_maker(lock),
        "machines": _machines(lock),
        "policy": lock.policy(where=LOCK),
    }
    try:
        front = _front_matter(recipe, lock, features, sizes)
        text = _template().render(facts)
    except (jinja2.UndefinedError, TypeError, ValueError, AttributeError) as error:  # a stranger's lock, in a rebuild
        got = " ".join(str(error).split())[:200]
        expected = "numbers as a build writes them"
        raise DataError.single(LOCK, "annotation", expected=expected, got=got, remedy="get it again") from error
    return f"---\n{front}---\n\n{text}"


def _too_large(recipe: Recipe, lock: RecipeLock) -> float | None:
    """Largest share of the canvas that a box may cover, where that refuses more than ``_FEW`` of the objects."""
    refused = lock.refused.get("box_too_large", 0)
    if refused <= _FEW * lock.objects_in_release:
        return None
    return recipe.rules[lock.rules].filters.max_box_share


def percent_of(count: int, whole: int) -> str:
    """A share in per cent, with one decimal."""
    return f"{100 * count / whole:.1f} %" if whole else "0 %"


def _front_matter(recipe: Recipe, lock: RecipeLock, features: Features, sizes: ConfigSizes) -> str:
    """The YAML by which the Hub describes the dataset and ``datasets`` finds its configs."""
    from huggingface_hub import DatasetCardData

    rows = sum(split.rows for own in sizes.values() for split in own.values())
    data = DatasetCardData(
        pretty_name=recipe.name,
        **_licence(recipe, lock),
        annotations_creators=_annotators(lock),
        size_categories=[_size_category(rows)],
        task_categories=["image-classification"],
        tags=["background-robustness", "figureground", "image"],
    )
    _add_infos(data, features, sizes)
    default = _default_config(sizes)
    configs = [
        {
            "config_name": name,
            **({"default": True} if name == default else {}),
            "data_files": [{"split": split, "path": f"data/{name}/{split}-*.parquet"} for split in own],
        }
        for name, own in sizes.items()
    ]
    restricted = sorted({source.restricted for source in lock.sources.values()} - {""})
    gate = {"extra_gated_prompt": _GATED.format("; ".join(restricted))} if restricted and recipe.pixels else {}
    content = {**data.to_dict(), **gate, "configs": configs}  # type: ignore[no-untyped-call]  # huggingface_hub leaves it bare
    # Sorted keys would put "length" before "list", which every version of datasets refuses.
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _licence(recipe: Recipe, lock: RecipeLock) -> dict[str, Any]:
    """The Hub's id of the licence of photos and masks; where they have none in common, that each part has its own."""
    stated = {hub_licence(text) for text in (recipe.licence, *(source.licence for source in lock.sources.values()))}
    if len(stated) == 1 and lock.sources and (common := stated.pop()):
        return {"license": common}
    return {"license": "other", "license_name": "by-part", "license_link": "README.md#licence"}


def _add_infos(data: DatasetCardData, features: Features, sizes: ConfigSizes) -> None:
    """Add ``dataset_info``, so that nobody has to read the shards to know features and sizes."""
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict

    infos = DatasetInfosDict()
    for name, own in sizes.items():
        total = sum(split.size for split in own.values())
        infos[name] = DatasetInfo(
            features=features,
            splits=[{"name": split, "num_bytes": size.size, "num_examples": size.rows} for split, size in own.items()],
            download_size=total,
            dataset_size=total,
            config_name=name,
        )
    infos.to_dataset_card_data(data)


def _default_config(configs: Iterable[str]) -> str:
    """The config that ``datasets`` loads where none is named."""
    names = list(configs)
    return "original" if "original" in names else names[0]


def config_cells(recipe: Recipe, name: str, sizes: Mapping[str, SplitSize]) -> dict[str, Any]:
    """A config's line of the table of configs."""
    layers = recipe.variants[name].layers
    return {
        "name": name,
        "rows": sum(split.rows for split in sizes.values()),
        "layers": " → ".join(map(_describe, layers)),
        "view": ", ".join(dict.fromkeys(layer.view for layer in layers)),
    }


def _template() -> jinja2.Template:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701  Markdown, of our own models' text
    environment.filters["cell"] = escape_cell
    environment.filters["escaped"] = _escaped
    environment.filters["percent_of"] = percent_of
    environment.filters["figure"] = figure_text
    environment.filters["indented"] = _indented
    text = (files("figureground.exports.dataset") / "card.md.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def figure_text(estimate: Mapping[str, Any]) -> str:
    """``0.912 [0.874, 0.940]``: a figure of the agreement with its interval, or why it has none."""
    if estimate["value"] is None:
        return "undefined"
    interval = estimate["ci95"]
    bounds = ", ".join(f"{bound:.3f}" for bound in interval) if interval else estimate["no_ci95"]
    return f"{estimate['value']:.3f} [{bounds}]"


def _indented(text: str) -> str:
    """Text that somebody typed as a code block of Markdown, in which nothing is markup."""
    return "\n".join(f"    {printable(line)}".rstrip() for line in text.strip().splitlines())


def _escaped(text: str) -> str:
    """Text that somebody typed, so that it is no markup of HTML's; Markdown's stays."""
    return html.escape(text, quote=False)


def escape_cell(text: str) -> str:
    """Text that somebody typed, so that it stays one cell of a table and no markup."""
    return _escaped(" ".join(text.split())).replace("|", "\\|")


_FEW: Final = 0.05
"""Share of the objects up to which it needs no word that the larger ones are left out."""
_GATED: Final = "The photos may not be passed on: {}. By asking for access you confirm that you have a right to them."


def masks_by_maker(lock: RecipeLock) -> dict[str, int]:
    """Who made the masks, in words, to the number of objects; nothing that was imported is called an answer."""
    imported = sum(origin.objects for origin in lock.origins or () if not origin.machine)
    own = lock.states.get("accepted", 0) - imported
    counts = {ANSWERED: own, IMPORTED: imported} | {
        words: lock.states.get(state, 0) for state, words in _STATES.items()
    }
    others = {state: count for state, count in lock.states.items() if state not in ("accepted", *_STATES)}
    return {words: count for words, count in {**counts, **others}.items() if count}


def _machines(lock: RecipeLock) -> str:
    """Whose the masks are that nobody reviewed."""
    imported = [f"imported: {origin.text}" for origin in lock.origins or () if origin.machine]
    return "; ".join(filter(None, [", ".join(lock.segmenters), *imported]))


def mask_sources(lock: RecipeLock) -> MaskSources:
    """Who made the masks, for croissant.json."""
    origins = lock.origins or ()
    lines = [f"{words}: {count} objects" for words, count in masks_by_maker(lock).items()]
    lines += [
        f"origin {origin.text}, {'a machine' if origin.machine else 'people'}: {origin.objects} objects"
        for origin in origins
    ]
    if (policy := lock.policy(where=LOCK)) is not None:
        lines.append(f"review policy {policy.name} (SHA-256 {policy.sha256}): {'; '.join(policy.asks)}")
    machines = [*lock.segmenters, *(origin.text for origin in origins if origin.machine)]
    return MaskSources(lines=tuple(lines), machines=tuple(machines))


def _annotators(lock: RecipeLock) -> list[str]:
    """The Hub's words for who made the masks; ``found`` stands for what was made elsewhere.

    A machine's mask that people accepted as it was is the machine's: none of them drew any of it.
    """
    expert, machine = ["expert-generated"], ["machine-generated"]
    tools: Mapping[str, Any] = (lock.annotation or {}).get("tools", {})
    untouched = {tool: set(tool.split("+")) <= _UNTOUCHED for tool in tools}
    answered = (machine if any(untouched.values()) else []) + (expert if not all(untouched.values()) else [])
    words = {ANSWERED: answered or expert, _STATES["consensus"]: answered or expert, IMPORTED: ["found"]}
    words |= dict.fromkeys(MACHINES, machine)
    return list(dict.fromkeys(word for name in masks_by_maker(lock) for word in words.get(name, ())))


_UNTOUCHED: Final = frozenset({SHEET_TOOL, "prediction", "lint"})
"""Tools of answers by which nobody drew: a sheet, a prediction that was submitted as it was, the mending of lint."""
ANSWERED: Final = "accepted from a person's answer"
IMPORTED: Final = "imported as a person's, whose origin stands below"
_STATES: Final = {
    "consensus": "consensus of several people's answers",
    "machine_import": "imported as a machine's, unreviewed",
    "unreviewed": "proposed by a machine, unreviewed",
    "unmasked": "none",
}
"""State of masks to its words, where it needs no second look at who made them."""
MACHINES: Final = (_STATES["machine_import"], _STATES["unreviewed"])


def _size_category(rows: int) -> str:
    """The Hub's word for a number of rows."""
    bounds = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
    return next((name for bound, name in bounds.items() if rows < bound), "10M<n<100M")


def _artefacts(recipe: Recipe, configs: Iterable[str]) -> Iterator[str]:
    """What the layers leave in the pixels besides what they are meant to, a line each."""
    layers = [layer for name in configs for layer in recipe.variants[name].layers]
    if any(layer.matte != "all" and layer.paint != "fill" for layer in layers):
        yield (
            "Figures are pasted with hard edges: a rim of the old background stays where a mask is wide, and no shadow "
            "comes along. A config that pastes figures on their own ground tells what that costs."
        )
    if any(layer.matte != "all" and layer.paint == "fill" for layer in layers):
        yield (
            "A filled region keeps its outline: the shape of a mask, or a box's size and place, can tell the class. "
            "Compare with configs that hold the shape alone, where there are some."
        )
    if any(layer.paint in ("tile", "adjacent") for layer in layers):
        yield "Tiled grounds repeat a strip of the photo, with seams; strips that are narrow make stripes."
    if any(layer.paint == "texture" for layer in layers):
        yield "Textures are not natural backgrounds: an answer to them is one to an unlikely picture."
    if any(layer.blur for layer in layers):
        yield "Blur stays within its region, so that the region's edge is as sharp as it was."
    if any(layer.paint != "fill" for layer in layers):
        yield (
            "Photos that were JPEG keep its block noise, which differs between figure and ground of two photos. "
            "Nothing was compressed again: images here are PNG."
        )


_PAINTS: Final = {
    "source": "photo",
    "tile": "photo with tiled box",
    "adjacent": "photo with components tiled from beside them",
    "mean": "photo with components in the mean colour around them",
}
_MATTES: Final = {
    "mask_box": "the mask's box",
    "component_box": "the components' boxes",
    "attribute": "the attribute",
    "random": "as much of the object as the attribute has",
}


def _describe(layer: Layer) -> str:
    """One line of what a layer paints, and where."""
    whose = "" if layer.of == "self" else f" of {layer.of.replace('_', ' ')}"
    where = "" if layer.matte == "all" else f" in {_MATTES.get(layer.matte, layer.matte)}"
    paint = _PAINTS.get(layer.paint, layer.fill)
    if layer.paint == "texture":
        paint = f"texture ({layer.texture})"
    elif layer.paint == "mean" and layer.mean_of != "components":
        paint = f"mean colour of the {layer.mean_of}"
    effects = [
        f"blurred by {layer.blur.sigma:g} px within the {layer.blur.within}" if layer.blur else "",
        f"grown by {layer.grow_px:+d} px" if layer.grow_px else "",
        _describe_move(layer.move) if layer.move else "",
    ]
    return ", ".join([f"{paint}{whose}{where}", *filter(None, effects)])


def _describe_move(move: Move) -> str:
    middle = "" if move.to is None else f", its middle at ({move.to[0]:g}, {move.to[1]:g}) of the canvas"
    return f"drawn at {move.scale:g} of its size{middle}"


def _describe_view(view: View) -> str:
    """One line: what is taken, how it is resized, what is cut out."""
    part = "the whole photo"
    if (window := view.window) is not None:
        margin = "a margin that survives the standard evaluation crop"
        if window.margin != "survive":
            margin = f"margin {window.margin:g} ({window.margin_of.replace('_', ' ')})"
        relations = {"object": "around", "center": "as large as, but in the photo's middle, that around"}
        relation = relations.get(window.around, "as large as, but at a drawn place, that around")
        size = f"{margin}, {window.outside}"
        part = f"a {window.shape} window {relation} the object ({window.take}), {size}"
    sizes = {"none": "stored pixels", "squash": f"squashed to {view.size}", "short_side": f"short side to {view.size}"}
    return f"{part}; {sizes[view.resize]}" + (f"; centre {view.crop}" if view.crop else "")
