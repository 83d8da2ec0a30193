"""Graphs of domains: every way to make one gives the same one, and bad ones are refused."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.domains import DomainGraph, as_domain_graph

PAIRS = [("a", "b"), ("b", "c"), ("b", "d")]
NAMES = ["a", "b", "c", "d"]
MATRIX = np.array([[0, 1, 0, 0], [1, 0, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]])


def same(graph, other):
    return list(graph.names) == list(other.names) and (graph.adjacency == other.adjacency).all()


def refused(call, match):
    with pytest.raises(MakedoInputError, match=match):
        call()


def gal(tmp_path, text):
    file = tmp_path / "map.gal"
    file.write_text(text)
    return file


def test_every_form_of_the_same_graph_gives_the_same_graph(tmp_path):
    table = pd.DataFrame(PAIRS, columns=["source", "target"])
    reference = DomainGraph.from_edges(PAIRS, names=NAMES)
    made = [
        DomainGraph.from_edges(table, names=NAMES),
        DomainGraph.from_edges([pair[::-1] for pair in PAIRS] + PAIRS, names=NAMES),
        DomainGraph.from_adjacency(MATRIX, names=NAMES),
        DomainGraph.from_adjacency(sp.csr_matrix(np.triu(MATRIX)), names=NAMES),
        DomainGraph.from_adjacency(pd.DataFrame(MATRIX, NAMES, NAMES)),
        DomainGraph.from_networkx(nx.from_edgelist(PAIRS)),
        DomainGraph.from_gal(gal(tmp_path, "4\na 1\nb\nb 3\na c d\nc 1\nb\nd 1\nb\n")),
        DomainGraph.from_state(reference.to_state()),
        as_domain_graph(PAIRS),
        as_domain_graph(table),
        as_domain_graph(pd.DataFrame(MATRIX, NAMES, NAMES)),
        as_domain_graph(nx.from_edgelist(PAIRS)),
    ]
    assert all(same(graph, reference) for graph in made)
    assert reference.n_edges == 3 and reference.degree.tolist() == [1, 3, 1, 1]


def test_chain_complete_and_nearest_neighbours_link_whom_they_should():
    chain = DomainGraph.from_chain([1990, 1991, 1992])
    assert chain.edges().tolist() == [[0, 1], [1, 2]] and chain.diameter == 2
    assert DomainGraph.complete("abcd").n_edges == 6
    knn = DomainGraph.from_knn([[0.0, 0], [1, 0], [3, 0], [9, 0]], k=1)
    assert knn.edges().tolist() == [[0, 1], [1, 2], [2, 3]]
    named = DomainGraph.from_knn(pd.DataFrame({"x": [0, 1, 5]}, index=["p", "q", "r"]), k=1)
    assert named.neighbors("q") == ["p", "r"]


def test_hops_count_the_edges_to_the_nearest_source():
    graph = DomainGraph.from_edges([*PAIRS, ("x", "y")])
    assert graph.hops(["a"]).tolist() == [0, 1, 2, 2, -1, -1]
    assert graph.hops(["c", "x"]).tolist() == [2, 1, 0, 2, 0, 1]
    assert graph.components.tolist() == [0, 0, 0, 0, 1, 1]


def test_distances_equal_powers_of_the_adjacency():
    rng = np.random.default_rng(0)
    matrix = np.triu(rng.random((9, 9)) < 0.25, 1)
    graph = DomainGraph.from_adjacency(matrix)
    walk, hops = np.eye(9, dtype=bool), np.where(np.eye(9), 0, -1)
    for step in range(1, 9):
        walk = (walk.astype(int) @ (graph.adjacency + np.eye(9, dtype=int))) > 0
        hops[walk & (hops < 0)] = step
    assert (graph.distances() == hops).all()


def test_a_permuted_graph_keeps_its_degrees_and_loses_its_edges():
    graph = DomainGraph.from_chain(range(30))
    other = graph.permuted(np.random.default_rng(0))
    assert sorted(other.degree) == sorted(graph.degree)
    assert (other.adjacency & graph.adjacency).sum() < 12


def test_whole_numbers_match_whatever_their_type():
    graph = DomainGraph.from_chain(range(3))
    for given in ([0, 2], np.array([0.0, 2.0], np.float32), pd.Series([0, 2], dtype="Int64")):
        assert graph.positions(given).tolist() == [0, 2]


def test_unknown_and_missing_domains_are_named():
    graph = DomainGraph.from_edges(PAIRS)
    refused(lambda: graph.positions(["a", "q", "q", "r"]), "2 domains not in the graph.*'q', 'r'")
    refused(lambda: graph.positions(["a", None]), "1 row without a domain")
    numbers = DomainGraph.from_chain([1, 2])
    refused(lambda: numbers.positions(["1"]), "another type")
    refused(lambda: DomainGraph.from_edges(PAIRS, names=["a", "b"]), "2 domains not among names")


def test_a_self_loop_is_left_out_and_told():
    with pytest.warns(MakedoWarning, match="own neighbour.*'a'"):
        graph = DomainGraph.from_edges([*PAIRS, ("a", "a")])
    assert graph.n_edges == 3
    with pytest.warns(MakedoWarning, match="own neighbour"):
        DomainGraph.from_adjacency(MATRIX + np.eye(4))


def test_graphs_that_say_nothing_or_are_none_are_refused(tmp_path):
    refused(lambda: as_domain_graph(np.zeros((3, 3))), "has no edges")
    refused(lambda: as_domain_graph(None), "no graph of domains is given")
    refused(lambda: as_domain_graph(3), "int is no graph")
    refused(lambda: DomainGraph.from_edges([]), "there is no edge")
    refused(lambda: DomainGraph.from_edges(["ab", "cd"]), "2 of 2 edges are not pairs")
    refused(lambda: DomainGraph.from_edges([("a", None)]), "lacks a name")
    refused(lambda: DomainGraph.from_adjacency(np.zeros((2, 3))), "square")
    refused(lambda: DomainGraph.from_adjacency(np.full((2, 2), np.nan)), "NaN")
    refused(lambda: DomainGraph.from_adjacency(pd.DataFrame(MATRIX, NAMES)), "same names")
    refused(lambda: DomainGraph.from_adjacency(MATRIX, names=list("aabc")), "more than once")
    refused(lambda: DomainGraph.from_knn([[0.0], [1.0]], k=2), "below the number of domains")
    refused(lambda: DomainGraph(list("ab"), np.ones((2, 2))), "symmetric")
    refused(lambda: DomainGraph.from_gal(gal(tmp_path, "2\na 2\nb\n")), "should have 2 neighbours")
    refused(lambda: DomainGraph.from_gal(gal(tmp_path, "2\na b c\n")), "number of its neighbours")
    refused(lambda: DomainGraph.from_gal(tmp_path / "none.gal"), "cannot be read")


def test_domains_without_an_edge_stay_in_the_graph(tmp_path):
    graph = nx.from_edgelist(PAIRS)
    graph.add_node("z")
    assert DomainGraph.from_networkx(graph).degree.tolist() == [1, 3, 1, 1, 0]
    alone = DomainGraph.from_gal(gal(tmp_path, "3\na 1\nb\nb 1\na\nz 0\n"))
    assert alone.names.tolist() == ["a", "b", "z"] and alone.n_edges == 1
