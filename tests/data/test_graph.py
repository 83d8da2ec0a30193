import pickle
import warnings

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import KFold, cross_val_score

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.core.persistence import pack, unpack
from makedo.data.graph import Graph, as_graph, extend

IDS = pd.Index(["a", "b", "c", "d"])
PATH = [[0, 1, 2], [1, 2, 3]]  # 0 - 1 - 2 - 3


def table(source, target, **columns):
    return pd.DataFrame({"source": source, "target": target, **columns})


def named_path():
    return Graph.from_edges(table(list("abc"), list("bcd")), node_id=IDS)


def same(one, two):
    assert one.n_nodes == two.n_nodes
    np.testing.assert_array_equal(one.to_scipy().toarray(), two.to_scipy().toarray())


def dense(pairs, n):
    matrix = np.zeros((n, n))
    for a, b in pairs:
        if a != b:
            matrix[a, b] = matrix[b, a] = 1
    return matrix


pair_lists = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=30)


# --- from_edges ----------------------------------------------------------------------------------


@given(pairs=pair_lists)
@settings(max_examples=60, deadline=None)
def test_a_graph_is_symmetric_without_loops_or_repetitions(pairs):
    edges = np.array(pairs, dtype=int).reshape(-1, 2).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)
        graph = Graph.from_edges(edges, n_nodes=8)
    expected = dense(pairs, 8)
    np.testing.assert_array_equal(graph.to_scipy().toarray(), expected)
    np.testing.assert_array_equal(graph.degree, expected.sum(axis=1))
    assert graph.n_edges == expected.sum() / 2
    assert sorted(map(tuple, graph.edges())) == sorted(zip(*np.triu(expected).nonzero()))  # noqa: B905


@pytest.mark.parametrize(
    "make",
    [np.array, torch.tensor, lambda edges: np.array(edges, dtype=np.uint8), lambda edges: edges],
)
def test_arrays_tensors_and_lists_give_the_same_graph(make):
    graph = Graph.from_edges(make(PATH))
    np.testing.assert_array_equal(graph.to_scipy().toarray(), dense(zip(*PATH, strict=True), 4))
    assert graph.node_id is None and graph.weight is None


def test_a_table_without_nodes_names_them_itself():
    graph = Graph.from_edges(pd.DataFrame({"from": ["x", "z"], "to": ["y", "x"]}))
    assert graph.n_nodes == 3 and set(graph.node_id) == set("xyz")
    same(graph.align(["z", "x", "y"]), Graph.from_edges([[0, 1], [1, 2]]))


def test_polars_and_arrow_tables_are_read_like_pandas_ones():
    frame = table(list("abc"), list("bcd"), weight=[1.0, 2.0, 3.0])
    expected = [[0, 1, 0, 0], [1, 0, 2, 0], [0, 2, 0, 3], [0, 0, 3, 0]]
    polars = pl.from_pandas(frame)
    for edges in (frame, polars, polars.to_arrow()):
        graph = Graph.from_edges(edges, node_id=IDS)
        np.testing.assert_array_equal(graph.to_scipy().toarray(), expected)
        assert list(graph.node_id) == list(IDS)


def test_weights_of_repetitions_are_added_and_the_larger_direction_counts():
    edges = table([0, 0, 1, 1, 2], [1, 1, 0, 2, 1], weight=[1.0, 2.0, 5.0, 4.0, 4.0])
    graph = Graph.from_edges(edges, n_nodes=3)
    np.testing.assert_array_equal(graph.to_scipy().toarray(), [[0, 5, 0], [5, 0, 4], [0, 4, 0]])


def test_edges_of_weight_zero_are_no_edges_and_weights_of_one_are_no_weights():
    graph = Graph.from_edges(table([0, 1], [1, 2], weight=[0.0, 1.0]), n_nodes=3)
    assert graph.degree.tolist() == [0, 1, 1] and graph.weight is None


