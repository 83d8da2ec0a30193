"""AugmentationSelector: its derivative by refits, its interval by real resampling, its advice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import shift

from makedo import AugmentationSelector
from makedo.core.checks import MakedoInputError
from makedo.data import catalog
from makedo.methods.diva.augmentations import Mixture, descend
from makedo.methods.diva.growing import as_rows
from makedo.methods.diva.outer_loss import squared

N, KINDS, PENALTY = 12, ["mirror", "noise", "turn"], 0.8


@pytest.fixture
def copies():
    """Originals and copies in random order, noise twice: X, y, augmentation, source."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4))
    y = np.arange(N) % 3
    X[:, :3] += 1.5 * np.eye(3)[y]
    noise = [X + rng.normal(scale=0.3, size=X.shape) for _ in range(2)]
    parts = [X, X * [1, 1, 1, -1], *noise, X[:, [1, 2, 0, 3]]]
    names = ["original", "mirror", "noise", "noise", "turn"]
    order = rng.permutation(5 * N)
    return (
        np.vstack(parts)[order],
        np.tile(y, 5)[order],
        np.repeat(names, N)[order],
        np.tile(np.arange(N), 5)[order],
    )


def mixture(copies):
    X, y, names, source = copies
    kind = np.array([-1 if name == "original" else KINDS.index(name) for name in names])
    return Mixture(as_rows(X, True), np.eye(3)[y], kind, source, squared, PENALTY)


def loss_by_refits(copies, mass, times=None):
    """Originals predicted by refits without them and their copies; λ grows with the weights."""
    X, y, names, source = copies
    Z, Y = np.hstack([X, np.ones((len(X), 1))]), np.eye(3)[y]

    def weights(mass):
        each = dict(zip(KINDS, mass, strict=True))
        size = {name: (names == name).sum() for name in KINDS}
        return np.array([1.0 if a == "original" else each[a] * N / size[a] for a in names])

    often = np.ones(len(X)) if times is None else times[source]
    per_weight = PENALTY / weights(np.full(3, 1 / 3)).sum()
    alpha = weights(mass) * often
    P = per_weight * alpha.sum() * np.eye(5)
    P[-1, -1] = 0
    total, n = 0.0, 0.0
    for i in np.flatnonzero(names == "original"):
        a = np.where(source == source[i], 0, alpha)
        W = np.linalg.solve(Z.T @ (a[:, None] * Z) + P, Z.T @ (a[:, None] * Y))
        total += often[i] * ((Z[i] @ W - Y[i]) ** 2).sum()
        n += often[i]
    return total / n


@pytest.mark.parametrize("resampled", [False, True])
def test_the_derivative_is_that_of_refits(copies, resampled):
    times = np.random.default_rng(1).multinomial(N, np.full(N, 1 / N)) * 1.0 if resampled else None
    m, step = np.array([0.2, 0.5, 0.1]), 1e-5
    loss, slope = mixture(copies).slopes(m, times)
    expected = [
        (loss_by_refits(copies, m + s, times) - loss_by_refits(copies, m - s, times)) / (2 * step)
        for s in step * np.eye(3)
    ]
    assert np.isclose(loss, loss_by_refits(copies, m, times), rtol=1e-10)
    np.testing.assert_allclose(slope, expected, atol=1e-8)


