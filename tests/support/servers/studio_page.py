"""Label Studio's page in a real browser: what an annotator does, and what they see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from needs import need

from figureground.annotate.studio.home import Connection

CHROMIUM = Path("/usr/bin/chromium")
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Point = tuple[float, float]
"""(x, y) in pixels of the served copy."""


@contextmanager
def studio_page(connection: Connection, *, width: int = 1440, height: int = 900) -> Iterator[StudioPage]:
    """A browser that is logged in as the maintainer."""
    need(CHROMIUM.is_file(), "Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_QUIET))
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(60_000)
            page.goto(f"{connection.url}/user/login/")
            page.fill("input[name=email]", connection.username)
            page.fill("input[name=password]", connection.password)
            page.click("button[type=submit]")
            page.wait_for_url(lambda url: "login" not in url)
            yield StudioPage(page, connection)
        finally:
            browser.close()


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
        self.page.wait_for_function(
            "() => { const image = window.Htx?.annotationStore?.selected?.names?.get('image');"
            " return image && image.naturalWidth > 1 && image.stageWidth > 1; }"
        )
        self.page.wait_for_timeout(1500)

    def regions(self) -> list[dict[str, Any]]:
        """What the page would submit now."""
        return list(self.page.evaluate("() => window.Htx.annotationStore.selected.serializeAnnotation()"))

    def select_region(self, index: int = 0) -> None:
        """Select a region, so that the brush goes on painting it."""
        self.page.evaluate(
            "(index) => { const a = window.Htx.annotationStore.selected; a.selectArea(a.regionStore.regions[index]); }",
            index,
        )

    def choose_tool(self, name: str) -> None:
        """``brush-tool`` or ``eraser``."""
        self.page.click(f"[aria-label={name}]")

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

    def delete_region(self, index: int = 0) -> None:
        """Delete a region as a person does."""
        self.select_region(index)
        self.page.keyboard.press("Backspace")
        self.page.wait_for_timeout(500)

    def choose_smart_tool(self, name: str, key: str) -> None:
        """Switch Auto-Annotation on, take ``key-point-tool`` or ``rectangle-tool``, and the label by its key."""
        if not self.page.locator("[class*=tool_smart]").count():
            self.page.locator("text=Auto-Annotation").last.click()
            self.page.wait_for_selector("[class*=tool_smart]")
        self.page.locator("[class*=tool_smart]").first.hover()
        self.page.locator(f"[aria-label={name}]").last.click()
        self.page.mouse.move(5, 5)  # the menu of tools would catch the next click
        self.page.keyboard.press(key)
        self.page.wait_for_timeout(300)

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
        self.page.wait_for_selector("canvas")
        self.page.wait_for_timeout(3000)
        return int(self.page.evaluate("() => window.Htx.task.id"))

    def picture(self) -> bytes:
        """PNG of the canvases as they are seen."""
        return bytes(self.page.locator("[class*=image-element], [class*=image_]").first.screenshot())

    def submit(self) -> int:
        """Submit; returns the HTTP status that the server answered with."""
        return self._send('button:has-text("Submit")', "/annotations")

    def skip(self) -> int:
        """Skip; returns the HTTP status."""
        return self._send('button:has-text("Skip")', "/annotations")

    def screenshot(self, path: Path, *, without_list: bool = False) -> None:
        """Keep what is seen, or all of it but the list of tasks on the left."""
        path.parent.mkdir(parents=True, exist_ok=True)
        left = 240 if without_list else 0
        size = self.page.viewport_size
        clip = {"x": left, "y": 0, "width": size["width"] - left, "height": size["height"]}
        self.page.screenshot(path=str(path), clip=clip)

    def _send(self, button: str, route: str) -> int:
        with self.page.expect_response(lambda answer: route in answer.url and answer.request.method == "POST") as sent:
            self.page.click(button)
        return int(sent.value.status)

    def _on_screen(self, point: Point) -> Point:
        """Where a pixel of the picture is on the screen."""
        box = self.page.locator("canvas").first.bounding_box()
        width, height = self.page.evaluate(
            "() => { const image = window.Htx.annotationStore.selected.names.get('image');"
            " return [image.naturalWidth, image.naturalHeight]; }"
        )
        return box["x"] + point[0] / width * box["width"], box["y"] + point[1] / height * box["height"]
