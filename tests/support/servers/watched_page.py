"""A page of ours in a real browser, and all that goes wrong on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no annotations


@dataclass
class WatchedPage:  # no slots: playwright notes things on it
    """A page that notes what its console says, what fails on it, and what it asks of others."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda line: self.complaints.append(line.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(self.url)

    def _note(self, request: Any) -> None:
        if not self.may_ask(request.url):
            self.complaints.append(f"asks {request.url}")

    def may_ask(self, url: str) -> bool:
        """Whether the page may ask for an address: one in a file of its own for nothing but itself."""
        return url.startswith("data:") or url.partition("#")[0] == self.url

    def await_count(self, text: str) -> None:
        self.page.wait_for_function("text => document.getElementById('count').textContent === text", arg=text)

    def choose(self, name: str, value: str) -> None:
        self.page.select_option(f"select[name={name}]", value)

    def focused(self) -> str:
        return str(self.page.evaluate("() => document.activeElement.dataset.row ?? document.activeElement.id"))

    def serious(self) -> list[str]:
        """What axe finds of serious and critical faults, by the rules of WCAG 2.2 A and AA and of good practice."""
        violations = Axe().run(self.page).response["violations"]
        return [
            f"{fault['id']}: {node['html'][:150]} {node['failureSummary'][:300]}"
            for fault in violations
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]
