import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from makedo.data.graph import Graph
from makedo.nn.features import Features
from makedo.nn.gcn import GCN
from makedo.nn.propagation import Propagation

N, D, HIDDEN, C = 30, 12, 8, 4


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    edges = np.sort(rng.integers(0, N - 2, size=(2, 50)), axis=0)  # the last two nodes have no edge
    X = sp.random(N, D, density=0.4, random_state=0, format="csr", dtype=np.float32)
    torch.manual_seed(0)
    net = GCN(D, HIDDEN, C, n_layers=3)
    for layer in net.layers:
        torch.nn.init.normal_(layer.bias)
    return net.eval(), X, Graph.from_edges(edges, n_nodes=N)


def dense_formula(net, X, A):
    """Ã = D^-1/2 (A + I) D^-1/2; σ(Ã X W + b), with numpy in float64."""
    A = A + np.eye(len(A))
    scale = 1 / np.sqrt(A.sum(1))
    A = scale[:, None] * A * scale
    for k, layer in enumerate(net.layers):
        W, b = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
        X = A @ (X @ W) + b
        X = np.maximum(X, 0) if k < len(net.layers) - 1 else X
    return X


@pytest.mark.parametrize("sparse", [True, False])
def test_forward_equals_the_dense_formula(network, sparse):
    net, X, graph = network
    x = Features.of(X if sparse else X.toarray())
    ours = net(x, Propagation(graph.normalized())).detach().numpy()
    theirs = dense_formula(net, X.toarray().astype(float), graph.to_scipy().toarray())
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_forward_equals_gcnconv_of_torch_geometric(network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyg = pytest.importorskip("torch_geometric.nn")
    net, X, graph = network
    once = torch.from_numpy(graph.edges().T)
    both = torch.cat([once, once.flip(0)], 1)
    x = torch.from_numpy(X.toarray())
    for k, layer in enumerate(net.layers):
        conv = pyg.GCNConv(*layer.weight.shape)
        with torch.no_grad():
            conv.lin.weight.copy_(layer.weight.T)
            conv.bias.copy_(layer.bias)
        x = conv(x if k == 0 else x.relu(), both)
    ours = net(Features.of(X), Propagation(graph.normalized()))
    torch.testing.assert_close(ours, x, rtol=1e-6, atol=1e-6)


def test_gradients_equal_those_of_the_dense_formula(network):
    net, X, graph = network
    ours = net(Features.of(X), Propagation(graph.normalized())).square().sum()
    ours = torch.autograd.grad(ours, list(net.parameters()))
    A, x = torch.from_numpy(graph.normalized().toarray()), torch.from_numpy(X.toarray())
    for k, layer in enumerate(net.layers):
        x = A @ ((x if k == 0 else x.relu()) @ layer.weight) + layer.bias
    theirs = torch.autograd.grad(x.square().sum(), list(net.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_node_without_edges_sees_only_itself(network):
    net, X, graph = network
    among_others = net(Features.of(X), Propagation(graph.normalized()))[-2:]
    torch.testing.assert_close(net(Features.of(X[-2:])), among_others)


def test_every_layer_drops_its_input_in_train_mode_only(network):
    net, X, graph = network
    x, propagation = Features.of(X), Propagation(graph.normalized())
    assert torch.equal(net(x, propagation), net(x, propagation))
    net.train()
    assert not torch.equal(net(x, propagation), net(x, propagation))
    net.dropout = 0.0
    assert torch.equal(net(x, propagation), net.eval()(x, propagation))
