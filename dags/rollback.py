"""# Rollback

By hand, when what is served is wrong: the tables, the model, or both go back to what they were, within seconds, in one
transaction; readers see the one version or the other, never a mixture. What is left is withdrawn, so that
publishing it again does not bring it back; a model that was taken back has to win anew at the gate.

**Look first.** `dry_run` is on unless you turn it off: the log says what would be done. It needs a reason, which
is stored with the name of who triggered it.

**Re-triggering is safe.** The same form twice changes nothing more; a further step back takes another reason, or `to`.

**Triage**

- Red, and the log says what there is to go back to: choose one of those with `to`.
- Red, and a store does not answer, or somebody publishes just now: nothing was changed; it is tried again within seconds.
- It must go faster, or Airflow is down: `nightshift rollback fraud --reason "..." --no-dry-run` does the same.

Trigger by hand; nothing else starts it. `date` is the day from which it counts; leave it empty for that of the newest night.
"""

from airflow.sdk import DAG

from nightshift.rollback import on_demand, rollback

with DAG("rollback", doc_md=__doc__, **on_demand("fraud", "movies")):
    rollback()