def test_edges_listed_once_or_twice_are_silent_and_a_mixture_is_a_directed_graph():
    both = np.hstack([PATH, np.flip(PATH, axis=0)])
    same(Graph.from_edges(both), Graph.from_edges(PATH))
    with pytest.warns(MakedoWarning, match="2 of 3 edges lead one way only"):
        same(Graph.from_edges(both[:, :4]), Graph.from_edges(PATH))


@pytest.mark.parametrize(
    ("edges", "options", "message"),
    [
        (np.zeros((5, 2), int), {}, r"shape \(2, n_edges\). Got \(5, 2\). Did you mean edges.T"),
        ([[0.0, 1.5], [1.0, 2.0]], {}, "positions, that is integers. Got float64"),
        (PATH, {"n_nodes": 3}, r"1 of 3 edges name nodes that are not in range\(3\) \(first: 3\)"),
        ([[0, -1], [1, 2]], {}, r"not in range\(3\) \(first: -1\)"),
        (pd.DataFrame({"a": [1]}), {}, "two columns, source and target. Got 1 column"),
        (table(["a", None], ["b", "c"]), {}, "'source' has 1 missing value .first in row 1"),
        (table([0], [1], weight=[-1.0]), {}, "1 of 1 edge weight are negative, missing or inf"),
        (table([0], [1], weight=[np.nan]), {}, "negative, missing or infinite .first: nan"),
        (table([0], [1], weight=["heavy"]), {}, "edge weights must be numbers"),
        (PATH, {"node_id": list("abca")}, "node_id: 1 id more than once .first: 'a'"),
        (PATH, {"node_id": ["a", None, "c", "d"]}, "node_id: 1 id missing"),
        (PATH, {"unknown_nodes": "ignore"}, "unknown_nodes must be one of 'error', 'drop'"),
    ],
)
def test_bad_edges_are_refused_with_the_reason(edges, options, message):
    with pytest.raises(MakedoInputError, match=message):
        Graph.from_edges(edges, **options)


def test_unknown_ids_are_counted_named_and_dropped_on_request():
    edges = table(["a", "p17", "b", "c"], ["b", "a", "p98", "d"])
    with pytest.raises(MakedoInputError) as caught:
        Graph.from_edges(edges, node_id=IDS, where="edges.csv", nodes_where="nodes.parquet")
    assert str(caught.value) == (
        "edges.csv: 2 of 4 edges name nodes that are not in nodes.parquet (first: 'p17', 'p98'). "
        'Add them to the nodes, or drop such edges (unknown_nodes="drop").'
    )
    graph = Graph.from_edges(edges, node_id=IDS, unknown_nodes="drop")
    same(graph, Graph.from_edges([[0, 2], [1, 3]]))


def test_ids_read_as_numbers_on_one_side_only_are_explained():
    with pytest.raises(MakedoInputError, match="as another type: read both as text"):
        Graph.from_edges(table([1, 2], [2, 3]), node_id=["1", "2", "3"])


# --- parts and forms -----------------------------------------------------------------------------


def test_a_subgraph_is_the_block_of_the_matrix():
    graph = Graph.from_edges(np.sort(np.random.default_rng(0).integers(0, 20, (2, 60)), axis=0))
    keep = np.array([5, 3, 19, 0, 7, 8])
    block = graph.to_scipy().toarray()[np.ix_(keep, keep)]
    np.testing.assert_array_equal(graph.subgraph(keep).to_scipy().toarray(), block)
    mask = np.isin(np.arange(20), keep)
    same(graph.subgraph(mask), graph.subgraph(np.sort(keep)))


def test_removed_nodes_lose_their_edges_and_nobody_else_does():
    left = Graph.from_edges(PATH).without_edges_of([1])
    np.testing.assert_array_equal(left.edges(), [[2, 3]])
    assert left.n_nodes == 4


def test_align_follows_the_ids_drops_others_and_isolates_new_ones():
    aligned = named_path().align(["d", "new", "c", "a"])
    np.testing.assert_array_equal(aligned.edges(), [[0, 2]])
    assert list(aligned.node_id) == ["d", "new", "c", "a"]
    with pytest.raises(MakedoInputError, match="no node_id"):
        Graph.from_edges(PATH).align([0, 1])


