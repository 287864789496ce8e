"""# Rollback

Run it by hand when what is served is wrong. It returns the tables, the model, or both to an earlier
version, within seconds and in one transaction: readers see one version or the other, never a
mixture. The version that it leaves is withdrawn, so that publishing it again does not bring it
back. A model that was rolled back must pass the gate again.

**Look first.** `dry_run` is on unless you switch it off: the log then says what would change. A
reason is required. It is stored with the name of the person who triggered the run.

**Re-triggering is safe.** The same form twice changes nothing more. To go back one step further,
give another reason, or `to`.

**Triage**

- Red, and the log lists the versions that exist: enter one of them in `to`.
- Red, and a store does not answer, or a publish is in progress: nothing has changed. The task is
  retried within seconds.
- It must be faster, or Airflow is down: `nightshift rollback fraud --reason "..." --no-dry-run`
  does the same.

Nothing else starts this DAG. `date` is the day from which the rollback counts; leave it empty for
the newest night.
"""

from airflow.sdk import DAG

from nightshift.rollback import on_demand, rollback

with DAG("rollback", doc_md=__doc__, **on_demand()):
    rollback()
