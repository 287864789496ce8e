"""Classify an engine's failure: wrong data (no retry), temporary (retry) or a wrong setting.

The first rule that fits applies. A rule matches the error's classes, codes and messages as plain
text. To classify a new failure, add a row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jobs.core.errors import ConfigError, DataError, NightshiftError, StoreError

# Top-level package: name of the engine in messages.
ENGINES = {
    "pyspark": "Spark",
    "py4j": "Spark",
    "clickhouse_connect": "ClickHouse",
    "chdb": "ClickHouse",
    "psycopg2": "PostgreSQL",
    "redis": "Redis",
    "mlflow": "MLflow",
    "xgboost": "XGBoost",
    "evidently": "Evidently",
    "dvc": "DVC",
    "dvc_data": "DVC",
    "dvc_objects": "DVC",
    "scmrepo": "DVC",
    "pyarrow": "Arrow",
    "fsspec": "the lake",
    "s3fs": "the lake",
    "botocore": "the lake",
    "aiobotocore": "the lake",
}

# The section of docs/runbook.md for a store that fails.
SECTIONS = {
    "PostgreSQL": "postgresql-is-down",
    "Redis": "redis-is-down-or-was-flushed",
    "MLflow": "mlflow-is-down",
    "ClickHouse": "clickhouse-is-held-by-another-process",
    "the lake": "a-file-of-the-lake-is-gone-or-damaged",
}


@dataclass(frozen=True)
class Rule:
    """What a failure of the engine `of` ("" for any) means when its text matches one of `signs`.

    Signs are regular expressions that ignore case; a rule without signs fits every text. In `what`,
    `{engine}` is replaced by the name of the engine; in `remedy`, `{again}` by the command that
    writes the file again.
    """

    kind: type[NightshiftError]
    of: str
    what: str
    remedy: str
    signs: tuple[str, ...] = ()

    def fits(self, engine: str, text: str) -> bool:
        return self.of in ("", engine) and self.shows(text)

    def shows(self, text: str) -> bool:
        return bool(re.search("|".join(self.signs), text, re.IGNORECASE))


_MACHINE = (
    Rule(
        StoreError,
        "",
        "{engine} cannot write: the disk is full",
        "free space on that disk, then run the step again; committed and served data is unchanged",
        (
            r"\b(ENOSPC|EDQUOT|EFBIG|NOT_ENOUGH_SPACE|MISCONF)\b",
            "code=53100",
            "No space left on device",
            "Disk quota exceeded",
            "File too large",
        ),
    ),
    Rule(
        ConfigError,
        "Spark",
        "Spark cannot load its native libraries",
        "move NIGHTSHIFT_HOME to a disk that is mounted without noexec: Spark unpacks them into "
        "its folder tmp",
        ("UnsatisfiedLinkError", "failed to map segment"),
    ),
    Rule(
        StoreError,
        "Spark",
        "Spark ran out of memory",
        "raise NIGHTSHIFT_SPARK_DRIVER_MEMORY as far as the machine allows, then run the step "
        "again",
        (
            "OutOfMemoryError",
            "GC overhead",
            "Could not reserve enough space",
            "insufficient memory",
            "Cannot allocate memory",
        ),
    ),
    Rule(
        StoreError,
        "Redis",
        "Redis is full",
        "raise maxmemory of Redis, or lower publish.keep_versions, then run the step again",
        ("OutOfMemory", r"\bOOM\b"),
    ),
    Rule(
        StoreError,
        "",
        "{engine} ran out of memory",
        "stop other programs that need memory, or add memory, then run the step again",
        (
            r"\b(MemoryError|ENOMEM|MEMORY_LIMIT_EXCEEDED)\b",
            "code=53200",
            "bad_alloc",
            "out of memory",
            "cudaErrorMemoryAllocation",
        ),
    ),
)

_SPARK = (
    Rule(
        ConfigError,
        "Spark",
        "Spark's JVM did not start",
        "read the JVM's message in the trace; check JAVA_HOME, JAVA_TOOL_OPTIONS and "
        "NIGHTSHIFT_SPARK_DRIVER_MEMORY",
        ("JAVA_GATEWAY_EXITED", "Java gateway process exited", "JAVA_HOME"),
    ),
    Rule(
        StoreError,
        "Spark",
        "the lake did not answer Spark",
        "check that the lake's store is up and NIGHTSHIFT_LAKE_URL is right, then run the step "
        "again",
        (
            "SdkClientException",
            "SocketTimeoutException",
            "UnknownHostException",
            "ConnectTimeoutException",
            "Status Code: 5",
        ),
    ),
    Rule(
        DataError,
        "Spark",
        "a file that Spark reads is missing",
        "write it again ({again}), then run this step again",
        ("PATH_NOT_FOUND", "FILE_NOT_EXIST", "FileNotFoundException"),
    ),
    Rule(
        DataError,
        "Spark",
        "a file that Spark reads has unexpected columns",
        "write it again with this version of the code ({again}), then run this step again",
        ("DATA_TYPE_MISMATCH",),
    ),
    Rule(
        DataError,
        "Spark",
        "a file that Spark reads is damaged",
        "write it again ({again}), then run this step again",
        (
            "FAILED_READ_FILE",
            "CANNOT_READ_FILE_FOOTER",
            "not a Parquet file",
            "expected magic number",
            "ParquetDecodingException",
            "Could not read",
        ),
    ),
    Rule(
        DataError,
        "Spark",
        "a sum is too large for Spark",
        "look for absurd amounts in the source; lower validate.max_amount_minor in "
        "params.yaml, validate those days again, then run this step again",
        ("ARITHMETIC_OVERFLOW", "NUMERIC_VALUE_OUT_OF_RANGE"),
    ),
    Rule(
        DataError,
        "Spark",
        "Spark refused a query",
        "check that this version of the code wrote the inputs; the trace has the query",
        ("AnalysisException", "ParseException"),
    ),
    Rule(
        StoreError,
        "Spark",
        "Spark's JVM ended before its work was done",
        "run the step again; if nobody killed the JVM, the machine ran out of memory: lower "
        "NIGHTSHIFT_SPARK_DRIVER_MEMORY",
        (
            "Py4JNetworkError",
            "ConnectionRefusedError",
            "ConnectionResetError",
            "Answer from Java side is empty",
            "trying to connect to the Java server",
        ),
    ),
    Rule(
        StoreError,
        "Spark",
        "Spark failed",
        "run the step again; if it fails again, read the trace",
    ),
)

_POSTGRES = (
    Rule(
        ConfigError,
        "PostgreSQL",
        "PostgreSQL refused the login",
        "correct the address (NIGHTSHIFT_POSTGRES_DSN or NIGHTSHIFT_SOURCE_DSN), then run the "
        "step again",
        (
            "code=(28000|28P01)",
            "password authentication failed",
            "no pg_hba.conf entry",
            r"role \S+ does not exist",
        ),
    ),
    Rule(
        ConfigError,
        "PostgreSQL",
        "PostgreSQL cannot be reached at this address",
        "correct the address, then run the step again",
        (
            "code=3D000",
            r"database \S+ does not exist",
            "invalid (dsn|integer value|percent|connection option)",
        ),
    ),
    Rule(
        ConfigError,
        "PostgreSQL",
        "PostgreSQL and this client do not agree on encryption",
        "correct sslmode in the address, or PGSSLMODE, then run the step again",
        ("does not support SSL", "certificate", "sslmode", "PGSSLMODE"),
    ),
    Rule(
        ConfigError,
        "PostgreSQL",
        "PostgreSQL refuses this role",
        "grant what the reason names, then run the step again",
        ("code=42501", "InsufficientPrivilege"),
    ),
    Rule(
        ConfigError,
        "PostgreSQL",
        "PostgreSQL lacks a table or column",
        "check that the address names the right database and that `nightshift migrate` ran there",
        (
            "code=(42P01|42703|42883|3F000)",
            "UndefinedTable",
            "UndefinedColumn",
            "UndefinedFunction",
        ),
    ),
    Rule(
        StoreError,
        "PostgreSQL",
        "PostgreSQL accepts no writes",
        "change the address to the primary server, not a standby, then run the step again",
        ("code=25006", "ReadOnlySqlTransaction"),
    ),
    Rule(
        StoreError,
        "PostgreSQL",
        "PostgreSQL waited too long for another session",
        "wait until that session has ended, then run the step again",
        (
            "code=(55P03|40P01|40001)",
            "LockNotAvailable",
            "DeadlockDetected",
            "SerializationFailure",
        ),
    ),
    Rule(
        StoreError,
        "PostgreSQL",
        "PostgreSQL ended a statement or its session",
        "Nightshift sets no time limit: ask the administrator of the server or of a proxy in "
        "front of it what ended the session, then run the step again",
        (
            "code=(57014|25P03|25P04|57P05)",
            "QueryCanceled",
            r"Timeout\b.*session",
            "due to (statement|idle|transaction|lock)",
        ),
    ),
    Rule(
        DataError,
        "PostgreSQL",
        "PostgreSQL refused a row",
        "correct the row that the reason names in its source, then run the step again",
        (r"code=2[23]\w{3}",),
    ),
    Rule(
        StoreError,
        "PostgreSQL",
        "PostgreSQL reports damage on its disk",
        "ask the administrator to check its log and its disk before anything writes to it again",
        ("code=(XX00[12]|58030)", "DataCorrupted"),
    ),
    Rule(
        StoreError,
        "PostgreSQL",
        "PostgreSQL does not answer",
        "start it (`make up`), then run the step again",
        (
            r"code=(57P0[123]|08\w{3})",
            "connection",
            "refused",
            "terminating",
            "could not (connect|translate|receive)",
            "server closed",
        ),
    ),
    Rule(
        StoreError,
        "PostgreSQL",
        "PostgreSQL refused a statement",
        "read the reason, correct it, then run the step again",
    ),
)

_CLICKHOUSE = (
    Rule(
        ConfigError,
        "ClickHouse",
        "ClickHouse refused the login",
        "correct NIGHTSHIFT_CLICKHOUSE_DSN, or grant what the reason names, then run the step "
        "again",
        (
            "AUTHENTICATION_FAILED",
            "ACCESS_DENIED",
            "REQUIRED_PASSWORD",
            "WRONG_PASSWORD",
            "code=READONLY",
        ),
    ),
    Rule(
        DataError,
        "ClickHouse",
        "a day in ClickHouse is damaged",
        "run build_features or predict of that day again, which replaces it, then run this step "
        "again",
        (
            "CHECKSUM_DOESNT_MATCH",
            "CORRUPTED_DATA",
            "CANNOT_READ_ALL_DATA",
            "CANNOT_DECOMPRESS",
            "UNEXPECTED_END_OF_FILE",
            "NO_FILE_IN_DATA_PART",
            "UNKNOWN_CODEC",
        ),
    ),
    Rule(
        StoreError,
        "ClickHouse",
        "ClickHouse cannot be opened",
        "start the server, or correct NIGHTSHIFT_CLICKHOUSE_DSN, then run the step again",
        ("connect", "EmbeddedServer", "Max retries", "timed out", "resolve"),
    ),
    Rule(
        StoreError,
        "ClickHouse",
        "ClickHouse failed",
        "check that it is up (NIGHTSHIFT_CLICKHOUSE_DSN); read the reason, correct it, then run "
        "the step again",
    ),
)

_REDIS = (
    Rule(
        ConfigError,
        "Redis",
        "Redis refused the login",
        "correct NIGHTSHIFT_REDIS_URL, or grant the user what the reason names, then run the "
        "step again",
        ("Authentication", "NOAUTH", "WRONGPASS", "NOPERM", "NoPermission"),
    ),
    Rule(
        StoreError,
        "Redis",
        "Redis accepts no writes",
        "change NIGHTSHIFT_REDIS_URL to the primary, not a replica, then run the step again",
        ("READONLY", "ReadOnlyError"),
    ),
    Rule(
        StoreError,
        "Redis",
        "Redis does not answer",
        "check that it is up (`make up`) and has memory, then run the step again",
    ),
)

_MLFLOW = (
    Rule(
        ConfigError,
        "MLflow",
        "MLflow refused the login",
        "correct MLFLOW_TRACKING_URI, or the permissions of its user, then run the step again",
        ("error code 40[13]", "40[13] Client Error", "PERMISSION_DENIED", "UNAUTHENTICATED"),
    ),
    Rule(
        ConfigError,
        "MLflow",
        "an experiment or model that Nightshift writes to was deleted in MLflow",
        "restore what the reason names in MLflow (its list of experiments can show "
        "them), then run the step again",
        ("deleted experiment", "deleted' state", "state is deleted", "lifecycle"),
    ),
    Rule(
        ConfigError,
        "MLflow",
        "MLflow refused a request",
        "check that MLFLOW_TRACKING_URI names an MLflow server of this version",
        ("InvalidUrl", "MissingSchema", "INVALID_PARAMETER_VALUE", "UnsupportedModelRegistry"),
    ),
    Rule(
        DataError,
        "MLflow",
        "MLflow no longer has a run or artifact that this step needs",
        "choose a model version that still has its run and artifacts, or train again",
        (
            "RESOURCE_DOES_NOT_EXIST",
            "NOT_FOUND",
            "error code 404",
            "404 Client Error",
            "No such artifact",
        ),
    ),
    Rule(
        StoreError,
        "MLflow",
        "MLflow does not answer",
        "check that the server is up (`nightshift up`), then run the step again",
    ),
)

_LIBRARIES = (
    Rule(
        ConfigError,
        "the lake",
        "the lake refused access",
        "correct NIGHTSHIFT_LAKE_URL or the credentials of its store, then run the step again",
        (
            "NoCredentials",
            "AccessDenied",
            "Forbidden",
            "PermissionError",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "NoSuchBucket",
        ),
    ),
    Rule(
        ConfigError,
        "",
        "{engine} has no permission to read or write there",
        "grant it to the user that runs Nightshift, then run the step again",
        (r"\b(EACCES|EPERM|EROFS)\b",),
    ),
    Rule(
        ConfigError,
        "",
        "{engine} has too many files open",
        "raise the limit (`ulimit -n`), then run the step again",
        (r"\b(EMFILE|ENFILE)\b", "Too many open files"),
    ),
    Rule(
        StoreError,
        "XGBoost",
        "XGBoost failed on the GPU",
        "run the step again, or set train.device to cpu in params.yaml",
        ("cuda", "GPU"),
    ),
    Rule(
        DataError,
        "XGBoost",
        "XGBoost refused a model or its data",
        "check that the features have no infinities; if the model's file is damaged, train again",
    ),
    Rule(
        DataError,
        "Evidently",
        "Evidently could not compare the day with the reference",
        "look at the columns that the trace names; the night continues without this report",
    ),
    Rule(
        DataError,
        "DVC",
        "a snapshot under DVC is damaged",
        "run snapshot of that day again, or train and choose the new version",
        ("ObjectFormatError", "corrupt", "YAMLError"),
    ),
    Rule(
        StoreError,
        "DVC",
        "DVC failed",
        "run the step again; if it fails again, read the trace",
    ),
    Rule(
        DataError,
        "Arrow",
        "a table cannot be read",
        "write it again ({again}), then run this step again",
        (r"Arrow\w*(Invalid|TypeError|Exception|KeyError|NotImplemented|IndexError)",),
    ),
    Rule(
        StoreError,
        "",
        "{engine} got no answer",
        "check the machine and the network, then run the step again",
        (
            r"\b(EIO|ETIMEDOUT|ECONN\w+|EHOSTUNREACH|ENETUNREACH)\b",
            r"\b(ConnectionError|TimeoutError|gaierror)\b",
        ),
    ),
)

_UNKNOWN = (
    Rule(
        NightshiftError,
        "",
        "{engine} failed in a way that Nightshift does not know",
        "run it again; if it fails again, report it with the trace",
    ),
)

RULES = (
    *_MACHINE,
    *_SPARK,
    *_POSTGRES,
    *_CLICKHOUSE,
    *_REDIS,
    *_MLFLOW,
    *_LIBRARIES,
    *_UNKNOWN,
)
