"""Results that may stand side by side, each model once.

They are of one protocol with the same settings, and of one dataset, split, feed and label space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from figureground.errors import UsageError, listed
from figureground.exports.evaluation.protocols.registry import named_protocol
from figureground.exports.report.stored_results import Scoring, scoring_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """One model in one label space."""

    model: str
    parameters: int | None
    """Number of the model's parameters; None if its adapter does not state it."""
    summary: Mapping[str, Any]
    """``label_spaces[space]`` of the result; of the protocol imagenet9 the result itself."""
    result: Mapping[str, Any]
    """As ``read_results`` gives it."""

    def interval(self, config: str) -> tuple[float, float] | None:
        """95 % interval of the class-mean accuracy on a config; None where there is none."""
        return _pair(self.summary["configs"][config]["ci95"])

    def interval_micro(self, config: str) -> tuple[float, float] | None:
        """95 % interval of the accuracy over images on a config; None where there is none."""
        return _pair(self.summary["configs"][config]["ci95_micro"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultGroup:
    """Models that were scored alike."""

    protocol: str
    space: str
    dataset: str
    fingerprint: str
    split: str
    feed: str
    settings: str
    """What the protocol's options came to, in words, where that is not the usual; empty where it is."""
    members: tuple[ModelSummary, ...]

    def configs(self) -> list[str]:
        """Configs that any model was scored on, in the order of the first that was."""
        return list(dict.fromkeys(config for member in self.members for config in member.summary["configs"]))

    def key(self) -> dict[str, str]:
        """The fields that all members share, JSON-ready."""
        names = ("protocol", "space", "dataset", "fingerprint", "split", "feed", "settings")
        return {name: getattr(self, name) for name in names}


def group_results(results: Sequence[Mapping[str, Any]], protocol: str | None = None) -> list[ResultGroup]:
    """Results of a protocol, or of all, by how they were scored and label space, in the order of their first result.

    Raises:
        UsageError: if a model has several results of one kind.
    """
    groups: dict[tuple[Scoring, str], list[ModelSummary]] = {}
    for result in (result for result in results if protocol in (None, result["protocol"])):
        for space, summary in result.get("label_spaces", {result.get("label_space"): result}).items():
            member = ModelSummary(
                model=result["model"], parameters=result.get("parameters"), summary=summary, result=result
            )
            groups.setdefault((scoring_of(result), space), []).append(member)
    for members in groups.values():
        require_each_once([member.result for member in members])
    return [
        ResultGroup(
            protocol=scoring.protocol,
            space=space,
            dataset=members[0].result["dataset"]["name"],
            fingerprint=scoring.fingerprint,
            split=scoring.split,
            feed=scoring.feed,
            settings=", ".join(named_protocol(scoring.protocol).describe(members[0].result)),
            members=tuple(members),
        )
        for (scoring, space), members in groups.items()
    ]


def require_each_once(results: Sequence[Mapping[str, Any]]) -> None:
    """Raise ``UsageError`` with the files if a model stands more than once among results on a dataset."""
    files: dict[str, list[str]] = {}
    for result in results:
        files.setdefault(result["model"], []).append(f"{result['folder']}/{result['stem']}.json")
    twice = {model: own for model, own in files.items() if len(own) > 1}
    if twice:
        where = listed([file for own in twice.values() for file in own])
        dataset = results[0]["dataset"]["name"]
        raise UsageError(f"several results of {', '.join(twice)} on {dataset}: give one of each, of {where}")


def _pair(ci95: Sequence[float] | None) -> tuple[float, float] | None:
    return None if ci95 is None else (ci95[0], ci95[1])
