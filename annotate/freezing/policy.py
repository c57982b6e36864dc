"""The policy of a release as a document: which masks it takes, how many people must agree, how much must be there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from figureground.annotate.decisions import AGREEING_IOU
from figureground.errors import UsageError
from figureground.runtime.files import file_ending
from figureground.schemas.documents import Document, Name, parse_document, read_text
from figureground.schemas.records import ObjectState

Unfit = Literal["leave_out", "stop"]
"""What is done about an object that does not fit a rule: it stays out of the release, or nothing is frozen."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A share in [0, 1]."""

BY_PEOPLE: Final[tuple[ObjectState, ...]] = ("accepted", "consensus")
"""States of masks that people made."""
_MOST_BYTES: Final = 1 << 16
"""Largest policy; its text goes into the release and onto the card."""


class _Part(Document):
    """A part of a policy: a number is a number, and a word that looks like one is a fault."""

    model_config = ConfigDict(strict=True)


class StatesRule(_Part):
    """Whose masks are taken."""

    take: tuple[ObjectState, ...] = Field(min_length=1, strict=False)
    """States of objects, as ``ObjectRecord.state`` has them. A state that is not here is no release's."""
    unfit: Unfit = "leave_out"


class VotesRule(_Part):
    """Number of people behind each mask that is a person's."""

    at_least: int = Field(ge=1, le=1000)
    """Voters: people whose newest answer to the photo has an object mask and no doubt."""
    unfit: Unfit = "stop"


class MasksRule(_Part):
    """How far the voters' object masks of one photo agree."""

    min_iou: Share
    """Mean IoU over the pairs of voters; a photo with one voter has no pair, and fits."""
    unfit: Unfit = "stop"


class AttributesRule(_Part):
    """How far the voters' attributes of one photo agree."""

    min_equal: Share
    """Share of attributes that both of a pair answered and answered alike, over all pairs; without any, it fits."""
    unfit: Unfit = "stop"


class ReviewersRule(_Part):
    """Who must have accepted a mask."""

    second_person: bool = False
    """Whether a voter must agree who neither gave the accepted answer nor edited it."""
    named: tuple[str, ...] = Field(default=(), strict=False)
    """Pseudonyms, of which one must agree; empty for anybody."""
    min_iou: Share = AGREEING_IOU
    """IoU with the accepted mask from which a voter agrees with it."""
    unfit: Unfit = "stop"

    @model_validator(mode="after")
    def _asks_something(self) -> ReviewersRule:
        if not self.second_person and not self.named:
            raise ValueError("second_person: true, or names under named, or no reviewers at all")
        return self


class ReleaseRule(_Part):
    """What must hold of all objects together; whatever fails stops the release. None asks nothing."""

    max_left_out: Share | None = None
    """Share of the catalogued photos, textures apart, that may be missing."""
    max_unreviewed: Share | None = None
    """Share of the objects whose mask is a machine's that no person reviewed."""
    min_class_coverage: Share | None = None
    """Share of the photos of each label, textures apart, that must be there."""
    min_compared: int | None = Field(default=None, ge=1)
    """Photos that several people answered independently, whether or not they are in the release."""
    min_mask_iou: Share | None = None
    """Mean IoU of object masks over those photos."""
    min_alpha: float | None = Field(default=None, ge=-1, le=1)
    """Krippendorff's alpha of each attribute over those photos; one that all answered alike has none, and fits."""


class Policy(_Part):
    """What a release must be before it is frozen. A rule that is None asks nothing."""

    name: Name
    version: Name
    """Changes with the text."""
    description: str = ""
    states: StatesRule
    votes: VotesRule | None = None
    masks: MasksRule | None = None
    attributes: AttributesRule | None = None
    reviewers: ReviewersRule | None = None
    release: ReleaseRule = ReleaseRule()
    lint: Literal["error", "warning", "note", False] = False
    """Severity from which findings of lint refuse the release where nobody waived them; ``off``, which YAML reads as
    false, for none."""

    @model_validator(mode="after")
    def _rules_are_about_something(self) -> Policy:
        named = [name for name in ("votes", "masks", "attributes", "reviewers") if getattr(self, name) is not None]
        if named and not set(BY_PEOPLE) & set(self.states.take):
            raise ValueError(f"accepted among states.take, since {', '.join(named)} are about masks of people")
        return self

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def asks(self) -> list[str]:
        """What the policy asks for, a line each, for cards."""
        whole = self.release
        lines: list[tuple[Any, str]] = [
            (self.states, f"masks that are {' or '.join(self.states.take)}"),
            (self.votes, f"of each mask of a person at least {self.votes.at_least if self.votes else 0} voters"),
            (self.masks, f"a mean IoU of {self.masks.min_iou if self.masks else 0:g} or more between the voters"),
            (
                self.attributes,
                f"{self.attributes.min_equal if self.attributes else 0:.0%} or more of the voters' attributes alike",
            ),
            (self.reviewers, _who(self.reviewers) if self.reviewers else ""),
            (self.lint or None, f"no finding of lint of severity {self.lint} or worse that nobody waived"),
            (whole.max_left_out, f"at most {whole.max_left_out or 0:.0%} of the photos left out"),
            (whole.max_unreviewed, f"at most {whole.max_unreviewed or 0:.0%} of the masks unreviewed"),
            (whole.min_class_coverage, f"at least {whole.min_class_coverage or 0:.0%} of the photos of each label"),
            (whole.min_compared, f"at least {whole.min_compared} photos that several people answered"),
            (whole.min_mask_iou, f"a mean IoU of {whole.min_mask_iou or 0:g} or more over those photos"),
            (whole.min_alpha, f"Krippendorff's alpha of {whole.min_alpha or 0:g} or more for each attribute"),
        ]
        return [line for asked, line in lines if asked is not None]


def _who(rule: ReviewersRule) -> str:
    who = f"one of {', '.join(rule.named)}" if rule.named else "a person"
    besides = " besides the painter" if rule.second_person else ""
    return f"{who}{besides} who agrees at an IoU of {rule.min_iou:g} or more"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """A policy as it was read."""

    policy: Policy
    text: str
    """The file's own text, comments and all."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def shipped_policies() -> tuple[str, ...]:
    """Names of the policies that come with the package."""
    folder = files("figureground.annotate.freezing") / "policies"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml")))


def policy_text(name: str) -> str:
    """A shipped policy as it is spelled, comments and all: where a policy of one's own begins.

    Raises:
        UsageError: if there is no such policy.
    """
    if name not in shipped_policies():
        raise UsageError(f"no policy {name!r}: give one of {', '.join(shipped_policies())}")
    return (files("figureground.annotate.freezing") / "policies" / f"{name}.yaml").read_text(encoding="utf-8")


def load_policy(name_or_path: str) -> PolicyFile:
    """Load a shipped policy by name, or the user's own YAML file.

    Raises:
        UsageError: if there is no such policy or file.
        DataError: with every fault of the file.
    """
    if name_or_path in shipped_policies():
        text, where = policy_text(name_or_path), f"{name_or_path}.yaml"
    else:
        path = Path(name_or_path)
        if file_ending(path) not in {".yaml", ".yml"}:
            raise UsageError(
                f"no policy {name_or_path!r}: give one of {', '.join(shipped_policies())}, or a .yaml file"
            )
        text, where = read_text(path, most_bytes=_MOST_BYTES), name_or_path
    return PolicyFile(policy=parse_document(text, Policy, where=where), text=text)
