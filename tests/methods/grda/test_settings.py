"""Every setting does something, and what it says."""

import numpy as np
import pytest
import torch

from makedo import GRDAClassifier, GRDARegressor
from makedo.core.checks import MakedoInputError
from makedo.data.domains import DomainGraph

BASE = {"method": "network", "domain_weight": 0.3, "hidden": 8, "max_epochs": 6, "device": "cpu"}


def problem(n_domains=9, n_rows=24):
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(n_domains), n_rows)
    y = np.tile([0, 1], len(domain) // 2)
    X = rng.normal(size=(len(y), 2)) + 1.5 * (2 * y - 1)[:, None] * [1, 0.2]
    return X + 0.1 * domain[:, None], y, domain, DomainGraph.from_chain(range(n_domains))


def fitted(cls=GRDAClassifier, **settings):
    X, y, domain, graph = problem()
    model = cls(**BASE | settings)
    return model.fit(X, y, domain=domain, graph=graph, sources=range(4))


def outputs(model):
    X, _, domain, _ = problem()
    return model.team_.run(model._scaled(X.astype(np.float32)), model.domain_embedding_[domain])[1]


@pytest.fixture(scope="module")
def unchanged():
    """What the settings of BASE learn."""
    return outputs(fitted())


CHANGES = [
    {"domain_weight": 0.0},
    {"adversary": "dann"},
    {"adversary": "cdann"},
    {"adversary": "cida"},
    {"adversary": "adda"},
    {"adversary": "mdd"},
    {"self_pairs": "negative"},
    {"loss_scale": "none"},
    {"hidden": 16},
    {"domain_embedding": "spectral"},
    {"domain_embedding": "none"},
    {"n_embedding": 3},
    {"base_estimator": "linear"},
    {"normalize_encoding": False},
    {"embedding_dropout": 0.0},
    {"ramp": False},
    {"clip_norm": 1e-3},
    {"averaging": 0.0},
    {"init": "paper"},
    {"learning_rate": 1e-2},
    {"weight_decay": 1.0},
    {"max_epochs": 3},
    {"batch_size": 5},
    {"domains_per_batch": 4},
    {"random_state": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{[*change][0]}")
def test_a_setting_changes_what_is_learnt(change, unchanged):
    changed = outputs(fitted(**change))
    assert np.isfinite(changed).all() and np.abs(unchanged - changed).max() > 1e-6


def test_verbose_only_tells(unchanged):
    assert np.array_equal(unchanged, outputs(fitted(verbose=1)))


def test_an_encoder_that_has_fooled_the_discriminator_gets_no_more_for_it():
    """Stopped, its loss is that of the task alone."""
    from makedo.methods.grda import team

    losses = {}
    for stop in (True, False):
        torch.manual_seed(0)
        model = GRDAClassifier(**BASE | {"stop_when_fooled": stop, "ramp": False})
        X, y, domain, graph = problem()
        model.graph_, model.complete_ = graph, False
        z = np.zeros((9, 1), dtype=np.float32)
        rows = team.Rows(X.astype(np.float32), domain, z, graph.adjacency)
        player = team.Player(0.3, y, domain < 4)
        game = team.Game(model, rows, [player], team.Classification(np.array([0, 1])))
        game.discriminator_loss(next(iter(game.batches(np.random.default_rng(0)))))
        game.fooled = torch.full((1,), 10.0)
        losses[stop] = game.team_loss(None).item()
    assert losses[True] > losses[False]  # the second is rewarded by −λ L_d


def test_the_papers_setting_has_no_guards():
    model = GRDAClassifier.from_paper(max_epochs=2, hidden=8)
    assert not model.normalize_encoding and model.clip_norm is None and model.averaging == 0
    X, y, domain, graph = problem()
    model.fit(X, y, domain=domain, graph=graph, sources=range(4))
    assert model.served_ == "GRDA, λ = 1" and np.isfinite(outputs(model)).all()


def test_numbers_start_from_the_base_and_classes_do_not():
    assert GRDARegressor(**BASE)._base == "domain-means" and GRDAClassifier(**BASE)._base is None
    assert GRDARegressor(**BASE, base_estimator=None)._base is None


@pytest.mark.parametrize(
    "bad",
    [
        {"encoder": "cnn"},
        {"adversary": "gan"},
        {"domain_weight": -1},
        {"n_embedding": 0},
        {"base_estimator": 3},
        {"domains_per_batch": 1},
        {"batch_size": 1},
        {"clip_norm": 0},
    ],
    ids=lambda bad: [*bad][0],
)
def test_settings_that_cannot_be_are_refused_by_name(bad):
    with pytest.raises(MakedoInputError, match=f"parameter {[*bad][0]} must be"):
        fitted(**bad)
