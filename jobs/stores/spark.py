"""Spark on the lake: one session per process, and frames that become Arrow tables."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.core import environment, traces
from jobs.core.log import logger
from jobs.core.manifest import Dataset
from jobs.core.settings import Settings
from jobs.core.tables import Table
from jobs.stores import java
from jobs.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# A step's JVM runs for seconds to minutes: fast compilation and one collector thread pay off.
_JVM = (
    # As a URI, since it has no character that is special for Log4j or for the splitting of options.
    f"-Dlog4j2.configurationFile={Path(__file__).with_name('spark-log4j2.properties').as_uri()}",
    "-XX:TieredStopAtLevel=1",
    # The default at that level, 48 MiB, is full after some twenty days in one process; the JVM then
    # stops compiling and interprets new code.
    "-XX:ReservedCodeCacheSize=256m",
    "-XX:+UseSerialGC",
)


# The archive of Spark's classes, which spark_archive.py makes at set-up.
ARCHIVE = Path(sys.prefix) / "share" / "nightshift" / "spark.jsa"
QUIET = "-Xlog:disable"  # the JVM logs every class that an archive lacks


def _archived() -> tuple[str, ...]:
    """Return the JVM options that use the archive; () if there is no archive."""
    return (f"-XX:SharedArchiveFile={ARCHIVE}", "-Xshare:auto", QUIET) if ARCHIVE.exists() else ()


def session(settings: Settings, jvm: Sequence[str] | None = None) -> SparkSession:
    """Return this process's session, created on first use; times are UTC.

    In local mode it listens on the loopback only. `jvm` are extra options of the JVM; by default
    those of the archive of Spark's classes.
    """
    from pyspark.sql import SparkSession

    master = settings.spark_master
    scratch = settings.home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    _prepare_environment(cluster=not master.startswith("local"))
    builder = SparkSession.builder.master(master).appName("nightshift")
    options = {
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": " ".join(
            map(
                _quoted,
                (*_JVM, *_temporary(scratch), *(_archived() if jvm is None else jvm)),
            )
        ),
        "spark.sql.shuffle.partitions": str(os.cpu_count() or 2),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000",
        "spark.driver.memory": os.environ.get("NIGHTSHIFT_SPARK_DRIVER_MEMORY", "3g"),
        "spark.driver.maxResultSize": "0",
    }
    if master.startswith("local"):
        options |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            # Spark reads this as a comma-separated list.
            "spark.local.dir": str(scratch) if "," not in str(scratch) else tempfile.gettempdir(),
            # Re-planning after every stage costs more than it saves with one machine's rows.
            "spark.sql.adaptive.enabled": "false",
        }
    for key, value in options.items():
        builder = builder.config(key, value)
    if SparkSession.getActiveSession() is not None:
        return builder.getOrCreate()
    with traces.of_engine(scratch):  # the JVM writes hundreds of lines about a failure
        return builder.getOrCreate()


def _prepare_environment(cluster: bool) -> None:
    """Set this process's environment so that the JVM uses our Java and our Spark.

    ConfigError if there is no Java. Settings for other Sparks on the machine are removed.
    """
    import pyspark

    if pyspark.SparkContext._gateway:
        return
    wanted = environment.for_java(os.environ, cluster) | {
        "JAVA_HOME": str(java.home()),
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    if ignored := sorted(name for name in os.environ if os.environ[name] != wanted.get(name)):
        logger().debug(f"Spark ignores these environment variables: {', '.join(ignored)}")
    environment.replace(wanted)


def _temporary(scratch: Path) -> tuple[str, ...]:
    """Return the JVM's option for a temporary folder where it may run the libraries it unpacks."""
    candidates = (scratch, Path(tempfile.gettempdir()))
    folder = next((candidate for candidate in candidates if _may_execute(candidate)), scratch)
    return (f"-Djava.io.tmpdir={folder}",)


def _may_execute(folder: Path) -> bool:
    return not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)


def _quoted(option: str) -> str:
    """Quote an option for the string that Spark's launcher splits into options."""
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read(
    spark: SparkSession, lake: Lake, datasets: Sequence[Dataset], schema: pa.Schema
) -> DataFrame:
    """Return the rows of the datasets; with `schema`, Spark opens no file to infer it.

    DataError if a file is gone, cut off or has another row count than its manifest says.
    """
    for dataset in datasets:
        lake.require_readable(dataset)
    return _parquet(spark, schema, *(lake.uri(dataset.path) for dataset in datasets))


def frame(spark: SparkSession, table: pa.Table, scratch: Path) -> DataFrame:
    """Return an Arrow table as a Spark frame over the parquet file `scratch`, which must stay."""
    scratch.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, scratch, coerce_timestamps="us")
    return _parquet(spark, table.schema, str(scratch))


# Characters that make Spark read a path as a glob pattern.
_GLOB = re.compile(r"[\\{}\[\]*?]")


def _parquet(spark: SparkSession, schema: pa.Schema, *paths: str) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    rows = spark.read.schema(from_arrow_schema(schema, prefer_timestamp_ntz=True))
    if not any(map(_GLOB.search, paths)):
        return rows.parquet(*paths)
    # `__globPaths__` turns patterns off, but Spark 4.3 then reads all paths of a call once per path
    # with such a character, so every call has one path. Escaping fails if the path has a colon.
    rows = rows.option("__globPaths__", "false")
    return _union([rows.parquet(path) for path in paths])


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    """Return the rows of all frames as a tree of unions; of a chain Spark analyses every link."""
    if len(frames) == 1:
        return frames[0]
    half = len(frames) // 2
    return _union(frames[:half]).unionAll(_union(frames[half:]))


def collect(frame: DataFrame, table: Table) -> pa.Table:
    """Return the frame's rows as the table's schema, sorted by its key."""
    rows = frame.select(*table.schema.names).toArrow()
    return rows.cast(table.schema).sort_by([(name, "ascending") for name in table.key])
