"""``figureground studio``: Label Studio from the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from figureground.cli.interactive import CLICKABLE_NAMES, backend, embeddings
from figureground.cli.options import DeviceOptions, JsonOption, WorkspaceOption, flattened
from figureground.console import counts_text, emit, progress_bar, say
from figureground.errors import DataError, UsageError, shell_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.people.team import TeamChange
    from figureground.annotate.studio.push import PushReport
    from figureground.schemas.store.workspace import Workspace

Report = TypeVar("Report")

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"  # noqa: S105  a name; the SDK reads the same

studio = typer.Typer(
    name="studio",
    no_args_is_help=True,
    help="Label Studio: run one, send photos with machine masks, fetch what people made of them.",
)


@studio.command(
    epilog="Examples: figureground studio up -w work\n\n"
    "LABEL_STUDIO_API_KEY=... figureground studio up -w work --url https://annotate.example.org"
)
@flattened
def up(
    *,
    workspace: WorkspaceOption,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; default: that of last time, else any free one.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Use a server that runs already; its token is asked for.")] = None,
    sam: Annotated[bool, typer.Option(help="Also start the interactive SAM.")] = True,
    segmenter: Annotated[str, typer.Option(help=f"The interactive model: {CLICKABLE_NAMES}.")] = "mobile-sam",
    checkpoint: Annotated[str | None, typer.Option(help="File, folder or name of its weights.")] = None,
    network: DeviceOptions,
    as_json: JsonOption = False,
) -> None:
    """Start Label Studio for a workspace, on this machine alone; installed on first use. Running twice is fine."""
    from figureground.annotate.segmenters.loading import ModelChoice
    from figureground.annotate.studio.backend_daemon import connect_projects, start_backend
    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.server import connect_server, start_server
    from figureground.runtime.devices import AUTO, check_precision, resolve_device
    from figureground.schemas.store.workspace import Workspace

    Workspace.open(workspace).close()
    model = ModelChoice(segmenter=segmenter, checkpoint=checkpoint, device=network.device, precision=network.precision)
    if model.device != AUTO:  # said here, not in the log of a server that does not come up
        check_precision(resolve_device(model.device), model.precision)
    home = StudioHome.of(workspace)
    if url is not None:
        token = os.environ.get(TOKEN_VARIABLE) or typer.prompt("Token of your account there", hide_input=True, err=True)
        connection = connect_server(home, url, token)
    else:
        connection = start_server(home, port=port, say=say)
    backend = start_backend(home, model, say=say) if sam and url is None else None
    with Workspace.open(workspace) as store:
        connect_projects(store, StudioClient(connection), home, begin_queues=True)
    lines = [f"Label Studio runs at {connection.url}"]
    if connection.ours:
        lines.append(f"log in as {connection.username}; the password is in {home.root / 'connection.json'}")
    if backend:
        lines.append(f"interactive SAM runs at {backend}")
    started = {"url": connection.url, "username": connection.username, "backend": backend}
    emit(started, as_json=as_json, text="\n".join(lines))


@studio.command(epilog="Example: figureground studio down -w work")
def down(workspace: WorkspaceOption, as_json: JsonOption = False) -> None:
    """Stop Label Studio and the interactive SAM; nothing is lost. A server of your own is only disconnected."""
    from figureground.annotate.studio.backend_daemon import stop_backend
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.server import stop_server

    home = StudioHome.of(workspace)
    stop_backend(home)
    done = stop_server(home)
    emit({"server": done}, as_json=as_json, text=f"Label Studio: {done}")


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
def push(workspace: WorkspaceOption, options: PushOptions, as_json: JsonOption = False) -> None:
    """Send photos with their machine masks, the most uncertain first; what is there already is not sent again.

    Photos in doubt come by how far people differ, the greatest disagreement first, as agree lists them. --leaking puts
    accepted masks in doubt whose rims leak most, and sends them first.
    """
    from figureground.annotate.studio.backend_daemon import connect_projects
    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome, sending
    from figureground.annotate.studio.people.new_attributes import push_new_attributes
    from figureground.annotate.studio.projects import pushed_schema
    from figureground.annotate.studio.push import PushSettings
    from figureground.annotate.studio.push import push as run
    from figureground.annotate.studio.queues.leaking import doubt_leaks
    from figureground.annotate.studio.second_look import push_second_look
    from figureground.annotate.studio.server import require_running
    from figureground.schemas.attributes import load_attribute_schema
    from figureground.schemas.store.workspace import Workspace

    asked = _asked_attributes(options)
    home = StudioHome.of(workspace)
    with Workspace.open(workspace) as store, sending(home), progress_bar() as show:
        client = StudioClient(require_running(home))
        schema = load_attribute_schema(asked) if asked else pushed_schema(store, client)
        if options.second_look:
            first = doubt_leaks(store, options.leaking) if options.leaking else []
            looks, faults = _with_faults(
                lambda: push_second_look(
                    store,
                    client,
                    schema,
                    by_authors=options.by_authors,
                    by=options.by or "both",
                    first=first,
                    limit=options.limit,
                    progress=show,
                )
            )
            connect_projects(store, client, home)
            _finish(looks, faults, str(looks), as_json=as_json)
            return
        if options.ask:
            asked_names = tuple(options.ask)
            report, faults = _with_faults(
                lambda: push_new_attributes(store, client, schema, asked_names, progress=show)
            )
            _finish_push(report, faults, store, client, home, as_json=as_json)
            return
        settings = PushSettings(
            schema=schema,
            people=_team_change(options),
            segmenter=options.segmenter,
            limit=options.limit,
            first=options.first,
            leaking=options.leaking,
            destructive=options.allow_destructive,
        )
        report, faults = _with_faults(lambda: run(store, client, settings, progress=show))
        _finish_push(report, faults, store, client, home, as_json=as_json)


def _finish_push(
    report: PushReport,
    faults: DataError | None,
    store: Workspace,
    client: StudioClient,
    home: StudioHome,
    *,
    as_json: bool,
) -> None:
    """Let the interactive SAM answer in new projects too; then as ``_finish``."""
    from figureground.annotate.studio.backend_daemon import connect_projects
    from figureground.annotate.studio.projects import newest_projects

    connect_projects(store, client, home)
    looks = newest_projects(store, client.connection.server, "second_look").values()
    lines = [_push_text(report, client, home), *(f"  second looks: {client.project_address(look)}" for look in looks)]
    _finish(report, faults, "\n".join(lines), as_json=as_json)


def _finish(report: object, faults: DataError | None, text: str, *, as_json: bool) -> None:
    """Print what was done, then raise the faults, if there are any."""
    emit(report, as_json=as_json, text=text)
    if faults:
        raise faults


def _push_text(report: PushReport, client: StudioClient, home: StudioHome) -> str:
    """What a push did, in lines for people."""
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
    return "\n".join(lines)


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
        lines.append(f"send those in doubt back with: figureground studio push -w {shell_word(workspace)} --second-look")
    _finish(report, faults, "\n".join(lines), as_json=as_json)


studio.command(epilog="Example: figureground studio backend -w work --segmenter mobile-sam --port 9090")(backend)
studio.command(
    epilog="Examples: figureground studio embeddings -w work\n\n"
    "figureground studio embeddings -w work --fill --segmenter sam2 --device cuda"
)(embeddings)
