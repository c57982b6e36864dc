"""What a rater reads: the page, the instructions, and the data of a task, which name nothing but the question."""

from __future__ import annotations

from typing import Any, Final
from xml.etree import ElementTree as xml

from figureground.errors import DataError
from figureground.schemas.pages.human_tasks import Arm, Design, HumanAnswer, HumanKit, HumanTask

IMAGE_CONTROL: Final = "image"
ANSWER_CONTROL: Final = "answer"
YES: Final = "yes"
NO: Final = "no, it shows something else"
ABSENT: Final[dict[Design, str]] = {
    "verification": "there is no object, or I cannot tell",
    "choice": "none of these, or there is no object, or I cannot tell",
}
"""The answer by which a label is called wrong, or its object absent."""

_SHOWN_PX: Final = 448
"""Width on screen of the arm ``model``: two pixels a pixel."""
_STYLE: Final = """
.human-page { display: flex; flex-wrap: wrap; gap: 24px; justify-content: center; }
.human-picture { flex: 1 1 SHOWNpx; max-width: MOSTpx; }
.human-answers { flex: 0 1 340px; }
"""

Json = dict[str, Any]


def page_configuration(arm: Arm) -> str:
    """XML of the page: the picture, beside it the question and the answers, which have the hotkeys 1, 2, 3 and so on.

    The arm ``model`` shows every picture at one size without zoom, so that nobody sees more than another.
    """
    root = xml.Element("View")
    most = str(_SHOWN_PX) if arm == "model" else "1200"
    xml.SubElement(root, "Style").text = _STYLE.replace("SHOWN", str(_SHOWN_PX)).replace("MOST", most)
    page = xml.SubElement(root, "View", className="human-page")
    picture = xml.SubElement(page, "View", className="human-picture")
    zoom = "true" if arm == "full" else "false"
    width = {"width": f"{_SHOWN_PX}px", "maxWidth": f"{_SHOWN_PX}px"} if arm == "model" else {"maxWidth": "100%"}
    shown = {"value": "$image", "zoom": zoom, "zoomControl": zoom, "rotateControl": "false", **width}
    xml.SubElement(picture, "Image", {"name": IMAGE_CONTROL, **shown})
    answers = xml.SubElement(page, "View", className="human-answers")
    xml.SubElement(answers, "Header", value="$question", size="4")
    xml.SubElement(
        answers,
        "Choices",
        name=ANSWER_CONTROL,
        toName=IMAGE_CONTROL,
        value="$options",
        choice="single-radio",
        required="true",
        requiredMessage="Choose an answer.",
    )
    xml.indent(root)
    return xml.tostring(root, encoding="unicode")


def instructions(kit: HumanKit) -> str:
    """HTML that raters read before they begin."""
    limit = kit.facts.seconds_limit
    asked = {
        "verification": f"<p>Each picture comes with the name of a thing. Say whether the picture shows it: "
        f"<b>{YES}</b>; <b>{NO}</b>; or <b>{ABSENT['verification']}</b>. Pictures come back with other names.</p>",
        "choice": f"<p>Say which of the things on the list the picture shows. If it is none of them, or the picture "
        f"shows no object, or you cannot tell: <b>{ABSENT['choice']}</b>.</p>",
    }[kit.facts.design]
    return (
        f"{asked}<p><b>At most {limit} seconds a picture.</b> The time that you take is recorded. Answer from what you "
        f"see; look nothing up, and ask nobody.</p><p>Some pictures come twice, to see whether answers are given with "
        f"attention. The key beside an answer chooses it, Ctrl+Enter submits it.</p>"
    )


def options(task: HumanTask, kit: HumanKit) -> tuple[str, ...]:
    """The answers of a task as a rater reads them."""
    if task.asked is not None:
        return YES, NO, ABSENT["verification"]
    return *(kit.titles[index] for index in task.offered), ABSENT["choice"]


def question(task: HumanTask, kit: HumanKit) -> str:
    """What is asked."""
    if task.asked is None:
        return "What does the picture show?"
    return f"Does the picture show this: {kit.titles[task.asked]}?"


def task_json(task: HumanTask, kit: HumanKit, address: str) -> Json:
    """A task as Label Studio imports it.

    ``image_id``, which is what our client finds tasks by, is the blind id.
    """
    listed = [{"value": text} for text in options(task, kit)]
    return {"data": {"image": address, "image_id": task.task_id, "question": question(task, kit), "options": listed}}


def read_choice(text: str, task: HumanTask, kit: HumanKit, *, rater: str, seconds: float | None) -> HumanAnswer:
    """The answer that a chosen text means.

    Raises:
        DataError: if it was not offered.
    """
    offered = options(task, kit)
    if text not in offered:
        raise DataError.single(
            "Label Studio",
            f"task {task.task_id}",
            expected=f"one of {', '.join(offered)}",
            got=repr(text[:80]),
            remedy="the answer belongs to another page; delete it in Label Studio and pull again",
        )
    position = offered.index(text)
    if position == len(offered) - 1:
        return HumanAnswer(task_id=task.task_id, rater=rater, said="absent", seconds=seconds)
    if task.asked is None:
        return HumanAnswer(
            task_id=task.task_id, rater=rater, said="chosen", chosen=task.offered[position], seconds=seconds
        )
    return HumanAnswer(task_id=task.task_id, rater=rater, said="no" if position else "yes", seconds=seconds)
