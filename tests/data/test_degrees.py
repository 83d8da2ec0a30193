import os
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data import catalog
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


def repeated_median(degree, steps, lower):
    """By hand: sort, take the middle, drop what lies on the other side, again."""
    kept = sorted(degree.tolist())
    for _ in range(steps):
        middle = (kept[(len(kept) - 1) // 2] + kept[len(kept) // 2]) / 2
        kept = [d for d in kept if (d <= middle if lower else d >= middle)]
    return kept[-1] if lower else kept[0]


@pytest.mark.parametrize("seed", range(5))
def test_the_official_rule_follows_the_repeated_medians(seed):
    pairs = np.random.default_rng(seed).integers(0, 200, (2, 700)) ** 2 // 200
    graph = Graph.from_edges(np.sort(pairs, axis=0), n_nodes=203)
    splits = degree_splits(graph, method="official", random_state=seed)
    low = np.flatnonzero(graph.degree <= repeated_median(graph.degree, 4, lower=True))
    high = np.flatnonzero(graph.degree >= repeated_median(graph.degree, 5, lower=False))
    np.testing.assert_array_equal(np.union1d(splits.isolated, splits.tail), low)
    assert len(splits.isolated) == len(low) // 2 and len(splits.tail) == (len(low) + 1) // 2
    assert graph.degree[splits.isolated].max() <= graph.degree[splits.tail].min()
    np.testing.assert_array_equal(splits.head, high)


@pytest.mark.parametrize("method", ["paper", "official"])
def test_groups_are_disjoint_and_every_node_that_is_left_without_an_edge_is_in_one(graph, method):
    splits = degree_splits(graph, method=method)
    named = (splits.isolated, splits.tail, splits.head, splits.collateral)
    nodes = np.concatenate(named)
    assert len(np.unique(nodes)) == len(nodes)
    assert (splits.graph.degree[splits.isolated] == 0).all()
    assert (splits.graph.degree[splits.collateral] == 0).all()
    assert np.isin(np.flatnonzero(splits.graph.degree == 0), nodes).all()


@pytest.mark.parametrize("method", ["paper", "official"])
def test_where_all_degrees_are_equal_the_seed_alone_decides(method):
    ring = Graph.from_edges([list(range(50)), [*range(1, 50), 0]])
    one, two, other = (degree_splits(ring, method=method, random_state=s) for s in (1, 1, 2))
    assert one.isolated.tolist() == two.isolated.tolist() != other.isolated.tolist()
    assert one.isolated.tolist() != list(range(len(one.isolated)))
    assert not set(one.head) & set(one.tail)


OFFICIAL = {  # isolated, tail, head, as the released code of the paper has them
    "cora": (534, 534, 286),
    "citeseer": (689, 690, 339),
    "actor": (814, 814, 286),
    "chameleon": (148, 149, 76),
    "squirrel": (258, 259, 168),
}


def real_graph(name):
    if not (Path(os.environ.get("MAKEDO_DATA", "nowhere")) / name).is_dir():
        pytest.skip(f"{name} is not in $MAKEDO_DATA")
    return catalog.load(name).graph


@pytest.mark.realdata
@pytest.mark.parametrize("name", OFFICIAL)
def test_the_official_rule_gives_the_sizes_of_the_released_code(name):
    splits = degree_splits(real_graph(name), method="official")
    assert (len(splits.isolated), len(splits.tail), len(splits.head)) == OFFICIAL[name]


@pytest.mark.realdata
@pytest.mark.parametrize("name", OFFICIAL)
def test_the_rule_of_the_paper_gives_a_tenth_each(name):
    graph = real_graph(name)
    splits = degree_splits(graph)
    sizes = {len(group) for group in (splits.isolated, splits.tail, splits.head)}
    assert sizes == {ceil(0.1 * graph.n_nodes)}


@pytest.mark.realdata
def test_the_official_rule_removes_about_as_many_edges_of_cora_as_the_released_code():
    graph = real_graph("cora")
    removed = []
    for seed in range(20):
        splits = degree_splits(graph, method="official", random_state=seed)
        ends = graph.degree[splits.isolated].sum()
        inside = graph.subgraph(splits.isolated).n_edges
        removed.append(2 * (graph.n_edges - splits.graph.n_edges))
        assert removed[-1] == 2 * (ends - inside)
    assert 1032 <= np.mean(removed) <= 1042  # the released code: 1042, by its order of ties


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "median"}, "one of 'paper', 'official'. Got 'median'"),
        ({"method": "official", "head": 0.2}, "the official rule takes no shares"),
    ],
)
def test_a_rule_that_is_not_there_and_shares_that_it_does_not_take_are_refused(
    graph, settings, words
):
    with pytest.raises(MakedoInputError, match=words):
        degree_splits(graph, **settings)


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
