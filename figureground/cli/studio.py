"""``figureground studio``: Label Studio from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import typer

from figureground.cli.interactive import backend, embeddings
from figureground.cli.options import JsonOption, WorkspaceOption, flattened, refuse_options
from figureground.cli.server import down, up
from figureground.console import counts_text, emit, progress_bar
from figureground.errors import DataError, UsageError, shell_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.people.team import TeamChange
    from figureground.annotate.studio.push import PushReport
    from figureground.schemas.store.workspace import Workspace

Report = TypeVar("Report")

studio = typer.Typer(
    name="studio",
    no_args_is_help=True,
    help="Label Studio: run one, send photos with machine masks, fetch what people made of them.",
)


studio.command(
    epilog="Examples: figureground studio up -w work\n\n"
    "LABEL_STUDIO_API_KEY=... figureground studio up -w work --url https://annotate.example.org"
)(up)
studio.command(epilog="Example: figureground studio down -w work")(down)


@studio.command(epilog="Example: figureground studio status -w work")
def status(workspace: WorkspaceOption, as_json: JsonOption = False) -> None:
    """Say how the server does, what was pushed, and what came back."""
    from figureground.annotate.studio.backend_daemon import backend_url
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.progress.overview import overview
    from figureground.annotate.studio.server import server_status
    from figureground.schemas.store.workspace import Workspace

    home = StudioHome.of(workspace)
    with Workspace.open(workspace) as store:
        server = server_status(home)
        state = overview(store, home, server, backend=backend_url(home))
    emit(state, as_json=as_json, text=str(state))


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """What annotators are sent."""

    attributes: Annotated[str | None, typer.Option(help="What is asked: a shipped schema or a YAML file.")] = None
    recipe: Annotated[str | None, typer.Option(help="Ask for the attributes of a recipe instead.")] = None
    annotator: Annotated[
        list[str] | None,
        typer.Option(help="Who answers, at first, once for each: everyone gets a project and an account."),
    ] = None
    add: Annotated[list[str] | None, typer.Option(help="Who joins: gets a fair share of what nobody has begun.")] = None
    hand_over: Annotated[
        list[str] | None, typer.Option(metavar="WHO:TO", help="Who leaves, and who takes over their rest.")
    ] = None
    overlap: Annotated[
        str | None, typer.Option(help="Photos that two annotators get: a number, or a share such as 0.1.")
    ] = None
    honeypots: Annotated[
        int | None, typer.Option(min=0, help="Photos with a known mask, mixed into the queue of each.")
    ] = None
    entry_test: Annotated[
        int | None, typer.Option(min=0, help="Photos with a known mask that come first to whoever is new.")
    ] = None
    segmenter: Annotated[
        str | None, typer.Option(help="Whose proposals: NAME or NAME:PROMPT; default: those that a ranking chose.")
    ] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Most photos to send, the first in their order.")] = None
    first: Annotated[
        Literal["doubtful", "sure"], typer.Option(help="Which machine masks come first: the least sure or the surest.")
    ] = "doubtful"
    leaking: Annotated[
        int | None,
        typer.Option(min=1, help="How many come first whose masks leak most at the rim, by the scores of: rims."),
    ] = None
    second_look: Annotated[bool, typer.Option("--second-look", help="Send the photos that are in doubt.")] = False
    by: Annotated[
        Literal["masks", "attributes", "both"] | None, typer.Option(help="What photos in doubt are ranked by.")
    ] = None
    by_authors: Annotated[
        bool, typer.Option("--by-authors", help="Let those settle a doubt whose own answers are in doubt.")
    ] = False
    ask: Annotated[list[str] | None, typer.Option(help="Ask decided photos for an attribute that was added since.")] = (
        None
    )
    allow_destructive: Annotated[
        bool, typer.Option("--allow-destructive", help="Accept attributes that ask less than before.")
    ] = False


@studio.command(
    epilog="Examples: figureground studio push -w work --attributes rival10\n\n"
    "figureground studio push -w work --annotator ada --annotator ben --overlap 40\n\n"
    "figureground studio push -w work --first sure --limit 100\n\n"
    "figureground studio push -w work --hand-over ada:cleo\n\n"
    "figureground studio push -w work --attributes birds-2.yaml --ask tail\n\n"
    "figureground studio push -w work --second-look --limit 30\n\n"
    "figureground studio push -w work --second-look --leaking 20"
)
@flattened
def push(context: typer.Context, workspace: WorkspaceOption, options: PushOptions, as_json: JsonOption = False) -> None:
    """Send photos with their machine masks, the most uncertain first; what is there already is not sent again.

    Photos in doubt come by how far people differ, the greatest disagreement first, as agree lists them. --leaking puts
    accepted masks in doubt whose rims leak most, and sends them first.
    """
    from figureground.annotate.studio.backend_daemon import connect_projects
    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome, sending
    from figureground.annotate.studio.people.new_attributes import push_new_attributes
    from figureground.annotate.studio.projects import pushed_schema
    from figureground.annotate.studio.push import PushReport, PushSettings
    from figureground.annotate.studio.push import push as run
    from figureground.annotate.studio.queues.leaking import doubt_leaks
    from figureground.annotate.studio.second_look import push_second_look
    from figureground.annotate.studio.server import require_running
    from figureground.schemas.attributes import load_attribute_schema
    from figureground.schemas.store.workspace import Workspace

    _refuse_idle(context, options)
    asked = _asked_attributes(options)
    home = StudioHome.of(workspace)
    with Workspace.open(workspace) as store, sending(home):
        client = StudioClient(require_running(home))
        schema = load_attribute_schema(asked) if asked else pushed_schema(store, client)
        send: Callable[..., Any]
        if options.second_look:
            send = partial(
                push_second_look,
                schema=schema,
                by_authors=options.by_authors,
                by=options.by or "both",
                first=doubt_leaks(store, options.leaking) if options.leaking else [],
                limit=options.limit,
            )
        elif options.ask:
            send = partial(push_new_attributes, schema=schema, asked=tuple(options.ask))
        else:
            settings = PushSettings(
                schema=schema,
                people=_team_change(options),
                segmenter=options.segmenter,
                limit=options.limit,
                first=options.first,
                leaking=options.leaking,
                destructive=options.allow_destructive,
            )
            send = partial(run, settings=settings)
        with progress_bar() as show:
            report, faults = _with_faults(lambda: send(store, client, progress=show))
        text = _push_text(report, store, client, home) if isinstance(report, PushReport) else str(report)
        emit(report, as_json=as_json, text=text)  # first: it is sent, whether the interactive SAM answers or not
        try:
            connect_projects(store, client, home)
        finally:
            if faults:
                raise faults


def _push_text(report: PushReport, store: Workspace, client: StudioClient, home: StudioHome) -> str:
    """What a push did, in lines for people."""
    from figureground.annotate.studio.projects import newest_projects

    sent = counts_text({name or "everybody": count for name, count in report.sent.items()})
    lines = [f"sent: {sent}; there before: {report.already_there}; with two annotators: {report.overlapping}"]
    if any(report.moved.values()):
        lines.append(f"moved, of what nobody had begun: {counts_text(report.moved)}")
    if any(report.honeypots.values()):
        lines.append(f"honeypots among them: {counts_text(report.honeypots)}")
    if report.textures:
        lines.append(f"textures, which nobody is asked about: {report.textures}")
    lines += report.notices
    if report.skipped_by_all:
        lines.append(f"skipped, and there is nobody else to send them to: {', '.join(report.skipped_by_all)}")
    lines += [
        f"  {name or 'everybody'}: {client.project_address(project)}" for name, project in report.projects.items()
    ]
    if report.accounts:
        lines.append(f"annotators log in as {', '.join(report.accounts)}; passwords are in {home.root}/accounts.json")
    looks = newest_projects(store, client.connection.server, "second_look").values()
    return "\n".join([*lines, *(f"  second looks: {client.project_address(look)}" for look in looks)])


def _team_change(options: PushOptions) -> TeamChange:
    """What a command line says about people.

    Raises:
        UsageError: if a hand-over does not name two.
    """
    from figureground.annotate.studio.people.team import TeamChange

    pairs = [tuple(text.split(":")) for text in options.hand_over or ()]
    if any(len(pair) != 2 for pair in pairs):
        raise UsageError("a hand-over names who leaves and who takes over: --hand-over ADA:CLEO")
    return TeamChange(
        annotators=tuple(options.annotator or ()),
        add=tuple(options.add or ()),
        hand_over=tuple((pair[0], pair[1]) for pair in pairs),
        overlap=options.overlap,
        honeypots=options.honeypots,
        entry_test=options.entry_test,
    )


def _with_faults(run: Callable[[], Report]) -> tuple[Report, DataError | None]:
    """The report of a command that goes on after faults, and the error that ends it."""
    try:
        return run(), None
    except DataError as error:
        if error.report is None:
            raise
        return error.report, error


_OF_FIRST_LOOKS: Final = (
    "annotator",
    "add",
    "hand_over",
    "overlap",
    "honeypots",
    "entry_test",
    "segmenter",
    "first",
    "allow_destructive",
)


def _refuse_idle(context: typer.Context, options: PushOptions) -> None:
    """Refuse what second looks, or questions that were added, do not read.

    Raises:
        UsageError: for such an option.
    """
    if options.second_look:
        refuse_options(context, (*_OF_FIRST_LOOKS, "ask"), "with --second-look")
    elif options.ask:
        refuse_options(context, (*_OF_FIRST_LOOKS, "limit", "leaking"), "with --ask")


def _asked_attributes(options: PushOptions) -> str | None:
    """Name or file of the attribute schema that is asked for; None for the one that was pushed before.

    Raises:
        UsageError: if a recipe is named as well as a schema, or an option of second looks without them.
    """
    from figureground.build.recipes.loading import load_recipe

    if options.by_authors and not options.second_look:
        raise UsageError("--by-authors says who may settle a second look: give it with --second-look")
    if options.by and not options.second_look:
        raise UsageError("--by says in which order second looks come: give it with --second-look")
    if options.attributes and options.recipe:
        raise UsageError("a recipe names its attributes: give --attributes or --recipe")
    return options.attributes or (load_recipe(options.recipe).attributes if options.recipe else None)


@studio.command(
    epilog="Examples: figureground studio pull -w work\n\n"
    "figureground studio pull -w work --from-export export.json --attributes rival10"
)
def pull(
    workspace: WorkspaceOption,
    from_export: Annotated[Path | None, typer.Option(help="Read a JSON export instead of the server.")] = None,
    attributes: Annotated[str | None, typer.Option(help="What was asked, for an export not pushed from here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch every answer that is new or changed; a second pull with nothing new changes nothing."""
    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.pull import pull as run
    from figureground.annotate.studio.pull import pull_export
    from figureground.annotate.studio.server import require_running
    from figureground.schemas.attributes import load_attribute_schema
    from figureground.schemas.store.workspace import Workspace

    home = StudioHome.of(workspace)
    if attributes and from_export is None:
        raise UsageError("--attributes says what an export was about; a server's projects are known")
    with Workspace.open(workspace) as store, progress_bar() as show:
        if from_export is not None:
            connection = home.connection()
            schema = load_attribute_schema(attributes) if attributes else None
            server = connection.server if connection else "export"
            report, faults = _with_faults(lambda: pull_export(store, from_export, schema=schema, server=server))
        else:
            client = StudioClient(require_running(home))
            report, faults = _with_faults(lambda: run(store, client, progress=show))
    lines = [
        f"new answers: {counts_text(report.answers)}; edited by somebody else: {report.edited_by_others}",
        f"new decisions: {counts_text(report.decisions)}",
    ]
    if report.begun:
        lines.append(f"{report.begun} tasks are begun and not submitted")
    if report.unsettled:
        lines.append(
            f"{report.unsettled} second looks settle nothing: whoever gave them also gave an answer that is in doubt, "
            "or has no account any more; "
            "let somebody else look, or allow it with: "
            f"figureground studio push -w {shell_word(workspace)} --second-look --by-authors"
        )
    if report.passed_over:
        lines.append(f"passed over in new answers: {counts_text(report.passed_over)}")
    if report.barred:
        lines.append(f"{report.barred} photos left as they were: an answer to each cannot be read")
    if report.waiting:
        lines.append(f"{report.waiting} photos wait for the answer of a second person")
    if report.decisions["needs_second"]:
        lines.append(
            f"send those in doubt back with: figureground studio push -w {shell_word(workspace)} --second-look"
        )
    emit(report, as_json=as_json, text="\n".join(lines))
    if faults:
        raise faults


studio.command(epilog="Example: figureground studio backend -w work --segmenter mobile-sam --port 9090")(backend)
studio.command(
    epilog="Examples: figureground studio embeddings -w work\n\n"
    "figureground studio embeddings -w work --fill --segmenter sam2 --device cuda"
)(embeddings)
