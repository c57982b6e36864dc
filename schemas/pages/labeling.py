"""Label Studio's labeling configuration: the annotator's page, made from an attribute schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as xml

from figureground.schemas.attributes import OBJECT, Attribute, AttributeSchema
from figureground.schemas.pages.page_style import (
    GROUND_COLOUR,
    OBJECT_COLOUR,
    PART_COLOURS,
    PHOTO_HEIGHT,
    PHOTO_WIDTH,
    STYLE,
)
from figureground.schemas.records import SECOND_LOOKS, Purpose

IMAGE_CONTROL: Final = "image"
MASK_CONTROL: Final = "mask"
"""The brush labels: the object and every local attribute."""
VISIBILITY_CONTROL: Final = "visibility"
"""Asked about each region."""
ATTRIBUTES_CONTROL: Final = "attributes"
FLAGS_CONTROL: Final = "flags"
NOTE_CONTROL: Final = "note"
SETTLEMENT_CONTROL: Final = "settlement"
"""Of a second look: the letter of the earlier answer that is right, or one of the two words below."""
PARTS_CONTROL: Final = "parts"
"""What is said of the parts that are not painted."""
NO_OTHER_PARTS: Final = "no_other_parts"
"""Its one choice."""
POINT_CONTROL: Final = "sam_point"
GROUND_CONTROL: Final = "sam_not"
"""Points that lie beside the object: the backend takes what comes from this control as negative."""
BOX_CONTROL: Final = "sam_box"
PART_POINT_CONTROL: Final = "sam_part_point"
PART_BOX_CONTROL: Final = "sam_part_box"

PAINTED: Final = "painted"
"""What is painted on the page of the second look is right."""
FLAGGED: Final = "flagged"
"""None is right; the flags say why."""
VISIBILITIES: Final = ("visible", "occluded", "unsure")
FLAGS: Final = {
    "class_visible_outside": "another one of its kind lies outside the mask",
    "not_localisable": "it is there, but nobody could paint it",
    "confirmed_empty": "it is not in the photo",
    "wrong_label": "it is something else",
    "needs_second": "somebody else should look",
}
"""Flags and what they mean; ``class_visible_outside`` describes, the others put the photo in doubt."""

# Neither is a hotkey of the editor itself (its tools have b e h k m o r v w u and the brackets).
_DIGITS: Final = "234567890"
_LETTERS: Final = ("q", "t", "y", "i", "j", "l", "n", *(f"shift+{digit}" for digit in "34567890"))
_FLAG_KEYS: Final = "asdfg"
_VISIBILITY_KEYS: Final = "zxc"
_NO_OTHER_PARTS_KEY: Final = "p"
"""The editor's for polygons, which the page has none of."""

_SMART: Final = {"toName": IMAGE_CONTROL, "smart": "true", "smartOnly": "true"}

EDITOR_KEYMAP: Final = {
    "annotation:submit": {"key": "enter,ctrl+enter", "mac": "enter,command+enter"},
    "region:focus": {"key": "alt+enter"},
    "region:cycle": {"key": "space,alt+."},
}
"""Keys of the editor that a server of ours has: Enter submits, the space bar takes the next mask in hand. Enter is the
editor's for a thing that the page does not need."""


def labeling_configuration(schema: AttributeSchema, *, purpose: Purpose = "first_look") -> str:
    """XML of the page on which people correct the masks and attributes of one photo.

    The photo takes the width; beside it stand the brush labels (the object and every local attribute), what is known
    of the selected region, the global attributes, the flags and a note. Hotkeys: 1 for the object, other digits for
    parts, p for "none of the other parts", z x c for visibility, a s d f g for flags; alt with a part's key makes it a
    point prompt for SAM, alt and shift a box. SAM's prompts for the object itself need no label.

    Args:
        schema: What is asked for.
        purpose: ``second_look`` also shows the earlier answers, small, and has to be told which is right.
    """
    root = xml.Element("View")
    xml.SubElement(root, "Style").text = STYLE
    page = _view(root, "fg-page")
    photo = _view(page, "fg-photo")
    _photo(photo)
    side = _view(page, "fg-side")
    _header(side, "$title", size=5)
    if purpose in SECOND_LOOKS:
        _settlement(side)
    _header(
        _view(side, "fg-waiting"), "SAM's suggestion is not taken yet: click the green tick below, or the red cross"
    )
    keys = _hotkeys(schema)
    _masks(side, schema, keys)
    _region_questions(side)
    _image_questions(side, schema, keys)
    _smart_tools(side, schema, keys)
    xml.indent(root)
    return xml.tostring(root, encoding="unicode")


