"""Clean the environment of this process and its children of other programs' settings."""

from __future__ import annotations

import ipaddress
import os
import pkgutil
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NO_PROXY = ("no_proxy", "NO_PROXY")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
# Every Java reads its options and class path from these.
_JAVA = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
_SPARK = ("SPARK_", "_SPARK_", "PYSPARK_", "_PYSPARK_", "HADOOP_", "YARN_")
_CLUSTER = ("SPARK_CONF_DIR", "HADOOP_", "YARN_")

_HOST = re.compile(
    r"(https?://)?[*.]*[a-z0-9_-]+(\.[a-z0-9_-]+)*(:[0-9]{1,5}|/[0-9]{1,2})?", re.IGNORECASE
)


def settle() -> None:
    """Replace this process's environment with `ours` of it, and clean the module path likewise."""
    replace(ours(os.environ))
    sys.path[:] = [entry for entry in sys.path if not _has_another_spark(entry)]


def replace(wanted: Mapping[str, str]) -> None:
    """Make `wanted` the complete environment of this process."""
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with our own Python packages first and no proxy for the loopback.

    Proxies to other hosts stay in force.
    """
    kept = {name: value for name, value in environment.items() if name != "PYTHONHOME"}
    if "PYTHONPATH" in kept:
        entries = kept["PYTHONPATH"].split(os.pathsep)
        kept["PYTHONPATH"] = os.pathsep.join(
            entry for entry in entries if not _has_another_spark(entry)
        )
    # PYTHONUTF8: files are UTF-8. PYTHONSAFEPATH: modules in the current folder do not shadow ours.
    kept |= {"PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}
    usable = {name: value for name, value in kept.items() if not _is_unusable_proxy(name, value)}
    return usable | dict.fromkeys(_NO_PROXY, no_proxy(environment))


def no_proxy(environment: Mapping[str, str]) -> str:
    """Return the hosts to reach without a proxy: those listed and the loopback, comma-separated."""
    entries = [
        entry.strip() for name in _NO_PROXY for entry in environment.get(name, "").split(",")
    ]
    if "*" in entries:
        return "*"  # most clients understand it only as the single entry
    return ",".join(dict.fromkeys([*_readable(entries), *LOOPBACK]))


def proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables of `environment`, and `no_proxy` with the loopback added."""
    return {
        name: value
        for name, value in ours(environment).items()
        if name.lower() in (*_PROXIES, "no_proxy")
    }


def for_java(environment: Mapping[str, str], cluster: bool = False) -> dict[str, str]:
    """Return `environment` without settings of another Spark, Hadoop or Java, in C.UTF-8.

    `cluster` keeps the settings that describe a cluster.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if (cluster and name.startswith(_CLUSTER)) or not (name in _JAVA or name.startswith(_SPARK))
    }
    # Java 17 encodes file names by the locale, and a Turkish locale changes the case of I.
    return kept | {"LC_ALL": "C.UTF-8"}


def _has_another_spark(entry: str) -> bool:
    """Whether a module path entry has a PySpark or Py4J that would shadow the installed one."""
    here = sysconfig.get_path("purelib")
    if (
        not entry
        or not Path(here, "pyspark").exists()
        or Path(entry).resolve() == Path(here).resolve()
    ):
        return False
    return any(module.name in ("pyspark", "py4j") for module in pkgutil.iter_modules([entry]))


def _is_unusable_proxy(name: str, value: str) -> bool:
    """Whether it is a proxy of a scheme that no client here supports.

    httpx fails on such a variable even for a host that needs no proxy.
    """
    if name.lower() not in _PROXIES or "://" not in value:
        return False
    scheme = value.partition("://")[0].lower()
    return scheme not in ("http", "https") and not (
        scheme.startswith("socks") and find_spec("socksio")
    )


def _readable(entries: list[str]) -> Iterator[str]:
    """Yield the entries that every client can read.

    Httpx fails on others, such as IPv6 networks.
    """
    for entry in entries:
        bare = entry.strip("[]")
        with suppress(ValueError):
            yield str(ipaddress.IPv6Address(bare))
            continue
        with suppress(UnicodeError):
            name = bare if bare.isascii() else bare.encode("idna").decode()
            if _HOST.fullmatch(name):
                yield name
