"""Label Studio's labeling configuration: the annotator's page, made from an attribute schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree import ElementTree as xml

from figureground.schemas.attributes import OBJECT, Attribute, AttributeSchema
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
POINT_CONTROL: Final = "sam_point"
BOX_CONTROL: Final = "sam_box"

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

# Neither is a hotkey of the editor itself (its tools have b e h k m o p r v w u and the brackets).
_DIGITS: Final = "234567890"
_LETTERS: Final = ("q", "t", "y", "i", "j", "l", "n", *(f"shift+{digit}" for digit in "34567890"))
_FLAG_KEYS: Final = "asdfg"
_VISIBILITY_KEYS: Final = "zxc"

_OBJECT_COLOUR: Final = "#00a6ff"
_PART_COLOURS: Final = (
    "#e6194b",
    "#f58231",
    "#ffe119",
    "#bfef45",
    "#3cb44b",
    "#911eb4",
    "#f032e6",
    "#9a6324",
    "#469990",
    "#fabed4",
    "#aaffc3",
    "#dcbeff",
)
"""Far apart for most kinds of colour vision; repeated where a schema has more parts."""

_STYLE: Final = """
.fg-page { display: grid; grid-template-columns: minmax(0, 1fr) 280px; gap: 12px; }
.fg-side { max-height: 86vh; overflow-y: auto; padding-right: 4px; }
.fg-side h4, .fg-side h5, .fg-side h6 { margin: 8px 0 4px; }
.fg-smart [class*="hotkey"] { display: none; }
.fg-answers img { display: block; width: 100%; max-height: 190px; object-fit: contain; }
"""


def labeling_configuration(schema: AttributeSchema, *, purpose: Purpose = "first_look") -> str:
    """XML of the page on which people correct the masks and attributes of one photo.

    The photo takes the width; beside it stand the brush labels (the object and every local attribute), what is known
    of the selected region, the global attributes, the flags, a note and SAM. Hotkeys: 1 for the object, other digits
    for parts, z x c for visibility, a s d f g for flags; alt with a label's key makes it a point prompt, alt and shift
    a box.

    Args:
        schema: What is asked for.
        purpose: ``second_look`` also shows the earlier answers, small, and has to be told which is right.
    """
    root = xml.Element("View")
    xml.SubElement(root, "Style").text = _STYLE
    page = _view(root, "fg-page")
    photo = _view(page, "fg-photo")
    xml.SubElement(
        photo,
        "Image",
        name=IMAGE_CONTROL,
        value="$image",
        zoom="true",
        zoomControl="true",
        brightnessControl="true",
        contrastControl="true",
        maxWidth="100%",
        rotateControl="false",
    )
    side = _view(page, "fg-side")
    _header(side, "$title", size=5)
    if purpose in SECOND_LOOKS:
        _settlement(side)
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


def _masks(side: xml.Element, schema: AttributeSchema, keys: dict[str, str]) -> None:
    _header(side, "Paint")
    brush = xml.SubElement(
        side, "BrushLabels", name=MASK_CONTROL, toName=IMAGE_CONTROL, showInline="true", smart="false"
    )
    for name, colour, ask in _labels(schema):
        _option(brush, "Label", name, hotkey=keys.get(name, ""), background=colour, hint=ask)


def _smart_tools(side: xml.Element, schema: AttributeSchema, keys: dict[str, str]) -> None:
    """Point and box prompts for the interactive SAM; they leave no regions of their own.

    Every label is given a key, for the editor gives those without one any that is left, its own tools' among them; so
    labels for which no plain key is left are not offered here.
    """
    folded = xml.SubElement(_view(side, "fg-smart"), "Collapse")
    panel = xml.SubElement(folded, "Panel", value="Let SAM paint")
    for tag, name, hint, prefix in (
        ("KeyPointLabels", POINT_CONTROL, "Auto-Annotation on, point tool: click (Alt: not this)", "alt+"),
        ("RectangleLabels", BOX_CONTROL, "Auto-Annotation on, box tool: draw around it", "alt+shift+"),
    ):
        _header(panel, hint)
        attributes = {"name": name, "toName": IMAGE_CONTROL, "smart": "true", "smartOnly": "true", "showInline": "true"}
        control = xml.SubElement(panel, tag, attributes)
        for label, colour, _ in _labels(schema):
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
        _option(control, "Choice", flag, hotkey=key, hint=meaning)
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
    yield OBJECT, _OBJECT_COLOUR, "Every visible pixel of the object, holes left out"
    for index, name in enumerate(schema.names("local")):
        yield name, _PART_COLOURS[index % len(_PART_COLOURS)], _attribute(schema, name).ask


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
