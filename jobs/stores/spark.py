"""Spark over the lake: one session a process, and frames that become Arrow tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.core import traces
from jobs.core.manifest import Dataset
from jobs.core.settings import Settings
from jobs.core.usecase import Table
from jobs.stores import spark_archive
from jobs.stores.embedded import java
from jobs.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# A step's JVM lives for seconds to minutes: quick compilation and one collector thread beat peak speed.
_JVM = (
    f"-Dlog4j2.configurationFile={Path(__file__).with_name('spark-log4j2.properties')}",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)


def session(settings: Settings, jvm: Sequence[str] | None = None) -> SparkSession:
    """The session of this process, made on first use. Times are UTC; it listens on loopback alone in local mode.

    `jvm` are further options of the JVM; by default those that use the archive of Spark's classes.
    """
    from pyspark.sql import SparkSession

    os.environ.setdefault("JAVA_HOME", str(java.home()))
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    scratch = settings.home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    master = settings.spark_master
    builder = SparkSession.builder.master(master).appName("nightshift")
    options = {
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": " ".join(
            (*_JVM, f"-Djava.io.tmpdir={scratch}", *(spark_archive.options() if jvm is None else jvm))
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
            "spark.local.dir": str(scratch),
            # Planning again after every stage costs more than it saves on one machine's worth of rows.
            "spark.sql.adaptive.enabled": "false",
        }
    for key, value in options.items():
        builder = builder.config(key, value)
    if SparkSession.getActiveSession() is not None:
        return builder.getOrCreate()
    with traces.of_engine(scratch):  # what the JVM says of a failure is hundreds of lines long
        return builder.getOrCreate()


def read(spark: SparkSession, lake: Lake, datasets: Sequence[Dataset], schema: pa.Schema) -> DataFrame:
    """The rows of the files that manifests name, all of them of this schema; told it, Spark opens none to infer it."""
    return _parquet(spark, schema, *(lake.uri(dataset.path) for dataset in datasets))


def frame(spark: SparkSession, table: pa.Table, scratch: Path) -> DataFrame:
    """An Arrow table as a Spark frame, by way of a parquet file in `scratch`, which must outlive the frame."""
    scratch.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, scratch, coerce_timestamps="us")
    return _parquet(spark, table.schema, str(scratch))


def _parquet(spark: SparkSession, schema: pa.Schema, *paths: str) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    return spark.read.schema(from_arrow_schema(schema, prefer_timestamp_ntz=True)).parquet(*paths)


def collect(frame: DataFrame, table: Table) -> pa.Table:
    """The frame's rows under the table's schema, sorted by its key."""
    found = frame.select(*table.schema.names).toArrow()
    return found.cast(table.schema).sort_by([(name, "ascending") for name in table.key])