def _settlement(side: xml.Element) -> None:
    """Which answer is right: pictures with letters, which each task brings itself, and what else is possible."""
    _header(side, "$question")
    attributes = {"name": SETTLEMENT_CONTROL, "toName": IMAGE_CONTROL, "value": "$answers", "choice": "single-radio"}
    message = "Say which answer is right, or that what you painted is"
    answers = _view(side, "fg-answers")
    xml.SubElement(answers, "Choices", {**attributes, "required": "true", "requiredMessage": message})


def annotators_instructions() -> str:
    """HTML of what annotators read, made by ``make docs`` from docs/annotating.md."""
    return Path(__file__).with_name("annotating.html").read_text(encoding="utf-8")


def _photo(parent: xml.Element) -> None:
    """The photo, as large as the window allows; a zoomed one takes the whole height, whatever its shape."""
    xml.SubElement(
        parent,
        "Image",
        name=IMAGE_CONTROL,
        value="$image",
        zoom="true",
        zoomControl="true",
        brightnessControl="true",
        contrastControl="true",
        width=PHOTO_WIDTH,
        maxWidth=PHOTO_WIDTH,
        height=PHOTO_HEIGHT,
        maxHeight=PHOTO_HEIGHT,
        rotateControl="false",
    )


def _masks(side: xml.Element, schema: AttributeSchema, keys: dict[str, str]) -> None:
    _header(side, "Paint")
    brush = xml.SubElement(
        side, "BrushLabels", name=MASK_CONTROL, toName=IMAGE_CONTROL, showInline="true", smart="false"
    )
    labels = list(_labels(schema))
    for name, colour, ask in labels:
        _option(brush, "Label", name, hotkey=keys.get(name, ""), background=colour, hint=ask)
    for name, colour, _ in labels[1:]:
        # Regions of an answer that was given before a renaming would have neither name nor colour. The key is there
        # because the editor would choose one by itself.
        if was := _attribute(schema, name).was:
            hotkey = f"ctrl+alt+{keys[name]}" if name in keys else ""
            _option(brush, "Label", was, visible="false", hotkey=hotkey, background=colour)
    if schema.names("local"):
        control = _choices(side, PARTS_CONTROL, (), "", choice="multiple")
        words = "none of the other parts can be seen"
        _option(control, "Choice", NO_OTHER_PARTS, hotkey=_NO_OTHER_PARTS_KEY, html=words)


def _smart_tools(side: xml.Element, schema: AttributeSchema, keys: dict[str, str]) -> None:
    """Point and box prompts for the interactive SAM; they leave no regions of their own.

    Those for the object have no labels, so that no label has to be chosen again after each click. Every label is given
    a key, for the editor gives those without one any that is left, its own tools' among them; so parts for which no
    plain key is left are not offered here. The order decides what the editor's keys take: M the first of these tools,
    K the last one for points, R the last one for boxes; and the next photo opens with the last one of its kind, which
    therefore must not be the one for "not this".
    """
    _object_prompt(side, "KeyPoint", GROUND_CONTROL, GROUND_COLOUR)
    if schema.names("local"):
        _part_prompts(side, schema, keys)
    _object_prompt(side, "Rectangle", BOX_CONTROL, OBJECT_COLOUR)
    _object_prompt(side, "KeyPoint", POINT_CONTROL, OBJECT_COLOUR)


def _object_prompt(parent: xml.Element, tag: str, name: str, colour: str) -> None:
    stroke = "5" if tag == "KeyPoint" else "2"
    look = {"strokeColor": colour, "fillColor": colour, "strokeWidth": stroke}
    xml.SubElement(parent, tag, {"name": name, **_SMART, **look})


