import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx
import pytest
import requests.utils
from clickhouse_connect.driver.httputil import check_env_proxy
from httpx._utils import URLPattern, get_environment_proxies
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core import environment
from jobs.core.settings import PROJECT

PROXY = "http://10.9.8.7:3128"
LOCAL = ("http://127.0.0.1:5000/", "http://localhost:5000/", "http://[::1]:5000/")


@pytest.fixture(params=["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def proxied(request, monkeypatch):
    """Sets what the user has set: a proxy, and what follows."""
    for name in [*os.environ]:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def put(**more):
        variables = {request.param: PROXY, **more}
        monkeypatch.setattr(os, "environ", os.environ.copy())
        os.environ.update(variables)
        environment.settle()
        return request.param

    return put


@pytest.mark.parametrize(
    "theirs",
    [
        {},
        {"no_proxy": "corp.example"},
        {"NO_PROXY": "corp.example, 10.0.0.0/8"},
        {"no_proxy": ".corp.example", "NO_PROXY": "fe80::/10,[::1],münchen.example"},
    ],
)
def test_every_client_reaches_the_loopback_directly_and_others_by_the_proxy(proxied, theirs):
    name = proxied(**theirs)
    with httpx.Client() as client:
        for url in LOCAL:
            assert isinstance(client._transport_for_url(httpx.URL(url)), httpx.HTTPTransport)
            assert client._transport_for_url(httpx.URL(url)) is client._transport, url
            assert requests.utils.get_environ_proxies(url) == {}, url
        assert client._transport_for_url(httpx.URL("http://far.example/")) is not client._transport
        if theirs:
            assert (
                client._transport_for_url(httpx.URL("http://www.corp.example/"))
                is client._transport
            )
    assert urllib.request.proxy_bypass("127.0.0.1:5000") and urllib.request.proxy_bypass(
        "localhost:5000"
    )
    assert not urllib.request.proxy_bypass("far.example")
    assert requests.utils.get_environ_proxies("http://far.example/")
    if name.lower() == "http_proxy":
        assert check_env_proxy("http", "127.0.0.1", 8123) is None
        assert check_env_proxy("http", "far.example", 8123) == PROXY


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_for_anything_stays_so(name):
    wanted = environment.ours({"http_proxy": PROXY, name: "*"})
    assert (wanted["no_proxy"], wanted["NO_PROXY"], wanted["http_proxy"]) == ("*", "*", PROXY)


@pytest.mark.parametrize(
    "url", ["socks5://10.9.8.7:1080", "socks5h://10.9.8.7:1080", "ftp://10.9.8.7"]
)
def test_a_proxy_that_no_client_can_use_stops_none(proxied, url):
    proxied(ALL_PROXY=url, https_proxy=url)
    httpx.Client().close()


@given(st.lists(st.text(alphabet="abcé.:/[]0123456789 *-,", max_size=20), max_size=4).map(",".join))
@settings(deadline=None)
def test_whatever_is_excepted_from_the_proxy_no_client_fails_at_it(theirs):
    given = {"http_proxy": PROXY, "no_proxy": theirs}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", environment.ours(given))
        mounts = {URLPattern(key): url for key, url in get_environment_proxies().items()}
    if environment.no_proxy(given) != "*":
        assert all(
            any(each.matches(httpx.URL(url)) for each, to in mounts.items() if not to)
            for url in LOCAL
        )


def test_settled_twice_is_settled_once():
    once = environment.ours(
        {"http_proxy": PROXY, "no_proxy": "a,b", "PYTHONHOME": "/x", "TZ": "UTC"}
    )
    assert environment.ours(once) == once
    assert "PYTHONHOME" not in once and once["TZ"] == "UTC"


@pytest.mark.process
def test_another_pyspark_on_the_module_path_and_modules_of_the_working_directory_are_passed_over(
    tmp_path,
):
    spark = tmp_path / "spark" / "python"
    for module in ("pyspark", "redis", "jobs"):
        folder = tmp_path / "here" if module == "jobs" else spark
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").write_text("raise SystemExit('not ours')")
    (spark / "redis").rename(tmp_path / "here" / "redis")
    mine = tmp_path / "mine"
    mine.mkdir()
    code = (
        "from jobs.core.environment import settle; settle()\n"
        "import subprocess, sys, pyspark, redis; print(pyspark.__file__)\n"
        "child = 'import jobs, pyspark, redis; print(pyspark.__file__)'\n"
        "subprocess.run([sys.executable, '-c', child], check=True)"
    )
    theirs = os.pathsep.join([str(spark), str(mine)])
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path / "here",
        env=os.environ | {"PYTHONPATH": theirs},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split())) == 1 and "site-packages" in done.stdout
    assert environment.ours({"PYTHONPATH": theirs})["PYTHONPATH"] == str(mine)


def test_the_console_script_settles_its_environment_first():
    source = (PROJECT / "jobs" / "cli" / "entry.py").read_text()
    assert source.index("settle()") < source.index("_mount()\n")


def test_java_gets_nothing_of_another_spark_and_a_plain_locale():
    theirs = {
        "SPARK_HOME": "/opt/spark",
        "SPARK_MASTER_PORT": "tcp://10.0.0.1:7077",
        "PYSPARK_SUBMIT_ARGS": "--master yarn",
        "PYSPARK_GATEWAY_PORT": "1",
        "JAVA_TOOL_OPTIONS": "-Xmx1m",
        "_JAVA_OPTIONS": "-Xmx1m",
        "CLASSPATH": "/x",
        "JDK_JAVA_OPTIONS": "-Xmx1m",
        "HADOOP_CONF_DIR": "/etc/hadoop",
        "LC_ALL": "tr_TR.UTF-8",
    }
    assert environment.for_java(theirs | {"PATH": "/bin"}) == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}
    assert environment.for_java(theirs, cluster=True) == {
        "HADOOP_CONF_DIR": "/etc/hadoop",
        "LC_ALL": "C.UTF-8",
    }


def test_the_module_path_of_the_project_is_kept():
    packages = str(Path(httpx.__file__).parents[1])
    assert environment.ours({"PYTHONPATH": packages})["PYTHONPATH"] == packages
