"""The verbs: where each is, what it does in a line, and the group that imports one only when it is called.

``figureground --help`` shows this table, so it imports neither the verbs nor what they need.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, Final, Literal, NamedTuple

import typer
from typer.core import TyperGroup

Panel = Literal["Photos and masks", "Label Studio", "Datasets", "Scores", "This installation"]
"""Headings of ``figureground --help``, in their order: verbs by what those who type them have in hand."""


class Verb(NamedTuple):
    """One verb, or group of verbs."""

    home: str
    """``module:name`` of its ``typer.Typer``."""
    summary: str
    """First paragraph of its help; a test holds the two equal."""
    panel: Panel
    """Below which heading ``figureground --help`` lists it."""


VERBS: Final = {
    "index": Verb(
        "figureground.cli.photos:index",
        "Catalogue photos; those that cannot be used are reported by name, and none of them is fatal.",
        "Photos and masks",
    ),
    "photos": Verb(
        "figureground.cli.photos:photos",
        "List photos, one a line: id, state, label, source and name; their ids name masks, and photos to forget.",
        "Photos and masks",
    ),
    "duplicates": Verb(
        "figureground.cli.photos:duplicates",
        "Find photos that are equal or nearly so, across classes, splits and releases.",
        "Photos and masks",
    ),
    "propose": Verb(
        "figureground.cli.propose:propose",
        "Propose masks by machine; photos that are done already are skipped, so a killed run goes on.",
        "Photos and masks",
    ),
    "checkpoints": Verb(
        "figureground.cli.propose:checkpoints",
        "List the weights that --checkpoint knows by name: size, licence, gate, and what their files are held to.",
        "Photos and masks",
    ),
    "import": Verb(
        "figureground.cli.imports:import_masks", "Import masks that were made elsewhere.", "Photos and masks"
    ),
    "sheet": Verb(
        "figureground.cli.propose:sheet",
        "A sheet of machine masks to accept or reject in any browser, without Label Studio.",
        "Photos and masks",
    ),
    "agree": Verb(
        "figureground.cli.freeze:agree",
        "Say how far people agree, what is in doubt, how each annotator works, and what machine masks saved.",
        "Photos and masks",
    ),
    "lint": Verb(
        "figureground.cli.freeze:lint",
        "Check masks by rules: sizes, specks, rims, what lies outside, what nobody looked at; tell how to mend them.",
        "Photos and masks",
    ),
    "rims": Verb(
        "figureground.cli.freeze:rims",
        "Score how much of each figure its mask leaves at the rim, by colour and models' answers; for push.",
        "Photos and masks",
    ),
    "policy": Verb(
        "figureground.cli.freeze:policy",
        "Print a shipped policy of releases, to begin one of your own with; without a name, list them.",
        "Photos and masks",
    ),
    "freeze": Verb(
        "figureground.cli.freeze:freeze",
        "Write the accepted masks as an immutable release, objects/VERSION.parquet.",
        "Photos and masks",
    ),
    "forget": Verb(
        "figureground.cli.photos:forget",
        "Delete a photo and all that hangs on it (a takedown); releases that hold it stay as they are.",
        "Photos and masks",
    ),
    "studio": Verb(
        "figureground.cli.studio:studio",
        "Label Studio: run one, send photos with machine masks, fetch what people made of them.",
        "Label Studio",
    ),
    "build": Verb(
        "figureground.cli.build:build",
        "Turn a release into a dataset repository that datasets.load_dataset reads.",
        "Datasets",
    ),
    "recipe": Verb(
        "figureground.cli.build:recipe", "Print a shipped recipe, to begin one of your own with.", "Datasets"
    ),
    "verify": Verb(
        "figureground.cli.release:verify",
        "Check every file of a dataset against its manifest, and every image against its own hash and the plan.",
        "Datasets",
    ),
    "diff": Verb(
        "figureground.cli.release:diff",
        "Tell what changed between two versions: objects, masks, rows and why, recipe, software; --json names each.",
        "Datasets",
    ),
    "rebuild": Verb(
        "figureground.cli.release:rebuild",
        "Make a release's rows from your own copy of its photos, to the same pixels; what is missing is named.",
        "Datasets",
    ),
    "view": Verb(
        "figureground.cli.looking.view:view",
        "Browse a dataset in a browser of this machine: filter its rows, set variants side by side, flag photos.",
        "Datasets",
    ),
    "export": Verb(
        "figureground.cli.export:export",
        "Write a dataset in another dataset's layout, so that its loaders read it.",
        "Datasets",
    ),
    "publish": Verb(
        "figureground.cli.publish:publish",
        "Publish a dataset on the Hugging Face Hub: verified, staged, loaded back, then one commit and a tag.",
        "Datasets",
    ),
    "evaluate": Verb(
        "figureground.cli.evaluate:evaluate", "Score classifiers on a dataset repository, with intervals.", "Scores"
    ),
    "report": Verb(
        "figureground.cli.looking.report:report",
        "Put results side by side in tables and plots, or show a dataset on one page: photos, masks, donors, rows.",
        "Scores",
    ),
    "compare": Verb(
        "figureground.cli.looking.report:compare",
        "Compare models: paired differences of every figure, corrected for all comparisons, and sets that hold ranks.",
        "Scores",
    ),
    "plan-size": Verb(
        "figureground.cli.looking.report:plan_size",
        "Plan how many images and donors of each show a difference, from a pilot's results or from a stated rate.",
        "Scores",
    ),
    "analyze": Verb(
        "figureground.cli.analyze:analyze",
        "What classifiers look at: figure against ground, saliency, spurious and neural features, trained heads.",
        "Scores",
    ),
    "human": Verb(
        "figureground.cli.human:human",
        "A human baseline: ask people about a dataset's pictures, blinded, and score models on the same questions.",
        "Scores",
    ),
    "status": Verb(
        "figureground.cli.beginning:status",
        "Say what a workspace holds, how far its photos are, and what to type next.",
        "This installation",
    ),
    "doctor": Verb(
        "figureground.cli.beginning:doctor",
        "Check this installation, this machine, weights, servers and a workspace; each defect comes with its remedy.",
        "This installation",
    ),
    "demo": Verb(
        "figureground.cli.beginning:demo",
        "Walk the whole path on photos that installed packages ship: propose, build, load back, score.",
        "This installation",
    ),
}
"""By name, in the order of ``figureground --help``."""


class LoadedVerbs(MutableMapping[str, Any]):
    """The commands of ``VERBS`` by name; each is imported when it is first asked for."""

    def __init__(self) -> None:
        self._commands = dict[str, Any]()

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  a command of typer's, whose base class is private
        if name not in self._commands:
            module, _, attribute = VERBS[name].home.partition(":")
            command = typer.main.get_command(getattr(import_module(module), attribute))
            command.name = name
            command.rich_help_panel = VERBS[name].panel  # type: ignore[attr-defined]  # typer's own attribute
            self._commands[name] = command
        return self._commands[name]

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401  as above
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class VerbGroup(TyperGroup):
    """The program: a group of the verbs of ``VERBS``."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  those of TyperGroup
        super().__init__(**{**settings, "commands": {}})
        self.commands = LoadedVerbs()

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        """Print what ``typer`` prints for a group, without the parsers of Markdown and code that it imports for it."""
        from figureground.cli.listing import print_listing

        print_listing(self, ctx, [(name, verb.summary, verb.panel) for name, verb in VERBS.items()])

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """Complete a verb's name from the table; what comes after it is the verb's own to complete."""
        from typer._click.shell_completion import CompletionItem  # the private home of what every release must return

        if incomplete.startswith("-"):
            return TyperGroup.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=verb.summary) for name, verb in VERBS.items() if name.startswith(incomplete)]
