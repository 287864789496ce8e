"""Spark over the lake: one session a process, and frames that become Arrow tables."""

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
from jobs.stores import java, spark_archive
from jobs.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# A step's JVM lives for seconds to minutes: quick compilation and one collector thread beat peak speed.
_JVM = (
    # As an address it has no character that Log4j, or who splits these options, takes for one of its own.
    f"-Dlog4j2.configurationFile={Path(__file__).with_name('spark-log4j2.properties').as_uri()}",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)


def session(settings: Settings, jvm: Sequence[str] | None = None) -> SparkSession:
    """The session of this process, made on first use. Times are UTC; it listens on loopback alone in local mode.

    `jvm` are further options of the JVM; by default those that use the archive of Spark's classes.
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
                (*_JVM, *_temporary(scratch), *(spark_archive.options() if jvm is None else jvm)),
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
            "spark.local.dir": str(scratch)
            if "," not in str(scratch)
            else tempfile.gettempdir(),  # a list
            # Planning again after every stage costs more than it saves on one machine's worth of rows.
            "spark.sql.adaptive.enabled": "false",
        }
    for key, value in options.items():
        builder = builder.config(key, value)
    if SparkSession.getActiveSession() is not None:
        return builder.getOrCreate()
    with traces.of_engine(scratch):  # what the JVM says of a failure is hundreds of lines long
        return builder.getOrCreate()


def _prepare_environment(cluster: bool) -> None:
    """Have the JVM to come be our Java with our Spark, whatever else the machine is set up for.

    Raises ConfigError where there is no such Java.
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
        logger().debug(f"Spark starts without this environment's {', '.join(ignored)}")
    environment.replace(wanted)


def _temporary(scratch: Path) -> tuple[str, ...]:
    """The JVM's option for temporary files: it unpacks libraries there and runs them, which a mount may forbid."""
    folder = next(
        (each for each in (scratch, Path(tempfile.gettempdir())) if _may_execute(each)), scratch
    )
    return (f"-Djava.io.tmpdir={folder}",)


def _may_execute(folder: Path) -> bool:
    return not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)


def _quoted(option: str) -> str:
    """One word of the string that Spark's launcher splits into options."""
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read(
    spark: SparkSession, lake: Lake, datasets: Sequence[Dataset], schema: pa.Schema
) -> DataFrame:
    """The rows of the files that manifests name, all of this schema, so that Spark opens none to infer it.

    DataError when a file is gone, cut off or of another length than its manifest says.
    """
    for dataset in datasets:
        lake.require_readable(dataset)
    return _parquet(spark, schema, *(lake.uri(dataset.path) for dataset in datasets))


def frame(spark: SparkSession, table: pa.Table, scratch: Path) -> DataFrame:
    """An Arrow table as a Spark frame, by way of a parquet file in `scratch`, which must outlive the frame."""
    scratch.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, scratch, coerce_timestamps="us")
    return _parquet(spark, table.schema, str(scratch))


# What Spark takes for a pattern in a path.
_GLOB = re.compile(r"[\\{}\[\]*?]")


def _parquet(spark: SparkSession, schema: pa.Schema, *paths: str) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    rows = spark.read.schema(from_arrow_schema(schema, prefer_timestamp_ntz=True))
    if not any(map(_GLOB.search, paths)):
        return rows.parquet(*paths)
    # `__globPaths__` makes a path a file and never a pattern, but Spark 4.3 then reads every path of a call once
    # for each that has such a character in it, so a call has one path. Escaped patterns fail where a colon is.
    rows = rows.option("__globPaths__", "false")
    return _union([rows.parquet(path) for path in paths])


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    """The rows of all frames, by a tree of unions: a chain of them would be analysed again at every link."""
    if len(frames) == 1:
        return frames[0]
    half = len(frames) // 2
    return _union(frames[:half]).unionAll(_union(frames[half:]))


def collect(frame: DataFrame, table: Table) -> pa.Table:
    """The frame's rows under the table's schema, sorted by its key."""
    found = frame.select(*table.schema.names).toArrow()
    return found.cast(table.schema).sort_by([(name, "ascending") for name in table.key])
