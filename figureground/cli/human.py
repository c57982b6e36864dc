"""``figureground human``: what people make of a dataset, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from figureground.cli.options import JsonOption, NetworkOptions, WorkspaceOption, flattened
from figureground.console import counts_text, emit, progress_bar

if TYPE_CHECKING:
    from figureground.annotate.human.kit import FoilChooser

human = typer.Typer(
    name="human",
    no_args_is_help=True,
    help="A human baseline: ask people about a dataset's pictures, blinded, and score models on the same questions.",
)

Kit = Annotated[Path, typer.Argument(help="Folder of the kit.")]


@dataclass(frozen=True, kw_only=True)
class KitOptions:
    """What raters are asked, and about which pictures."""

    config: Annotated[
        list[str] | None, typer.Option(help="Config to ask about, a round each; may be repeated. Default: original.")
    ] = None
    split: Annotated[str, typer.Option(help="Split to draw from.")] = "test"
    design: Annotated[
        Literal["verification", "choice"], typer.Option(help="Does it show X, or which of these does it show.")
    ] = "verification"
    arm: Annotated[
        Literal["model", "full"], typer.Option(help="224 pixels square as models see it, or the stored canvas.")
    ] = "model"
    images: Annotated[int | None, typer.Option(min=1, help="Images, evenly over classes; default: all.")] = None
    per_class: Annotated[int | None, typer.Option(min=1, help="Most images of a class.")] = None
    foils: Annotated[Path | None, typer.Option(help="verification: CSV of image_id and foil, a class name.")] = None
    foils_by: Annotated[
        str | None, typer.Option(help="verification: model whose top wrong class is the foil; default: by hash.")
    ] = None
    choices: Annotated[int, typer.Option(min=2, max=16, help="choice: most classes on offer.")] = 16
    repeats: Annotated[float, typer.Option(min=0, max=0.5, help="Share of questions that are asked twice.")] = 0.05
    seconds: Annotated[int, typer.Option(min=1, help="Time limit that raters are told, for a picture.")] = 10
    seed: Annotated[int, typer.Option(help="Of sample, foils, ids and orders; do not tell it to raters.")] = 0


@human.command(
    epilog="Examples: figureground human make a-plus -o people --config original --config plus --images 600 "
    "--per-class 3 --foils-by timm:resnet50.a1_in1k\n\n"
    "figureground human make in9 -o people --design choice --images 270"
)
@flattened
def make(
    *,
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset repository.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the kit to make.")],
    options: KitOptions,
    as_json: JsonOption = False,
) -> None:
    """Draw blinded questions about a dataset's pictures; the same call makes the same bytes."""
    from figureground.annotate.human.kit import KitRequest, make_kit
    from figureground.annotate.human.questions import QuestionPlan

    plan = QuestionPlan(design=options.design, choices=options.choices, repeat_share=options.repeats, seed=options.seed)
    with progress_bar() as show:
        chooser, chosen_by = None, ""
        if options.foils_by:
            chooser, chosen_by = _foil_chooser(options.foils_by, dataset, options.arm, show)
        request = KitRequest(
            dataset=dataset,
            configs=tuple(options.config or ["original"]),
            plan=plan,
            split=options.split,
            arm=options.arm,
            images=options.images,
            per_class=options.per_class,
            seconds_limit=options.seconds,
            foils=options.foils,
            foil_chooser=chooser,
            foils_by=chosen_by,
        )
        report = make_kit(request, out, progress=show)
    text = (
        f"{out}: {report.images} images of {len(report.n_per_class)} classes, {report.tasks} questions for each rater "
        f"in {report.rounds} rounds, {report.repeats} of them repeats"
    )
    emit(report, as_json=as_json, text=text)


def _foil_chooser(
    spec: str, dataset: Path, arm: Literal["model", "full"], show: Callable[[str, int, int], None]
) -> tuple[FoilChooser, str]:
    """The top wrong classes of a model, and what it is called."""
    from figureground.exports.evaluation.dataset import open_repository
    from figureground.exports.evaluation.models import load_model
    from figureground.exports.human.models import top_wrong_classes

    classes = open_repository(str(dataset)).classes
    adapter = load_model(spec, classes=classes)
    chooser = partial(top_wrong_classes, adapter, classes, arm=arm, progress=show)
    return chooser, f"{adapter.name} {adapter.weights_sha256[:16]}"


