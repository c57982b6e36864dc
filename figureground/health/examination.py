"""All that ``doctor`` looks at, one look after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from figureground.annotate.studio.home import StudioHome
from figureground.errors import FigureGroundError
from figureground.health import installation, machine, servers, weights, workspaces
from figureground.health.findings import Diagnosis, Finding
from figureground.runtime.failures import failure_of
from figureground.runtime.progress import Progress


def examine(workspace: Path | None = None, *, progress: Progress = lambda *_: None) -> Diagnosis:
    """Look at everything; nothing is changed, and a look that fails hides no other.

    Args:
        workspace: Folder of a workspace to look at too.
        progress: Called with (stage, done, total).
    """
    home = None if workspace is None else StudioHome.of(workspace)
    looks = [
        (installation.AREA, "packages", installation.look_at_installation()),
        (machine.AREA, "machine", machine.look_at_machine(workspace or Path.cwd())),
        (weights.AREA, "weights", weights.look_at_weights(progress)),
        (servers.AREA, "Label Studio", servers.look_at_studio(home)),
        (servers.AREA, "the Hub", servers.look_at_hub()),
    ]
    if workspace is not None:
        looks.append((workspaces.AREA, "database", workspaces.look_at_workspace(workspace)))
    return Diagnosis(findings=tuple(finding for look in looks for finding in _whole(*look)))


def _whole(area: str, name: str, look: Iterator[Finding]) -> Iterator[Finding]:
    """What a look finds; one that ends in an error of the house, or of the disk, has found that."""
    try:
        yield from look
    except (FigureGroundError, OSError) as error:
        yield Finding(area=area, name=name, state="broken", detail=str(failure_of(error) or error))
