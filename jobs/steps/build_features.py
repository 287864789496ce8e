"""build_features: aggregate the day with Spark into ClickHouse, one partition per day."""

from __future__ import annotations

from jobs.core.facts import BuildFeaturesFacts
from jobs.steps.frame import Step
from jobs.steps.records import clickhouse_dataset
from jobs.stores import clickhouse, spark
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    pipeline, day = step.run.pipeline, step.run.date
    usecase = find_usecase(pipeline)
    step.at("window")
    validate = step.manifest("validate")
    step.at("read")
    session = spark.session(step.settings)
    datasets = {source: validate.output(source.name) for source in usecase.sources}
    step.inputs += datasets.values()
    rows = {
        source.name: spark.read(session, step.lake, [dataset], source.schema)
        for source, dataset in datasets.items()
    }
    step.at("compute")
    frames = usecase.features.aggregate(rows)
    aggregates = {table: spark.collect(frames[table.name], table) for table in usecase.aggregates}
    with clickhouse.connect(step.settings) as db:
        step.at("stage")
        staged = {
            table: db.stage(pipeline, table, day, step.run.attempt, rows)
            for table, rows in aggregates.items()
        }
        step.at("check")
        for table, staging in staged.items():
            step.check(
                db.check(pipeline, staging, table, day, aggregates[table].num_rows),
                remedy="report a defect of features.aggregate; the stored rows did not change",
            )
        step.at("swap")
        for staging in staged.values():
            db.swap(pipeline, staging)
    for table, content in aggregates.items():
        step.outputs.append(
            clickhouse_dataset(pipeline, table.name, content.num_rows, table.digest(content))
        )
    step.facts = BuildFeaturesFacts.model_validate(
        {dataset.name: dataset.rows for dataset in step.outputs}
    )
