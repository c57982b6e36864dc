"""Shapes of ``status``, ``doctor`` and ``demo``."""

from __future__ import annotations

from figureground.cli.outputs.printed import Output
from figureground.demo.walk import DemoReport
from figureground.health.findings import Finding
from figureground.health.status import WorkspaceState

Status = WorkspaceState
Demo = DemoReport


class Counts(Output):
    """Findings by state."""

    good: int
    absent: int
    """What is not there, and was perhaps never wanted: no fault."""
    doubtful: int
    """What works, and may not for long."""
    broken: int


class Doctor(Output):
    """All that was looked at, in the order in which it was."""

    findings: list[Finding]
    counts: Counts
