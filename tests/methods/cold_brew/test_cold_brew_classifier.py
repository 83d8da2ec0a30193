"""The estimator: what it learns from, who serves which node, what it must not depend on."""

from __future__ import annotations

import pickle
import signal
import warnings
from math import ceil

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

import makedo
from makedo import ColdBrewClassifier, ColdBrewRegressor
from makedo.core.checks import InterruptedWarning, MakedoInputError, MakedoWarning
from makedo.core.training import Training
from makedo.data.degrees import degree_splits
from makedo.data.graph import Graph
from makedo.data.synthetic import sbm_graph
from makedo.methods.cold_brew import estimator, serving
from makedo.methods.cold_brew.page import validation_fcr
from makedo.methods.cold_brew.tasks import asked
from makedo.nn.features import Features


def equal_nets(a, b):
    return all(
        torch.equal(x, y)
        for name in a.nets_
        for x, y in zip(
            a.nets_[name].state_dict().values(), b.nets_[name].state_dict().values(), strict=True
        )
    )


def dense_teacher(model, graph, X):
    """Class probabilities of the teacher by the paper's formula on dense float64 matrices."""
    A = graph.to_scipy().toarray().astype(float) + np.eye(graph.n_nodes)
    A = A / np.sqrt(A.sum(1)) / np.sqrt(A.sum(1))[:, None]
    x, net = (
        np.asarray(model.scaler_.transform(X.astype(np.float32)), float),
        model.nets_["teacher"],
    )
    for k, layer in enumerate(net.layers):
        z = x @ layer.weight.detach().double().numpy()
        if str(k) in net.E:
            E = net.E[str(k)].detach().double().numpy()
            z[: len(E)] += E
        z = A @ z + layer.bias.detach().double().numpy()
        x = np.maximum(z, 0)
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def tempered(proba, temperature):
    powered = proba ** (1 / temperature)
    return powered / powered.sum(1, keepdims=True)


def below_threshold(model, X):
    scaled = model.scaler_.transform(X.astype(np.float32))
    return model._server.pooled(scaled, model.linked_pool_)


def quiet_fit(model, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)
        return model.fit(*args, **kwargs)


# --- who serves (spec 2.7) -----------------------------------------------------------------------


def test_nodes_of_the_training_graph_are_served_by_the_teacher_from_the_threshold_on(
    model, problem
):
    proba = model.predict_proba(nodes=np.arange(90))
    teacher = tempered(dense_teacher(model, problem.graph, problem.X), model.teacher_temperature_)
    cold = below_threshold(model, problem.X)
    cold[problem.graph.degree == 0] = model.predict_proba(problem.X[problem.graph.degree == 0])
    linked = problem.graph.degree >= 3
    assert linked.any() and not linked.all()
    np.testing.assert_allclose(proba[linked], teacher[linked], atol=1e-5)
    np.testing.assert_allclose(proba[~linked], cold[~linked], atol=1e-6)
    assert not np.allclose(teacher, cold, atol=1e-2)
    route = model.explain(nodes=np.arange(90))["route"]
    below = np.where(problem.graph.degree == 0, "unlinked", "linked")
    assert (route == np.where(linked, "teacher", below)).all() and set(below) == set(route) - {
        "teacher"
    }


def test_a_new_node_with_edges_is_served_as_the_extended_graph_says(model, problem):
    """Two copies of training nodes with the same edges, and one new node with too few."""
    first, second = np.flatnonzero(problem.graph.degree >= 3)[:2]
    lists = [
        problem.graph.indices[problem.graph.indptr[i] : problem.graph.indptr[i + 1]]
        for i in (first, second)
    ]
    lists.append(lists[0][:2])
    pairs = np.array([(90 + k, j) for k, neighbors in enumerate(lists) for j in neighbors]).T
    new = problem.X[[first, second, first]]
    whole = np.concatenate([problem.graph.edges().T, pairs], axis=1)
    grown = Graph.from_edges(whole, n_nodes=93)
    expected = dense_teacher(model, grown, np.concatenate([problem.X, new]))[90:]
    expected = tempered(expected, model.teacher_temperature_)
    answer = model.predict_proba(new, edges=pairs)
    np.testing.assert_allclose(answer[:2], expected[:2], atol=1e-5)
    thin = below_threshold(model, new[2:])[0]
    np.testing.assert_allclose(answer[2], thin, atol=1e-6)
    assert model.explain(new, edges=pairs)["route"].tolist() == ["teacher", "teacher", "linked"]


def test_a_copy_of_a_training_node_with_its_edges_is_answered_like_that_node(problem, small):
    """Without structural embedding features and edges are all there is to a node."""
    model = small(structural=None, degree_threshold=1).fit(
        problem.X, problem.y, graph=problem.graph
    )
    linked = np.flatnonzero(problem.graph.degree >= 4)[:8]
    same = [
        model.predict(
            problem.X[[i]],
            edges=np.array(
                [
                    (90, j)
                    for j in problem.graph.indices[
                        problem.graph.indptr[i] : problem.graph.indptr[i + 1]
                    ]
                ]
            ).T,
        )[0]
        == model.predict(nodes=[i])[0]
        for i in linked
    ]
    assert sum(same) >= 7  # its neighbours have one edge more


