"""The GPU benchmark, which is copied alone to a machine with a GPU: what a CPU can check."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from jobs.core import params
from jobs.core.settings import PROJECT
from jobs.usecases.fraud.params import FraudTrainParams
from jobs.usecases.movies import ease
from jobs.usecases.movies.params import MoviesTrainParams

SCRIPT = PROJECT / "bench" / "gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("carried_gpu_bench", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # as the script would, and back again
        spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def without_gpu(gpu, monkeypatch):
    monkeypatch.setattr(gpu, "DRIVER", "libno-such-driver.so.1")


def case(gpu, make, cpu, cuda):
    """A case of `make` with these results for the devices."""
    real = make(50)
    results = {"cpu": np.array(cpu), "cuda": np.array(cuda)}
    return gpu.Case(
        "this", "50", lambda device: (1.0, results[device]), real.show, real.differ, real.tolerance
    )


@pytest.mark.process
def test_alone_in_a_folder_it_prints_the_table_of_the_cpu(tmp_path):
    shutil.copy(SCRIPT, tmp_path)
    words = ["gpu.py", "--only", "cpu", "--rows", "2000", "--items", "50"]
    ended = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "`python gpu.py --only cpu --rows 2000 --items 50`" in ended.stdout
    trees = re.search(
        r"^\| XGBoost \| 2,000 rows \| [\d.]+ \|.* AUC ([\d.]+), AP ([\d.]+) \|", ended.stdout, re.M
    )
    assert float(trees[1]) > 0.9
    assert float(trees[2]) > 0.8
    assert re.search(r"^\| EASE \| 50 items \| [\d.]+ \|", ended.stdout, re.M)


def test_it_needs_nothing_else_of_nightshift():
    nodes = list(ast.walk(ast.parse(SCRIPT.read_text())))
    names = [each.name for node in nodes if isinstance(node, ast.Import) for each in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    others = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert others == {"numpy", "scipy", "xgboost"}


def test_without_a_gpu_it_says_so_and_fails(gpu, without_gpu):
    with pytest.raises(SystemExit, match="there is no GPU here"):
        gpu.main(["--rows", "2000"])


def test_xgboost_that_takes_the_cpu_in_silence_is_no_measurement(gpu):
    rows = gpu.xgb.DMatrix(np.eye(4), label=[0, 1, 0, 1])
    with pytest.raises(SystemExit, match="used cpu instead of cuda"):
        gpu.trained_on(gpu.xgb.train({"device": "cpu"}, rows, 1), "cuda")


@pytest.mark.parametrize(
    ("make", "cpu", "cuda", "equal"),
    [
        ("boosting", [0.95, 0.80], [0.9515, 0.7985], True),
        ("boosting", [0.95, 0.80], [0.95, 0.803], False),
        ("boosting", [0.95, 0.80], [0.95, float("nan")], False),
        ("ease", [[0, 20.0], [1, 0]], [[0, 20.0001], [1, 0]], True),
        ("ease", [[0, 20.0], [1, 0]], [[0, 20.0], [1.001, 0]], False),
    ],
)
def test_results_that_differ_by_more_than_is_allowed_are_refused(
    gpu, make, cpu, cuda, equal, capsys
):
    broken = case(gpu, getattr(gpu, make), cpu, cuda)
    assert list(gpu.compare(lambda size: broken, [50], ["cpu", "cuda"])) == [equal]
    assert capsys.readouterr().out.endswith("| yes |\n" if equal else "| NO |\n")


def test_metrics_are_those_of_scikit_learn_ties_and_all(gpu):
    chance = np.random.default_rng(3)
    labels, scores = chance.random(500) < 0.2, chance.integers(0, 40, 500) / 40
    assert gpu.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert gpu.average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels, scores)
    )


def test_the_weights_are_those_of_the_movies_model(gpu):
    from scipy.sparse import csr_array

    seen = np.random.default_rng(5).random((40, 12)) < 0.3
    matrix = csr_array(seen.astype(float))
    gram = (matrix.T @ matrix).toarray() + 3 * np.eye(12)
    assert np.array_equal(gpu.weights(gpu.cholesky_inverse(gram)), ease.fit(matrix, 3, 12))


def test_the_parameters_are_those_of_params_yaml(gpu):
    file = PROJECT / "params.yaml"
    fraud = params.section(file, "fraud", "train", FraudTrainParams)
    assert fraud.booster.items() <= gpu.PARAMETERS.items()
    assert gpu.PARAMETERS["seed"] == fraud.seed
    movies = params.section(file, "movies", "train", MoviesTrainParams)
    assert movies.ease_regularisation == gpu.REGULARISATION
