"""What all baselines promise: one interface, ids, equal seeds, bad input, files."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from makedo.baselines.gcn import GCNClassifier
from makedo.baselines.label_propagation import LabelPropagation
from makedo.baselines.mlp import MLPClassifier
from makedo.baselines.sage import SAGEClassifier
from makedo.baselines.sgc import SGCClassifier
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.graph import Graph
from makedo.methods.cold_brew.feature_neighbors import FeatureKNNClassifier
from makedo.methods.cold_brew.glnn import GLNNClassifier
from makedo.methods.cold_brew.graph_mlp import GraphMLPClassifier

N = 90
MODELS = {
    "mlp": MLPClassifier(max_epochs=8),
    "sgc": SGCClassifier(),
    "gcn": GCNClassifier(max_epochs=8),
    "graphsage": SAGEClassifier(max_epochs=8),
    "graph mlp": GraphMLPClassifier(max_epochs=8),
    "label propagation": LabelPropagation(),
    "glnn": GLNNClassifier(max_epochs=4, teacher_max_epochs=6, batch_size=32),
    "feature neighbours": FeatureKNNClassifier(5),
}
ON_EDGES = ("sgc", "gcn", "graphsage", "graph mlp", "label propagation", "glnn")
NETWORKS = ("mlp", "gcn", "graphsage", "graph mlp", "glnn")
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    X = rng.normal(size=(N, 7)).astype(np.float32)
    X[np.arange(N), y] += 2
    pairs = np.sort(rng.integers(0, N, size=(2, 500)), axis=0)
    pairs = pairs[:, (y[pairs[0]] == y[pairs[1]]) & (pairs < N - 4).all(0)]
    return X, y, Graph.from_edges(pairs, n_nodes=N)  # the last four nodes have no edge


@every_model
def test_equal_seeds_give_equal_results_and_leave_global_state_alone(problem, name):
    X, y, graph = problem
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    copies = X.copy(), y.copy()
    first, second = (clone(MODELS[name]).fit(X, y, graph=graph) for _ in range(2))
    np.testing.assert_array_equal(first.node_proba_, second.node_proba_)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert (copies[0] == X).all() and (copies[1] == y).all()
    if name in NETWORKS:
        other = clone(MODELS[name]).set_params(random_state=1).fit(X, y, graph=graph)
        assert abs(other.node_proba_ - first.node_proba_).max() > 1e-4


@every_model
def test_nodes_are_known_by_id_and_rows_may_come_in_any_order(problem, name):
    X, y, graph = problem
    ids = [f"p{i}" for i in range(N)]
    edges = pd.DataFrame(graph.edges(), columns=["source", "target"]).map(lambda i: f"p{i}")
    frame = pd.DataFrame(X, index=ids, columns=list("abcdefg"))
    train = np.arange(N) % 2 == 0
    # what is drawn by position is left out: dropout, and the batches of soft labels
    calm = {"dropout": 0.0, "input_dropout": 0.0, "distill": 0.0, "batch_size": 4096}
    known = MODELS[name].get_params()
    model = clone(MODELS[name]).set_params(**{p: v for p, v in calm.items() if p in known})

    def fit(order):
        return clone(model).fit(
            frame.iloc[order],
            y[order],
            graph=edges,
            train_mask=train[order],
            valid_mask=~train[order],
        )

    plain = fit(np.arange(N))
    mixed = fit(np.random.default_rng(1).permutation(N))
    wanted = ["p3", "p80", "p0", "p89"]
    np.testing.assert_allclose(
        plain.predict_proba(nodes=wanted), mixed.predict_proba(nodes=wanted), atol=1e-4
    )
    np.testing.assert_array_equal(
        plain.predict_proba(nodes=wanted), plain.node_proba_[[3, 80, 0, 89]]
    )
    with pytest.raises(MakedoInputError, match=r"1 of 2 nodes are not in the training graph.*'q'"):
        plain.predict(nodes=["p1", "q"])


@every_model
def test_a_node_without_edges_is_predicted_like_a_new_row(problem, name):
    X, y, graph = problem
    y[-4:] = -1  # label propagation does not forget a label that it was given
    model = clone(MODELS[name]).fit(X, y, graph=graph)
    np.testing.assert_allclose(
        model.predict_proba(X[-4:]), model.predict_proba(nodes=range(N - 4, N)), atol=1e-6
    )
    assert model.predict(X[:0]).shape == (0,)


@every_model
def test_the_score_leaves_out_unlabelled_rows_and_counts_unknown_classes_as_wrong(problem, name):
    X, y, graph = problem
    model = clone(MODELS[name]).fit(X, y, graph=graph)
    right = model.predict(X[:6]) == y[:6]
    assert model.score(X[:6], np.where(np.arange(6) < 4, y[:6], -1)) == right[:4].mean()
    with pytest.warns(MakedoWarning, match="6 labels of 6 .first: 9. name no class"):
        assert model.score(X[:6], np.full(6, 9)) == 0
    with pytest.raises(MakedoInputError, match="no row has a label"):
        model.score(X[:6], np.full(6, -1))


@every_model
def test_a_saved_model_answers_the_same(problem, name, tmp_path):
    X, y, graph = problem
    model = clone(MODELS[name]).fit(X, y, graph=graph)
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model")
    np.testing.assert_array_equal(model.predict_proba(X), loaded.predict_proba(X))
    np.testing.assert_array_equal(model.predict(nodes=[5, 2]), loaded.predict(nodes=[5, 2]))


@every_model
def test_bad_input_is_refused_with_a_reason(problem, name):
    X, y, graph = problem
    model = clone(MODELS[name])

    def refused(message, X=X, y=y, graph=graph, **more):
        with pytest.raises(MakedoInputError, match=message):
            model.fit(X, y, graph=graph, **more)

    with pytest.raises(NotFittedError):
        model.predict(X)
    refused("X has no rows", X=X[:0], y=y[:0])
    refused("X has no columns", X=X[:, :0])
    refused("1 NaN or infinite values", X=np.where(np.arange(N)[:, None] == 3, np.nan, X)[:, :1])
    refused("no row has a label", y=np.full(N, -1))
    refused("two classes are needed", y=np.where(y == 1, 1, -1))
    refused("y is continuous", y=y + 0.5)
    refused("requires y to be passed", y=None)
    refused("y has 89 labels, X has 90 rows", y=y[:-1])
    refused("without node_id they are joined by position", X=X[:-1], y=y[:-1])
    refused("both train_mask and valid_mask", train_mask=y >= 0, valid_mask=y == 1)
    refused("no labelled node is left", train_mask=y < 0)
    refused("node_id has 2 ids, X has 90 rows", node_id=["a", "b"])
    if name in ON_EDGES:
        refused("learns from edges", graph=None)
        refused("no node of the graph has an edge", graph=graph.without_edges_of(np.arange(N)))
    model.fit(X, y, graph=graph)
    for given in ({}, {"X": X, "nodes": [0]}):
        with pytest.raises(MakedoInputError, match="give either X"):
            model.predict(**given)
    with pytest.raises(MakedoInputError, match="X has 6 columns, fit saw 7"):
        model.predict(X[:, :6])


@every_model
def test_a_class_without_training_node_is_named(problem, name):
    X, y, graph = problem
    with pytest.warns(MakedoWarning, match=r"1 class without a training node \(2\)"):
        clone(MODELS[name]).fit(X, y, graph=graph, train_mask=y < 2, valid_mask=y == 2)


def test_masks_of_a_pyg_graph_are_used(problem):
    X, y, graph = problem
    train = np.arange(N) < 30

    class Data:  # what PyG's looks like
        edge_index = torch.from_numpy(graph.edges().T.copy())
        num_nodes = N
        train_mask, val_mask = torch.from_numpy(train), torch.from_numpy(~train)

    with pytest.warns(MakedoWarning, match="one way"):
        theirs = GCNClassifier(max_epochs=4).fit(X, y, graph=Data())
    ours = GCNClassifier(max_epochs=4).fit(X, y, graph=graph, train_mask=train, valid_mask=~train)
    np.testing.assert_array_equal(theirs.node_proba_, ours.node_proba_)


@pytest.mark.realdata
@pytest.mark.skipif("MAKEDO_DATA" not in os.environ, reason="MAKEDO_DATA is not set")
def test_cora_gives_the_accuracies_of_the_literature():
    from makedo.data import catalog

    data = catalog.load("cora")
    train, valid, test = (data.masks[part][0] for part in ("train", "valid", "test"))

    def accuracy(model):
        model.fit(data.X, data.y, graph=data.graph, train_mask=train, valid_mask=valid)
        return (model.predict(nodes=np.flatnonzero(test)) == data.y[test]).mean()

    assert accuracy(GCNClassifier(max_epochs=100)) > 0.79
    assert accuracy(SAGEClassifier(max_epochs=100)) > 0.76
    assert 0.54 < accuracy(MLPClassifier()) < 0.64
    assert accuracy(GraphMLPClassifier(max_epochs=60)) > 0.70
    assert 0.68 < accuracy(LabelPropagation()) < 0.75
    assert accuracy(GLNNClassifier(max_epochs=30, teacher_max_epochs=100)) > 0.77
