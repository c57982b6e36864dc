"""Every error that figureground raises on purpose.

FigureGroundError      catch this to catch them all
├── UsageError         the call itself is wrong (exit code 2)
│   └── MissingExtraError   an optional dependency is not installed
├── DataError          the data is at fault; carries every fault of the run (exit code 1)
└── ServiceError       something outside failed; run again to resume (exit code 3)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


class FigureGroundError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class UsageError(FigureGroundError):
    """The caller asked for something that cannot be asked for."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional dependency is absent; the message says what to install."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'figureground[{extra}]'")


class ServiceError(FigureGroundError):
    """A download, server or other outside service failed; running again resumes."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with the data, in terms of what to mend."""

    where: str
    """File (or table) at fault, as the user named it."""
    record: str
    """Id, row or field inside ``where``; empty where the whole file is at fault."""
    expected: str
    """What would have been right."""
    got: str
    """What is there instead."""
    remedy: str = ""
    """What to do about it; empty where nothing can be done."""

    def __str__(self) -> str:
        """One line: where, record, expected, got, remedy."""
        subject = f"{self.where}: {self.record}" if self.record else self.where
        line = f"{subject}: expected {self.expected}, got {self.got}"
        return f"{line}; {self.remedy}" if self.remedy else line


class DataError(FigureGroundError):
    """The data is at fault; ``faults`` holds every fault of the run, in the order of ``str``."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=str))
        count = len(self.faults)
        head = f"{count} fault{'' if count == 1 else 's'} in the data"
        super().__init__("\n".join([f"{head}:", *(f"  {fault}" for fault in self.faults)]))

    def __reduce__(self) -> tuple[type[DataError], tuple[tuple[Fault, ...]]]:
        """Faults survive the way out of a worker process."""
        return DataError, (self.faults,)

    @classmethod
    def single(cls, where: str, record: str, *, expected: str, got: str, remedy: str = "") -> DataError:
        """A ``DataError`` with one fault."""
        return cls([Fault(where=where, record=record, expected=expected, got=got, remedy=remedy)])


@dataclass(slots=True)
class Faults:
    """Collects faults over a run, so that a user sees all of them at once."""

    collected: list[Fault] = field(default_factory=list)
    """In the order in which they were noted."""

    def add(self, where: str, record: str, *, expected: str, got: str, remedy: str = "") -> None:
        """Note one fault and go on."""
        self.collected.append(Fault(where=where, record=record, expected=expected, got=got, remedy=remedy))

    def extend(self, faults: Iterable[Fault]) -> None:
        """Note faults that somebody else collected and go on."""
        self.collected.extend(faults)

    def raise_if_any(self) -> None:
        """Raise ``DataError`` with every fault, or return if there is none."""
        if self.collected:
            raise DataError(self.collected)

    def __len__(self) -> int:
        return len(self.collected)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self.collected)