def test_weights_follow_their_edges_through_every_part():
    edges = table([0, 1, 2], [1, 2, 3], weight=[1.0, 2.0, 3.0])
    graph = Graph.from_edges(edges, node_id=range(4))
    for part in (graph.subgraph([3, 2]), graph.align([3, 2]), graph.without_edges_of([0, 1])):
        assert part.weight.tolist() == [3.0, 3.0]


def test_normalised_adjacency_equals_the_formula_and_its_spectrum_lies_in_the_unit_interval():
    pairs = np.sort(np.random.default_rng(1).integers(0, 30, (2, 80)), axis=0)
    graph = Graph.from_edges(pairs, n_nodes=32)  # two isolated nodes at the end
    with_loops = graph.to_scipy().toarray() + np.eye(32)
    root = np.sqrt(with_loops.sum(axis=1))
    ours = graph.normalized()
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.toarray(), with_loops / np.outer(root, root), rtol=1e-6)
    values = np.linalg.eigvalsh(ours.toarray().astype(float))
    assert values.min() >= -1 - 1e-6 and values.max() <= 1 + 1e-6
    np.testing.assert_allclose(ours @ root, root, rtol=1e-5)


def test_the_state_survives_packing_and_a_damaged_one_is_refused():
    edges = table([0, 1], [1, 2], weight=[0.5, 2.0])
    for graph in (named_path(), Graph.from_edges(PATH), Graph.from_edges(edges)):
        arrays, columns = {}, {}
        back = Graph.from_state(unpack(pack(graph.to_state(), "g", arrays, columns), arrays, {
            name: pd.Series(values) for name, values in columns.items()}))  # fmt: skip
        same(graph, back)
        assert (graph.node_id is None) == (back.node_id is None)
    for change in (
        {"indices": np.array([9, 0, 2, 1, 3, 2])},
        {"indices": np.array([1, 0, 3, 1, 3, 2])},
        {"indptr": np.array([0, 1, 3, 5])},
        {"node_id": IDS[:2]},
        {"node_id": IDS[[0, 0, 1, 2]]},
        {"weight": np.ones(3, np.float32)},
    ):
        with pytest.raises(MakedoInputError, match="damaged"):
            Graph.from_state(named_path().to_state() | change)


def test_a_graph_can_be_pickled_in_memory_for_parallel_search():
    edges = table(list("abc"), list("bcd"), weight=[1.0, 2.0, 3.0])
    graph = Graph.from_edges(edges, node_id=IDS)
    again = pickle.loads(pickle.dumps(graph))
    same(again, graph)
    assert again.node_id.equals(IDS) and again.weight.tolist() == graph.weight.tolist()


# --- as_graph: one graph in many forms -----------------------------------------------------------


def forms_by_position():
    yield Graph.from_edges(PATH)
    yield np.array(PATH)
    yield torch.tensor(PATH)
    yield table(*PATH)
    yield Graph.from_edges(PATH).to_scipy()
    yield sp.coo_array(Graph.from_edges(PATH).to_scipy())
    yield nx.path_graph(4)


@pytest.mark.parametrize("form", list(forms_by_position()), ids=lambda form: type(form).__name__)
def test_every_form_gives_the_same_graph_by_position(form):
    graph = as_graph(form, n_rows=4, row_id=pd.RangeIndex(4))
    same(graph, Graph.from_edges(PATH))
    assert graph.node_id is None


@pytest.mark.parametrize(
    "form",
    [named_path(), table(list("abc"), list("bcd")), nx.Graph(["ab", "bc", "cd"])],
    ids=lambda form: type(form).__name__,
)
def test_every_form_with_ids_is_joined_by_id(form):
    order = pd.Index(list("dbac"))
    graph = as_graph(form, n_rows=4, row_id=order)
    same(graph, named_path().align(order))
    assert list(graph.node_id) == list(order)


