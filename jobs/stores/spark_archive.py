"""An archive of Spark's classes, made once at set-up, which every step's JVM maps into memory.

`python -m jobs.stores.spark_archive` writes the archive (Java's class data sharing) into the
virtual environment. It saves a third of the start time of every step that uses Spark. Another
version of the JVM ignores it.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.core.settings import Settings
from jobs.stores import spark

# The operations of the features: windows by rows and by time, joins, conditional sums.
_QUERY = """
    SELECT a.id, sum(a.amount) OVER (PARTITION BY a.id ORDER BY a.at
             RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW) AS recent,
           lag(a.at) OVER (PARTITION BY a.id ORDER BY a.at) AS before,
           count_if(a.amount > 10) OVER (PARTITION BY a.id, a.day) AS large,
           stddev_samp(a.amount) OVER (PARTITION BY a.id ORDER BY a.at
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS spread, b.total
    FROM events a LEFT JOIN (
        SELECT id, day, sum(amount) AS total, max(at) AS last, count(DISTINCT name) AS names
        FROM events GROUP BY id, day
    ) b ON a.id = b.id AND b.day BETWEEN a.day - INTERVAL 7 DAYS AND a.day - INTERVAL 1 DAY
"""


def make() -> None:
    """Run queries like those of the steps and archive the loaded classes.

    Keep an existing archive.
    """
    if spark.ARCHIVE.exists():
        return
    from pyspark.sql import SparkSession

    spark.ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=spark.ARCHIVE.parent) as folder:
        here = Path(folder)
        fresh = here / spark.ARCHIVE.name
        session = spark.session(
            Settings(here, here), (f"-XX:ArchiveClassesAtExit={fresh}", spark.QUIET)
        )
        pq.write_table(_events(), here / "events.parquet")
        session.read.parquet(str(here / "events.parquet")).createOrReplaceTempView("events")
        session.sql(_QUERY).toArrow()
        session.sql(
            "SELECT id, max_by(name, at), bool_or(amount > 3) FROM events GROUP BY id ORDER BY id"
        ).toArrow()
        gateway = SparkSession.getActiveSession()._sc._gateway
        session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()  # makes the JVM exit and write the archive
        gateway.proc.wait()
        with suppress(FileNotFoundError):  # a Java that cannot write archives works without one
            fresh.replace(spark.ARCHIVE)


def _events() -> pa.Table:
    start = datetime(2020, 1, 1)
    return pa.table(
        {
            "id": [n % 7 for n in range(1000)],
            "at": [start + timedelta(hours=n) for n in range(1000)],
            "day": [date(2020, 1, 1) + timedelta(days=n // 24) for n in range(1000)],
            "amount": pa.array(range(1000), pa.int64()),
            "name": [f"n{n % 11}" for n in range(1000)],
        }
    )


if __name__ == "__main__":
    make()