def test_ids_join_new_edges_with_a_named_graph(problem, small):
    frame, graph = problem.frame, problem.named_graph
    model = small(degree_threshold=1).fit(frame, problem.y, graph=graph)
    by_position = small(degree_threshold=1).fit(problem.X, problem.y, graph=problem.graph)
    new = pd.DataFrame(problem.X[:2] + 0.1, index=["new1", "new2"], columns=frame.columns)
    edges = pd.DataFrame({"source": ["new1", "n4", "new2"], "target": ["n3", "new1", "new1"]})
    pairs = np.array([[90, 4, 91], [3, 90, 90]])
    np.testing.assert_allclose(
        model.predict_proba(new, edges=edges),
        by_position.predict_proba(problem.X[:2] + 0.1, edges=pairs),
        atol=1e-6,
    )
    assert model.explain(new, edges=edges).index.tolist() == ["new1", "new2"]
    unknown = pd.DataFrame({"source": ["new1"], "target": ["nobody"]})
    with pytest.raises(MakedoInputError, match="nobody"):
        model.predict(new, edges=unknown)
    with pytest.raises(MakedoInputError, match="1 of 2 nodes are not in the training graph"):
        model.predict(nodes=["n1", "nobody"])
    with pytest.raises(MakedoInputError, match="give either X"):
        model.predict()


def test_sparse_and_dense_rows_may_follow_each_other(problem, small):
    dense = small(normalize="none", degree_threshold=1).fit(
        problem.X, problem.y, graph=problem.graph
    )
    sparse = small(normalize="none", degree_threshold=1).fit(
        sp.csr_matrix(problem.X), problem.y, graph=problem.graph
    )
    new, edges = problem.X[:3] + 0.1, np.array([[90, 91, 92], [0, 1, 2]])
    for model in (dense, sparse):
        for more in ({}, {"edges": edges}):
            answers = [model.predict_proba(x, **more) for x in (new, sp.csr_matrix(new))]
            np.testing.assert_allclose(*answers, atol=1e-5)


def test_counts_give_the_same_answer_sparse_or_dense(problem, small):
    counts = np.random.default_rng(0).poisson(1 + np.maximum(problem.X, 0))
    answers = [
        small(dropout=0.0, max_epochs=3, student_max_epochs=2, cold_part="student")
        .fit(X, problem.y, graph=problem.graph)
        .predict_proba(X)
        for X in (counts, sp.csr_matrix(counts))
    ]
    np.testing.assert_allclose(*answers, atol=1e-4)


@pytest.mark.parametrize("part", ["mlp", "distilled mlp", "student"])
def test_a_part_that_was_asked_for_serves_and_no_other_is_trained(part, problem, small):
    model = small(cold_part=part).fit(problem.X, problem.y, graph=problem.graph)
    assert list(model.part_scores_) == list(model.unlinked_pool_) == [part]
    assert model.unlinked_pool_[part]["weight"] == model.linked_pool_[part]["weight"] == 1
    trained = {
        "mlp": {"mlp"},
        "distilled mlp": {"distilled mlp"},
        "student": {"part 1", "part 2"},
    }
    assert set(model.nets_) == trained[part] | {"teacher"}
    assert (model.explain(problem.X)["route"] == "unlinked").all()
    assert ("neighbor_1" in model.explain(problem.X)) == (part == "student")


def test_validation_nodes_say_what_each_part_is_worth(problem, small):
    model = small().fit(problem.X, problem.y, graph=problem.graph)
    table = model.validation_
    on_hidden = table[table["edges_hidden"]]
    assert {"mlp", "distilled mlp", "student"} <= model.part_scores_.keys()
    assert model.part_scores_ == {part: on_hidden[part].mean() for part in model.part_scores_}
    assert not np.intersect1d(table["row"], model.train_).size
    assert not np.intersect1d(table["row"][table["edges_hidden"]], model.bank_.rows.numpy()).size


# --- virtual neighbours --------------------------------------------------------------------------


def test_virtual_neighbours_are_linked_training_nodes_best_first(model, problem):
    ids, weight = model.virtual_neighbors(problem.X[:7])
    assert ids.shape == weight.shape == (7, 4)
    assert (problem.graph.degree[ids] > 0).all() and all(len(set(row)) == 4 for row in ids.tolist())
    np.testing.assert_allclose(weight.sum(1), 1, atol=1e-6)
    assert (np.diff(weight, axis=1) <= 0).all()


def test_transform_is_the_weighted_mean_of_the_bank_beside_the_guess(model, problem):
    ids, weight = model.virtual_neighbors(problem.X[:7])
    place = {int(row): k for k, row in enumerate(model.bank_.rows)}
    values = model.bank_.values.numpy()
    expected = [
        sum(w * values[place[j]] for j, w in zip(i, v, strict=True))
        for i, v in zip(ids.tolist(), weight, strict=True)
    ]
    width = values.shape[1]
    both = model.transform(problem.X[:7])
    assert both.shape == (7, 2 * width) and width == 8 + 2
    np.testing.assert_allclose(both[:, :width], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("bank", "n_layers", "width"), [("layers", 3, 8 + 8 + 2), ("output", 3, 2)]
)
def test_the_bank_holds_the_layers_that_were_asked_for(bank, n_layers, width, problem, small):
    model = small(
        bank=bank, n_layers=n_layers, cold_part="student", max_epochs=2, student_max_epochs=1
    )
    model.fit(problem.X, problem.y, graph=problem.graph)
    assert model.bank_.values.shape[1] == width
    torch.testing.assert_close(model.bank_.values.mean(0), torch.zeros(width), atol=1e-5, rtol=0)


