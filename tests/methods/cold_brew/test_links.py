"""Links of new nodes: the loss, the ranking, what must not leak, and the estimator's contract."""

from __future__ import annotations

import copy
import json
import pickle
import signal
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from safetensors.numpy import load_file, save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import makedo
from makedo import ColdBrewLinkPredictor, cli
from makedo.core.checks import InterruptedWarning, MakedoInputError, MakedoWarning
from makedo.core.seeds import generator
from makedo.data.graph import Graph
from makedo.methods.cold_brew.links import ranking
from makedo.methods.cold_brew.links.loss import Edges, cut_off_folds, link_loss, scores
from makedo.methods.cold_brew.links.ranking import (
    LinkPairs,
    best,
    by_row,
    in_top,
    reciprocal_rank,
    stand,
)
from makedo.methods.cold_brew.links.serving import LINK_PARTS
from makedo.methods.cold_brew.links.validation import hide_nodes
from makedo.methods.cold_brew.teacher import StructuralGCN
from makedo.nn.features import Features

SMALL = {
    "hidden": 8,
    "embedding_width": 8,
    "student_hidden": 16,
    "n_neighbors": 4,
    "max_epochs": 6,
    "student_max_epochs": 4,
    "batch_size": 64,
    "device": "cpu",
}
N, KNOWN = 120, 100


def small(**changes):
    return ColdBrewLinkPredictor(**{**SMALL, **changes})


def split(problem, n_known):
    """The graph of the first nodes, the features of the others, and their edges to the first."""
    pairs = problem.graph.edges().T
    inside, crossing = (pairs < n_known).all(0), (pairs < n_known).sum(0) == 1
    graph = Graph.from_edges(pairs[:, inside], n_nodes=n_known)
    return problem.X[:n_known], graph, problem.X[n_known:], pairs[:, crossing]


@pytest.fixture(scope="module")
def given(make_problem):
    return split(make_problem(N), KNOWN)


@pytest.fixture(scope="module")
def model(given):
    """A fitted model with every part.  Tests must not change it."""
    X, graph, _, _ = given
    return small().fit(X, graph=graph)


@pytest.fixture(scope="module")
def student(given):
    X, graph, _, _ = given
    return small(cold_part="student").fit(X, graph=graph)


def same(a, b, X):
    """Whether two models rank and score alike, bit for bit."""
    return a.predict_links(X).equals(b.predict_links(X))


# --- loss ----------------------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_of_a_plain_loop():
    rng = np.random.default_rng(0)
    z, known = rng.normal(size=(5, 3)), rng.normal(size=(9, 3))
    neighbor, other = rng.integers(0, 9, 5), rng.integers(0, 9, (5, 4))

    def log_sigmoid(s):
        return -np.log1p(np.exp(-s))

    true = [log_sigmoid(z[i] @ known[neighbor[i]]) for i in range(5)]
    false = [log_sigmoid(-(z[i] @ known[j])) for i in range(5) for j in other[i]]
    tensors = (torch.from_numpy(a) for a in (z, known, neighbor, other))
    found = float(link_loss(*scores(*tensors)))
    assert found == pytest.approx(-(np.mean(true) + np.mean(false)) / 2)


def test_edges_left_out_are_gone_in_both_directions_and_no_other_is():
    rng = np.random.default_rng(1)
    pairs = np.array(np.triu_indices(30, 1))[:, rng.choice(435, 90, replace=False)]
    weight = rng.integers(1, 5, 90)
    table = pd.DataFrame({"source": pairs[0], "target": pairs[1], "weight": weight})
    graph = Graph.from_edges(table, n_nodes=30)
    edges = Edges(graph)
    gone = rng.choice(len(edges), 20, replace=False)
    expected = graph.to_scipy().toarray()
    for i, j in edges.pairs[gone]:
        expected[i, j] = expected[j, i] = 0
    assert np.array_equal(edges.without(gone).to_scipy().toarray(), expected)


def test_who_asks_is_cut_off_and_never_a_negative_of_its_own_step(make_problem):
    graph = make_problem(60).graph
    net = StructuralGCN(60, 6, 4, 4, 1, 0.0, None)
    x = Features(torch.randn(60, 6))
    cut_off = cut_off_folds(net, x, graph, np.random.default_rng(0), "cpu")
    linked = np.flatnonzero(graph.degree > 0)
    together = np.sort(np.concatenate([fold.nodes for fold in cut_off]))
    assert np.array_equal(together, linked)
    adjacency = graph.to_scipy().toarray()
    for fold in cut_off:
        assert (fold.graph.degree[fold.nodes] == 0).all()
        assert not np.isin(fold.pool, fold.nodes).any()
        assert np.isin(fold.asked[:, 0], fold.nodes).all()
        assert np.isin(fold.asked[:, 1], fold.pool).all()
        others = np.setdiff1d(np.arange(60), fold.nodes)
        assert len(fold.asked) == adjacency[np.ix_(fold.nodes, others)].sum()
        # no trace: the features of the fold do not reach the embeddings of others
        changed = x.values.clone()
        changed[fold.nodes] += 100
        z = net(Features(changed), lambda z, g=fold.graph: torch.from_numpy(
            g.normalized().toarray()) @ z)[-1]  # fmt: skip
        torch.testing.assert_close(z[others], fold.outputs[-1][others], atol=1e-5, rtol=1e-4)


