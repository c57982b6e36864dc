"""Recipes: the variant table as data. A recipe says what every row of a dataset is made of.

A variant is a short list of layers painted bottom to top on one canvas; a layer is a matte (which pixels, of whose
mask), a painter (what is put there, from whose pixels) and a view (how the photo comes onto the canvas). In YAML the
two-layer shorthand ``{matte, figure, ground}`` stands for the ground painted everywhere and the figure over the matte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, model_validator

from figureground.schemas.documents import ConfigName, Document, Name, SplitName, check_config_names, check_unlike
from figureground.schemas.grown_variants import spread_lists
from figureground.schemas.recipe_grounds import Grounds
from figureground.schemas.recipe_painters import spelled_paint
from figureground.schemas.recipe_views import View

Photo = Literal["self", "same_class", "any_class", "next_class", "other_class"]
"""Whose photo: the row's own, or that of a donor drawn from the same, any, the next, or any class but the same."""

Matte = Literal["all", "mask", "box", "mask_box", "component_box", "attribute", "random"]
"""Which pixels of the row's own photo.

``all``: the whole canvas; ``mask``: the object's mask; ``box``: the box of the rule set; ``mask_box``: the mask's tight
box on the canvas; ``component_box``: the tight boxes of the mask's connected components on the canvas; ``attribute``:
the mask of the row's attribute; ``random``: as many pixels of the object as that attribute has, around a random one.
"""

PER_ATTRIBUTE: Final = ("attribute", "random")
"""Mattes that make one row of each attribute that a photo has."""

TextureFamily = Literal["bricks", "checks", "clouds", "dots", "noise", "stripes"]
"""Textures that are drawn, without a photo."""

TEXTURE_FAMILIES: Final[tuple[TextureFamily, ...]] = get_args(TextureFamily)

RuleName = Literal["exact", "reference"]

SplitBy = Literal["seed", "source"]

FILL_RGB: Mapping[str, tuple[int, int, int]] = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128)}


class Blur(Document):
    """A Gaussian blur that takes only from a region, so that nothing else bleeds into it."""

    sigma: float = Field(gt=0, le=64)
    """Standard deviation, canvas pixels."""
    within: Literal["figure", "ground", "photo"] = "photo"
    """Region that colours are taken from: the object, all but the object, or everywhere."""


class Move(Document):
    """A layer drawn at another size and position: about the middle of its object's box, on the canvas."""

    scale: float = Field(default=1.0, gt=0, le=4)
    """Size ÷ size on the canvas before."""
    to: tuple[float, float] | None = None
    """New middle of the box, as shares (x, y) of the canvas; None leaves it where it is."""
    matte: Literal["area", "box_filter"] = "area"
    """Resampling of the matte that goes along, as in a view."""


class Layer(Document):
    """One layer of a variant."""

    paint: Literal["source", "fill", "tile", "adjacent", "mean", "texture"]
    """What is painted.

    ``source``: the photo's pixels; ``fill``: one colour; ``tile``: the photo with its box filled by a strip;
    ``adjacent``: the canvas with every component's box filled from the largest tile beside it; ``mean``: the mean
    colour of ``mean_of``; ``texture``: what ``texture`` names.
    """
    of: Photo = "self"
    """Whose pixels are painted."""
    matte: Matte = "all"
    """Where, in the row's own mask and box."""
    fill: Literal["black", "white", "grey"] = "black"
    mean_of: Literal["components", "figure", "ground", "photo"] = "components"
    """``components``: every component's box in the mean colour of what is no object in it; else one colour."""
    texture: Literal["any", "photos", TextureFamily] = "any"
    """A drawn family, ``any`` of them by the row's seed, or a photo of the recipe's source of ``textures``."""
    grow_px: int = Field(default=0, ge=-64, le=64)
    """Canvas pixels by which the matte is dilated, or eroded where negative."""
    blur: Blur | None = None
    """What is painted is blurred first."""
    move: Move | None = None
    """What is painted, and its matte, are drawn elsewhere; the object mask of the row goes with them."""
    view: Name = "imagenet"
    """Name of the view that brings photo and matte onto the canvas."""

    @property
    def needs_mask(self) -> bool:
        """Whether what it paints depends on an object's mask, or on the box of one."""
        by_region = self.paint == "mean" and self.mean_of != "photo"
        blurred = self.blur is not None and self.blur.within != "photo"
        placed = self.move is not None or self.paint in ("tile", "adjacent")
        return self.matte not in ("all", "attribute") or by_region or blurred or placed