def test_networkx_nodes_are_positions_by_name_not_by_order():
    graph = nx.Graph()
    graph.add_nodes_from([3, 1, 0, 2])
    graph.add_edges_from([(0, 1), (1, 2), (2, 3)])
    same(as_graph(graph, n_rows=4), Graph.from_edges(PATH))
    same(as_graph(graph, n_rows=2, row_id=pd.Index([3, 2])), Graph.from_edges([[0], [1]]))


def test_networkx_weights_and_directions_are_read():
    graph = nx.DiGraph()
    graph.add_edge(0, 1, weight=2.0)
    graph.add_edge(1, 2)
    with pytest.warns(MakedoWarning, match="2 of 2 edges lead one way only"):
        matrix = as_graph(graph, n_rows=3).to_scipy().toarray()
    np.testing.assert_array_equal(matrix, [[0, 2, 0], [2, 0, 1], [0, 1, 0]])


def test_pyg_data_is_read_with_its_isolated_nodes_weights_and_ids():
    pyg = pytest.importorskip("torch_geometric.data", reason="torch_geometric is not installed")
    both = torch.tensor([[0, 1], [1, 0]])
    same(as_graph(pyg.Data(edge_index=both, num_nodes=3), n_rows=3),
         Graph.from_edges([[0], [1]], n_nodes=3))  # fmt: skip
    weighted = pyg.Data(edge_index=both, edge_weight=torch.tensor([2.0, 2.0]), num_nodes=2)
    assert as_graph(weighted, n_rows=2).weight.tolist() == [2.0, 2.0]
    named = pyg.Data(edge_index=both, num_nodes=3, node_id=torch.tensor([10, 20, 30]))
    graph = as_graph(named, n_rows=2, row_id=pd.Index([20, 10]))
    np.testing.assert_array_equal(graph.edges(), [[0, 1]])
    with pytest.raises(MakedoInputError, match=r"not in range\(1\)"):
        as_graph(pyg.Data(edge_index=both, num_nodes=1), n_rows=1)
    with pytest.warns(MakedoWarning, match="one way only"):
        as_graph(pyg.Data(edge_index=both[:, :1], num_nodes=2), n_rows=2)


def test_a_one_sided_matrix_is_a_directed_graph():
    with pytest.warns(MakedoWarning, match="3 of 3 edges lead one way only"):
        same(as_graph(sp.triu(nx.to_scipy_sparse_array(nx.path_graph(4))), n_rows=4),
             Graph.from_edges(PATH))  # fmt: skip


def test_rows_that_are_not_nodes_are_isolated_and_nodes_that_are_not_rows_are_left_out():
    graph = as_graph(named_path(), n_rows=3, row_id=pd.Index(["c", "new", "d"]))
    np.testing.assert_array_equal(graph.edges(), [[0, 2]])


def test_a_graph_joined_by_position_remembers_the_ids_of_the_rows():
    graph = as_graph(np.array(PATH), n_rows=4, row_id=IDS)
    assert list(graph.node_id) == list(IDS)
    same(graph.align(["d", "c"]), Graph.from_edges([[0], [1]]))


@pytest.mark.parametrize(
    ("graph", "row_id", "message"),
    [
        (np.array(PATH), range(5), "4 nodes and X 5 rows; without node_id"),
        (np.array(PATH), range(3), "4 nodes and X 3 rows"),
        (table(*PATH), range(5), r"Graph.from_edges\(edges, n_nodes=...\)"),
        (table(*PATH), range(3), "as many rows as X .3."),
        (sp.eye(4).tocsr()[:3], range(3), "must be square. Got 3 x 4; scikit-learn's splitters"),
        (sp.csr_matrix([[0, -1], [-1, 0]]), range(2), "2 of 2 edge weights are negative"),
        (named_path(), range(4), "but the rows of X have no ids"),
        (named_path(), [7, 8, 9, 5], "of different types"),
        (named_path(), ["a", "a", "b", "c"], "the index of X: 1 id more than once"),
        (np.array(PATH), [1, 0, 3, 2], "0 to 3 in another order, as after a shuffle"),
        (table(["a"], ["x"]), list("abcd"), "not in the index of X .first: 'x'"),
        ([0, 1], range(2), "graph must be a makedo Graph, a table of edges"),
        (None, range(2), "Got NoneType"),
        (nx.Graph(["ab"]), range(2), "names its nodes"),
    ],
)
def test_graphs_that_do_not_fit_the_rows_are_refused(graph, row_id, message):
    row_id = pd.RangeIndex(len(row_id)) if isinstance(row_id, range) else pd.Index(row_id)
    with pytest.raises(MakedoInputError, match=message):
        as_graph(graph, n_rows=len(row_id), row_id=row_id)


