"""The documentation says what is: generated pages are current, links resolve, commands exist."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec

import click
import pytest
import yaml
from checkout import ROOT, is_checkout, project_files
from known_commands import VERBS, is_known
from needs import need

import figureground


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Every Markdown page of the project by path."""
    need(is_checkout(), "this is no git checkout")
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in project_files() if name.endswith(".md")}


@pytest.mark.slow
def test_the_command_reference_is_current() -> None:
    script = ROOT / "docs" / "make_cli_reference.py"
    run = subprocess.run([sys.executable, "-P", script, "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_page_of_the_door_describes_its_own_names(pages: dict[str, str]) -> None:
    """Types by the line below them, not by Python's manual; records that are passed in by every field's meaning."""
    described = dict(re.findall(r"^### figureground\.(\w+)\n(.*?)(?=^##|\Z)", pages["docs/door.md"], re.DOTALL | re.M))
    assert "half-open" in described["Box"]
    assert "True on the figure" in described["Mask"]
    assert max(len(described[name]) for name in ("Box", "Mask")) < 200
    for name in (
        "BuildOptions",
        "EngineChoice",
        "LintOptions",
        "Machines",
        "ModelChoice",
        "ProposalSettings",
        "PublishRequest",
        "SourceReading",
    ):
        own = [row.split(" | ") for row in described[name].splitlines() if row.startswith("| `")]
        fields = {row[0].strip("| `"): row[-1].strip(" |") for row in own}
        assert set(fields) == {field.name for field in dataclasses.fields(getattr(figureground, name))}
        assert all(fields.values()), f"{name}: a field without its meaning"


def test_links_between_pages_resolve(pages: dict[str, str]) -> None:
    broken = []
    for name, text in pages.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", _prose(text)):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = (ROOT / name).parent / path if path else ROOT / name
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in _anchors(file.read_text())):
                broken.append(f"{name}: {target}")
    assert broken == []


def _prose(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(text: str) -> set[str]:
    """Anchors of a page's headings, made as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", _prose(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def test_commands_in_the_pages_exist(pages: dict[str, str]) -> None:
    """Each ``figureground VERB --option`` of a code block is one that the program takes."""
    wrong = [
        f"{name}: {line}"
        for name, text in pages.items()
        if name != "docs/cli.md"  # written from the program itself
        for line in _commands(text, "figureground")
        if not is_known(line)
    ]
    assert wrong == []


def test_examples_in_the_help_exist() -> None:
    examples = [f"```\n{line.strip()}\n```" for verb in VERBS.values() for line in _examples(verb)]
    commands = [line for block in examples for line in _commands(block, "figureground")]
    assert [line for line in commands if not is_known(line)] == []
    assert len(commands) >= len(VERBS), "each verb's epilog shows an example"


def _examples(verb: click.Command) -> list[str]:
    return (verb.epilog or "").partition(":")[2].splitlines()


def test_make_targets_in_the_pages_exist(pages: dict[str, str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {
        (name, target)
        for name, text in pages.items()
        for line in [*_commands(text, "make"), *re.findall(r"`(make [^`]+)`", text)]
        for target in shlex.split(line, comments=True)[1:]
        if "=" not in target and not target.startswith("-")
    }
    assert {(name, target) for name, target in named if target not in targets} == set()


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name for name in records if f"({name})" not in index] == []
    assert [name[:4] for name in records] == [f"{number:04}" for number in range(1, len(records) + 1)]


def test_examples_of_clusters_are_what_their_tools_read() -> None:
    examples = ROOT / "docs" / "examples" / "ray"
    job = yaml.safe_load((examples / "kuberay.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    options = {name for word in VERBS["build"].params for name in word.opts}
    assert {word for word in shlex.split(job["spec"]["entrypoint"]) if word.startswith("-")} <= options
    need(find_spec("ray") is not None, "Ray is not installed (extra ray)")
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(yaml.safe_load((examples / "cluster.yaml").read_text(encoding="utf-8"))))


def test_the_changelog_begins_with_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    headings = re.findall(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert version in headings[:2], (
        "the topmost headings are Unreleased, if it is there, and the version of pyproject.toml"
    )


def _commands(text: str, program: str) -> Iterator[str]:
    """Lines of a page's code blocks that call ``program``, continued lines joined."""
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"^(\$ )?([A-Z_]+=\S+ )*(\.venv/bin/)?", "", line.strip())
            if command.startswith(f"{program} "):
                yield command


def test_every_page_is_on_the_site(pages: dict[str, str]) -> None:
    trees = re.findall(r"^```{toctree}\n(.*?)^```", pages["docs/index.md"], re.DOTALL | re.MULTILINE)
    named = {f"docs/{name}" for tree in trees for name in re.findall(r"^([\w./]+)$", tree, re.MULTILINE)}
    own = {name.removesuffix(".md") for name in pages if re.fullmatch(r"docs/((tutorials|howto)/)?\w+\.md", name)}
    assert own - named == {"docs/index"}