def test_negatives_are_linked_nodes_and_sometimes_true_neighbours(model, given):
    """Uniform negatives are not filtered while training: on a dense graph many are neighbours."""
    from makedo.methods.cold_brew.links.loss import both_ways, linked_nodes, with_negatives

    graph = Graph.from_edges(np.array(np.triu_indices(6, 1)), n_nodes=8)
    asked = both_ways(graph.edges())
    node, _, other = with_negatives(np.random.default_rng(0), asked, linked_nodes(graph), 50, "cpu")
    assert set(other.unique().tolist()) == set(range(6))  # 6 and 7 have no edge
    hit = graph.to_scipy().toarray()[node[:, None].numpy(), other.numpy()] > 0
    assert abs(hit.mean() - 5 / 6) < 0.03  # all but itself are neighbours


# --- ranking -------------------------------------------------------------------------------------


def drawn_reciprocal_rank(own, others, n_negatives, rng, n_draws=4000):
    """Mean of 1 / rank over draws of negatives; equal scores in random order."""
    values = others[rng.integers(0, len(others), (n_draws, n_negatives))]
    order, mine = rng.random(values.shape), rng.random((n_draws, 1))
    above = (values > own) | ((values == own) & (order < mine))
    return np.mean(1 / (1 + above.sum(1)))


@pytest.mark.parametrize("n_negatives", [1, 5, 20])
@pytest.mark.parametrize("n_values", [2, 7, 10_000])
def test_the_reciprocal_rank_is_the_mean_over_draws(n_negatives, n_values):
    rng = np.random.default_rng(n_values)
    others = rng.integers(0, n_values, 40).astype(float)
    for own in (others.min() - 1, np.median(others), others[0], others.max()):
        standing = ranking.Standing(
            *(np.array([n]) for n in ((others > own).sum(), (others == own).sum(), 40))
        )
        expected = drawn_reciprocal_rank(own, others, n_negatives, rng)
        found = float(reciprocal_rank(standing, n_negatives)[0])
        assert found == pytest.approx(expected, abs=0.03)


def test_who_scores_all_alike_is_worth_what_guessing_is_worth():
    alike = ranking.Standing(np.array([0]), np.array([999]), np.array([999]))
    assert reciprocal_rank(alike, 20)[0] == pytest.approx(np.mean(1 / np.arange(1, 22)))
    assert in_top(alike, 10)[0] == pytest.approx(10 / 1000)
    alone = ranking.Standing(np.array([0]), np.array([0]), np.array([0]))
    assert np.isnan(reciprocal_rank(alone, 20)[0])


def test_a_few_ties_are_worth_almost_what_none_are():
    one, none = (
        ranking.Standing(np.array([300]), np.array([t]), np.array([10**7])) for t in (1, 0)
    )
    assert reciprocal_rank(one, 20)[0] == pytest.approx(reciprocal_rank(none, 20)[0], abs=1e-5)


@pytest.mark.parametrize("cells", [1, 37, 10**6])
def test_standing_is_that_of_a_plain_loop_whatever_the_blocks(cells, monkeypatch):
    monkeypatch.setattr(ranking, "CELLS", cells)
    rng = np.random.default_rng(0)
    query, keys = rng.integers(-2, 3, (9, 2)), rng.integers(-2, 3, (12, 2))  # many ties
    true = rng.random((9, 12)) < 0.3
    true[4] = False
    row, known = np.nonzero(true)
    pairs = LinkPairs(row, known)
    blocks = ranking.inner_products(*(torch.from_numpy(a).float() for a in (query, keys)))
    standing = stand(blocks, pairs)
    s = query @ keys.T
    for p, (i, j) in enumerate(zip(row, known, strict=True)):
        candidates = s[i][~true[i]]  # other true links are no candidates
        assert standing.above[p] == (candidates > s[i, j]).sum()
        assert standing.tied[p] == (candidates == s[i, j]).sum()
        assert standing.candidates[p] == len(candidates)
    means = by_row(standing.above, pairs, 9)
    assert np.isnan(means[4]) and means[row[0]] == standing.above[row == row[0]].mean()


@pytest.mark.parametrize("top", [1, 3, 10])
def test_in_top_is_the_share_of_random_orders(top):
    rng = np.random.default_rng(0)
    others = rng.integers(0, 4, 20)
    for own in range(4):
        order = np.array([
            1 + np.sum((others > own) | ((others == own) & (rng.random(20) < mine)))
            for mine in rng.random(4000)
        ])  # fmt: skip
        standing = ranking.Standing(
            *(np.array([n]) for n in ((others > own).sum(), (others == own).sum(), 20))
        )
        assert in_top(standing, top)[0] == pytest.approx(np.mean(order <= top), abs=0.03)


@pytest.mark.parametrize("n_values", [2, 5, 1000])
def test_the_best_are_those_of_a_stable_sort(n_values):
    values = np.random.default_rng(0).integers(0, n_values, (30, 50)).astype(np.float32)
    for k in (1, 7, 50):
        index, value = best(torch.from_numpy(values), k)
        expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
        assert np.array_equal(index.numpy(), expected)
        assert np.array_equal(value.numpy(), np.take_along_axis(values, expected, 1))


# --- what it finds -------------------------------------------------------------------------------


LEARNS = {"max_epochs": 40, "student_max_epochs": 20, "embedding_width": 32, "student_hidden": 32,
          "n_neighbors": 8}  # fmt: skip


def gains(problem, cold_part="auto"):
    X, graph, new, edges = split(problem, 240)
    model = small(**LEARNS, cold_part=cold_part).fit(X, graph=graph)
    return model, model.evaluate(new, edges).set_index(["metric", "candidate"])["mean"]["MRR"]


