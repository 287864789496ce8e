"""What the command line says about itself, and about a name that it does not know."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from jobs.cli import entry as cli
from jobs.core.errors import ConfigError


def said(monkeypatch, capsys, *words):
    """(exit code, standard error) of the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["nightshift", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr().err


@pytest.mark.process
def test_a_console_script_that_an_earlier_release_installed_still_works():
    script = "import sys; from jobs.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "status", "fruad"], capture_output=True, text=True
    )
    assert done.returncode == ConfigError.exit_code and "did you mean fraud?" in done.stderr


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ["status", "fruad"],
            ["no such pipeline", "Input: fruad", "did you mean fraud?", "fraud, movies"],
        ),
        (["served", "movie"], ["no such pipeline", "Input: movie", "did you mean movies?"]),
        (
            ["params", "x[/red]\x1b[2J"],
            ["no such pipeline", r"Input: x[/red]\x1b[2J", "choose one of fraud, movies"],
        ),
        (["lookup", "frad", "customer", "C1"], ["no such pipeline", "did you mean fraud?"]),
        (
            ["lookup", "fraud", "costumer", "C1"],
            ["no such entity", "did you mean customer?", "merchant"],
        ),
        (
            ["run", "fraud", "--date", "2018-07-10", "--from", "trian"],
            ["no such step", "did you mean train?"],
        ),
        (
            ["run", "fraud", "--date", "2018-07-10", "--to", "nothing"],
            ["no such step", "choose one of extract"],
        ),
        (
            ["manifest", "gaet", "--pipeline", "fraud", "--date", "2018-07-10"],
            ["no such step", "did you mean gate?"],
        ),
        (
            ["train", "--pipeline", "fruad", "--date", "2018-07-10"],
            ["no such pipeline", "did you mean fraud?"],
        ),
        (
            ["status", "fraud", "--range", "2018-05-01"],
            ["not two days", "Input: 2018-05-01", "FIRST..LAST"],
        ),
        (
            ["status", "fraud", "--range", "2018-05-03..2018-05-01"],
            ["ends before it begins", "2018-05-01..2018-05-03"],
        ),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_all_that_there_are(
    monkeypatch, capsys, words, parts
):
    code, text = said(monkeypatch, capsys, *words)
    assert code == 78 and "Traceback" not in text
    places = [text.find(part) for part in parts]
    assert -1 not in places and places == sorted(places), f"{parts} in this order, not {text}"
    assert "Next: " in text and "\x1b[2J" not in text


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_an_unknown_id_is_answered_with_those_next_to_it(at, monkeypatch, capsys, store):
    place = at("end")
    ids = [
        row[0] for row in place.query("SELECT customer_id FROM customer_risk_current ORDER BY 1")
    ]
    with place.settings():
        code, text = said(
            monkeypatch, capsys, "lookup", "fraud", "customer", f"{ids[3]}x", "--store", store
        )
    assert code == 1 and f"Input: {ids[3]}x" in text
    assert text.rstrip().endswith(f"served ids: {', '.join(ids[2:6])}")


def test_an_unknown_id_where_nothing_is_served_is_an_error_too(
    serving_db, redis_url, monkeypatch, capsys
):
    monkeypatch.setenv("NIGHTSHIFT_POSTGRES_DSN", serving_db)
    monkeypatch.setenv("NIGHTSHIFT_REDIS_URL", redis_url)
    code, text = said(monkeypatch, capsys, "lookup", "fraud", "customer", "C1")
    assert code == 1 and "nearest served ids: none" in text


def every_command(command, path="nightshift"):
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from every_command(each, f"{path} {name}")


def test_every_command_and_every_option_has_a_sentence_and_every_command_an_example():
    cli._mount()
    commands = dict(every_command(typer.main.get_command(cli.app)))
    assert len(commands) > 35
    for path, command in commands.items():
        first, _, more = (command.help or "").partition("\n\n")
        assert first, f"{path} says nothing"
        if not hasattr(command, "commands"):
            assert first.strip().endswith(".") and "Example: " in more, f"{path}: {command.help}"
        for option in command.params:
            assert option.name == "help" or (option.help or "").strip(), (
                f"{path} does not explain {option.name}"
            )
