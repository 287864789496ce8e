import json, time
from datetime import date, timedelta
from contextlib import ExitStack
import pytest
from nights import Place
from jobs.core.settings import PROJECT
from jobs.source.load import load
from jobs.source.movies import movies, ratings
from jobs.source.request import Request, LabelRule
from jobs.source.schema import MOVIES, USER_INTERACTIONS, TRANSACTIONS
from jobs.source.simulate.write import Simulation, to_database
from jobs.source.simulate.movies.simulation import MovieSimulation
from jobs.core.identity import days
from drift_world import rows, live
import yaml
FOLDER = PROJECT.parent / "shared" / "data"
REAL = yaml.safe_load((PROJECT/"params.yaml").read_text())

def dump(place, facts, name):
    out = {}
    for day in facts:
        for key, row in rows(place, day).items():
            out.setdefault("|".join(key), []).append((row["value"], row["threshold"], row["passed"], row["message"], row["severity"]))
    with open(f"/tmp/tune_{name}.json", "w") as f:
        json.dump({"facts": {str(k): v for k, v in facts.items()}, "rows": out}, f)

def go(place, start, d0, n, name, sections):
    place.set_params(**sections)
    file = place.home/"params.yaml"
    every = yaml.safe_load(file.read_text()); every[place.pipeline]["first_date"] = start
    file.write_text(yaml.safe_dump(every))
    t=time.time()
    place.ingest(start, d0)
    print("ingested", time.time()-t, flush=True)
    for step in ("snapshot", "check_drift", "train", "gate", "promote"):
        t=time.time(); m = place.run(step, d0); print(step, round(time.time()-t,1), flush=True)
    facts = {}
    for day in days(d0+timedelta(1), d0+timedelta(n)):
        t=time.time(); place.ingest(day, day); a=time.time(); place.run("snapshot", day); b=time.time()
        facts.update({day: place.run("check_drift", day).facts}); c=time.time()
        print(day, round(a-t,1), round(b-a,1), round(c-b,1), facts[day]["drifted"], facts[day]["decayed"], facts[day]["warnings"], flush=True)
        dump(place, facts, name)

@pytest.mark.timeout(6000)
@pytest.mark.parametrize("name", ["sim", "book", "tweets", "simovies"])
def test_tune(name, services, databases, tmp_path):
    with ExitStack() as stack:
        source = stack.enter_context(databases("source")); serving = stack.enter_context(databases("serving"))
        pipeline = "fraud" if name in ("sim", "book") else "movies"
        place = Place(tmp_path, source, serving, services.redis, pipeline)
        cd = REAL[pipeline]["check_drift"]
        if name == "sim":
            s = date(2018, 4, 1); d0 = date(2018, 5, 10)
            to_database(source, Simulation(s, days=70, customers=1500, merchants=3000, seed=1), lambda d: None)
            go(place, s, d0, 30, name, {"check_drift": cd, "snapshot": {"train_days": 14, "gap_days": 7, "holdout_days": 7, "label_delay_days": 7}, "predict": {"label_delay_days": 7}})
        if name == "book":
            load(source, Request(TRANSACTIONS, (f"{FOLDER}/transactions/*.parquet",), {"transaction_id": "TRANSACTION_ID","event_time": "TX_DATETIME","customer_id": "CUSTOMER_ID","merchant_id": "TERMINAL_ID","amount": "TX_AMOUNT"}, {"currency": "EUR"}, LabelRule("TX_FRAUD", timedelta(days=7))), tmp_path/"bad.csv", lambda a, b: None)
            s = date(2018, 4, 1); d0 = date(2018, 6, 5)
            go(place, s, d0, 30, name, {k: REAL["fraud"][k] for k in ("snapshot", "check_drift", "train", "gate", "predict")})
        if name == "simovies":
            s = date(2018, 4, 1); d0 = date(2018, 5, 10)
            to_database(source, MovieSimulation(s, days=70, users=1500, movies=400, seed=1), lambda d: None)
            go(place, s, d0, 30, name, {"check_drift": cd, "snapshot": {"train_days": 28, "holdout_days": 7}, "predict": {"history_days": 40}})
        if name == "tweets":
            for r in (Request(MOVIES, (f"{FOLDER}/ratings/movies.dat",), reading=movies()), Request(USER_INTERACTIONS, (f"{FOLDER}/ratings/ratings.dat",), reading=ratings())):
                load(source, r, tmp_path/"bad.csv", lambda a, b: None)
            s = date(2013, 2, 28); d0 = date(2013, 7, 15)
            go(place, s, d0, 30, name, {k: REAL["movies"][k] for k in ("snapshot", "check_drift", "train", "gate", "predict", "validate")})
