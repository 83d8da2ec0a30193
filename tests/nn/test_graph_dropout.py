"""Random parts of a graph against the dense formula of the graph that is left."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from makedo.data.graph import Graph
from makedo.nn.graph_dropout import drop_edges, drop_nodes, sample_layers
from makedo.nn.propagation import Propagation

N = 30


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "weighted"])
def graph(request):
    rng = np.random.default_rng(0)
    pairs = np.array([(i, j) for j in range(N - 1) for i in range(j) if rng.random() < 0.2]).T
    known = Graph.from_edges(pairs, n_nodes=N)  # the last node has no edge
    if not request.param:
        return known
    weight = np.triu(rng.uniform(0.5, 2.0, size=(N, N)))
    weight = (weight + weight.T)[np.repeat(np.arange(N), known.degree), known.indices]
    return Graph(known.indptr, known.indices, weight)


def seeded(seed=0):
    torch.manual_seed(seed)


@pytest.fixture(autouse=True)
def own_random_state():
    with torch.random.fork_rng():
        seeded()
        yield


def dense(propagation):
    return propagation(torch.eye(N, dtype=torch.float64)).numpy()


def normalized(A):
    A = A + np.eye(N)
    scale = 1 / np.sqrt(A.sum(1))
    return scale[:, None] * A * scale


@pytest.mark.parametrize("drop", [drop_edges, drop_nodes])
def test_what_is_left_is_normalised_anew(graph, drop):
    A = graph.to_scipy().toarray()
    for _ in range(5):
        left = dense(drop(Propagation(graph.normalized()), 0.4))
        kept = (left != 0) & ~np.eye(N, dtype=bool)
        assert (kept == kept.T).all() and 0 < kept.sum() < (A > 0).sum()
        np.testing.assert_allclose(left, normalized(A * kept), atol=1e-6)


@pytest.mark.parametrize("drop", [drop_edges, drop_nodes])
def test_dropping_nothing_is_the_graph_itself(graph, drop):
    whole = Propagation(graph.normalized())
    np.testing.assert_allclose(dense(drop(whole, 0.0)), dense(whole), rtol=1e-6)


def test_a_dropped_node_stands_alone_and_the_others_keep_their_edges(graph):
    A = graph.to_scipy().toarray() > 0
    left = dense(drop_nodes(Propagation(graph.normalized()), 0.3))
    kept = (left != 0) & ~np.eye(N, dtype=bool)
    lonely = A.any(1) & ~kept.any(1)
    assert lonely.any() and np.allclose(np.diag(left)[lonely], 1)
    rest = ~lonely
    assert (kept[np.ix_(rest, rest)] == A[np.ix_(rest, rest)]).all()


def test_the_share_that_is_dropped_is_the_one_asked_for(graph):
    whole, n_draws = Propagation(graph.normalized()), 300
    row, column, _ = whole.places
    edge = row < column
    for drop, share in ((drop_edges, 0.25), (drop_nodes, 1 - 0.75**2)):  # an edge has two ends
        gone = [
            float((drop(whole, 0.25).values[edge] == 0).double().mean()) for _ in range(n_draws)
        ]
        assert abs(np.mean(gone) - share) < 4 * np.std(gone) / np.sqrt(n_draws)


def test_the_mean_over_drops_lies_between_the_thinned_and_the_whole_graph(graph):
    whole = Propagation(graph.normalized())
    A = dense(whole)
    drawn = np.array([dense(drop_edges(whole, 0.3)) for _ in range(400)])
    mean, error = drawn.mean(0), drawn.std(0) / np.sqrt(len(drawn)) + 1e-6
    linked = (A > 0) & ~np.eye(N, dtype=bool)
    # what is left of a node's edges weighs more than before, but not as much as all of them did
    assert (mean > 0.7 * A - 5 * error)[linked].all() and (mean < A + 5 * error)[linked].all()
    assert (np.diag(mean) >= np.diag(A) - 1e-6).all()
    isolated = N - 1
    assert np.allclose(drawn[:, isolated, isolated], 1)


def test_sampled_layers_send_from_fewer_nodes_and_their_rows_sum_to_what_they_did(graph):
    whole = Propagation(graph.normalized())
    A = dense(whole)
    for layer in sample_layers(whole, 0.5, 4):
        left = dense(layer)
        senders = left.any(0)
        assert senders.sum() < N
        heard = A[:, senders].any(1)
        np.testing.assert_allclose(left.sum(1)[heard], A.sum(1)[heard], rtol=1e-5)
        assert not left[~heard].any()


def test_a_layer_draws_only_nodes_that_the_layer_above_hears(graph):
    A = dense(Propagation(graph.normalized()))
    for _ in range(20):
        below, above = sample_layers(Propagation(graph.normalized()), 0.8, 2)
        senders, heard = dense(below).any(0), dense(above).any(0)
        assert A[heard].any(0)[senders].all()


def test_sampling_is_without_bias_before_the_rows_are_scaled(graph):
    """In the last layer, whose chances are known: the mean of the weights is one."""
    whole = Propagation(graph.normalized())
    weights = torch.stack([sample_layers(whole, 0.5, 1)[0].weight for _ in range(4000)]).squeeze(2)
    chance = N * 0.5 * (dense(whole) ** 2).sum(0) / (dense(whole) ** 2).sum()
    chance = np.minimum(chance, 1)
    error = np.sqrt((1 - chance) / chance / len(weights))
    assert (np.abs(weights.mean(0).numpy() - 1) < 5 * error + 1e-5).all()
    np.testing.assert_allclose((weights > 0).double().mean(0), chance, atol=0.05)


def test_gradients_are_those_of_the_same_part_of_the_graph(graph):
    for part in (
        drop_edges(Propagation(graph.normalized()), 0.5),
        sample_layers(Propagation(graph.normalized()), 0.5, 1)[0],
    ):
        z = torch.randn(N, 2, dtype=torch.float64, requires_grad=True)
        part(z).square().sum().backward()
        A = dense(part)
        np.testing.assert_allclose(z.grad, 2 * A.T @ A @ z.detach().numpy(), atol=1e-6)
