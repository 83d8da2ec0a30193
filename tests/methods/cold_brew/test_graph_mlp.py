import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from makedo.data.graph import Graph
from makedo.methods.cold_brew.graph_mlp import (
    GraphMLP,
    GraphMLPClassifier,
    neighbor_contrast,
    neighbors_in_batch,
)
from makedo.nn.features import Features

N = 90


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    X = rng.normal(size=(N, 7)).astype(np.float32)
    X[np.arange(N), y] += 1
    pairs = np.sort(rng.integers(0, N - 4, size=(2, 500)), axis=0)
    return X, y, Graph.from_edges(pairs[:, y[pairs[0]] == y[pairs[1]]], n_nodes=N)


# --- which nodes are neighbours ------------------------------------------------------------------


@pytest.mark.parametrize("n_hops", [1, 2, 3, 4, 5])
def test_neighbours_in_a_batch_are_entries_of_the_dense_power(problem, n_hops):
    A = problem[2].normalized()
    rows = np.random.default_rng(1).permutation(N)[:30]
    expected = np.linalg.matrix_power(A.toarray().astype(float), n_hops)[np.ix_(rows, rows)]
    np.fill_diagonal(expected, 0)
    found = neighbors_in_batch(A, rows, n_hops)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_neighbours_beyond_the_hops_are_none():
    path = Graph.from_edges(np.array([np.arange(5), np.arange(1, 6)])).normalized()
    found = neighbors_in_batch(path, np.array([0, 2, 3]), 2)
    assert (found > 0).tolist() == [[False, True, False], [True, False, True], [False, True, False]]


# --- the contrast --------------------------------------------------------------------------------


def contrast_by_loop(z, gamma, temperature):
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        length = np.linalg.norm(z, axis=1)
        e = {j: math.exp(z[i] @ z[j] / (length[i] * length[j]) / temperature) for j in others}
        near = sum(gamma[i, j] * e[j] for j in others)
        if near > 0:
            losses.append(-math.log(near / sum(e.values())))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_the_contrast_equals_a_plain_loop(problem, temperature):
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.permutation(N - 4)[:20], [N - 1]])  # the last has no neighbour
    gamma = neighbors_in_batch(problem[2].normalized(), rows, 2)
    assert not gamma[-1].any()
    z = rng.normal(size=(21, 6))
    ours = neighbor_contrast(torch.from_numpy(z), torch.from_numpy(gamma), temperature)
    assert float(ours) == pytest.approx(contrast_by_loop(z, gamma, temperature), rel=1e-6)


def test_the_contrast_has_the_gradient_of_finite_differences(problem):
    gamma = torch.from_numpy(neighbors_in_batch(problem[2].normalized(), np.arange(8), 2)).double()
    z = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda z: neighbor_contrast(z, gamma, 0.7), z.requires_grad_())


def test_a_batch_without_neighbours_has_no_contrast():
    z = torch.randn(4, 3, requires_grad=True)
    loss = neighbor_contrast(z, torch.zeros(4, 4), 1.0)
    loss.backward()
    assert loss.item() == 0 and not z.grad.any()


def test_the_contrast_is_lower_when_neighbours_are_alike():
    gamma = torch.kron(torch.eye(2), torch.ones(3, 3)) - torch.eye(6)
    apart = torch.kron(torch.eye(2), torch.ones(3, 1))  # equal inside a group, orthogonal across
    mixed = apart[[0, 3, 1, 4, 2, 5]]
    low, high = (float(neighbor_contrast(z, gamma, 0.5)) for z in (apart, mixed))
    # 2 alike of 5, and the other 3 at cosine 0
    assert low == pytest.approx(math.log(1 + 3 * math.exp(-2.0) / 2), rel=1e-5)
    assert high > low


# --- the estimator -------------------------------------------------------------------------------


def test_the_network_is_the_formula():
    torch.manual_seed(0)
    net = GraphMLP(5, 8, 3).eval()
    torch.nn.init.normal_(net.norm.weight)
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    W, b = (p.detach().numpy() for p in (net.input.weight, net.input.bias))
    h = x @ W + b
    h = h * (1 + np.vectorize(math.erf)(h / math.sqrt(2))) / 2
    h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
    h = h * net.norm.weight.detach().numpy()
    for layer in (net.middle, net.output):
        h = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    for features in (x, sp.csr_matrix(x)):
        found = net(Features.of(features)).detach().numpy()
        np.testing.assert_allclose(found, h, atol=1e-5)


CALM = {"dropout": 0.0, "normalize": "none", "patience": None}
MASKS = {"train_mask": np.arange(N) < 60, "valid_mask": np.zeros(N, bool)}


