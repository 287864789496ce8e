"""What other systems look up: versioned tables in PostgreSQL and their copy in Redis, moved together.

PostgreSQL is the truth. `publication`, `served` and `promotions` and the views that analysts read
(`<table>_current`, `<table>_history`) lie in the first schema of the search path, usually `public`, so that
they need no prefix; the rows lie in a schema named after the pipeline, `<pipeline>.<table>`, partitioned by
version, one table `<pipeline>.<table>_<version>` each. Whoever writes here holds the lock on the pipeline.
"""
