#!/bin/sh
# Write the secrets of docker/compose.yaml into docker/.env, mode 0600: random ones for the names that it lacks. What is there
# stays as it is. `sh docker/secrets.sh [file]`
set -eu
umask 077
file=${1:-$(dirname "$0")/.env}

random() { head -c "$1" /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'; } # as URLs and Fernet keys have it

keep() { # name, value: unless the name has one already
    grep -q "^$1=" "$file" || printf '%s=%s\n' "$1" "$2" >> "$file"
}

touch "$file"
chmod 600 "$file"
for name in POSTGRES SOURCE SERVING MLFLOW AIRFLOW CLICKHOUSE REDIS ADMIN ONCALL ANALYST; do
    keep "${name}_PASSWORD" "$(random 24)"
done
keep AIRFLOW_FERNET_KEY "$(random 32)"
keep AIRFLOW_API_SECRET "$(random 24)"
keep AIRFLOW_JWT_SECRET "$(random 66)"
