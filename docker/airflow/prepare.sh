#!/bin/sh
# Bring Airflow's database and Nightshift's stores to this version and make the pools; LOGINS, where given, is what each user logs in with, as JSON.
set -eu
airflow db migrate
nightshift migrate
airflow pools import "$NIGHTSHIFT_PROJECT/plugins/nightshift/pools.json"
if [ -n "${LOGINS:-}" ]; then
    umask 077
    mkdir -p "$AIRFLOW_HOME"
    printf '%s\n' "$LOGINS" > "$AIRFLOW_HOME/passwords.json"
fi
