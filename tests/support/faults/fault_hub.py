"""Publishing to a double of the Hub that all trials share, and which each finds empty."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fault_inputs import Inputs
from fault_verbs import Verb
from hub_store import folder_hashes

_REPO: Final = "me/toy"


def hub_environment(inputs: Inputs, home: Path) -> dict[str, str]:
    """What a process that publishes must find when it starts: its library reads the address once."""
    environment = inputs.double.client_environment(home)
    named = {name: text for name, text in environment.items() if name.startswith(("HF_", "NO_"))}
    return {**named, "HF_HUB_OFFLINE": "0", "USE_TORCH": "0", "USE_TF": "0"}


def _empty(inputs: Inputs, _: Path) -> None:
    hub = inputs.double
    hub.settle()
    hub.repos.clear()
    hub.violations.clear()
    hub.allow(_REPO, inputs.part("toy"))


def _facts(inputs: Inputs, _: Path) -> dict[str, Any]:
    """What somebody finds on the Hub: the release and nothing else, and at no moment a part of it."""
    hub = inputs.double
    repo, titles, oid = hub.repos[_REPO], list[str](), hub.repos[_REPO].main.oid
    while oid:
        titles.insert(0, repo.commits[oid].title)
        oid = repo.commits[oid].parent
    tree = {path: blob.sha256 for path, blob in repo.main.tree.items() if not path.startswith(".")}
    requests = repo.pull_requests.values()
    return {
        "hub: repositories": sorted(hub.repos),
        "hub: main is the release": tree == folder_hashes(inputs.part("toy")),
        "hub: commits": titles,
        "hub: tags": {ref: oid == repo.main.oid for ref, oid in repo.refs.items() if ref.startswith("refs/tags/")},
        "hub: open requests": [request["title"] for request in requests if request["status"] == "open"],
        "hub: large files": sorted(repo.objects),
        "hub: parts that were shown": list(hub.violations),
    }


HUB_VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        "publish": Verb(
            words=lambda inputs: ["publish", str(inputs.part("toy")), "--repo-id", _REPO, "--workers", "1"],
            kind="hub",
            quick=True,
            prepare=_empty,
            facts=_facts,
        )
    }
)
"""As ``fault_verbs.VERBS``, for those that need the Hub."""
