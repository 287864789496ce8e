"""Serve tables to other systems: versioned tables in PostgreSQL and their copy in Redis.

PostgreSQL is authoritative. `publication`, `served`, `promotions` and the views for analysts
(`<table>_current`, `<table>_history`) are in the first schema of the search path, usually `public`,
so that they need no prefix. The rows are in a schema named after the pipeline:
`<pipeline>.<table>`, partitioned by version, with one table `<pipeline>.<table>_<version>` per
version. Every writer holds the lock on the pipeline.
"""
