"""What ``doctor`` finds: one thing that was looked at, how it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

State = Literal["good", "absent", "doubtful", "broken"]
"""``absent`` is no fault: what is not there was perhaps never wanted. ``doubtful`` works, and may not for long."""

_MARKS: Final[Mapping[State, str]] = {"good": "ok", "absent": "--", "doubtful": "?", "broken": "!!"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    area: str
    """Of which it is a part: ``installation``, ``machine``, ``weights``, ``servers`` or ``workspace``."""
    name: str
    state: State
    detail: str
    """What was seen."""
    remedy: str = ""
    """What to type or to do; empty where nothing is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that was looked at, in the order in which it was."""

    findings: tuple[Finding, ...]

    def of_state(self, state: State) -> tuple[Finding, ...]:
        """The findings of one state."""
        return tuple(finding for finding in self.findings if finding.state == state)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        fields = ("area", "name", "state", "detail", "remedy")
        return {
            "findings": [{field: getattr(finding, field) for field in fields} for finding in self.findings],
            "counts": {state: len(self.of_state(state)) for state in _MARKS},
        }

    def __str__(self) -> str:
        """Some lines for people: a heading an area, a line a finding, its remedy below it."""
        lines = list[str]()
        area = ""
        for finding in self.findings:
            if finding.area != area:
                area = finding.area
                lines += [*([""] if lines else []), area]
            lines.append(f"  {_MARKS[finding.state]:2}  {finding.name}: {finding.detail}")
            if finding.remedy:
                lines.append(f"        {finding.remedy}")
        broken, doubtful = len(self.of_state("broken")), len(self.of_state("doubtful"))
        end = f"{broken} broken, {doubtful} doubtful" if broken or doubtful else "nothing is wrong"
        return "\n".join([*lines, "", end])