def test_where_features_tell_the_group_links_are_found(make_problem):
    problem = make_problem(300, signal=2.0, n_classes=6, inside=0.2, outside=0.005)
    _, mrr = gains(problem)
    # Those of one's group are a sixth of all: ranked first in random order, a link has four
    # twentieths of the negatives beside it.
    ideal = float(reciprocal_rank(ranking.Standing(
        np.array([0]), np.array([40]), np.array([240])), 20)[0])  # fmt: skip
    assert mrr["student"] > 2 * mrr["popularity"] and mrr["Cold Brew"] > 0.7 * 100 * ideal


def test_where_features_tell_nothing_popularity_is_not_beaten(make_problem):
    problem = make_problem(300, signal=0.0, n_classes=6, inside=0.2, outside=0.005)
    found = []
    for seed in range(3):
        problem.X[:] = np.random.default_rng(seed).normal(size=problem.X.shape)
        _, mrr = gains(problem, "student")
        found.append(mrr["student"] - mrr["popularity"])
    assert np.mean(found) < 3, found  # points; with features that tell it is more than 20


def test_the_part_that_ranks_hidden_links_best_serves(model):
    assert list(model.part_scores_) == list(LINK_PARTS)
    assert model.part_scores_[model.part_] == max(model.part_scores_.values())
    for part, score in model.part_scores_.items():
        assert score == pytest.approx(model.validation_[part].mean())
    degree = model.graph_.degree[model.validation_["row"]]
    assert (model.validation_["links"] <= degree).all() and len(model.validation_) <= 10


def test_popularity_and_cosine_are_what_they_say(given):
    X, graph, new, edges = given
    by_degree = small(cold_part="popularity").fit(X, graph=graph).predict_links(new, top=5)
    expected = np.argsort(-graph.degree, kind="stable")[:5]
    assert (by_degree["neighbor"].to_numpy().reshape(-1, 5) == expected).all()
    model = small(cold_part="features", normalize="none").fit(X, graph=graph)
    cosine = (new @ X.T) / np.linalg.norm(new, axis=1)[:, None] / np.linalg.norm(X, axis=1)
    found = model.predict_links(new, top=3)
    expected = np.argsort(-cosine, axis=1)[:, :3]
    assert np.array_equal(found["neighbor"].to_numpy().reshape(-1, 3), expected)
    np.testing.assert_allclose(found["score"].to_numpy()[:3], np.sort(cosine[0])[::-1][:3], 1e-4)


# --- the answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["linear", "mlp", "teacher", "student"])
def test_the_answer_is_the_best_of_all_inner_products(part, given):
    X, graph, new, _ = given
    model = small(cold_part=part).fit(X, graph=graph)
    z = model.transform(new)
    known = model.embedding_[part if part in ("linear", "mlp") else "teacher"]
    s = z @ known.T
    found = model.predict_links(new, top=4)
    assert found.columns.tolist() == ["node", "neighbor", "rank", "score"]
    assert found["rank"].tolist() == [1, 2, 3, 4] * len(new)
    assert np.array_equal(found["node"], np.repeat(np.arange(len(new)), 4))
    value = found["score"].to_numpy().reshape(-1, 4)
    np.testing.assert_allclose(value, -np.sort(-s, axis=1)[:, :4], rtol=1e-4, atol=1e-5)
    chosen = found["neighbor"].to_numpy().reshape(-1, 4)
    np.testing.assert_allclose(np.take_along_axis(s, chosen, 1), value, rtol=1e-4, atol=1e-5)
    pairs = np.array([[0, 3, 0], [5, 99, 0]])
    np.testing.assert_allclose(
        model.decision_scores(new, pairs), s[pairs[0], pairs[1]], rtol=1e-4, atol=1e-5
    )


def test_known_nodes_are_embedded_by_the_teacher_with_all_their_edges(student, given):
    X, graph, _, _ = given
    A = graph.to_scipy().toarray() + np.eye(KNOWN)
    A = A / np.sqrt(A.sum(1)) / np.sqrt(A.sum(1))[:, None]
    net = student.nets_["teacher"]
    layer, E = net.layers[0], net.E["0"].detach().numpy()
    x = np.asarray(student.scaler_.transform(X.astype(np.float32)))
    z = A @ (x @ layer.weight.detach().numpy() + E) + layer.bias.detach().numpy()
    np.testing.assert_allclose(student.embedding_["teacher"], z, atol=1e-5)
    assert not E[student.validation_["row"]].any()  # nothing was learnt of them


def test_a_part_2_that_corrects_nothing_leaves_the_mean_of_two_guesses(student, given):
    _, _, new, _ = given
    quiet = copy.deepcopy(student)
    for parameter in quiet.nets_["part 2"].output.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.from_numpy(student.scaler_.transform(new.astype(np.float32))).float()
    layer = student.nets_["teacher"].layers[0]
    with torch.no_grad():
        alone = x @ layer.weight + layer.bias
        guess = student.nets_["part 1"](Features(x))  # standardised, and one layer is z itself
    bank, rows = student.bank_.values, student.bank_.rows
    hidden = hide_nodes(student, generator(0, "hidden edges"))
    told = torch.from_numpy(hidden.graph.normalized().toarray())
    with torch.no_grad():
        z = student.nets_["teacher"](
            Features(torch.from_numpy(student._scaled).float()), lambda h: told @ h
        )[-1][rows]
    torch.testing.assert_close(bank, (z - z.mean(0)) / z.std(0, correction=0), atol=1e-4, rtol=0)
    expected = (alone + guess * z.std(0, correction=0) + z.mean(0)) / 2
    np.testing.assert_allclose(quiet.transform(new), expected, atol=1e-4)