def test_more_neighbours_than_the_bank_has_rows_are_clipped_with_a_warning(problem, small):
    with pytest.warns(MakedoWarning, match=r"n_neighbors.*500"):
        model = small(n_neighbors=500, cold_part="student").fit(
            problem.X, problem.y, graph=problem.graph
        )
    assert model.virtual_neighbors(problem.X[:2])[0].shape == (2, len(model.bank_.rows))


# --- strict cold start (spec 9.7, 9.8) -----------------------------------------------------------


def test_nodes_in_another_order_get_the_same_answers(problem, small):
    """Spec 9.4 for the whole model; without validation nodes, which are hidden by position."""
    order = np.random.default_rng(0).permutation(90)
    source, target = np.argsort(order)[problem.graph.edges().T]
    turned = Graph.from_edges(np.stack([source, target]), n_nodes=90)
    settings = {"cold_part": "normed mlp", "dropout": 0.0, "student_dropout": 0.0}
    settings["batch_size"] = 90  # all rows a step: batches are drawn by position
    nobody = np.zeros(90, dtype=bool)
    one = small(**settings).fit(problem.X, problem.y, graph=problem.graph, valid_mask=nobody)
    two = small(**settings).fit(problem.X[order], problem.y[order], graph=turned, valid_mask=nobody)
    for old, new in (
        (one.predict_proba(nodes=order), two.predict_proba(nodes=np.arange(90))),
        (one.predict_proba(problem.X), two.predict_proba(problem.X)),
    ):
        np.testing.assert_allclose(new, old, atol=1e-5)
    assert np.ptp(one.predict_proba(problem.X)[:, 0]) > 0.1


def test_new_nodes_without_features_and_edges_are_pointed_out(model, problem, caplog):
    rows = np.vstack([problem.X[:2], np.zeros((2, 6))])
    with caplog.at_level("INFO", logger="makedo"):
        answers = model.predict_proba(rows)
    assert "2 new nodes of 4 have no features (all are zero) and no edges" in caplog.text
    np.testing.assert_array_equal(answers[2], answers[3])


def test_prediction_of_new_rows_does_not_touch_the_graph(model, problem):
    from copy import copy

    cut = copy(model)
    cut.graph_ = cut.X_ = None
    assert np.array_equal(model.predict_proba(problem.X), cut.predict_proba(problem.X))
    assert np.array_equal(model.transform(problem.X), cut.transform(problem.X))


@pytest.mark.parametrize("block", [1, 7])
def test_the_size_of_a_block_does_not_change_an_answer(block, model, problem, monkeypatch):
    whole = model.predict_proba(problem.X)
    monkeypatch.setattr(serving, "ROWS", block)
    np.testing.assert_array_equal(model.predict_proba(problem.X), whole)


def test_edges_of_nodes_that_are_not_rows_leave_no_trace(problem, small):
    """The file of edges may list those of test nodes: a row that is missing is a node removed."""
    test = np.arange(90) % 5 == 0
    frame, y = problem.frame[~test], problem.y[~test]
    with_edges, without = (
        problem.named_graph,
        problem.named_graph.without_edges_of(np.flatnonzero(test)),
    )
    models = [small().fit(frame, y, graph=graph) for graph in (with_edges, without)]
    assert with_edges.n_edges > without.n_edges
    assert equal_nets(*models) and models[0].unlinked_pool_ == models[1].unlinked_pool_
    answers = [model.predict_proba(problem.frame[test]) for model in models]
    assert np.array_equal(*answers)


def test_features_and_labels_of_isolated_unlabelled_nodes_leave_no_trace(problem, small):
    test = np.arange(90) % 5 == 0
    y = np.where(test, -1, problem.y)
    graph = problem.graph.without_edges_of(np.flatnonzero(test))
    other = problem.X.copy()
    other[test] = 1e3 * np.random.default_rng(1).normal(size=(test.sum(), 6))
    models = [small().fit(X, y, graph=graph) for X in (problem.X, other)]
    assert equal_nets(*models)
    assert np.array_equal(*(model.predict_proba(problem.X) for model in models))
    hidden_labels = small().fit(problem.X, problem.y, graph=graph, train_mask=~test)
    assert hidden_labels.train_.max() < 90 and not test[hidden_labels.train_].any()
    assert (
        not test[hidden_labels.valid_].any()
        and not np.isin(np.flatnonzero(test), hidden_labels.bank_.rows).any()
    )


def test_validation_nodes_that_lost_their_edges_teach_neither_scale_nor_teacher_nor_bank(
    problem, small
):
    X = problem.X + 0.25  # no counts: columns are scaled
    make = small(cold_part="student")
    one = make.fit(X, problem.y, graph=problem.graph)
    table = one.validation_
    hidden = np.array(table.loc[table["edges_hidden"], "row"])
    other = X.copy()
    other[hidden] = 1e3 * np.random.default_rng(1).normal(size=(len(hidden), 6))
    fewer = problem.graph.edges()
    fewer = fewer[~(np.isin(fewer, hidden[:2]).any(1))]  # two of them lose all edges beforehand
    elsewhere = Graph.from_edges(fewer.T, n_nodes=90)
    masks = {
        "train_mask": np.isin(np.arange(90), one.train_),
        "valid_mask": np.isin(np.arange(90), one.valid_),
    }
    teacher, bank = one.nets_["teacher"].state_dict(), one.bank_.values
    for features, graph in ((other, problem.graph), (X, elsewhere)):
        with pytest.MonkeyPatch.context() as patch:
            kept = np.setdiff1d(one.valid_, hidden)
            patch.setattr(estimator, "hide_half", lambda *_, kept=kept: (hidden, kept))
            two = clone(make).fit(features, problem.y, graph=graph, **masks)
        assert np.array_equal(one.scaler_.mean, two.scaler_.mean)
        same = two.nets_["teacher"].state_dict()
        assert all(torch.equal(teacher[name], same[name]) for name in teacher)
        assert torch.equal(bank, two.bank_.values)