def test_a_sample_of_the_sources_is_a_data_set_with_repeats(copies):
    X, y, names, source = copies
    times = np.array([2.0, 0, 1, 1, 3, 0, 1, 1, 1, 0, 1, 1])
    rows = np.repeat(np.arange(len(X)), times[source].astype(int))
    kind = np.array([-1 if name == "original" else KINDS.index(name) for name in names])
    whole = mixture(copies)
    repeated = Mixture(
        as_rows(X[rows], True), np.eye(3)[y[rows]], kind[rows], source[rows], squared, PENALTY
    )
    m = np.array([0.3, 0.2, 0.4])
    for ours, theirs in zip(whole.slopes(m, times), repeated.slopes(m), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_steps_only_ever_lower_the_loss_and_stay_in_range(copies):
    mass, history = descend(mixture(copies), 50)
    losses = [row["loss"] for row in history]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    assert ((mass >= 0) & (mass <= 1)).all()
    assert np.isclose(losses[-1], loss_by_refits(copies, mass))
    # it is a minimum: no neighbour is better
    for s in 0.02 * np.vstack([np.eye(3), -np.eye(3)]):
        assert loss_by_refits(copies, np.clip(mass + s, 0, 1)) > losses[-1] - 1e-6


def test_probabilities_are_the_shares_of_weight(copies):
    X, y, names, source = copies
    model = AugmentationSelector(penalty=PENALTY, scale=None, n_bootstrap=20)
    model.fit(X, y, augmentation=names, source=source)
    table = model.augmentations_.set_index("name")
    assert list(table.index) == ["original", *pd.unique(names[names != "original"])]
    assert table.n_rows[["original", "mirror", "noise", "turn"]].tolist() == [12, 12, 24, 12]
    mass = dict(zip(table.index[1:], model.masses_, strict=True))
    at_end = loss_by_refits(copies, [mass[name] for name in KINDS])
    assert np.isclose(model.loss_, at_end) and np.isclose(model.history_["loss"].iloc[-1], at_end)
    assert np.isclose(sum(model.probabilities_.values()), 1)
    for name in KINDS:
        share = mass[name] / (1 + model.masses_.sum())
        assert np.isclose(model.probabilities_[name], share)
    assert mass["turn"] < 0.05 < min(mass["mirror"], mass["noise"])  # a turn changes the class
    clear = {"keep": table.high < 0, "down-weight": table.low > 0}
    for advice, holds in clear.items():
        assert ((table.advice == advice) == holds)[1:].all()


def test_the_order_of_rows_does_not_matter_and_columns_may_name_things(copies):
    X, y, names, source = copies
    settings = {"n_bootstrap": 5, "n_steps": 3, "random_state": 2, "outer_loss": "mae"}
    model = AugmentationSelector(**settings, outer_temperature=4.0, targets="classes")
    plain = model.fit(X, y, augmentation=names, source=source).augmentations_
    frame = pd.DataFrame(X, columns=list("abcd")).assign(label=y, done=names, of=source)
    again = model.fit(frame, "label", augmentation="done", source="of").augmentations_
    pd.testing.assert_frame_equal(plain, again, rtol=1e-4)
    order = np.argsort(source, kind="stable")
    moved = model.fit(X[order], y[order], augmentation=names[order], source=source[order])
    columns = ["n_rows", "derivative", "probability"]
    pd.testing.assert_frame_equal(
        plain.set_index("name")[columns],
        moved.augmentations_.set_index("name").loc[plain["name"], columns],
    )


@pytest.mark.parametrize("nothing", [None, np.nan, ""])
def test_originals_may_have_no_name(copies, nothing):
    X, y, names, source = copies
    model = AugmentationSelector(n_bootstrap=5, n_steps=1, fit_intercept=True, block_size=7)
    named = model.fit(X, y, augmentation=names, source=source).augmentations_
    blank = np.array([nothing if a == "original" else a for a in names], dtype=object)
    unnamed = model.fit(X, y, augmentation=blank, source=source).augmentations_
    pd.testing.assert_frame_equal(named, unnamed)


def test_copies_that_vouch_for_their_originals_mislead(copies):
    """Without sources, copies of each original tell its label, and look better than they are."""
    X, y, names, source = copies
    model = AugmentationSelector(penalty=PENALTY, scale=None, n_bootstrap=5, n_steps=0)
    right = model.fit(X, y, augmentation=names, source=source).augmentations_.set_index("name")
    leaky = model.fit(X, y, augmentation=names).augmentations_.set_index("name")
    assert leaky.derivative["mirror"] < right.derivative["mirror"] - 0.01


def test_flipped_digits_are_given_less_weight_than_brighter_ones():
    data = catalog.load("digits")
    rows = np.random.default_rng(0).permutation(len(data.y))[:120]
    pictures, y = data.X[rows].reshape(-1, 8, 8) / 16, data.y[rows]
    made = {
        "original": pictures,
        "brighter": np.minimum(pictures * 1.3, 1),
        "left-right": pictures[:, :, ::-1],
        "two pixels up": shift(pictures, (0, -2, 0)),
    }
    X = np.vstack([p.reshape(len(p), -1) for p in made.values()])
    found = AugmentationSelector(n_bootstrap=15, n_steps=8, dtype="float64").fit(
        X, np.tile(y, 4), augmentation=np.repeat(list(made), 120), source=np.tile(np.arange(120), 4)
    )
    p = found.probabilities_
    assert p["brighter"] > 2 * p["left-right"] and p["brighter"] > 2 * p["two pixels up"]
    advice = found.augmentations_.set_index("name").advice
    assert advice["left-right"] == advice["two pixels up"] == "down-weight"


def test_a_saved_one_knows_the_same(copies, tmp_path):
    X, y, names, source = copies
    model = AugmentationSelector(n_bootstrap=3, n_steps=1)
    model.fit(X, y, augmentation=names, source=source).save(tmp_path / "model")
    again = AugmentationSelector.load(tmp_path / "model")
    pd.testing.assert_frame_equal(model.augmentations_, again.augmentations_)
    assert again.probabilities_ == model.probabilities_


def test_what_is_refused(copies):
    X, y, names, source = copies
    fit = AugmentationSelector().fit
    with pytest.raises(MakedoInputError, match="names 3 rows, X has 60"):
        fit(X, y, augmentation=names[:3], source=source)
    with pytest.raises(MakedoInputError, match="no row is an original"):
        fit(X, y, augmentation=["turn"] * 60, source=source)
    with pytest.raises(MakedoInputError, match="all 60 rows are originals"):
        fit(X, y, augmentation=["original"] * 60, source=source)
    elsewhere = np.where(names == "turn", source + 100, source)
    with pytest.raises(MakedoInputError, match="12 copies of 48 whose source has no original"):
        fit(X, y, augmentation=names, source=elsewhere)
    with pytest.raises(MakedoInputError, match="n_bootstrap must be an integer in"):
        AugmentationSelector(n_bootstrap=1).fit(X, y, augmentation=names, source=source)
    with pytest.raises(MakedoInputError, match="60 rows|no column"):
        fit(pd.DataFrame(X).rename(columns=str), y, augmentation="done", source=source)
