"""What the program says leads on: examples parse, errors end in what to type next, bars are for terminals."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from block_ledger import read_call
from checkout import ROOT, is_checkout, project_files
from known_commands import VERBS, commands_in, unknown_commands
from needs import need
from shared_cases import run_here

from figureground.console import progress_bar, stderr


def examples() -> Iterator[tuple[str, list[str]]]:
    """Every verb's examples, without variables before them and what the shell takes behind."""
    for name, command in VERBS.items():
        text = (command.epilog or "").partition(":")[2]
        for line in filter(None, map(str.strip, text.splitlines())):
            words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=\S+", word)]
            yield name, words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize(("name", "words"), [pytest.param(*example, id=" ".join(example[1])) for example in examples()])
def test_an_example_parses(name: str, words: list[str]) -> None:
    """By the command line itself, without running anything: options, their values, how many arguments there are."""
    assert words[0] == "figureground"
    verb = next(verb for verb in (" ".join(words[1:3]), words[1]) if verb in VERBS)
    command = VERBS[verb]
    rest = words[1 + len(verb.split()) :]
    with command.make_context(verb, list(rest), resilient_parsing=False) as context:
        assert context.params is not None
    assert name.split()[0] in {word.split()[0] for word in VERBS}


MISTAKES: dict[str, tuple[str, str]] = {
    "no such photos": ("index nowhere -w work", "folder"),
    "no workspace": ("propose -w nowhere", "figureground index"),
    "no workspace to list": ("photos -w nowhere", "figureground index"),
    "no workspace to freeze": ("freeze -w nowhere --version v1", "figureground index"),
    "no workspace to agree on": ("agree -w nowhere", "figureground index"),
    "no workspace for status": ("status -w nowhere", "figureground index"),
    "no release": ("build imagenet9 -w work -o out", "figureground freeze"),
    "no recipe": ("build -w work -o out", "figureground build --list"),
    "unknown recipe": ("build imagenet10 -w work -o out", "imagenet9"),
    "no recipe to print": ("recipe imagenet10", "imagenet9"),
    "unknown policy": ("policy strict", "double_checked"),
    "no such photo": ("forget 00000000000000000000000000000000 -w work", "figureground photos"),
    "no masks": ("freeze -w work --version v1", "figureground"),
    "nobody answered": ("sheet make -w work -o sheet", "figureground propose"),
    "no dataset": ("verify nowhere", "figureground build"),
    "no dataset to view": ("view nowhere", "figureground build"),
    "no dataset to export": ("export nowhere --layout coco -o out", "figureground build"),
    "no model": ("evaluate nowhere", "--model"),
    "no results": ("report nowhere -o out", "figureground evaluate"),
    "no results to compare": ("compare nowhere -o out", "figureground evaluate"),
    "nothing to plan from": ("plan-size", "--discordant"),
    "no kit": ("human score nowhere -o out", "figureground human make"),
    "no studio": ("studio status -w work", "figureground studio up"),
    "nothing to lint": ("lint", "-w"),
    "no such decisions": ("sheet read nowhere.json -w work", "figureground sheet make"),
    "unknown segmenter": ("propose -w work --segmenter best-of-all", "mobile-sam"),
}
"""What people do wrong: what they type, and what the message must hold for them to go on."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    from figureground.annotate.verbs import index

    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "photos" / "dog").mkdir(parents=True)
    Image.new("RGB", (32, 32), "red").save(folder / "photos" / "dog" / "a.png")
    index(folder / "photos", folder / "work", workers=1)
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_the_way_on(
    mistake: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, way_on = MISTAKES[mistake]
    monkeypatch.chdir(work)
    code, stdout, err = run_here(capsys, *typed.split())
    assert code != 0
    assert stdout == ""
    assert way_on in " ".join(err.split())
    assert unknown_commands(err) == []
    for command in commands_in(err):  # and nothing that it needs is left out
        read_call(mistake, shlex.split(command)[1:])


def test_bars_come_from_one_place() -> None:
    need(is_checkout(), "this is no git checkout")
    others = [
        name
        for name in project_files("annotate", "build", "exports", "figureground", "schemas")
        if name.endswith(".py") and name != "figureground/console.py"
        if re.search(r"rich\.progress|\btqdm\(|\btrange\(|progress\.track", (ROOT / name).read_text(encoding="utf-8"))
    ]
    assert others == []


def test_a_bar_is_on_stderr_of_a_terminal_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as show:
        for done in range(1, 101):
            show("photos", done, 100)
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_bar_says_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    stderr.cache_clear()
    try:
        with progress_bar() as show:
            for done in range(101):
                show("photos", done, 100)
            print("{}")
        printed = capfd.readouterr()
    finally:
        stderr.cache_clear()
    assert printed.out == "{}\n", "what goes to a file may not go to the screen"
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.err).strip().splitlines()[-1]
    assert re.search(r"photos .* 100/100 +[\d.e+]+ a second +\d+:\d\d:\d\d +\d+:\d\d:\d\d", last), last
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", printed.err), "NO_COLOR asks for none"
