"""# Fraud scores

Every night at 02:00 UTC, for the day D that has just ended: extract transactions and labels, aggregate them,
train a challenger and let it replace the champion only when it is no worse, score the day, and publish
`transaction_scores`, `customer_risk` and `merchant_risk` to PostgreSQL and Redis.

**Re-triggering is safe.** Every step replaces what it wrote for D and publishes the same from the same inputs; readers see
a version only when it is whole. *Clear* a failed task with downstream, or the whole run.

**Triage**

- Red `extract`, `validate` or `build_features`: nothing of D is published; readers have the day before. The end of the log says
  what is wrong. Data errors are not retried: mend them, then clear.
- Red `snapshot`, `check_drift`, `retrain`, `train`, `gate` or `promote`: the tables of D are published all the same,
  scored by the champion there was. `watcher` is red so that somebody looks; it says what is served.
- Red `predict`, `publish` or `verify`: readers have the last whole version; `nightshift status` says which.
- `train` is passed by: `retrain` says why nothing asked for a challenger. A rejected challenger is green: `gate` has the reasons.
- `approve` waits: a person is asked under *Required Actions*; the tables of D are published meanwhile, by the champion there was.
- Nights are missing: `nightshift status` names the holes; a backfill runs them.
- Bad tables are served: the DAG `rollback`.

Trigger by hand with `date` in the form, or with the partition key.
"""

from airflow.sdk import DAG, Label, TaskGroup

from nightshift.nights import day_before, nightly, watcher
from nightshift.promotion import promote_after
from nightshift.retrain import champion_task, predict_task, retrain_task
from nightshift.steps import step_task

with DAG("fraud_scores", doc_md=__doc__, **nightly("fraud")) as dag:
    with TaskGroup("ingest_group", group_display_name="ingest", prefix_group_id=False):
        extract = step_task("fraud", "extract")
        validate = step_task("fraud", "validate")

    with TaskGroup("features_group", group_display_name="features", prefix_group_id=False):
        build_features = step_task("fraud", "build_features")
        features_before = day_before("fraud", "features_before", until="build_features")
        scores_before = day_before("fraud", "scores_before", until="predict")

    with TaskGroup("training_group", group_display_name="training", prefix_group_id=False):
        snapshot = step_task("fraud", "snapshot")
        check_drift = step_task("fraud", "check_drift")
        retrain = retrain_task("fraud")
        train = step_task("fraud", "train")

    with TaskGroup("gate_group", group_display_name="gate", prefix_group_id=False):
        gate = step_task("fraud", "gate")
        judged = promote_after(gate, "fraud")
        champion = champion_task()

    with TaskGroup("publish_group", group_display_name="publish", prefix_group_id=False):
        predict = predict_task("fraud")
        publish = step_task("fraud", "publish")
        verify = step_task("fraud", "verify")

    extract >> validate >> build_features >> [features_before, scores_before]
    features_before >> snapshot
    [snapshot, scores_before] >> check_drift
    [snapshot, check_drift] >> retrain
    retrain.set_downstream(train, Label("drift, decay, age or policy"))
    retrain.set_downstream(
        champion, Label("nothing asks for it")
    )  # between groups >> would label the groups
    [train, scores_before] >> gate
    [scores_before, judged] >> champion
    [build_features, champion] >> predict >> publish >> verify
    dag.tasks >> watcher()
