"""The rivals of the tables by a second road, and each of them end to end."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression

from makedo import GRDAClassifier, GRDARegressor
from makedo.core.tables import Row
from makedo.data.domains import DomainGraph
from makedo.methods.grda.reproduce import counties, graphs, rivals, spirals, temperatures
from makedo.methods.grda.reproduce.rivals import (
    Coral,
    GroupDRO,
    Seeing,
    centred,
    located,
    moment_distance,
    trained_by,
)
from makedo.methods.grda.tasks import Classification
from makedo.methods.grda.team import Player, Rows

QUICK = {"hidden": 8, "max_epochs": 3, "device": "cpu"}


def problem(n_domains=8, n_rows=24):
    """Domains that lie apart, with the same rule in each."""
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(n_domains), n_rows)
    y = np.tile([0, 1], len(domain) // 2)
    X = rng.normal(scale=0.5, size=(len(y), 3)) + 1.5 * (2 * y - 1)[:, None] * [1, 0, 0]
    return X + 0.5 * domain[:, None] * [0, 1, 0], y, domain, DomainGraph.from_chain(range(8))


def game(cls, players, **settings):
    X, _, domain, graph = problem()
    model = GRDAClassifier("network", **QUICK | settings)
    model.graph_, model.complete_ = graph, False
    rows = Rows(X.astype(np.float32), domain, np.zeros((8, 1), np.float32), graph.adjacency)
    torch.manual_seed(0)
    return cls(model, rows, players, Classification(np.array([0, 1])))


def test_the_distance_of_coral_equals_a_loop_over_pairs_of_domains():
    e = np.random.default_rng(0).normal(size=(2, 5, 7, 3))
    found = moment_distance(torch.from_numpy(e))
    for one, distance in zip(e, found, strict=True):
        apart = []
        for a, b in itertools.combinations(one, 2):
            mean = ((a.mean(0) - b.mean(0)) ** 2).mean()
            apart.append(mean + ((np.cov(a.T) - np.cov(b.T)) ** 2).mean())
        assert distance.item() == pytest.approx(np.mean(apart), rel=1e-9)


def test_domains_with_the_same_moments_are_at_distance_0():
    one = torch.randn(1, 1, 6, 4, dtype=torch.float64)
    same = torch.cat([one, one.flip(2), one.roll(2, 2)], 1)
    assert moment_distance(same).item() == pytest.approx(0, abs=1e-12)
    wider = torch.cat([one, 2 * one], 1)
    assert moment_distance(wider - wider.mean(2, keepdim=True)).item() > 0.1


def test_coral_brings_domains_together():
    X, y, domain, graph = problem()
    apart = {}
    for weight in (0.0, 1.0):
        model = trained_by(GRDAClassifier, Coral)("network", weight, **QUICK | {"max_epochs": 20})
        model.fit(X, y, domain=domain, graph=graph, sources=range(4))
        e = torch.from_numpy(model.transform(X, domain=domain)).unflatten(0, (1, 8, 24))
        apart[weight] = moment_distance(e).item()
    assert apart[1.0] < apart[0.0] / 2


def test_the_weights_of_groupdro_are_the_exponential_of_their_summed_losses(monkeypatch):
    """Closed form of algorithm 1: q is proportional to exp(η Σ loss) over the sources seen."""
    monkeypatch.setattr(rivals, "GROUP_RATE", 5.0)  # in three steps there is little to see of 0.01
    _, y, domain, _ = problem()
    seen = [domain < 4, domain < 2]
    played = game(GroupDRO, [Player(0.0, y, rows) for rows in seen])
    total = np.zeros((2, 8))
    for seed in range(3):
        for domains, rows in played.batches(np.random.default_rng(seed)):
            value = played.loss((domains, rows)).item()
            losses = played.task.losses(played.scores, played.y[:, played.flat])
            mean = losses.detach().numpy().reshape(2, 8, -1).mean(2)
            total += mean
            labelled = np.stack([mask[::24] for mask in seen])
            q = labelled * np.exp(5.0 * total)
            q /= q.sum(1, keepdims=True)
            np.testing.assert_allclose(played.share.q, q, rtol=1e-4, atol=1e-7)
            assert value == pytest.approx((q * mean).sum(), rel=1e-4)
    assert np.ptp(q[0, :4]) > 1e-3


def test_the_gradient_of_groupdro_is_that_of_its_weighted_losses():
    _, y, domain, _ = problem()
    played = game(GroupDRO, [Player(0.0, y, domain < 4)])
    batch = next(iter(played.batches(np.random.default_rng(0))))
    torch.manual_seed(1)  # the same rows train without their z
    played.loss(batch).backward()
    found = [p.grad.clone() for p in played.team.parameters()]
    played.team.zero_grad()
    torch.manual_seed(1)
    played.encode(batch)
    losses = played.task.losses(played.scores, played.y[:, played.flat]).view(8, -1).mean(1)
    (played.share.q[0] * losses).sum().backward()
    for mine, parameter in zip(found, played.team.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", [Coral, GroupDRO])
def test_models_of_a_team_train_as_they_would_alone(kind):
    _, y, domain, _ = problem()
    players = [Player(0.0, y, domain < 4), Player(0.5, y, domain < 2)]
    both = game(kind, players, embedding_dropout=0.0)
    batch = next(iter(both.batches(np.random.default_rng(0))))
    both.loss(batch).backward()
    for i, player in enumerate(players):
        alone = game(kind, [player], embedding_dropout=0.0)
        alone.loss(batch).backward()
        for one, parameter in zip(both.team.parameters(), alone.team.parameters(), strict=True):
            torch.testing.assert_close(one.grad[i : i + 1], parameter.grad, rtol=1e-4, atol=1e-6)


def test_a_rival_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    """The weights of the groups are kept with those of the networks."""
    monkeypatch.setattr("makedo.core.training.CHECKPOINT_SECONDS", 0.0)
    X, y, domain, graph = problem()
    where = {"domain": domain, "graph": graph, "sources": range(4)}

    def fresh():
        return trained_by(GRDAClassifier, GroupDRO)("network", 0.0, **QUICK | {"max_epochs": 6})

    class Killed(Exception):
        pass

    def kill(row):
        if row["epoch"] == 3:
            raise Killed

    with pytest.raises(Killed):
        fresh().fit(X, y, **where, checkpoint_dir=tmp_path, on_step=kill)
    resumed = fresh().fit(X, y, **where, checkpoint_dir=tmp_path).predict_proba(X, domain=domain)
    assert np.array_equal(resumed, fresh().fit(X, y, **where).predict_proba(X, domain=domain))


# --- other features -------------------------------------------------------------------------------


def test_centring_takes_away_the_mean_that_a_domain_had_in_fit():
    X, _, domain, graph = problem()
    change = centred(X, domain, graph)
    for u in range(8):
        np.testing.assert_allclose(change(X, domain)[domain == u].mean(0), 0, atol=1e-9)
    one = change(X[:1], domain[:1])  # not the mean of this single row
    np.testing.assert_allclose(one[0], X[0] - X[domain == 0].mean(0))


def test_a_linear_model_with_coordinates_can_follow_a_level_that_drifts_along_the_graph():
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(12), 20)
    graph = DomainGraph.from_chain(range(12))
    X = rng.normal(size=(240, 2))
    change = located(X, domain, graph)
    seen = change(X, domain)
    assert seen.shape == (240, 4) and np.array_equal(seen[:, :2], X)
    level = np.cos(np.pi * (domain + 0.5) / 12)  # the second eigenvector of a chain
    assert LinearRegression().fit(seen, level).score(seen, level) > 0.999
    names = np.array([f"state {u}" for u in range(12)])
    named = located(X, names[domain], DomainGraph(names, graph.adjacency))
    assert np.array_equal(named(X, names[domain]), seen)


def test_a_model_sees_the_changed_features_only():
    X, y, domain, graph = problem()
    mine = Seeing(centred, GRDAClassifier("linear"))
    mine.fit(X, y, domain=domain, graph=graph, sources=range(4))
    changed = centred(X, domain, graph)(X, domain)
    theirs = GRDAClassifier("linear").fit(
        changed, y, domain=domain, graph=graph, sources=range(4)
    )  # fmt: skip
    said = theirs.predict(changed, domain=domain)
    assert np.array_equal(mine.predict(X, domain=domain), said) and (said == y).mean() > 0.95


# --- the tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [c.name for c in rivals.rivals(GRDAClassifier, HistGradientBoostingClassifier(), 0.3)],
)
def test_each_rival_learns_a_rule_that_does_not_change(name):
    X, y, domain, graph = problem()
    trees = HistGradientBoostingClassifier(max_iter=10)
    listed = rivals.rivals(GRDAClassifier, trees, 0.3)
    make = next(candidate.make for candidate in listed if candidate.name == name)
    model = make(random_state=0, hidden=16, max_epochs=40, learning_rate=1e-2, device="cpu")
    model.fit(X, y, domain=domain, graph=graph, sources=range(4))
    assert (model.predict(X, domain=domain) == y)[domain < 4].mean() > 0.95


@pytest.mark.parametrize("kind", [Coral, GroupDRO])
def test_rivals_predict_numbers_too(kind):
    X, y, domain, graph = problem()
    values = X @ [1.0, -0.5, 0.2]
    model = trained_by(GRDARegressor, kind)("network", 0.1, **QUICK)
    model.fit(X, values, domain=domain, graph=graph, sources=range(4))
    assert model.score(X, values, domain=domain) > -0.1


def test_every_table_has_the_rivals():
    wanted = {rivals.CIDA, rivals.CORAL, rivals.DRO, rivals.CENTRED, rivals.LOCATED,
              rivals.BOOSTING, rivals.LOCATED_BOOSTING}  # fmt: skip
    for module, data in ((spirals, "dg15"), (temperatures, "E24_to_W24"), (counties, "west")):
        listed = [row.row for row in module.rows(data, range(1)) if isinstance(row, Row)]
        assert wanted <= set(listed) and len(listed) == len(set(listed))


def test_the_row_of_an_empty_graph_says_why_it_is_empty(monkeypatch):
    """Refused before anything is learnt: the row is missing, with the reason."""
    X, y, domain, graph = problem()

    def run(model, seed, name):
        given = model.given_graph(graph, seed)
        model.fit(X, y, domain=domain, graph=given, sources=range(4))

    monkeypatch.setattr(graphs, "run", run)
    rows = {row.row: row for row in graphs.rows("dg15", range(1)) if isinstance(row, Row)}
    (record,) = rows["GRDA, empty graph"].compute()
    assert np.isnan(record["ours"]) and "has no edges" in record["note"]
