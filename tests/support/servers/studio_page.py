"""Label Studio's page in a real browser: what an annotator does, and what they see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chromium import open_chromium

from figureground.annotate.studio.home import Connection

_IMAGE = "window.Htx?.annotationStore?.selected?.names?.get('image')"
_SHOWN = f"() => {{ const image = {_IMAGE}; return image && image.naturalWidth > 1 && image.stageWidth > 1; }}"
_SPOT = f"""([x, y]) => {{ const image = {_IMAGE}, box = image.stageRef.content.getBoundingClientRect();
  const spot = image.stageRef.getAbsoluteTransform().point(
    {{x: x / image.naturalWidth * image.stageWidth, y: y / image.naturalHeight * image.stageHeight}});
  return [box.x + spot.x, box.y + spot.y]; }}"""
_SHARE = f"""() => {{ const image = {_IMAGE}, box = image.containerRef.getBoundingClientRect();
  const width = Math.min(image.stageWidth * image.zoomScale, box.width, innerWidth - box.x);
  const height = Math.min(image.stageHeight * image.zoomScale, box.height, innerHeight - box.y);
  return width * height / (innerWidth * innerHeight); }}"""

Point = tuple[float, float]
"""(x, y) in pixels of the served copy."""


@contextmanager
def studio_page(connection: Connection, *, width: int = 1440, height: int = 900) -> Iterator[StudioPage]:
    """A browser that is logged in as the maintainer."""
    with open_chromium() as browser:
        yield log_in(browser, connection, width=width, height=height)


def log_in(browser: Any, connection: Connection, *, width: int = 1440, height: int = 900) -> StudioPage:
    """A window of its own, with cookies of its own, of the person whose name and password the connection has."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    page.goto(f"{connection.url}/user/login/")
    page.fill("input[name=email]", connection.username)
    page.fill("input[name=password]", connection.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)
    return StudioPage(page, connection)