class Variant(Document):
    """One config of the dataset: layers, painted bottom to top."""

    layers: tuple[Layer, ...] = Field(min_length=1)
    labels: Literal["self", "donor"] = "self"
    """Photo whose label, object mask and attributes a row has: the one that is seen outside the matte."""
    donors_from: Name | None = None
    """Variant by whose seeds rows draw donors and textures, so that both show the same ones; None draws its own."""
    grounds: Grounds | None = None
    """Set of grounds that all figures share, one row for each; None draws a donor for each row."""

    @model_validator(mode="before")
    @classmethod
    def _expand_shorthand(cls, value: Any) -> Any:  # noqa: ANN401  whatever the YAML holds
        if not isinstance(value, dict) or "layers" in value:
            return value
        strange = set(value) - {"ground", "figure", "matte", "labels", "view", "donors_from", "grounds"}
        if strange or "ground" not in value or ("figure" in value) != ("matte" in value):
            raise ValueError("layers, or the shorthand {ground} or {ground, matte, figure}")
        layers = [{**spelled_paint(value["ground"]), "matte": "all"}]
        if "figure" in value:
            layers.append({**spelled_paint(value["figure"]), "matte": value["matte"]})
        if "view" in value:
            layers = [{**layer, "view": value["view"]} for layer in layers]
        return {"layers": layers, **{key: value[key] for key in ("labels", "donors_from", "grounds") if key in value}}

    @model_validator(mode="after")
    def _covers_the_canvas(self) -> Variant:
        if self.layers[0].matte != "all":
            raise ValueError("a bottom layer with matte: all, so that no pixel is left unpainted")
        if len({layer.of for layer in self.layers} - {"self"}) > 1:
            raise ValueError("at most one donor in a variant")
        if len({layer.texture for layer in self.layers if layer.paint == "texture"}) > 1:
            raise ValueError("at most one texture in a variant")
        if self.layers[0].move:
            raise ValueError("a bottom layer that stays where it is, so that no pixel is left unpainted")
        if len({layer.view for layer in self.layers}) > 1 and self.per_attribute:
            raise ValueError("one view in a variant of attributes")
        if self.labels == "donor" and self.donor is None:
            raise ValueError("a donor, where labels are the donor's")
        crossable = self.donor in ("any_class", "other_class") and not self.per_attribute and self.labels == "self"
        if self.grounds is not None and not crossable:
            raise ValueError("of: any_class or other_class, no attributes and labels: self, where grounds are crossed")
        return self

    @property
    def per_attribute(self) -> bool:
        """Whether the variant has a row for each attribute of a photo, instead of one for the photo."""
        return any(layer.matte in PER_ATTRIBUTE for layer in self.layers)

    @property
    def swaps_attribute(self) -> bool:
        """Whether rows have an attribute pasted in or taken away, with another photo's pixels."""
        return self.per_attribute and self.donor is not None

    @property
    def texture(self) -> str | None:
        """Texture of the variant, as its layers name it; None without one."""
        return next((layer.texture for layer in self.layers if layer.paint == "texture"), None)

    @property
    def moved(self) -> Move | None:
        """Move of the row's own figure; None where it stays."""
        return next((layer.move for layer in reversed(self.layers) if layer.move and layer.of == "self"), None)

    def needs_mask(self, rules: RuleSet) -> bool:
        """Whether a layer, or the window of its view, needs an object's mask."""
        return any(layer.needs_mask or rules.views[layer.view].window is not None for layer in self.layers)

    @property
    def donor(self) -> Photo | None:
        """The donor policy of the variant, or None if every layer is the row's own photo."""
        return next((layer.of for layer in self.layers if layer.of != "self"), None)


class Filters(Document):
    """Filters of a recipe: an object that one of them refuses leaves every variant. None switches a filter off."""

    one_box: bool = False
    """Refuse photos with more than one annotated box (ImageNet-9 did)."""
    max_box_share: float | None = Field(default=None, gt=0, le=1)
    """Largest share of the canvas that the box may cover. The canvas is that of the first view without a window."""
    min_box_kept: float | None = Field(default=None, ge=0, le=1)
    """Smallest share of the resized box that the centre crop of the same view must keep."""
    min_mask_over_box: float | None = Field(default=None, ge=0, le=1)
    """Smallest mask area ÷ box area, in stored pixels."""
    mask: bool = True
    """Refuse masks that are empty, full, cropped away or that fill the canvas. False takes photos without any, for
    variants and views that need none."""
    full_mask: bool = True
    """With ``mask``: refuse those that are full or fill the canvas too; crops may have them."""
    strip: bool = False
    """Refuse photos whose box leaves no margin to tile from, as a layer ``tile`` of any variant does by itself."""
    clean_ground: bool = False
    """Refuse photos flagged ``class_visible_outside``."""