def test_a_student_comes_near_the_bayes_rule_and_without_a_signal_near_the_prior():
    """Spec 9.12: the best that features of one node allow, and no more."""
    rng = np.random.default_rng(0)
    for strength in (0.0, 3.0):
        data = sbm_graph(400, 3, n_features=8, mean_degree=8, signal=strength, random_state=1)
        model = ColdBrewClassifier(cold_part="student", hidden=16, student_hidden=32, device="cpu")
        model.fit(data.X, data.y, graph=data.graph)
        y = rng.integers(3, size=3000)
        X = (data.centers[y] + rng.normal(size=(3000, 8))).astype(np.float32)
        right, best = (np.mean(said == y) for said in (model.predict(X), data.best_guess(X)))
        assert abs(right - (best if strength else 1 / 3)) < 0.05, (strength, right, best)


def test_labels_that_mean_nothing_give_chance_and_real_ones_do_not(make_problem, small):
    problem = make_problem(200, signal=0.8)
    new = make_problem(400, signal=0.8, random_state=7)
    real = small().fit(problem.X, problem.y, graph=problem.graph)
    assert accuracy_score(new.y, real.predict(new.X)) > 0.8
    noise = []
    for seed in range(4):
        shuffled = np.random.default_rng(seed).permutation(problem.y)
        answer = (
            small(random_state=seed).fit(problem.X, shuffled, graph=problem.graph).predict(new.X)
        )
        chance = np.mean(answer == 1) * np.mean(new.y == 1) + np.mean(answer == 0) * np.mean(
            new.y == 0
        )
        noise.append(accuracy_score(new.y, answer) - chance)
    assert abs(np.mean(noise)) < 0.2  # a leak of the true classes would give 0.4


def test_the_graph_helps_where_features_of_one_node_say_little(make_problem, small):
    """Student over plain MLP on new nodes: few labels, many connected nodes to learn from."""
    problem, new = make_problem(200, signal=0.5), make_problem(600, signal=0.5, random_state=3)
    rng = np.random.default_rng(0)
    enough = {"hidden": 16, "max_epochs": 200, "student_hidden": 64, "student_max_epochs": 100}
    gains = []
    for seed in range(6):
        y = np.where(np.isin(np.arange(200), rng.choice(200, 24, replace=False)), problem.y, -1)
        scores = {}
        for part in ("mlp", "student"):
            model = small(cold_part=part, random_state=seed, **enough)
            model.fit(problem.X, y, graph=problem.graph)
            scores[part] = accuracy_score(new.y, model.predict(new.X))
        gains.append(scores["student"] - scores["mlp"])
    assert np.mean(gains) > 0.03, gains


# --- groups by degree (spec 4.1, 9.11) -----------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_groups_have_their_share_of_nodes_and_do_not_overlap(share, make_problem):
    graph = make_problem(130, inside=0.06).graph
    parts = degree_splits(graph, share, share, share, random_state=3)
    groups = [parts.isolated, parts.tail, parts.head, parts.collateral]
    assert [len(g) for g in groups[:3]] == [ceil(share * 130)] * 3
    assert len(np.unique(np.concatenate(groups))) == sum(map(len, groups))
    assert (parts.graph.degree[parts.isolated] == 0).all() and (
        parts.graph.degree[parts.tail] > 0
    ).all()
    assert graph.degree[parts.isolated].max() <= np.delete(graph.degree, parts.isolated).min()
    again = degree_splits(graph, share, share, share, random_state=3)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            groups, [again.isolated, again.tail, again.head, again.collateral], strict=True
        )
    )


def test_a_cold_start_problem_scores_every_group(make_problem, small):
    from makedo.methods.cold_brew.protocol import run, strict_cold_start

    problem = make_problem(120)
    order = np.random.default_rng(0).permutation(120)
    cold = strict_cold_start(
        problem.X, problem.y, problem.graph, order[:50], order[50:80], order[80:], random_state=1
    )
    outcome = run(small(random_state=1), 1, cold)
    assert set(outcome.groups) >= {"isolated", "tail", "head", "all"} and outcome.sizes["all"] == 40
    assert (cold.graph.degree[cold.groups["isolated"]] == 0).all()
    assert all(0 <= score <= 1 for group, score in outcome.groups.items() if outcome.sizes[group])


# --- masks and labels ----------------------------------------------------------------------------


def test_masks_say_which_nodes_teach_and_which_validate(problem, small):
    train, valid = np.arange(90) < 40, (np.arange(90) >= 40) & (np.arange(90) < 60)
    model = small().fit(
        problem.X, problem.y, graph=problem.graph, train_mask=train, valid_mask=valid
    )
    assert model.train_.tolist() == list(range(40)) and model.valid_.tolist() == list(range(40, 60))
    assert sorted(model.validation_["row"]) == list(range(40, 60))
    other = np.where(
        train | valid, problem.y, 1 - problem.y
    )  # labels outside the masks say nothing
    again = small().fit(problem.X, other, graph=problem.graph, train_mask=train, valid_mask=valid)
    assert equal_nets(model, again)
    with pytest.raises(MakedoInputError, match="both train_mask and valid_mask"):
        small().fit(problem.X, problem.y, graph=problem.graph, train_mask=train, valid_mask=train)
    with pytest.raises(MakedoInputError, match="train_mask must hold 90 bools"):
        small().fit(problem.X, problem.y, graph=problem.graph, train_mask=train[:-1])


