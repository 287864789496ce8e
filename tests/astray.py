"""Variables of a user's shell that would misdirect libpq or another Airflow.

None of them may reach the embedded services.
"""

LIBPQ = {
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "system",
    "PGHOST": "db.invalid",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGPASSWORD": "wrong",
    "PGDATABASE": "none",
    "PGSERVICE": "none",
    "PGSERVICEFILE": "/none",
    "PGPASSFILE": "/none",
    "PGOPTIONS": "-c no_such_setting=1",
    "PGREQUIREAUTH": "none",
    "PGCHANNELBINDING": "require",
    "PGGSSENCMODE": "require",
    "PGTARGETSESSIONATTRS": "read-only",
    "PGSSLNEGOTIATION": "direct",
    "PGSSLMINPROTOCOLVERSION": "none",
    "PGCONNECT_TIMEOUT": "x",
    "PGCLIENTENCODING": "LATIN1",
    "PGTZ": "no such",
    "PGDATESTYLE": "no such",
    "PGGEQO": "no such",
}
AIRFLOW = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////none/airflow.db",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "sqlite+aiosqlite:////none/airflow.db",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "false",
    "AIRFLOW__CORE__SQL_ALCHEMY_CONN": "sqlite:////none/airflow.db",
}
