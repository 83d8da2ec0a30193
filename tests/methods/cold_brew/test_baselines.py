import numpy as np
import pytest
import scipy.sparse as sp

from makedo.baselines.gcn import GCNClassifier
from makedo.baselines.mlp import MLPClassifier
from makedo.core.training import Training
from makedo.data.graph import Graph
from makedo.data.nodes import read_nodes
from makedo.methods.cold_brew.baselines import FeatureKNNClassifier, GLNNClassifier, candidates

N = 90
FAST = {"max_epochs": 20, "teacher_max_epochs": 20}


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    X = rng.normal(size=(N, 7)).astype(np.float32)
    X[np.arange(N), y] += 2
    pairs = np.sort(rng.integers(0, N, size=(2, 400)), axis=0)
    return X, y, Graph.from_edges(pairs[:, y[pairs[0]] == y[pairs[1]]], n_nodes=N)


def test_the_student_comes_close_to_its_teacher(problem):
    X, y, graph = problem
    masks = {"train_mask": np.arange(N) < 15, "valid_mask": np.arange(N) >= 60}
    teacher = GCNClassifier(max_epochs=60).fit(X, y, graph=graph, **masks)
    student = GLNNClassifier(max_epochs=60, patience=None, teacher_max_epochs=60, dropout=0.0)
    student.fit(X, y, graph=graph, **masks)
    agree = student.predict(nodes=range(N)) == teacher.predict(nodes=range(N))
    assert agree.mean() > 0.9
    alone = MLPClassifier().fit(X, y, **masks)
    assert agree.mean() > (alone.predict(X) == teacher.predict(nodes=range(N))).mean()


def test_the_teacher_is_the_gcn_of_the_same_seed(problem):
    X, y, graph = problem
    student = GLNNClassifier(random_state=3, **FAST).fit(X, y, graph=graph)
    alone = GCNClassifier(max_epochs=20, random_state=3).fit(X, y, graph=graph)
    theirs = alone.nets_["gcn"].state_dict()
    for name, tensor in student.nets_["gcn"].state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), theirs[name].numpy())


def test_labels_do_not_enter_the_student_at_full_distillation(problem):
    """Same teacher, other labels for the second phase only: seen through one that cannot learn."""
    X, y, graph = problem
    settings = {**FAST, "teacher_learning_rate": 1e-30}
    one = GLNNClassifier(1.0, **settings).fit(X, y, graph=graph, valid_mask=np.zeros(N, bool))
    swapped = (y + 1) % 3
    two = GLNNClassifier(1.0, **settings).fit(X, swapped, graph=graph, valid_mask=np.zeros(N, bool))
    np.testing.assert_array_equal(one.node_proba_, two.node_proba_)
    three = GLNNClassifier(0.5, **settings).fit(X, y, graph=graph, valid_mask=np.zeros(N, bool))
    assert abs(three.node_proba_ - one.node_proba_).max() > 0.01


def test_without_distillation_it_is_an_mlp(problem):
    X, y, graph = problem
    shape = {"hidden": 16, "norm": False, "activation": "relu", "dropout": 0.0}
    settings = {**shape, "input_dropout": 0.0, "max_epochs": 80, "patience": None}
    student = GLNNClassifier(0.0, teacher_max_epochs=1, **settings).fit(X, y, graph=graph)
    alone = MLPClassifier(**settings).fit(X, y, graph=graph)
    assert (student.predict(X) == alone.predict(X)).mean() > 0.9


def test_stopped_while_the_teacher_learns_the_teacher_answers(problem):
    X, y, graph = problem
    model = GLNNClassifier(**FAST)
    nodes = read_nodes(model, X, y, graph=graph, validation_fraction=0.2, random_state=0)
    stop = Training("GLNN", random_state=0, on_step=lambda row: row["epoch"] == 4)
    taught = model._train(stop, nodes, X)
    assert list(model.nets_) == ["gcn"]
    assert taught.shape == (N, 3)
    model.classes_ = nodes.classes
    assert model._proba(X[:4]).shape == (4, 3)


def test_feature_neighbours_equal_the_loop_by_hand():
    rng = np.random.default_rng(0)
    X = sp.random(60, 20, density=0.3, random_state=0, format="csr", dtype=np.float32)
    X = sp.csr_matrix(X.multiply(np.arange(60)[:, None] != 7))
    y = rng.integers(0, 3, 60)
    train = np.arange(60) < 40
    model = FeatureKNNClassifier(5, weights="uniform").fit(X, y, train_mask=train)
    dense = X.toarray().astype(float)
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    for i in range(40, 60):
        nearest = np.argsort(-(dense[:40] @ dense[i]), kind="stable")[:5]
        votes = np.bincount(y[nearest], minlength=3) / 5
        np.testing.assert_allclose(model.predict_proba(X[[i]])[0], votes, atol=1e-6)
    prior = np.bincount(y[:40], minlength=3) / 40
    np.testing.assert_allclose(model.predict_proba(X[[7]])[0], prior, atol=1e-6)


def test_more_neighbours_than_labelled_rows_are_all_of_them():
    X = np.eye(4, dtype=np.float32) + 0.1
    model = FeatureKNNClassifier(50, weights="uniform").fit(X, [0, 1, 1, -1])
    np.testing.assert_allclose(model.predict_proba(X[3:]), [[1 / 3, 2 / 3]], rtol=1e-6)


def test_candidates_are_ordered_and_have_the_same_budget():
    found = candidates()
    assert [c.name for c in found] == [
        "MLP", "label propagation", "feature neighbours", "GCN", "GLNN", "Cold Brew",
    ]  # fmt: skip
    for candidate in found:
        assert len(candidate.grid) == 8
        assert len({tuple(sorted(map(str, c.items()))) for c in candidate.grid}) == 8
        for configuration in candidate.grid:
            model = candidate.make(random_state=4, **configuration)
            model._check_parameters()
            assert configuration.items() <= model.get_params().items()
            assert model.random_state == 4