# --- new nodes behind known ones -----------------------------------------------------------------


def test_new_nodes_go_behind_the_known_ones_with_their_edges():
    graph = as_graph(named_path(), n_rows=4, row_id=IDS)
    new = pd.Index(["x", "y"])
    expected = Graph.from_edges([[0, 1, 2, 0, 4], [1, 2, 3, 4, 5]])
    by_id = extend(graph, table(["a", "y"], ["x", "x"]), new_id=new, known_id=IDS)
    same(by_id, expected)
    same(extend(graph, [[0, 4], [4, 5]], new_id=new, known_id=IDS), expected)


def test_new_nodes_may_not_have_known_or_repeated_ids_nor_edges_to_strangers():
    graph, edges = named_path(), table(["a"], ["x"])
    for new, message in (
        (["x", "b"], "1 new node of 2 have ids of the training graph .first: 'b'"),
        (["x", "x"], "the new nodes: 1 id more than once"),
        (["z"], "not in the training graph or the new nodes .first: 'x'"),
    ):
        with pytest.raises(MakedoInputError, match=message):
            extend(graph, edges, new_id=pd.Index(new), known_id=IDS)


# --- scikit-learn's splitters --------------------------------------------------------------------


class MeanDegree(ClassifierMixin, BaseEstimator):
    """Scores with the mean degree of the training rows, so a misread graph changes the score."""

    def fit(self, X, y, graph=None):
        row_id = X.index if isinstance(X, pd.DataFrame) else None
        self.graph_ = as_graph(graph, n_rows=len(X), row_id=row_id)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def score(self, X, y):
        return self.graph_.degree.mean()


ROWS = pd.DataFrame({"x": np.arange(12.0)}, index=[f"n{i}" for i in range(12)])
RING = nx.cycle_graph(12)
RING_TABLE = pd.DataFrame([(f"n{a}", f"n{b}") for a, b in RING.edges], columns=["source", "target"])


def test_cross_validation_with_a_graph_that_has_ids_equals_the_loop_by_hand():
    graph = Graph.from_edges(RING_TABLE, node_id=ROWS.index)
    y = np.arange(12) % 2
    scores = cross_val_score(MeanDegree(), ROWS, y, cv=KFold(3), params={"graph": graph})
    by_hand = [graph.subgraph(train).degree.mean() for train, _ in KFold(3).split(ROWS)]
    np.testing.assert_allclose(scores, by_hand)


@pytest.mark.parametrize(
    ("X", "graph"),
    [
        (ROWS, RING_TABLE),  # 12 edges for 12 rows: cut
        (ROWS, Graph.from_edges(np.array(RING.edges).T)),
        (ROWS.to_numpy(), np.array(RING.edges).T),
        (ROWS.to_numpy(), nx.to_scipy_sparse_array(RING).tocsr()),
        (ROWS.reset_index(drop=True), pd.DataFrame(list(RING.edges))),
        (ROWS.to_numpy(), Graph.from_edges(RING_TABLE, node_id=ROWS.index)),
        (ROWS.to_numpy(), RING),
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_cross_validation_with_any_other_graph_raises(X, graph, shuffle):
    cv = KFold(3, shuffle=shuffle, random_state=0 if shuffle else None)
    with pytest.raises(MakedoInputError):
        cross_val_score(MeanDegree(), X, np.arange(12) % 2, cv=cv, params={"graph": graph},
                        error_score="raise")  # fmt: skip
