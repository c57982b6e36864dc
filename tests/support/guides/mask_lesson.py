"""An annotator who does in a browser what the steps of a page say, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from guide_pages import Action, Section
from studio_page import Point, StudioPage

STROKES: dict[str, tuple[Point, ...]] = {
    "paint along the handle": ((394, 223), (467, 223), (467, 337), (394, 337)),
    "wipe over the reflection": tuple(
        point for y in range(310, 384, 8) for point in ((222.0, float(y)), (418.0, float(y)))
    ),
}
"""What the mouse does on the photos of figureground.demo.practice, in their pixels."""
CLICKS: dict[str, Point] = {"click on the apple": (200, 270), "click on the plate": (470, 350)}
_KEYS = {"Ctrl": "Control"}
_SUBMIT_MS = 20_000


class MaskLesson:
    """One annotator's tab."""

    def __init__(self, page: StudioPage, note: Callable[[str], None]) -> None:
        self.page = page
        self._note = note

    def shown(self) -> str:
        """The image_id of the photo that is shown."""
        return str(self.page.task_data()["image_id"])

    def do(self, section: Section, *, before: dict[str, Path] | None = None) -> None:
        """Take the steps of a section; ``before`` names files for screenshots, by what is clicked on next."""
        self._note(f"[{section.title}]\n")
        for step in section.steps:
            assert step, f"a step of {section.title!r} says nothing to do"
            for action in step:
                if action.what in (before or {}):
                    self.page.screenshot((before or {})[action.what])
                self._note(f"  {action.kind}: {action.what}\n")
                {"key": self._press, "click": self._click, "mouse": self._move}[action.kind](action)

    def submit(self, section: Section, *, before: dict[str, Path] | None = None) -> None:
        """Take the steps of a section, which end with the photo submitted or skipped."""
        task = self.page.page.evaluate("() => window.Htx.task.id")
        self.do(section, before=before)
        self.page.page.wait_for_function(
            "task => window.Htx?.task?.id !== task || window.Htx?.noTask", arg=task, timeout=_SUBMIT_MS
        )
        if not self.page.page.evaluate("() => Boolean(window.Htx?.noTask)"):
            self.page.await_photo()

    def _press(self, action: Action) -> None:
        *held, last = action.what.split("+")
        key = last.lower() if len(last) == 1 and not held else last
        self.page.press("+".join([*(_KEYS.get(name, name) for name in held), key]))

    def _click(self, action: Action) -> None:
        tab = self.page.page
        if action.what == "green tick":
            self.page.accept()
        elif action.what == "Auto-Annotation":
            tab.locator("text=Auto-Annotation").last.click()
            tab.wait_for_selector("[class*=tool_smart]")
        elif action.what == "Label All Tasks":
            tab.get_by_role("button", name="Label All Tasks").first.click()
            self.page.await_photo()
        else:
            self.page.tick(action.what)

    def _move(self, action: Action) -> None:
        if action.what == "click beside the photo":
            self.page.look_aside()
        elif action.what in STROKES:
            self.page.stroke(*STROKES[action.what])
        elif self._asks_sam():
            with self.page.suggestion():
                self.page.click(CLICKS[action.what])
        else:
            self.page.click(CLICKS[action.what])

    def _asks_sam(self) -> Any:
        return self.page.tool()[0].endswith("-dynamic")
