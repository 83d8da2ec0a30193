"""The teacher against dense formulas, finite differences and an ordinary GCN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call

from makedo.core.training import Training
from makedo.data.graph import Graph
from makedo.methods.cold_brew.teacher import StructuralGCN, embedding_bank, teacher_phase
from makedo.nn.features import Features
from makedo.nn.propagation import Propagation

STRUCTURAL = ["first", "last", "all", None]


def random_graph(n, p, seed=0):
    rng = np.random.default_rng(seed)
    source, target = np.triu_indices(n, 1)
    linked = rng.random(len(source)) < p
    return Graph.from_edges(np.stack([source[linked], target[linked]]), n_nodes=n)


def path(n):
    return Graph.from_edges(np.stack([np.arange(n - 1), np.arange(1, n)]), n_nodes=n)


def dense_normalized(graph):
    A = graph.to_scipy().toarray().astype(np.float64) + np.eye(graph.n_nodes)
    scale = 1 / np.sqrt(A.sum(1))
    return scale[:, None] * A * scale


def network(n_nodes, n_features=3, *, n_layers=2, structural="all", dropout=0.0, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = StructuralGCN(n_nodes, n_features, 5, 2, n_layers, dropout, structural)
        for E in net.E.values():
            torch.nn.init.normal_(E)
        for layer in net.layers:
            torch.nn.init.normal_(layer.bias)
    return net


def features(n, width=3, dtype=torch.float32, seed=0):
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, width))).to(dtype)
    return Features(values)


def train(net, graph, X, y, rows, *, penalty=1e-2, epochs=30, weight_decay=0.0):
    phase = teacher_phase(
        net,
        X,
        Propagation(graph.normalized()),
        y,
        torch.as_tensor(rows),
        torch.empty(0, dtype=torch.int64),
        penalty=penalty,
        learning_rate=0.02,
        weight_decay=weight_decay,
        max_epochs=epochs,
        patience=None,
    )
    with Training("Test", random_state=0) as training:
        training.run(phase)
    return [row["loss"] for row in training.history]


# --- normalised adjacency (spec 9.1) -------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 15), st.floats(0, 1), st.integers(0, 99))
def test_the_normalised_adjacency_is_the_dense_formula_with_its_spectrum(n, p, seed):
    graph = random_graph(n, p, seed)
    A = graph.normalized().toarray().astype(np.float64)
    np.testing.assert_allclose(A, dense_normalized(graph), atol=1e-6)
    assert np.abs(np.linalg.eigvalsh(A)).max() <= 1 + 1e-6
    root = np.sqrt(graph.degree + 1.0)
    np.testing.assert_allclose(A @ root, root, rtol=1e-5)


# --- forward pass (spec 9.2, 9.3) ----------------------------------------------------------------


@pytest.mark.parametrize("structural", STRUCTURAL)
@pytest.mark.parametrize("n_layers", [1, 2, 4])
def test_every_layer_is_the_dense_formula(structural, n_layers):
    graph, X = random_graph(12, 0.3), features(12)
    net = network(12, n_layers=n_layers, structural=structural).eval()
    outputs = net(X, Propagation(graph.normalized()))
    A, x = dense_normalized(graph), X.values.double().numpy()
    for k, layer in enumerate(net.layers):
        E = net.E[str(k)].detach().double().numpy() if str(k) in net.E else 0
        x = (
            A @ (x @ layer.weight.detach().double().numpy() + E)
            + layer.bias.detach().double().numpy()
        )
        np.testing.assert_allclose(outputs[k].detach(), x, atol=1e-5)
        x = np.maximum(x, 0)


def test_without_structural_embedding_it_is_pyg_s_gcn():
    pyg = pytest.importorskip("torch_geometric.nn")
    graph, X = random_graph(12, 0.3), features(12)
    net = network(12, structural=None).eval()
    edges = torch.from_numpy(np.concatenate([graph.edges(), graph.edges()[:, ::-1]]).T.copy())
    x = X.values
    for k, layer in enumerate(net.layers):
        conv = pyg.GCNConv(*layer.weight.shape)
        with torch.no_grad():
            conv.lin.weight.copy_(layer.weight.T)
            conv.bias.copy_(layer.bias)
        x = conv(x if k == 0 else x.relu(), edges)
    torch.testing.assert_close(x, net(X, Propagation(graph.normalized()))[-1], atol=1e-6, rtol=1e-5)


def test_a_node_outside_the_training_graph_has_no_structural_embedding():
    graph, X = random_graph(9, 0.4), features(9)
    net = network(7).eval()  # two further nodes came later
    grown = network(9).eval()
    grown.load_state_dict(
        {
            name: F.pad(t, (0, 0, 0, 2)) if name.startswith("E.") else t
            for name, t in net.state_dict().items()
        }
    )
    A = Propagation(graph.normalized())
    torch.testing.assert_close(net(X, A)[-1], grown(X, A)[-1])


# --- structural embedding (spec 9.3) -------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_frozen_at_zero_it_trains_exactly_like_an_ordinary_gcn(dropout):
    graph, X = random_graph(14, 0.3), features(14)
    y = torch.arange(14) % 2
    frozen, plain = (network(14, structural=s, dropout=dropout) for s in ("all", None))
    frozen.load_state_dict(
        plain.state_dict()
        | {name: t * 0 for name, t in frozen.state_dict().items() if name[0] == "E"}
    )
    for E in frozen.E.values():
        E.requires_grad_(False)
    losses = [train(net, graph, X, y, range(8), weight_decay=5e-4) for net in (frozen, plain)]
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]
    A = Propagation(graph.normalized())
    assert torch.equal(frozen(X, A)[-1], plain(X, A)[-1])


def test_gradients_of_weights_embeddings_and_biases_are_those_of_finite_differences():
    graph, y = random_graph(6, 0.5), torch.tensor([0, 1, 1])
    X, net = features(6, dtype=torch.float64), network(6, n_layers=3).double().eval()
    A = Propagation(graph.normalized())
    names = [name for name, _ in net.named_parameters()]
    assert {name.split(".")[-1] for name in names} == {"weight", "bias", "0", "1", "2"}

    def loss(*values):
        logits = functional_call(net, dict(zip(names, values, strict=True)), (X, A))[-1]
        return F.cross_entropy(logits[:3], y) + 0.1 * sum(v.square().sum() for v in values)

    values = [p.detach().clone().requires_grad_() for p in net.parameters()]
    assert torch.autograd.gradcheck(loss, values, atol=1e-6)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_a_row_moves_only_if_a_labelled_node_is_within_reach(n_layers):
    """The gradient of the error on E of layer l is zero beyond L - l hops, and not within."""
    n, labelled = 11, 5
    net = network(n, n_layers=n_layers)
    A, X = Propagation(path(n).normalized()), features(n)
    F.cross_entropy(net(X, A)[-1][[labelled]], torch.tensor([1])).backward()
    for layer, E in net.E.items():
        reached = (E.grad != 0).any(1).nonzero().squeeze(1).tolist()
        hops = n_layers - int(layer)
        assert reached == [i for i in range(n) if abs(i - labelled) <= hops]


def test_a_larger_penalty_makes_smaller_embeddings():
    graph, X = random_graph(20, 0.2), features(20)
    y = torch.from_numpy(np.random.default_rng(1).integers(0, 2, 20))
    norms = []
    for penalty in (0, 1e-3, 1e-2, 1e-1, 1.0):
        net = network(20)
        for E in net.E.values():
            torch.nn.init.zeros_(E)
        train(net, graph, X, y, range(10), penalty=penalty, epochs=60)
        norms.append(net.structural_penalty().item())
    assert all(a > b for a, b in zip(norms[:-1], norms[1:], strict=True)), norms
    assert norms[-1] < 0.01 * norms[0]


def test_weight_decay_does_not_touch_the_embeddings():
    graph, X, y = path(12), features(12), torch.arange(12) % 2
    far = []
    for weight_decay in (0.0, 0.5):
        net = network(12, n_layers=1)
        before = net.E["0"][6:].clone()
        train(net, graph, X, y, [0], penalty=0.0, weight_decay=weight_decay, epochs=5)
        far.append(torch.equal(net.E["0"][6:], before))
    assert far == [True, True]


def test_it_starts_at_zero():
    net = StructuralGCN(4, 3, 5, 2, 3, 0.0, "all")
    assert [tuple(E.shape) for E in net.E.values()] == [(4, 5), (4, 5), (4, 2)]
    assert net.structural_penalty().item() == 0


# --- order of nodes (spec 9.4) -------------------------------------------------------------------


def test_nodes_in_another_order_give_the_same_answers_in_that_order():
    n = 30
    graph, X = random_graph(n, 0.15), features(n)
    y = torch.arange(n) % 2
    order = torch.from_numpy(np.random.default_rng(3).permutation(n))
    place = torch.argsort(order)
    moved = graph.subgraph(order.numpy())
    rows = torch.arange(12)
    answers = []
    for g, x, labels, labelled in [
        (graph, X, y, rows),
        (moved, X.rows(order), y[order], place[rows]),
    ]:
        net = network(n)
        for E in net.E.values():
            torch.nn.init.zeros_(E)
        train(net, g, x, labels, labelled, epochs=25)
        answers.append(net(x, Propagation(g.normalized()))[-1].detach())
    torch.testing.assert_close(answers[0][order], answers[1], atol=2e-4, rtol=1e-3)
    assert not torch.allclose(answers[0], answers[1], atol=1e-2)


def test_the_bank_is_every_layer_side_by_side_or_the_last():
    outputs = list(torch.randn(3, 4, 5).unbind(0))
    assert torch.equal(embedding_bank(outputs, "output"), outputs[-1])
    assert torch.equal(embedding_bank(outputs, "layers"), torch.cat(outputs, 1))
