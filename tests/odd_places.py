"""Odd names of folders, and environments, that people have and some program misinterprets."""

from pathlib import Path

NAMES = (
    "two words",
    "brackets[1]",
    "braces{a,b}",
    "it's",
    'a"quote',
    "per%20cent",
    "50%",
    "%(home)s",
    "hash#1",
    "Übergrößen",
    "日本",
    "dollar$x",
    "semi;colon",
    "and&and",
    "back\\slash",
    "star*",
    "co:lon",
    "two::colons",
    "com,ma",
    "pipe|",
    "back`tick",
    "equals=1",
    "-dash",
    "~tilde",
    " spaces ",
    "tab\there",
    "x" * 180,
)
# All of them in one, and so long that no Unix socket fits below it.
WORST = "".join(name for name in NAMES if len(name) < 100)
WORST += "x" * (180 - len(WORST.encode()))


def another_spark(place: Path) -> dict[str, str]:
    """An environment for another Spark and Java, which would fail to start or be the wrong ones."""
    folder = place / "opt" / "spark"
    for name in ("bin", "conf", "python/pyspark"):
        (folder / name).mkdir(parents=True)
    (folder / "bin" / "spark-submit").write_text("#!/bin/sh\nexit 3\n")
    (folder / "bin" / "spark-submit").chmod(0o755)
    (folder / "conf" / "spark-defaults.conf").write_text(
        "spark.sql.session.timeZone Asia/Kolkata\nspark.jars /no\n"
    )
    (folder / "conf" / "spark-env.sh").write_text("exit 4\n")
    site = (
        "<configuration><property><name>fs.defaultFS</name>"
        "<value>hdfs://no:1</value></property></configuration>"
    )
    (folder / "conf" / "core-site.xml").write_text(site)
    (folder / "python" / "pyspark" / "__init__.py").write_text("raise SystemExit('not ours')")
    return {
        "JAVA_HOME": str(place / "gone"),
        "SPARK_HOME": str(folder),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "HADOOP_CONF_DIR": str(folder / "conf"),
        "PYTHONPATH": str(folder / "python"),
        "PYSPARK_PYTHON": "/no/python",
        "PYSPARK_SUBMIT_ARGS": "--master spark://no:7077 pyspark-shell",
        "PYSPARK_GATEWAY_PORT": "1",
        "JAVA_TOOL_OPTIONS": "-XX:NoSuchFlag",
        "_JAVA_OPTIONS": "-Duser.language=tr",
        "JDK_JAVA_OPTIONS": "-Xmx1k",
        "CLASSPATH": "/no",
        "SPARK_LOCAL_DIRS": "/no",
        "SPARK_REMOTE": "sc://no:1",
        "LC_ALL": "C",
    }
