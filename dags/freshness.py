"""# Freshness

Runs every day at the hour by which the tables must be served (`alerts.published_by_hour` of
params.yaml, UTC), for the day D that has ended. It reads the served tables as clients do, in
PostgreSQL and in Redis, and fails if they are not of D, not complete, or not equal. It also detects
nights that never started.

**It changes nothing**, and does not wait for a night in progress. You can rerun a task at any time.

**Triage**

- Red: readers have what the alert and the end of the log name. Fix the night of D as they say. Then
  *Clear* the task, and it turns green.
- Green although a night is red: the night failed after it published, or a later day is served.

To run it by hand, enter `date` in the form, or trigger it with a partition key.
"""

from airflow.sdk import DAG

from nightshift.freshness import every_day, freshness

with DAG("freshness", doc_md=__doc__, **every_day()):
    freshness()
