"""How the annotator's page looks: colours for most kinds of vision, and Label Studio's layout made over."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

OBJECT_COLOUR: Final = "#56B4E9"
PART_COLOURS: Final = (
    "#E69F00",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#000000",
    "#FFFFFF",
    "#802000",
    "#0000E0",
    "#000060",
)
"""The object's and the first six are Okabe and Ito's (Color Universal Design, 2008). The others are those of a grid of
512 colours that lie farthest from all before them, for normal vision, protanopia and deuteranopia alike. Repeated where
a schema has more parts."""
GROUND_COLOUR: Final = "#E0004D"
"""Clicks that say "not this"."""

PHOTO_HEIGHT: Final = "calc(100vh - 108px)"
"""All of the window but Label Studio's bars above (48 pixels) and below (50), and a margin."""
PHOTO_WIDTH: Final = "calc(100% - 46px)"
"""All but the tool bar, which comes late: Label Studio fits the photo once, into the room there is at that moment."""

_FILL: Final = 0.35
"""Opacity of a mask: fur, eyes and the rim are seen through it."""


def mask_filter(name: str) -> str:
    """An SVG filter: a mask becomes a see-through fill, a crisp outline of its colour, and a white rim.

    The label's colour is opaque in what is filtered. Lengths are in pixels of the screen.

    Args:
        name: Id of the filter.
    """
    return (
        f"<filter id='{name}' x='0' y='0' width='1' height='1'"
        " color-interpolation-filters='sRGB'>"
        "<feMorphology in='SourceAlpha' operator='dilate' radius='1.5' result='wide'/>"
        "<feFlood flood-color='white' flood-opacity='0.9'/><feComposite in2='wide' operator='in'/>"
        "<feComposite in2='SourceAlpha' operator='out' result='rim'/>"
        "<feMorphology in='SourceAlpha' operator='erode' radius='1.5' result='inner'/>"
        "<feComposite in='SourceGraphic' in2='inner' operator='out' result='line'/>"
        "<feComponentTransfer in='SourceGraphic' result='fill'>"
        f"<feFuncA type='linear' slope='{_FILL}'/></feComponentTransfer>"
        "<feMerge><feMergeNode in='fill'/><feMergeNode in='line'/><feMergeNode in='rim'/></feMerge>"
        "</filter>"
    )


def _mask_filter() -> str:
    """The filter as a URL."""
    svg = f"<svg xmlns='http://www.w3.org/2000/svg'>{mask_filter('m')}</svg>"
    return f'url("data:image/svg+xml,{quote(svg)}#m")'


# Label Studio marks the canvases of brush regions, and no others, by an opacity of their own; each region has two, of
# which the second holds its name alone. The filter costs a tenth of a second where no GPU helps, so that it rests while
# the mouse is pressed: a stroke is a row of pictures.
_MASK: Final = '[style*="opacity: 0.6"]'
_STAGE: Final = ".fg-photo .konvajs-content"
_SIDE_PX: Final = 300
_LIST_PX: Final = 140
"""Height of Label Studio's list of regions, which lies below our questions."""
_SHORT_LIST_PX: Final = 60
"""Its height where the earlier answers of a second look need the room, and nothing is painted as a rule."""
_MOST_PARTS_ORDERED: Final = 40
"""Canvases of masks, two a region, whose order is turned."""


def _order_of_masks() -> str:
    """Rules that put newer masks over older ones, so that parts lie over the object; the selected one lies on top.

    Label Studio draws the newest region first, beneath all others (Chromium's sort turns the list round; Firefox's does
    not), and the selected one last.
    """
    rules = [
        f"{_STAGE} canvas:nth-child({number} of {_MASK}) {{ z-index: {_MOST_PARTS_ORDERED - number + 1}; }}"
        for number in range(1, _MOST_PARTS_ORDERED + 1)
    ]
    selected = ".lsf-root:has(.lsf-tree__node_selected, .lsf-tree-treenode-selected)"
    rules += [
        f"{_STAGE} canvas{_MASK} ~ canvas:not({_MASK}) {{ z-index: 99; }}",
        f"{selected} {_STAGE} canvas:nth-last-child(-n+2 of {_MASK}) {{ z-index: 98; }}",
    ]
    return "@supports not (-moz-appearance: none) {\n" + "\n".join(rules) + "\n}"


