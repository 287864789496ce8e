"""The environment of this process and of those it starts, whatever was set for other programs on the machine."""

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
# Options and classes that every Java takes from its environment.
_JAVA = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
_SPARK = ("SPARK_", "_SPARK_", "PYSPARK_", "_PYSPARK_", "HADOOP_", "YARN_")
_CLUSTER = ("SPARK_CONF_DIR", "HADOOP_", "YARN_")

_HOST = re.compile(
    r"(https?://)?[*.]*[a-z0-9_-]+(\.[a-z0-9_-]+)*(:[0-9]{1,5}|/[0-9]{1,2})?", re.IGNORECASE
)


def settle() -> None:
    """Make this process's environment what `ours` returns, and its module path likewise."""
    replace(ours(os.environ))
    sys.path[:] = [entry for entry in sys.path if not _has_another_spark(entry)]


def replace(wanted: Mapping[str, str]) -> None:
    """Make `wanted` the whole environment of this process."""
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def ours(given: Mapping[str, str]) -> dict[str, str]:
    """`given`, with our own Python packages first, and without a proxy between this machine and itself.

    Proxies to other hosts stay in force.
    """
    kept = {name: value for name, value in given.items() if name != "PYTHONHOME"}
    if "PYTHONPATH" in kept:
        entries = kept["PYTHONPATH"].split(os.pathsep)
        kept["PYTHONPATH"] = os.pathsep.join(
            entry for entry in entries if not _has_another_spark(entry)
        )
    # Files are UTF-8, and no module in the folder that a command is called from is taken for one of ours.
    kept |= {"PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}
    usable = {name: value for name, value in kept.items() if not _is_unusable_proxy(name, value)}
    return usable | dict.fromkeys(_NO_PROXY, no_proxy(given))


def no_proxy(given: Mapping[str, str]) -> str:
    """The hosts that are reached without a proxy: those that `given` names and the loopback, comma-separated."""
    entries = [entry.strip() for name in _NO_PROXY for entry in given.get(name, "").split(",")]
    if "*" in entries:
        return "*"  # beside other entries most clients do not understand it
    return ",".join(dict.fromkeys([*_readable(entries), *LOOPBACK]))


def proxies(given: Mapping[str, str]) -> dict[str, str]:
    """What of `given` says how other hosts are reached, and the exception of the loopback."""
    return {
        name: value
        for name, value in ours(given).items()
        if name.lower() in (*_PROXIES, "no_proxy")
    }


def for_java(given: Mapping[str, str], cluster: bool = False) -> dict[str, str]:
    """`given` without what another Spark, Hadoop or Java is set up by, and in a locale that every machine has.

    `cluster` keeps what describes a cluster, and this process to it.
    """
    kept = {
        name: value
        for name, value in given.items()
        if (cluster and name.startswith(_CLUSTER)) or not (name in _JAVA or name.startswith(_SPARK))
    }
    # Java 17 takes from the locale how it spells file names and, in Turkish, what a capital I is.
    return kept | {"LC_ALL": "C.UTF-8"}


def _has_another_spark(entry: str) -> bool:
    """Whether an entry of the module path has a PySpark or Py4J, which would hide the one that is installed here."""
    here = sysconfig.get_path("purelib")
    if (
        not entry
        or not Path(here, "pyspark").exists()
        or Path(entry).resolve() == Path(here).resolve()
    ):
        return False
    return any(module.name in ("pyspark", "py4j") for module in pkgutil.iter_modules([entry]))


def _is_unusable_proxy(name: str, value: str) -> bool:
    """Whether it is a proxy that no client here can use, at which httpx fails even for a host that needs none."""
    if name.lower() not in _PROXIES or "://" not in value:
        return False
    scheme = value.partition("://")[0].lower()
    return scheme not in ("http", "https") and not (
        scheme.startswith("socks") and find_spec("socksio")
    )


def _readable(entries: list[str]) -> Iterator[str]:
    """The entries as every client reads them; httpx fails at all others, such as networks of IPv6."""
    for entry in entries:
        bare = entry.strip("[]")
        with suppress(ValueError):
            yield str(ipaddress.IPv6Address(bare))
            continue
        with suppress(UnicodeError):
            name = bare if bare.isascii() else bare.encode("idna").decode()
            if _HOST.fullmatch(name):
                yield name
