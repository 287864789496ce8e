"""Boosting in segments: the same bytes despite interruptions; one segment equals plain training."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import xgboost as xgb

from jobs.core.errors import StoreError
from jobs.training import boosting
from jobs.training.boosting import BoostingPlan
from kept_checkpoints import Kept

PARAMETERS = {
    "objective": "binary:logistic",
    "eval_metric": "aucpr",
    "max_depth": 3,
    "subsample": 0.7,
    "colsample_bytree": 0.6,
    "seed": 5,
    "nthread": 1,
}
ROUNDS = BoostingPlan(rounds=23, segment=5)
PATIENT = BoostingPlan(rounds=200, segment=7, patience=10)


def matrix(rows=400, seed=0):
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(rows, 8)).astype(np.float32)
    noise = chance.normal(size=rows)
    return xgb.DMatrix(
        values, label=(values[:, 0] * values[:, 1] + values[:, 2] + noise > 1).astype(int)
    )


def bytes_of(booster):
    return bytes(booster.save_raw("ubj"))


@pytest.fixture(scope="module")
def data():
    return matrix(), matrix(seed=1)


@pytest.mark.parametrize("plan", [ROUNDS, PATIENT], ids=["rounds", "patience"])
def test_a_training_that_resumes_at_any_checkpoint_ends_in_the_same_bytes(data, plan):
    train, late = data
    kept = Kept()
    whole = boosting.train(PARAMETERS, train, plan, evaluation=late, checkpoints=kept)
    assert len(kept) > 3
    for count in range(1, len(kept) + 1):
        survived = kept.first(count)
        again = boosting.train(PARAMETERS, train, plan, evaluation=late, checkpoints=survived)
        assert bytes_of(again) == bytes_of(whole)
        assert survived == kept


def test_where_one_segment_is_enough_it_is_a_plain_training(data):
    train, late = data
    ours = boosting.train(PARAMETERS, train, BoostingPlan(30, 30))
    assert ours.get_dump() == xgb.train(PARAMETERS, train, 30).get_dump()
    patient = boosting.train(
        PARAMETERS, train, BoostingPlan(200, 200, patience=10), evaluation=late
    )
    stopping = xgb.callback.EarlyStopping(rounds=10, save_best=True)
    theirs = xgb.train(
        PARAMETERS, train, 200, evals=[(late, "late")], callbacks=[stopping], verbose_eval=False
    )
    assert patient.num_boosted_rounds() == theirs.num_boosted_rounds() < 190
    assert patient.get_dump() == theirs.get_dump()


def test_early_stopping_does_not_begin_anew_with_a_segment(data):
    train, late = data
    kept = Kept()
    booster = boosting.train(PARAMETERS, train, PATIENT, evaluation=late, checkpoints=kept)
    assert max(rounds for _, rounds in kept) == booster.num_boosted_rounds() + PATIENT.patience
    assert PATIENT.patience > PATIENT.segment


def test_stages_do_not_take_each_others_checkpoints(data):
    kept = Kept()
    first = boosting.train(PARAMETERS, data[0], ROUNDS, stage="fit", checkpoints=kept)
    other = boosting.train(PARAMETERS, data[1], ROUNDS, stage="refit", checkpoints=kept)
    assert bytes_of(first) != bytes_of(other)
    assert bytes_of(other) == bytes_of(boosting.train(PARAMETERS, data[1], ROUNDS))


def test_no_model_keeps_what_a_checkpoint_says_of_itself(data):
    assert boosting.train(PARAMETERS, data[0], ROUNDS, checkpoints=Kept()).attributes() == {}


def test_told_to_end_it_keeps_its_segment_and_another_attempt_goes_on_there(data, monkeypatch):
    kept, point = Kept(), boosting.failpoint

    def told(name):
        if name == "train.fit.12":
            os.kill(os.getpid(), signal.SIGTERM)
        point(name)

    monkeypatch.setattr(boosting, "failpoint", told)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoreError, match=r"after 15 of 23 rounds") as ended:
        boosting.train(PARAMETERS, data[0], ROUNDS, checkpoints=kept)
    assert "resumes from there" in str(ended.value)
    assert [rounds for _, rounds in sorted(kept)] == [5, 10, 15]
    assert signal.getsignal(signal.SIGTERM) == before
    monkeypatch.undo()
    again = boosting.train(PARAMETERS, data[0], ROUNDS, checkpoints=kept)
    assert bytes_of(again) == bytes_of(boosting.train(PARAMETERS, data[0], ROUNDS))