def test_without_masks_a_share_of_each_class_validates(problem, small):
    model = small(validation_fraction=0.3).fit(problem.X, problem.y, graph=problem.graph)
    assert np.bincount(problem.y[model.valid_]).tolist() == [round(0.3 * 45)] * 2


def test_masks_of_a_pyg_graph_are_read(problem, small):
    data = pytest.importorskip("torch_geometric.data")
    both = np.concatenate([problem.graph.edges(), problem.graph.edges()[:, ::-1]]).T.copy()
    train, valid = torch.arange(90) < 40, torch.arange(90) >= 70
    graph = data.Data(
        edge_index=torch.from_numpy(both), num_nodes=90, train_mask=train, val_mask=valid
    )
    model = small().fit(problem.X, problem.y, graph=graph)
    assert model.train_.tolist() == list(range(40)) and model.valid_.tolist() == list(range(70, 90))


@pytest.mark.parametrize("part", ["mlp", "distilled mlp", "student"])
def test_a_class_without_a_training_node_is_warned_of_never_predicted_and_wrong(
    part, make_problem, small
):
    problem = make_problem(90, n_classes=3)
    seen = problem.y != 2
    train, valid = seen & (np.arange(90) < 50), np.arange(90) >= 60
    model = small(cold_part=part, max_epochs=1, student_max_epochs=1, degree_threshold=2)
    with pytest.warns(
        MakedoWarning, match=r"1 class without a training node \(2\): never predicted"
    ):
        model.fit(problem.X, problem.y, graph=problem.graph, train_mask=train, valid_mask=valid)
    far = 5 * np.random.default_rng(0).normal(size=(500, 6))
    for answer in (model.predict(far), model.predict(nodes=np.arange(90))):
        assert 2 not in answer
    assert model.score(problem.X[~seen], problem.y[~seen]) == 0


def test_labels_of_any_kind_come_back_as_they_were(problem, small):
    names = np.array(["no", "yes"])[problem.y]
    kinds = {
        "text": names,
        "bool": problem.y == 1,
        "large": problem.y * 5 + 10,
        "series": pd.Series(names),
    }
    for y in kinds.values():
        model = small(max_epochs=2, student_max_epochs=1).fit(problem.X, y, graph=problem.graph)
        assert (
            set(model.predict(problem.X)) <= set(np.unique(y))
            and model.classes_.tolist() == np.unique(y).tolist()
        )


def test_labels_minus_one_and_one_are_refused_with_the_reason(problem, small):
    with pytest.raises(MakedoInputError, match="-1 means unlabelled; rename it if it is a class"):
        small().fit(problem.X, 2 * problem.y - 1, graph=problem.graph)


# --- graphs that cannot be used ------------------------------------------------------------------


def test_graphs_that_teach_nothing_or_do_not_fit_are_refused(problem, small):
    def refused(match, graph, X=problem.X, **more):
        with pytest.raises(MakedoInputError, match=match):
            small().fit(X, problem.y[: len(X)], graph=graph, **more)

    refused("no node of the graph has an edge", Graph.from_edges(np.empty((2, 0), int), n_nodes=90))
    refused("node_id", problem.graph, X=problem.X[:80])
    refused("no ids", problem.named_graph)
    refused("node_id has 3 ids, X has 90 rows", problem.named_graph, node_id=["a", "b", "c"])
    refused("graph", None)
    both_hidden = Graph.from_edges([[0], [1]], n_nodes=90)  # one edge, and validation hides it
    valid = np.isin(np.arange(90), [0, 1])
    refused("no edge", both_hidden, valid_mask=valid)


# --- scikit-learn (architecture 3) ---------------------------------------------------------------


def test_cross_validation_with_a_named_graph_is_the_loop_by_hand(problem, small):
    frame, graph, y = problem.frame, problem.named_graph, problem.y
    folds, model = KFold(3, shuffle=True, random_state=0), small(max_epochs=5, student_max_epochs=3)
    by_hand = []
    for train, test in folds.split(frame):
        part = clone(model).fit(frame.iloc[train], y[train], graph=graph.align(frame.index[train]))
        by_hand.append(accuracy_score(y[test], part.predict(frame.iloc[test])))
    named = cross_val_score(
        model, frame, y, cv=folds, params={"graph": graph}, scoring="accuracy", error_score="raise"
    )
    assert named.tolist() == by_hand
    own = cross_val_score(model, frame, y, cv=folds, params={"graph": graph}, error_score="raise")
    assert own.tolist() == by_hand