class DonorRules(Document):
    """Rules about who may lend a ground."""

    exclude_self: bool = True
    near_duplicate_bits: int | None = Field(default=8, ge=0, le=63)
    """Refuse donors whose perceptual hash differs in at most so many of 64 bits; None allows them."""


class Splits(Document):
    """Division of photos into splits; near-duplicates stay together."""

    by: SplitBy = "seed"
    """``seed``: shares of every source class, chosen by hash; ``source``: as the source has them."""
    shares: dict[SplitName, float] = Field(min_length=1)
    """Split to share; they add up to 1. By ``source``, a split that the source lacks is carved out of the one before
    it, in proportion."""
    near_duplicate_bits: int = Field(default=8, ge=0, le=63)
    """Photos whose perceptual hashes differ in at most so many of 64 bits go to one split."""
    waive_near_duplicates: str = Field(default="", max_length=500)
    """Why near-duplicates, and photos of one group, may stand in two splits, as the source's own may have them. Without
    a reason they stop a build; with one they are counted, and the card says so."""

    @model_validator(mode="after")
    def _shares_add_up(self) -> Splits:
        if not abs(sum(self.shares.values()) - 1) <= 1e-9 or min(self.shares.values()) <= 0:
            raise ValueError("shares above 0 that add up to 1")
        check_unlike(self.shares)
        return self


class RuleSet(Document):
    """Rules by which the layers are read: as a careful reader expects, or as the released code did."""

    views: dict[Name, View] = Field(min_length=1)
    box: Literal["hull", "annotated"] = "hull"
    """``hull``: of the annotated box and the mask's tight box; ``annotated``: that alone, tight box where absent."""
    strip_overlap_px: int = Field(default=0, ge=0, le=1)
    """1: right and bottom strips begin one pixel inside the box, as ImageNet-9's did."""
    black_is_ground: bool = False
    """True: black figure pixels show the donor, as ImageNet-9's did."""
    adjacent: Literal["exact", "released"] = "exact"
    """Rule for adjacent tiles: ``released`` is that of Hard ImageNet's code, with the axes exchanged."""
    filters: Filters = Filters()
    donors: DonorRules = DonorRules()

    @model_validator(mode="after")
    def _boxes_have_a_canvas(self) -> RuleSet:
        by_canvas = self.filters.max_box_share is not None or self.filters.min_box_kept is not None
        if by_canvas and self.whole_view is None:
            raise ValueError("a view without a window, where filters max_box_share or min_box_kept judge the canvas")
        return self

    @property
    def whole_view(self) -> View | None:
        """The first view without a window, on whose canvas filters judge boxes; None if each has one."""
        return next((view for view in self.views.values() if view.window is None), None)


class Balance(Document):
    """Number of objects that each class has."""

    per_class: Annotated[int, Field(ge=1)] | Literal["smallest", "all"] = "smallest"
    """A number, the size of the smallest class, or no balancing."""
    min_per_class: int = Field(default=8, ge=1)
    """With ``smallest``: below this size nothing is balanced, and tables give n per class instead."""


