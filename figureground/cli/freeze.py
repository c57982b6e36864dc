"""``figureground freeze`` and ``policy``: accepted masks as an immutable release, and what it must be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, WorkspaceOption, verb
from figureground.console import counts_text, emit


@dataclass(frozen=True, kw_only=True)
class ObjectOptions:
    """Which masks enter besides those that were accepted, and what the release must be."""

    unreviewed: Annotated[bool, typer.Option(help="Take machine masks that nobody reviewed; said on the card.")] = False
    unmasked: Annotated[bool, typer.Option(help="Take photos without a mask, for recipes that need none.")] = False
    segmenter: Annotated[str | None, typer.Option(help="Whose proposals: NAME or NAME:PROMPT.")] = None
    agree: Annotated[
        str | None, typer.Option(help="Take machine masks only where this other segmenter's first choice agrees.")
    ] = None
    min_iou: Annotated[
        float | None, typer.Option(min=0, max=1, help="IoU from which two masks agree; default: 0.75.")
    ] = None
    policy: Annotated[
        str | None, typer.Option(help="What the release must be: a shipped policy's name, or a YAML file.")
    ] = None


@verb(
    "Examples: figureground freeze -w work --version v1 --unreviewed\n\n"
    "figureground freeze -w work --version v1 --unreviewed --agree saliency --min-iou 0.75\n\n"
    "figureground freeze -w work --version v1 --policy policy.yaml"
)
def freeze(
    *,
    workspace: WorkspaceOption,
    version: Annotated[str, typer.Option(help="Name of the release, such as v1.")],
    options: ObjectOptions,
    as_json: JsonOption = False,
) -> None:
    """Write the accepted masks as an immutable release, objects/VERSION.parquet."""
    from figureground.annotate.verbs import freeze as run

    report = run(workspace, version, **asdict(options))
    text = f"{report.path}: {counts_text(report.states)}; left out: {counts_text(report.left_out)}"
    emit(report, as_json=as_json, text=text)


@verb("Example: figureground policy double_checked > policy.yaml")
def policy(
    name: Annotated[str | None, typer.Argument(help="A shipped policy's name; without one, the names.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a shipped policy of releases, to begin one of your own with; without a name, list them."""
    from figureground.annotate.freezing.policy import load_policy, policy_text, shipped_policies

    if name is None:
        listed = {name: load_policy(name).policy.description for name in shipped_policies()}
        emit(listed, as_json=as_json, text="\n".join(f"{name:15} {text}" for name, text in listed.items()))
        return
    text = policy_text(name)
    emit(load_policy(name).policy.model_dump(mode="json"), as_json=as_json, text=text.rstrip("\n"))
