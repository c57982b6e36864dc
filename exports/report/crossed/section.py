"""What the report says of crossed grounds: the grounds that fool most, with how far their rates can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from figureground.exports.evaluation.tables import Cell
from figureground.exports.report.groups import ModelSummary, ResultGroup

_LISTED: Final = 5


def crossed_configs(group: ResultGroup) -> list[str]:
    """Configs with crossed grounds that any model of a group was scored on."""
    return list(dict.fromkeys(config for member in group.members for config in member.summary["crossed"]))


def worst_grounds(member: ModelSummary, config: str, attack: str = "fooled") -> list[Mapping[str, Any]]:
    """Grounds by the share of figures that they fool, the most first; ties by their ids."""
    grounds: Sequence[Mapping[str, Any]] = member.summary["crossed"][config]["each_ground"]
    known = [ground for ground in grounds if ground[attack]["value"] is not None]
    return sorted(known, key=lambda ground: (-ground[attack]["value"], ground["ground_id"]))


def describe_crossed(group: ResultGroup) -> str:
    """The grounds that fool most, by config and model, as plain text."""
    return "\n".join(line for config in crossed_configs(group) for line in _lines(group, config))


def _lines(group: ResultGroup, config: str) -> Iterator[str]:
    yield f"{group.dataset} ({group.split}), label space {group.space}: grounds of {config} that fool most"
    for member in group.members:
        own = member.summary["crossed"].get(config)
        if own is None:
            continue
        control = member.summary["control"]
        yield f"{member.model}: per cent of figures of other classes that it answers right on {control}"
        for ground in worst_grounds(member, config)[:_LISTED]:
            fooled, captured = (_words(ground[attack]) for attack in ("fooled", "captured"))
            about = f"{ground['ground_id']} ({ground['class']}, n {ground['fooled']['n']})"
            yield f"  {about}: fooled {fooled}, as itself {captured}"
        worst = own["attacks"]["fooled"]["worst_of"]
        if worst and worst[-1]["value"] is not None:
            held = worst[-1]
            yield (
                f"  the first of these was chosen for its rate; the worst of {held['m']}, chosen on other figures: "
                f"{_words(held)} (n {held['n']})"
            )


def _words(measured: Mapping[str, Any]) -> str:
    return Cell(measured["value"], measured.get("ci95")).text()


def crossed_section(group: ResultGroup) -> dict[str, Any]:
    """Everything measured on crossed grounds by model, JSON-ready."""
    return {**group.key(), "models": {member.model: member.summary["crossed"] for member in group.members}}
