import os
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from makedo.baselines.sgc import SGCClassifier, propagate
from makedo.core.checks import MakedoWarning
from makedo.data.graph import Graph

N, D, C = 60, 9, 3


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, N)
    X = rng.normal(size=(N, D)).astype(np.float32)
    X[np.arange(N), y] += 1
    edges = np.sort(rng.integers(0, N - 3, size=(2, 100)), axis=0)  # the last three have no edge
    return X, y, Graph.from_edges(edges, n_nodes=N)


def dense_powers(graph, n_hops):
    A = graph.to_scipy().toarray().astype(float) + np.eye(graph.n_nodes)
    scale = 1 / np.sqrt(A.sum(1))
    return np.linalg.matrix_power(scale[:, None] * A * scale, n_hops)


@pytest.mark.parametrize("n_hops", [0, 1, 2, 3])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("sparse", [True, False])
def test_it_equals_the_dense_formula(problem, n_hops, classes, sparse):
    X, y, graph = problem
    X, y = np.maximum(X, 0), y % classes
    train = np.arange(N) % 2 == 0
    spread = dense_powers(graph, n_hops) @ X
    spread /= np.sqrt((spread[train] ** 2).sum(1).mean())
    theirs = LogisticRegression(C=3.0, tol=1e-8, max_iter=5000).fit(spread[train], y[train])
    model = SGCClassifier(n_hops, C=3.0, normalize="none")
    model.fit(sp.csr_matrix(X) if sparse else X, y, graph=graph, train_mask=train)
    np.testing.assert_allclose(model.node_proba_, theirs.predict_proba(spread), atol=5e-3)


@pytest.mark.parametrize("density", [0.005, 0.3, 1.0])
@pytest.mark.parametrize("n_hops", [0, 1, 2, 4])
def test_spreading_gives_the_same_rows_whether_it_stays_sparse_or_not(problem, n_hops, density):
    graph = problem[2]
    X = sp.random(N, 200, density=density, random_state=0, format="csr", dtype=np.float32)
    rows = np.array([5, 3, 59])
    found = propagate(graph.normalized(), X, n_hops, rows)
    assert sp.issparse(found) == (density == 0.005 and n_hops < 4 or n_hops == 0)
    found = found.toarray() if sp.issparse(found) else found
    np.testing.assert_allclose(found, (dense_powers(graph, n_hops) @ X)[rows], atol=1e-6)


def test_without_hops_it_is_logistic_regression_and_the_graph_says_nothing(problem):
    X, y, graph = problem
    other = Graph.from_edges(np.array([[0], [1]]), n_nodes=N)
    one, two = (SGCClassifier(0, normalize="none").fit(X, y, graph=g) for g in (graph, other))
    np.testing.assert_array_equal(one.node_proba_, two.node_proba_)


def test_c_means_the_same_whatever_the_unit_of_the_features(problem):
    X, y, graph = problem
    one = SGCClassifier(normalize="none").fit(X, y, graph=graph)
    two = SGCClassifier(normalize="none").fit(1000 * X, y, graph=graph)
    np.testing.assert_allclose(one.node_proba_, two.node_proba_, atol=1e-3)


@pytest.mark.parametrize("present", [[1], [0, 2], [0, 1, 3]])
def test_classes_without_training_nodes_have_probability_zero(problem, present):
    X, _, graph = problem
    y = np.arange(N) % 4
    train = np.isin(y, present)
    with pytest.warns(MakedoWarning, match="without a training node"):
        model = SGCClassifier().fit(X, y, graph=graph, train_mask=train)
    absent = np.setdiff1d(range(4), present)
    assert (model.node_proba_[:, absent] == 0).all()
    np.testing.assert_allclose(model.node_proba_.sum(1), 1, rtol=1e-5)
    assert set(model.predict(X)) <= set(present)
    check_is_fitted(model)


def test_the_absent_classes_leave_the_others_as_they_are_alone(problem):
    X, y, graph = problem
    train = y < 2
    with pytest.warns(MakedoWarning, match="without a training node"):
        three = SGCClassifier().fit(X, y, graph=graph, train_mask=train)
    two = SGCClassifier().fit(X, np.where(train, y, -1), graph=graph)
    np.testing.assert_array_equal(three.node_proba_[:, :2], two.node_proba_)


def test_features_without_a_single_entry_give_the_prior():
    y = np.array([0, 0, 0, 1])
    X = sp.csr_matrix((4, 3), dtype=np.float32)
    model = SGCClassifier().fit(X, y, graph=np.array([[0, 1], [2, 3]]))
    np.testing.assert_allclose(model.predict_proba(X[:1]), [[0.75, 0.25]], atol=1e-3)


@pytest.mark.parametrize("changed", [{"n_hops": 1}, {"C": 0.1}, {"normalize": "none"}])
def test_every_parameter_matters(problem, changed):
    X, y, graph = problem
    plain = SGCClassifier().fit(5 * X, y, graph=graph).node_proba_
    other = SGCClassifier(**changed).fit(5 * X, y, graph=graph).node_proba_
    assert abs(other - plain).max() > 1e-3


def test_it_works_without_torch():
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import numpy as np\n"
        "from makedo.baselines.sgc import SGCClassifier\n"
        "model = SGCClassifier().fit(np.eye(4), [0, -1, 1, -1], graph=np.array([[0, 2], [1, 3]]))\n"
        "assert model.predict(nodes=[1, 3]).tolist() == [0, 1] and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.realdata
@pytest.mark.skipif("MAKEDO_DATA" not in os.environ, reason="MAKEDO_DATA is not set")
def test_cora_gives_the_accuracy_of_the_paper_in_two_seconds():
    from makedo.data import catalog

    data = catalog.load("cora")
    train, valid, test = (data.masks[part][0] for part in ("train", "valid", "test"))
    started = time.process_time()
    model = SGCClassifier().fit(data.X, data.y, graph=data.graph, train_mask=train)
    assert time.process_time() - started < 2
    right = model.predict(nodes=np.flatnonzero(test)) == data.y[test]
    assert right.mean() > 0.78  # paper: 81.0