def test_without_the_contrast_it_is_an_mlp_that_learns_from_labels_alone(problem):
    X, y, graph = problem
    model = GraphMLPClassifier(0.0, max_epochs=40, **CALM).fit(X, y, graph=graph, **MASKS)
    still = GraphMLPClassifier(0.0, max_epochs=1, learning_rate=1e-30, **CALM)
    net = still.fit(X, y, graph=graph, **MASKS).nets_["graph mlp"]  # its first weights
    optimizer = torch.optim.Adam(net.parameters(), lr=0.005, weight_decay=5e-4)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(net(Features.of(X[:60])), torch.from_numpy(y[:60])).backward()
        optimizer.step()
    theirs = net(Features.of(X)).softmax(1).detach().numpy()
    np.testing.assert_allclose(model.node_proba_, theirs, atol=1e-3)


def test_without_the_contrast_the_graph_says_nothing_and_with_it_does(problem):
    X, y, graph = problem
    pairs = np.sort(np.random.default_rng(5).integers(0, N, size=(2, 300)), axis=0)
    other = Graph.from_edges(pairs, n_nodes=N)
    settings = {"max_epochs": 5, "normalize": "none"}

    def differ(alpha):
        models = [GraphMLPClassifier(alpha, **settings).fit(X, y, graph=g) for g in (graph, other)]
        return abs(models[0].node_proba_ - models[1].node_proba_).max()

    assert differ(0.0) == 0
    assert differ(1.0) > 1e-3
    assert GraphMLPClassifier().alpha > 0


def test_the_loss_is_the_cross_entropy_and_alpha_times_the_contrast(problem):
    """All nodes in one batch: what the first epoch records, from the first weights."""
    X, y, graph = problem
    settings = {**CALM, "max_epochs": 1, "temperature": 0.5, "learning_rate": 1e-30}
    model = GraphMLPClassifier(3.0, **settings).fit(X, y, graph=graph, **MASKS)
    net = model.nets_["graph mlp"]
    z = net.embed(Features.of(X)).detach()
    gamma = np.linalg.matrix_power(graph.normalized().toarray(), 2)
    np.fill_diagonal(gamma, 0)
    linked = np.flatnonzero(graph.degree > 0)
    contrast = contrast_by_loop(z.numpy()[linked], gamma[np.ix_(linked, linked)], 0.5)
    hard = F.cross_entropy(net.output(z[:60]), torch.from_numpy(y[:60])).item()
    assert model.history_["loss"][0] == pytest.approx(hard + 3 * contrast, rel=1e-4)


def test_predictions_need_no_edges(problem):
    X, y, graph = problem
    model = GraphMLPClassifier(max_epochs=5).fit(X, y, graph=graph)
    np.testing.assert_allclose(model.predict_proba(X), model.node_proba_, atol=1e-6)


def test_edges_help_where_labels_are_few_and_features_many(make_problem):
    gains = []
    for seed in range(2):
        data, rng = make_problem(300, inside=0.1, outside=0.005), np.random.default_rng(seed)
        X = rng.normal(size=(300, 60)) + 0.4 * np.where(data.y, 1, -1)[:, None]
        X[:, 30:] = rng.normal(size=(300, 30))
        labelled = [rng.choice(np.flatnonzero(data.y == c), 3, replace=False) for c in (0, 1)]
        train = np.isin(np.arange(300), labelled)
        masks = {"train_mask": train, "valid_mask": np.zeros(300, bool)}
        right = []
        for alpha in (10.0, 0.0):
            model = GraphMLPClassifier(alpha, max_epochs=60).fit(
                X, data.y, graph=data.graph, **masks
            )
            right.append((model.predict(X[~train]) == data.y[~train]).mean())
        gains.append(right[0] - right[1])
    assert np.mean(gains) > 0.05


@pytest.mark.parametrize(
    "changed",
    [
        {"alpha": 1.0}, {"temperature": 0.5}, {"n_hops": 3}, {"hidden": 16}, {"dropout": 0.0},
        {"learning_rate": 0.05}, {"weight_decay": 0.1}, {"max_epochs": 2}, {"patience": 1},
        {"batch_size": 20}, {"validation_fraction": 0.5}, {"normalize": "none"},
        {"random_state": 1},
    ],
)  # fmt: skip
def test_every_parameter_matters(problem, changed):
    X, y, graph = problem
    X[:, :3] -= np.eye(3)[y]  # harder: else the first epoch is the best one whatever follows
    settings = {"max_epochs": 8, "learning_rate": 0.02}
    plain = GraphMLPClassifier(**settings).fit(3 * X, y, graph=graph)
    other = GraphMLPClassifier(**{**settings, **changed}).fit(3 * X, y, graph=graph)
    assert abs(other.node_proba_ - plain.node_proba_).max() > 1e-6