STYLE: Final = f"""
.fg-page {{ display: grid; grid-template-columns: minmax(0, 1fr) {_SIDE_PX - 8}px; gap: 8px; }}
.lsf-sidepanels:has(.fg-page) {{ --fg-list: {_LIST_PX}px; }}
.lsf-sidepanels:has(.fg-answers) {{ --fg-list: {_SHORT_LIST_PX}px; }}
.fg-side {{ max-height: calc(100vh - var(--fg-list) - 106px); overflow-y: auto; padding-right: 4px; }}
.fg-answers img {{ display: block; width: 250px; max-height: 150px; object-fit: contain; object-position: left; }}
.fg-side h4, .fg-side h5, .fg-side h6 {{ margin: 4px 0 0; padding: 0; font-size: 14px; }}
.fg-side .lsf-labels, .fg-side .lsf-choices, .fg-side .lsf-text-area {{ margin: 2px 0 !important; }}
.lsf-sidepanels:has(.fg-page) {{ padding-right: 0 !important; }}
.lsf-main-view__annotation:has(.fg-page) {{ padding: 4px 8px !important; }}
.lsf-sidepanels:has(.fg-page) .lsf-sidepanels__wrapper_align_right {{ position: fixed !important; right: 0;
  top: auto !important; bottom: 50px; width: {_SIDE_PX}px !important; height: var(--fg-list) !important; z-index: 5; }}
.lsf-tabs-panel:has(.lsf-info), .lsf-tabs-panel:has(.lsf-outliner) .lsf-tabs-panel__header
  {{ display: none !important; }}
.lsf-tabs-panel:has(.lsf-outliner) {{ height: var(--fg-list) !important; width: 100% !important; }}
.lsf-tabs-panel:has(.lsf-outliner) :is(.lsf-tabs__tabs-row, .lsf-view-controls) {{ display: none; }}
.lsf-tabs-panel:has(.lsf-outliner) :is(.lsf-tabs-panel__content, .lsf-tabs-panel__body, .lsf-tabs, .lsf-tabs__contents,
  .lsf-outliner) {{ display: block !important; height: 100% !important; }}
.lsf-outliner-tree {{ height: calc(var(--fg-list) - 2px) !important; }}
.lsf-outliner [data-testid="empty-state"] {{ display: none; }}
.lsf-outliner-item__title * {{ color: var(--color-neutral-content) !important; }}
.lsf-label, .lsf-outliner-item__index {{ outline: 1px solid #767676; }}
.fg-side .lsf-choices {{ display: block; }}
.fg-side .lsf-choice__item {{ margin: 0; line-height: 20px; font-size: 13px; }}
.fg-side .lsf-choices > div, .fg-side .lsf-labels > span {{ margin-top: 0 !important; margin-bottom: 3px !important; }}
.fg-photo .lsf-toolbar {{ position: absolute; right: 0; top: 100px; }}
.fg-waiting {{ display: none; }}
.lsf-root:has([data-testid="bottombar-accept-suggestions-button"]) .fg-waiting
  {{ display: block; background: #ffe9a8; padding: 4px 8px; border: 2px solid #b37400; }}
{_STAGE} canvas{_MASK} {{ opacity: 1 !important; }}
{_STAGE} canvas:nth-child(odd of {_MASK}) {{ filter: {_mask_filter()}; }}
{_STAGE}:active canvas{_MASK} {{ opacity: {_FILL} !important; filter: none !important; }}
{_order_of_masks()}
"""
