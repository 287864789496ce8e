"""`nightshift backtest fraud`: judge the model on past days of the source."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from jobs.core.settings import Settings
    from jobs.usecases.fraud.backtest import FoldPlan, FoldResult, FoldSummary


def fraud(
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="First training day of the latest fold.")
    ],
    folds: Annotated[
        int,
        typer.Option(min=1, help="Number of folds; each is one test length earlier than the last."),
    ] = 4,
    train_days: Annotated[
        int, typer.Option(min=2, help="Days in the training set of each fold.")
    ] = 7,
    delay_days: Annotated[
        int,
        typer.Option(min=1, help="Days between training and test, in which frauds are reported."),
    ] = 7,
    test_days: Annotated[int, typer.Option(min=1, help="Days in the test set of each fold.")] = 7,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures to this file.")
    ] = None,
) -> None:
    """Print ROC AUC, average precision and card precision@100 of each fold.

    The baseline of the Fraud Detection Handbook is in the last row.

    Example: nightshift backtest fraud --start 2018-06-24 --folds 4 --train-days 7 --delay-days 7
    --test-days 7
    """
    from jobs.cli.show import Screen
    from jobs.core import params, settings
    from jobs.usecases.fraud import backtest
    from jobs.usecases.fraud.params import FraudTrainParams

    config, screen = settings.load(), Screen()
    plan = backtest.FoldPlan(start.date(), folds, train_days, delay_days, test_days)
    section = params.section(config.params_file, "fraud", "train", FraudTrainParams)
    with screen.status("reading the source and computing features"):
        table = _features(config, plan)
    results: list[FoldResult] = []
    with screen.status("fitting"):
        for fold in backtest.run(table, plan, section):
            results.append(fold)
            screen.say(f"fold {len(results)} of {folds}: tested {_span(fold)}")
    summary = backtest.summarise(results)
    screen.table(*_table(summary))
    if json_:
        json_.write_text(json.dumps(summary.as_json(), indent=1) + "\n")


def _features(config: Settings, plan: FoldPlan) -> pa.Table:
    """Return one row per transaction of the plan, with the features of model and baseline.

    The functions of the steps compute them.
    """
    from datetime import timedelta

    from jobs.core.identity import days, whole
    from jobs.stores import spark
    from jobs.usecases.fraud import features, handbook
    from jobs.usecases.fraud.columns import FEATURES, LONGEST

    first = plan.span[0] - timedelta(days=LONGEST + plan.delay_days)
    # Frauds of the last test day are reported up to `delay_days` later.
    reported = whole(plan.span[-1] + timedelta(days=plan.delay_days))
    session = spark.session(config)
    with TemporaryDirectory(dir=config.home / "tmp", prefix="backtest-") as folder:
        names = _good_rows(config, list(days(first, reported)), Path(folder))
        rows = {name: session.read.parquet(str(path)) for name, path in names.items()}
        history = {
            "transactions": rows["transactions"].where(f"date(event_time) <= '{plan.span[-1]}'")
        }
        daily = features.aggregate(rows)
        span = history["transactions"].where(f"date(event_time) >= '{plan.span[0]}'")
        model_rows = features.with_features(
            {**rows, features.MATURED_TODAY: rows["transactions"], "transactions": span, **daily},
            plan.delay_days,
        )
        truth = features.last_labels(rows)
        labelled = (
            history["transactions"]
            .join(truth, "transaction_id", "left")
            .na.fill(False, ["is_fraud"])
        )
        baseline = handbook.with_features(labelled, plan.delay_days)
        only = [name for name in handbook.FEATURES if name not in FEATURES]
        model_rows = model_rows.select(
            "transaction_id", "date", "customer_id", *dict.fromkeys([*FEATURES, "weekend", "night"])
        )
        table = model_rows.join(
            baseline.select("transaction_id", "is_fraud", *only), "transaction_id"
        ).toArrow()
    return table.sort_by("transaction_id")


def _good_rows(config: Settings, wanted: list[date], folder: Path) -> dict[str, Path]:
    """Write the source's valid rows of these days as parquet; return one folder per source."""
    import pyarrow.parquet as pq

    from jobs.core import params
    from jobs.core.cast import typed
    from jobs.core.identity import Run
    from jobs.steps.validate import split
    from jobs.stores import source as operational
    from jobs.usecases.fraud.usecase import USECASE

    section = params.section(config.params_file, "fraud", "validate", USECASE.params["validate"])
    with operational.connect_source(config.source) as session:
        for source in USECASE.sources:
            (folder / source.name).mkdir()
            for day in wanted:
                text = operational.read_day(session, source, *Run("fraud", "backtest", day).window)
                good, _ = split(
                    typed(text, source.schema, dict(source.money)), source, day, section
                )
                pq.write_table(good, folder / source.name / f"{day}.parquet")
    return {source.name: folder / source.name for source in USECASE.sources}


def _table(summary: FoldSummary) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows: the folds, then the means of model and baseline ± deviation."""
    from jobs.usecases.fraud.backtest import METRICS

    rows = [
        [_span(fold), *(f"{fold.metrics[name]:.3f}" for name in METRICS)] for fold in summary.folds
    ]
    for label, mean, deviation in (
        ("mean", summary.mean, summary.std),
        ("Handbook baseline", summary.baseline, summary.baseline_std),
    ):
        rows.append([label, *(f"{mean[name]:.3f} ± {deviation[name]:.3f}" for name in METRICS)])
    return ["", *METRICS], rows


def _span(fold: FoldResult) -> str:
    return " to ".join(map(str, fold.test))