def test_a_grid_search_in_two_processes_is_the_loop_by_hand(problem, small):
    frame, graph, y = problem.frame, problem.named_graph, problem.y
    folds, model = KFold(2, shuffle=True, random_state=1), small(max_epochs=4, student_max_epochs=2)
    search = GridSearchCV(
        model,
        {"hidden": [4, 8]},
        cv=folds,
        n_jobs=2,
        scoring="accuracy",
        error_score="raise",
        refit=True,
    ).fit(frame, y, graph=graph)
    by_hand = [
        np.mean(
            [
                accuracy_score(
                    y[test],
                    clone(model)
                    .set_params(hidden=hidden)
                    .fit(frame.iloc[train], y[train], graph=graph)
                    .predict(frame.iloc[test]),
                )
                for train, test in folds.split(frame)
            ]
        )
        for hidden in (4, 8)
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand)
    best = clone(model).set_params(**search.best_params_).fit(frame, y, graph=graph)
    assert np.array_equal(search.best_estimator_.predict_proba(frame), best.predict_proba(frame))


@pytest.mark.parametrize(
    ("form", "match"),
    [
        (lambda g: g.to_scipy(), r"must be square\. .* Graph\.from_edges\(edges, node_id=\.\.\.\)"),
        (lambda g: g.edges().T, r"without node_id they are joined by position and must agree"),
        (lambda g: g, r"without node_id they are joined by position and must agree"),
    ],
    ids=["sparse", "edge_index", "graph"],
)
def test_cross_validation_with_a_graph_by_position_is_refused(form, match, problem, small):
    with pytest.raises(MakedoInputError, match=match):
        cross_val_score(
            small(),
            problem.X,
            problem.y,
            cv=3,
            params={"graph": form(problem.graph)},
            scoring="accuracy",
            error_score="raise",
        )


# --- the score -----------------------------------------------------------------------------------


def test_score_is_the_accuracy_on_labelled_rows_with_weights(model, problem):
    answer = model.predict(problem.X)
    y = np.where(np.arange(90) < 30, -1, problem.y)
    weight = np.arange(90.0)
    assert model.score(problem.X, y) == np.mean(answer[30:] == problem.y[30:])
    expected = np.average(answer[30:] == problem.y[30:], weights=weight[30:])
    assert model.score(problem.X, y, sample_weight=weight) == pytest.approx(expected)


# --- every parameter is used ---------------------------------------------------------------------

