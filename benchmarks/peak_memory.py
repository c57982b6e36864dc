"""Peak memory of this process, as several benchmarks measure it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_mb() -> float:
    """Most resident memory so far of this process, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage of a process that was spawned counts its parent, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kilobytes elsewhere
