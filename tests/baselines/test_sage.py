import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from makedo.baselines.sage import SAGEClassifier, mean_of_neighbors
from makedo.data.graph import Graph
from makedo.nn.features import Features
from makedo.nn.propagation import Propagation
from makedo.nn.sage import SAGE

N, D, HIDDEN, C = 30, 12, 8, 4


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    edges = np.sort(rng.integers(0, N - 2, size=(2, 50)), axis=0)  # the last two nodes have no edge
    X = sp.random(N, D, density=0.4, random_state=0, format="csr", dtype=np.float32)
    torch.manual_seed(0)
    net = SAGE(D, HIDDEN, C, n_layers=3)
    for layer in net.layers:
        torch.nn.init.normal_(layer.bias)
    return net.eval(), X, Graph.from_edges(edges, n_nodes=N)


def node_by_node(net, X, graph):
    """[x_i, mean x_j] W + b for each node by itself, with numpy in float64."""
    neighbors = graph.to_scipy().toarray() > 0
    for k, layer in enumerate(net.layers):
        W, b = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
        means = [X[near].mean(0) if near.any() else 0 * X[0] for near in neighbors]
        X = np.array([np.concatenate([x, m]) @ W + b for x, m in zip(X, means, strict=True)])
        X = np.maximum(X, 0) if k < len(net.layers) - 1 else X
    return X


def mean_over(graph):
    return Propagation(mean_of_neighbors(graph))


@pytest.mark.parametrize("sparse", [True, False])
def test_forward_equals_the_mean_taken_node_by_node(network, sparse):
    net, X, graph = network
    ours = net(Features.of(X if sparse else X.toarray()), mean_over(graph)).detach().numpy()
    theirs = node_by_node(net, X.toarray().astype(float), graph)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_forward_equals_sageconv_of_torch_geometric(network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyg = pytest.importorskip("torch_geometric.nn")
    net, X, graph = network
    once = torch.from_numpy(graph.edges().T)
    both = torch.cat([once, once.flip(0)], 1)
    x = torch.from_numpy(X.toarray())
    for k, layer in enumerate(net.layers):
        conv = pyg.SAGEConv(layer.n_features, layer.width)
        own, others = layer.weight.split(layer.n_features)
        with torch.no_grad():
            conv.lin_r.weight.copy_(own.T)
            conv.lin_l.weight.copy_(others.T)
            conv.lin_l.bias.copy_(layer.bias)
        x = conv(x if k == 0 else x.relu(), both)
    torch.testing.assert_close(net(Features.of(X), mean_over(graph)), x, rtol=1e-5, atol=1e-5)


def test_gradients_equal_those_of_the_dense_formula(network):
    net, X, graph = network
    loss = net(Features.of(X), mean_over(graph)).square().sum()
    ours = torch.autograd.grad(loss, list(net.parameters()))
    A = torch.from_numpy(graph.to_scipy().toarray())
    mean, x = A / A.sum(1, keepdim=True).clamp(min=1), torch.from_numpy(X.toarray())
    for k, layer in enumerate(net.layers):
        x = x if k == 0 else x.relu()
        x = torch.cat([x, mean @ x], dim=1) @ layer.weight + layer.bias
    theirs = torch.autograd.grad(x.square().sum(), list(net.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_weights_of_edges_are_the_weights_of_the_mean():
    graph = Graph.from_edges(np.array([[0, 0], [1, 2]]), n_nodes=4)
    graph = Graph(graph.indptr, graph.indices, np.array([3, 1, 3, 1]))
    expected = [[0, 0.75, 0.25, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(mean_of_neighbors(graph).toarray(), expected)


def test_a_node_without_edges_sees_only_itself(network):
    net, X, graph = network
    among_others = net(Features.of(X), mean_over(graph))[-2:]
    torch.testing.assert_close(net(Features.of(X[-2:])), among_others)


@pytest.mark.parametrize("sparse", [True, False])
def test_a_node_drops_the_same_entries_for_itself_and_for_its_neighbours(sparse):
    """Two linked nodes with equal rows of W: what one loses, the other loses from it too."""
    net = SAGE(50, 3, 1, n_layers=1, dropout=0.5).train()
    torch.nn.init.ones_(net.layers[0].weight)
    X = np.ones((2, 50), dtype=np.float32)
    pair = mean_over(Graph.from_edges(np.array([[0], [1]]), n_nodes=2))
    torch.manual_seed(0)
    both = net(Features.of(sp.csr_matrix(X) if sparse else X), pair)
    torch.testing.assert_close(both[0], both[1])  # own sum + the other's sum
    assert both[0] not in (0, 100)


def test_every_layer_drops_its_input_in_train_mode_only(network):
    net, X, graph = network
    x, mean = Features.of(X), mean_over(graph)
    assert torch.equal(net(x, mean), net(x, mean))
    net.train()
    assert not torch.equal(net(x, mean), net(x, mean))
    net.dropout = 0.0
    assert torch.equal(net(x, mean), net.eval()(x, mean))


def test_it_uses_neighbours_that_are_unlike_where_a_gcn_cannot():
    """The class is the sign of the own feature times that of the neighbours."""
    rng = np.random.default_rng(0)
    n = 400
    x = rng.choice([-1.0, 1.0], n)
    partner = np.arange(n) ^ 1  # pairs (0, 1), (2, 3) …
    y = (x > x[partner]).astype(int) + 2 * (x < x[partner])
    edges = np.array([np.arange(0, n, 2), np.arange(1, n, 2)])
    train = np.arange(n) < 200
    model = SAGEClassifier(16, max_epochs=150, dropout=0.0, normalize="none")
    model.fit(x[:, None], y, graph=edges, train_mask=train, valid_mask=~train)
    right = model.predict(nodes=np.arange(200, n)) == y[200:]
    assert right.mean() == 1  # a GCN sees x_i + x_j only, the same for both nodes of a pair


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden": 16}, {"n_layers": 1}, {"dropout": 0.0}, {"learning_rate": 0.1},
        {"weight_decay": 0.1}, {"normalize": "none"}, {"random_state": 1},
        {"validation_fraction": 0.5}, {"max_epochs": 2}, {"patience": 1},
    ],
)  # fmt: skip
def test_every_parameter_matters(changed):
    rng = np.random.default_rng(0)
    X, y = 3 * rng.normal(size=(60, 5)), np.arange(60) % 2
    edges = np.sort(rng.integers(0, 60, size=(2, 100)), axis=0)
    plain = SAGEClassifier(max_epochs=8).fit(X, y, graph=edges)
    other = SAGEClassifier(**{"max_epochs": 8, **changed}).fit(X, y, graph=edges)
    assert abs(other.node_proba_ - plain.node_proba_).max() > 1e-6
