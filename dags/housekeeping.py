"""# Housekeeping

Runs every morning at 05:30 UTC, when the nights are over. For each pipeline it removes files that
no manifest names, checkpoints of abandoned trainings, staging tables of dead attempts, partial
loads, and versions past retention. If steps run as pods, it also deletes the pods without a task.

**It removes nothing that is served or that a manifest names.** You can rerun or kill a task at any
time. Its log has a table of what it removed; its manifest has the counts.

**Triage**

- Red: readers notice nothing, and nothing is half removed. The end of the log says what is wrong.
  *Clear* the task, or leave it to the next morning.
- The log says `a step is in progress there` or `a query still reads an expired version`: the next
  run removes it.
- The disk still fills up: `docs/runbook.md#disk` lists what housekeeping never removes.

To run it by hand, enter `date` in the form. A manual run is a dry run, which only lists, until you
switch `dry_run` off.
"""

from airflow.sdk import DAG

from nightshift.housekeeping import every_morning, housekeeping

with DAG("housekeeping", doc_md=__doc__, **every_morning()):
    housekeeping()