def _part_prompts(side: xml.Element, schema: AttributeSchema, keys: dict[str, str]) -> None:
    folded = xml.SubElement(_view(side, "fg-smart"), "Collapse")
    panel = xml.SubElement(folded, "Panel", value="Let SAM paint a part")
    for tag, name, hint, prefix in (
        ("KeyPointLabels", PART_POINT_CONTROL, "Point tool for parts: click (Alt: not this)", "alt+"),
        ("RectangleLabels", PART_BOX_CONTROL, "Box tool for parts: draw around it", "alt+shift+"),
    ):
        _header(panel, hint)
        control = xml.SubElement(panel, tag, {"name": name, "showInline": "true", **_SMART})
        for label, colour, _ in list(_labels(schema))[1:]:
            key = keys.get(label, "")
            if len(key) == 1:
                _option(control, "Label", label, background=colour, hotkey=f"{prefix}{key}")


def _region_questions(side: xml.Element) -> None:
    asked = xml.SubElement(side, "View", visibleWhen="region-selected")
    _header(asked, "The selected region is")
    _choices(asked, VISIBILITY_CONTROL, VISIBILITIES, _VISIBILITY_KEYS, perRegion="true", choice="single-radio")


def _image_questions(side: xml.Element, schema: AttributeSchema, keys: dict[str, str]) -> None:
    if ticked := [attribute for attribute in schema.attributes if attribute.scope == "global"]:
        _header(side, "The object is")
        control = _choices(side, ATTRIBUTES_CONTROL, (), "", choice="multiple")
        for attribute in ticked:
            hotkey = keys.get(attribute.name, "")
            _option(control, "Choice", attribute.name, hotkey=hotkey, hint=attribute.ask)
    _header(side, "Anything wrong?")
    control = _choices(side, FLAGS_CONTROL, (), "", choice="multiple")
    for (flag, meaning), key in zip(FLAGS.items(), _FLAG_KEYS, strict=True):
        _option(control, "Choice", flag, hotkey=key, html=meaning)
    xml.SubElement(
        side,
        "TextArea",
        name=NOTE_CONTROL,
        toName=IMAGE_CONTROL,
        rows="1",
        maxSubmissions="1",
        editable="true",
        placeholder="A note, if one is needed",
    )


def _labels(schema: AttributeSchema) -> Iterator[tuple[str, str, str]]:
    """(name, colour, what is asked) of everything that is painted."""
    yield OBJECT, OBJECT_COLOUR, "Every visible pixel of the object, holes left out"
    for index, name in enumerate(schema.names("local")):
        yield name, PART_COLOURS[index % len(PART_COLOURS)], _attribute(schema, name).ask


def _attribute(schema: AttributeSchema, name: str) -> Attribute:
    return next(attribute for attribute in schema.attributes if attribute.name == name)


def _hotkeys(schema: AttributeSchema) -> dict[str, str]:
    """Label to its key: parts first, then what is ticked; labels for which no key is left are missing."""
    painted, ticked = schema.names("local"), schema.names("global")
    keys = {OBJECT: "1", **dict(zip(painted, _DIGITS, strict=False))}
    return {**keys, **dict(zip([*painted[len(_DIGITS) :], *ticked], _LETTERS, strict=False))}


def _choices(parent: xml.Element, name: str, values: Sequence[str], keys: str, **attributes: str) -> xml.Element:
    asked = {"name": name, "toName": IMAGE_CONTROL, "showInline": "true", **attributes}
    control = xml.SubElement(parent, "Choices", asked)
    for value, key in zip(values, keys, strict=True):
        _option(control, "Choice", value, hotkey=key)
    return control


def _option(parent: xml.Element, tag: str, value: str, **attributes: str) -> None:
    xml.SubElement(parent, tag, {"value": value, **{key: text for key, text in attributes.items() if text}})


def _header(parent: xml.Element, text: str, size: int = 6) -> None:
    xml.SubElement(parent, "Header", value=text, size=str(size))


def _view(parent: xml.Element, style_class: str) -> xml.Element:
    return xml.SubElement(parent, "View", className=style_class)
