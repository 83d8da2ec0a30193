import numpy as np
import pytest

from makedo.baselines.gcn import GCNClassifier
from makedo.baselines.mlp import MLPClassifier
from makedo.core.training import Training
from makedo.data.graph import Graph
from makedo.data.nodes import read_nodes
from makedo.methods.cold_brew.glnn import GLNNClassifier, sharing_teachers

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


def test_configurations_of_one_table_train_a_common_teacher_once(problem):
    X, y, graph = problem
    make = sharing_teachers()
    first, other, wider = (
        make(**FAST, **changes).fit(X, y, graph=graph)
        for changes in ({"distill": 1.0}, {"distill": 0.5}, {"teacher_hidden": 8})
    )
    assert other.nets_["gcn"] is first.nets_["gcn"] is not wider.nets_["gcn"]
    alone = GLNNClassifier(0.5, **FAST).fit(X, y, graph=graph)
    np.testing.assert_array_equal(other.node_proba_, alone.node_proba_)
    epochs = ["phase", "epoch", "loss"]
    assert other.history_[epochs].equals(alone.history_[epochs])
    moved = make(**FAST).fit(X, (y + 1) % 3, graph=graph)  # other data, another teacher
    again = GLNNClassifier(**FAST).fit(X, (y + 1) % 3, graph=graph)
    np.testing.assert_array_equal(moved.node_proba_, again.node_proba_)
