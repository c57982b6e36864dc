"""The table of settings of an evaluation, from which both command lines are made."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from figureground.exports.evaluation.values import list_names, require

FEEDS: Final = ("canvas", "reference")
TIMM_SIZES: Final = ("test", "train")
PRECISIONS: Final = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A setting of ``evaluate``: its keyword in Python, and ``--name`` on the command lines."""

    name: str
    help: str
    default: Any = None
    kind: Callable[[str], Any] = str  # what makes a value of a word of the command line: str, int
    choices: tuple[str, ...] = ()  # the only values there are; empty for any
    least: int | None = None  # smallest number that is allowed
    several: bool = False  # a sequence in Python, words with commas on the command line
    short: str = ""  # one letter after a dash, which is another name on the command lines

    @property
    def flag(self) -> str:
        """Name on the command lines, such as ``--batch-size``."""
        return "--" + self.name.replace("_", "-")

    @property
    def flags(self) -> tuple[str, ...]:
        """All its names on the command lines, such as ``--out`` and ``-o``."""
        return (self.flag, self.short) if self.short else (self.flag,)

    def parse(self, text: str) -> Any:  # noqa: ANN401  whatever the option holds
        """The value that a text of the command line stands for."""
        return tuple(word for word in text.split(",") if word) if self.several else self.kind(text)

    def check(self, value: Any) -> None:  # noqa: ANN401  whatever the option holds
        """Refuse a value that is none of the choices or below the least, with exit code 2."""
        if value is None:
            return
        if self.choices:
            unknown = (set(value) if self.several else {str(value)}) - set(self.choices)
            require(not unknown, f"{self.flag}: expected {', '.join(self.choices)}; got {list_names(unknown)}", 2)
        if self.least is not None:
            require(value >= self.least, f"{self.flag}: expected at least {self.least}, got {value}", 2)


COMMON: Final = (
    Option(name="revision", help="Tag, branch or commit on the Hub; required there."),
    Option(name="configs", help="Only these configs, with commas.", several=True),
    Option(name="split", help="Split to score.", default="test"),
    Option(name="protocol", help="What is measured; by default what the dataset's configs are made for."),
    Option(name="feed", help="How a stored canvas reaches the model.", default="canvas", choices=FEEDS),
    Option(name="limit", help="Only the images with the smallest ids, so many of them.", kind=int, least=1),
    Option(name="batch_size", help="Images a forward pass.", default=32, kind=int, least=1),
    Option(name="device", help="auto, cpu, cuda, cuda:N or mps; auto takes the best there is.", default="auto"),
    Option(name="precision", help="What a torch model computes in.", default="float32", choices=PRECISIONS),
    Option(
        name="timm_size",
        help="Size and crop of timm's models: those they are tested at, as its validate.py, or trained at.",
        default="test",
        choices=TIMM_SIZES,
    ),
    Option(name="workers", help="Threads that decode images; by default one a processor, up to 8.", kind=int, least=1),
    Option(name="bootstrap", help="Bootstrap resamples behind the intervals.", default=10_000, kind=int, least=1),
    Option(name="seed", help="Seed of the bootstrap.", default=0, kind=int),
)


OUT: Final = Option(name="out", short="-o", help="Folder for results; lets a killed run go on.")
"""Of both command lines, and none that decides a result."""


class ScoringOptions(TypedDict, total=False):
    """Keywords of ``evaluate``: the table's, and those of the protocols that come with it."""

    revision: str | None
    configs: Sequence[str] | None
    split: str
    protocol: str | None
    feed: str
    limit: int | None
    batch_size: int
    device: str
    precision: str
    timm_size: str
    workers: int | None
    bootstrap: int
    seed: int
    cluster: str
    challenge: Sequence[str]
    noise: Any
    levels: str | None
    trials: int
    mask_grow: str
    masks_from: str | None
    null: str
    rfs_undefined: str


def fill_options(table: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a table with the value given or its default; ``EvaluationError`` for a wrong name or value."""
    names = {option.name: option for option in table}
    for name in given:
        near = difflib.get_close_matches(name, names, 1)
        require(name in names, f"no option {name!r}{f'; did you mean {near[0]}?' if near else ''}", 2)
    values = {option.name: given.get(option.name, option.default) for option in table}
    for option in table:
        option.check(values[option.name])
    return values
