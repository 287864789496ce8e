"""# Freshness

Every day at the hour by which the tables are to be served (`alerts.published_by_hour` of params.yaml, UTC), for the day D that
has ended: read the served tables as clients do, in PostgreSQL and in Redis, and fail where they are not of D, not whole, or not
alike. It also finds nights that never started.

**It changes nothing**, and waits for no night under way. A task may be run again at any time.

**Triage**

- Red: readers have what the alert and the end of the log name. Mend the night of D as they say; then *Clear* the task, and it
  turns green.
- Green, though a night is red: what was red came after publishing, or a later day is served.

Trigger by hand with `date` in the form, or with the partition key.
"""

from airflow.sdk import DAG, TaskGroup

from nightshift.freshness import every_day, freshness

with DAG("freshness", doc_md=__doc__, **every_day()):
    with TaskGroup("fraud"):
        freshness("fraud")

    with TaskGroup("movies"):
        freshness("movies")
