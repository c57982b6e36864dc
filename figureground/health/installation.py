"""Packages: which are there, whether in versions that were tried, and whether one stands in another's way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from figureground.errors import listed
from figureground.health.findings import Finding

AREA: Final = "installation"
_OWN: Final = "figureground"
_SAME_FOLDER: Final = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
"""Packages that write into the same ``cv2/`` as the headless OpenCV of ours: whichever came last has won."""


def look_at_installation() -> Iterator[Finding]:
    """Python, the packages of the core, each extra, and packages that do not go together."""
    yield _python()
    requirements = [Requirement(text) for text in distribution(_OWN).requires or ()]
    core = [requirement for requirement in requirements if _wanted(requirement, "")]
    yield _packages("core", core, f"pip install {_OWN}")
    for extra in distribution(_OWN).metadata.get_all("Provides-Extra") or ():
        yield _extra(extra, requirements)
    yield from _opencv()
    yield from _torch_pair()


def _python() -> Finding:
    asked = SpecifierSet(distribution(_OWN).metadata["Requires-Python"])
    own = ".".join(map(str, sys.version_info[:3]))
    detail = f"Python {own} at {sys.executable}, figureground {version(_OWN)}"
    if own in asked:
        return Finding(area=AREA, name="python", state="good", detail=detail)
    return Finding(area=AREA, name="python", state="broken", detail=detail, remedy=f"use Python {asked}")


def _extra(extra: str, requirements: list[Requirement]) -> Finding:
    own = list(_of_extra(extra, requirements))
    there = [requirement for requirement in own if _installed(requirement.name)]
    if not any(requirement.name != _OWN for requirement in there):
        detail = f"not installed ({listed([requirement.name for requirement in own])})"
        remedy = f"where it is wanted: pip install '{_OWN}[{extra}]'"
        return Finding(area=AREA, name=f"extra {extra}", state="absent", detail=detail, remedy=remedy)
    return _packages(f"extra {extra}", own, f"pip install '{_OWN}[{extra}]'")


def _of_extra(extra: str, requirements: list[Requirement]) -> Iterator[Requirement]:
    """The packages of an extra, and those of the extras that it names."""
    for requirement in requirements:
        if not _wanted(requirement, extra) or _wanted(requirement, ""):
            continue
        if requirement.name != _OWN:
            yield requirement
        for other in requirement.extras if requirement.name == _OWN else ():
            yield from _of_extra(other, requirements)


def _wanted(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _packages(name: str, requirements: list[Requirement], install: str) -> Finding:
    """Whether packages are there, and in versions that were tried."""
    missing = [requirement.name for requirement in requirements if not _installed(requirement.name)]
    strange = [
        f"{requirement.name} {version(requirement.name)} (tried: {requirement.specifier})"
        for requirement in requirements
        if _installed(requirement.name)
        and not requirement.specifier.contains(version(requirement.name), prereleases=True)
    ]
    parts = [f"not installed: {listed(missing)}"] if missing else []
    parts += [f"in another version: {listed(strange)}"] if strange else []
    if parts:
        return Finding(area=AREA, name=name, state="broken", detail="; ".join(parts), remedy=install)
    return Finding(area=AREA, name=name, state="good", detail=f"{len(requirements)} packages")


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _opencv() -> Iterator[Finding]:
    """Nothing, or that two packages own ``cv2``; pixels depend on which of them is imported."""
    others = [name for name in _SAME_FOLDER if _installed(name)]
    if others:
        yield Finding(
            area=AREA,
            name="opencv",
            state="broken",
            detail=f"{listed(others)} lies in the same folder as opencv-python-headless",
            remedy=f"pip uninstall {' '.join(others)}; pip install --force-reinstall opencv-python-headless",
        )


def _torch_pair() -> Iterator[Finding]:
    """Nothing, or that torchvision was built for another torch than the one that is there."""
    if not (_installed("torch") and _installed("torchvision")):
        return
    for asked in map(Requirement, distribution("torchvision").requires or ()):
        if asked.name == "torch" and not asked.specifier.contains(version("torch"), prereleases=True):
            built = f"torchvision {version('torchvision')} is built for torch{asked.specifier}"
            remedy = f"pip install 'torch{asked.specifier}'"
            detail = f"{built}, not for {version('torch')}"
            yield Finding(area=AREA, name="torch", state="broken", detail=detail, remedy=remedy)
