"""No secret in any words: of any password, in any of its written forms."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from jobs.core import failures, masking, settings, traces
from jobs.core.errors import ConfigError, StoreError
from jobs.stores import clickhouse, postgres, redis, registry, source

PASSWORDS = st.text(
    st.characters(exclude_categories=("Cs",)), min_size=masking.SHORTEST, max_size=30
)
PRINTED = st.text(
    st.characters(exclude_categories=("Cs", "Cc")), min_size=masking.SHORTEST, max_size=30
)
FORMS = {
    "raw": str,
    "percent": lambda text: quote(text, safe=""),
    "percent with slashes": quote,
    "plus": quote_plus,
    "lower": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "repr": repr,
    "repr of repr": lambda text: repr(repr(text)),
    "bytes": lambda text: repr(text.encode()),
    "json": json.dumps,
    "json as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "json of repr": lambda text: json.dumps(repr(text)),
}


@pytest.fixture(autouse=True)
def unlearned(monkeypatch):
    monkeypatch.setattr(masking, "_learned", set())


def shown(password: str, text: str) -> list[str]:
    """The forms of the password that the text has."""
    forms = {name: form(password) for name, form in FORMS.items()}
    forms |= {name: forms[name][1:-1] for name in ("repr", "json", "json as it is")}
    return [name for name, form in forms.items() if form in text]


# A password that is one of these is masked inside addresses only, which a test of its own says.
NAMES = {"postgresql", "night", "host", "5432", "serving"}


@limits(max_examples=100, deadline=None)
@given(
    PASSWORDS.filter(lambda password: password.strip("*") and password not in NAMES),
    st.sampled_from(sorted(FORMS)),
)
def test_a_learned_password_is_in_no_words(password, form):
    masking._learned.clear()
    masking.learn(f"postgresql://night:{quote(password, safe='')}@host:5432/serving")
    assert shown(password, masking.mask(f"<<{FORMS[form](password)}>>")) == []


@limits(max_examples=100, deadline=None)
@given(PASSWORDS.filter(lambda password: not any(map(str.isspace, password))))
def test_the_login_of_an_address_that_nobody_learned_is_in_no_words(password):
    address = f"http://night:{quote(password, safe='')}@host:5000"
    masked = masking.mask(f"API request to {address}/api failed (see http://docs/x)")
    assert masked == "API request to http://***@host:5000/api failed (see http://docs/x)"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://user:p/w?x#y@host:5000/x", "http://***@host:5000/x"),
        ("redis://:a@b@host/0", "redis://***@host/0"),
        ("host=h password=secret user=u", "host=h password=*** user=u"),
        (r"password='it\'s x' user=u", "password=*** user=u"),
        ("h/d?user=u&password=x&sslmode=off", "h/d?user=u&password=***&sslmode=off"),
        ("{'password': 'x y', 'a': 'b'}", "{'password': ***, 'a': 'b'}"),
        ("wrong password: see the docs", "wrong password: see the docs"),
        ("http://127.0.0.1:5000/#/experiments/1", "http://127.0.0.1:5000/#/experiments/1"),
        ("mail a@b, see http://h/x and ask c@d", "mail a@b, see http://h/x and ask c@d"),
    ],
)
def test_other_words_stay(text, masked):
    assert masking.mask(text) == masked


def test_the_environments_own_secrets_are_in_no_words(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "hunter22")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "to/ken")
    assert masking.mask("hunter22 to%2Fken hunter") == "*** *** hunter"


def test_a_password_that_is_a_name_too_is_masked_inside_addresses_only():
    masking.learn("postgresql://nightshift:nightshift@host/nightshift")
    assert (
        masking.mask("nightshift run: postgresql://nightshift:nightshift@host/x")
        == "nightshift run: postgresql://***@host/x"
    )


@pytest.mark.parametrize(
    "name", [settings.POSTGRES, settings.REDIS, settings.MLFLOW, settings.SOURCE]
)
@pytest.mark.parametrize("password", ["geheim/nis", "geheim?nis", "geheim#nis"])
def test_an_address_whose_login_others_would_take_for_a_host_is_refused_without_showing_it(
    name, password, monkeypatch
):
    monkeypatch.setenv(name, f"http://night:{password}@host:5000/x")
    with pytest.raises(ConfigError, match=f"the login in {name} contains") as refused:
        settings.load().url(name)
    assert "geheim" not in str(refused.value) and "%2F" in str(refused.value)


def test_errors_and_logs_have_no_secrets(capsys, monkeypatch):
    from jobs.core import log

    monkeypatch.setenv(settings.MLFLOW, "http://night:geheim%2Fnis@host:5000")
    settings.load().mlflow  # noqa: B018 (whoever reads the address has it learned)
    error = StoreError(
        "geheim/nis",
        remedy="geheim%2fnis",
        input="http://night:geheim%2Fnis@host",
        why="'geheim\\/nis'",
    )
    assert "geheim" not in str(error) and "nis" not in str(error)
    log.set_up()
    log.logger(pipeline="x", step="y", date="z").warning(
        "see http://a:b@c", error="geheim/nis", exc_info=error
    )
    said = capsys.readouterr().err
    assert "geheim" not in said and "a:b" not in said and said.count("***") >= 4


ERRORS = {
    settings.POSTGRES: (
        "postgresql://night:{}@127.0.0.1:9/x",
        lambda chosen: postgres.connect_postgres(chosen.postgres),
    ),
    settings.SOURCE: (
        "postgresql://night:{}@127.0.0.1:9/x",
        lambda chosen: source.connect_source(chosen.source),
    ),
    settings.REDIS: (
        "redis://:{}@127.0.0.1:9/0",
        lambda chosen: redis.connect_redis(chosen.redis, "fraud"),
    ),
    settings.CLICKHOUSE: ("clickhouse://night:{}@127.0.0.1:9/", clickhouse.connect_clickhouse),
    settings.MLFLOW: ("http://night:{}@127.0.0.1:9", registry.connect_mlflow),
}


@pytest.mark.parametrize("encoded", [True, False], ids=["encoded", "raw"])
@pytest.mark.parametrize("name", ERRORS)
def test_no_failing_store_shows_its_password(name, encoded, tmp_path):
    """By way of the store's own error, its story in a file, and a line of the log."""

    @limits(max_examples=12, deadline=None)
    @given(PRINTED.filter(lambda password: password.strip("*")))
    def property_(password):
        masking._learned.clear()
        address, opened = ERRORS[name]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            patch.setenv(name, address.format(quote(password, safe="") if encoded else password))
            with pytest.raises(Exception) as caught, opened(settings.load()) as store:
                getattr(store, "served", getattr(store, "search_experiments", None))()
            error = failures.explain(caught.value)
            story = Path(traces.write(caught.value, tmp_path, "story")).read_text()
            said = io.StringIO()
            masking.masked(said).write(f"{caught.value!r} {os.environ[name]}")
        for text in (str(error), story, said.getvalue()):
            assert shown(password, text) == []

    property_()
