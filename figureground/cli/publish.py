"""``figureground publish``: a dataset repository on the Hub, staged, loaded back, tagged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from figureground.cli.options import JsonOption, WorkersOption, verb
from figureground.console import emit, progress_bar, say

Gate = Literal["auto", "manual"]


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """How a release is shown, and whether anything is done at all."""

    results: Annotated[
        list[Path] | None,
        typer.Option(help="Result of evaluate --out, or a folder of them, for the leaderboard; may be repeated."),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False
    tag: Annotated[str | None, typer.Option(help="Tag of the release; default: v and the recipe's version.")] = None
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Who sees it; default: as it is there.")
    ] = None
    gated: Annotated[
        Gate | None, typer.Option(help="Files only for whom asks: at once (auto), or when you say so (manual).")
    ] = None
    may_redistribute: Annotated[
        bool,
        typer.Option("--i-may-redistribute", help="I hold the right to pass on photos and masks that are restricted."),
    ] = False


@verb(
    "Examples: figureground publish in9 --repo-id me/in9 --dry-run\n\n"
    "figureground publish in9 --repo-id me/in9 --private --gated manual\n\n"
    "figureground publish in9 --repo-id me/in9 --results scores"
)
def publish(
    *,
    repository: Annotated[Path, typer.Argument(help="Folder of a dataset repository.")],
    repo_id: Annotated[str, typer.Option("--repo-id", help="OWNER/NAME on the Hub.")],
    options: PublishOptions,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a dataset on the Hugging Face Hub: verified, staged, loaded back, then one commit and a tag.

    With results of evaluate the dataset carries a leaderboard, beside the models that it carries already.

    Log in with hf auth login, or set HF_TOKEN; HF_ENDPOINT names another Hub. Killed or failed, run it again.
    """
    from figureground.exports.publishing.plan import PublishRequest, describe_plan
    from figureground.exports.verbs import publish as run

    request = PublishRequest(
        repo_id=repo_id,
        tag=options.tag,
        private=options.private,
        gated=options.gated,
        may_redistribute=options.may_redistribute,
    )
    with progress_bar() as show:
        published = run(
            repository,
            request,
            results=options.results or (),
            dry_run=options.dry_run,
            workers=workers,
            progress=show,
            notice=say,
        )
    plan, report = published.plan, published.report
    if report is None:
        emit({"plan": plan}, as_json=as_json, text=describe_plan(plan))
        return
    text = f"{report.repo_id} {report.tag} is published: {report.url}"
    emit({"plan": plan, "report": report}, as_json=as_json, text=text)
