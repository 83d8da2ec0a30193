"""Marks that implicit trains; skipped where it is not installed, but for what says so."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import makedo
from makedo.core.checks import MakedoInputError
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim import ALS, BPR, RIM, LogisticMF
from makedo.methods.rim.example import small_example
from makedo.methods.rim.marks import histories

installed = find_spec("implicit") is not None
needed = pytest.mark.skipif(not installed, reason="implicit is not installed")
SMALL = [
    ALS(4, iterations=5, regularization=0.1, random_state=1),
    BPR(4, iterations=5, regularization=0.1, learning_rate=0.1, random_state=1),
    LogisticMF(4, iterations=5, regularization=0.1, learning_rate=0.5, negatives=3, random_state=1),
]


@pytest.fixture(scope="module")
def log():
    return InteractionLog.read(small_example().fit["X"])


@pytest.mark.skipif(installed, reason="implicit is installed")
@pytest.mark.parametrize("name", ["als", "bpr", "logistic_mf"])
def test_the_extra_to_install_is_named(log, name):
    with pytest.raises(MakedoInputError, match=r"needs implicit. Install it: .*makedo\[recsys\]"):
        RIM(name).fit(log)


@needed
@pytest.mark.parametrize("marks", SMALL, ids=str)
def test_a_state_decides_everything_and_a_directory_holds_it(log, marks, tmp_path):
    model = RIM(marks, horizon="10D").fit(log)
    again = RIM(marks, horizon="10D").fit(log)
    assert model.recommend_users(["i3"]).equals(again.recommend_users(["i3"]))
    model.save(tmp_path / "model")
    loaded = makedo.load(tmp_path / "model")
    assert loaded.recommend_items().equals(model.recommend_items())
    newcomer = Requests(log, np.array([-1], np.int32), np.array([model.now_]))
    assert np.isfinite(model.scores(newcomer).to_dense()).all()


@needed
def test_a_history_gets_the_factors_that_least_squares_gives_it(log):
    """As the peer computes them for a user of its own."""
    from implicit.cpu.als import AlternatingLeastSquares

    now = Requests.at(log, np.inf)
    X = histories(now, log.n_items)
    peer = AlternatingLeastSquares(4, regularization=0.1, iterations=5, random_state=1)
    peer.fit(X, show_progress=False)
    peer.use_cg = False
    ours = ALS(4, iterations=5, regularization=0.1, random_state=1).fit(now)
    np.testing.assert_allclose(ours.items_, peer.item_factors, rtol=1e-5)
    expected = peer.recalculate_user(np.arange(log.n_users), X)
    np.testing.assert_allclose(ours._user_factors(now), expected, rtol=1e-3, atol=1e-5)


def test_a_new_history_is_folded_in_by_least_squares(log):
    """Without the peer: the factors u that minimise |x − V u|² + λ |u|²."""
    model = ALS(3, regularization=0.7)
    model.items_ = np.random.default_rng(0).normal(size=(log.n_items, 3)).astype(np.float32)
    model.popularity_ = np.full(log.n_items, 1 / log.n_items)
    now = Requests.at(log, np.inf)
    x = histories(now, log.n_items).toarray()
    stacked = np.vstack([model.items_, np.sqrt(0.7) * np.eye(3)])
    for row, found in zip(x[:5], model._user_factors(now)[:5], strict=True):
        expected = np.linalg.lstsq(stacked, np.r_[row, np.zeros(3)], rcond=None)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@needed
def test_six_lines_rank_users_by_the_factors_of_a_peer(log):
    from implicit.cpu.als import AlternatingLeastSquares

    peer = AlternatingLeastSquares(factors=4, random_state=0)
    peer.fit(log.matrix(), show_progress=False)
    top = RIM("given").fit(log, scores=peer).recommend_users(["i3"], top_k=5)
    assert len(top) == 5 and top["score"].is_monotonic_decreasing