class StudioPage:
    """One tab."""

    def __init__(self, page: Any, connection: Connection) -> None:
        self.page = page
        self._connection = connection
        self.requests: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))

    def open_task(self, project: int, task: int) -> None:
        """Open a task and wait until its picture and its machine mask are there."""
        self.page.goto(f"{self._connection.url}/projects/{project}/data?task={task}")
        self.page.wait_for_selector("canvas")
        self.page.wait_for_function(_SHOWN)
        self.page.wait_for_timeout(1500)

    def regions(self) -> list[dict[str, Any]]:
        """What the page would submit now."""
        return list(self.page.evaluate("() => window.Htx.annotationStore.selected.serializeAnnotation()"))

    def names_and_colours(self) -> list[tuple[str, str]]:
        """What the list of regions calls each one, and its colour."""
        rows = self.page.evaluate(
            "() => window.Htx.annotationStore.selected.regionStore.regions"
            ".map(region => [region.labels.join(), region.getOneColor()])"
        )
        return [(str(name), str(colour)) for name, colour in rows]

    def labels(self) -> list[str]:
        """Labels to paint with, as far as they are seen."""
        shown = self.page.locator(".fg-side .lsf-label:visible").all_inner_texts()
        return [text.split()[0] for text in shown]

    def await_regions(self, count: int) -> None:
        """Wait until the page has so many regions: a new one appears a moment after its stroke."""
        self.page.wait_for_function(
            "count => { const a = window.Htx.annotationStore.selected;"
            " return a.regionStore.regions.length === count && !a.isDrawing; }",
            arg=count,
        )

    def select_region(self, index: int = 0) -> None:
        """Select a region, whatever tool is in hand."""
        self.page.evaluate(
            "(index) => { const a = window.Htx.annotationStore.selected; a.selectArea(a.regionStore.regions[index]); }",
            index,
        )

    def choose_tool(self, name: str) -> None:
        """``brush-tool`` or ``eraser``, from the tool bar."""
        self.page.click(f"[aria-label={name}]")

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as ``Space``, ``e`` or ``Control+Enter``."""
        for key in keys:
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(300)

    def stroke(self, *points: Point) -> None:
        """Drag the mouse over the picture."""
        spots = [self._on_screen(point) for point in points]
        self.page.mouse.move(*spots[0])
        self.page.mouse.down()
        for spot in spots[1:]:
            self.page.mouse.move(*spot, steps=8)
        self.page.mouse.up()
        self.page.wait_for_timeout(500)

    def click(self, point: Point, *, modifier: str | None = None) -> None:
        """Click on the picture."""
        if modifier:
            self.page.keyboard.down(modifier)
        self.page.mouse.click(*self._on_screen(point))
        if modifier:
            self.page.keyboard.up(modifier)

    def tick(self, name: str) -> None:
        """Tick a choice."""
        self.page.locator(f'input[type=checkbox][name="{name}"]').check()

    def switch_sam_on(self) -> None:
        """Switch Auto-Annotation on, as annotators do once in each browser."""
        self.page.locator("text=Auto-Annotation").last.click()
        self.page.wait_for_selector("[class*=tool_smart]")
        self.look_aside()

    def look_aside(self) -> None:
        """Click beside everything: keys do nothing while a switch or the note has the cursor."""
        self.page.locator(".fg-side").click(position={"x": 250, "y": 8})

    def tool(self) -> tuple[str, str]:
        """The tool in hand, and the control of the page that it works for."""
        tools = self.page.evaluate(
            "() => window.Htx.annotationStore.selected.names.get('image').getToolsManager().allTools()"
            ".filter(tool => tool.selected).map(tool => [tool.fullName, tool.control.name])"
        )
        ((name, control),) = tools
        return str(name), str(control)

    @contextmanager
    def suggestion(self) -> Iterator[None]:
        """Wait for what SAM makes of what is done inside the block."""
        with self.page.expect_response(lambda answer: "interactive-annotating" in answer.url) as asked:
            yield
        assert asked.value.status == 200, asked.value.text()
        assert not asked.value.json().get("errors"), asked.value.json()
        self.page.wait_for_function("() => window.Htx.annotationStore.selected.suggestions.size === 1")
        self.page.wait_for_timeout(500)

    def accept(self) -> None:
        """Take over what SAM suggests."""
        self.page.click("[data-testid=bottombar-accept-suggestions-button]")
        self.page.wait_for_function("() => window.Htx.annotationStore.selected.suggestions.size === 0")
        self.page.wait_for_timeout(500)

    def open_next(self, project: int) -> int:
        """Open the stream of tasks, as annotators do; returns the task that it shows."""
        self.page.goto(f"{self._connection.url}/projects/{project}/data?labeling=1")
        return self.await_photo()

    def await_photo(self) -> int:
        """Wait until the stream shows a photo, with its machine mask; returns its task."""
        self.page.wait_for_selector("canvas")
        self.page.wait_for_function(_SHOWN)
        self.page.wait_for_timeout(1200)
        return int(self.page.evaluate("() => window.Htx.task.id"))

    def task_data(self) -> dict[str, Any]:
        """What was sent with the task that is shown."""
        return dict(json.loads(self.page.evaluate("() => window.Htx.task.data")))

    def await_end(self) -> None:
        """Wait until the stream says that nothing is left."""
        self.page.wait_for_function("() => window.Htx?.noTask")

    def send(self, key: str) -> int:
        """Submit or skip by a key; returns the HTTP status. The stream goes on by itself."""
        task = self.page.evaluate("() => window.Htx.task.id")
        with self.page.expect_response(_answers) as sent:
            self.page.keyboard.press(key)
        self.page.wait_for_function("task => window.Htx?.task?.id !== task || window.Htx?.noTask", arg=task)
        return int(sent.value.status)

    def share(self) -> float:
        """How much of the window the photo takes, in [0, 1]."""
        return float(self.page.evaluate(_SHARE))

    def picture(self) -> bytes:
        """PNG of the canvases as they are seen."""
        return bytes(self.page.locator("[class*=image-element], [class*=image_]").first.screenshot())

    def submit(self) -> int:
        """Submit by the button; returns the HTTP status that the server answered with."""
        with self.page.expect_response(_answers) as sent:
            self.page.click('button:has-text("Submit")')
        return int(sent.value.status)

    def skip(self) -> int:
        """Skip by the button; returns the HTTP status."""
        with self.page.expect_response(_answers) as sent:
            self.page.click('button:has-text("Skip")')
        return int(sent.value.status)

    def screenshot(self, path: Path) -> None:
        """Keep what is seen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path))

    def _on_screen(self, point: Point) -> Point:
        """Where a pixel of the picture is on the screen, however it is zoomed."""
        x, y = self.page.evaluate(_SPOT, list(point))
        return x, y


def _answers(response: Any) -> bool:
    return "/annotations" in response.url and response.request.method == "POST"
