"""# Movie recommendations

Runs every night at 02:00 UTC for the day D that has just ended: extracts ratings, likes, views and
the catalogue, aggregates them, trains a challenger, promotes it to champion if it is no worse, and
publishes `recommendations` (hybrid, collaborative, content, popular) and `user_features` to
PostgreSQL and Redis.

**Re-triggering is safe.** Every step replaces what it wrote for D and publishes the same tables
from the same inputs. Readers see a version only when it is complete. *Clear* a failed task with its
downstream tasks, or the whole run.

**Triage**

- Red `extract`, `validate` or `build_features`: nothing of D is published; readers have the day
  before. The end of the log says what is wrong. Data errors are not retried: correct the data or
  the parameter, then clear the task.
- Red `snapshot`, `check_drift`, `retrain`, `train`, `gate` or `promote`: the tables of D are still
  published, made by the previous champion. `watcher` is red so that somebody looks; its log says
  what is served.
- Red `predict`, `publish` or `verify`: readers have the last complete version, which
  `nightshift status movies` names.
- `train` is skipped: the log of `retrain` says why no challenger was needed. A rejected challenger
  is green: the log of `gate` has the reasons.
- `approve` waits: a person must answer under *Required Actions*. Meanwhile the tables of D are
  published, made by the current champion.
- Nights are missing: `nightshift status movies` lists them; a backfill runs them.
- Wrong tables are served: run the DAG `rollback`.

To run it by hand, enter `date` in the form, or trigger it with a partition key.
"""

from airflow.sdk import DAG

from nightshift.night import night

dag: DAG = night("movie_recommendations", "movies", doc=__doc__)