def test_part_2_may_be_the_whole_answer_as_in_the_paper(given):
    X, graph, new, _ = given
    model = small(cold_part="student", part2="whole").fit(X, graph=graph)
    assert model.moments_ is None
    x = Features(torch.from_numpy(model.scaler_.transform(new.astype(np.float32))).float())
    with torch.no_grad():
        z = model.nets_["part 2"](x, model._server.look_up(x, model.bank_))
    np.testing.assert_allclose(model.transform(new), z, atol=1e-5)


@pytest.mark.parametrize("block", [1, 3])
def test_the_size_of_a_block_does_not_change_an_answer(block, model, given, monkeypatch):
    from makedo.methods.cold_brew.links import serving as link_serving

    _, _, new, edges = given
    whole, table = model.predict_links(new, top=3), model.evaluate(new, edges)
    monkeypatch.setattr(link_serving, "ROWS", block)
    for module in (link_serving, ranking):
        monkeypatch.setattr(module, "CELLS", block * KNOWN)
    again = model.predict_links(new, top=3)
    assert np.array_equal(whole["neighbor"], again["neighbor"])
    np.testing.assert_allclose(whole["score"], again["score"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table["mean"], model.evaluate(new, edges)["mean"], rtol=1e-3)


def test_more_than_all_known_nodes_cannot_be_named_and_no_rows_give_no_rows(model, given):
    _, _, new, _ = given
    found = model.predict_links(new[:2], top=1000)
    assert len(found) == 2 * KNOWN and found["rank"].max() == KNOWN
    for part in LINK_PARTS:
        empty = copy.copy(model)
        empty.part_ = part
        nothing = empty.predict_links(new[:0])
        assert len(nothing) == 0 and nothing.columns.equals(found.columns)


def test_ids_come_back_and_join_the_edges(make_problem):
    problem = make_problem(N)
    frame, known = problem.frame, problem.ids[:KNOWN]
    model = small().fit(frame.iloc[:KNOWN], graph=problem.named_graph)
    plain = split(problem, KNOWN)
    by_position = small().fit(plain[0], graph=plain[1])
    found = model.predict_links(frame.iloc[KNOWN:], top=2)
    assert found["neighbor"].isin(known).all()
    assert found["node"].tolist() == np.repeat(problem.ids[KNOWN:], 2).tolist()
    again = by_position.predict_links(plain[2], top=2)
    assert found["neighbor"].tolist() == known[again["neighbor"]].tolist()
    edges = pd.DataFrame(problem.ids.to_numpy()[plain[3].T], columns=["a", "b"])
    turned = edges[["b", "a"]].set_axis(["a", "b"], axis=1)
    for table in (edges, turned):
        pd.testing.assert_frame_equal(
            model.evaluate(frame.iloc[KNOWN:], table), by_position.evaluate(plain[2], plain[3])
        )


def test_evaluate_gives_every_part_and_the_popularity(student, model, given):
    _, _, new, edges = given
    for one, parts in ((model, LINK_PARTS), (student, ("popularity", "features", "student"))):
        table = one.evaluate(new, edges)
        assert table["metric"].unique().tolist() == ["MRR", "hits@10"]
        assert set(table["candidate"]) == {*parts, "Cold Brew"}
        ours = table[table["candidate"].isin([one.part_, "Cold Brew"])]
        assert ours.groupby("metric")["mean"].nunique().tolist() == [1, 1]
        assert ((table["low"] <= table["mean"]) & (table["mean"] <= table["high"])).all()
    fewer = model.evaluate(new, edges, n_negatives=1)
    assert (fewer["mean"][:7] > table["mean"].min()).all() and fewer["mean"][:7].min() > 50


# --- what must not leak --------------------------------------------------------------------------


def test_links_among_nodes_that_ask_leave_no_trace(make_problem):
    """Edges of nodes that are not rows, and edges between two hidden validation nodes."""
    problem = make_problem(N)
    frame, graph = problem.frame.iloc[:KNOWN], problem.named_graph
    new = problem.frame.iloc[KNOWN:]
    without = graph.without_edges_of(np.arange(KNOWN, N))
    assert graph.n_edges > without.n_edges
    models = [small().fit(frame, graph=one) for one in (graph, without)]
    assert same(*models, new)


def test_hidden_links_choose_and_do_not_teach(given):
    """With other hidden links the weights after each epoch are the same, only the choice is not."""
    X, graph, _, _ = given
    first = small(cold_part="student").fit(X, graph=graph)
    hidden = hide_nodes(first, generator(0, "hidden edges"))
    rng = np.random.default_rng(5)
    others = rng.permutation(hidden.candidates)
    moved = [(h, others[k]) for k, h in enumerate(np.repeat(hidden.hidden, 3)) if k < len(others)]
    kept = hidden.graph.edges().T
    changed = Graph.from_edges(np.concatenate([kept, np.array(moved).T], axis=1), n_nodes=KNOWN)
    second = small(cold_part="student")
    second.X_, second.graph_ = first.X_, changed
    again = hide_nodes(second, generator(0, "hidden edges"))
    assert np.array_equal(again.hidden, hidden.hidden) and again.graph.n_edges == len(kept.T)
    second.fit(X, graph=changed)
    rows = [one.history_.query("phase == 'teacher'") for one in (first, second)]
    shared = min(map(len, rows))
    assert np.array_equal(rows[0]["loss"][:shared], rows[1]["loss"][:shared])
    assert not np.array_equal(rows[0]["score"][:shared], rows[1]["score"][:shared])


def test_features_of_nodes_without_edges_leave_no_trace(given):
    X, graph, new, _ = given
    cut = np.arange(0, KNOWN, 5)
    rest = graph.without_edges_of(cut)
    other = X.copy()
    other[cut] = 100 * np.random.default_rng(0).normal(size=(len(cut), X.shape[1]))
    models = [small().fit(x, graph=rest) for x in (X, other)]
    for phase in ("linear", "mlp", "teacher"):  # they stop by ranks among all known nodes
        losses = [m.history_.loc[m.history_["phase"] == phase, "loss"].tolist() for m in models]
        n = min(map(len, losses))
        assert n > 2 and losses[0][:n] == losses[1][:n]


def test_prediction_does_not_touch_the_graph(student, given):
    _, _, new, _ = given
    cut = copy.copy(student)
    cut.graph_ = cut.X_ = None
    assert same(student, cut, new)


def test_nodes_in_another_order_get_the_same_answers(given):
    """Random draws go by position, so training differs; what needs no training does not."""
    X, graph, new, _ = given
    order = np.random.default_rng(0).permutation(KNOWN)
    for part in ("popularity", "features"):
        one = small(cold_part=part, normalize="none").fit(X, graph=graph)
        other = clone(one).fit(X[order], graph=graph.subgraph(order))
        a, b = (m.predict_links(new, top=KNOWN) for m in (one, other))
        back = order[b["neighbor"]]
        left, right = (
            pd.Series(s.to_numpy(), index=[t["node"], n]).sort_index()
            for s, t, n in ((a["score"], a, a["neighbor"].to_numpy()), (b["score"], b, back))
        )
        np.testing.assert_allclose(left, right, atol=1e-6)


def test_the_teacher_does_not_depend_on_the_order_of_nodes():
    """Full batch, no dropout, one fold at a time: the loss of a step is the same."""
    rng = np.random.default_rng(0)
    pairs = np.array(np.triu_indices(8, 1))[:, rng.permutation(28)[:14]]
    graph, order = Graph.from_edges(pairs, n_nodes=8), rng.permutation(8)
    moved, place = graph.subgraph(order), np.argsort(order)
    X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    net = StructuralGCN(8, 3, 4, 4, 1, 0.0, None).eval()
    asked = graph.edges()
    other = rng.integers(0, 8, (len(asked), 2))

    def loss(g, x, at):
        told = torch.from_numpy(g.normalized().toarray())
        z = net(Features(x), lambda h: told @ h)[-1]
        node, neighbor, negative = (torch.from_numpy(at[a]) for a in (*asked.T, other))
        return link_loss(*scores(z[node], z, neighbor, negative)).item()

    assert loss(graph, X, np.arange(8)) == pytest.approx(loss(moved, X[order], place), rel=1e-5)


# --- the contract of an estimator ----------------------------------------------------------------


def test_a_random_state_decides_everything_and_another_one_matters(model, given):
    X, graph, new, _ = given
    torch.rand(3)
    assert same(model, small().fit(X, graph=graph), new)
    other = small(random_state=1).fit(X, graph=graph)
    assert not np.array_equal(model.embedding_["teacher"], other.embedding_["teacher"])


def test_fit_leaves_its_inputs_and_global_state_alone(given):
    X, graph, new, _ = given
    before, state = X.copy(), torch.get_rng_state()
    estimator = small()
    assert estimator.fit(X, graph=graph) is estimator
    estimator.predict_links(new)
    assert np.array_equal(X, before) and torch.equal(state, torch.get_rng_state())
    parameters = estimator.get_params()
    assert clone(estimator).get_params() == parameters
    again = estimator.fit(X, graph=graph)
    assert set(vars(again)) == set(vars(small().fit(X, graph=graph)))


def test_sparse_rows_tensors_and_frames_give_one_answer(given):
    X, graph, new, _ = given
    forms = {
        "sparse": sp.csr_matrix,
        "tensor": torch.from_numpy,
        "frame": lambda a: pd.DataFrame(a, columns=list("abcdef")),
        "list": lambda a: a.tolist(),
    }
    plain = small(normalize="none").fit(X, graph=graph).predict_links(new)
    for name, form in forms.items():
        found = small(normalize="none").fit(form(X), graph=graph).predict_links(form(new))
        np.testing.assert_allclose(plain["score"], found["score"], rtol=2e-2, atol=2e-3), name


def on_row(number, act):
    seen = []

    def on_step(row):
        seen.append(row)
        return act() if len(seen) == number else None

    return on_step


def test_ctrl_c_at_any_time_leaves_a_usable_model_with_one_warning(model, given, tmp_path):
    X, graph, new, _ = given
    starts = model.history_.reset_index().groupby("phase", sort=False)["index"].first() + 1
    assert list(starts.index) == ["linear", "mlp", "teacher", "part 1", "part 2"]
    for number in sorted({1, 2, *starts, len(model.history_) // 2}):
        stop = on_row(number, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.warns(InterruptedWarning, match=f"interrupted after {number} epoch") as caught:
            estimator = small().fit(X, graph=graph, on_step=stop)
        assert len(caught) == 1 and len(estimator.history_) == number
        answer = estimator.predict_links(new)
        assert np.isfinite(answer["score"]).all()
        estimator.save(tmp_path / "model")
        assert same(estimator, makedo.load(tmp_path / "model"), new)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_student_that_was_stopped_before_it_began_is_served_by_what_there_is(given):
    X, graph, new, _ = given
    model = small(cold_part="student").fit(X, graph=graph, on_step=on_row(1, lambda: True))
    assert "student" not in model.part_scores_ and model.part_ in model.part_scores_
    assert len(model.predict_links(new, top=1)) == len(new)


class Killed(Exception):
    """Stands for a process that ends in the middle of fit."""


def test_a_fit_that_is_resumed_equals_an_uninterrupted_one(model, given, tmp_path, monkeypatch):
    X, graph, new, _ = given
    monkeypatch.setattr("makedo.core.training.CHECKPOINT_SECONDS", -1.0)

    def kill():
        raise Killed

    for number in (3, 7, 6, 4):
        with pytest.raises(Killed):
            small().fit(X, graph=graph, checkpoint_dir=tmp_path, on_step=on_row(number, kill))
    resumed = small().fit(X, graph=graph, checkpoint_dir=tmp_path)
    assert same(model, resumed, new)
    assert resumed.history_["epoch"].equals(model.history_["epoch"])
    with pytest.raises(MakedoInputError, match="state of another fit"):
        small(random_state=5).fit(X, graph=graph, checkpoint_dir=tmp_path)
    fewer = graph.without_edges_of([0])
    with pytest.raises(MakedoInputError, match="state of another fit"):
        small().fit(X, graph=fewer, checkpoint_dir=tmp_path)


def test_on_step_sees_the_history(given):
    X, graph, _, _ = given
    rows = []
    model = small().fit(X, graph=graph, on_step=rows.append)
    assert pd.DataFrame(rows).drop(columns="seconds").equals(model.history_.drop(columns="seconds"))


def test_a_saved_model_is_the_same_bit_for_bit(model, given, tmp_path):
    _, _, new, edges = given
    model.save(tmp_path / "model")
    names = {p.name for p in (tmp_path / "model").iterdir()}
    assert names == {"model.json", "weights.safetensors", "tables.parquet", "README.md"}
    for loaded in (makedo.load(tmp_path / "model"), ColdBrewLinkPredictor.load(tmp_path / "model"),
                   pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):  # fmt: skip
        assert same(model, loaded, new)
        pd.testing.assert_frame_equal(model.evaluate(new, edges), loaded.evaluate(new, edges))
        learnt = {name for name in vars(model) if name.endswith("_")}
        assert learnt == {name for name in vars(loaded) if name.endswith("_")}
    assert "hold" in (tmp_path / "model" / "README.md").read_text()
    loaded = makedo.load(tmp_path / "model")
    loaded.save(tmp_path / "again")
    for name in ("weights.safetensors", "tables.parquet"):
        assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("damage", ["embedding", "bank", "width", "part"])
def test_a_model_whose_parts_do_not_fit_together_is_refused(damage, student, tmp_path):
    student.save(tmp_path / "model")
    path = tmp_path / "model" / "weights.safetensors"
    arrays, document = load_file(path), json.loads((tmp_path / "model" / "model.json").read_text())
    if damage == "embedding":
        arrays["state.embedding_.teacher"] = arrays["state.embedding_.teacher"][:3].copy()
    elif damage == "bank":
        arrays["state.bank_.rows"] = arrays["state.bank_.rows"] + 1000
    elif damage == "width":
        document["parameters"]["embedding_width"] = 5
    else:
        document["state"]["part_"] = "mlp"
    (tmp_path / "model" / "model.json").write_text(json.dumps(document))
    save_file(arrays, path)
    with pytest.raises(MakedoInputError) as caught:
        makedo.load(tmp_path / "model")
    assert "\n" not in str(caught.value)


# --- every parameter is used ---------------------------------------------------------------------

CHANGES = {
    "hidden": 4,
    "n_layers": 1,
    "embedding_width": 4,
    "structural": None,
    "structural_penalty": 10.0,
    "bank": "output",
    "n_neighbors": 2,
    "similarity": "dot",
    "temperature": 5.0,
    "n_negatives": 3,
    "student_hidden": 8,
    "part2": "whole",
    "dropout": 0.1,
    "student_dropout": 0.1,
    "learning_rate": 0.1,
    "student_learning_rate": 0.05,
    "part2_learning_rate": 0.05,
    "weight_decay": 0.5,
    "max_epochs": 2,
    "student_max_epochs": 1,
    "batch_size": 16,
    "cold_part": "mlp",
    "validation_fraction": 0.3,
    "normalize": "none",
    "random_state": 9,
}
BASE = {"cold_part": "student", "n_layers": 2, "part2_learning_rate": 0.01}


@pytest.fixture(scope="module")
def deep(given):
    X, graph, new, _ = given
    return small(**BASE).fit(X, graph=graph).predict_links(new)


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_changes_the_model(name, deep, given):
    X, graph, new, _ = given
    other = small(**BASE | {name: CHANGES[name]}).fit(X, graph=graph)
    assert not np.array_equal(deep["score"], other.predict_links(new)["score"])


def test_patience_ends_the_phases_early(given):
    X, graph, _, _ = given
    last = {}
    for patience, student_patience in [(90, 90), (1, 90), (90, 1)]:
        model = small(max_epochs=25, student_max_epochs=25, cold_part="student", verbose=0)
        model.set_params(student_learning_rate=0.1)  # so that part 1 soon learns by heart
        model.set_params(patience=patience, student_patience=student_patience)
        model.fit(X, graph=graph)
        last[patience, student_patience] = model.history_.groupby("phase")["epoch"].max()
    assert set(last[90, 90]) == {24}
    assert last[1, 90]["teacher"] < 24 and last[1, 90]["part 1"] == 24
    assert last[90, 1]["teacher"] == 24 and last[90, 1]["part 1"] < 24


def test_more_neighbours_than_the_bank_has_rows_are_clipped_with_a_warning(given):
    X, graph, new, _ = given
    with pytest.warns(MakedoWarning, match=r"n_neighbors=500 but the bank has \d+ nodes"):
        model = small(n_neighbors=500, cold_part="student").fit(X, graph=graph)
    assert len(model.predict_links(new, top=1)) == len(new)


# --- bad input -----------------------------------------------------------------------------------


def refused(call, match):
    with warnings.catch_warnings(), pytest.raises(MakedoInputError, match=match):
        warnings.simplefilter("ignore")
        call()


def test_bad_input_is_refused_in_a_sentence(model, given):
    X, graph, new, edges = given
    nothing = Graph.from_edges(np.empty((2, 0), int), n_nodes=KNOWN)
    one = Graph.from_edges([[0], [1]], n_nodes=KNOWN)
    with_gap = X.copy()
    with_gap[3, 1] = np.nan
    refused(lambda: small().fit(X, graph=nothing), "no node of the graph has an edge")
    refused(lambda: small().fit(X, graph=one), "no edge is left. Lower validation_fraction")
    refused(lambda: small().fit(X, graph=None), "graph must be a makedo Graph")
    refused(lambda: small().fit(with_gap, graph=graph), "1 NaN or infinite value")
    refused(lambda: small().fit(X[:80], graph=graph), "node_id")
    refused(lambda: small().fit(X, graph=graph, node_id=["a"]), "node_id has 1 id, X has 100 rows")
    refused(lambda: small(cold_part="best").fit(X, graph=graph), "parameter cold_part must be one")
    refused(lambda: small(n_negatives=0).fit(X, graph=graph), "parameter n_negatives must be")
    refused(lambda: model.predict_links(new[:, :-1]), "X has 5 columns, fit saw 6")
    refused(lambda: model.predict_links(with_gap), "1 NaN or infinite value")
    for top in (0, -1, 2.5, True, "3"):
        refused(lambda top=top: model.predict_links(new, top=top), "top must be an integer from 1")
    for n in (0, 1.5, True):
        refused(lambda n=n: model.evaluate(new, edges, n_negatives=n), "n_negatives must be an")
    refused(lambda: model.evaluate(new, None), "give edges=")
    refused(lambda: model.evaluate(new, np.array([[0], [1]])), "none of the edges links a new node")
    refused(lambda: model.evaluate(new, np.array([[0], [9999]])), "9999")
    refused(lambda: model.report(new), "give new nodes and their edges, or no data")
    refused(lambda: model.decision_scores(new, [[0], [KNOWN]]), "1 of 1 pair are not in range")
    refused(lambda: model.decision_scores(new, [0, 1]), r"of shape \(2, n_pairs\)")
    by_degree = small(cold_part="popularity").fit(X, graph=graph)
    refused(lambda: by_degree.transform(new), "served by popularity, which embeds nothing")


def test_new_nodes_with_the_ids_of_known_ones_are_refused(make_problem):
    problem = make_problem(N)
    model = small().fit(problem.frame.iloc[:KNOWN], graph=problem.named_graph)
    clash = r"3 new nodes of 23 have ids of the training graph \(first: 'n97', 'n98', 'n99'\)"
    refused(lambda: model.predict_links(problem.frame.iloc[97:]), clash)
    renamed = [f"m{i}" for i in range(23)]
    found = model.predict_links(problem.frame.iloc[97:], node_id=renamed)
    assert found["node"].unique().tolist() == renamed


def test_use_before_fit_is_refused(given):
    _, _, new, edges = given
    for call in (lambda m: m.predict_links(new), lambda m: m.evaluate(new, edges),
                 lambda m: m.report(), lambda m: m.transform(new)):  # fmt: skip
        with pytest.raises(NotFittedError):
            call(small())


# --- diagnose, report ----------------------------------------------------------------------------


def test_diagnose_sees_whether_the_graph_says_more_than_features(make_problem):
    helps = make_problem(300, signal=0.7, n_classes=6, inside=0.25, outside=0.002)
    model = small(**LEARNS)
    found = model.diagnose(helps.X, graph=helps.graph)
    assert found.verdict == "applies" and found.interval[0] > 0 and found.seconds < 60
    assert "--task links" in found.command and "MRR" in found.unit
    assert not [name for name in vars(model) if name.endswith("_")]
    noise = np.random.default_rng(0).normal(size=helps.X.shape)
    assert model.diagnose(noise, graph=helps.graph).verdict != "applies"


def test_diagnose_of_almost_nothing_cannot_tell(given):
    X, graph, _, _ = given
    few = graph.without_edges_of(np.arange(20, KNOWN))
    assert small().diagnose(X, graph=few).verdict == "cannot tell"
    none = graph.without_edges_of(np.arange(KNOWN))
    assert small().diagnose(X, graph=none).verdict == "does not apply"


def test_a_large_graph_is_cut_to_the_surroundings_of_some_nodes(make_problem, monkeypatch):
    from makedo.methods.cold_brew.links import diagnose as link_diagnose

    monkeypatch.setattr(link_diagnose, "MOST_NODES", 100)
    monkeypatch.setattr(link_diagnose, "SEEDS", 30)
    problem = make_problem(300)
    found = small().diagnose(problem.X, graph=problem.graph)
    assert found.figures["nodes looked at"] < 300 and found.expected_gain is not None


def test_a_report_has_a_verdict_tables_and_figures_and_shows_ids_only_when_asked(make_problem):
    problem = make_problem(N)
    frame = problem.frame.set_axis([f"secret{i}" for i in range(N)], axis=0)
    graph = Graph(problem.graph.indptr, problem.graph.indices, None, pd.Index(frame.index))
    model = small().fit(frame.iloc[:KNOWN], graph=graph)
    crossing = split(problem, KNOWN)[3]
    edges = pd.DataFrame(np.array(frame.index)[crossing.T], columns=["source", "target"])
    new = frame.iloc[KNOWN:]
    for report in (model.report(), model.report(new, edges)):
        html = report.to_html()
        assert report.verdict.endswith(".") and "MRR" in report.verdict
        assert len(report.tables) >= 2 and len(report.figures) >= 3
        assert "secret" not in html and "secret" not in str(report.to_dict())
    shown = model.report(new, edges, show_rows=True)
    top = model.predict_links(new, top=1)["neighbor"][0]
    assert top in shown.to_html()


def test_a_report_of_what_needs_no_training_has_no_curves(given):
    X, graph, new, edges = given
    report = small(cold_part="popularity").fit(X, graph=graph).report(new, edges)
    assert "How did training go?" not in report.figures and report.to_html()


# --- command line --------------------------------------------------------------------------------


@pytest.fixture
def files(make_problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problem = make_problem(N)
    ids = np.array([f"n{i}" for i in range(N)])
    frame = pd.DataFrame(problem.X, columns=list("abcdef")).assign(id=ids, topic=problem.y)
    frame[:KNOWN].to_csv("nodes.csv", index=False)
    frame[KNOWN:].to_csv("new.csv", index=False)
    pairs = problem.graph.edges()
    inside = (pairs < KNOWN).all(1)
    pd.DataFrame(ids[pairs[inside]], columns=["x", "y"]).to_csv("edges.csv", index=False)
    crossing = (pairs < KNOWN).sum(1) == 1
    pd.DataFrame(ids[pairs[crossing]], columns=["x", "y"]).to_csv("links.csv", index=False)
    return problem


FIT = ["cold-brew", "fit", "--task", "links", "--nodes", "nodes.csv", "--edges", "edges.csv",
       "--out", "model", "--quiet", "--set", "max_epochs=2", "--set", "student_max_epochs=2",
       "--set", "student_hidden=8"]  # fmt: skip


def test_links_are_named_on_the_command_line(files, capsys):
    assert cli.main([*FIT, "--label", "topic"]) == 0  # so the label is no feature
    line = ["cold-brew", "links", "model", "--nodes", "new.csv"]
    assert cli.main([*line, "--top", "3", "--out", "found.csv"]) == 0
    found, model = pd.read_csv("found.csv"), makedo.load("model")
    assert found.columns.tolist() == ["node", "neighbor", "rank", "score"]
    assert len(found) == 3 * (N - KNOWN) and model.n_features_in_ == 6
    new = pd.read_csv("new.csv", index_col="id").drop(columns="topic")
    expected = model.predict_links(new, top=3)
    assert found["neighbor"].tolist() == expected["neighbor"].tolist()
    more = ["model", "--nodes", "new.csv", "--edges", "links.csv"]
    assert cli.main(["cold-brew", "evaluate", *more, "--out", "scores.csv"]) == 0
    assert set(pd.read_csv("scores.csv")["metric"]) == {"MRR", "hits@10"}
    assert cli.main(["cold-brew", "report", *more, "--out", "page.html"]) == 0


def test_the_wrong_verb_or_option_is_named(files, capsys):
    def line(*words):
        code = cli.main(["cold-brew", *words])
        err = capsys.readouterr().err
        assert code == 2 and err.count("\n") == 1, err
        return err

    assert cli.main([*FIT, "--label", "topic"]) == 0
    capsys.readouterr()
    assert "use makedo cold-brew links" in line("predict", "model", "--nodes", "new.csv")
    assert "--edges must name" in line("evaluate", "model", "--nodes", "new.csv")
    assert "top must be" in line("links", "model", "--nodes", "new.csv", "--top", "0")
    assert "ids of the training graph" in line("links", "model", "--nodes", "nodes.csv")
    both = ["--nodes", "nodes.csv", "--edges", "edges.csv", "--out", "m"]
    assert "--label must name" in line("fit", *both)
    assert "learns none" in line("fit", *both, "--task", "links", "--split", "topic")
    short = ["--set", "max_epochs=1", "--set", "student_max_epochs=1", "--quiet"]
    assert cli.main(["cold-brew", "fit", *both, "--label", "topic", *short]) == 0
    capsys.readouterr()
    assert "use makedo cold-brew predict" in line("links", "m", "--nodes", "new.csv")


# --- the paper's table ---------------------------------------------------------------------------


@pytest.mark.realdata
def test_the_problem_of_the_table_keeps_new_nodes_apart():
    from makedo.data import catalog
    from makedo.methods.cold_brew.reproduce import links

    try:
        data = catalog.load("cora")
    except MakedoInputError as error:
        pytest.skip(str(error))
    found = links.problem("cora", 0)
    assert found.graph.n_nodes == 2708 - 271 and len(np.unique(found.pairs.row)) == len(
        np.arange(found.X_new.shape[0])
    )
    lost = data.graph.n_edges - found.graph.n_edges
    assert 0 < len(found.pairs.row) <= lost
    assert found.pairs.known.max() < found.graph.n_nodes
    outcome = links.run(ColdBrewLinkPredictor(cold_part="popularity"), found)
    assert 0 < outcome.groups[links.GROUP] < 1


def test_every_candidate_of_the_table_has_the_same_budget():
    from makedo.methods.cold_brew.reproduce.links import candidates

    sizes = {len(one.grid) for one in candidates()}
    assert sizes == {1, 4}
    for one in candidates():
        for configuration in one.grid:
            one.make(random_state=0, **configuration)._check_parameters()
