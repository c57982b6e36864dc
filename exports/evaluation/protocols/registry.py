"""The protocols that there are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from figureground.exports.evaluation.options import COMMON, Option
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.background_check import BACKGROUND_CHECK
from figureground.exports.evaluation.protocols.crossed import CROSSED_PROTOCOL
from figureground.exports.evaluation.protocols.imagenet9 import IMAGENET9
from figureground.exports.evaluation.protocols.imagenet_a import IMAGENET_A
from figureground.exports.evaluation.protocols.rival10 import RIVAL10
from figureground.exports.evaluation.values import require

PROTOCOLS: Final = [BACKGROUND_CHECK, CROSSED_PROTOCOL, IMAGENET_A, RIVAL10, IMAGENET9]
"""In the order in which they are asked whether a dataset is made for them; the last one takes any."""


def named_protocol(name: str) -> Protocol:
    """The protocol of a name; ``EvaluationError`` if there is none."""
    by_name = {protocol.name: protocol for protocol in PROTOCOLS}
    require(name in by_name, f"protocol: expected {' or '.join(sorted(by_name))}, got {name!r}", 2)
    return by_name[name]


def find_protocol(configs: Collection[str]) -> Protocol:
    """The protocol that a dataset's configs are made for."""
    return next(protocol for protocol in PROTOCOLS if protocol.claims(configs))


def option_owners() -> dict[str, tuple[Option, tuple[str, ...]]]:
    """Every option by name, and the protocols that it is for; none named where it is for all."""
    owners: dict[str, tuple[Option, tuple[str, ...]]] = {option.name: (option, ()) for option in COMMON}
    for protocol in sorted(PROTOCOLS, key=lambda protocol: protocol.name):
        for option in protocol.options:
            _, others = owners.get(option.name, (option, ()))
            owners[option.name] = (option, (*others, protocol.name))
    return owners
