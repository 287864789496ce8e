"""What the pages quote exists: commands and options, make targets, variables, parameters."""

import re
import shlex
from functools import cache
from itertools import takewhile

import pytest
import typer

from jobs.cli import entry as cli
from jobs.core import params
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.usecases.discovery import find_usecase
from quoted_texts import SOURCES

PAGES = sorted(
    [
        PROJECT / "README.md",
        PROJECT / "CONTRIBUTING.md",
        PROJECT / "tests" / "README.md",
        PROJECT / "jobs" / "README.md",
        PROJECT / "plugins" / "README.md",
        *(PROJECT / "docs").rglob("*.md"),
    ]
)


def spans(text):
    """Every span of code, and every line of a block of code."""
    for block in re.findall(r"```(?:sh|text)?\n(.*?)```", text, re.DOTALL):
        yield from map(str.strip, re.sub(r"\\\n\s*", " ", block).splitlines())
    for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        yield " ".join(span.split())


def quoted(program):
    """(page, words) of every command of `program` that a page quotes."""
    for page in PAGES:
        for span in spans(page.read_text()):
            inner = (
                [span]
                if span.startswith(f"{program} ")
                else re.findall(rf"\$\(({program} [^)]*)\)", span)
            )
            for command in inner:
                yield page.name, shlex.split(command, comments=True)


@cache
def app():
    cli._mount()
    return typer.main.get_command(cli.app)


def objection(words):
    """What is wrong with a command, or None."""
    command, rest = app(), words[1:]
    while rest and hasattr(command, "commands"):
        if rest[0].isupper():  # STEP stands for any
            rest[0] = "extract"
        if rest[0] not in command.commands:
            return f"there is no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    if command.context_settings.get("ignore_unknown_options"):  # it hands everything on
        return None
    options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    unknown = [
        word for word in rest if word.startswith("-") and word.partition("=")[0] not in options
    ]
    return f"{command.name} has no {', '.join(unknown)}" if unknown else None


def test_every_command_exists():
    commands = list(quoted("nightshift"))
    assert len(commands) > 20, "the pages quote commands, and this test must find them"
    wrong = [
        (page, " ".join(words), objection(words))
        for page, words in commands
        if objection(list(words))
    ]
    assert not wrong


def test_every_example_of_a_whole_command_is_accepted():
    """Commands on lines of their own, in blocks, are complete: the parser takes them."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                if line.strip().startswith("nightshift "):
                    words = takewhile(
                        lambda word: word not in (">", "|"), shlex.split(line, comments=True)
                    )
                    context = app().make_context("nightshift", list(words)[1:])
                    command, rest = app(), [*context._protected_args, *context.args]
                    while hasattr(command, "commands"):
                        command, rest = command.commands[rest[0]], rest[1:]
                    command.make_context(command.name, list(rest))


@pytest.mark.parametrize(
    "words", [["nightshift", "runn"], ["nightshift", "run", "fraud", "--day", "2018-07-10"]]
)
def test_a_wrong_command_is_found(words):
    assert objection(words)


def test_every_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    wrong = [(page, words) for page, words in quoted("make") if words[1] not in targets]
    assert not wrong


def test_every_variable_exists():
    code = "\n".join(path.read_text() for path in SOURCES)
    for page in PAGES:
        for name in set(re.findall(r"NIGHTSHIFT_[A-Z_]+", page.read_text())):
            assert f'"{name}"' in code, f"{page.name} names {name}, which nothing reads"


def test_every_variable_of_the_settings_is_explained():
    page = (PROJECT / "docs" / "architecture.md").read_text()
    read = (PROJECT / "jobs" / "core" / "settings.py").read_text()
    missing = [
        name for name in re.findall(r'"((?:NIGHTSHIFT|MLFLOW)_[A-Z_]+)"', read) if name not in page
    ]
    assert not missing


def test_every_parameter_exists():
    """Spans like `validate.quiet_days`, of steps that have a section."""
    parameters = {
        f"{prefix}{step}.{name}"
        for pipeline in PIPELINES
        for prefix in ("", f"{pipeline}.")
        for step, section in find_usecase(pipeline).params.items()
        for name in section.model_fields
    } | {f"{pipeline}.first_date" for pipeline in PIPELINES}
    steps = "|".join({step for pipeline in PIPELINES for step in find_usecase(pipeline).params})
    for page in PAGES:
        for span in re.findall(rf"`((?:{steps})\.[a-z_]+)`", page.read_text()):
            assert span in parameters, (
                f"{page.name} names the parameter {span}, which no step reads"
            )
    assert params.first_date(PROJECT / "params.yaml", "fraud")
