"""Pictures of a report as files: charts in every format that is asked for, sheets of photos as PNG alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from figureground.runtime.files import replace_file

VectorFormat = Literal["svg", "pdf"]
PictureFormat = Literal["png", "svg", "pdf"]

PNG: Final = "png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that pages show."""

    name: str
    """Its PNG."""
    kind: str
    """Which caption it has."""
    photos: bool
    """Whether it is a sheet of photos."""
    of: str
    """The model, variant or else that it is of; empty where it is of all."""


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """Where pictures are written, and which were."""

    path: Path
    formats: tuple[PictureFormat, ...] = (PNG,)
    """Of charts."""
    names: list[str] = field(default_factory=list)
    """Files that were written, in this order."""
    shown: list[Picture] = field(default_factory=list)
    """Those of them that are PNG."""

    def chart(self, name: str, draw: Callable[[str], bytes], *, kind: str, of: str = "") -> None:
        """Write a chart, ``name`` and ending; ``draw`` gives it in a format. Each file is whole or not there."""
        for picture_format in self.formats:
            self._write(
                f"{name}.{picture_format}",
                draw(picture_format),
                Picture(name=f"{name}.{PNG}", kind=kind, photos=False, of=of),
            )

    def sheet(self, name: str, content: bytes, *, kind: str, of: str = "") -> None:
        """Write a sheet of photos, which has no better form than its pixels, as PNG."""
        self._write(f"{name}.{PNG}", content, Picture(name=f"{name}.{PNG}", kind=kind, photos=True, of=of))

    def _write(self, name: str, content: bytes, picture: Picture) -> None:
        with replace_file(self.path / name) as temporary:
            temporary.write_bytes(content)
        self.names.append(name)
        if name == picture.name:
            self.shown.append(picture)


def formats_with(vector: VectorFormat | None) -> tuple[PictureFormat, ...]:
    """PNG, which pages show, and the vector format that was asked for."""
    return (PNG,) if vector is None else (PNG, vector)


def safe_name(model: str) -> str:
    """A model's name as a part of a file's name."""
    return "".join(char if char.isalnum() or char in "-._" else "-" for char in model)
