"""The dataset card: what a reader sees first, and the YAML by which ``datasets`` finds the configs."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import jinja2
import yaml

from figureground.schemas.recipe_views import View
from figureground.schemas.recipes import Layer, Move, Recipe

if TYPE_CHECKING:
    from datasets import Features


def render_card(
    recipe: Recipe,
    lock: Mapping[str, Any],
    *,
    features: Features,
    shard_sizes: Mapping[str, Mapping[str, tuple[int, int]]],
    changelog: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Text of README.md: YAML front matter with ``configs`` and ``dataset_info``, then the filled template.

    Args:
        recipe: The recipe.
        lock: Content of recipe.lock.json.
        features: Features of every config.
        shard_sizes: Config name to split to (bytes, rows) of all its shards.
        changelog: What each version changed, oldest first.
    """
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    infos = DatasetInfosDict(
        {
            name: DatasetInfo(
                features=features,
                splits=[
                    {"name": split, "num_bytes": size, "num_examples": rows} for split, (size, rows) in sizes.items()
                ],
                download_size=sum(size for size, _ in sizes.values()),
                dataset_size=sum(size for size, _ in sizes.values()),
                config_name=name,
            )
            for name, sizes in shard_sizes.items()
        }
    )
    restricted = sorted({terms["restricted"] for terms in lock["sources"].values()} - {""})
    data = DatasetCardData(
        pretty_name=recipe.name,
        license="other",  # pixels, masks and code have one each
        license_name="by-part",
        license_link="README.md#licence",
        annotations_creators=_annotators(lock),
        size_categories=[_size_category(sum(rows for sizes in shard_sizes.values() for _, rows in sizes.values()))],
        task_categories=["image-classification"],
        tags=["background-robustness", "figureground", "image"],
    )
    infos.to_dataset_card_data(data)
    first = next(iter(shard_sizes))
    default = "original" if "original" in shard_sizes else first
    configs = [
        {
            "config_name": name,
            **({"default": True} if name == default else {}),
            "data_files": [{"split": split, "path": f"data/{name}/{split}-*.parquet"} for split in sizes],
        }
        for name, sizes in shard_sizes.items()
    ]
    # Sorted keys would put "length" before "list", which every version of datasets refuses.
    gate = {"extra_gated_prompt": _GATED.format("; ".join(restricted))} if restricted and recipe.pixels else {}
    listed = {**data.to_dict(), **gate, "configs": configs}  # type: ignore[no-untyped-call]  # huggingface_hub leaves it bare
    front = yaml.safe_dump(listed, sort_keys=False, allow_unicode=True)
    shown = "mixed_rand" if "mixed_rand" in shard_sizes else default
    rows = [
        {
            "name": name,
            "rows": sum(rows for _, rows in sizes.values()),
            "layers": " → ".join(map(_describe, recipe.variants[name].layers)),
            "view": ", ".join(dict.fromkeys(layer.view for layer in recipe.variants[name].layers)),
        }
        for name, sizes in shard_sizes.items()
    ]
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701  Markdown, of our own models' text
    environment.filters["cell"] = _cell
    template = environment.from_string(
        (files("figureground.exports.dataset") / "card.md.jinja").read_text(encoding="utf-8")
    )
    views = recipe.rules[lock["rules"]].views
    used = {layer.view for name in shard_sizes for layer in recipe.variants[name].layers}
    described = {name: _describe_view(view) for name, view in views.items() if name in used}
    text = template.render(
        recipe=recipe,
        lock=lock,
        configs=rows,
        views=described,
        shown=shown,
        split=recipe.split_names[-1],
        windowed=any(views[name].window for name in used),
        artefacts=list(_artefacts(recipe, shard_sizes)),
        changelog=list(reversed(changelog)),
    )
    return f"---\n{front}---\n\n{text}"


def _cell(text: str) -> str:
    """Text that somebody typed, so that it stays one cell of a table and no markup."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


_GATED: Final = "The photos may not be passed on: {}. By asking for access you confirm that you have a right to them."


def _annotators(lock: Mapping[str, Any]) -> list[str]:
    """The Hub's words for who made the masks."""
    states = lock["states"]
    people = ["expert-generated"] if states.get("accepted") else []
    return people + (["machine-generated"] if states.get("unreviewed") else [])


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
    place = "" if move.to is None else f", its middle at ({move.to[0]:g}, {move.to[1]:g}) of the canvas"
    return f"drawn at {move.scale:g} of its size{place}"


def _describe_view(view: View) -> str:
    """One line: what is taken, how it is resized, what is cut out."""
    taken = "the whole photo"
    if (window := view.window) is not None:
        margin = window.margin if isinstance(window.margin, str) else f"{window.margin:g}"
        unit = window.margin_of.replace("_", " ")
        where = {"object": "around", "center": "as large as, but in the photo's middle, that around"}
        named = where.get(window.around, "as large as, but at a drawn place, that around")
        size = f"margin {margin} ({unit}), {window.outside}"
        taken = f"a {window.shape} window {named} the object ({window.take}), {size}"
    sizes = {"none": "stored pixels", "squash": f"squashed to {view.size}", "short_side": f"short side to {view.size}"}
    return f"{taken}; {sizes[view.resize]}" + (f"; centre {view.crop}" if view.crop else "")