class Recipe(Document):
    """A dataset as data: seed, classes, rules, variants."""

    name: Name
    version: Name
    """Changes with the text; never part of a seed."""
    description: str = ""
    citation: str = ""
    licence: str = ""
    """Licence of masks, attributes and parameters, for the card; photos have that of their sources."""
    seed: int = Field(ge=0, lt=2**63)
    class_map: str
    """A shipped map's name, or a path beside the recipe."""
    attributes: str = "none"
    """Attributes that annotators are asked for: a shipped attribute schema's name, or a path beside the recipe."""
    split: SplitName = "test"
    """Split that the rows are published under, where there is one."""
    splits: Splits | None = None
    """Division of photos into splits; None puts all into ``split``."""
    source_splits: tuple[str, ...] | None = None
    """Splits of the source to take photos from; None takes all."""
    rules: dict[RuleName, RuleSet] = Field(min_length=1)
    balance: Balance = Balance()
    textures: Name | None = None
    """Name of the indexed source whose photos are the textures of ``texture: photos``."""
    pixels: bool = True
    """False: rows are published without their images, as boxes, masks and parameters to rebuild them by."""
    variants: dict[ConfigName, Variant] = Field(min_length=1)
    """By name; a list in ``grow_px`` stands for a variant of each number (``grown_variants``)."""

    @model_validator(mode="before")
    @classmethod
    def _spread_lists(cls, value: Any) -> Any:  # noqa: ANN401  whatever the YAML holds
        variants = value.get("variants") if isinstance(value, dict) else None
        return {**value, "variants": spread_lists(variants)} if isinstance(variants, dict) else value

    @model_validator(mode="after")
    def _datasets_can_load_it(self) -> Recipe:
        try:
            check_config_names(self.variants)
        except ValueError as error:
            raise ValueError(f"variants: {error}") from error
        return self

    @model_validator(mode="after")
    def _textures_have_a_source(self) -> Recipe:
        if self.textures is None and any(variant.texture == "photos" for variant in self.variants.values()):
            raise ValueError("textures: the name of an indexed source, where a layer has texture: photos")
        return self

    @model_validator(mode="after")
    def _views_exist(self) -> Recipe:
        named = {layer.view for variant in self.variants.values() for layer in variant.layers}
        for rule, rules in self.rules.items():
            if missing := sorted(named - set(rules.views)):
                raise ValueError(f"rules.{rule}.views with {', '.join(missing)}")
            for name, variant in self.variants.items():
                _check_canvases(name, variant, rules)
                if not rules.filters.mask and variant.needs_mask(rules):
                    raise ValueError(
                        f"variants.{name} without windows, masks and boxes where rules.{rule} has filters "
                        "mask: false; leave that out, or paint whole photos"
                    )
        return self

    @model_validator(mode="after")
    def _lenders_are_alike(self) -> Recipe:
        faults = [fault for name in self.variants for fault in _lender_faults(name, self.variants)]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def stream(self, variant: str) -> str:
        """Name of the variant by whose seeds the rows of ``variant`` are drawn."""
        return self.variants[variant].donors_from or variant

    @property
    def tiles(self) -> bool:
        """Whether any layer paints a photo with its box tiled, which takes a strip beside the box."""
        return any(layer.paint == "tile" for variant in self.variants.values() for layer in variant.layers)

    @property
    def per_attribute(self) -> bool:
        """Whether any variant has a row for each attribute."""
        return any(variant.per_attribute for variant in self.variants.values())

    @property
    def split_names(self) -> tuple[str, ...]:
        """Splits that rows are published under, in order."""
        return tuple(self.splits.shares) if self.splits else (self.split,)


def _check_canvases(name: str, variant: Variant, rules: RuleSet) -> None:
    """Photos and views meet in one row only on canvases that are always of one size, and where all have one row."""
    views = {layer.view for layer in variant.layers}
    sides = {rules.views[view].side_px for view in views}
    windows = [window for view in views if (window := rules.views[view].window) is not None]
    if any(window.take == "each" for window in windows) and (variant.donor or variant.per_attribute or len(views) > 1):
        raise ValueError(f"variants.{name} with one view and nothing that makes rows, where each instance has a row")
    several = len(views) > 1 or variant.donor is not None
    if several and (len(sides) > 1 or None in sides):
        raise ValueError(f"variants.{name} with a donor or several views only on canvases of one side in pixels")


def _lender_faults(name: str, variants: Mapping[str, Variant]) -> Iterator[str]:
    """What a variant and the one that it takes donors from must have in common, where they do not."""
    own, source = variants[name], variants[name].donors_from
    if source is None:
        return
    where = f"variants.{name}.donors_from"
    lender = variants.get(source)
    if lender is None:
        yield f"{where}: a variant of this recipe instead of {source!r}"
        return
    if lender.donors_from is not None:
        yield f"{where}: a variant that draws its own donors, and {source} takes those of {lender.donors_from}"
    if own.donor is None and own.texture is None:
        yield f"{where}: a variant with a donor or a texture, and {name} has neither"
    for word, mine, its in (
        ("donor policy", own.donor, lender.donor),
        ("texture", own.texture, lender.texture),
        ("labels", own.labels, lender.labels),
        ("row for each attribute", own.per_attribute, lender.per_attribute),
        ("grounds", own.grounds, lender.grounds),
    ):
        if mine != its:
            yield f"{where}: the same {word} as {source}, {its}, instead of {mine}"
