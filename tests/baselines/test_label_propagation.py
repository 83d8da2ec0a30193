import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from sklearn.utils.validation import check_is_fitted

from makedo.baselines.label_propagation import (
    ADJACENCIES,
    ALPHAS,
    ITERATIONS,
    LabelPropagation,
    search_label_propagation,
)
from makedo.data.graph import Graph

N, C = 40, 3


@pytest.fixture
def problem():
    rng = np.random.default_rng(1)
    edges = np.sort(rng.integers(0, N - 5, size=(2, 90)), axis=0)
    edges = np.hstack([edges, [[N - 5, N - 5, N - 4], [N - 4, N - 3, N - 3]]])  # a part of its own
    y = rng.integers(0, C, N)
    y[10:] = -1
    return np.zeros((N, 1)), y, Graph.from_edges(edges, n_nodes=N)


def one_hot(y):
    return (y[:, None] == np.arange(C)).astype(float)


def shares(scores):
    return scores / scores.sum(1, keepdims=True)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_the_fixed_point_equals_the_closed_form(problem, alpha):
    X, y, graph = problem
    A = graph.to_scipy().toarray().astype(float)
    scale = np.divide(1, np.sqrt(A.sum(1)), out=np.zeros(N), where=A.sum(1) > 0)
    S = scale[:, None] * A * scale
    closed = (1 - alpha) * np.linalg.solve(np.eye(N) - alpha * S, one_hot(y))
    model = LabelPropagation(alpha, iterations=400).fit(X, y, graph=graph)
    assert (model.reached_ == (closed.sum(1) > 1e-14)).all()
    found = model.node_proba_[model.reached_]
    np.testing.assert_allclose(found, shares(closed[model.reached_]), atol=1e-6)


def test_the_plain_adjacency_follows_the_formula_with_its_clipping(problem):
    X, y, graph = problem
    A, Y0 = graph.to_scipy().toarray(), one_hot(y)
    Y = Y0
    for _ in range(4):
        Y = np.minimum(np.maximum(0.5 * A @ Y + 0.5 * Y0, 0), 1)
    model = LabelPropagation(0.5, iterations=4, adjacency="plain").fit(X, y, graph=graph)
    assert (Y == 1).any()
    np.testing.assert_allclose(
        model.node_proba_[model.reached_], shares(Y[model.reached_]), atol=1e-6
    )


def test_what_no_label_reaches_gets_the_prior_and_does_not_count_as_covered(problem):
    X, y, graph = problem
    model = LabelPropagation().fit(X, y, graph=graph)
    prior = np.bincount(y[:10], minlength=C) / 10
    assert not model.reached_[-5:].any()
    np.testing.assert_allclose(model.node_proba_[-5:], np.tile(prior, (5, 1)), atol=1e-7)
    np.testing.assert_allclose(model.predict_proba(X[:2]), np.tile(prior, (2, 1)), atol=1e-7)
    assert model.coverage_ == model.reached_.mean() < 1


def test_a_label_reaches_as_far_as_there_are_iterations():
    chain = np.array([np.arange(9), np.arange(1, 10)])
    y = np.array([0, *[-1] * 8, 1])
    model = LabelPropagation(iterations=3).fit(np.zeros((10, 1)), y, graph=chain)
    assert model.reached_.tolist() == [True] * 4 + [False] * 2 + [True] * 4


def test_labels_of_validation_nodes_are_not_spread(problem):
    X, y, graph = problem
    valid = np.zeros(N, dtype=bool)
    valid[5:10] = True
    given = LabelPropagation().fit(X, y, graph=graph, valid_mask=valid)
    gone = LabelPropagation().fit(X, np.where(valid, -1, y), graph=graph)
    np.testing.assert_array_equal(given.node_proba_, gone.node_proba_)
    check_is_fitted(given)


def test_the_search_finds_the_best_of_all_settings_fitted_one_by_one(problem):
    X, y, graph = problem
    truth = np.random.default_rng(2).integers(0, C, N)
    truth[:10] = y[:10]
    train, valid = np.arange(10), np.arange(10, 30)
    settings, proba = search_label_propagation(graph, truth, train, valid)
    scores = {}
    for adjacency, alpha, iterations in product(ADJACENCIES, ALPHAS, ITERATIONS):
        model = LabelPropagation(alpha, iterations, adjacency=adjacency)
        model.fit(X, truth, graph=graph, train_mask=np.isin(np.arange(N), train))
        scores[adjacency, alpha, iterations] = np.mean(model.predict(nodes=valid) == truth[valid])
    assert len(scores) == 50 and len(set(scores.values())) > 1
    assert tuple(settings.values()) == max(scores, key=scores.get)  # the first of the best
    model = LabelPropagation(**settings)
    model.fit(X, truth, graph=graph, train_mask=np.isin(np.arange(N), train))
    np.testing.assert_array_equal(proba, model.node_proba_)


def test_it_works_without_torch():
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import numpy as np\n"
        "from makedo.baselines.label_propagation import LabelPropagation\n"
        "model = LabelPropagation().fit(np.zeros((3, 1)), [0, 1, -1], graph=np.array([[0], [2]]))\n"
        "assert model.predict(nodes=[2]) == [0] and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
