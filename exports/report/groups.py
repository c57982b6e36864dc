"""Results that may stand side by side: one protocol, dataset, split, feed and label space, each model once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from figureground.errors import UsageError


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
    members: tuple[ModelSummary, ...]

    def configs(self) -> list[str]:
        """Configs that any model was scored on, in the order of the first that was."""
        return list(dict.fromkeys(config for member in self.members for config in member.summary["configs"]))

    def key(self) -> dict[str, str]:
        """The fields that all members share, JSON-ready."""
        names = ("protocol", "space", "dataset", "fingerprint", "split", "feed")
        return {name: getattr(self, name) for name in names}


def group_results(results: Sequence[Mapping[str, Any]], protocol: str | None = None) -> list[ResultGroup]:
    """Results of a protocol, or of all, by what must agree, in the order of their first result.

    What a dataset is called need not agree: a folder and its copy on the Hub hold the same data.

    Raises:
        UsageError: if a model has several results of one kind.
    """
    groups: dict[tuple[str, ...], list[ModelSummary]] = {}
    for result in (result for result in results if protocol in (None, result["protocol"])):
        data = result["dataset"]
        for space, summary in result.get("label_spaces", {result.get("label_space"): result}).items():
            key = (result["protocol"], space, data["fingerprint"], result["split"], result["feed"])
            member = ModelSummary(
                model=result["model"], parameters=result.get("parameters"), summary=summary, result=result
            )
            groups.setdefault(key, []).append(member)
    for members in groups.values():
        require_each_once([member.model for member in members], members[0].result["dataset"]["name"])
    return [
        ResultGroup(
            protocol=owner,
            space=space,
            dataset=members[0].result["dataset"]["name"],
            fingerprint=fingerprint,
            split=split,
            feed=feed,
            members=tuple(members),
        )
        for (owner, space, fingerprint, split, feed), members in groups.items()
    ]


def require_each_once(models: Iterable[str], dataset: str) -> None:
    """Raise ``UsageError`` if a model stands more than once among the results on a dataset."""
    twice = [model for model, count in Counter(models).items() if count > 1]
    if twice:
        raise UsageError(f"several results of {', '.join(twice)} on {dataset}: give one of each")


def _pair(ci95: Sequence[float] | None) -> tuple[float, float] | None:
    return None if ci95 is None else (ci95[0], ci95[1])
