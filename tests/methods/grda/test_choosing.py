"""Self-training along the hops, the selection on hidden sources, the test of the graph."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

import makedo
from makedo import GRDAClassifier, GRDARegressor
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.domains import DomainGraph
from makedo.data.spiral import make_domain_graph_spiral
from makedo.methods.grda.linear import (
    PENALTIES,
    best_strength,
    fit_linear,
    hop_by_hop,
    log_losses,
    ridge_errors,
)
from makedo.methods.grda.page import judged
from makedo.methods.grda.relevance import domain_distances, graph_relevance
from makedo.methods.grda.reproduce.counties import made
from makedo.methods.grda.selection import choose, extend, hidden_sources, source_groups
from makedo.methods.grda.tasks import Classification, Regression, read_values


def test_a_linear_model_is_scikit_learns():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    task = Classification(np.arange(3))
    proba = task.answer(fit_linear(task, X, y, 1.0).scores(X))
    theirs = LogisticRegression(C=1.0, max_iter=300).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(proba, theirs, atol=1e-5)
    two = fit_linear(task, X[y < 2], y[y < 2], 1.0)  # a class that it has not seen
    theirs = LogisticRegression(C=1.0, max_iter=300).fit(X[y < 2], y[y < 2])
    assert (two.scores(X).argmax(1) == theirs.predict(X)).all()
    assert (fit_linear(task, X, np.full(60, 2), 1.0).scores(X).argmax(1) == 2).all()
    values = rng.normal(size=(60, 2))
    ours = fit_linear(Regression(np.zeros(2), np.ones(2)), X, values, 0.5).scores(X)
    np.testing.assert_allclose(ours, Ridge(0.5).fit(X, values).predict(X), atol=1e-5)


def test_the_penalty_is_the_best_on_domains_left_out():
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(6), 8)
    X = rng.normal(size=(48, 20))
    y = X[:, :1] + rng.normal(scale=2.0, size=(48, 1))
    task = Regression(np.zeros(1), np.ones(1))
    error = {}
    for penalty in (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0):
        for u in range(6):
            out = domain == u
            said = Ridge(penalty).fit(X[~out], y[~out]).predict(X[out]).reshape(-1, 1)
            error[penalty] = error.get(penalty, 0) + ((said - y[out]) ** 2).sum()
    assert best_strength(task, X, y, domain) == min(error, key=error.get)


def test_self_training_follows_a_rule_that_turns_too_far_for_one_model():
    drawn = make_domain_graph_spiral(15, preset="shipped", random_state=5)
    model = GRDAClassifier("self-training")
    model.fit(drawn.X, drawn.y, domain=drawn.domain, graph=drawn.graph, sources=drawn.sources)
    target = ~np.isin(drawn.domain, drawn.sources)
    there = {"X": drawn.X[target], "y": drawn.y[target], "domain": drawn.domain[target]}
    plain = GRDAClassifier("linear").fit(
        drawn.X, drawn.y, domain=drawn.domain, graph=drawn.graph, sources=drawn.sources
    )
    assert model.score(**there) > 0.99 and plain.score(**there) < 0.8


def test_a_domain_is_labelled_by_its_labelled_neighbours_only():
    """In a chain the second target learns from the first, not from the source."""
    rng = np.random.default_rng(0)
    domain = np.repeat([0, 1, 2], 30)
    X = rng.normal(size=(90, 2))
    y = np.where(domain == 0, (X[:, 0] > 0).astype(int), 0)
    task = Classification(np.arange(2))
    adjacency = DomainGraph.from_chain(range(3)).adjacency
    base = fit_linear(task, X[domain == 0], y[domain == 0])
    hops = hop_by_hop(task, X, y, domain == 0, domain, adjacency, base)
    first = fit_linear(task, X[domain == 0], y[domain == 0])
    said = first.scores(X[domain == 1]).argmax(1)
    second = fit_linear(task, X[domain == 1], said)
    np.testing.assert_allclose(hops.models[1].coef, first.coef)
    np.testing.assert_allclose(hops.models[2].coef, second.coef)


# --- selection ------------------------------------------------------------------------------------


def test_groups_of_sources_are_connected_and_nearly_equal():
    graph = DomainGraph.from_chain(range(12))
    sources = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8])
    groups = source_groups(graph, sources)
    assert [len(group) for group in groups] == [3, 3, 3]
    assert sorted(np.concatenate(groups)) == sources.tolist()
    for group in groups:
        assert (np.diff(group) == 1).all()
    folds = hidden_sources(graph, sources)
    assert [len(fold) for fold in folds] == [3, 3, 3, 6, 6, 6]
    few = hidden_sources(graph, sources[:4])  # no group is large enough to learn from alone
    assert sorted(len(fold) for fold in few) == [1, 1, 2]


def table_of(losses):
    lines = [(name, f, f"d{i}", hop, loss) for name, rows in losses.items()
             for i, (f, hop, loss) in enumerate(rows)]  # fmt: skip
    return pd.DataFrame(lines, columns=["candidate", "fold", "domain", "hop", "loss"])


def test_the_line_is_least_squares_and_is_followed_one_hop_further():
    rng = np.random.default_rng(0)
    hops, fold = rng.integers(1, 4, 20).astype(float), np.arange(20) // 5
    loss = 0.1 + 0.2 * hops + rng.normal(scale=0.01, size=20)
    slope, intercept = np.polyfit(hops, loss, 1)
    assert extend(hops, loss, 2.5, fold)[0] == pytest.approx(intercept + 2.5 * slope)
    assert extend(hops, loss, 9.0, fold)[0] == pytest.approx(intercept + 4.0 * slope)
    assert extend(np.ones(20), loss, 9.0, fold)[0] == pytest.approx(loss.mean())
    assert extend(hops, -loss, 9.0, fold)[0] == pytest.approx(-loss.mean())  # never downwards


def test_errors_of_sources_that_are_hidden_together_count_once():
    hops, loss = np.ones(12), np.repeat([0.1, 0.2, 0.3], 4)
    together = extend(hops, loss, 1.0, np.repeat([0, 1, 2], 4))[1]
    assert together == pytest.approx(np.std([0.1, 0.2, 0.3], ddof=1) / np.sqrt(3))
    assert extend(hops, loss, 1.0, np.arange(12))[1] < together


def test_a_candidate_that_wins_with_distance_is_chosen_and_a_tie_goes_to_the_simplest():
    near = [(f, hop, 0.1 * hop) for f in range(3) for hop in (1, 2, 3)]
    far = [(f, hop, 0.15) for f in range(3) for hop in (1, 2, 3)]
    assert choose(table_of({"simple": near, "flat": far}), 3.0).best == "flat"
    assert choose(table_of({"simple": near, "flat": far}), 1.0).best == "simple"
    assert choose(table_of({"simple": near, "same": near}), 3.0).best == "simple"


def test_where_nothing_can_be_gained_the_source_only_model_serves():
    for seed in range(2):
        X, y, domain, graph, sources = made("labels shift", seed)
        model = GRDAClassifier(hidden=16, max_epochs=8, random_state=seed)
        model.fit(X, y, domain=domain, graph=graph, sources=sources)
        assert model.served_ == "source only"
        report = model.report()
        assert report.verdict.startswith("Use source only")
        assert report.facts["on hidden sources adaptation"] in ("neutral", "hurts")


# --- relevance ------------------------------------------------------------------------------------


def test_a_graph_of_neighbours_that_are_alike_is_told_from_one_dealt_at_random():
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(20), 30)
    X = rng.normal(size=(600, 3)) + 0.3 * domain[:, None]
    graph = DomainGraph.from_chain(range(20))
    found = domain_distances(X, domain, rng)
    assert graph_relevance(graph, *found, rng).p_value < 0.01
    other = [graph_relevance(graph.permuted(rng), *found, rng).p_value for _ in range(20)]
    assert 0.2 < np.mean(other) < 0.8
    assert graph_relevance(DomainGraph.complete(range(20)), *found, rng) is None


def test_distances_between_domains_are_those_between_means_of_equal_shapes():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(200, 2))
    X, domain = np.concatenate([base, base + [3.0, 0.0]]), np.repeat([0, 1], 200)
    _, distance = domain_distances(X, domain, np.random.default_rng(1))
    lines = np.random.default_rng(1).normal(size=(2, 32))
    along = 3 * lines[0] / np.linalg.norm(lines, axis=0)
    assert distance[0, 1] == pytest.approx(np.sqrt((along**2).mean()), rel=1e-6)


# --- domain means -------------------------------------------------------------------------------


def shifted(seed=0, n_domains=40, n_rows=15):
    """y depends on the row and on where its domain lies."""
    rng = np.random.default_rng(seed)
    domain = np.repeat(np.arange(n_domains), n_rows)
    centre = rng.normal(size=(n_domains, 2))
    X = centre[domain] + rng.normal(size=(len(domain), 2))
    y = X[:, 0] - 2 * centre[domain, 0] + 0.1 * rng.normal(size=len(domain))
    return X, y, domain, DomainGraph.from_chain(range(n_domains))


def test_domain_means_are_the_half_of_two_ridges_one_of_which_sees_them():
    X, y, domain, graph = shifted()
    model = GRDARegressor("domain-means")
    model.fit(X, y, domain=domain, graph=graph, sources=range(20))
    means, scaled = model.simple_.means, model._scaled(X.astype(np.float32))
    mean = np.stack([scaled[domain == u].mean(0) for u in range(40)])[domain]
    wide = means.wide.scores(np.hstack([scaled, mean]))
    half = (means.plain.scores(scaled) + wide)[:, 0] / 2 * model.y_scale_ + model.y_mean_
    np.testing.assert_allclose(model.predict(X, domain=domain), half, atol=1e-4)
    table = model.evaluate(X, y, domain=domain).query("group == 'targets'")
    error = table.set_index("candidate")["mean"]
    assert error["served"] == error["source only with domain means"] < 0.5 * error["source only"]


def test_a_domain_without_rows_has_no_mean_and_the_plain_model():
    X, y, domain, graph = shifted()
    there = domain != 30
    with pytest.warns(MakedoWarning, match="without rows"):
        model = GRDARegressor("domain-means").fit(
            X[there], y[there], domain=domain[there], graph=graph, sources=range(20)
        )
    plain = model.simple_.linear.scores(model._scaled(X[~there].astype(np.float32)))
    expected = plain[:, 0] * model.y_scale_[0] + model.y_mean_[0]
    with pytest.warns(MakedoWarning, match="saw no rows"):
        np.testing.assert_allclose(model.predict(X[~there], domain=domain[~there]), expected)


def test_domain_means_are_candidates_that_hidden_sources_judge():
    X, y, domain, graph = shifted()
    model = GRDARegressor(hidden=8, max_epochs=2)
    model.fit(X, y, domain=domain, graph=graph, sources=range(20))
    loss = model.selection_.set_index("candidate")["loss"]
    assert loss["source only with domain means"] < 0.7 * loss["source only"]
    assert model.served_ != "source only"


# --- several numbers, saving ----------------------------------------------------------------------


def test_several_numbers_a_row_are_read_and_gaps_make_a_row_unlabelled():
    y = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0]])
    values = read_values("R", y, 3)
    assert np.isnan(values[1]).all() and values[2].tolist() == [4.0, 5.0]
    with pytest.raises(MakedoInputError, match="not numbers"):
        read_values("R", np.array([["a", "b"]] * 3, dtype=object), 3)


@pytest.mark.parametrize("method", ["network", "self-training", "linear", "domain-means"])
def test_a_regressor_of_two_numbers_is_saved_and_loaded(method, tmp_path):
    rng = np.random.default_rng(0)
    shop = np.repeat(["a", "b", "c", "d"], 15)
    X = pd.DataFrame({"shop": shop, "x": rng.normal(size=60), "kind": rng.choice(["u", "v"], 60)})
    y = np.column_stack([X["x"] + (shop > "b"), 2 * X["x"]])
    graph = DomainGraph.from_chain("abcd")
    model = GRDARegressor(method, 0.3, hidden=8, max_epochs=4)
    model.fit(X, y, domain="shop", graph=graph, sources=["a", "b"])
    model.save(tmp_path / "model")
    loaded = makedo.load(tmp_path / "model")
    np.testing.assert_array_equal(model.predict(X), loaded.predict(X))
    assert loaded.score(X, y) == model.score(X, y) and model.score(X, y) > -1
    with pytest.raises(MakedoInputError, match="2 columns|has 1 columns"):
        loaded.evaluate(X, y[:, 0])


def test_a_users_regressor_is_corrected_and_starts_as_it_is():
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(6), 20)
    X = rng.normal(size=(120, 3))
    y = X[:, 0] + 0.1 * rng.normal(size=120)
    graph = DomainGraph.from_chain(range(6))
    base = Ridge(1.0)
    settings = {"base_estimator": base, "hidden": 8, "max_epochs": 1, "learning_rate": 1e-9}
    model = GRDARegressor("network", 0.0, **settings)
    model.fit(X, y, domain=domain, graph=graph, sources=range(3))
    rows = domain < 3
    scaled = model._scaled(X.astype(np.float32))
    expected = Ridge(1.0).fit(scaled[rows], y[rows]).predict(scaled)
    np.testing.assert_allclose(model.predict(X, domain=domain), expected, atol=1e-3)
    with pytest.raises(MakedoInputError, match="base_estimator"):
        model.save("never")


# --- ties -----------------------------------------------------------------------------------------


def test_chances_tell_apart_candidates_that_make_no_mistake_near_the_sources():
    data = make_domain_graph_spiral(15, preset="shipped", random_state=7)
    model = GRDAClassifier(hidden=8, max_epochs=2)
    model.fit(data.X, data.y, domain=data.domain, graph=data.graph, sources=data.sources)
    error = model.hidden_losses_.groupby("candidate")["loss"].mean()
    assert error["source only"] < 0.05 and error["self-training along hops"] < 0.05
    assert model.served_ == "self-training along hops"
    assert model.score(data.X, data.y, domain=data.domain) > 0.95


def test_losses_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    outputs, y = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    task = Classification(np.arange(3))
    expected = log_loss(y, task.answer(outputs), labels=[0, 1, 2])
    assert log_losses(task, outputs, y).mean() == pytest.approx(expected)
    sure = np.array([[50.0, 0.0, 0.0]])
    assert log_losses(task, sure, np.array([1]))[0] == pytest.approx(-np.log(1e-3))


def test_log_losses_decide_only_between_candidates_of_one_kind_that_are_equally_good():
    lines = [
        ("plain", 0.0, 0.3), ("passed on", 0.0, 0.1), ("network", 0.0, 0.01), ("bad", 0.4, 0.0),
    ]  # fmt: skip
    losses = pd.DataFrame(
        [(name, fold, f"d{fold}", 1, loss, log + 0.01 * fold)
         for name, loss, log in lines for fold in range(4)],
        columns=["candidate", "fold", "domain", "hop", "loss", "log_loss"],
    )  # fmt: skip
    found = choose(losses, 2.0, alike=("plain", "passed on", "bad"))
    assert found.best == "passed on" and len(found.table) == 4
    assert choose(losses.drop(columns="log_loss"), 2.0).best == "plain"
    assert choose(losses, 2.0, alike=("plain", "bad")).best == "plain"


def test_fewer_mistakes_do_not_beat_doing_nothing_where_the_log_loss_is_greater():
    def best(log_loss):
        losses = pd.DataFrame(
            [(name, fold, f"d{fold}", 1, loss + 0.001 * fold, log)
             for name, loss, log in (("plain", 0.3, 0.5), ("network", 0.2, log_loss))
             for fold in range(4)],
            columns=["candidate", "fold", "domain", "hop", "loss", "log_loss"],
        )  # fmt: skip
        return choose(losses, 2.0, alike=("plain",)).best

    assert best(0.4) == "network"
    assert best(0.6) == "plain"


def test_penalties_are_judged_as_by_one_ridge_after_another():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6)).astype(np.float32) + 3
    X[:, 5] = X[:, 0] + X[:, 1]  # columns that add up, as floor areas do
    y = (X[:, :2] + rng.normal(size=(90, 2))).astype(np.float32)
    folds = [np.arange(90) % 5 == i for i in range(5)]
    expected = [
        sum(
            (((Ridge(p).fit(X[~f].astype(float), y[~f]).predict(X[f]) - y[f]) ** 2).mean(1)).sum()
            for f in folds
        )
        for p in PENALTIES
    ]
    np.testing.assert_allclose(ridge_errors(X, y, folds), expected, rtol=1e-6)


def test_columns_that_add_up_to_another_raise_no_warning():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)).astype(np.float32)
    X = np.column_stack([X, X.sum(1), 1 - (X[:, 0] > 0), X[:, 0] > 0]).astype(np.float32)
    y = X[:, :1] + rng.normal(size=(400, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_linear(Regression(np.zeros(1), np.ones(1)), X, y, PENALTIES[0])
    assert np.isfinite(ridge_errors(X, y, [np.arange(400) < 40])).all()


# --- what the page says ---------------------------------------------------------------------------


class Chosen:
    """What the page reads of a fitted model about how it chose."""

    def __init__(self, served, gap=0.0, **loss):
        names = {"source_only": "source only", "means": "source only with domain means",
                 "hops": "self-training along hops", "network": "source-only network",
                 "grda": "GRDA, λ = 0.1"}  # fmt: skip
        self.served_ = names[served]
        table = pd.DataFrame({"candidate": [names[name] for name in loss], "loss": loss.values()})
        self.selection_ = table.assign(gap=table["loss"] - table["loss"].min(), gap_error=0.05)
        self.hidden_losses_ = pd.DataFrame({"domain": ["a", "b", "c"]})


def test_the_page_compares_the_served_model_itself_and_never_calls_a_greater_loss_better():
    chosen = Chosen("means", source_only=0.604, means=0.531, hops=0.739, network=0.506, grda=0.522)
    word, why = judged(chosen)
    assert word == "neutral"  # a network that adapts nothing has the least loss
    assert why.startswith("on 3 hidden sources it does better than source only (loss 0.531 against")
    assert why.endswith("source-only network (loss 0.506) is not clearly better, and less simple.")
    word, why = judged(Chosen("source_only", source_only=0.257, hops=0.375, network=0.286))
    assert word == "hurts" and "does better than self-training along hops (loss 0.257" in why
    word, why = judged(Chosen("source_only", source_only=0.257, hops=0.250, network=0.286))
    assert word == "neutral" and "simpler, and not clearly worse, than self-training" in why
    assert judged(Chosen("hops", source_only=0.25, hops=0.1, network=0.2))[0] == "helps"


@pytest.mark.parametrize("method", ["linear", "domain-means"])
def test_the_verdict_on_given_rows_names_models_and_tests_the_source_only_one_too(method):
    X, y, domain, graph = shifted()
    model = GRDARegressor(method).fit(X, y, domain=domain, graph=graph, sources=range(20))
    report = model.report(X, y, domain=domain)
    assert "served" not in report.verdict
    assert report.summary[0].startswith("What fit chose to serve is source only")
    if method == "linear":
        assert report.verdict.startswith("Use source only with domain means: on targets it beats")
    else:
        assert report.verdict.startswith("Use source only with domain means: on targets it beats")
    carry = next(
        section for section in report.sections if section.title == "How far does it carry?"
    )
    ticks = [label.get_text() for label in carry.figure.axes[0].get_xticklabels()]
    assert ticks == ["0", "1", "2", "3 or more"]


def test_numbers_are_also_judged_in_their_own_unit():
    X, y, domain, graph = shifted()
    model = GRDARegressor("linear").fit(X, 1000 * y, domain=domain, graph=graph, sources=range(20))
    table = model.evaluate(X, 1000 * y, domain=domain).set_index(["candidate", "group"])
    rows = domain >= 20
    error = model.predict(X[rows], domain=domain[rows]) - 1000 * y[rows]
    assert table.loc[("served", "targets"), "rmse"] == pytest.approx(np.sqrt((error**2).mean()))
