#!/bin/sh
# Give each database a role that owns it and that no other role shares, as `nightshift up` does. PostgreSQL's image runs this
# once, when its volume is empty. The passwords come from the environment, so that no command line shows them.
set -eu
for name in source serving mlflow airflow; do
    variable=$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')_PASSWORD
    psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -v name="$name" -v variable="$variable" \
        --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv password :variable
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    -c 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC' -c 'REVOKE CONNECT ON DATABASE template1 FROM PUBLIC'
