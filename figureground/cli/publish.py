"""``figureground publish``: a dataset repository on the Hub, staged, loaded back, tagged."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from figureground.console import JsonOption, emit, progress_bar, stderr

Gate = Literal["auto", "manual"]


def publish(
    repository: Annotated[Path, typer.Argument(help="Folder of a dataset repository.")],
    repo_id: Annotated[str, typer.Option("--repo-id", help="OWNER/NAME on the Hub.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    tag: Annotated[str | None, typer.Option(help="Tag of the release; default: v and the recipe's version.")] = None,
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Who sees it; default: as it is there.")
    ] = None,
    gated: Annotated[
        Gate | None, typer.Option(help="Files only for whom asks: at once (auto), or when you say so (manual).")
    ] = None,
    may_redistribute: Annotated[
        bool,
        typer.Option("--i-may-redistribute", help="I hold the right to pass on photos and masks that are restricted."),
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; default: all processors.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a dataset on the Hugging Face Hub: verified, staged, loaded back, then one commit and a tag.

    Log in with hf auth login, or set HF_TOKEN; HF_ENDPOINT names another Hub. Killed or failed, run it again.
    """
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from figureground.exports.publishing.plan import PublishRequest, describe_plan
    from figureground.exports.publishing.publish import plan_publication
    from figureground.runtime.processes import default_workers

    disable_progress_bars()  # ours says more
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings hold addresses that are signed
    logging.getLogger("stamina").setLevel(logging.ERROR)  # notice says it with the reason
    request = PublishRequest(repo_id=repo_id, tag=tag, private=private, gated=gated, may_redistribute=may_redistribute)
    with progress_bar() as show:
        publication = plan_publication(
            repository,
            request,
            workers=workers or default_workers(),
            progress=show,
            notice=lambda text: stderr.print(text, markup=False, soft_wrap=True),
        )
        plan = publication.plan
        if dry_run:
            emit({"plan": plan}, as_json=as_json, text=describe_plan(plan))
            return
        stderr.print(describe_plan(plan), markup=False, soft_wrap=True)
        report = publication.run()
    text = f"{report.repo_id} {report.tag} is published: {report.url}"
    emit({"plan": plan, "report": report}, as_json=as_json, text=text)