CHANGES = {
    "hidden": 4,
    "n_layers": 3,
    "structural": None,
    "structural_penalty": 10.0,
    "bank": "output",
    "n_neighbors": 2,
    "temperature": 5.0,
    "distill": 0.9,
    "student_hidden": 8,
    "dropout": 0.1,
    "student_dropout": 0.1,
    "learning_rate": 0.1,
    "student_learning_rate": 0.05,
    "weight_decay": 0.5,
    "max_epochs": 3,
    "student_max_epochs": 2,
    "batch_size": 16,
    "cold_part": "mlp",
    "validation_fraction": 0.5,
    "normalize": "none",
    "random_state": 9,
    "similarity": "dot",
    "part1_nodes": "labelled",
    "student_inputs": "guess",
    "skip": "initial",
    "norm": "pair",
    "graph_dropout": "edge",
    "look_up": "approximate",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_changes_the_model(name, model, problem, small):
    other = small(**{"cold_part": "student", "degree_threshold": 3, name: CHANGES[name]})
    other.fit(problem.X, problem.y, graph=problem.graph)
    assert not np.array_equal(model.predict_proba(problem.X), other.predict_proba(problem.X))


def test_the_weight_of_a_skip_changes_the_model(problem, small):
    """Alone it does nothing, so it has no place among the changes above."""
    answers = [
        small(cold_part="student", skip="initial", skip_weight=weight)
        .fit(problem.X, problem.y, graph=problem.graph)
        .predict_proba(problem.X)
        for weight in (0.1, 0.9)
    ]
    assert not np.array_equal(*answers)


@pytest.mark.parametrize(("inputs", "n_blocks"), [("both", 2), ("neighbors", 1), ("guess", 1)])
def test_part_2_sees_what_it_is_to_see_beside_the_features(inputs, n_blocks, problem, small):
    model = small(cold_part="student", student_inputs=inputs)
    model.fit(problem.X, problem.y, graph=problem.graph)
    width = model.bank_.values.shape[1]
    part2 = model.nets_["part 2"]
    assert part2.extra.in_features == n_blocks * width
    seen = torch.from_numpy(model.transform(problem.X))  # [ẽ, ê]
    seen = {"both": seen, "neighbors": seen[:, :width], "guess": seen[:, width:]}[inputs]
    x = Features.of(model.scaler_.transform(problem.X.astype(np.float32)))
    with torch.inference_mode():
        expected = part2(x, seen).softmax(1).numpy()
    answer = model._server.cold(model.scaler_.transform(problem.X.astype(np.float32)), "student")
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_part_1_on_labelled_nodes_does_not_see_the_others(problem, small):
    """Features of unlabelled nodes reach part 1 through its targets only: here they are fixed."""
    y = np.where(np.arange(90) % 3 == 0, problem.y, -1)
    models = [
        small(cold_part="student", part1_nodes=nodes).fit(problem.X, y, graph=problem.graph)
        for nodes in ("labelled", "connected")
    ]
    losses = [m.history_[m.history_["phase"] == "part 1"]["loss"].iloc[0] for m in models]
    assert losses[0] != losses[1]
    assert len(models[0].bank_.rows) == len(models[1].bank_.rows)


def test_the_teacher_asked_without_edges_is_one_layer_after_another(problem, small):
    model = small(cold_part="teacher", structural=None)
    model.fit(problem.X, problem.y, graph=problem.graph)
    assert list(model.part_scores_) == ["teacher"] and set(model.nets_) == {"teacher"}
    alone = Graph.from_edges(np.empty((2, 0), dtype=int), n_nodes=90)
    by_hand = tempered(
        dense_teacher(model, alone, problem.X), model.unlinked_pool_["teacher"]["temperature"]
    )
    np.testing.assert_allclose(model.predict_proba(problem.X), by_hand, atol=1e-5)


def test_the_paper_s_model_is_the_same_class_with_other_settings(problem):
    model = ColdBrewClassifier.from_paper(max_epochs=3, student_max_epochs=2, hidden=8)
    assert model.similarity == "dot" and model.n_neighbors == 3 and model.distill == 0
    assert model.max_epochs == 3 and type(ColdBrewRegressor.from_paper()) is ColdBrewRegressor
    model.fit(problem.X, problem.y, graph=problem.graph)
    assert asked(model.unlinked_pool_) == ["student"] and model.degree_threshold_ == 1


def test_patience_ends_the_phases_early(problem, small):
    names, last = ("patience", "student_patience", "part1_patience"), {}
    for patiences in [(200, 200, 200), (2, 200, 200), (200, 1, 200), (200, 200, 1)]:
        model = small(max_epochs=40, student_max_epochs=40, cold_part="student")
        model.set_params(student_learning_rate=0.05)  # so fast that part 1 goes astray
        model.set_params(**dict(zip(names, patiences, strict=True)))
        model.fit(problem.X, problem.y, graph=problem.graph)
        last[patiences] = model.history_.groupby("phase")["epoch"].max()
    assert set(last[200, 200, 200]) == {39}
    for impatient, phase in (
        ((2, 200, 200), "teacher"),
        ((200, 1, 200), "part 2"),
        ((200, 200, 1), "part 1"),
    ):
        ended = last[impatient]
        assert ended[phase] < 39 and set(ended.drop(phase)) == {39}


def test_a_threshold_that_is_given_is_kept(problem, small):
    for threshold in (1, 5):
        model = small(degree_threshold=threshold, max_epochs=2, student_max_epochs=1)
        model.fit(problem.X, problem.y, graph=problem.graph)
        routes = model.explain(nodes=np.arange(90))["route"] == "teacher"
        assert (routes == (problem.graph.degree >= threshold)).all()


def test_progress_is_logged_where_there_is_no_terminal(problem, small, caplog):
    with caplog.at_level("INFO", logger="makedo"):
        small(verbose=1).fit(problem.X, problem.y, graph=problem.graph)
    assert any("teacher" in r.message and "loss" in r.message for r in caplog.records)
    caplog.clear()
    small(verbose=0).fit(problem.X, problem.y, graph=problem.graph)
    assert not caplog.records


# --- interrupted before anything was learnt ------------------------------------------------------


def test_ctrl_c_before_the_first_epoch_is_a_keyboard_interrupt_not_a_broken_model(
    problem, small, monkeypatch
):
    enter = Training.__enter__

    def pressed(self):
        training = enter(self)
        signal.raise_signal(signal.SIGINT)
        return training

    monkeypatch.setattr(Training, "__enter__", pressed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InterruptedWarning)
        with pytest.raises(KeyboardInterrupt):
            small().fit(problem.X, problem.y, graph=problem.graph)


# --- saving (spec 9.13) --------------------------------------------------------------------------


def test_a_model_with_names_tables_and_gaps_survives_its_directory(problem, small, tmp_path):
    frame = problem.frame.assign(kind=np.array(["x", "y", "z"])[np.arange(90) % 3])
    frame.iloc[4, 0] = np.nan
    names = pd.Series(np.array(["no", "yes"])[problem.y], index=frame.index)
    names.iloc[5] = None
    model = small(degree_threshold=2).fit(frame, names, graph=problem.named_graph)
    model.save(tmp_path / "model")
    loaded = makedo.load(tmp_path / "model")
    for call in (
        lambda m: m.predict_proba(frame),
        lambda m: m.predict_proba(nodes=frame.index),
        lambda m: m.predict_proba(
            frame[:1], edges=pd.DataFrame({"a": ["new", "new"], "b": ["n1", "n2"]}), node_id=["new"]
        ),
    ):
        assert np.array_equal(call(model), call(loaded))
    pd.testing.assert_frame_equal(model.explain(frame), loaded.explain(frame))
    assert loaded.classes_.dtype == model.classes_.dtype


@pytest.mark.parametrize("damage", ["graph", "shape", "bank", "classes", "hidden"])
def test_a_model_whose_parts_do_not_fit_together_is_refused(damage, model, tmp_path):
    import json

    from safetensors.numpy import load_file, save_file

    model.save(tmp_path / "model")
    path = tmp_path / "model" / "weights.safetensors"
    arrays = load_file(path)
    if damage == "graph":
        arrays["state.graph_.indices"] = arrays["state.graph_.indices"] + 1000
    elif damage == "shape":
        name = next(n for n in arrays if n.startswith("state.nets_.part 2"))
        arrays[name] = arrays[name][:1]
    elif damage == "bank":
        arrays["state.bank_.rows"] = arrays["state.bank_.rows"] + 1000
    elif damage == "classes":
        arrays["state.classes_"] = np.arange(5)
    else:
        document = json.loads((tmp_path / "model" / "model.json").read_text())
        document["parameters"]["hidden"] = 16
        (tmp_path / "model" / "model.json").write_text(json.dumps(document))
    save_file(arrays, path)
    with pytest.raises(MakedoInputError) as caught:
        makedo.load(tmp_path / "model")
    assert "\n" not in str(caught.value)


ONE = {"weight": 1.0, "temperature": 1.0}
NOT_A_NUMBER, INFINITE = {"$float": "nan"}, {"$float": "inf"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("part_scores_", {"student": 0.5, "part 1": 0.5}),
        ("part_scores_", {"student": 0.5, "part 2": 0.5}),
        ("part_scores_", {"student": "much"}),
        ("part_scores_", {"student": None}),
        ("unlinked_pool_", {}),
        ("unlinked_pool_", {"ghost": ONE}),
        ("unlinked_pool_", {"student": {"weight": NOT_A_NUMBER, "temperature": 1.0}}),
        ("unlinked_pool_", {"student": {"weight": 0.3, "temperature": 1.0}}),
        ("linked_pool_", {"student": {"weight": 1.0, "temperature": 1e-300}}),
        ("linked_pool_", {"student": {"weight": 1.0, "temperature": INFINITE}}),
        ("teacher_temperature_", NOT_A_NUMBER),
        ("teacher_temperature_", INFINITE),
        ("teacher_temperature_", -1.0),
        ("history_", None),
        ("n_features_in_", "x"),
        ("n_features_in_", None),
    ],
)
def test_a_state_from_a_hostile_hand_is_refused(model, tmp_path, name, value):
    def edit(state):
        state[name] = value

    refuse_edited(model, tmp_path, edit)


