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
SKIPS = ["residual", "initial", "dense", "jumping", None]
NORMS = ["batch", "pair", "node", "mean", "group", None]
GRAPH_DROPOUTS = ["edge", "node", "layer", None]


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


def network(
    n_nodes,
    n_features=3,
    *,
    hidden=5,
    n_layers=2,
    structural="all",
    dropout=0.0,
    seed=0,
    **options,
):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = StructuralGCN(
            n_nodes, n_features, hidden, 2, n_layers, dropout, structural, **options
        )
        for E in net.E.values():
            torch.nn.init.normal_(E)
        for layer in [*net.layers, net.input, net.output]:
            if layer is not None:
                torch.nn.init.normal_(layer.bias)
    return net


def features(n, width=3, dtype=torch.float32, seed=0):
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, width))).to(dtype)
    return Features(values)


def train(net, graph, X, y, rows, *, valid=(), penalty=1e-2, epochs=30, weight_decay=0.0):
    phase = teacher_phase(
        net,
        X,
        Propagation(graph.normalized()),
        y,
        torch.as_tensor(rows),
        torch.as_tensor(valid, dtype=torch.int64),
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


@pytest.mark.parametrize("skip", SKIPS)
def test_a_node_outside_the_training_graph_has_no_structural_embedding(skip):
    graph, X = random_graph(9, 0.4), features(9)
    net = network(7, skip=skip).eval()  # two further nodes came later
    grown = network(9, skip=skip).eval()
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
@pytest.mark.parametrize(
    "options",
    [{}, {"skip": "dense", "norm": "pair"}, {"skip": "initial", "graph_dropout": "edge"}],
    ids=str,
)
def test_frozen_at_zero_it_trains_exactly_like_an_ordinary_gcn(dropout, options):
    graph, X = random_graph(14, 0.3), features(14)
    y = torch.arange(14) % 2
    frozen, plain = (network(14, structural=s, dropout=dropout, **options) for s in ("all", None))
    frozen.load_state_dict(
        plain.state_dict()
        | {name: t * 0 for name, t in frozen.state_dict().items() if name[0] == "E"}
    )
    for E in frozen.E.values():
        E.requires_grad_(False)
    losses = [train(net, graph, X, y, range(8), weight_decay=5e-4) for net in (frozen, plain)]
    assert losses[0] == losses[1] and min(losses[0]) < losses[0][0]
    A = Propagation(graph.normalized())
    assert torch.equal(frozen(X, A)[-1], plain(X, A)[-1])


@pytest.mark.parametrize("options", [{}, {"skip": "dense", "norm": "group"}], ids=str)
def test_gradients_of_all_that_is_learnt_are_those_of_finite_differences(options):
    graph, y = random_graph(6, 0.5), torch.tensor([0, 1, 1])
    X, net = features(6, dtype=torch.float64), network(6, n_layers=3, **options).double()
    A = Propagation(graph.normalized())
    names = [name for name, _ in net.named_parameters()]
    assert {name.split(".")[-1] for name in names} >= {"weight", "bias", "0", "1", "2"}

    def loss(*values):
        logits = functional_call(net, dict(zip(names, values, strict=True)), (X, A))[-1]
        return F.cross_entropy(logits[:3], y) + 0.1 * sum(v.square().sum() for v in values)

    values = [p.detach().clone().requires_grad_() for p in net.parameters()]
    assert torch.autograd.gradcheck(loss, values, atol=1e-6, fast_mode=bool(options))


@pytest.mark.parametrize("structural", ["first", "last", "all"])
@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_a_row_moves_only_if_a_labelled_node_is_within_reach(n_layers, skip, structural):
    """The gradient of the error on E of layer l is zero beyond L - l hops, and not within.

    Whatever the skip: it hands on what other layers made, and never a neighbour.
    """
    n, labelled = 11, 5
    net = network(n, hidden=16, n_layers=n_layers, skip=skip, structural=structural)
    A, X = Propagation(path(n).normalized()), features(n)
    F.cross_entropy(net(X, A)[-1][[labelled]], torch.tensor([1])).backward()
    every = [str(k) for k in range(n_layers)]
    assert list(net.E) == {"first": every[:1], "last": every[-1:], "all": every}[structural]
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
    skipping = StructuralGCN(4, 3, 5, 2, 3, 0.0, "all", skip="initial")
    assert [tuple(E.shape) for E in skipping.E.values()] == [(4, 5)] * 3


# --- skips, norms, random parts of the graph -----------------------------------------------------


def numbers(tensor):
    return tensor.detach().double().numpy()


def linear(x, layer):
    return x @ numbers(layer.weight) + numbers(layer.bias)


@pytest.mark.parametrize("norm", ["pair", None])
@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("skip", ["residual", "initial", "dense", "jumping"])
def test_a_model_with_skips_is_the_dense_formula(skip, n_layers, norm):
    graph, X = random_graph(12, 0.3), features(12)
    net = network(12, n_layers=n_layers, skip=skip, norm=norm, skip_weight=0.3)
    outputs = net(X, Propagation(graph.normalized()))
    A, states = dense_normalized(graph), [np.maximum(linear(numbers(X.values), net.input), 0)]
    for k, layer in enumerate(net.layers):
        out = A @ (states[-1] @ numbers(layer.weight) + numbers(net.E[str(k)]))
        out = out + numbers(layer.bias)
        if norm == "pair":
            out = out - out.mean(0)
            out = out / np.sqrt(1e-6 + (out**2).sum(1).mean())
        if k < n_layers - 1:
            np.testing.assert_allclose(outputs[k].detach(), out, atol=1e-5)
        h, mixed = np.maximum(out, 0), [*states, np.maximum(out, 0)]
        if skip == "residual":
            h = 0.7 * h + 0.3 * states[-1]
        elif skip == "initial":
            h = 0.7 * h + 0.3 * states[0]
        elif skip == "dense" or k == n_layers - 1:
            h = linear(np.concatenate(mixed, axis=1), net.skips[k])
        states.append(h)
    assert len(outputs) == n_layers
    np.testing.assert_allclose(outputs[-1].detach(), linear(states[-1], net.output), atol=1e-5)


@pytest.mark.parametrize("skip", ["residual", "initial"])
def test_a_skip_of_weight_zero_is_the_plain_stack_between_two_linear_layers(skip):
    graph, X = random_graph(12, 0.3), features(12)
    A = Propagation(graph.normalized())
    net = network(12, n_layers=3, skip=skip, skip_weight=0.0)
    stack = StructuralGCN(12, 5, 5, 5, 3, 0.0, "all")
    stack.load_state_dict(
        {k: v for k, v in net.state_dict().items() if k.split(".")[0] in ("layers", "E")}
    )
    x = Features(net.input(X).relu())
    last = stack(x, A)[-1].relu()
    torch.testing.assert_close(net(X, A)[-1], net.output(Features(last)), rtol=0, atol=0)


def test_an_initial_skip_of_weight_one_does_not_see_the_graph():
    X, net = features(12), network(12, n_layers=3, skip="initial", skip_weight=1.0)
    wanted = net.output(Features(net.input(X).relu()))
    for graph in (random_graph(12, 0.3), path(12)):
        assert torch.equal(net(X, Propagation(graph.normalized()))[-1], wanted)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("norm", ["pair", "mean"])
def test_the_norm_acts_on_hidden_layers_whatever_the_skip_and_on_no_scores(norm, skip):
    graph, X = random_graph(12, 0.3), features(12)
    net = network(12, n_layers=4, skip=skip, norm=norm)
    *hidden, scores = net(X, Propagation(graph.normalized()))
    for output in hidden:
        assert output.mean(0).abs().max() < 1e-5
        assert norm == "mean" or abs(output.square().sum(1).mean() - 1) < 1e-3
    assert scores.mean(0).abs().max() > 0.01
    assert abs(scores.square().sum(1).mean() - 1) > 0.01


@pytest.mark.parametrize("skip", SKIPS)
def test_without_rate_nothing_is_dropped_and_scores_never_are(skip):
    """Dropout stands before layers: zeros of the scores would come from nothing else."""
    graph, X = random_graph(12, 0.3), features(12)
    A, net = Propagation(graph.normalized()), network(12, skip=skip, n_layers=3)
    torch.testing.assert_close(net.train()(X, A)[-1], net.eval()(X, A)[-1])
    noisy = network(12, skip=skip, n_layers=3, dropout=0.5).train()
    assert (noisy(X, A)[-1] != 0).all()


@pytest.mark.parametrize("valid", [(), range(10, 20)], ids=["without", "with"])
@pytest.mark.parametrize("norm", ["batch", "pair", "mean", "group"])
def test_after_training_the_statistics_are_those_of_the_training_graph(norm, valid):
    """Of the state that is kept, and without dropout: as if the whole graph were normed anew."""
    graph, X, y = random_graph(20, 0.2), features(20), torch.arange(20) % 2
    A, net = Propagation(graph.normalized()), network(20, n_layers=3, norm=norm, dropout=0.5)
    train(net, graph, X, y, range(10), valid=valid, epochs=7)
    assert not net.training
    served = net(X, A)[-1]
    net.dropout = 0.0
    torch.testing.assert_close(net.train()(X, A)[-1], served, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("norm", NORMS)
def test_all_weights_are_learnt(skip, norm):
    """None of them is missing in the optimizer, or has no part in the answer."""
    graph, X, y = random_graph(20, 0.2), features(20), torch.arange(20) % 2
    net = network(20, n_layers=3, skip=skip, norm=norm, structural="first")
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    train(net, graph, X, y, range(20), epochs=2)
    still = [name for name, weight in net.named_parameters() if torch.equal(weight, before[name])]
    assert still == []


@pytest.mark.parametrize("graph_dropout", ["edge", "node", "layer"])
def test_a_part_of_the_graph_is_left_out_in_training_and_never_after(graph_dropout):
    graph, X = random_graph(20, 0.3), features(20)
    A = Propagation(graph.normalized())
    plain = network(20).eval()
    net = network(20, graph_dropout=graph_dropout)
    for _ in range(3):
        assert torch.equal(net.eval()(X, A)[-1], plain(X, A)[-1])
        assert not torch.allclose(net.train()(X, A)[-1], plain(X, A)[-1], atol=1e-3)


@pytest.mark.parametrize("skip", SKIPS)
def test_the_bank_is_as_wide_as_the_network_says(skip):
    X, A = features(9), Propagation(path(9).normalized())
    net = network(9, n_layers=3, skip=skip)
    for bank in ("layers", "output"):
        assert embedding_bank(net(X, A), bank).shape[1] == net.bank_width(bank)
    assert [output.shape[1] for output in net(X, A)] == [5, 5, 2]


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
