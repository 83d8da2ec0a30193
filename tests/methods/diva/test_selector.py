"""DivaSelector: each choice by brute force, a refit for every question that it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from makedo import DatasetDerivative, DivaSelector
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.methods.diva import derivative
from makedo.methods.diva.growing import GrowingHead, as_rows
from makedo.methods.diva.outer_loss import squared
from makedo.methods.diva.ridge import Head, TallFactor
from makedo.methods.diva.selector import sharpness

PENALTY, STEP = 0.7, 1e-5
SMALL = "ignore:.*no validation set, and a core:makedo.core.checks.MakedoWarning"
pytestmark = pytest.mark.filterwarnings(SMALL)


@dataclass
class Pool:
    """A core, a pool and a validation set, and the head by brute force."""

    core: np.ndarray
    core_y: np.ndarray
    pool: np.ndarray
    pool_y: np.ndarray
    valid: np.ndarray
    valid_y: np.ndarray
    n_classes: int = 3

    @property
    def Z(self):
        X = np.vstack([self.core, self.pool])
        return np.hstack([X, np.ones((len(X), 1))])

    @property
    def Y(self):
        return np.eye(self.n_classes)[np.concatenate([self.core_y, self.pool_y])]

    def start(self, chosen=()):
        alpha = np.concatenate([np.ones(len(self.core)), np.zeros(len(self.pool))])
        alpha[len(self.core) + np.asarray(chosen, dtype=int)] = 1
        return alpha

    def refit(self, alpha):
        P = PENALTY * np.eye(self.Z.shape[1])
        P[-1] = 0
        return np.linalg.solve(
            self.Z.T @ (alpha[:, None] * self.Z) + P, self.Z.T @ (alpha[:, None] * self.Y)
        )

    def valid_loss(self, alpha):
        Z = np.hstack([self.valid, np.ones((len(self.valid), 1))])
        error = Z @ self.refit(alpha) - np.eye(self.n_classes)[self.valid_y]
        return (error**2).sum(1).mean()

    def left_out_loss(self, alpha, folds=None):
        """Of core rows only, each predicted by a head without its fold."""
        n, total = len(self.core), 0.0
        for fold in np.arange(n)[:, None] if folds is None else folds:
            without = alpha.copy()
            without[fold] = 0
            total += ((self.Z[fold] @ self.refit(without) - self.Y[fold]) ** 2).sum()
        return total / n

    def slope(self, loss, alpha, i):
        """Central difference; negative weights are as good as any other for it."""
        up, down = alpha.copy(), alpha.copy()
        up[i] += STEP
        down[i] -= STEP
        return (loss(up) - loss(down)) / (2 * STEP)

    def greedy(self, loss, n, rank):
        """Choose n of the pool one by one: positions, and minus the slope of each."""
        chosen, gains = [], []
        for _ in range(n):
            alpha = self.start(chosen)
            left = np.flatnonzero(alpha == 0)
            slopes = np.array([self.slope(loss, alpha, i) for i in left])
            top = np.sort(self.Z[left] @ self.refit(alpha), axis=1)
            value = slopes if rank == "gain" else top[:, -1] - top[:, -2]
            best = np.argmin(np.where(slopes < 0, value, np.inf))
            assert slopes[best] < 0
            chosen.append(left[best] - len(self.core))
            gains.append(-slopes[best])
        return np.array(chosen), np.array(gains)


def build(n_core=12, n_pool=15, n_features=4, seed=0, n_valid=10):
    rng = np.random.default_rng(seed)
    n = n_core + n_pool + n_valid
    y = rng.permutation(np.arange(n) % 3)
    X = rng.normal(size=(3, n_features))[y] + rng.normal(size=(n, n_features))
    cuts = [n_core, n_core + n_pool]
    (a, b, c), (ya, yb, yc) = np.split(X, cuts), np.split(y, cuts)
    return Pool(a, ya, b, yb, c, yc)


@pytest.fixture
def small():
    return build()


def selector(**settings):
    return DivaSelector(**({"penalty": PENALTY, "scale": None} | settings))


# --- the head that grows --------------------------------------------------------------------------


@pytest.mark.parametrize("n_features", [30, 60], ids=["tall", "wide"])
def test_a_grown_head_equals_a_new_one(n_features):
    p = build(15, 30, n_features)
    rows = as_rows(p.Z[:, :-1], True)
    head = GrowingHead(rows, p.Y, p.start(), PENALTY)
    updated = False
    for fresh in ([3], [0, 14, 7], [1], list(range(15, 29)), [2, 29]):
        head.add(len(p.core) + np.array(fresh))
        new = Head(rows, p.Y, head.alpha, PENALTY)
        updated |= type(head.factor) is not type(new.factor)
        for name in ("W", "F", "E", "h"):
            np.testing.assert_allclose(getattr(head, name), getattr(new, name), atol=1e-9)
        weights = np.r_[np.full(15, 1 / 15), np.zeros(30)]
        grown = derivative.by_leaving_one_out(head, squared, weights)
        anew = derivative.by_leaving_one_out(new, squared, weights)
        np.testing.assert_allclose(grown.gradient, anew.gradient, atol=1e-9)
    assert head.alpha.sum() == 15 + 21
    assert updated == isinstance(new.factor, TallFactor)  # wide ones are always factored anew


# --- choosing, with labels ------------------------------------------------------------------------


@pytest.mark.parametrize("rank", ["gain", "margin"])
@pytest.mark.parametrize("judge", ["validation", "loo", "kfold"])
def test_one_at_a_time_equals_brute_force(small, judge, rank):
    model = selector(
        budget=6, batch=1, rank=rank, criterion="kfold" if judge == "kfold" else "auto"
    )
    model.set_params(n_folds=4, random_state=3)
    if judge == "validation":
        loss = small.valid_loss
        model.fit(small.core, small.core_y, small.valid, small.valid_y)
    else:
        model.fit(small.core, small.core_y)
        folds = model._folds(len(small.core)) if judge == "kfold" else None
        assert folds is None or sorted(np.concatenate(folds)) == list(range(12))
        loss = lambda alpha: small.left_out_loss(alpha, folds)  # noqa: E731
    found = model.select(small.pool, small.pool_y)
    order, gains = small.greedy(loss, 6, rank)
    assert found.index.tolist() == order.tolist()
    np.testing.assert_allclose(found["gain"], gains, atol=1e-7)
    assert found["round"].tolist() == [1, 2, 3, 4, 5, 6]
    losses = [loss(small.start(order[:n])) for n in range(7)]
    np.testing.assert_allclose(model.history_["loss"], losses, atol=1e-9)
    assert model.stopped_ == "budget"


def test_a_batch_is_the_best_of_its_round(small):
    model = selector(budget=7, batch=4, rank="gain")
    model.fit(small.core, small.core_y, small.valid, small.valid_y)
    found = model.select(small.pool, small.pool_y)
    assert found["round"].tolist() == [1, 1, 1, 1, 2, 2, 2]
    alpha = small.start(found.index[:4])
    left = np.flatnonzero(alpha == 0)
    slopes = np.array([small.slope(small.valid_loss, alpha, i) for i in left])
    assert found.index[4:].tolist() == (left[np.argsort(slopes)[:3]] - 12).tolist()
    assert model.history_["n_helpful"].iloc[1] == (slopes < 0).sum()


def test_the_usual_batch_is_a_twentieth_of_the_pool():
    p = build(30, 67)
    found = selector(budget=8).fit(p.core, p.core_y, p.valid, p.valid_y).select(p.pool, p.pool_y)
    assert found["round"].value_counts(sort=False).tolist() == [3, 3, 2]


def test_the_penalty_follows_the_training_set():
    p = build(40, 60, seed=2)
    settings = {"batch": 10, "budget": 20, "rank": "gain", "scale": None}
    model = DivaSelector(**settings).fit(p.core, p.core_y, p.valid, p.valid_y)
    chosen = model.select(p.pool, p.pool_y).index.to_numpy()
    for n, there in zip([0, 10, 20], model.history_["penalty"], strict=True):
        X, y = np.vstack([p.core, p.pool[chosen[:n]]]), np.r_[p.core_y, p.pool_y[chosen[:n]]]
        assert np.isclose(there, DatasetDerivative(scale=None).fit(X, y).penalty_, rtol=1e-9)
    one = DivaSelector(**settings | {"batch": 1, "budget": 3})
    one.fit(p.core, p.core_y, p.valid, p.valid_y).select(p.pool, p.pool_y)
    assert one.history_["penalty"].nunique() == 1  # 43 rows are not a tenth more than 40


def test_it_stops_where_nothing_helps(small):
    wrong = (small.pool_y + 1) % 3
    model = selector(batch=1).fit(small.core, small.core_y, small.valid, small.valid_y)
    few = model.select(small.pool, wrong)
    assert model.stopped_ == "no_gain" and len(few) < len(wrong) and (few["gain"] > 0).all()
    alpha = small.start(few.index)
    mistaken = Pool(**{**vars(small), "pool_y": wrong})
    left = np.flatnonzero(alpha == 0)
    assert all(mistaken.slope(mistaken.valid_loss, alpha, i) > -1e-7 for i in left)
    assert model.history_["n_helpful"].iloc[-1] == 0

    model.set_params(stop="budget", budget=14)
    assert len(model.select(small.pool, wrong)) == 14 and model.stopped_ == "budget"
    model.set_params(budget=None)
    everything = model.select(small.pool, wrong)
    assert sorted(everything.index) == list(range(15)) and model.stopped_ == "pool"


def test_quotas_keep_the_shares_of_the_validation_set():
    p = build(60, 200, seed=1, n_valid=200)
    shares = np.array([0.5, 0.3, 0.2])
    valid = np.concatenate(
        [np.flatnonzero(p.valid_y == c)[: int(50 * shares[c])] for c in range(3)]
    )
    model = selector(budget=40, batch=10, quota="class", stop="budget")
    model.fit(p.core, p.core_y, p.valid[valid], p.valid_y[valid])
    found = model.select(p.pool, p.pool_y)
    for n in (10, 20, 30, 40):
        there = np.bincount(p.pool_y[found.index[:n]], minlength=3)
        assert (there == shares * n).all()
    # one by one to the same shares
    one = model.set_params(batch=1).select(p.pool, p.pool_y)
    assert (np.bincount(p.pool_y[one.index], minlength=3) == [20, 12, 8]).all()
    # a class of which there is no more leaves its places empty
    rare = p.pool_y != 0
    for batch in (1, 10):
        chosen = model.set_params(batch=batch).select(p.pool[rare], p.pool_y[rare])
        assert (np.bincount(p.pool_y[rare][chosen.index], minlength=3) == [0, 12, 8]).all()
        assert model.stopped_ == "quota"


def test_ids_of_the_pool_survive_and_its_order_does_not_matter(small):
    names = [f"p{i}" for i in range(15)]
    columns = list("abcd")
    core = pd.DataFrame(small.core, columns=columns).assign(label=small.core_y)
    pool = pd.DataFrame(small.pool, columns=columns, index=names).assign(label=small.pool_y)
    model = selector(budget=6, batch=2)
    model.fit(core, "label", pd.DataFrame(small.valid, columns=columns), small.valid_y)
    found = model.select(pool)
    again = model.select(pool.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(found, again)
    plain = selector(budget=6, batch=2).fit(small.core, small.core_y, small.valid, small.valid_y)
    expected = plain.select(small.pool, small.pool_y)
    assert found.index.tolist() == [names[i] for i in expected.index]


@pytest.mark.parametrize("rank", ["gain", "margin"])
def test_wrong_labels_are_left_out(rank):
    chosen, at_all = [], []
    for seed in range(4):
        p = build(60, 200, 6, seed, n_valid=200)
        for X, y in ((p.core, p.core_y), (p.pool, p.pool_y), (p.valid, p.valid_y)):
            X += 1.5 * np.eye(6)[y]  # clouds well apart
        bad = np.random.default_rng(seed).random(200) < 0.4
        model = DivaSelector(budget=60, rank=rank).fit(p.core, p.core_y, p.valid, p.valid_y)
        found = model.select(p.pool, np.where(bad, (p.pool_y + 1) % 3, p.pool_y))
        chosen.append(bad[found.index].mean())
        at_all.append(bad.mean())
    assert np.mean(chosen) < 0.75 * np.mean(at_all)  # at random it would be 1 ± 0.05


@pytest.mark.parametrize("kind", ["values", "multilabel"])
def test_numbers_and_several_labels_are_ranked_by_gain(kind):
    p = build()
    rng = np.random.default_rng(0)
    n = len(p.core) + len(p.pool) + len(p.valid)
    Y = rng.normal(size=n) if kind == "values" else rng.integers(0, 2, (n, 2))
    a, b, c = np.split(Y, [12, 27])
    model = selector(budget=5, rank="auto").fit(p.core, a, p.valid, c)
    found = model.select(p.pool, b)
    known = DatasetDerivative(penalty=PENALTY, scale=None).fit(p.core, a, X_val=p.valid, y_val=c)
    first = known.score_pool(p.pool, b).argmin()
    assert model.kind_ == kind and found.index[0] == first
    assert np.isclose(found["gain"].iloc[0], -known.score_pool(p.pool, b)[first])
    with pytest.raises(MakedoInputError, match="without labels needs classes"):
        model.select(p.pool)


# --- choosing, without labels ---------------------------------------------------------------------


@pytest.mark.parametrize("judge", ["validation", "loo"])
def test_without_labels_the_gain_is_the_expected_one(small, judge):
    model = selector(budget=4, rank="gain")
    valid = {"X_val": small.valid, "y_val": small.valid_y} if judge == "validation" else {}
    loss = small.valid_loss if valid else small.left_out_loss
    found = model.fit(small.core, small.core_y, **valid).select(small.pool)

    W = small.refit(small.start())
    F = small.Z[12:] @ W
    left_out = np.empty((12, 3))
    for i in range(12):
        without = small.start()
        without[i] = 0
        left_out[i] = small.Z[i] @ small.refit(without)
    p = np.exp(sharpness(left_out, small.core_y) * F)
    p /= p.sum(1, keepdims=True)
    expected = np.zeros(15)
    for c in range(3):
        if_c = Pool(**{**vars(small), "pool_y": np.full(15, c)})
        loss_if_c = if_c.valid_loss if valid else if_c.left_out_loss
        slopes = [if_c.slope(loss_if_c, small.start(), 12 + i) for i in range(15)]
        expected += p[:, c] * slopes
    assert loss(small.start()) > 0
    order = np.argsort(expected)[: min(4, (expected < 0).sum())]
    assert found.index.tolist() == order.tolist() and (found["round"] == 1).all()
    np.testing.assert_allclose(found["gain"], -expected[order], atol=1e-7)

    top = np.sort(F, axis=1)
    unsure = np.argsort(np.where(expected < 0, top[:, -1] - top[:, -2], np.inf), kind="stable")
    model.set_params(rank="margin")
    assert model.select(small.pool).index.tolist() == unsure[: len(order)].tolist()


def test_sharpness_is_the_likeliest():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5000, 4)) * 0.3
    p = np.exp(6 * scores)
    p /= p.sum(1, keepdims=True)
    codes = (rng.random((5000, 1)) > p.cumsum(1)).sum(1)
    assert abs(sharpness(scores, codes) - 6) < 0.5


def test_without_labels_quotas_go_by_the_guess():
    p = build(60, 200, seed=1, n_valid=40)
    model = selector(budget=30, quota="class", stop="budget")
    model.fit(p.core, p.core_y, p.valid, p.valid_y)
    chosen = model.select(p.pool).index
    W = np.linalg.solve(
        p.Z[:60].T @ p.Z[:60] + PENALTY * np.diag([1.0] * 4 + [0]), p.Z[:60].T @ p.Y[:60]
    )
    guess = (p.Z[60:] @ W).argmax(1)
    most = np.ceil(np.bincount(p.valid_y, minlength=3) / 40 * 30)
    assert len(chosen) == 30 and (np.bincount(guess[chosen], minlength=3) <= most).all()


# --- what it refuses, and what it keeps -----------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_a_small_core_without_a_validation_set_is_pointed_out(small):
    with pytest.warns(MakedoWarning, match=r"core of 12 rows for 3 outputs.*Give X_val and y_val"):
        selector().fit(small.core, small.core_y)


def test_bad_choices_name_the_fix(small):
    core, y = small.core, small.core_y
    with pytest.raises(MakedoInputError, match="criterion='loo' is for a core without"):
        selector(criterion="loo").fit(core, y, small.valid, small.valid_y)
    with pytest.raises(MakedoInputError, match="n_folds=13 is more than the 12 rows"):
        selector(criterion="kfold", n_folds=13).fit(core, y)
    numbers = np.linspace(0.1, 1, 12)
    with pytest.raises(MakedoInputError, match="quota='class' needs one class a row"):
        selector(quota="class").fit(core, numbers)
    with pytest.raises(MakedoInputError, match="rank='margin' needs one class a row"):
        selector(rank="margin").fit(core, numbers)
    with pytest.raises(MakedoInputError, match="budget must be an integer in"):
        selector(budget=0).fit(core, y)
    model = selector().fit(core, y, small.valid, small.valid_y)
    with pytest.raises(MakedoInputError, match="5 columns, fit saw 4"):
        model.select(np.ones((3, 5)), [0, 1, 2])
    with pytest.raises(MakedoInputError, match="2 labels, X has 15 rows"):
        model.select(small.pool, [0, 1])
    with pytest.raises(MakedoInputError, match="not in training"):
        model.select(small.pool, np.full(15, 7))
    with pytest.raises(MakedoInputError, match="X has no rows|X_pool has no rows"):
        model.select(small.pool[:0], [])
    with pytest.raises(MakedoInputError, match="NaN"):
        model.select(np.full((2, 4), np.nan), [0, 1])


def test_a_saved_one_chooses_the_same(small, tmp_path):
    for valid in ({"X_val": small.valid, "y_val": small.valid_y}, {}):
        model = selector(budget=5, outer_loss="mae", outer_temperature=3.0, dtype="float64")
        model.fit(small.core, small.core_y, **valid)
        model.save(tmp_path / "model")
        again = DivaSelector.load(tmp_path / "model")
        ours, theirs = (m.select(small.pool, small.pool_y) for m in (model, again))
        pd.testing.assert_frame_equal(ours, theirs)
        assert len(ours) == 5


def test_blocks_and_their_precision_change_nothing(small):
    def choice(**settings):
        model = selector(budget=6, batch=2, **settings)
        model.fit(small.core, small.core_y, small.valid, small.valid_y)
        return model.select(small.pool, small.pool_y)

    whole = choice()
    pd.testing.assert_frame_equal(whole, choice(block_size=3))
    pd.testing.assert_frame_equal(whole, choice(dtype="float32"), rtol=1e-4)
    moved = choice(fit_intercept=True, targets="classes")
    pd.testing.assert_frame_equal(whole, moved)