@pytest.mark.parametrize("score", [None, "x", 7, []])
def test_a_bank_with_an_unknown_score_is_refused(model, tmp_path, score):
    refuse_edited(model, tmp_path, lambda state: state["bank_"].update(score=score))


def test_a_table_of_validation_nodes_without_its_columns_is_refused(model, tmp_path):
    def edit(state):
        columns = state["validation_"]["columns"]
        columns[columns.index("served")] = "other"

    refuse_edited(model, tmp_path, edit)


def refuse_edited(model, tmp_path, edit):
    import json

    model.save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    document = json.loads(path.read_text())
    edit(document["state"])
    path.write_text(json.dumps(document))
    with pytest.raises(MakedoInputError) as caught:
        makedo.load(tmp_path / "model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["as floats", "fewer"])
def test_bank_rows_that_cannot_name_its_values_are_refused(model, tmp_path, change):
    from safetensors.numpy import load_file, save_file

    model.save(tmp_path / "model")
    path = tmp_path / "model" / "weights.safetensors"
    arrays = load_file(path)
    rows = arrays["state.bank_.rows"]
    arrays["state.bank_.rows"] = rows.astype(float) if change == "as floats" else rows[:-1]
    save_file(arrays, path)
    with pytest.raises(MakedoInputError):
        makedo.load(tmp_path / "model")


# --- the stored report ---------------------------------------------------------------------------


def test_a_model_of_one_plain_part_reports_the_ratio_too(problem, small):
    model = small(cold_part="mlp", validation_fraction=0.4).fit(
        problem.X, problem.y, graph=problem.graph
    )
    assert (~model.validation_["edges_hidden"]).sum() >= 10
    report = model.report()
    assert "Graph or features?" in [section.title for section in report.sections]


def test_the_teacher_alone_is_compared_on_nodes_without_edges_too(problem, small):
    model = small(cold_part="teacher").fit(problem.X, problem.y, graph=problem.graph)
    table = model.report().sections[0].table
    assert table is not None
    alone = table[(table["candidate"] == "teacher") & (table["group"] == "unlinked")]
    assert alone["accuracy, %"].iloc[0] == pytest.approx(100 * model.part_scores_["teacher"])


def test_the_stored_report_says_that_its_nodes_were_fitted_on(model):
    report = model.report()
    assert "flatter" in report.sections[0].text and "flatter" in report.summary[0]


def test_a_report_can_be_sent_to_another_process(model):
    report = model.report()
    again = pickle.loads(pickle.dumps(report))
    assert again.to_html() == report.to_html() and again.verdict == report.verdict


def test_the_stored_ratio_gives_neither_network_only_nodes_that_stopped_it(problem, small):
    model = small(validation_fraction=0.4).fit(problem.X, problem.y, graph=problem.graph)
    frame = model.validation_[model.validation_["degree"] > 0]
    assert 0 < frame["edges_hidden"].sum() < len(frame)
    found = validation_fcr(model)
    assert found.n_nodes == len(frame)
    assert found.z_gnn == pytest.approx(frame["teacher"].mean())
    plain = max(("mlp", "normed mlp"), key=model.part_scores_.__getitem__)
    assert found.z_mlp == pytest.approx(frame[plain].mean())


def test_evaluating_nodes_whose_labels_validated_is_warned_of(model, problem):
    used = np.concatenate([model.train_[:2], model.valid_[:3]])
    with pytest.warns(MakedoWarning, match="labels of 5 of 5 labelled nodes were learnt or val"):
        model.evaluate(nodes=used, y=problem.y[used])


def test_quiet_fit_of_one_labelled_node_per_class_works(problem, small):
    y = np.full(90, -1)
    y[[np.flatnonzero(problem.y == 0)[0], np.flatnonzero(problem.y == 1)[0]]] = 0, 1
    model = quiet_fit(small(), problem.X, y, graph=problem.graph)
    assert len(model.valid_) == 0 and np.isfinite(model.predict_proba(problem.X)).all()
    assert asked(model.unlinked_pool_) == asked(model.linked_pool_) == ["student"]
