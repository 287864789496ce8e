"""# Housekeeping

Every morning at 05:30 UTC, when the nights are over: remove files that no manifest names, checkpoints of trainings that nobody
goes on with, staging tables of dead attempts, half loads, and versions past retention; for each pipeline. Where steps
run as pods, also the pods that no task waits for.

**Nothing that is served or named goes.** A task may be run again, or killed, at any time. Its log has a table of what went, its
manifest the counts.

**Triage**

- Red: readers notice nothing, and nothing is half removed. The end of the log says what is wrong; *Clear* it, or leave it
  to the next morning.
- The log says `a step is under way there` or `a reader was in the way`: what was left goes the next time.
- The disk fills all the same: `docs/runbook.md#disk` has what housekeeping never touches.

Trigger by hand with `date` in the form: that is a dry run, which lists what would go, until `dry_run` is off.
"""

from airflow.sdk import DAG, TaskGroup

from nightshift.housekeeping import every_morning, housekeeping, orphan_pods

with DAG("housekeeping", doc_md=__doc__, **every_morning("fraud", "movies")):
    with TaskGroup("fraud"):
        housekeeping("fraud")

    with TaskGroup("movies"):
        housekeeping("movies")

    orphan_pods()