@human.command(epilog="Example: figureground human push people -w work --rater ada --rater ben --rater cleo")
def push(
    kit: Kit,
    workspace: WorkspaceOption,
    rater: Annotated[list[str], typer.Option(help="Who answers, once for each: a project a round, and an account.")],
    as_json: JsonOption = False,
) -> None:
    """Send every rater their sessions, in an order of their own; what is there already is not sent again."""
    from figureground.annotate.human.push import push_kit
    from figureground.annotate.studio.accounts import ensure_account
    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome, sending
    from figureground.annotate.studio.server import require_running
    from figureground.schemas.pages.human_tasks import read_kit

    opened, home = read_kit(kit), StudioHome.of(workspace)
    client = StudioClient(require_running(home))  # first: what sends makes the folder
    with sending(home), progress_bar() as show:
        report = push_kit(opened, client, home, rater, progress=show)
        names = [ensure_account(client, home, name) for name in rater if client.connection.ours]
    lines = [f"sent: {report.sent}; there before: {report.already_there}"]
    for name, projects in report.projects.items():
        lines += (f"  {name}: {client.connection.url}/projects/{project}/data" for project in projects)
    if names:
        lines.append(f"raters log in as {', '.join(names)}; passwords are in {home.root / 'accounts.json'}")
    emit(report, as_json=as_json, text="\n".join(lines))


@human.command(epilog="Example: figureground human pull people -w work")
def pull(kit: Kit, workspace: WorkspaceOption, as_json: JsonOption = False) -> None:
    """Fetch every answer that raters have submitted by now into the kit."""
    from figureground.annotate.human.pull import pull_kit
    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.server import require_running
    from figureground.schemas.pages.human_tasks import read_kit

    home = StudioHome.of(workspace)
    with progress_bar() as show:
        report = pull_kit(read_kit(kit), StudioClient(require_running(home)), home, progress=show)
    text = f"answers, of {report.of} each: {counts_text(report.answers)}; skipped: {report.skipped}"
    emit(report, as_json=as_json, text=text)


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Who is scored, and how."""

    model: Annotated[
        list[str] | None, typer.Option(help="Model to score on the same questions, as evaluate; may be repeated.")
    ] = None
    feed: Annotated[str, typer.Option(help="canvas or reference.")] = "canvas"
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Share of repeats answered alike under which a rater is reported.")
    ] = 0.8
    exclude_inattentive: Annotated[
        bool, typer.Option("--exclude-inattentive", help="Leave those raters out of the scores.")
    ] = False
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score raters who have not answered everything.")
    ] = False
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples behind the intervals.")] = 10_000
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32


@human.command(
    epilog="Examples: figureground human score people -o scores --model timm:resnet50.a1_in1k\n\n"
    "figureground human score people -o scores --allow-missing --exclude-inattentive --threshold 0.7"
)
@flattened
def score(
    *,
    kit: Kit,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for JSON, table and figure.")],
    options: ScoreOptions,
    network: NetworkOptions,
    as_json: JsonOption = False,
) -> None:
    """Put people and models side by side: accuracy with intervals, agreement, attention, a table and a figure."""
    from figureground.exports.evaluation.models import load_model
    from figureground.exports.human.models import kit_classes
    from figureground.exports.human.scoring import ScoreSettings, format_scores, score_kit, write_scores
    from figureground.schemas.pages.human_tasks import read_kit

    settings = ScoreSettings(
        bootstrap=options.bootstrap,
        seed=options.seed,
        threshold=options.threshold,
        exclude_inattentive=options.exclude_inattentive,
        allow_missing=options.allow_missing,
        feed=options.feed,
        batch_size=options.batch_size,
        workers=network.workers,
    )
    opened = read_kit(kit)
    models = [
        load_model(spec, device=network.device, precision=network.precision, classes=kit_classes(opened))
        for spec in options.model or []
    ]
    with progress_bar() as show:
        result = score_kit(opened, models, settings, progress=show)
    files = write_scores(result, out)
    emit({**result, "files": files}, as_json=as_json, text=f"{format_scores(result)}\n{out}: {', '.join(files)}")
