from math import ceil

import numpy as np
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data.degrees import degree_splits, homophily
from makedo.data.graph import Graph


@pytest.fixture(scope="module")
def graph():
    pairs = np.random.default_rng(0).integers(0, 300, (2, 900)) ** 2 // 300  # uneven degrees
    return Graph.from_edges(np.sort(pairs, axis=0), n_nodes=301)


def test_groups_have_the_sizes_asked_for_and_share_no_node(graph):
    splits = degree_splits(graph, isolated=0.1, tail=0.2, head=0.05)
    sizes = [len(group) for group in (splits.isolated, splits.tail, splits.head)]
    assert sizes == [ceil(0.1 * 301), ceil(0.2 * 301), ceil(0.05 * 301)]
    nodes = np.concatenate([splits.isolated, splits.tail, splits.head, splits.collateral])
    assert len(np.unique(nodes)) == len(nodes)


def test_isolated_nodes_have_the_lowest_degrees_and_no_edge_left(graph):
    splits = degree_splits(graph)
    others = np.setdiff1d(np.arange(301), splits.isolated)
    assert graph.degree[splits.isolated].max() <= graph.degree[others].min()
    assert (splits.graph.degree[splits.isolated] == 0).all()
    kept = graph.subgraph(others).to_scipy().toarray()
    np.testing.assert_array_equal(splits.graph.subgraph(others).to_scipy().toarray(), kept)


def test_tail_is_lowest_in_what_remains_and_head_is_highest_in_what_was(graph):
    splits = degree_splits(graph)
    left = splits.graph.degree
    connected = np.flatnonzero(left > 0)
    rest = np.setdiff1d(connected, np.concatenate([splits.tail, splits.head]))
    assert left[splits.tail].min() > 0 and left[splits.tail].max() <= left[rest].min()
    assert graph.degree[splits.head].min() >= graph.degree[rest].max()


def test_nodes_that_the_removal_strands_are_a_group_of_their_own():
    star = Graph.from_edges([[0] * 9, list(range(1, 10))])
    splits = degree_splits(star, isolated=0.9, tail=0.0, head=0.1)
    assert splits.collateral.tolist() == [0] and len(splits.head) == 0
    assert len(splits.isolated) == 9 and splits.graph.n_edges == 0


def test_ties_are_broken_by_the_seed():
    ring = Graph.from_edges([list(range(50)), [*range(1, 50), 0]])
    one, two, other = (degree_splits(ring, random_state=s).isolated for s in (1, 1, 2))
    assert one.tolist() == two.tolist() != other.tolist()
    assert one.tolist() != [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shares", [(0.5, 0.4, 0.2), (-0.1, 0.1, 0.1), (1.5, 0.0, 0.0)])
def test_shares_outside_the_unit_interval_are_refused(graph, shares):
    with pytest.raises(MakedoInputError, match="shares in"):
        degree_splits(graph, *shares)


def test_homophily_is_the_mean_over_nodes_of_like_neighbours():
    graph = Graph.from_edges([[0, 1, 2, 0], [1, 2, 3, 2]], n_nodes=5)  # triangle, tail, loner
    y = ["a", "a", "b", "b", "a"]
    assert homophily(graph, y) == pytest.approx((1 / 2 + 1 / 2 + 1 / 3 + 1) / 4)


@pytest.mark.parametrize(
    "unlabelled", [["a", "a", None, "b"], [1.0, 1.0, np.nan, 2.0], [1, 1, -1, 2]]
)
def test_homophily_leaves_out_nodes_without_a_label(unlabelled):
    graph = Graph.from_edges([[0, 1, 2], [1, 2, 3]])
    assert homophily(graph, unlabelled) == 1.0  # only 0 and 1 have a labelled neighbour


def test_homophily_without_edges_is_nan():
    assert np.isnan(homophily(Graph.from_edges(np.empty((2, 0), int), n_nodes=3), [0, 1, 0]))
